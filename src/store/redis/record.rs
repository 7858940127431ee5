//! A slot's record as text: `STATE TOKEN FENCE ATTEMPT NODE CLAIMED_AT GIVERS`.
//!
//! Written and read by the scripts (`scripts/prelude.lua` explains it), only read
//! here. `running 0193… 1795316400000123 1 web-1 1795316400000123`

use std::str::FromStr;
use std::time::Duration;

use crate::claim::{Fence, Holder, Settled, Token};
use crate::clock::ClusterTime;
use crate::name::NodeName;
use crate::outcome::Outcome;
use crate::store::{Result, SlotRecord, SlotState, StoreError};

/// Where the slot of a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Running,
    HandedOver,
    Settled(Outcome),
}

/// A record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) standing: Standing,
    pub(super) token: Token,
    fence: Fence,
    attempt: u32,
    pub(super) node: NodeName,
    claimed_at: ClusterTime,
}

impl Record {
    pub(super) fn read(line: &str) -> Result<Self> {
        Self::parse(line)
            .ok_or_else(|| StoreError::Corrupt(format!("{line:?} is not the record of a slot")))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let standing = match words.next()? {
            "running" => Standing::Running,
            "handed_over" => Standing::HandedOver,
            other => Standing::Settled(other.parse().ok()?),
        };
        Some(Self {
            standing,
            token: word(&mut words)?,
            fence: Fence::new(word(&mut words)?),
            attempt: word(&mut words)?,
            node: word(&mut words)?,
            claimed_at: ClusterTime::from_unix_micros(word(&mut words)?),
        })
    }

    pub(super) fn holder(self, remaining: Duration) -> Holder {
        Holder { node: self.node, token: self.token, remaining }
    }

    /// As the record of a settled slot, where it is one.
    pub(super) fn settled(self) -> Option<Settled> {
        match self.standing {
            Standing::Settled(outcome) => {
                Some(Settled { node: self.node, token: self.token, outcome })
            }
            Standing::Running | Standing::HandedOver => None,
        }
    }

    pub(super) fn shown(self, remaining: Duration) -> SlotRecord {
        SlotRecord {
            state: match self.standing {
                Standing::Running => SlotState::Running { remaining },
                Standing::HandedOver => SlotState::HandedOver,
                Standing::Settled(outcome) => SlotState::Settled(outcome),
            },
            node: self.node,
            token: self.token,
            attempt: self.attempt,
            fence: self.fence,
            claimed_at: self.claimed_at,
        }
    }
}

/// The next word, read as what it stands for.
pub(super) fn word<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    words.next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0193f7a1-7b1c-7000-8000-0123456789ab";

    #[test]
    fn a_record_is_read_with_and_without_givers() {
        let plain = format!("running {TOKEN} 1795316400000123 2 web-1 1795316400000100");
        let record = Record::read(&plain).unwrap();
        assert_eq!(record.standing, Standing::Running);
        assert_eq!(record.token.to_string(), TOKEN);
        let shown = record.clone().shown(Duration::from_secs(3));
        assert_eq!((shown.fence.get(), shown.attempt), (1_795_316_400_000_123, 2));
        assert_eq!(shown.claimed_at.unix_micros(), 1_795_316_400_000_100);
        assert_eq!(Record::read(&format!("{plain} {TOKEN} {TOKEN}")).unwrap(), record);
    }

    #[test]
    fn a_settled_record_tells_its_outcome_and_the_others_none() {
        let line = |word| format!("{word} {TOKEN} 5 1 web-1 7");
        for &outcome in Outcome::ALL {
            let settled = Record::read(&line(outcome.as_str())).unwrap().settled();
            let expected = (outcome != Outcome::HandedOver).then_some(outcome);
            assert_eq!(settled.map(|s| s.outcome), expected);
        }
    }

    #[test]
    fn what_is_no_record_is_corrupt() {
        for bad in ["", "running", "walking x 1 1 web-1 1", &format!("running {TOKEN} 1 1 -x 1")] {
            assert!(matches!(Record::read(bad), Err(StoreError::Corrupt(_))), "{bad}");
        }
    }
}
