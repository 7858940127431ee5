//! The coarse clock, and the rota of what recurs by it.
//!
//! tokio-cron-scheduler goes by the wall clock: stepped back, it falls silent
//! until the old time is reached again. So each duty of the [`Rota`] is due by
//! the boot clock, a beat only makes somebody look, and a clock that was silent
//! for [`SILENCE`] is replaced by a new one.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job, JobScheduler, JobSchedulerError};

use crate::clock::BootInstant;

/// Between two beats. tokio-cron-scheduler looks at its jobs every 500 ms.
pub const BEAT: Duration = Duration::from_secs(1);

/// A coarse clock that says nothing for so long has stopped: three beats and a half.
pub const SILENCE: Duration = Duration::from_millis(3500);

/// The coarse clock: one recurring job of tokio-cron-scheduler that beats.
pub struct CoarseClock {
    scheduler: JobScheduler,
    beats: mpsc::Receiver<()>,
}

impl CoarseClock {
    /// Starts it; the first beat comes after about a second.
    pub async fn start() -> Result<Self, JobSchedulerError> {
        // One place is enough: a beat that finds another waiting adds nothing.
        let (sender, beats) = mpsc::channel(1);
        let scheduler = JobScheduler::new().await?;
        scheduler
            .add(Job::new_repeated(BEAT, move |_, _| {
                let _already_waiting = sender.try_send(());
            })?)
            .await?;
        scheduler.start().await?;
        Ok(Self { scheduler, beats })
    }

    /// The next beat. Comes after [`SILENCE`] at the latest: then a new clock
    /// has taken the place of one that stopped. Cancel-safe.
    pub async fn beat(&mut self) {
        match tokio::time::timeout(SILENCE, self.beats.recv()).await {
            Ok(Some(())) => {}
            Ok(None) | Err(_) => self.replace().await,
        }
    }

    async fn replace(&mut self) {
        tracing::debug!(
            "the coarse clock fell silent (was the wall clock stepped back?); starting a new one"
        );
        match Self::start().await {
            Ok(new) => {
                let mut old = std::mem::replace(self, new);
                if let Err(error) = old.scheduler.shutdown().await {
                    tracing::debug!(%error, "the silent coarse clock did not shut down");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "no new coarse clock; going on without");
                tokio::time::sleep(BEAT).await;
            }
        }
    }

    /// Stops it.
    pub async fn stop(mut self) {
        if let Err(error) = self.scheduler.shutdown().await {
            tracing::debug!(%error, "the coarse clock did not shut down");
        }
    }
}

/// What recurs inside a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Arm the slots of the next seconds.
    Plan,
    /// Settle open slots whose lease has lapsed.
    Sweep,
    /// Say that this node lives, and read the store's clock on the way.
    Heartbeat,
    /// Hold the wall clock against the cluster's.
    CheckClock,
    /// Remove what has outlived its time in the store.
    Prune,
}

/// When each duty is due, by the boot clock.
#[derive(Debug)]
pub struct Rota {
    duties: [(Duty, Duration, Option<BootInstant>); 5],
}

impl Rota {
    /// Every duty is due at once, and then at its own pace.
    pub fn new(heartbeat: Duration) -> Self {
        Self {
            duties: [
                (Duty::Plan, Duration::ZERO, None),
                (Duty::Sweep, Duration::ZERO, None),
                (Duty::Heartbeat, heartbeat, None),
                (Duty::CheckClock, Duration::from_secs(10), None),
                (Duty::Prune, Duration::from_secs(600), None),
            ],
        }
    }

    /// Has `wanted` be due with the next beat.
    pub fn want(&mut self, wanted: Duty) {
        for (duty, _, last) in &mut self.duties {
            if *duty == wanted {
                *last = None;
            }
        }
    }

    /// Takes the duties that are due at `now`. Half a beat early counts as due,
    /// so that a period of whole seconds does not slip by a beat each time.
    pub fn take_due(&mut self, now: BootInstant) -> Vec<Duty> {
        let mut due = Vec::new();
        for (duty, period, last) in &mut self.duties {
            if last.is_none_or(|last| now.since(last) + BEAT / 2 >= *period) {
                *last = Some(now);
                due.push(*duty);
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn every_duty_is_due_at_the_start() {
        assert_eq!(Rota::new(Duration::from_secs(5)).take_due(at(0)).len(), 5);
    }

    #[test]
    fn repeated_beats_repeat_no_heartbeat_and_a_skipped_one_only_delays_it() {
        let mut rota = Rota::new(Duration::from_secs(5));
        rota.take_due(at(0));
        assert_eq!(rota.take_due(at(10)), [Duty::Plan, Duty::Sweep]);
        assert!(!rota.take_due(at(4_000)).contains(&Duty::Heartbeat));
        assert!(rota.take_due(at(4_900)).contains(&Duty::Heartbeat));
        assert!(rota.take_due(at(60_000)).contains(&Duty::Heartbeat));
        assert!(!rota.take_due(at(61_000)).contains(&Duty::Heartbeat));
    }

    #[test]
    fn what_is_wanted_is_due_with_the_next_beat_and_then_at_its_own_pace() {
        let mut rota = Rota::new(Duration::from_secs(5));
        rota.take_due(at(0));
        rota.want(Duty::Heartbeat);
        assert!(rota.take_due(at(1_000)).contains(&Duty::Heartbeat));
        assert!(!rota.take_due(at(5_000)).contains(&Duty::Heartbeat));
        assert!(rota.take_due(at(6_000)).contains(&Duty::Heartbeat));
    }

    #[tokio::test]
    async fn the_coarse_clock_beats() {
        let mut clock = CoarseClock::start().await.unwrap();
        let begun = BootInstant::now();
        clock.beat().await;
        assert!(BootInstant::now().since(begun) < SILENCE);
        clock.stop().await;
    }
}
