//! The steps of a store that can read and write what it holds as one: each reads what
//! a rule depends on, asks it, and writes what it says.
//!
//! A backend that is a [`Ground`] within its transactions has every step from here.
//! (Redis makes the same steps in Lua.)
//!
//! Invariants:
//!
//! - A step reads no more than its rule looks at.
//! - Whoever settles a slot gives up its turn in the same step, and wakes the slot whose
//!   turn comes by that.

use std::time::Duration;

use super::rules::{self, Kept, LedgerWrite, Record, RecordState, Turn, View};
use super::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, MissedReport, Ownership, Renewal,
};
use crate::claim::{Claim, Claimant, Claimed, Fence, RunId};
use crate::clock::ClusterTime;
use crate::control::Pauses;
use crate::ledger::{Entry, Retention};
use crate::name::{JobName, NodeName};
use crate::policy::Overlap;
use crate::slot::{Slot, SlotTime};

/// What a store holds, within one transaction at one instant.
pub trait Ground {
    /// Why something cannot be read or written; the transaction is undone then.
    type Fault;

    /// The instant.
    fn now(&self) -> ClusterTime;

    /// The last fence given out.
    fn last_fence(&self) -> Fence;

    /// Remembers that `fence` was given out.
    fn give_out(&mut self, fence: Fence);

    /// The slot's record, if there is one whose time has not run out.
    fn record(&mut self, slot: &Slot) -> Result<Option<Record>, Self::Fault>;

    /// Writes the slot's record and keeps it for `keep` from now, at least as long as
    /// its lease; as long as it was kept before where that is none.
    fn put_record(
        &mut self,
        slot: &Slot,
        record: &Record,
        keep: Option<Duration>,
    ) -> Result<(), Self::Fault>;

    /// Where the cursor stands, if it exists.
    fn cursor(&mut self, key: &CursorKey) -> Result<Option<SlotTime>, Self::Fault>;

    /// Moves a cursor that exists.
    fn put_cursor(&mut self, key: &CursorKey, at: SlotTime) -> Result<(), Self::Fault>;

    /// The job's turn; an idle one where nothing is remembered.
    fn turn(&mut self, job: &JobName) -> Result<Turn, Self::Fault>;

    /// Remembers the job's turn; nothing if it is idle.
    fn put_turn(&mut self, job: &JobName, turn: &Turn) -> Result<(), Self::Fault>;

    /// The job's pauses.
    fn pauses(&mut self, job: &JobName) -> Result<Pauses, Self::Fault>;

    /// Remembers the job's pauses.
    fn put_pauses(&mut self, job: &JobName, pauses: &Pauses) -> Result<(), Self::Fault>;

    /// Raises the version of the control state; the new one.
    fn raise_version(&mut self) -> Result<u64, Self::Fault>;

    /// Writes an entry into the ledger, with the end of the run's output if there is
    /// one, and removes what the job has too much of.
    fn append(
        &mut self,
        write: &LedgerWrite,
        tail: Option<&str>,
        retention: Retention,
    ) -> Result<(), Self::Fault>;
}

/// One attempt at a slot's lock.
pub fn claim<G: Ground>(
    ground: &mut G,
    claimant: &Claimant,
    claim: &Claim,
) -> Result<Claimed, G::Fault> {
    let key = CursorKey { job: claim.slot.job.clone(), digest: claim.digest };
    let view = view(ground, claim, &key)?;
    let step = rules::claim(ground.now(), claimant, claim, &view, ground.last_fence());
    for put in &step.records {
        let keep = match put.keep {
            Kept::Open => claim.keep_record,
            Kept::Settled => claim.keep_settled,
        };
        ground.give_out(put.record.fence);
        ground.put_record(&put.slot, &put.record, Some(keep))?;
    }
    for write in &step.entries {
        ground.append(write, None, claim.retention)?;
    }
    if let Some(at) = step.cursor {
        ground.put_cursor(&key, at)?;
    }
    let claimed = step.claimed();
    if let Some(turn) = step.turn {
        pass_on(ground, &claim.slot.job, turn)?;
    }
    Ok(claimed)
}

