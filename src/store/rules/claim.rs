//! Who gets a slot.
//!
//! | the slot's record | and | verdict | written |
//! |---|---|---|---|
//! | none | the cursor is at or past the slot | `Refused(Past)` | – |
//! | none | `now > start_by` | `Refused(Late)` | – |
//! | none | `now + max_early < due` | `Refused(Early)` | – |
//! | none | `now < due`, and the job is paused or its turn is not idle | `Refused(Early)` | – |
//! | none | the job is paused, or was when it was due | `Missed(Paused)` | settled, ledger entry |
//! | none | a newer slot that was due waits | `Missed(Overlap)` | settled, ledger entry |
//! | none | it is its turn | `Won`, attempt 1, new fence | running until `now + ttl`; one that waited because it was due is missed |
//! | none | it is not, `skip` | `Missed(Overlap)` | settled, ledger entry |
//! | none | it is not, `wait` or `replace` | `Waits` | ready; the one that waited before is missed; `replace` marks the run in progress |
//! | ready | our token handed it over, now or at an earlier hand-over | `Refused(HandedOver)` | – |
//! | ready | handed over, to be tried again later than now | `Refused(Early)` | – |
//! | ready | it is its turn | `Won`, attempt + 1, new fence | running until `now + ttl` |
//! | ready | it is not | `Waits` | its place in the queue; a trigger under `replace` marks the run in progress |
//! | running | our token | `Won`, same attempt and fence | running until `now + ttl` |
//! | running, lapsed | we take over the token that lost it, and may | `Won`, attempt + 1, new fence | the lost run's entry |
//! | running, lapsed | the same, but another slot has the turn | `Waits` | handed over, its place in the queue; the lost run's entry |
//! | running, lapsed | the same, but it was to be cancelled | `Done(cancelled)` | settled, ledger entry |
//! | running | otherwise | `Held` | – |
//! | settled | | `Done` | – |
//!
//! It is a slot's turn when `overlap` is `allow`, when it has the turn already, or when
//! no open slot has it and none waits before it. (One that is just due takes the place
//! of the one that waits because it was due.) A claim that finds the turn with a slot
//! that nobody will run again (lapsed, and not to be taken over; or ready, and to be
//! replaced) settles that first, in the same step. Whoever writes a turn that nobody
//! has any more wakes the first that waits.
//!
//! What keeps a slot from running is asked again when it is due: a claim that comes ahead
//! of that settles nothing and waits for nothing, it wins or it is early.
//!
//! A claim that asks to advance also moves the cursor, never backwards, when its
//! verdict tells that there is a record of the slot.

use super::{ClaimStep, LOOK_AGAIN, Record, RecordState, Turn, View, fence};
use crate::claim::{Claim, Claimant, Fence, Grant, Refusal, Verdict};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, MissedEntry, MissedRange};
use crate::name::NodeName;
use crate::outcome::{CancelCause, MissedReason, Outcome, Ready};
use crate::policy::Overlap;
use crate::slot::{Slot, SlotTime};

/// One claim at one instant.
struct Ask<'a> {
    now: ClusterTime,
    claimant: &'a Claimant,
    claim: &'a Claim,
    last: Fence,
}

/// Decides a claim. `last` is the last fence given out.
pub fn claim(
    now: ClusterTime,
    claimant: &Claimant,
    claim: &Claim,
    view: &View,
    last: Fence,
) -> ClaimStep {
    let ask = Ask { now, claimant, claim, last };
    let mut step = match &view.record {
        None => ask.first(view),
        Some(record) => match record.state {
            RecordState::Running if record.token == claim.token => ask.again(record),
            RecordState::Running if ask.takes_over(record) => ask.take_over(record, view),
            RecordState::Running => ClaimStep::only(Verdict::Held(record.holder(now))),
            RecordState::Ready(why) => ask.ready(record, why, view),
            RecordState::Settled(outcome) => {
                ClaimStep::only(Verdict::Done(record.settled(outcome)))
            }
        },
    };
    let accounted_for = view.record.is_some() || !step.records.is_empty();
    let refused = matches!(step.verdict, Verdict::Refused(_));
    if claim.advance && accounted_for && !refused {
        step.cursor = view.cursor.filter(|&at| at < claim.slot.at).map(|_| claim.slot.at);
    }
    step
}

