//! What the store in memory holds, and one step on it.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::time::Duration;

use solocron::claim::{Fence, RunId};
use solocron::clock::ClusterTime;
use solocron::control::{Control, Pauses};
use solocron::ledger::{Entry, MissedRange, Query, Retention, TAILS_KEPT};
use solocron::name::{JobName, NodeName};
use solocron::node::{Heartbeat, HeartbeatReply};
use solocron::outcome::Outcome;
use solocron::slot::{Slot, SlotTime};
use solocron::store::ground::Ground;
use solocron::store::rules::{LedgerWrite, Record, RecordState, Turn};
use solocron::store::{Cancel, CursorKey, Open, OpenState, SlotStory, Sweep};

/// Something that is forgotten at its time.
#[derive(Debug, Clone)]
struct Kept<T> {
    what: T,
    until: ClusterTime,
}

/// An entry of the ledger, with the end of the run's output as long as that is kept.
#[derive(Debug, Clone)]
struct Told {
    number: u64,
    entry: Entry,
    tail: Option<String>,
}

/// Everything that the store holds.
#[derive(Debug, Default)]
pub(crate) struct Holdings {
    records: BTreeMap<Slot, Kept<Record>>,
    cursors: BTreeMap<(JobName, u64), (Kept<SlotTime>, Duration)>,
    turns: BTreeMap<JobName, Turn>,
    control: Control,
    ledger: BTreeMap<JobName, Vec<Told>>,
    nodes: BTreeMap<NodeName, Kept<Heartbeat>>,
    tables: BTreeMap<String, Kept<Vec<(JobName, u64)>>>,
    watched: HashMap<RunId, Kept<()>>,
    outputs: HashMap<RunId, Kept<String>>,
    last_fence: u64,
    entries: u64,
}

/// One step: all of it happens at `now`, and nothing comes between.
pub(crate) struct Step<'a> {
    pub(crate) held: &'a mut Holdings,
    pub(crate) now: ClusterTime,
}

type Done<T> = Result<T, Infallible>;

impl Ground for Step<'_> {
    type Fault = Infallible;

    fn now(&self) -> ClusterTime {
        self.now
    }

    fn last_fence(&self) -> Fence {
        Fence::new(self.held.last_fence)
    }

    fn give_out(&mut self, fence: Fence) {
        self.held.last_fence = self.held.last_fence.max(fence.get());
    }

    fn record(&mut self, slot: &Slot) -> Done<Option<Record>> {
        let kept = self.held.records.get(slot).filter(|kept| kept.until > self.now);
        Ok(kept.map(|kept| kept.what.clone()))
    }

    fn put_record(&mut self, slot: &Slot, record: &Record, keep: Option<Duration>) -> Done<()> {
        let before = self.held.records.get(slot).map(|kept| kept.until);
        let until = match keep {
            Some(keep) => (self.now + keep).max(record.lapses_at),
            None => before.unwrap_or(self.now),
        };
        self.held.records.insert(slot.clone(), Kept { what: record.clone(), until });
        Ok(())
    }

    fn cursor(&mut self, key: &CursorKey) -> Done<Option<SlotTime>> {
        let cursor = self.held.cursors.get(&(key.job.clone(), key.digest.value()));
        Ok(cursor.filter(|(kept, _)| kept.until > self.now).map(|(kept, _)| kept.what))
    }

    fn put_cursor(&mut self, key: &CursorKey, at: SlotTime) -> Done<()> {
        if let Some((kept, keep)) =
            self.held.cursors.get_mut(&(key.job.clone(), key.digest.value()))
        {
            *kept = Kept { what: at, until: self.now + *keep };
        }
        Ok(())
    }

    fn turn(&mut self, job: &JobName) -> Done<Turn> {
        Ok(self.held.turns.get(job).cloned().unwrap_or_default())
    }

    fn put_turn(&mut self, job: &JobName, turn: &Turn) -> Done<()> {
        if turn.is_idle() {
            self.held.turns.remove(job);
        } else {
            self.held.turns.insert(job.clone(), turn.clone());
        }
        Ok(())
    }

    fn pauses(&mut self, job: &JobName) -> Done<Pauses> {
        Ok(self.held.control.pauses.get(job).cloned().unwrap_or_default())
    }

    fn put_pauses(&mut self, job: &JobName, pauses: &Pauses) -> Done<()> {
        self.held.control.pauses.insert(job.clone(), pauses.clone());
        Ok(())
    }

    fn raise_version(&mut self) -> Done<u64> {
        self.held.control.version += 1;
        Ok(self.held.control.version)
    }

    fn append(
        &mut self,
        write: &LedgerWrite,
        tail: Option<&str>,
        retention: Retention,
    ) -> Done<()> {
        let told = self.held.ledger.entry(write.entry.job().clone()).or_default();
        if let (Some(joins), Some(last)) = (write.joins, told.last_mut())
            && join(&mut last.entry, &write.entry, joins)
        {
            return Ok(());
        }
        self.held.entries += 1;
        let (number, tail) = (self.held.entries, tail.map(str::to_owned));
        told.push(Told { number, entry: write.entry.clone(), tail });
        trim(told, retention, self.now);
        Ok(())
    }
}

