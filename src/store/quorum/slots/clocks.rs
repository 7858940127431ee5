//! The quorum's time: the middle one of all servers' clocks.
//!
//! Which servers answer first must not matter: a lease would end early by as much as two
//! majorities' clocks differ. So what is kept of each server is how far its clock is ahead of
//! this machine's boot clock, and the middle one of all that are known is taken, also while
//! some do not answer. It is how far it is ahead at least, so that nobody is ahead of the
//! servers themselves.

use std::sync::{Mutex, PoisonError};

use crate::clock::{BootInstant, ClusterTime, Offset};

/// Each server's clock, by the number of the server; none that has not been seen.
#[derive(Debug)]
pub(super) struct Clocks(Mutex<Vec<Option<Offset>>>);

impl Clocks {
    pub(super) fn of(servers: usize) -> Self {
        Self(Mutex::new(vec![None; servers]))
    }

    /// The server's clock read `clock`, asked at `sent`, and that is known now.
    pub(super) fn saw(&self, server: usize, sent: BootInstant, clock: ClusterTime) {
        let ahead_of = |boot: BootInstant| {
            clock.unix_micros() - Offset::from_micros(0).cluster_time(boot).unix_micros()
        };
        let (least, most) = (ahead_of(BootInstant::now()), ahead_of(sent));
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = held[server].map(Offset::micros).filter(|known| *known <= most);
        held[server] = Some(Offset::from_micros(known.map_or(least, |known| known.max(least))));
    }

    /// The instant now, and never before `last`. Of two middle clocks it is the earlier.
    pub(super) fn now(&self, last: ClusterTime) -> ClusterTime {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known: Vec<_> = held.iter().flatten().copied().collect();
        known.sort_unstable_by_key(|offset| offset.micros());
        let middle = known.get(known.len().saturating_sub(1) / 2);
        middle.map_or(last, |offset| offset.cluster_time(BootInstant::now()).max(last))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn time_is_that_of_the_middle_clock_of_all_and_never_goes_back() {
        let clocks = Clocks::of(3);
        let far = ClusterTime::from_unix_micros(i64::MAX / 2);
        assert_eq!(clocks.now(far), far, "no clock was seen");
        let sent = BootInstant::now();
        let base = ClusterTime::from_unix_micros(1_795_316_400_000_000);
        clocks.saw(0, sent, base + Duration::from_secs(1000));
        clocks.saw(1, sent, base - Duration::from_secs(1000));
        clocks.saw(2, sent, base);
        let none = ClusterTime::from_unix_micros(0);
        let now = clocks.now(none);
        assert!(now.since(base) < Duration::from_secs(100), "{now}");
        assert!(base.since(now) < Duration::from_secs(100), "{now}");
        // The one behind answers again and again, and nothing changes.
        clocks.saw(1, BootInstant::now(), base - Duration::from_secs(1000));
        assert!(clocks.now(none) >= now);
        assert_eq!(clocks.now(far), far);
    }
}
