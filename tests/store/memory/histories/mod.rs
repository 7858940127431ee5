//! Whatever several nodes ask of the slots of one job, in whatever order and however
//! often: a slot has one owner and one end, and a job one slot at a time.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use solocron::claim::{Claim, Fence, RunId, Token, Verdict};
use solocron::clock::ClusterTime;
use solocron::ledger::{Entry, Query};
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime, TriggerId};
use solocron::store::ground as steps;
use solocron::store::ground::Ground;
use solocron::store::rules::{Record, RecordState};
use solocron::store::{Completion, MissedReport, Ownership, Then};

use super::*;
use crate::harness::memory::ground::{Holdings, Step};

mod checks;

const TTL: Duration = Duration::from_millis(100);
/// When the scheduled slots of these histories are due, one a second.
const DUE: i64 = 1_795_316_400;
/// So many slots a history has: the first of the schedule, the others triggered.
const SLOTS: usize = 6;
const SCHEDULED: usize = 4;
/// So many tokens each slot is claimed with.
const TOKENS: usize = 3;

/// What a node may ask for. Slots, tokens and times are few, so that histories collide.
#[derive(Debug, Clone)]
enum Ask {
    Claim(usize, usize),
    TakeOver(usize, usize),
    Renew(usize, usize),
    Complete(usize, usize, Outcome, Ending),
    /// A copy of one that was sent before.
    CompleteAgain(usize),
    Abandon(usize),
    Forfeit(usize, usize),
    Cancel(usize),
    Pause(bool),
    Trigger(usize),
    CatchUp,
    Wait(i64),
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Settle,
    HandOver,
    HandOverForLater,
    Retry,
}

fn asks() -> impl Strategy<Value = Ask> {
    let (slot, token) = (0..SLOTS, 0..TOKENS);
    let of = (slot.clone(), token);
    let outcome = prop::sample::select(vec![Outcome::Succeeded, Outcome::Failed]);
    let ending = prop::sample::select(vec![
        Ending::Settle,
        Ending::Settle,
        Ending::HandOver,
        Ending::HandOverForLater,
        Ending::Retry,
    ]);
    prop_oneof![
        8 => of.clone().prop_map(|(s, t)| Ask::Claim(s, t)),
        4 => of.clone().prop_map(|(s, t)| Ask::TakeOver(s, t)),
        3 => of.clone().prop_map(|(s, t)| Ask::Renew(s, t)),
        6 => (of.clone(), outcome, ending).prop_map(|((s, t), o, e)| Ask::Complete(s, t, o, e)),
        1 => (0..50_usize).prop_map(Ask::CompleteAgain),
        1 => slot.clone().prop_map(Ask::Abandon),
        1 => of.prop_map(|(s, t)| Ask::Forfeit(s, t)),
        1 => slot.clone().prop_map(Ask::Cancel),
        1 => any::<bool>().prop_map(Ask::Pause),
        2 => slot.prop_map(Ask::Trigger),
        1 => Just(Ask::CatchUp),
        3 => (0..150_i64).prop_map(Ask::Wait),
    ]
}

/// One history, and what its nodes believe.
struct World {
    held: Holdings,
    now: ClusterTime,
    overlap: Overlap,
    max_takeovers: u32,
    slots: Vec<Slot>,
    tokens: Vec<Vec<Token>>,
    /// Until when a node may believe that it owns the slot, by this token.
    trusted: HashMap<(usize, Token), ClusterTime>,
    /// Which attempt of the slot a token runs.
    attempts: HashMap<Token, (u32, Fence)>,
    sent: Vec<Completion>,
    /// The runs that have ended.
    ended: HashSet<RunId>,
}

impl World {
    fn new(overlap: Overlap, max_takeovers: u32) -> Self {
        let now = ClusterTime::from_unix_micros((DUE + SCHEDULED as i64) * 1_000_000);
        let slots = (0..SLOTS).map(|i| match i < SCHEDULED {
            true => Slot::scheduled(job("tick"), SlotTime::from_unix_seconds(DUE + i as i64)),
            false => Slot::triggered(job("tick"), TriggerId::new(now)),
        });
        Self {
            held: Holdings::default(),
            now,
            overlap,
            max_takeovers,
            slots: slots.collect(),
            tokens: (0..SLOTS).map(|_| (0..TOKENS).map(|_| Token::new()).collect()).collect(),
            trusted: HashMap::new(),
            attempts: HashMap::new(),
            sent: Vec::new(),
            ended: HashSet::new(),
        }
    }