/// What the store holds that the claim depends on.
fn view<G: Ground>(ground: &mut G, claim: &Claim, key: &CursorKey) -> Result<View, G::Fault> {
    let mut view = View { record: ground.record(&claim.slot)?, ..View::default() };
    if view.record.is_none() || claim.advance {
        view.cursor = ground.cursor(key)?;
    }
    if view.record.is_none() {
        view.pauses = ground.pauses(&key.job)?;
    }
    let wants_turn = match &view.record {
        None => true,
        Some(record) => match record.state {
            RecordState::Ready(_) => true,
            RecordState::Running => claim.takes_over == Some(record.token),
            RecordState::Settled(_) => false,
        },
    };
    if claim.overlap == Overlap::Allow || !wants_turn {
        return Ok(view);
    }
    view.turn = ground.turn(&key.job)?;
    if let Some(ahead) = View::ahead(&view.turn, claim, view.record.as_ref()) {
        view.ahead = ground.record(ahead)?;
    }
    if let (None, Some(newest)) = (&view.record, &view.turn.newest) {
        view.newest = ground.record(newest)?;
    }
    Ok(view)
}

/// Remembers the job's turn, and wakes the first slot that waits if nobody has it.
fn pass_on<G: Ground>(ground: &mut G, job: &JobName, mut turn: Turn) -> Result<(), G::Fault> {
    while turn.of.is_none()
        && let Some(next) = turn.queue.first().cloned()
    {
        match ground.record(&next)?.filter(Record::is_open) {
            Some(record) => {
                if let Some(woken) = record.woken(ground.now()) {
                    ground.put_record(&next, &woken, None)?;
                }
                break;
            }
            // It expired: nobody wants it any more.
            None => turn.forget(&next),
        }
    }
    ground.put_turn(job, &turn)
}

/// The slot was settled: it gives up its turn or its place.
fn settled<G: Ground>(ground: &mut G, slot: &Slot) -> Result<(), G::Fault> {
    let mut turn = ground.turn(&slot.job)?;
    let before = turn.clone();
    turn.settle(slot);
    if turn == before { Ok(()) } else { pass_on(ground, &slot.job, turn) }
}

/// Prolongs a lease.
pub fn renew<G: Ground>(ground: &mut G, renewal: &Renewal) -> Result<Ownership, G::Fault> {
    let record = ground.record(&renewal.slot)?;
    let step = rules::renew(ground.now(), renewal, record.as_ref());
    if let Some(record) = step.record {
        ground.put_record(&renewal.slot, &record, Some(renewal.keep_record))?;
    }
    Ok(step.answer)
}

/// Writes the end of a run on `node`.
pub fn complete<G: Ground>(
    ground: &mut G,
    node: &NodeName,
    end: &Completion,
) -> Result<Ownership, G::Fault> {
    let record = ground.record(&end.slot)?;
    let step = rules::complete(ground.now(), node, end, record.as_ref());
    if let Some((record, entry)) = step.write {
        ground.put_record(&end.slot, &record, Some(end.keep_record))?;
        ground.append(&alone(Entry::Run(entry)), Some(&end.tail), end.retention)?;
        if !record.is_open() {
            settled(ground, &end.slot)?;
        }
    }
    Ok(step.answer)
}

/// Settles a slot that nobody may run any more; whether this did it.
pub fn abandon<G: Ground>(
    ground: &mut G,
    by: &NodeName,
    lost: &Abandonment,
) -> Result<bool, G::Fault> {
    let record = ground.record(&lost.slot)?;
    let Some((record, entry)) = rules::abandon(ground.now(), by, lost, record.as_ref()) else {
        return Ok(false);
    };
    ground.put_record(&lost.slot, &record, Some(lost.keep_record))?;
    ground.append(&alone(Entry::Run(entry)), None, lost.retention)?;
    settled(ground, &lost.slot)?;
    Ok(true)
}

