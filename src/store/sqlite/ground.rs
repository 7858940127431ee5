//! A transaction as the [`Ground`] of the store's steps, and batches of those.

use std::time::Duration;

use super::fault::Fault;
use super::thread::Step;
use super::{control, cursors, ledger, records, turns};
use crate::claim::{Claim, Claimant, Claimed, Fence, Verdict};
use crate::clock::ClusterTime;
use crate::control::Pauses;
use crate::ledger::Retention;
use crate::name::JobName;
use crate::slot::{Slot, SlotTime};
use crate::store::CursorKey;
use crate::store::ground::{self, Ground};
use crate::store::rules::{LedgerWrite, Record, Turn};

/// So many expired records are removed with every batch, beside two for each claim.
const SWEPT: usize = 16;

pub(super) fn claim(
    step: &mut Step<'_>,
    claimant: &Claimant,
    claims: &[Claim],
) -> Result<Vec<Claimed>, Fault> {
    let claimed = each(claims, |claim| match ground::claim(step, claimant, claim) {
        // One row that cannot be read fails no other claim.
        Err(Fault::Unreadable(why)) => Ok(Verdict::Unknown(why).into()),
        claimed => claimed,
    })?;
    records::expire(step, 2 * claims.len() + SWEPT)?;
    Ok(claimed)
}

/// The answers to a batch, in order.
pub(super) fn each<T, A>(
    batch: &[T],
    answer: impl FnMut(&T) -> Result<A, Fault>,
) -> Result<Vec<A>, Fault> {
    batch.iter().map(answer).collect()
}

impl Ground for Step<'_> {
    type Fault = Fault;

    fn now(&self) -> ClusterTime {
        self.now
    }

    fn last_fence(&self) -> Fence {
        self.last_fence
    }

    fn give_out(&mut self, fence: Fence) {
        self.last_fence = self.last_fence.max(fence);
    }

    fn record(&mut self, slot: &Slot) -> Result<Option<Record>, Fault> {
        records::find(self, slot)
    }

    fn put_record(
        &mut self,
        slot: &Slot,
        record: &Record,
        keep: Option<Duration>,
    ) -> Result<(), Fault> {
        records::put(self, slot, record, keep)
    }

    fn cursor(&mut self, key: &CursorKey) -> Result<Option<SlotTime>, Fault> {
        cursors::find(self, key)
    }

    fn put_cursor(&mut self, key: &CursorKey, at: SlotTime) -> Result<(), Fault> {
        cursors::put(self, key, at)
    }

    fn turn(&mut self, job: &JobName) -> Result<Turn, Fault> {
        turns::find(self, job)
    }

    fn put_turn(&mut self, job: &JobName, turn: &Turn) -> Result<(), Fault> {
        turns::put(self, job, turn)
    }

    fn pauses(&mut self, job: &JobName) -> Result<Pauses, Fault> {
        control::pauses(self, job)
    }

    fn put_pauses(&mut self, job: &JobName, pauses: &Pauses) -> Result<(), Fault> {
        control::put_pauses(self, job, pauses)
    }

    fn raise_version(&mut self) -> Result<u64, Fault> {
        control::raise(self)
    }

    fn append(
        &mut self,
        write: &LedgerWrite,
        tail: Option<&str>,
        retention: Retention,
    ) -> Result<(), Fault> {
        ledger::append(self, write, tail, retention)
    }
}
