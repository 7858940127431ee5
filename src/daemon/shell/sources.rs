//! What the shell listens to: the store's clock and health, the coarse clock, the timer.

use tokio::sync::{mpsc, watch};

use super::LONGEST_SLEEP;
use crate::clock::{BootInstant, Reading};
use crate::daemon::engine::Event;
use crate::log::events;
use crate::store::{Health, Result, Store, StoreError};
use crate::ticker::beat::CoarseClock;

/// Asks for the store's time until it answers.
pub(super) async fn first_reading(store: &dyn Store) -> Result<Reading> {
    let mut health = store.health();
    loop {
        if let Ok(reading) = read_clock(store).await {
            return Ok(reading);
        }
        // Ends when the backend is gone.
        health.changed().await.map_err(|_| StoreError::Unavailable("closed".to_owned()))?;
    }
}

/// Asks for the store's time.
pub(super) async fn read_clock(store: &dyn Store) -> Result<Reading> {
    let sent = BootInstant::now();
    let time = store.time().await?;
    Ok(Reading { sent, received: BootInstant::now(), store: time })
}

/// Hands the beats of the coarse clock to the engine.
pub(super) async fn beat(sender: mpsc::UnboundedSender<Event>) {
    let mut clock = loop {
        match CoarseClock::start().await {
            Ok(clock) => break clock,
            Err(error) => {
                tracing::warn!(%error, "the coarse clock did not start; trying again");
                tokio::time::sleep(LONGEST_SLEEP).await;
            }
        }
        if sender.send(Event::Beat).is_err() {
            return;
        }
    };
    loop {
        clock.beat().await;
        if sender.send(Event::Beat).is_err() {
            return;
        }
    }
}

/// Hands changes of the store's health to the engine, and to the log.
pub(super) async fn watch_health(
    mut health: watch::Receiver<Health>,
    store: String,
    sender: mpsc::UnboundedSender<Event>,
) {
    let mut held = Health::Starting;
    let mut down = None;
    loop {
        let now = health.borrow_and_update().clone();
        if is_well_again(&held, &now) {
            events::store_up(&store, down.take().map(|since| BootInstant::now().since(since)));
        }
        if let Some(why) = turn_for_the_worse(&held, &now) {
            if is_well(&now) {
                events::store_warning(&store, why);
            } else {
                down.get_or_insert_with(BootInstant::now);
                events::store_down(&store, why);
            }
        }
        if sender.send(Event::StoreHealth(now.clone())).is_err() {
            return;
        }
        held = now;
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// Whether every call has its answer.
fn is_well(health: &Health) -> bool {
    matches!(health, Health::Up | Health::Weakened { .. })
}

fn is_well_again(held: &Health, now: &Health) -> bool {
    is_well(now) && (!is_well(held) || (*now == Health::Up && *held != Health::Up))
}

/// Why the store is worse off than it was, if it is.
fn turn_for_the_worse<'a>(held: &Health, now: &'a Health) -> Option<&'a str> {
    let (is_worse, why) = match (held, now) {
        (_, Health::Starting | Health::Up) => return None,
        (Health::Weakened { spare: held, .. }, Health::Weakened { spare, why }) => {
            (spare < held, why)
        }
        (_, Health::Weakened { why, .. }) => (true, why),
        (_, Health::Partly(why)) => (is_well(held) || *held == Health::Starting, why),
        (_, Health::Down(why)) => (!matches!(held, Health::Down(_)), why),
    };
    is_worse.then_some(why)
}

/// Sleeps until the boot clock reads `wake`, or a little less: at most a second.
pub(super) async fn sleep_until(wake: Option<BootInstant>) {
    let wait = wake.map_or(LONGEST_SLEEP, |wake| wake.since(BootInstant::now()));
    tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_turn_for_the_worse_is_told_and_that_it_is_well_again() {
        let weakened = |spare| Health::Weakened { spare, why: "weakened".to_owned() };
        let (partly, down) = (Health::Partly("partly".to_owned()), Health::Down("down".to_owned()));
        for (held, now, well_again, worse) in [
            (Health::Starting, Health::Up, true, None),
            (Health::Up, Health::Up, false, None),
            (Health::Up, weakened(1), false, Some("weakened")),
            (weakened(1), weakened(0), false, Some("weakened")),
            (weakened(0), weakened(1), false, None),
            (weakened(0), down.clone(), false, Some("down")),
            (down.clone(), weakened(0), true, Some("weakened")),
            (weakened(1), Health::Up, true, None),
            (Health::Up, partly.clone(), false, Some("partly")),
            (partly.clone(), down.clone(), false, Some("down")),
            (down.clone(), partly, false, None),
            (down.clone(), down, false, None),
        ] {
            assert_eq!(is_well_again(&held, &now), well_again, "{held:?} to {now:?}");
            assert_eq!(turn_for_the_worse(&held, &now), worse, "{held:?} to {now:?}");
        }
    }
}
