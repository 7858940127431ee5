//! The one place that reads a clock; the rest of the program is given time.
//!
//! Three kinds of instant, and no way to mix them up:
//!
//! - [`BootInstant`]: monotonic and counting suspended time. Trust in a lease
//!   and every timeout are measured on it, because a stepped wall clock must
//!   not stretch a lease and a suspended machine must not believe that no time
//!   has passed.
//! - [`ClusterTime`]: the store's clock, which all nodes share. Slots become due
//!   and windows close by it. A node knows it as its own boot clock plus an
//!   [`Offset`] measured against the store.
//! - The wall clock: only for the first guess before the store was ever asked,
//!   for time stamps in the log, and to warn when it is wrong.

#[cfg(feature = "daemon")]
use std::fmt;
use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

#[cfg(feature = "daemon")]
use jiff::Timestamp;
use nix::time::{ClockId, clock_gettime};

/// An instant on this machine's boot clock (`CLOCK_BOOTTIME`): nanoseconds since
/// boot, suspended time included. Means nothing on another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootInstant(u64);

impl BootInstant {
    /// Reads the clock.
    pub fn now() -> Self {
        // Linux has CLOCK_BOOTTIME since 2.6.39 and no way to refuse reading it.
        let now = clock_gettime(ClockId::CLOCK_BOOTTIME).expect("CLOCK_BOOTTIME can be read");
        Self(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64)
    }

    /// An instant `nanos` nanoseconds after boot.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since boot.
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long `self` is after `earlier`; nothing when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// `self` less `d`, not before boot.
    pub fn minus(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(d.as_nanos() as u64))
    }
}

impl Add<Duration> for BootInstant {
    type Output = Self;

    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// An instant on the cluster's clock: microseconds since the Unix epoch, by the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClusterTime(i64);

impl ClusterTime {
    /// The instant `micros` microseconds after the Unix epoch.
    pub const fn from_unix_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_unix_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    pub const fn unix_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch.
    pub const fn unix_millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// How long `self` is after `earlier`; nothing when it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(if micros > 0 { micros as u64 } else { 0 })
    }
}

impl Add<Duration> for ClusterTime {
    type Output = Self;

    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

impl Sub<Duration> for ClusterTime {
    type Output = Self;

    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }
}

#[cfg(feature = "daemon")]
/// RFC 3339 with milliseconds, `2026-11-22T03:00:00.123Z`.
impl fmt::Display for ClusterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Timestamp::from_millisecond(self.unix_millis()) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{} µs after 1970", self.0),
        }
    }
}

#[cfg(feature = "daemon")]
/// What the wall clock says now. Nothing but log time stamps, a first guess and
/// a warning may depend on it.
#[expect(clippy::disallowed_methods, reason = "this is the one place")]
pub fn wall_now() -> Timestamp {
    Timestamp::now()
}

/// The wall clock in microseconds since 1970: for fences, which grow with the time.
pub(crate) fn wall_micros() -> u64 {
    clock_gettime(ClockId::CLOCK_REALTIME).map_or(0, |now| {
        u64::try_from(now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000).unwrap_or_default()
    })
}

/// What the cluster's clock reads when the boot clock reads zero, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset(i64);

impl Offset {
    /// The offset `micros` between the two clocks.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// The offset in microseconds.
    pub const fn micros(self) -> i64 {
        self.0
    }

    #[cfg(feature = "daemon")]
    /// The offset of this machine's own wall clock: the guess before a store answered.
    pub fn of_wall_clock() -> Self {
        let boot = BootInstant::now();
        Self(wall_now().as_microsecond() - (boot.nanos() / 1000) as i64)
    }

    /// The cluster's time at `at`.
    pub fn cluster_time(self, at: BootInstant) -> ClusterTime {
        ClusterTime((at.nanos() / 1000) as i64 + self.0)
    }

    /// When the boot clock will read what is `at` on the cluster's clock.
    pub fn boot_instant(self, at: ClusterTime) -> BootInstant {
        BootInstant(u64::try_from(at.0.saturating_sub(self.0)).unwrap_or(0).saturating_mul(1000))
    }
}