    fn step<T>(
        &mut self,
        body: impl FnOnce(&mut Step<'_>) -> Result<T, std::convert::Infallible>,
    ) -> T {
        let Ok(answer) = body(&mut Step { held: &mut self.held, now: self.now });
        answer
    }

    fn record(&mut self, slot: usize) -> Option<Record> {
        let slot = self.slots[slot].clone();
        self.step(|step| step.record(&slot))
    }

    fn records(&mut self) -> Vec<Option<Record>> {
        (0..SLOTS).map(|slot| self.record(slot)).collect()
    }

    fn ledger(&mut self) -> Vec<Entry> {
        let all = Query { limit: usize::MAX, ..Query::default() };
        self.step(|step| Ok(step.history(&all)))
    }

    fn claim_with(&self, slot: usize, token: Token) -> Claim {
        Claim {
            token,
            max_takeovers: self.max_takeovers,
            ..claim_by(self.overlap, &self.slots[slot], TTL)
        }
    }

    fn claim(&mut self, slot: usize, claim: &Claim) -> Verdict {
        let waiting = self.step(|step| step.turn(&job("tick")));
        let before = self.record(slot);
        let claimed = self.step(|step| steps::claim(step, &claimant("web-1"), claim));
        if let Verdict::Won(grant) = claimed.verdict {
            self.trusted.insert((slot, claim.token), self.now + TTL);
            self.attempts.insert(claim.token, (grant.attempt, grant.fence));
            let held = self.record(slot).expect("a win is written");
            assert_eq!((held.token, held.state), (claim.token, RecordState::Running));
            assert_eq!((held.fence, held.attempt), (grant.fence, grant.attempt));
            match &before {
                Some(was) if was.is_running() && was.token == claim.token => {
                    assert_eq!((was.fence, was.attempt), (grant.fence, grant.attempt));
                }
                Some(was) => {
                    assert!(grant.fence > was.fence);
                    assert_eq!((grant.attempt, grant.failures), (was.attempt + 1, was.failures));
                }
                None => assert_eq!(grant.attempt, 1),
            }
            let first = waiting.queue.first().filter(|_| waiting.of.as_ref() != Some(&claim.slot));
            if let (Some(first), true) = (first, self.overlap != Overlap::Allow) {
                let replaced = before.is_none() && waiting.newest.as_ref() == Some(first);
                assert!(*first == claim.slot || replaced, "{first} was before {}", claim.slot);
            }
        }
        claimed.verdict
    }

    fn complete(&mut self, slot: usize, end: &Completion) -> Ownership {
        let told = self.ledger().len();
        let answer = self.step(|step| steps::complete(step, &node("web-1"), end));
        let written = self.ledger().len() - told;
        assert!(written == 0 || self.ended.insert(end.run_id()), "it ended before: {end:?}");
        if answer != Ownership::Ours || end.then != Then::Retry {
            self.trusted.remove(&(slot, end.token));
        }
        if written > 0 {
            self.attempts.insert(end.token, (end.attempt + 1, end.fence));
        }
        self.sent.push(end.clone());
        answer
    }

    fn ask(&mut self, ask: Ask) {
        match ask {
            Ask::Wait(millis) => self.now = self.now + Duration::from_millis(millis as u64),
            Ask::Claim(slot, token) => {
                let claim = self.claim_with(slot, self.tokens[slot][token]);
                // A triggered slot is claimed when the sweep has told of it.
                if slot < SCHEDULED || self.record(slot).is_some() {
                    self.claim(slot, &claim);
                }
            }
            Ask::TakeOver(slot, token) => {
                let Some(held) = self.record(slot) else { return };
                let mut claim = self.claim_with(slot, self.tokens[slot][token]);
                claim.takes_over = Some(held.token);
                self.claim(slot, &claim);
            }
            Ask::Renew(slot, token) => {
                let token = self.tokens[slot][token];
                let renewal = renewal(&self.claim_with(slot, token), TTL);
                if self.step(|step| steps::renew(step, &renewal)) == Ownership::Ours {
                    self.trusted.insert((slot, token), self.now + TTL);
                } else {
                    self.trusted.remove(&(slot, token));
                }
            }
            Ask::Complete(slot, token, outcome, ending) => {
                let token = self.tokens[slot][token];
                let Some(&(attempt, fence)) = self.attempts.get(&token) else { return };
                let then = match ending {
                    Ending::Settle => Then::Settle,
                    Ending::HandOver => Then::HandOver(None),
                    Ending::HandOverForLater => {
                        Then::HandOver(Some(self.now + Duration::from_millis(120)))
                    }
                    Ending::Retry => Then::Retry,
                };
                let outcome = match then {
                    Then::HandOver(_) => Outcome::HandedOver,
                    Then::Retry => Outcome::Failed,
                    Then::Settle => outcome,
                };
                let grant = solocron::claim::Grant { attempt, fence, failures: 0 };
                let end = completion(&self.claim_with(slot, token), grant, outcome, self.now);
                self.complete(slot, &Completion { then, ..end });
            }
            Ask::CompleteAgain(which) => {
                let Some(end) = self.sent.get(which).cloned() else { return };
                let slot = self.slots.iter().position(|slot| *slot == end.slot).unwrap();
                let told = self.ledger();
                let trusted = self.trusted.clone();
                self.complete(slot, &end);
                // Whoever sends a copy has not run meanwhile what came after.
                self.trusted = trusted;
                assert_eq!(self.ledger(), told, "a copy writes nothing");
            }
            Ask::Abandon(slot) => {
                let Some(held) = self.record(slot) else { return };
                let lost = abandonment(&self.claim_with(slot, held.token));
                if self.step(|step| steps::abandon(step, &node("web-2"), &lost)) {
                    let until = self.trusted.get(&(slot, held.token));
                    assert!(until.is_none_or(|&until| until <= self.now), "it lived");
                }
            }
            Ask::Forfeit(slot, token) => {
                let token = self.tokens[slot][token];
                let unrun = forfeit_of(&self.claim_with(slot, token));
                self.step(|step| steps::forfeit(step, &node("web-1"), &unrun));
                self.trusted.remove(&(slot, token));
            }
            Ask::Cancel(slot) => {
                let Some(held) = self.record(slot) else { return };
                let (run, slot) = (held.token.run_id(held.attempt), self.slots[slot].clone());
                let marked = self.step(|step| steps::cancel(step, run, &slot));
                assert_eq!(marked.is_some(), held.is_running());
            }
            Ask::Pause(pause) => {
                self.step(|step| steps::pause(step, &job("tick"), pause));
            }
            Ask::Trigger(slot) => {
                let there = self.record(slot).is_some();
                let of = self.slots[slot].clone();
                let new = self.step(|step| steps::trigger(step, &node("asker"), &of, KEEP));
                assert_eq!(new, !there && of.trigger.is_some());
            }
            Ask::CatchUp => self.catch_up(),
        }
    }

    /// The oldest two slots are caught up, as far as they have no record.
    fn catch_up(&mut self) {
        let at = |second| SlotTime::from_unix_seconds(DUE + second);
        let report = MissedReport {
            cursor: cursor_of("tick"),
            expected: at(-1),
            upto: at(1),
            closes_at: at(2).cluster_time(),
            ranges: Vec::new(),
            catch_up: vec![at(0), at(1)],
            in_turn: self.overlap != Overlap::Allow,
            keep_record: KEEP,
            retention: KEEP_ALL,
        };
        self.step(|step| Ok(step.open_cursor(&report.cursor, at(-1), KEEP)));
        self.step(|step| steps::record_missed(step, &node("web-1"), &report));
    }

    /// Nodes that do what they should bring every open slot to its end.
    fn bring_to_an_end(&mut self) {
        self.step(|step| steps::pause(step, &job("tick"), false));
        for _ in 0..40 {
            self.now = self.now + Duration::from_secs(2);
            let open = self.step(|step| Ok(step.sweep(100))).open;
            let Some(open) = open.first() else { break };
            let slot = self.slots.iter().position(|slot| *slot == open.slot).unwrap();
            let mut claim = self.claim_with(slot, Token::new());
            claim.takes_over = Some(open.token);
            match self.claim(slot, &claim) {
                Verdict::Won(grant) => {
                    let end = completion(&claim, grant, Outcome::Succeeded, self.now);
                    assert_eq!(self.complete(slot, &end), Ownership::Ours);
                }
                Verdict::Held(_) => {
                    let lost = abandonment(&Claim { token: open.token, ..claim });
                    assert!(self.step(|step| steps::abandon(step, &node("web-2"), &lost)));
                }
                Verdict::Waits(_) | Verdict::Done(_) => {}
                wrong => panic!("{wrong:?}"),
            }
        }
        let left: Vec<_> = self.records().into_iter().flatten().filter(Record::is_open).collect();
        assert!(left.is_empty(), "these wait for ever: {left:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_asked_a_slot_has_one_owner_and_one_end(
        overlap in prop::sample::select(vec![
            Overlap::Skip, Overlap::Allow, Overlap::Wait, Overlap::Replace,
        ]),
        max_takeovers in 0..3_u32,
        history in prop::collection::vec(asks(), 1..120),
    ) {
        let mut world = World::new(overlap, max_takeovers);
        for ask in history {
            let before = world.records();
            world.ask(ask);
            world.check(&before);
        }
        world.bring_to_an_end();
    }
}
