//! A slot's record as text: `STATE TOKEN FENCE ATTEMPT NODE CLAIMED_AT TAKEOVERS
//! FAILURES CANCEL GIVERS`, with `running LAPSES` as the state of one that is held.
//!
//! Written and read by the scripts (`scripts/prelude.lua` explains it), only read
//! here. `running 1795316430002 0193… 1795316400000123 1 web-1 1795316400000123 0 0 -`

use std::str::FromStr;

use redis::Value;

use crate::claim::{Fence, Holder, Settled, Token};
use crate::clock::ClusterTime;
use crate::name::NodeName;
use crate::outcome::{CancelCause, Outcome, Ready};
use crate::store::redis::reply;
use crate::store::{Ownership, Result, SlotRecord, SlotState, StoreError};

/// Where the slot of a record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Held until this instant, unless it is renewed.
    Running(ClusterTime),
    Ready(Ready),
    Settled(Outcome),
}

/// What others are told of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    Held(Holder),
    Settled(Settled),
    Free,
}

/// A record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) standing: Standing,
    pub(super) token: Token,
    fence: Fence,
    pub(super) attempt: u32,
    pub(super) node: NodeName,
    claimed_at: ClusterTime,
    pub(super) takeovers: u32,
    pub(super) cancel: Option<CancelCause>,
}

impl Record {
    pub(super) fn read(line: &str) -> Result<Self> {
        Self::parse(line)
            .ok_or_else(|| StoreError::Corrupt(format!("{line:?} is not the record of a slot")))
    }

    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let standing = match words.next()? {
            "running" => Standing::Running(lapses(&mut words)?),
            // `handed_over` is how a run ends, but not how a slot does.
            other => match other.parse() {
                Ok(why) => Standing::Ready(why),
                Err(_) => Standing::Settled(other.parse().ok()?),
            },
        };
        Some(Self {
            standing,
            token: word(&mut words)?,
            fence: Fence::new(word(&mut words)?),
            attempt: word(&mut words)?,
            node: word(&mut words)?,
            claimed_at: ClusterTime::from_unix_micros(word(&mut words)?),
            takeovers: word(&mut words)?,
            // Failures are counted by the scripts alone.
            cancel: match words.nth(1)? {
                "-" => None,
                cause => Some(cause.parse().ok()?),
            },
        })
    }

    /// What somebody who asked at `now` and is not the owner is told.
    pub(super) fn told(self, now: ClusterTime) -> Told {
        let Self { node, token, standing, .. } = self;
        match standing {
            Standing::Running(lapses_at) => {
                Told::Held(Holder { node, token, remaining: lapses_at.since(now) })
            }
            Standing::Ready(_) => Told::Free,
            Standing::Settled(outcome) => Told::Settled(Settled { node, token, outcome }),
        }
    }

    pub(super) fn shown(self, now: ClusterTime) -> SlotRecord {
        SlotRecord {
            state: match self.standing {
                Standing::Running(lapses_at) => {
                    SlotState::Running { remaining: lapses_at.since(now) }
                }
                Standing::Ready(why) => SlotState::Ready(why),
                Standing::Settled(outcome) => SlotState::Settled(outcome),
            },
            node: self.node,
            token: self.token,
            attempt: self.attempt,
            fence: self.fence,
            claimed_at: self.claimed_at,
            takeovers: self.takeovers,
        }
    }
}

/// The next word, read as what it stands for.
pub(super) fn word<'a, T: FromStr>(words: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    words.next()?.parse().ok()
}

/// The next word as when a lease lapses: 13 digits, because scripts find the token by that.
pub(super) fn lapses<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<ClusterTime> {
    let millis = words.next().filter(|word| word.len() == 13)?;
    let is_number = millis.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| millis.parse().ok().map(ClusterTime::from_unix_millis))?
}

/// What somebody who asked by token at `now` is told.
pub(super) fn ownership<T>(_item: &T, now: ClusterTime, value: Value) -> Result<Ownership> {
    let line = reply::item(value)?;
    match line.as_str() {
        "ours" => Ok(Ownership::Ours),
        "forgotten" => Ok(Ownership::Forgotten),
        record => Ok(match Record::read(record)?.told(now) {
            Told::Held(holder) => Ownership::HeldBy(holder),
            Told::Settled(settled) => Ownership::SettledAs(settled),
            Told::Free => Ownership::Forgotten,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const TOKEN: &str = "0193f7a1-7b1c-7000-8000-0123456789ab";

    #[test]
    fn a_record_is_read_with_and_without_givers() {
        let plain = format!(
            "running 1795316430000 {TOKEN} 1795316400000123 2 web-1 1795316400000100 1 0 -"
        );
        let record = Record::read(&plain).unwrap();
        assert_eq!((record.takeovers, record.cancel), (1, None));
        assert_eq!(record.token.to_string(), TOKEN);
        let shown = record.clone().shown(ClusterTime::from_unix_millis(1_795_316_427_000));
        assert_eq!((shown.fence.get(), shown.attempt), (1_795_316_400_000_123, 2));
        assert_eq!(shown.claimed_at.unix_micros(), 1_795_316_400_000_100);
        assert_eq!(shown.state, SlotState::Running { remaining: Duration::from_secs(3) });
        assert_eq!(Record::read(&format!("{plain} {TOKEN} {TOKEN}")).unwrap(), record);
    }

    #[test]
    fn a_lapsed_record_has_nothing_remaining() {
        let record =
            Record::read(&format!("running 1795316430000 {TOKEN} 5 1 web-1 7 0 0 asked")).unwrap();
        let Told::Held(holder) = record.told(ClusterTime::from_unix_millis(1_795_316_430_001))
        else {
            panic!("it is held");
        };
        assert_eq!(holder.remaining, Duration::ZERO);
    }

    #[test]
    fn a_settled_record_tells_its_outcome() {
        for &outcome in Outcome::ALL {
            let record = Record::read(&format!("{outcome} {TOKEN} 5 1 web-1 7 0 0 -")).unwrap();
            match record.told(ClusterTime::from_unix_millis(0)) {
                Told::Settled(settled) => assert_eq!(settled.outcome, outcome),
                other => assert_eq!((other, outcome), (Told::Free, Outcome::HandedOver)),
            }
        }
    }

    #[test]
    fn a_record_that_is_ready_tells_why() {
        for &why in Ready::ALL {
            let record = Record::read(&format!("{why} {TOKEN} 0 0 web-1 7 0 0 -")).unwrap();
            let shown = record.clone().shown(ClusterTime::from_unix_millis(0));
            assert_eq!((shown.state, shown.attempt), (SlotState::Ready(why), 0));
            assert_eq!(record.told(ClusterTime::from_unix_millis(0)), Told::Free);
        }
    }

    #[test]
    fn a_record_tells_why_its_run_is_to_be_cancelled() {
        for &cause in CancelCause::ALL {
            let line = format!("running 1795316430000 {TOKEN} 5 1 web-1 7 0 3 {cause} {TOKEN}");
            assert_eq!(Record::read(&line).unwrap().cancel, Some(cause));
        }
    }

    #[test]
    fn what_is_no_record_is_corrupt() {
        let of = |state: &str, rest: &str| format!("{state} {TOKEN} 1 1 {rest}");
        for bad in [
            "",
            "running",
            &of("walking", "web-1 1 0 0 -"),
            &of("running 1", "-x 1 0 0 -"),
            &of("running 1", "web-1 1 0 0 why"),
            &of("running 1", "web-1 1"),
        ] {
            assert!(matches!(Record::read(bad), Err(StoreError::Corrupt(_))), "{bad}");
        }
    }
}
