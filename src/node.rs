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
    /// How long the store keeps this heartbeat: a node that is silent for longer is gone.
    pub keep: Duration,
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
