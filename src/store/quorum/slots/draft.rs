//! A step before it is accepted: what it reads, and what it would write.
//!
//! A step is a function, and may be tried several times. Where it reads a cell that is not
//! known yet, it is told that nothing stands there, the cell is noted, and what comes of it
//! is thrown away: the next try knows that cell.

use std::collections::HashMap;
use std::time::Duration;

use super::cells::{Cell, Content, KeptCursor, LastEntry, Write};
use crate::claim::Fence;
use crate::clock::ClusterTime;
use crate::control::{MATTERS_FOR, Pauses};
use crate::ledger::{Entry, MissedEntry, MissedRange, Retention};
use crate::name::{JobName, NodeName};
use crate::slot::{Slot, SlotTime};
use crate::store::CursorKey;
use crate::store::ground::Ground;
use crate::store::rules::{LedgerWrite, Record, Turn};

/// What stands in the cells that were read, at one position of the journal.
pub(super) type Known = HashMap<Cell, Content>;

/// Why a step cannot be made: something stands in the way that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unreadable(pub(super) String);

type Read<T> = Result<T, Unreadable>;

/// See the module's head.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    now: ClusterTime,
    known: &'a Known,
    /// What stands in the cells that were written.
    written: Known,
    writes: Vec<Write>,
    last_fence: Fence,
    missing: Vec<Cell>,
    /// What to put back should the part fail that is being made.
    undo: Vec<Undo>,
}

/// What a part of a step has changed.
#[derive(Debug)]
enum Undo {
    /// What stood in a cell that was written before, or that it was not.
    Cell(Cell, Option<Content>),
    /// What a write was before.
    Write(usize, Write),
}

impl<'a> Draft<'a> {
    /// One made at `now`.
    pub(super) fn new(now: ClusterTime, known: &'a Known) -> Self {
        let last_fence = fence_in(known);
        let (written, writes) = (Known::new(), Vec::new());
        Self { now, known, written, writes, last_fence, missing: Vec::new(), undo: Vec::new() }
    }

    /// The cells that were read and are not known.
    pub(super) fn missing(&self) -> &[Cell] {
        &self.missing
    }

    /// What it would write.
    pub(super) fn into_writes(mut self) -> Vec<Write> {
        if self.last_fence > fence_in(self.known) {
            self.writes.push(Write::Fence(self.last_fence));
        }
        self.writes
    }

    /// Makes `part` of the step; undone where it fails.
    pub(super) fn attempt<T>(&mut self, part: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let (writes, last_fence) = (self.writes.len(), self.last_fence);
        self.undo.clear();
        part(self).inspect_err(|_| {
            self.last_fence = last_fence;
            self.writes.truncate(writes);
            while let Some(undo) = self.undo.pop() {
                match undo {
                    Undo::Cell(cell, Some(before)) => drop(self.written.insert(cell, before)),
                    Undo::Cell(cell, None) => drop(self.written.remove(&cell)),
                    Undo::Write(place, before) => self.writes[place] = before,
                }
            }
        })
    }

    fn content(&mut self, cell: Cell) -> Content {
        match self.written.get(&cell).or_else(|| self.known.get(&cell)) {
            Some(content) => content.clone(),
            None => {
                let none = Content::none_in(&cell);
                if !self.missing.contains(&cell) {
                    self.missing.push(cell);
                }
                none
            }
        }
    }

    fn write(&mut self, cell: Cell, content: Content, write: Write) {
        let before = self.written.insert(cell.clone(), content);
        self.undo.push(Undo::Cell(cell, before));
        self.writes.push(write);
    }

    fn kept_record(&mut self, slot: &Slot) -> Read<Option<(Record, Duration)>> {
        match self.content(Cell::Record(slot.clone())) {
            Content::Record(kept) => Ok(kept),
            other => Err(unreadable(other)),
        }
    }

    /// The cursor and how long it is kept, if it exists.
    pub(super) fn kept_cursor(&mut self, key: &CursorKey) -> Read<Option<KeptCursor>> {
        match self.content(Cell::Cursor(key.clone())) {
            Content::Cursor(kept) => Ok(kept.filter(|kept| kept.until > self.now)),
            other => Err(unreadable(other)),
        }
    }

    /// Writes a cursor, kept for `keep` from now.
    pub(super) fn keep_cursor(&mut self, key: &CursorKey, at: SlotTime, keep: Duration) {
        let kept = KeptCursor { at, keep, until: self.now + keep };
        let write = Write::Cursor { key: key.clone(), kept };
        self.write(Cell::Cursor(key.clone()), Content::Cursor(Some(kept)), write);
    }

    /// Begins an epoch.
    pub(super) fn begin_epoch(&mut self) {
        self.writes.push(Write::Epoch);
    }

    /// Asks `node`, or all, to load their tables anew.
    pub(super) fn request_reload(&mut self, node: Option<&NodeName>) -> Read<()> {
        let version = self.raise_version()?;
        let until = self.now + MATTERS_FOR;
        self.writes.push(Write::Reload { node: node.cloned(), version, until });
        Ok(())
    }

    /// The last entry of the job's ledger, if it is of slots missed.
    fn last_missed(&mut self, job: &JobName) -> Read<Option<LastEntry>> {
        match self.content(Cell::LastEntry(job.clone())) {
            Content::LastEntry(last) => Ok(last),
            other => Err(unreadable(other)),
        }
    }

