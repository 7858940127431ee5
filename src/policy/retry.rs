//! `retry`: how often a failed run is repeated, and how long each time is waited.
//!
//! The wait is the base, by `backoff`, and up to a quarter more: jobs that all
//! failed because one database was away do not come back all at once.

use std::time::Duration;

use super::draw::draw;
use crate::word::words;

words! {
    /// How the wait grows from one failed run to the next.
    Backoff {
        /// It is always the least one.
        Constant = "constant",
        /// It doubles, up to the longest one.
        Exponential = "exponential",
    }
}

/// How often, and when, a failed run is repeated.
///
/// Invariant, kept by the config: `attempts` is at least 1 and `min` at most `max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retry {
    /// How many runs a slot gets, the first one included.
    pub attempts: u32,
    /// How the wait grows.
    pub backoff: Backoff,
    /// The wait after the first failed run.
    pub min: Duration,
    /// The longest base; a constant wait has no use for it.
    pub max: Duration,
}

impl Retry {
    /// Whether there is another run after the `failures`-th that failed, counted from 1.
    pub fn allows(&self, failures: u32) -> bool {
        failures < self.attempts
    }

    /// How long after the end of the `failures`-th failed run, counted from 1,
    /// the next one begins: the base and up to a quarter of it more, in whole
    /// milliseconds drawn from `seed` and `failures`. The same seed gives the
    /// same wait, on every node.
    pub fn wait_before(&self, failures: u32, seed: u64) -> Duration {
        let base = self.base(failures);
        let quarter = u64::try_from((base / 4).as_millis()).unwrap_or(u64::MAX);
        let mut drawn_from = [0; 12];
        drawn_from[..8].copy_from_slice(&seed.to_be_bytes());
        drawn_from[8..].copy_from_slice(&failures.to_be_bytes());
        let more = draw(&drawn_from, quarter.saturating_add(1));
        base.saturating_add(Duration::from_millis(more))
    }

    /// `min`, doubled with each failure after the first, up to `max`.
    fn base(&self, failures: u32) -> Duration {
        if self.backoff == Backoff::Constant || self.min.is_zero() {
            return self.min;
        }
        // Less than a hundred times: then every duration there is has reached its end.
        let mut base = self.min;
        for _ in 1..failures {
            if base >= self.max {
                break;
            }
            base = base.saturating_mul(2);
        }
        base.min(self.max)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn retry(backoff: Backoff, min: Duration, max: Duration) -> Retry {
        Retry { attempts: 3, backoff, min, max }
    }

    #[test]
    fn the_base_stays_or_doubles_up_to_the_longest() {
        let after = [0, 1, 2, 3, 4, 7, 8, 40, 100, u32::MAX];
        let bases = |retry: Retry| after.map(|failures| retry.base(failures).as_millis()).to_vec();
        for (retry, expected) in [
            (retry(Backoff::Constant, s(5), s(300)), [5_000; 10].to_vec()),
            (
                retry(Backoff::Exponential, s(5), s(300)),
                [5, 5, 10, 20, 40, 300, 300, 300, 300, 300].map(|s| s * 1000).to_vec(),
            ),
            (retry(Backoff::Exponential, s(0), s(300)), [0; 10].to_vec()),
            (retry(Backoff::Exponential, s(9), s(9)), [9_000; 10].to_vec()),
            (
                retry(Backoff::Exponential, Duration::from_millis(1), s(86_400)),
                [1, 1, 2, 4, 8, 64, 128, 86_400_000, 86_400_000, 86_400_000].to_vec(),
            ),
        ] {
            assert_eq!(bases(retry), expected, "{retry:?}");
        }
    }

    #[test]
    fn the_first_run_is_one_of_the_attempts() {
        let retry = |attempts| Retry { attempts, ..retry(Backoff::Constant, s(1), s(1)) };
        let allowed = |attempts| (1..=5).map(|n| retry(attempts).allows(n)).collect::<Vec<_>>();
        assert_eq!(allowed(1), [false, false, false, false, false]);
        assert_eq!(allowed(3), [true, true, false, false, false]);
        assert!(!retry(100).allows(u32::MAX));
    }

    #[test]
    fn jobs_that_fail_together_do_not_come_back_together() {
        let retry = retry(Backoff::Exponential, s(40), s(300));
        let mut by_second = [0u32; 11];
        for seed in 0..5_000 {
            by_second[(retry.wait_before(1, seed) - s(40)).as_secs() as usize] += 1;
        }
        assert!(by_second[..10].iter().all(|n| (400..=600).contains(n)), "{by_second:?}");
    }

    #[test]
    fn the_wait_is_the_same_for_the_same_seed() {
        let retry = retry(Backoff::Exponential, s(5), s(300));
        let waits = |seed| [1, 2, 3].map(|failures| retry.wait_before(failures, seed).as_millis());
        assert_eq!(waits(7), waits(7));
        assert_eq!(waits(7), [5_100, 10_060, 24_665]);
        assert_eq!(waits(u64::MAX), [5_748, 11_110, 22_457]);
    }

    prop_compose! {
        fn any_retry()(
            attempts in 1_u32..=100,
            constant in any::<bool>(),
            a in any::<Duration>(),
            b in any::<Duration>(),
            short in any::<bool>(),
        ) -> Retry {
            let cut = |d: Duration| if short { Duration::from_millis(d.as_secs() % 90_000_000) } else { d };
            let (a, b) = (cut(a), cut(b));
            let backoff = if constant { Backoff::Constant } else { Backoff::Exponential };
            Retry { attempts, backoff, min: a.min(b), max: a.max(b) }
        }
    }

    proptest! {
        #[test]
        fn a_wait_lies_between_its_base_and_a_quarter_more(
            retry in any_retry(), failures in any::<u32>(), seed in any::<u64>(),
        ) {
            let (base, wait) = (retry.base(failures), retry.wait_before(failures, seed));
            prop_assert!((retry.min..=retry.max).contains(&base));
            prop_assert!(base <= wait && wait <= base.saturating_add(base / 4));
        }

        #[test]
        fn a_base_is_never_shorter_than_the_one_before(retry in any_retry(), n in any::<u32>()) {
            for failures in [n, n % 100] {
                prop_assert!(retry.base(failures) <= retry.base(failures.saturating_add(1)));
            }
        }
    }
}