impl Ask<'_> {
    fn first(&self, view: &View) -> ClaimStep {
        let Self { now, claim, .. } = *self;
        if view.cursor.is_some_and(|at| at >= claim.slot.at) {
            return ClaimStep::only(Verdict::Refused(Refusal::Past));
        }
        if now > claim.start_by {
            return ClaimStep::only(Verdict::Refused(Refusal::Late));
        }
        if now + self.claimant.max_early < claim.due {
            return ClaimStep::only(Verdict::Refused(Refusal::Early));
        }
        if now < claim.due && self.is_contested(view) {
            return ClaimStep::only(Verdict::Refused(Refusal::Early));
        }
        if let Some(pause) = view.pauses.forbids(claim.due) {
            let since = pause.since.unix_micros().div_euclid(1_000_000);
            let since = SlotTime::from_unix_seconds(since);
            return self.missed(ClaimStep::undecided(), MissedReason::Paused, since);
        }
        let waiting = view.newest.as_ref().filter(|record| record.is_open());
        let waiting = view.turn.newest.as_ref().zip(waiting);
        if waiting.is_some_and(|(newest, _)| newest.at > claim.slot.at) {
            return self.missed(ClaimStep::undecided(), MissedReason::Overlap, claim.slot.at);
        }
        let replaces = claim.overlap == Overlap::Replace;
        match self.look_at_turn(view, view.turn.newest.as_ref(), replaces) {
            Chance::Free(mut step, mut turn) => {
                if let Some(replaced) = turn.newest.clone() {
                    turn.forget(&replaced);
                    self.replace_waiting(&mut step, &replaced, view, claim.slot.at);
                }
                self.win(step, turn, None)
            }
            Chance::Taken(taken) => match claim.overlap {
                Overlap::Wait | Overlap::Replace => self.wait(taken, view, replaces),
                // `allow` has no turn to wait for.
                Overlap::Skip | Overlap::Allow => {
                    let Taken { mut step, turn, by, .. } = taken;
                    step.turn = Some(turn).filter(|turn| *turn != view.turn);
                    self.missed(step, MissedReason::Overlap, by.at)
                }
            },
        }
    }

    /// Whether something keeps the slot from running now that may be over when it is due.
    fn is_contested(&self, view: &View) -> bool {
        let takes_turns = self.claim.overlap != Overlap::Allow;
        view.pauses.forbids(self.claim.due).is_some() || takes_turns && !view.turn.is_idle()
    }

    /// Settles the claim's own slot, which nobody has run.
    fn missed(&self, mut step: ClaimStep, reason: MissedReason, joins: SlotTime) -> ClaimStep {
        let Self { now, claim, claimant, .. } = *self;
        step.verdict = Verdict::Missed(reason);
        let ready = Record::ready(&claimant.node, claimant.boot, claim.token, Ready::Waiting, now);
        step.put(&claim.slot, ready.settled_as(now, Outcome::Missed));
        step.miss(self.missed_entry(&claim.slot, reason), joins);
        step
    }

    /// The claim's own slot, just due, waits for the turn.
    fn wait(&self, taken: Taken, view: &View, replaces: bool) -> ClaimStep {
        let Self { now, claim, claimant, .. } = *self;
        let Taken { mut step, mut turn, by, record } = taken;
        if let Some(replaced) = turn.enqueue_newest(&claim.slot) {
            self.replace_waiting(&mut step, &replaced, view, by.at);
        }
        let ready = Record::ready(&claimant.node, claimant.boot, claim.token, Ready::Waiting, now);
        let lapses_at = look_again(record.as_ref(), now);
        step.put(&claim.slot, Record { lapses_at, ..ready });
        if replaces {
            mark_replaced(&mut step, &by, record.as_ref());
        }
        step.verdict = Verdict::Waits(by);
        step.turn = Some(turn);
        step
    }

    /// A newer slot takes the place of `replaced`, which waited.
    fn replace_waiting(&self, step: &mut ClaimStep, replaced: &Slot, view: &View, since: SlotTime) {
        // It runs where it was claimed while `overlap` was `allow` for a while.
        let waits = |record: &&Record| matches!(record.state, RecordState::Ready(_));
        if let Some(record) = view.newest.as_ref().filter(waits) {
            step.put(replaced, record.settled_as(self.now, Outcome::Missed));
            let entry = self.missed_entry(replaced, MissedReason::Overlap);
            step.miss(entry, since);
        }
    }

    fn missed_entry(&self, slot: &Slot, reason: MissedReason) -> MissedEntry {
        MissedEntry {
            job: slot.job.clone(),
            range: MissedRange { from: slot.at, to: slot.at, count: 1, reason },
            node: self.claimant.node.clone(),
            recorded_at: self.now,
        }
    }

    fn ready(&self, record: &Record, why: Ready, view: &View) -> ClaimStep {
        let Self { now, claim, .. } = *self;
        if record.handed_over_by.contains(&claim.token) {
            return ClaimStep::only(Verdict::Refused(Refusal::HandedOver));
        }
        if why == Ready::HandedOver && record.lapses_at > now {
            return ClaimStep::only(Verdict::Refused(Refusal::Early));
        }
        let replaces = claim.overlap == Overlap::Replace && why == Ready::Triggered;
        match self.look_at_turn(view, None, replaces) {
            Chance::Free(step, turn) => self.win(step, turn, Some(record)),
            Chance::Taken(taken) => {
                let lapses_at = look_again(taken.record.as_ref(), now);
                let waiting = Record { lapses_at, ..record.clone() };
                self.wait_on(taken, waiting, view, replaces)
            }
        }
    }

    /// The claim's own slot, which was open before, waits for the turn.
    fn wait_on(&self, taken: Taken, waiting: Record, view: &View, replaces: bool) -> ClaimStep {
        let Taken { mut step, mut turn, by, record } = taken;
        step.put(&self.claim.slot, waiting);
        if replaces {
            mark_replaced(&mut step, &by, record.as_ref());
        }
        turn.enqueue(&self.claim.slot);
        step.verdict = Verdict::Waits(by);
        step.turn = Some(turn).filter(|turn| *turn != view.turn);
        step
    }

    fn win(&self, mut step: ClaimStep, mut turn: Turn, record: Option<&Record>) -> ClaimStep {
        let Self { now, claim, claimant, last } = *self;
        let new = Record {
            attempt: record.map_or(0, |record| record.attempt).saturating_add(1),
            fence: fence(now, last.max(record.map_or(Fence::new(0), |record| record.fence))),
            lapses_at: now + claim.ttl,
            takeovers: record.map_or(0, |record| record.takeovers),
            failures: record.map_or(0, |record| record.failures),
            handed_over_by: record.map_or_else(Vec::new, |record| record.handed_over_by.clone()),
            state: RecordState::Running,
            ..Record::ready(&claimant.node, claimant.boot, claim.token, Ready::Waiting, now)
        };
        step.verdict = won(&new);
        step.put(&claim.slot, new);
        if claim.overlap != Overlap::Allow {
            turn.give(&claim.slot);
            step.turn = Some(turn);
        }
        step
    }

    fn again(&self, record: &Record) -> ClaimStep {
        let record = record.prolonged(self.now, self.claim.ttl);
        let mut step = ClaimStep::only(won(&record));
        step.put(&self.claim.slot, record);
        step
    }

    fn takes_over(&self, record: &Record) -> bool {
        self.claim.takes_over == Some(record.token)
            && record.is_lost(self.now)
            && (record.takeovers < self.claim.max_takeovers || record.cancel.is_some())
    }

    fn take_over(&self, record: &Record, view: &View) -> ClaimStep {
        let Self { now, claim, claimant, .. } = *self;
        let slot = &claim.slot;
        if record.cancel.is_some() {
            let mut step = ClaimStep::only(Verdict::Done(record.settled(Outcome::Cancelled)));
            step.put(slot, record.settled_as(now, Outcome::Cancelled));
            step.note(Entry::Run(record.lost_run(
                now,
                slot,
                Outcome::Cancelled,
                format!("node {} was lost after it was told to end it", record.node),
            )));
            let mut turn = view.turn.clone();
            turn.settle(slot);
            step.turn = Some(turn).filter(|turn| *turn != view.turn);
            return step;
        }
        let lost = record.lost_run(
            now,
            slot,
            Outcome::LeaseLost,
            format!(
                "node {} was lost: it had not renewed its lease when that lapsed; taken over by \
                 node {}",
                record.node, claimant.node
            ),
        );
        let again = Record { takeovers: record.takeovers.saturating_add(1), ..record.clone() };
        let mut step = match self.look_at_turn(view, None, false) {
            Chance::Free(step, turn) => self.win(step, turn, Some(&again)),
            Chance::Taken(taken) => {
                let lapses_at = look_again(taken.record.as_ref(), now);
                self.wait_on(taken, again.handed_over(now, Some(lapses_at)), view, false)
            }
        };
        step.note(Entry::Run(lost));
        step
    }

    /// Whether it is the slot's turn; what stands in the way and may go is settled.
    /// `replaced` is the slot whose place this one takes.
    fn look_at_turn(&self, view: &View, replaced: Option<&Slot>, replaces: bool) -> Chance {
        let (slot, mut step) = (&self.claim.slot, ClaimStep::undecided());
        let mut turn = view.turn.clone();
        let Some(ahead) = turn.ahead_of(slot, replaced).cloned() else {
            return Chance::Free(step, turn);
        };
        if let Some(record) = view.ahead.as_ref().filter(|record| record.is_open()) {
            let end = match turn.of {
                Some(_) => self.end_of(record, replaces),
                // It waits, as this one does.
                None => None,
            };
            let Some((outcome, why)) = end else {
                let record = Some(record.clone());
                return Chance::Taken(Taken { step, turn, by: ahead, record });
            };
            step.put(&ahead, record.settled_as(self.now, outcome));
            step.note(Entry::Run(record.lost_run(self.now, &ahead, outcome, why)));
        }
        turn.settle(&ahead);
        match turn.ahead_of(slot, replaced).cloned() {
            None => Chance::Free(step, turn),
            Some(by) => Chance::Taken(Taken { step, turn, by, record: None }),
        }
    }

    /// What the slot with the turn is to be settled as, and why, if nobody will run it.
    fn end_of(&self, record: &Record, replaces: bool) -> Option<(Outcome, String)> {
        let Self { now, claim, claimant, .. } = *self;
        match record.state {
            RecordState::Running if !record.is_lost(now) => None,
            RecordState::Running if record.cancel.is_some() => Some((
                Outcome::Cancelled,
                format!("node {} was lost after it was told to end it", record.node),
            )),
            RecordState::Running if replaces || record.takeovers >= claim.max_takeovers => {
                let why = format!("{}{} took its turn", self.why_for_good(record), claim.slot);
                Some((Outcome::Abandoned, lost_in_words(&record.node, &claimant.node, &why)))
            }
            RecordState::Ready(_) if replaces => Some((
                Outcome::Cancelled,
                format!("no node had taken it yet when {} replaced it", claim.slot),
            )),
            _ => None,
        }
    }

    /// Why nobody takes a lost run over, where nobody may.
    fn why_for_good(&self, record: &Record) -> String {
        match (record.takeovers, self.claim.max_takeovers) {
            (_, 0) => "its job allows no takeover (on_crash, max_takeovers); ".to_owned(),
            (had, most) if had >= most => {
                format!("it was taken over {had} times, as often as max_takeovers allows; ")
            }
            _ => String::new(),
        }
    }
}