    /// Joins `missed` to the range that this step has written of the job, if one is its last
    /// entry so far; none where the step has written nothing of it, else whether it did.
    fn join_own(&mut self, missed: &MissedEntry, since: SlotTime) -> Option<bool> {
        let of_job = |write: &Write| match write {
            Write::Entry { entry, .. } => *entry.job() == missed.job,
            _ => false,
        };
        let place = self.writes.iter().rposition(of_job)?;
        let before = self.writes[place].clone();
        let Write::Entry { entry: Entry::Missed(last), .. } = &mut self.writes[place] else {
            return Some(false);
        };
        let joins = is_joined(&last.range, &missed.range, since);
        if joins {
            *last = MissedEntry { range: join(&last.range, &missed.range), ..missed.clone() };
            self.undo.push(Undo::Write(place, before));
        }
        Some(joins)
    }
}

/// Whether `new` is joined to `last`: a range missed before it for the same reason, not older
/// than `since`.
fn is_joined(last: &MissedRange, new: &MissedRange, since: SlotTime) -> bool {
    last.reason == new.reason && last.from >= since && last.to < new.from
}

fn join(last: &MissedRange, new: &MissedRange) -> MissedRange {
    MissedRange { from: last.from, count: last.count + new.count, ..*new }
}

fn fence_in(known: &Known) -> Fence {
    match known.get(&Cell::Fence) {
        Some(&Content::Fence(fence)) => fence,
        _ => Fence::new(0),
    }
}

fn unreadable(content: Content) -> Unreadable {
    match content {
        Content::Unreadable(why) => Unreadable(why),
        other => Unreadable(format!("a cell holds what does not belong there: {other:?}")),
    }
}

impl Ground for Draft<'_> {
    type Fault = Unreadable;

    fn now(&self) -> ClusterTime {
        self.now
    }

    fn last_fence(&self) -> Fence {
        self.last_fence
    }

    fn give_out(&mut self, fence: Fence) {
        self.last_fence = self.last_fence.max(fence);
    }

    fn record(&mut self, slot: &Slot) -> Read<Option<Record>> {
        Ok(self.kept_record(slot)?.map(|(record, _)| record))
    }

    fn put_record(&mut self, slot: &Slot, record: &Record, keep: Option<Duration>) -> Read<()> {
        let keep = match keep {
            Some(keep) => keep.max(record.lapses_at.since(self.now)),
            None => self.kept_record(slot)?.map_or(Duration::ZERO, |(_, rest)| rest),
        };
        let (slot, record) = (slot.clone(), record.clone());
        let content = Content::Record(Some((record.clone(), keep)));
        self.write(Cell::Record(slot.clone()), content, Write::Record { slot, record, keep });
        Ok(())
    }

    fn cursor(&mut self, key: &CursorKey) -> Read<Option<SlotTime>> {
        Ok(self.kept_cursor(key)?.map(|kept| kept.at))
    }

    fn put_cursor(&mut self, key: &CursorKey, at: SlotTime) -> Read<()> {
        if let Some(kept) = self.kept_cursor(key)? {
            self.keep_cursor(key, at, kept.keep);
        }
        Ok(())
    }

    fn turn(&mut self, job: &JobName) -> Read<Turn> {
        match self.content(Cell::Turn(job.clone())) {
            Content::Turn(turn) => Ok(turn),
            other => Err(unreadable(other)),
        }
    }

    fn put_turn(&mut self, job: &JobName, turn: &Turn) -> Read<()> {
        let write = Write::Turn { job: job.clone(), turn: turn.clone() };
        self.write(Cell::Turn(job.clone()), Content::Turn(turn.clone()), write);
        Ok(())
    }

    fn pauses(&mut self, job: &JobName) -> Read<Pauses> {
        match self.content(Cell::Pauses(job.clone())) {
            Content::Pauses(pauses) => Ok(pauses.remembered(self.now)),
            other => Err(unreadable(other)),
        }
    }

    fn put_pauses(&mut self, job: &JobName, pauses: &Pauses) -> Read<()> {
        let write = Write::Pauses { job: job.clone(), pauses: pauses.clone() };
        self.write(Cell::Pauses(job.clone()), Content::Pauses(pauses.clone()), write);
        Ok(())
    }

    fn raise_version(&mut self) -> Read<u64> {
        let version = match self.content(Cell::Version) {
            Content::Version(version) => version.saturating_add(1),
            other => return Err(unreadable(other)),
        };
        self.write(Cell::Version, Content::Version(version), Write::Version(version));
        Ok(version)
    }

    fn append(
        &mut self,
        write: &LedgerWrite,
        tail: Option<&str>,
        retention: Retention,
    ) -> Read<()> {
        let mut entry = write.entry.clone();
        let mut joined = None;
        if let (Entry::Missed(missed), Some(since)) = (&mut entry, write.joins) {
            match self.join_own(missed, since) {
                Some(true) => return Ok(()),
                Some(false) => {}
                None => {
                    let last = self.last_missed(&missed.job)?;
                    let fits =
                        |last: &LastEntry| is_joined(&last.missed.range, &missed.range, since);
                    if let Some(last) = last.filter(fits) {
                        missed.range = join(&last.missed.range, &missed.range);
                        joined = Some(last.id);
                    }
                }
            }
        }
        let tail = tail.map(str::to_owned);
        self.writes.push(Write::Entry { entry, joined, tail, retention });
        Ok(())
    }
}
