//! What must hold, whatever happens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use solocron::claim::Fence;
use solocron::clock::ClusterTime;
use solocron::daemon::engine::Start;
use solocron::ledger::{Entry, Query};
use solocron::outcome::{MissedReason, Outcome};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::Store;
use solocron::store::rules::{Record, RecordState};
use solocron::table::JobTable;

use crate::deeds::ask;
use crate::runs::SimRun;
use crate::world::{START, World};

/// When something happens, and when that is for its node.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) now: ClusterTime,
    pub(crate) believed: ClusterTime,
}

/// What was looked at in a history, or in several.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Account {
    /// Slots of which it is known what became of them.
    pub(crate) slots: u64,
    /// Runs that a keeper was asked for.
    pub(crate) runs: u64,
}

impl std::ops::AddAssign for Account {
    fn add_assign(&mut self, other: Self) {
        self.slots += other.slots;
        self.runs += other.runs;
    }
}

/// Watches the runs and the store.
pub(crate) struct Oracle {
    table: Arc<JobTable>,
    runs: u64,
    /// The greatest fence of each slot.
    fences: BTreeMap<Slot, Fence>,
    /// What was settled, and how.
    settled: BTreeMap<Slot, Outcome>,
    triggered: BTreeSet<Slot>,
}

impl Oracle {
    pub(crate) fn new(table: &Arc<JobTable>) -> Self {
        Self {
            table: Arc::clone(table),
            runs: 0,
            fences: BTreeMap::new(),
            settled: BTreeMap::new(),
            triggered: BTreeSet::new(),
        }
    }

    pub(crate) fn count_run(&mut self) -> u64 {
        self.runs += 1;
        self.runs
    }

    pub(crate) fn triggered(&mut self, slot: &Slot) {
        self.triggered.insert(slot.clone());
    }

    /// A run begins: nothing of its slot lives, its slot is this run's and not settled,
    /// and where slots take turns nothing of its job lives.
    pub(crate) fn run_begins<'a>(
        &mut self,
        Moment { now, believed }: Moment,
        run: &SimRun,
        start: &Start,
        record: Option<&Record>,
        alive: impl Iterator<Item = &'a SimRun>,
    ) {
        let slot = &run.slot;
        let alone = start.job.policies.overlap != Overlap::Allow;
        for other in alive {
            assert_ne!(other.slot, *slot, "{now}: two live runs of {slot}");
            assert!(
                !alone || other.slot.job != slot.job,
                "{now}: {} and {slot} overlap",
                other.slot
            );
        }
        let record = record.unwrap_or_else(|| panic!("{now}: {slot} runs without a record"));
        assert_eq!(record.state, RecordState::Running, "{now}: {slot} runs, and is not held");
        assert_eq!(record.token, start.token, "{now}: {slot} runs under another's lease");
        assert!(record.lapses_at > now, "{now}: {slot} runs after its lease");
        let due = start.job.due(slot.at);
        // A run that failed is tried again after its pause, also where the clock was set back
        // over the instant at which the first began.
        let again = self.fences.contains_key(slot);
        assert!(again || believed >= due || slot.trigger.is_some(), "{now}: {slot} runs early");
        let fence = self.fences.entry(slot.clone()).or_insert(start.fence);
        assert!(start.fence >= *fence, "{now}: the fence of {slot} went back");
        *fence = start.fence;
    }

    /// What is settled stays settled.
    pub(crate) fn look_at_records<'a>(
        &mut self,
        now: ClusterTime,
        records: impl Iterator<Item = (&'a Slot, &'a Record)>,
    ) {
        for (slot, record) in records {
            match (record.state, self.settled.get(slot)) {
                (RecordState::Settled(outcome), None) => {
                    self.settled.insert(slot.clone(), outcome);
                }
                (RecordState::Settled(outcome), Some(before)) => {
                    assert_eq!(outcome, *before, "{now}: {slot} was settled twice");
                }
                (_, Some(before)) => panic!("{now}: {slot} was {before}, and is open again"),
                (_, None) => {}
            }
        }
    }
}

