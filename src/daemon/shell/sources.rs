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
    let mut told = Health::Starting;
    let mut down = None;
    loop {
        let now = health.borrow_and_update().clone();
        match &now {
            Health::Up if told != Health::Up => {
                events::store_up(&store, down.take().map(|since| BootInstant::now().since(since)));
            }
            Health::Down(why) | Health::Partly(why) if !is_amiss(&told) => {
                down = Some(BootInstant::now());
                events::store_down(&store, why);
            }
            _ => {}
        }
        if sender.send(Event::StoreHealth(now.clone())).is_err() {
            return;
        }
        told = now;
        if health.changed().await.is_err() {
            return;
        }
    }
}

fn is_amiss(health: &Health) -> bool {
    matches!(health, Health::Down(_) | Health::Partly(_))
}

/// Sleeps until the boot clock reads `wake`, or a little less: at most a second.
pub(super) async fn sleep_until(wake: Option<BootInstant>) {
    let wait = wake.map_or(LONGEST_SLEEP, |wake| wake.since(BootInstant::now()));
    tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
}
