//! A slot: one nominal due instant of a job, computed from its schedule alone, or
//! one that somebody asked for.
//!
//! Invariant: a slot never depends on when anybody looked. Two nodes with the
//! same schedule name the same slots, so a slot's text is a key that they
//! share without talking: `backup@2026-11-22T03:00:00Z`. One that was triggered
//! is named by its trigger too, which whoever asked made:
//! `backup@2026-11-22T03:00:07Z#0193f7a1-7b1c-7000-8000-0123456789ab`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use uuid::{NoContext, Uuid};

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

/// Names one wish to run a job now: a UUIDv7 whose time is that of the wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerId(Uuid);

impl TriggerId {
    /// A new one for a wish made at `now`.
    pub fn new(now: ClusterTime) -> Self {
        let micros = u64::try_from(now.unix_micros()).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1000;
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, micros / 1_000_000, nanos)))
    }

    /// The second of the wish: the instant of its slot.
    pub fn instant(self) -> SlotTime {
        let (seconds, _) = self.0.get_timestamp().map_or((0, 0), |at| at.to_unix());
        SlotTime::from_unix_seconds(i64::try_from(seconds).unwrap_or(i64::MAX))
    }

    /// The id as a UUID.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for TriggerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for TriggerId {
    type Err = InvalidSlot;

    /// Reads a UUIDv7: any other has no time.
    fn from_str(text: &str) -> Result<Self, InvalidSlot> {
        match text.parse::<Uuid>() {
            Ok(id) if id.get_version_num() == 7 => Ok(Self(id)),
            _ => Err(InvalidSlot::Trigger(text.to_owned())),
        }
    }
}

/// One instant at which a job is to run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// The job.
    pub job: JobName,
    /// The nominal instant.
    pub at: SlotTime,
    /// The wish that it answers; none when it comes from the schedule.
    pub trigger: Option<TriggerId>,
}

impl Slot {
    /// The slot of `job`'s schedule at `at`.
    pub fn scheduled(job: JobName, at: SlotTime) -> Self {
        Self { job, at, trigger: None }
    }

    /// The slot that answers `trigger`.
    pub fn triggered(job: JobName, trigger: TriggerId) -> Self {
        Self { job, at: trigger.instant(), trigger: Some(trigger) }
    }
}

/// `backup@2026-11-22T03:00:00Z`, and `#ID` behind it for a triggered one.
impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.job, self.at)?;
        self.trigger.map_or(Ok(()), |trigger| write!(f, "#{trigger}"))
    }
}

/// Why a text is not a slot.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSlot {
    /// The part behind the `@` is not a whole second in RFC 3339.
    #[error("{0:?} is not an instant such as 2026-11-22T03:00:00Z")]
    Time(String),
    /// The part behind the `#` is not the id of a trigger, or not of that instant.
    #[error("{0:?} is not the id of a trigger (a UUIDv7) of that instant")]
    Trigger(String),
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
        let job = job.parse()?;
        let Some((at, trigger)) = at.split_once('#') else {
            return Ok(Self::scheduled(job, at.parse()?));
        };
        let slot = Self::triggered(job, trigger.parse()?);
        match at.parse::<SlotTime>()? == slot.at {
            true => Ok(slot),
            false => Err(InvalidSlot::Trigger(trigger.to_owned())),
        }
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
    fn a_triggered_slot_has_the_instant_of_its_trigger_and_is_another_than_the_scheduled_one() {
        let now = ClusterTime::from_unix_micros(1_795_316_400_987_654);
        let (one, other) = (TriggerId::new(now), TriggerId::new(now));
        assert_ne!(one, other);
        let job = JobName::new("backup").unwrap();
        let slot = Slot::triggered(job.clone(), one);
        assert_eq!(slot.at.unix_seconds(), 1_795_316_400);
        assert_eq!(slot.to_string(), format!("backup@2026-11-22T03:00:00Z#{one}"));
        assert_eq!(slot.to_string().parse(), Ok(slot.clone()));
        assert_ne!(slot, Slot::scheduled(job, slot.at));
    }

    #[test]
    fn what_is_not_a_slot_is_refused() {
        let trigger = TriggerId::new(ClusterTime::from_unix_micros(0));
        for bad in [
            "backup",
            "@2026-11-22T03:00:00Z",
            "b@",
            "b@2026-11-22",
            "b@2026-11-22T03:00:00.5Z",
            "b@2026-11-22T03:00:00Z#",
            "b@2026-11-22T03:00:00Z#f47ac10b-58cc-4372-a567-0e02b2c3d479",
            &format!("b@2026-11-22T03:00:00Z#{trigger}"),
        ] {
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
