//! How long to leave the servers to others, by how far away they are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::BootInstant;

/// No pause is longer.
const LONGEST: Duration = Duration::from_millis(64);
/// Nobody is given more time for his proposal.
const MOST_PATIENCE: Duration = Duration::from_millis(250);

/// The time that a round of questions takes, of late.
#[derive(Debug)]
pub(super) struct Pace {
    /// In microseconds; zero while none is known.
    round: AtomicU64,
    clock: fn() -> BootInstant,
}

impl Pace {
    /// One that measures by `clock`.
    pub(super) fn by(clock: fn() -> BootInstant) -> Self {
        Self { round: AtomicU64::new(0), clock }
    }

    /// The instant now.
    pub(super) fn now(&self) -> BootInstant {
        (self.clock)()
    }

    /// A round took so long.
    pub(super) fn took(&self, round: Duration) {
        let micros = u64::try_from(round.as_micros()).unwrap_or(u64::MAX);
        let held = self.round.load(Ordering::Relaxed);
        let next = if held == 0 { micros } else { (held / 8 * 7).saturating_add(micros / 8) };
        self.round.store(next, Ordering::Relaxed);
    }

    fn round(&self) -> Duration {
        Duration::from_micros(self.round.load(Ordering::Relaxed)).max(Duration::from_millis(1))
    }

    /// For how long a proposal of another is left alone after it was promised: its second
    /// round and the word that it was chosen are to arrive.
    pub(super) fn patience(&self) -> Duration {
        (self.round() * 4 + Duration::from_millis(4)).min(MOST_PATIENCE)
    }

    /// Lets others go first, for a time that chance gives, longer with every `attempt`.
    pub(super) async fn pause(&self, attempt: u32) {
        let most = (self.round() * (1 << attempt.min(6))).min(LONGEST.max(self.round()));
        let least = self.round() / 2;
        tokio::time::sleep(least + most.mul_f64(fastrand::f64())).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_grows_with_the_distance_and_has_an_end() {
        let pace = Pace::by(BootInstant::now);
        assert_eq!(pace.patience(), Duration::from_millis(8));
        pace.took(Duration::from_millis(30));
        assert_eq!(pace.patience(), Duration::from_millis(124));
        pace.took(Duration::from_secs(1000));
        assert_eq!(pace.patience(), MOST_PATIENCE);
    }
}
