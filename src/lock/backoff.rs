//! How long somebody who waits for a lock waits before asking again uncalled.

use std::time::Duration;

/// How long is waited before the next attempt. A value without state, so that one may
/// be kept and shared by all that wait: the same attempt and the same draw give the
/// same delay.
///
/// A release calls who waits, so the delay decides only how soon a lost call is made
/// good. It never lasts longer than the lock that is in the way.
///
/// ```
/// use std::time::Duration;
/// use solocron::lock::Backoff;
///
/// let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_millis(60));
/// let delays: Vec<_> = (1..=4).map(|n| backoff.delay(n, 0.0).unwrap().as_millis()).collect();
/// assert_eq!(delays, [10, 20, 40, 60]);
/// assert_eq!(backoff.limit(3).delay(3, 0.0), None, "three attempts, two delays");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    growth: Growth,
    first: Duration,
    longest: Duration,
    jitter: f64,
    attempts: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Growth {
    Constant,
    Linear,
    Exponential,
}

/// The shortest delay: nobody asks without a pause.
const SHORTEST: Duration = Duration::from_millis(1);

impl Backoff {
    /// Always `delay`.
    pub const fn constant(delay: Duration) -> Self {
        Self::grows(Growth::Constant, delay, delay)
    }

    /// `step`, then twice, three times as much, up to `longest`.
    pub const fn linear(step: Duration, longest: Duration) -> Self {
        Self::grows(Growth::Linear, step, longest)
    }

    /// `first`, then doubled each time, up to `longest`.
    pub const fn exponential(first: Duration, longest: Duration) -> Self {
        Self::grows(Growth::Exponential, first, longest)
    }

    const fn grows(growth: Growth, first: Duration, longest: Duration) -> Self {
        Self { growth, first, longest, jitter: 0.0, attempts: None }
    }

    /// The same with up to so much of each delay taken off by chance: 0 for nothing, 1
    /// for anything down to no delay at all. What lies outside is taken for the nearer end.
    #[must_use]
    pub const fn jitter(self, share: f64) -> Self {
        Self { jitter: share.clamp(0.0, 1.0), ..self }
    }

    /// The same with no more than so many attempts, the first one counted.
    #[must_use]
    pub const fn limit(self, attempts: u32) -> Self {
        Self { attempts: Some(attempts), ..self }
    }

    /// The delay after the `attempt`-th attempt, counted from 1, that was in vain; none
    /// when there is to be no other. `draw` is what chance gave, from 0 to 1.
    pub fn delay(&self, attempt: u32, draw: f64) -> Option<Duration> {
        if self.attempts.is_some_and(|attempts| attempt >= attempts) {
            return None;
        }
        let before = attempt.saturating_sub(1);
        let base = match self.growth {
            Growth::Constant => self.first,
            Growth::Linear => self.first.saturating_mul(before.saturating_add(1)),
            Growth::Exponential => self.first.saturating_mul(2_u32.saturating_pow(before)),
        };
        // A whole delay of no length would never grow, and never let anybody in between.
        let base = base.min(self.longest).max(SHORTEST);
        let off = self.jitter * if draw.is_nan() { 0.0 } else { draw.clamp(0.0, 1.0) };
        Some(base.mul_f64(1.0 - off).max(SHORTEST))
    }
}

/// A quarter of a second, doubled up to a second, up to a half of it taken off by chance.
impl Default for Backoff {
    fn default() -> Self {
        Self::exponential(Duration::from_millis(250), Duration::from_secs(1)).jitter(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_sequence_of_delays() {
        let attempts = [1, 2, 3, 4, 5, 40, u32::MAX];
        for (backoff, expected) in [
            (Backoff::constant(ms(20)), [20; 7]),
            (Backoff::constant(ms(0)), [1; 7]),
            (Backoff::linear(ms(20), ms(70)), [20, 40, 60, 70, 70, 70, 70]),
            (Backoff::exponential(ms(20), ms(150)), [20, 40, 80, 150, 150, 150, 150]),
            (Backoff::exponential(ms(200), ms(150)), [150; 7]),
        ] {
            let delays = attempts.map(|n| backoff.delay(n, 0.9).unwrap().as_millis() as u64);
            assert_eq!(delays, expected, "{backoff:?}");
        }
    }

    #[test]
    fn jitter_takes_off_up_to_its_share() {
        let backoff = Backoff::constant(ms(100)).jitter(0.5);
        let delays = [0.0, 0.5, 1.0, 7.0, f64::NAN].map(|draw| backoff.delay(1, draw).unwrap());
        assert_eq!(delays, [100, 75, 50, 50, 100].map(ms));
        assert_eq!(Backoff::constant(ms(100)).jitter(9.0).delay(1, 1.0), Some(ms(1)));
    }

    #[test]
    fn the_limit_counts_the_first_attempt() {
        let backoff = Backoff::constant(ms(1)).limit(3);
        let delays = [1, 2, 3, 4].map(|n| backoff.delay(n, 0.0).is_some());
        assert_eq!(delays, [true, true, false, false]);
        assert_eq!(Backoff::constant(ms(1)).limit(0).delay(1, 0.0), None);
    }
}
