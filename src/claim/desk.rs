//! The desk of pending claims: what to ask the store, and when again.
//!
//! Invariants:
//!
//! - A slot has at most one pending claim on a node, and all its attempts carry
//!   the same token.
//! - An attempt without an answer is repeated until the start window closes,
//!   then it is given up, never run on a guess. If any attempt may have been
//!   applied, the claim has to be taken back when the store answers again.
//! - Nothing is asked twice at a time for the same slot.
//! - The cost of a look is by what is due then, not by what lies on the desk.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::claim::{Token, Tokens};
use crate::clock::{BootInstant, ClusterTime};
use crate::name::JobName;
use crate::outcome::SkippedReason;
use crate::slot::{Slot, SlotTime};
use crate::table::Job;

/// How soon a claim without an answer is tried again, at first; doubled each time.
const FIRST_RETRY: Duration = Duration::from_millis(50);
/// The longest wait between two tries.
const LAST_RETRY: Duration = Duration::from_secs(1);

/// Why a claim is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The slot is due, or will be in a moment.
    Due,
    /// The slot is open and nobody holds it; windows do not bind it.
    Ready,
    /// The slot's holder, under this token, was lost; windows do not bind it.
    TakeOver(Token),
}

/// A claim that has no verdict yet.
#[derive(Debug, Clone)]
pub struct Pending {
    /// The job, as it was in the table when the slot was due: a table that is loaded
    /// meanwhile does not change what is under way.
    pub job: Arc<Job>,
    /// The owner token of all its attempts.
    pub token: Token,
    /// Why it is made.
    pub cause: Cause,
    /// The end of the start window.
    pub start_by: ClusterTime,
    /// True once an attempt may have been applied although no answer came.
    pub maybe_applied: bool,
    /// Why the last attempt brought no verdict.
    pub last: SkippedReason,
    /// Whether the next attempt looks first who has the slot: the first one, where others
    /// come before this node. A later one is in a hurry, and may find itself.
    pub looks_first: bool,
    state: State,
    tries: u32,
}

impl Pending {
    /// Whether the store has surely nothing of it.
    fn is_unmade(&self) -> bool {
        !self.maybe_applied && self.state != State::InFlight
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(BootInstant),
    InFlight,
}

/// The pending claims of a node. Pure: it is given the time.
#[derive(Debug, Default)]
pub struct Desk {
    pending: BTreeMap<Slot, Pending>,
    /// Those that wait, by when they are to be made.
    waiting: BTreeSet<(BootInstant, Slot)>,
    /// Those that windows bind, by when these close.
    closing: BTreeSet<(ClusterTime, Slot)>,
}

impl Desk {
    /// Puts a claim on the desk, to be made at the instant `at`. False when there is one
    /// of the slot already.
    pub fn put(
        &mut self,
        slot: Slot,
        job: Arc<Job>,
        cause: Cause,
        start_by: ClusterTime,
        at: BootInstant,
        tokens: &mut Tokens,
    ) -> bool {
        if self.pending.contains_key(&slot) {
            return false;
        }
        let pending = Pending {
            job,
            token: tokens.draw(),
            cause,
            start_by,
            maybe_applied: false,
            last: SkippedReason::StoreDown,
            looks_first: false,
            state: State::Waiting(at),
            tries: 0,
        };
        self.enter(slot, pending);
        true
    }

    /// Lets the first attempt at a slot look first who has it.
    pub fn look_first(&mut self, slot: &Slot) {
        if let Some(pending) = self.pending.get_mut(slot) {
            pending.looks_first = true;
        }
    }

    fn enter(&mut self, slot: Slot, pending: Pending) {
        if let State::Waiting(at) = pending.state {
            self.waiting.insert((at, slot.clone()));
        }
        if pending.cause == Cause::Due {
            self.closing.insert((pending.start_by, slot.clone()));
        }
        self.pending.insert(slot, pending);
    }

    /// Takes the claim off the desk: it has its verdict.
    pub fn resolved(&mut self, slot: &Slot) -> Option<Pending> {
        let (slot, pending) = self.pending.remove_entry(slot)?;
        let key = match pending.state {
            State::Waiting(at) => {
                let key = (at, slot);
                self.waiting.remove(&key);
                key.1
            }
            State::InFlight => slot,
        };
        self.closing.remove(&(pending.start_by, key));
        Some(pending)
    }

    /// Lets a claim wait until `until`.
    fn wait(&mut self, slot: &Slot, until: impl FnOnce(&mut Pending) -> BootInstant) {
        let Some(pending) = self.pending.get_mut(slot) else { return };
        let until = until(pending);
        pending.looks_first = false;
        if let State::Waiting(before) = pending.state {
            self.waiting.remove(&(before, slot.clone()));
        }
        pending.state = State::Waiting(until);
        self.waiting.insert((until, slot.clone()));
    }

    /// How many claims are pending.
    pub fn len(&self) -> usize {
        self.pending.len()
    }

