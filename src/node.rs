//! A node: one running daemon, and what the others may know of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::ClusterTime;
use crate::name::NodeName;

/// Identifies one start of a node: the name is stable, this is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BootId(Uuid);

impl BootId {
    /// That of a start that nobody remembers.
    pub const UNKNOWN: Self = Self(Uuid::nil());

    /// A new one, random.
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for BootId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What a node says of itself at every heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// The node's name.
    pub node: NodeName,
    /// This start of it.
    pub boot: BootId,
    /// When this start was ready to claim.
    pub started_at: ClusterTime,
    /// The version of the program.
    pub version: String,
    /// The digest of the job table it goes by, 16 hex digits.
    pub table: String,
    /// True once it claims nothing new.
    pub draining: bool,
    /// How many runs it has in progress; none where an older version does not say it.
    pub running: Option<u32>,
    /// How far its wall clock is ahead of the store's, in milliseconds; none where that is
    /// not known, or where an older version does not say it.
    pub skew_ms: Option<i64>,
    /// How long the store keeps this heartbeat: [`KEPT`] times as long as lies between two.
    pub keep: Duration,
    /// When it reached the store, by the store's clock; of one that was not sent yet, when
    /// it was made.
    pub heard_at: ClusterTime,
}

/// For how many heartbeats the store keeps one: what depends on who is up for more than
/// what is shown does not depend on two that were lost.
pub const KEPT: u32 = 3;

/// What a node's silence says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Its heartbeats come.
    Up,
    /// One is overdue: it came late, or was lost, or is the first that did not come.
    Silent,
    /// Two did not come. A node that lives sends one that had no answer again within a
    /// second, so it is dead, frozen or cut off.
    Gone,
}

impl Heartbeat {
    /// How its node is at `now`, by the store's clock.
    pub fn standing(&self, now: ClusterTime) -> Standing {
        let silence = now.since(self.heard_at);
        let between = self.keep / KEPT;
        if silence >= between * 2 {
            Standing::Gone
        } else if silence >= between * 3 / 2 {
            Standing::Silent
        } else {
            Standing::Up
        }
    }
}

/// What a heartbeat brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatReply {
    /// The store's clock.
    pub now: ClusterTime,
    /// Whose heartbeat of the same node name this one replaced, if another
    /// start's. Right after a start that is the start before; later it is a
    /// second node of the same name, alive at the same time.
    pub replaced: Option<BootId>,
    /// The other nodes that live and go by another job table, with its digest.
    pub differing: Vec<(NodeName, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_silent_when_one_heartbeat_is_overdue_and_gone_when_two_are() {
        let heard_at = ClusterTime::from_unix_millis(1_000_000);
        let beat = Heartbeat {
            node: "web-1".parse().unwrap(),
            boot: BootId::UNKNOWN,
            started_at: heard_at,
            version: String::new(),
            table: String::new(),
            draining: false,
            running: None,
            skew_ms: None,
            keep: Duration::from_secs(15),
            heard_at,
        };
        for (millis, standing) in [
            (0, Standing::Up),
            // By a beat of the coarse clock too late.
            (6_500, Standing::Up),
            (7_499, Standing::Up),
            (7_500, Standing::Silent),
            (9_999, Standing::Silent),
            (10_000, Standing::Gone),
        ] {
            let now = heard_at + Duration::from_millis(millis);
            assert_eq!(beat.standing(now), standing, "after {millis} ms");
        }
        // A clock that was set back.
        assert_eq!(beat.standing(ClusterTime::from_unix_millis(0)), Standing::Up);
    }
}
