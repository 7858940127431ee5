//! A slot: one nominal due instant of a job, computed from its schedule alone.
//!
//! Invariant: a slot never depends on when anybody looked. Two nodes with the
//! same schedule name the same slots, so a slot's text is a key that they
//! share without talking: `backup@2026-11-22T03:00:00Z`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

use crate::clock::ClusterTime;
use crate::name::{InvalidName, JobName};

/// A slot's instant: whole seconds since the Unix epoch, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotTime(i64);

impl SlotTime {
    /// The earliest and the latest second that can be written as RFC 3339.
    const RANGE: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_207_200;

    /// The instant `seconds` after the Unix epoch, held within the years 1 to 9999.
    pub fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.clamp(*Self::RANGE.start(), *Self::RANGE.end()))
    }

    /// Whole seconds since the Unix epoch.
    pub fn unix_seconds(self) -> i64 {
        self.0
    }

    /// The same instant on the cluster's clock.
    pub fn cluster_time(self) -> ClusterTime {
        ClusterTime::from_unix_micros(self.0.saturating_mul(1_000_000))
    }

    /// The same instant as a [`Timestamp`], for calendars.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_second(self.0).expect("a SlotTime lies within the years 1 to 9999")
    }
}

impl From<Timestamp> for SlotTime {
    /// Cuts to the whole second at or before `at`.
    fn from(at: Timestamp) -> Self {
        Self::from_unix_seconds(at.as_nanosecond().div_euclid(1_000_000_000) as i64)
    }
}

/// `2026-11-22T03:00:00Z`
impl fmt::Display for SlotTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.timestamp().to_string())
    }
}

impl FromStr for SlotTime {
    type Err = InvalidSlot;

    /// Reads an RFC 3339 instant with any offset; a part of a second is refused.
    fn from_str(text: &str) -> Result<Self, InvalidSlot> {
        let at: Timestamp = text.parse().map_err(|_| InvalidSlot::Time(text.to_owned()))?;
        if at.subsec_nanosecond() != 0 {
            return Err(InvalidSlot::Time(text.to_owned()));
        }
        Ok(Self::from(at))
    }
}

/// One nominal due instant of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The job that is due.
    pub job: JobName,
    /// When it is due.
    pub at: SlotTime,
}

/// `backup@2026-11-22T03:00:00Z`
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.job, self.at)
    }
}

/// Why a text is not a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSlot {
    /// The part behind the `@` is not a whole second in RFC 3339.
    #[error("{0:?} is not an instant such as 2026-11-22T03:00:00Z")]
    Time(String),
    /// There is no `@`.
    #[error("{0:?} is not a slot such as backup@2026-11-22T03:00:00Z")]
    NoInstant(String),
    /// The part before the `@` is not a name.
    #[error(transparent)]
    Job(#[from] InvalidName),
}

impl FromStr for Slot {
    type Err = InvalidSlot;

    fn from_str(text: &str) -> Result<Self, InvalidSlot> {
        let (job, at) =
            text.split_once('@').ok_or_else(|| InvalidSlot::NoInstant(text.to_owned()))?;
        Ok(Self { job: job.parse()?, at: at.parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_written_as_job_at_instant_and_read_back() {
        let slot: Slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
        assert_eq!(slot.at.unix_seconds(), 1_795_316_400);
        assert_eq!(slot.to_string(), "backup@2026-11-22T03:00:00Z");
        assert_eq!("b@2026-11-22T04:00:00+01:00".parse::<Slot>().unwrap().at, slot.at);
    }

    #[test]
    fn what_is_not_a_slot_is_refused() {
        for bad in
            ["backup", "@2026-11-22T03:00:00Z", "b@", "b@2026-11-22", "b@2026-11-22T03:00:00.5Z"]
        {
            assert!(bad.parse::<Slot>().is_err(), "{bad}");
        }
    }

    #[test]
    fn instants_beyond_the_calendar_are_held_within_it() {
        for far in [i64::MIN, i64::MAX] {
            let at = SlotTime::from_unix_seconds(far);
            assert_eq!(at.to_string().parse::<SlotTime>(), Ok(at));
        }
    }
}