/// Takes back a claim that nobody ran; whether this did it.
pub fn forfeit<G: Ground>(
    ground: &mut G,
    by: &NodeName,
    unrun: &Forfeit,
) -> Result<bool, G::Fault> {
    let record = ground.record(&unrun.slot)?;
    let Some((record, entry)) = rules::forfeit(ground.now(), by, unrun, record.as_ref()) else {
        return Ok(false);
    };
    ground.put_record(&unrun.slot, &record, Some(unrun.keep_record))?;
    ground.append(&alone(Entry::Missed(entry)), None, unrun.retention)?;
    settled(ground, &unrun.slot)?;
    Ok(true)
}

/// Moves a cursor over slots that nobody ran, and makes those ready that are to be
/// caught up; whether this did it.
pub fn record_missed<G: Ground>(
    ground: &mut G,
    by: &NodeName,
    report: &MissedReport,
) -> Result<bool, G::Fault> {
    let cursor = ground.cursor(&report.cursor)?;
    let Some(entries) = rules::record_missed(ground.now(), by, report, cursor) else {
        return Ok(false);
    };
    ground.put_cursor(&report.cursor, report.upto)?;
    for entry in entries {
        ground.append(&alone(entry), None, report.retention)?;
    }
    if !report.catch_up.is_empty() {
        catch_up(ground, by, report)?;
    }
    Ok(true)
}

fn catch_up<G: Ground>(
    ground: &mut G,
    by: &NodeName,
    report: &MissedReport,
) -> Result<(), G::Fault> {
    let job = &report.cursor.job;
    let mut made = Vec::new();
    for &at in &report.catch_up {
        let slot = Slot::scheduled(job.clone(), at);
        if ground.record(&slot)?.is_none() {
            let record = rules::caught_up(ground.now(), by, made.len(), report.in_turn);
            ground.put_record(&slot, &record, Some(report.keep_record))?;
            made.push(slot);
        }
    }
    if report.in_turn {
        let mut turn = ground.turn(job)?;
        made.iter().for_each(|slot| turn.enqueue(slot));
        ground.put_turn(job, &turn)?;
    }
    Ok(())
}

/// Makes a triggered slot ready; whether it is new.
pub fn trigger<G: Ground>(
    ground: &mut G,
    by: &NodeName,
    slot: &Slot,
    keep: Duration,
) -> Result<bool, G::Fault> {
    let record = ground.record(slot)?;
    match rules::triggered(ground.now(), by, slot, record.as_ref()) {
        Some(record) => ground.put_record(slot, &record, Some(keep)).map(|()| true),
        None => Ok(false),
    }
}

/// Marks the run to be cancelled, if `slot` is the one it is a run of.
pub fn cancel<G: Ground>(
    ground: &mut G,
    run: RunId,
    slot: &Slot,
) -> Result<Option<Cancelled>, G::Fault> {
    let record = ground.record(slot)?;
    let Some(marked) = record.and_then(|record| rules::cancel(run, &record)) else {
        return Ok(None);
    };
    ground.put_record(slot, &marked, None)?;
    Ok(Some(Cancelled { slot: slot.clone(), node: marked.node }))
}

/// Pauses a job, or lets it go on; false when it was so already.
pub fn pause<G: Ground>(ground: &mut G, job: &JobName, pause: bool) -> Result<bool, G::Fault> {
    let pauses = ground.pauses(job)?;
    let now = ground.now();
    let changed = if pause { pauses.paused(now) } else { pauses.resumed(now) };
    let Some(pauses) = changed else { return Ok(false) };
    ground.put_pauses(job, &pauses)?;
    ground.raise_version()?;
    Ok(true)
}

fn alone(entry: Entry) -> LedgerWrite {
    LedgerWrite { entry, joins: None }
}