/// One reading of the store's clock: the store said `store` at some moment
/// between `sent` and `received`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Boot clock when the request left.
    pub sent: BootInstant,
    /// Boot clock when the reply was there.
    pub received: BootInstant,
    /// What the store's clock said.
    pub store: ClusterTime,
}

impl Reading {
    /// The offset after this reading: the first of `guesses` that may be true.
    ///
    /// The reading proves only that the true offset lies between
    /// `store − received` and `store − sent`. A held offset inside that
    /// interval is as good as any and stays, so that a slow reply does not move
    /// the clock; one outside is wrong. The next best guess is this machine's own wall
    /// clock: where it agrees with the store as far as can be told, both go by the same
    /// time service, and that is better than any round trip tells. The last is the
    /// middle: as far away as half of the round trip at most.
    pub fn refine(self, guesses: impl IntoIterator<Item = Offset>) -> Offset {
        let low = self.store.unix_micros() - (self.received.nanos() / 1000) as i64;
        let high = self.store.unix_micros() - (self.sent.nanos() / 1000) as i64;
        let may_be = |guess: &Offset| (low..=high).contains(&guess.0);
        guesses.into_iter().find(may_be).unwrap_or(Offset(low + (high - low) / 2))
    }
}

/// The cluster's clock as this node knows it; shared by all its tasks.
#[derive(Debug)]
pub struct ClusterClock {
    offset: AtomicI64,
}

impl ClusterClock {
    /// A clock that goes by `offset` until it is set anew.
    pub fn new(offset: Offset) -> Self {
        Self { offset: AtomicI64::new(offset.0) }
    }

    /// The offset in force.
    pub fn offset(&self) -> Offset {
        Offset(self.offset.load(Ordering::Relaxed))
    }

    /// Puts another offset in force.
    pub fn set(&self, offset: Offset) {
        self.offset.store(offset.0, Ordering::Relaxed);
    }

    /// The cluster's time now.
    pub fn now(&self) -> ClusterTime {
        self.offset().cluster_time(BootInstant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(sent_ms: u64, received_ms: u64, store_ms: i64) -> Reading {
        Reading {
            sent: BootInstant::from_nanos(sent_ms * 1_000_000),
            received: BootInstant::from_nanos(received_ms * 1_000_000),
            store: ClusterTime::from_unix_millis(store_ms),
        }
    }

    #[test]
    fn the_first_reading_takes_the_middle_of_the_round_trip() {
        assert_eq!(reading(100, 110, 5_000).refine([]), Offset(4_895_000));
    }

    #[test]
    fn a_slow_reply_that_agrees_does_not_move_the_clock() {
        let held = reading(100, 102, 5_000).refine([]);
        assert_eq!(reading(200, 400, 5_100).refine([held]), held);
    }

    #[test]
    fn a_reply_that_cannot_be_right_moves_the_clock() {
        let held = reading(100, 102, 5_000).refine([]);
        let stepped = reading(200, 202, 65_000).refine([held]);
        assert_eq!(stepped, Offset(64_799_000));
    }

    #[test]
    fn where_the_held_offset_is_wrong_the_wall_clock_counts_if_it_may_be_right() {
        let [held, wall] = [1_000_000, 4_899_000].map(Offset);
        let far = reading(100, 130, 5_015);
        assert_eq!(far.refine([held, wall]), wall);
        assert_eq!(far.refine([held]), Offset(4_900_000));
        assert_eq!(far.refine([Offset(4_901_000), wall]), Offset(4_901_000));
    }

    #[test]
    fn the_boot_clock_goes_forward_and_differences_never_go_below_zero() {
        let a = BootInstant::now();
        let b = BootInstant::now();
        assert!(b >= a);
        assert_eq!(a.since(a + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn a_cluster_time_reads_as_rfc_3339_with_milliseconds() {
        assert_eq!(ClusterTime::from_unix_micros(1_500).to_string(), "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn cluster_time_and_boot_time_translate_back_and_forth() {
        let offset = Offset::from_micros(1_795_316_400_000_000);
        let at = BootInstant::from_nanos(12_345_000);
        assert_eq!(offset.boot_instant(offset.cluster_time(at)), at);
    }
}
