//! `jitter`: a delay after the slot, so that what is scheduled for the same
//! instant does not begin at the same instant.
//!
//! The delay is drawn from the slot's own text, `backup@2026-11-22T03:00:00Z`:
//! the first 8 bytes of its SHA-256, read as a big-endian number, modulo the
//! jitter in milliseconds, are the milliseconds to wait. So each slot of each
//! job has a delay of its own, and all nodes the same one.
//!
//! The draw never changes between releases: the nodes of a cluster must find a
//! slot due at one instant also while a new release is rolled out.

use std::time::Duration;

use super::draw::draw;
use crate::name::JobName;
use crate::slot::SlotTime;

/// How long after `slot` its run is due: whole milliseconds, less than `most`.
/// Nothing when `most` is less than a millisecond.
pub fn delay(job: &JobName, slot: SlotTime, most: Duration) -> Duration {
    let below = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
    if below == 0 {
        return Duration::ZERO;
    }
    Duration::from_millis(draw(format!("{job}@{slot}").as_bytes(), below))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn millis(job: &str, slot: &str, most: Duration) -> u128 {
        delay(&JobName::new(job).unwrap(), slot.parse().unwrap(), most).as_millis()
    }

    /// `printf %s backup@2026-11-22T03:00:00Z | sha256sum` begins with
    /// `797816e7d000169a`: that modulo 3,600,000 is the first.
    #[test]
    fn the_delay_never_changes_between_releases() {
        for (job, slot, most, expected) in [
            ("backup", "2026-11-22T03:00:00Z", HOUR, 2_282_138),
            ("backup", "2026-11-23T03:00:00Z", HOUR, 18_079),
            ("backup", "2026-11-22T03:00:00Z", Duration::from_secs(30), 2_138),
            ("report.2", "1970-01-01T00:00:00Z", HOUR, 3_086_859),
            ("report.2", "1969-12-31T23:59:59Z", HOUR, 1_953_885),
        ] {
            assert_eq!(millis(job, slot, most), expected, "{job}@{slot}");
        }
    }

    #[test]
    fn the_delay_is_that_of_the_text_of_the_slot() {
        let at = "2026-11-22T03:00:00Z".parse().unwrap();
        let slot = crate::slot::Slot::scheduled(JobName::new("backup").unwrap(), at);
        let drawn = Duration::from_millis(draw(slot.to_string().as_bytes(), 3_600_000));
        assert_eq!(delay(&slot.job, slot.at, HOUR), drawn);
    }

    #[test]
    fn the_delays_of_many_slots_and_of_many_jobs_spread_evenly() {
        let minute = Duration::from_secs(60);
        let mut by_slot = [0u32; 60];
        let mut by_job = [0u32; 60];
        for n in 0..6_000 {
            let job = JobName::new(&format!("job-{n}")).unwrap();
            let at = |second: i64| SlotTime::from_unix_seconds(1_700_000_000 + second);
            by_job[delay(&job, at(0), minute).as_secs() as usize] += 1;
            let job = JobName::new("a").unwrap();
            by_slot[delay(&job, at(n), minute).as_secs() as usize] += 1;
        }
        for seen in [by_slot, by_job] {
            assert!(seen.iter().all(|n| (60..=140).contains(n)), "{seen:?}");
        }
    }

    proptest! {
        #[test]
        fn a_delay_is_whole_milliseconds_and_less_than_the_jitter(
            at in -70_000_000_000_i64..300_000_000_000,
            most in 0_u64..=u64::MAX,
            nanos in 0_u32..1_000_000_000,
        ) {
            let job = JobName::new("a").unwrap();
            let slot = SlotTime::from_unix_seconds(at);
            for most in [Duration::new(most, nanos), Duration::from_micros(most), Duration::new(0, nanos)] {
                let delay = delay(&job, slot, most);
                prop_assert_eq!(delay.subsec_nanos() % 1_000_000, 0);
                prop_assert!(delay < most || delay.is_zero());
            }
        }
    }
}