impl World {
    /// At the end every slot has one end, and the ledger knows it.
    pub(crate) fn give_account(&mut self) -> Account {
        let store: Arc<dyn Store> = Arc::new(self.store.handle());
        let entries = ask(&store, async |store| {
            store.history(&Query { limit: 1_000_000, ..Query::default() }).await
        });
        let mut missed: BTreeMap<Slot, Vec<MissedReason>> = BTreeMap::new();
        let mut ends: BTreeMap<Slot, Vec<Outcome>> = BTreeMap::new();
        for entry in &entries {
            match entry {
                Entry::Run(run) => ends.entry(run.slot.clone()).or_default().push(run.outcome),
                Entry::Missed(range) => {
                    for at in self.slots_of(&range.job, range.range.from, range.range.to) {
                        // A joined range spans slots that have an end of their own.
                        missed.entry(at).or_default().push(range.range.reason);
                    }
                }
            }
        }
        let table = Arc::clone(&self.oracle.table);
        let mut slots = self.oracle.triggered.len();
        for job in table.iter() {
            let first = SlotTime::from_unix_seconds(START + 2);
            let last =
                SlotTime::from_unix_seconds((self.suffered_until.unix_micros() / 1_000_000) - 10);
            for slot in self.slots_of(&job.name, first, last) {
                slots += 1;
                let settled = self.oracle.settled.get(&slot);
                let runs = ends.get(&slot).map(Vec::as_slice).unwrap_or_default();
                let missed = missed.get(&slot).map(Vec::as_slice).unwrap_or_default();
                let told = format!("{slot}: settled {settled:?}, runs {runs:?}, missed {missed:?}");
                match settled {
                    None => {
                        assert!(runs.is_empty(), "it ran and was not settled: {told}");
                        assert!(!missed.is_empty(), "nobody knows of it: {told}");
                    }
                    Some(Outcome::Missed) => {
                        assert!(!missed.is_empty(), "it is not in the ledger: {told}");
                    }
                    Some(outcome) => {
                        let last = runs.iter().filter(|end| *end == outcome).count();
                        assert!(last >= 1, "its end is not in the ledger: {told}");
                    }
                }
            }
        }
        self.count_missed(&entries, &missed);
        for slot in &self.oracle.triggered {
            assert!(self.oracle.settled.contains_key(slot), "{slot} was triggered and has no end");
        }
        let open = self.open_slots();
        assert!(open.is_empty(), "slots are still open: {open:#?}");
        Account { slots: slots as u64, runs: self.oracle.runs }
    }

    /// The slots from before the peace that have no end yet.
    pub(crate) fn open_slots(&self) -> Vec<String> {
        let old = self.suffered_until;
        self.store.look(|step| {
            let open = step.records().filter(|(_, record)| record.is_open());
            let open = open.filter(|(slot, _)| slot.at.cluster_time() < old);
            open.map(|(slot, record)| format!("{slot}: {record:?}")).collect()
        })
    }

    /// Each slot that was missed counts once, whatever ranges it is joined to.
    fn count_missed(&self, entries: &[Entry], covered: &BTreeMap<Slot, Vec<MissedReason>>) {
        for job in self.oracle.table.iter() {
            let count = |entry: &Entry| match entry {
                Entry::Missed(missed) if missed.job == job.name => missed.range.count,
                _ => 0,
            };
            let counted: u64 = entries.iter().map(count).sum();
            // A joined range spans slots between that have an end of their own.
            let missed = covered.keys().filter(|slot| {
                let end = self.oracle.settled.get(slot);
                slot.job == job.name && end.is_none_or(|end| *end == Outcome::Missed)
            });
            assert_eq!(counted, missed.count() as u64, "slots of {} missed", job.name);
        }
    }

    fn slots_of(&self, job: &solocron::name::JobName, from: SlotTime, to: SlotTime) -> Vec<Slot> {
        let Some(job) = self.oracle.table.get(job) else { return Vec::new() };
        let mut slots = Vec::new();
        let mut at = SlotTime::from_unix_seconds(from.unix_seconds() - 1);
        while let Some(next) = job.schedule.next_after(at).filter(|next| *next <= to) {
            slots.push(Slot::scheduled(job.name.clone(), next));
            at = next;
        }
        slots
    }
}