    /// Whether none is pending.
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether a claim of a slot of `job` that was due before `at` is pending.
    pub fn pending_before(&self, job: &JobName, at: SlotTime) -> bool {
        let first = Slot::scheduled(job.clone(), SlotTime::from_unix_seconds(i64::MIN));
        self.pending
            .range(first..Slot::scheduled(job.clone(), at))
            .any(|(_, pending)| pending.cause == Cause::Due)
    }

    /// How many claims are in flight.
    pub fn in_flight(&self) -> usize {
        self.pending.len() - self.waiting.len()
    }

    /// When the next attempt is due.
    pub fn next_attempt(&self) -> Option<BootInstant> {
        self.waiting.first().map(|&(at, _)| at)
    }

    /// Takes the claims to make at `now`, at most `room` of them, the oldest slots
    /// first; they are in flight until [`resolved`](Self::resolved) or
    /// [`unanswered`](Self::unanswered). Those without room are noted as
    /// [full](SkippedReason::Full).
    pub fn take_due(&mut self, now: BootInstant, room: usize) -> Vec<(Slot, Pending)> {
        let mut due = Vec::new();
        while self.waiting.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.waiting.pop_first());
        }
        if due.len() > room {
            due.sort_by_key(|(_, slot)| slot.at);
            for (at, slot) in due.drain(room..) {
                if let Some(pending) = self.pending.get_mut(&slot) {
                    pending.last = SkippedReason::Full;
                }
                self.waiting.insert((at, slot));
            }
        }
        let mut taken = Vec::with_capacity(due.len());
        for (_, slot) in due {
            if let Entry::Occupied(mut place) = self.pending.entry(slot) {
                place.get_mut().state = State::InFlight;
                taken.push((place.key().clone(), place.get().clone()));
            }
        }
        taken
    }

    /// The attempt came too early. It is repeated when the slot is due, `due` by what the
    /// node believes now; after a while where that has passed, or where it was so before.
    pub fn early(&mut self, slot: &Slot, due: BootInstant, now: BootInstant) {
        if due > now {
            self.wait(slot, |pending| {
                pending.last = SkippedReason::Early;
                due
            });
        } else {
            self.unanswered(slot, SkippedReason::Early, false, now);
        }
    }

    /// The attempt brought no verdict, and why; it is repeated after a while.
    pub fn unanswered(
        &mut self,
        slot: &Slot,
        last: SkippedReason,
        maybe_applied: bool,
        now: BootInstant,
    ) {
        self.wait(slot, |pending| {
            pending.last = last;
            pending.maybe_applied |= maybe_applied;
            let wait = FIRST_RETRY.saturating_mul(1 << pending.tries.min(8)).min(LAST_RETRY);
            pending.tries += 1;
            now + wait
        });
    }

    /// The store can be reached again: every claim that had no answer is due now.
    pub fn store_is_back(&mut self, now: BootInstant) {
        let tried = |slot: &Slot| self.pending.get(slot).is_some_and(|one| one.tries > 0);
        let late: Vec<_> = self
            .waiting
            .iter()
            .filter(|(at, slot)| *at > now && tried(slot))
            .map(|(_, slot)| slot.clone())
            .collect();
        for slot in late {
            self.wait(&slot, |_| now);
        }
    }

    /// Takes the claims whose start window closed before `now`, unless one is in
    /// flight: its answer still counts.
    pub fn take_expired(&mut self, now: ClusterTime) -> Vec<(Slot, Pending)> {
        let waits = |slot: &Slot| {
            self.pending.get(slot).is_some_and(|pending| pending.state != State::InFlight)
        };
        let closed = self.closing.iter().take_while(|(start_by, _)| *start_by < now);
        let expired: Vec<_> =
            closed.filter(|(_, slot)| waits(slot)).map(|(_, slot)| slot.clone()).collect();
        self.take(expired)
    }

    fn take(&mut self, slots: Vec<Slot>) -> Vec<(Slot, Pending)> {
        let take = |slot: Slot| self.resolved(&slot).map(|pending| (slot, pending));
        slots.into_iter().filter_map(take).collect()
    }

    /// Puts a claim back that was won but cannot run yet; it is repeated at `due`.
    pub fn put_back(&mut self, slot: Slot, mut pending: Pending, due: BootInstant) {
        pending.maybe_applied = true;
        pending.looks_first = false;
        pending.state = State::Waiting(due);
        self.enter(slot, pending);
    }

    /// The job of a slot whose claim is pending.
    pub fn job(&self, slot: &Slot) -> Option<&Arc<Job>> {
        self.pending.get(slot).map(|pending| &pending.job)
    }

    /// Takes the claim of `slot` off the desk if it was surely not applied; whether it was.
    pub fn give_up(&mut self, slot: &Slot) -> bool {
        self.pending.get(slot).is_some_and(Pending::is_unmade) && self.resolved(slot).is_some()
    }

    /// Takes every claim that was surely not applied and is not in flight.
    pub fn take_unmade(&mut self) -> Vec<(Slot, Pending)> {
        let unmade = self.pending.iter().filter(|(_, pending)| pending.is_unmade());
        let unmade = unmade.map(|(slot, _)| slot.clone()).collect();
        self.take(unmade)
    }

    /// Takes those of them that are not due yet at `now`.
    pub fn take_planned(&mut self, now: ClusterTime) -> Vec<(Slot, Pending)> {
        let planned = self.pending.iter().filter(|(slot, pending)| {
            pending.is_unmade() && pending.cause == Cause::Due && pending.job.due(slot.at) > now
        });
        let planned = planned.map(|(slot, _)| slot.clone()).collect();
        self.take(planned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos(millis * 1_000_000)
    }

    fn slot(text: &str) -> Slot {
        text.parse().unwrap()
    }

    fn a_job() -> Arc<Job> {
        crate::table::tests::job("schedule = '@daily'")
    }

    fn window(slot: &Slot) -> ClusterTime {
        slot.at.cluster_time() + Duration::from_secs(1)
    }

    #[test]
    fn a_claim_without_an_answer_is_repeated_with_the_same_token() {
        let mut desk = Desk::default();
        let slot = slot("a@2026-11-22T03:00:00Z");
        assert!(desk.put(
            slot.clone(),
            a_job(),
            Cause::Due,
            window(&slot),
            at(0),
            &mut Tokens::Random
        ));
        let first = desk.take_due(at(0), 100);
        assert!(desk.take_due(at(10_000), 100).is_empty(), "one attempt at a time");
        desk.unanswered(&slot, SkippedReason::StoreDown, true, at(100));
        assert_eq!(desk.next_attempt(), Some(at(150)));
        let second = desk.take_due(at(150), 100);
        assert_eq!(first[0].1.token, second[0].1.token);
        assert!(second[0].1.maybe_applied);
    }

    #[test]
    fn a_slot_has_one_claim_at_a_time() {
        let mut desk = Desk::default();
        let slot = slot("a@2026-11-22T03:00:00Z");
        assert!(desk.put(
            slot.clone(),
            a_job(),
            Cause::Due,
            window(&slot),
            at(0),
            &mut Tokens::Random
        ));
        assert!(!desk.put(
            slot.clone(),
            a_job(),
            Cause::Ready,
            window(&slot),
            at(0),
            &mut Tokens::Random
        ));
    }

    #[test]
    fn a_claim_is_given_up_when_its_window_closed_but_not_while_an_answer_may_come() {
        let mut desk = Desk::default();
        let slot = slot("a@2026-11-22T03:00:00Z");
        desk.put(slot.clone(), a_job(), Cause::Due, window(&slot), at(0), &mut Tokens::Random);
        let late = window(&slot) + Duration::from_millis(1);
        desk.take_due(at(0), 100);
        assert!(desk.take_expired(late).is_empty());
        desk.unanswered(&slot, SkippedReason::StoreDown, false, at(1));
        assert_eq!(desk.take_expired(late).len(), 1);
        assert!(desk.is_empty());
    }

    #[test]
    fn the_wait_between_tries_grows_to_a_second_and_ends_when_the_store_is_back() {
        let mut desk = Desk::default();
        let slot = slot("a@2026-11-22T03:00:00Z");
        desk.put(slot.clone(), a_job(), Cause::Due, window(&slot), at(0), &mut Tokens::Random);
        for _ in 0..40 {
            desk.take_due(at(1_000_000), 100);
            desk.unanswered(&slot, SkippedReason::StoreDown, false, at(1_000_000));
        }
        assert_eq!(desk.next_attempt(), Some(at(1_001_000)));
        desk.store_is_back(at(1_000_100));
        assert_eq!(desk.next_attempt(), Some(at(1_000_100)));
    }

    #[test]
    fn it_knows_which_jobs_have_earlier_claims_pending() {
        let mut desk = Desk::default();
        let slot = slot("b@2026-11-22T03:00:00Z");
        desk.put(slot.clone(), a_job(), Cause::Due, window(&slot), at(0), &mut Tokens::Random);
        let [a, b] = ["a", "b"].map(|name| JobName::new(name).unwrap());
        assert!(!desk.pending_before(&b, slot.at));
        assert!(desk.pending_before(&b, SlotTime::from_unix_seconds(slot.at.unix_seconds() + 1)));
        assert!(!desk.pending_before(&a, SlotTime::from_unix_seconds(i64::MAX)));
    }

    #[test]
    fn without_room_the_oldest_slots_go_first_and_the_rest_knows_why_it_waits() {
        let mut desk = Desk::default();
        let slots = ["a@2026-11-22T03:00:05Z", "b@2026-11-22T03:00:00Z", "c@2026-11-22T03:00:03Z"];
        for slot in slots.map(slot) {
            desk.put(slot.clone(), a_job(), Cause::Due, window(&slot), at(0), &mut Tokens::Random);
        }
        let taken = desk.take_due(at(0), 1);
        assert_eq!(taken.iter().map(|(slot, _)| slot).collect::<Vec<_>>(), [&slot(slots[1])]);
        assert_eq!(desk.in_flight(), 1);
        let late = window(&slot(slots[0])) + Duration::from_millis(1);
        let expired = desk.take_expired(late);
        assert!(expired.iter().all(|(_, pending)| pending.last == SkippedReason::Full));
        assert_eq!(expired.len(), 2);
    }
}
