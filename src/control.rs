//! What people ask of the whole cluster: paused jobs, tables to load anew.
//!
//! It lives in the store, so a pause survives restarts, and every command reaches
//! all nodes from any machine. Each command raises the version; a node that sees
//! another one than it knows reads the rest.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::clock::ClusterTime;
use crate::name::{JobName, NodeName};

/// See the module's head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    /// Raised by every command.
    pub version: u64,
    /// The jobs that are or were paused, as far as that still matters.
    pub pauses: BTreeMap<JobName, Pauses>,
    /// The version of the last command to all nodes to load their tables anew.
    pub reload: u64,
    /// The same for single nodes.
    pub reload_of: BTreeMap<NodeName, u64>,
}

impl Control {
    /// The version of the last command to `node` to load its table anew.
    pub fn reload_for(&self, node: &NodeName) -> u64 {
        self.reload_of.get(node).copied().unwrap_or(0).max(self.reload)
    }

    /// Whether `job` is paused now.
    pub fn is_paused(&self, job: &JobName) -> bool {
        self.pauses.get(job).is_some_and(|pauses| pauses.current().is_some())
    }
}

/// From when until when a job was paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    /// Its begin.
    pub since: ClusterTime,
    /// Its end; none while it lasts.
    pub until: Option<ClusterTime>,
}

/// The pauses of a job, oldest first; at most the last one lasts.
///
/// A pause that is over still matters: slots that were due in it are never caught
/// up. It is forgotten [`MATTERS_FOR`] after its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses(Vec<Pause>);

/// No `catch_up_window` is longer than a week; and a day for clocks and outages.
pub const MATTERS_FOR: Duration = Duration::from_secs(8 * 86_400);

/// So many pauses of a job are remembered.
pub(crate) const KEPT: usize = 32;

impl Pauses {
    /// The pause that lasts.
    pub fn current(&self) -> Option<Pause> {
        self.0.last().copied().filter(|pause| pause.until.is_none())
    }

    /// When the last pause ended that was over at `at`.
    pub fn last_end_before(&self, at: ClusterTime) -> Option<ClusterTime> {
        self.0.iter().rev().filter_map(|pause| pause.until).find(|until| *until <= at)
    }

    /// Whether nothing is left to remember.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pause that forbids a slot that is `due`: the one that lasts, or one in
    /// which it was due.
    pub fn forbids(&self, due: ClusterTime) -> Option<Pause> {
        let within = |pause: &&Pause| pause.until.is_none_or(|u| pause.since <= due && due < u);
        self.0.iter().rev().find(within).copied()
    }

    /// The same with one that begins now; none when one lasts already.
    #[must_use]
    pub fn paused(&self, now: ClusterTime) -> Option<Self> {
        if self.current().is_some() {
            return None;
        }
        let mut pauses = self.remembered(now);
        pauses.0.push(Pause { since: now, until: None });
        let surplus = pauses.0.len().saturating_sub(KEPT);
        pauses.0.drain(..surplus);
        Some(pauses)
    }

    /// The same with the one that lasts ended; none when none does.
    #[must_use]
    pub fn resumed(&self, now: ClusterTime) -> Option<Self> {
        let current = self.current()?;
        let mut pauses = self.clone();
        pauses.0.pop();
        pauses.0.push(Pause { until: Some(now.max(current.since)), ..current });
        Some(pauses)
    }

    /// Those that still matter at `now`.
    #[must_use]
    pub fn remembered(&self, now: ClusterTime) -> Self {
        let matters = |pause: &Pause| pause.until.is_none_or(|until| until + MATTERS_FOR > now);
        Self(self.0.iter().copied().filter(matters).collect())
    }
}

/// `SINCE-UNTIL SINCE-`, in microseconds since 1970: how a store keeps it.
impl fmt::Display for Pauses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, pause) in self.0.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{}-", pause.since.unix_micros())?;
            if let Some(until) = pause.until {
                write!(f, "{}", until.unix_micros())?;
            }
        }
        Ok(())
    }
}

/// The text is not that of pauses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} are not the pauses of a job")]
pub struct InvalidPauses(String);

impl FromStr for Pauses {
    type Err = InvalidPauses;

    fn from_str(text: &str) -> Result<Self, InvalidPauses> {
        let invalid = || InvalidPauses(text.to_owned());
        let micros = |digits: &str| digits.parse().map(ClusterTime::from_unix_micros);
        let pause = |word: &str| {
            let (since, until) = word.split_once('-').ok_or_else(invalid)?;
            let until =
                if until.is_empty() { None } else { Some(micros(until).map_err(|_| invalid())?) };
            Ok(Pause { since: micros(since).map_err(|_| invalid())?, until })
        };
        text.split_whitespace().map(pause).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> ClusterTime {
        ClusterTime::from_unix_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_pause_forbids_what_is_due_in_it_and_everything_while_it_lasts() {
        let paused = Pauses::default().paused(at(100)).unwrap();
        assert!(paused.forbids(at(50)).is_some(), "it is late, and the job is paused now");
        assert!(paused.forbids(at(150)).is_some());
        assert_eq!(paused.paused(at(120)), None, "once is enough");
        let resumed = paused.resumed(at(200)).unwrap();
        assert_eq!(resumed.resumed(at(210)), None);
        for (due, forbidden) in [(99, false), (100, true), (199, true), (200, false)] {
            assert_eq!(resumed.forbids(at(due)).is_some(), forbidden, "{due}");
        }
    }

    #[test]
    fn pauses_read_back_as_they_were_written() {
        let mut pauses = Pauses::default();
        for n in 0..3 {
            assert_eq!(pauses.to_string().parse(), Ok(pauses.clone()));
            pauses = pauses.paused(at(n * 10 + 1)).unwrap();
            assert_eq!(pauses.to_string().parse(), Ok(pauses.clone()));
            pauses = pauses.resumed(at(n * 10 + 5)).unwrap();
        }
        for bad in ["x", "1", "1-x", "-"] {
            assert!(bad.parse::<Pauses>().is_err(), "{bad}");
        }
    }

    #[test]
    fn pauses_are_forgotten_when_nothing_of_their_time_can_be_caught_up() {
        let mut pauses = Pauses::default();
        for n in 0..100 {
            pauses = pauses.paused(at(n * 10)).unwrap().resumed(at(n * 10 + 1)).unwrap();
        }
        assert_eq!(pauses.0.len(), KEPT);
        assert!(pauses.remembered(at(1000) + MATTERS_FOR).is_empty());
        let lasts = pauses.paused(at(2000)).unwrap();
        assert_eq!(lasts.remembered(at(3000) + MATTERS_FOR * 9).0.len(), 1);
    }
}
