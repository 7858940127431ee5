//! What holds in a history at any time.

use std::collections::HashSet;

use solocron::ledger::Entry;
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::store::ground::Ground;
use solocron::store::rules::{Record, RecordState};

use super::World;
use crate::contract::*;

impl World {
    /// What holds at any time.
    pub(super) fn check(&mut self, before: &[Option<Record>]) {
        let records = self.records();
        for (was, is) in before.iter().zip(&records) {
            let (Some(was), Some(is)) = (was, is) else {
                assert!(was.is_none(), "no record goes");
                continue;
            };
            assert!(is.fence >= was.fence && is.attempt >= was.attempt);
            assert!(is.takeovers >= was.takeovers && is.failures >= was.failures);
            if !was.is_open() {
                assert_eq!(was, is, "a settled record never changes");
            }
        }
        let live: Vec<_> = self.trusted.iter().filter(|(_, until)| **until > self.now).collect();
        let slots: HashSet<_> = live.iter().map(|((slot, _), _)| slot).collect();
        assert_eq!(slots.len(), live.len(), "a slot has one owner: {live:?}");
        if self.overlap == Overlap::Allow {
            return;
        }
        assert!(live.len() <= 1, "two slots run: {live:?}");
        let held = records.iter().flatten().filter(|record| record.is_running()).count();
        assert!(held <= 1, "two slots have the turn: {records:?}");
        self.check_turn();
        self.check_ends(&records);
    }

    fn check_turn(&mut self) {
        let turn = self.step(|step| step.turn(&job("tick")));
        let waiting: HashSet<_> = turn.queue.iter().collect();
        assert_eq!(waiting.len(), turn.queue.len(), "each waits once: {turn:?}");
        assert!(turn.newest.as_ref().is_none_or(|newest| waiting.contains(newest)), "{turn:?}");
        for slot in &turn.queue {
            let record = self.step(|step| step.record(slot)).expect("it waits");
            assert!(matches!(record.state, RecordState::Ready(_)), "{slot}: {record:?}");
        }
        match (&turn.of, turn.queue.first()) {
            (Some(of), _) => {
                let record = self.step(|step| step.record(of)).expect("it has the turn");
                assert!(record.is_open(), "{of}: {record:?}");
            }
            (None, Some(first)) => {
                let record = self.step(|step| step.record(first)).expect("it waits");
                assert!(record.lapses_at <= self.now, "{first} sleeps: {record:?}");
            }
            (None, None) => {}
        }
    }

    /// Each slot that is settled has one end in the ledger, and no other has one.
    fn check_ends(&mut self, records: &[Option<Record>]) {
        let settled = |record: &Record| match record.state {
            RecordState::Settled(outcome) => Some(outcome),
            RecordState::Running | RecordState::Ready(_) => None,
        };
        let ends: Vec<_> = records.iter().flatten().filter_map(settled).collect();
        let missed = ends.iter().filter(|&&end| end == Outcome::Missed).count() as u64;
        let ledger = self.ledger();
        let ranges = ledger.iter().filter_map(|entry| match entry {
            Entry::Missed(missed) => Some(missed.range.count),
            Entry::Run(_) => None,
        });
        assert_eq!(ranges.sum::<u64>(), missed, "each is told once: {ledger:?}");
        for end in [Outcome::Abandoned, Outcome::Succeeded] {
            let told = ledger.iter().filter(|e| matches!(e, Entry::Run(run) if run.outcome == end));
            assert_eq!(told.count(), ends.iter().filter(|&&of| of == end).count(), "{end}");
        }
    }
}
