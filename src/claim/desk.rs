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

use std::collections::BTreeMap;
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
    /// The slot is due.
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
    state: State,
    tries: u32,
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
}

impl Desk {
    /// Puts a claim on the desk, to be made at once. False when there is one already.
    pub fn put(
        &mut self,
        slot: Slot,
        job: Arc<Job>,
        cause: Cause,
        start_by: ClusterTime,
        now: BootInstant,
        tokens: &mut Tokens,
    ) -> bool {
        use std::collections::btree_map::Entry;
        match self.pending.entry(slot) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                place.insert(Pending {
                    job,
                    token: tokens.draw(),
                    cause,
                    start_by,
                    maybe_applied: false,
                    last: SkippedReason::StoreDown,
                    state: State::Waiting(now),
                    tries: 0,
                });
                true
            }
        }
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
        self.pending.values().filter(|pending| pending.state == State::InFlight).count()
    }

    /// When the next attempt is due.
    pub fn next_attempt(&self) -> Option<BootInstant> {
        self.pending
            .values()
            .filter_map(|pending| match pending.state {
                State::Waiting(until) => Some(until),
                State::InFlight => None,
            })
            .min()
    }

    /// Takes the claims to make at `now`, at most `room` of them, those that wait
    /// longest first; they are in flight until [`resolved`](Self::resolved) or
    /// [`unanswered`](Self::unanswered). Those without room are noted as
    /// [full](SkippedReason::Full).
    pub fn take_due(&mut self, now: BootInstant, room: usize) -> Vec<(Slot, Pending)> {
        let is_due =
            |pending: &Pending| matches!(pending.state, State::Waiting(until) if until <= now);
        let mut due: Vec<_> =
            self.pending.iter_mut().filter(|(_, pending)| is_due(pending)).collect();
        if due.len() > room {
            due.sort_by_key(|(slot, _)| slot.at);
            for (_, pending) in due.drain(room..) {
                pending.last = SkippedReason::Full;
            }
        }
        due.into_iter()
            .map(|(slot, pending)| {
                pending.state = State::InFlight;
                (slot.clone(), pending.clone())
            })
            .collect()
    }

    /// Takes the claim off the desk: it has its verdict.
    pub fn resolved(&mut self, slot: &Slot) -> Option<Pending> {
        self.pending.remove(slot)
    }

    /// The attempt came too early; it is repeated when the slot is due, `due` by
    /// what the node believes now, and after a while where that has passed.
    pub fn early(&mut self, slot: &Slot, due: BootInstant, now: BootInstant) {
        self.unanswered(slot, SkippedReason::Early, false, now);
        if let Some(Pending { state: State::Waiting(until), .. }) = self.pending.get_mut(slot) {
            *until = due.max(*until);
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
        if let Some(pending) = self.pending.get_mut(slot) {
            pending.last = last;
            pending.maybe_applied |= maybe_applied;
            let wait = FIRST_RETRY.saturating_mul(1 << pending.tries.min(8)).min(LAST_RETRY);
            pending.tries += 1;
            pending.state = State::Waiting(now + wait);
        }
    }

    /// The store can be reached again: everything that waits is due now.
    pub fn store_is_back(&mut self, now: BootInstant) {
        for pending in self.pending.values_mut() {
            if let State::Waiting(until) = &mut pending.state {
                *until = now.min(*until);
            }
        }
    }

    /// Takes the claims whose start window closed before `now`, unless one is in
    /// flight: its answer still counts.
    pub fn take_expired(&mut self, now: ClusterTime) -> Vec<(Slot, Pending)> {
        self.pending
            .extract_if(.., |_, pending| {
                pending.cause == Cause::Due
                    && pending.start_by < now
                    && pending.state != State::InFlight
            })
            .collect()
    }

    /// Puts a claim back that was won but cannot run yet; it is repeated at `due`.
    pub fn put_back(&mut self, slot: Slot, mut pending: Pending, due: BootInstant) {
        pending.maybe_applied = true;
        pending.state = State::Waiting(due);
        self.pending.insert(slot, pending);
    }

    /// Takes every claim that was surely not applied and is not in flight.
    pub fn take_unmade(&mut self) -> Vec<(Slot, Pending)> {
        let unmade = |_: &Slot, pending: &mut Pending| {
            !pending.maybe_applied && pending.state != State::InFlight
        };
        self.pending.extract_if(.., unmade).collect()
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