/// Whether a slot may run now.
enum Chance {
    /// It may; what was written to make it so, and the turn.
    Free(ClaimStep, Turn),
    /// It may not.
    Taken(Taken),
}

/// Another slot comes first.
struct Taken {
    /// What was written before.
    step: ClaimStep,
    /// The turn after that.
    turn: Turn,
    /// The slot that comes first.
    by: Slot,
    /// Its record; none where it was not read.
    record: Option<Record>,
}

fn won(record: &Record) -> Verdict {
    Verdict::Won(Grant { fence: record.fence, attempt: record.attempt, failures: record.failures })
}

/// The run in progress has to go.
fn mark_replaced(step: &mut ClaimStep, of: &Slot, record: Option<&Record>) {
    let unmarked = |record: &&Record| record.is_running() && record.cancel.is_none();
    if let Some(record) = record.filter(unmarked) {
        step.put(of, Record { cancel: Some(CancelCause::Replaced), ..record.clone() });
    }
}

/// When to look whether the turn is free: when its lease lapses unless it is renewed.
/// (Whoever settles it wakes the next.)
fn look_again(of: Option<&Record>, now: ClusterTime) -> ClusterTime {
    match of {
        Some(of) if of.is_running() && of.lapses_at > now => of.lapses_at,
        _ => now + LOOK_AGAIN,
    }
}

/// Why a slot whose lease lapsed is not run again.
pub(super) fn lost_in_words(node: &NodeName, by: &NodeName, why: &str) -> String {
    format!(
        "node {node} was lost: it had not renewed its lease when that lapsed; {why}; settled by \
         node {by}"
    )
}
