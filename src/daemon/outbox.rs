//! The outbox: writes that must reach the store, however long it is away.
//!
//! Invariants: an item stays until its batch was answered; one batch is under
//! way at a time; the wait between tries grows to a second and ends when the
//! store is back. The items are idempotent, so a batch whose answer was lost is
//! sent again as it is.

use std::time::Duration;

use crate::clock::BootInstant;

const FIRST_RETRY: Duration = Duration::from_millis(50);
const LAST_RETRY: Duration = Duration::from_secs(1);

/// After so many failures in a row items go one by one, so that one that the store
/// cannot take is found.
const ALONE_AFTER: u32 = 5;

/// At most so many items go in one batch.
const BATCH: usize = 1_000;

/// See the module's head.
#[derive(Debug)]
pub struct Outbox<T> {
    waiting: Vec<T>,
    in_flight: usize,
    retry: Option<BootInstant>,
    failures: u32,
    /// A part of the batch under way has failed.
    has_failed: bool,
}

impl<T> Default for Outbox<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), in_flight: 0, retry: None, failures: 0, has_failed: false }
    }
}

impl<T> Outbox<T> {
    /// Adds an item.
    pub fn put(&mut self, item: T) {
        self.waiting.push(item);
    }

    /// How many items are not acknowledged yet.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.in_flight
    }

    /// Whether every item is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When the next batch is due; `now` or earlier when it is due already.
    pub fn next_send(&self, now: BootInstant) -> Option<BootInstant> {
        if self.waiting.is_empty() || self.in_flight > 0 {
            return None;
        }
        Some(self.retry.unwrap_or(now))
    }

    /// Takes the batch that is due at `now`, if any.
    pub fn take_due(&mut self, now: BootInstant) -> Vec<T> {
        if self.next_send(now).is_none_or(|due| due > now) {
            return Vec::new();
        }
        let most = if self.failures < ALONE_AFTER { BATCH } else { 1 };
        let batch: Vec<T> = self.waiting.drain(..self.waiting.len().min(most)).collect();
        self.in_flight = batch.len();
        self.has_failed = false;
        batch
    }

    /// So many items of the batch under way were answered; those that were not come
    /// behind them.
    pub fn acknowledged(&mut self, count: usize) {
        self.in_flight = self.in_flight.saturating_sub(count);
        self.retry = None;
        self.failures = 0;
    }

    /// These of it were not; they go again after a while. An item that failed alone goes to
    /// the end: what is wrong with it must not hold up the others.
    pub fn unanswered(&mut self, mut batch: Vec<T>, now: BootInstant) {
        self.in_flight = self.in_flight.saturating_sub(batch.len());
        if batch.len() == 1 {
            self.waiting.append(&mut batch);
        }
        self.waiting.splice(0..0, batch);
        // Several parts that fail together are one failure.
        if std::mem::replace(&mut self.has_failed, true) {
            return;
        }
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(8)).min(LAST_RETRY);
        self.failures += 1;
        self.retry = Some(now + wait);
    }

    /// The store can be reached again: what waits is due now.
    pub fn store_is_back(&mut self) {
        self.retry = None;
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos(millis * 1_000_000)
    }

    #[test]
    fn an_item_stays_until_it_is_acknowledged_and_keeps_its_place() {
        let mut outbox = Outbox::default();
        outbox.put(1);
        outbox.put(2);
        let batch = outbox.take_due(at(0));
        outbox.put(3);
        assert!(outbox.take_due(at(0)).is_empty(), "one batch at a time");
        outbox.unanswered(batch, at(0));
        assert!(outbox.take_due(at(49)).is_empty());
        assert_eq!(outbox.take_due(at(50)), [1, 2, 3]);
        outbox.acknowledged(3);
        assert!(outbox.is_empty());
        assert_eq!(outbox.next_send(at(60)), None);
    }

    #[test]
    fn one_item_that_always_fails_does_not_hold_up_the_others() {
        let mut outbox = Outbox::default();
        for item in 1..=3 {
            outbox.put(item);
        }
        let mut written = Vec::new();
        for round in 0..20 {
            let now = at(round * 10_000);
            let batch = outbox.take_due(now);
            if batch.contains(&2) {
                outbox.unanswered(batch, now);
            } else {
                outbox.acknowledged(batch.len());
                written.extend(batch);
            }
        }
        written.sort_unstable();
        assert_eq!(written, [1, 3]);
        assert_eq!(outbox.len(), 1);
    }

    #[test]
    fn of_a_batch_in_parts_those_go_again_that_had_no_answer() {
        let mut outbox = Outbox::default();
        (1..=6).for_each(|item| outbox.put(item));
        for round in 0..10 {
            let now = at(round * 10_000);
            assert_eq!(outbox.take_due(now).len(), if round == 0 { 6 } else { 4 });
            if round == 0 {
                outbox.acknowledged(2);
            }
            outbox.unanswered(vec![3, 4], now);
            assert_eq!(outbox.next_send(now), None, "one batch at a time, with all its parts");
            outbox.unanswered(vec![5, 6], now);
            assert_eq!(outbox.len(), 4);
            if round == 3 {
                break;
            }
        }
        // Four failures so far, whatever the number of the parts.
        assert_eq!(outbox.next_send(at(0)), Some(at(30_400)));
    }

    #[test]
    fn the_wait_grows_to_a_second_and_ends_when_the_store_is_back() {
        let mut outbox = Outbox::default();
        outbox.put(1);
        for _ in 0..40 {
            let batch = outbox.take_due(at(1_000_000));
            outbox.unanswered(batch, at(999_000));
        }
        outbox.take_due(at(1_000_000));
        outbox.unanswered(vec![1], at(1_000_000));
        assert_eq!(outbox.next_send(at(0)), Some(at(1_001_000)));
        outbox.store_is_back();
        assert_eq!(outbox.take_due(at(1_000_000)), [1]);
    }
}