/// Joins `entry` to the last one; whether it belongs there.
fn join(last: &mut Entry, entry: &Entry, joins: SlotTime) -> bool {
    let (Entry::Missed(last), Entry::Missed(missed)) = (last, entry) else { return false };
    let (before, after) = (last.range, missed.range);
    let follows = before.reason == after.reason && before.from >= joins && before.to < after.from;
    if follows {
        last.range = MissedRange { to: after.to, count: before.count + after.count, ..before };
        last.node.clone_from(&missed.node);
        last.recorded_at = missed.recorded_at;
    }
    follows
}

/// Removes what a job has too much of.
fn trim(told: &mut Vec<Told>, retention: Retention, now: ClusterTime) {
    let surplus = told.len().saturating_sub(retention.per_job as usize);
    told.drain(..surplus);
    told.retain(|told| told.entry.recorded_at() + retention.keep >= now);
    for succeeded in [true, false] {
        let tails = told.iter_mut().rev().filter(|told| match &told.entry {
            Entry::Run(run) => (run.outcome == Outcome::Succeeded) == succeeded,
            Entry::Missed(_) => false,
        });
        let tails = tails.filter(|told| told.tail.is_some());
        tails.skip(TAILS_KEPT).for_each(|told| told.tail = None);
    }
}

impl Step<'_> {
    pub(crate) fn open_cursor(
        &mut self,
        key: &CursorKey,
        start: SlotTime,
        keep: Duration,
    ) -> SlotTime {
        let Ok(found) = self.cursor(key);
        let what = found.unwrap_or(start);
        let kept = Kept { what, until: self.now + keep };
        self.held.cursors.insert((key.job.clone(), key.digest.value()), (kept, keep));
        what
    }

    /// Every slot with a record, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = (&Slot, &Record)> {
        let live = self.held.records.iter().filter(|(_, kept)| kept.until > self.now);
        live.map(|(slot, kept)| (slot, &kept.what))
    }

    pub(crate) fn sweep(&self, limit: usize) -> Sweep {
        let open = || self.records().filter(|(_, record)| record.is_open());
        let mut wanting: Vec<_> = open().filter(|(_, r)| r.lapses_at <= self.now).collect();
        wanting.sort_by_key(|(_, record)| record.lapses_at);
        let cancels = open().filter_map(|(slot, record)| {
            let lives = record.is_running() && record.lapses_at > self.now;
            let cause = record.cancel.filter(|_| lives)?;
            Some(Cancel { slot: slot.clone(), token: record.token, cause })
        });
        Sweep {
            open: wanting
                .into_iter()
                .take(limit)
                .map(|(slot, record)| shown(slot, record))
                .collect(),
            next: open().map(|(_, r)| r.lapses_at).filter(|&at| at > self.now).min(),
            cancels: cancels.collect(),
            control: self.held.control.version,
        }
    }

    pub(crate) fn recorded(&self, slot: &Slot) -> bool {
        let is_of = |told: &&Told| matches!(&told.entry, Entry::Run(run) if run.slot == *slot);
        self.records().any(|(with, _)| with == slot)
            || self.held.ledger.get(&slot.job).is_some_and(|told| told.iter().any(|t| is_of(&t)))
    }

    pub(crate) fn request_reload(&mut self, node: Option<&NodeName>) {
        let Ok(version) = self.raise_version();
        match node {
            None => self.held.control.reload = version,
            Some(node) => {
                self.held.control.reload_of.insert(node.clone(), version);
            }
        }
    }

    pub(crate) fn control(&mut self) -> Control {
        let now = self.now;
        self.held.control.pauses.retain(|_, pauses| {
            *pauses = pauses.remembered(now);
            !pauses.is_empty()
        });
        self.held.control.clone()
    }

    pub(crate) fn publish(&mut self, digest: &str, jobs: &[(JobName, u64)], keep: Duration) {
        let mut what = jobs.to_vec();
        what.sort();
        self.held.tables.insert(digest.to_owned(), Kept { what, until: self.now + keep });
    }

    pub(crate) fn table(&self, digest: &str) -> Option<Vec<(JobName, u64)>> {
        let kept = self.held.tables.get(digest).filter(|kept| kept.until > self.now);
        kept.map(|kept| kept.what.clone())
    }

    pub(crate) fn watch_output(&mut self, run: RunId, keep: Duration) -> Option<String> {
        self.held.watched.insert(run, Kept { what: (), until: self.now + keep });
        let shown = self.held.outputs.get(&run).filter(|kept| kept.until > self.now);
        shown.map(|kept| kept.what.clone())
    }

    pub(crate) fn watched_outputs(&self) -> Vec<RunId> {
        let watched = self.held.watched.iter().filter(|(_, kept)| kept.until > self.now);
        watched.map(|(run, _)| *run).collect()
    }

    pub(crate) fn show_output(&mut self, run: RunId, output: &str, keep: Duration) {
        let kept = Kept { what: output.to_owned(), until: self.now + keep };
        self.held.outputs.insert(run, kept);
    }

    pub(crate) fn heartbeat(&mut self, beat: &Heartbeat) -> HeartbeatReply {
        let others = self.nodes().into_iter().filter(|other| other.node != beat.node);
        let differing = others
            .filter(|other| other.table != beat.table)
            .map(|other| (other.node, other.table))
            .collect();
        let what = Heartbeat { heard_at: self.now, ..beat.clone() };
        let kept = Kept { what, until: self.now + beat.keep };
        let before = self.held.nodes.insert(beat.node.clone(), kept);
        let before = before.filter(|kept| kept.until > self.now).map(|kept| kept.what.boot);
        let replaced = before.filter(|&boot| boot != beat.boot);
        HeartbeatReply { now: self.now, replaced, differing }
    }

    pub(crate) fn nodes(&self) -> Vec<Heartbeat> {
        let live = self.held.nodes.values().filter(|kept| kept.until > self.now);
        live.map(|kept| kept.what.clone()).collect()
    }

    pub(crate) fn leave(&mut self, node: &NodeName, boot: solocron::node::BootId) {
        self.held.nodes.retain(|name, kept| name != node || kept.what.boot != boot);
    }

    pub(crate) fn history(&self, query: &Query) -> Vec<Entry> {
        let mut told: Vec<_> = self.held.ledger.values().flatten().collect();
        told.retain(|told| {
            let node = match &told.entry {
                Entry::Run(run) => &run.node,
                Entry::Missed(missed) => &missed.node,
            };
            query.job.as_ref().is_none_or(|job| job == told.entry.job())
                && query.node.as_ref().is_none_or(|wanted| wanted == node)
                && query.since.is_none_or(|since| told.entry.recorded_at() >= since)
        });
        told.sort_by_key(|told| std::cmp::Reverse((told.entry.recorded_at(), told.number)));
        told.into_iter().take(query.limit).map(|told| told.entry.clone()).collect()
    }

    pub(crate) fn tail(&self, job: &JobName, run: RunId) -> Option<String> {
        let is_of = |told: &&Told| matches!(&told.entry, Entry::Run(of) if of.run_id == run);
        self.held.ledger.get(job)?.iter().find(is_of)?.tail.clone()
    }

    pub(crate) fn story(&self, slot: &Slot) -> SlotStory {
        let record = self.records().find(|(with, _)| *with == slot);
        let told = self.held.ledger.get(&slot.job).map(Vec::as_slice).unwrap_or_default();
        let told = told.iter().filter(|told| match &told.entry {
            Entry::Run(run) => run.slot == *slot,
            Entry::Missed(missed) => {
                let MissedRange { from, to, .. } = missed.range;
                slot.trigger.is_none() && from <= slot.at && slot.at <= to
            }
        });
        let told: Vec<_> = told.collect();
        SlotStory {
            record: record.map(|(_, record)| record.shown(self.now)),
            tail: told.iter().rev().find_map(|told| told.tail.clone()),
            entries: told.into_iter().map(|told| told.entry.clone()).collect(),
        }
    }

    /// Removes what has outlived its time.
    pub(crate) fn prune(&mut self, retention: Retention) {
        let now = self.now;
        self.held.records.retain(|_, kept| kept.until > now);
        let records = &self.held.records;
        self.held.turns.retain(|job, _| records.keys().any(|slot| slot.job == *job));
        self.held.cursors.retain(|_, (kept, _)| kept.until > now);
        self.held.nodes.retain(|_, kept| kept.until > now);
        self.held.tables.retain(|_, kept| kept.until > now);
        self.held.ledger.values_mut().for_each(|told| trim(told, retention, now));
        self.control();
    }
}

fn shown(slot: &Slot, record: &Record) -> Open {
    Open {
        slot: slot.clone(),
        token: record.token,
        node: record.node.clone(),
        attempt: record.attempt,
        takeovers: record.takeovers,
        state: match record.state {
            RecordState::Ready(why) => OpenState::Ready(why),
            RecordState::Running | RecordState::Settled(_) => OpenState::Lost,
        },
    }
}
