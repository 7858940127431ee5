//! What a claim depends on, and what comes of it.

use super::{Record, Turn};
use crate::claim::{Claim, Claimed, Refusal, Verdict};
use crate::control::Pauses;
use crate::ledger::{Entry, MissedEntry};
use crate::slot::{Slot, SlotTime};

/// What the store holds that a claim depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// The slot's record.
    pub record: Option<Record>,
    /// Where the cursor of the claim's schedule stands.
    pub cursor: Option<SlotTime>,
    /// The job's pauses; read only where there is no record.
    pub pauses: Pauses,
    /// The job's turn; idle where `overlap` is `allow`.
    pub turn: Turn,
    /// The record of the slot [ahead](Self::ahead) of the claim's.
    pub ahead: Option<Record>,
    /// The record of the newest slot that waits, if that is another; read only where
    /// there is no record.
    pub newest: Option<Record>,
}

/// What to answer to a claim, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimStep {
    /// The answer.
    pub verdict: Verdict,
    /// Records that change.
    pub records: Vec<Put>,
    /// Entries for the ledger.
    pub entries: Vec<LedgerWrite>,
    /// Where the cursor stands from now on, where it moves.
    pub cursor: Option<SlotTime>,
    /// The job's turn from now on, where it changes.
    pub turn: Option<Turn>,
}

/// A record to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put {
    /// Of this slot.
    pub slot: Slot,
    /// The record.
    pub record: Record,
    /// How long it is kept.
    pub keep: Kept,
}

/// How long a record is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As one that is not settled: the claim's `keep_record`.
    Open,
    /// As one that is: the claim's `keep_settled`.
    Settled,
}

/// An entry to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerWrite {
    /// The entry.
    pub entry: Entry,
    /// Where the job's last entry is a range missed for the same reason, not older
    /// than this slot time, the entry is joined to it.
    pub joins: Option<SlotTime>,
}

impl View {
    /// The slot before which the one of `claim` may not run, if `turn` is the job's and
    /// `record` the slot's own: whose record to read.
    pub fn ahead<'a>(turn: &'a Turn, claim: &Claim, record: Option<&Record>) -> Option<&'a Slot> {
        let replaced = turn.newest.as_ref().filter(|_| record.is_none());
        turn.ahead_of(&claim.slot, replaced)
    }
}

impl ClaimStep {
    /// The verdict is put in by whoever completes it.
    pub(super) fn undecided() -> Self {
        Self::only(Verdict::Refused(Refusal::Late))
    }

    pub(super) fn only(verdict: Verdict) -> Self {
        Self { verdict, records: Vec::new(), entries: Vec::new(), cursor: None, turn: None }
    }

    pub(super) fn put(&mut self, slot: &Slot, record: Record) {
        let keep = if record.is_open() { Kept::Open } else { Kept::Settled };
        self.records.push(Put { slot: slot.clone(), record, keep });
    }

    pub(super) fn note(&mut self, entry: Entry) {
        self.entries.push(LedgerWrite { entry, joins: None });
    }

    pub(super) fn miss(&mut self, entry: MissedEntry, joins: SlotTime) {
        self.entries.push(LedgerWrite { entry: Entry::Missed(entry), joins: Some(joins) });
    }

    /// What is told of it.
    pub fn claimed(&self) -> Claimed {
        Claimed {
            verdict: self.verdict.clone(),
            entries: self.entries.iter().map(|write| write.entry.clone()).collect(),
        }
    }
}
