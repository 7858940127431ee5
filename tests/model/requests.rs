//! What nodes ask of the store, as the engine asks it, and what the store's own steps answer.

use std::convert::Infallible;

use solocron::claim::desk::Cause;
use solocron::claim::{Claim, Fence, Refusal, Token, Verdict};
use solocron::daemon::engine::rules;
use solocron::ledger::MissedRange;
use solocron::outcome::{MissedReason, Outcome};
use solocron::policy::Overlap;
use solocron::store::ground::{self as steps, Ground};
use solocron::store::{Abandonment, Completion, Forfeit, MissedReport, Ownership, Renewal, Then};

use crate::node::Why;
use crate::run::Next;
use crate::scene::{Scene, at};
use crate::store::{Tok, number_of};
use crate::world::{Op, Reply};

/// The program's own step for the request, under the node's own token unless it is another.
pub(crate) fn carry_out<G: Ground<Fault = Infallible>>(
    ground: &mut G,
    scene: &Scene,
    n: u8,
    op: Op,
    token: Option<Token>,
) -> Reply {
    let name = &scene.nodes[usize::from(n)];
    let own = |slot, number| token.unwrap_or(scene.token(slot, Tok { node: n, number }));
    match op {
        Op::Claim { slot, number, why, advance } => {
            let claim = scene.claim(slot, own(slot, number), why, advance);
            let Ok(claimed) = steps::claim(ground, &scene.claimant(n), &claim);
            match claimed.verdict {
                Verdict::Won(grant) => Reply::Won {
                    fence: number_of(grant.fence),
                    attempt: grant.attempt as u8,
                    failures: grant.failures as u8,
                },
                Verdict::Refused(Refusal::Late) => Reply::Late,
                Verdict::Refused(Refusal::Early) => Reply::Early,
                _ => Reply::NotToBeHad,
            }
        }
        Op::Renew { slot, number } => {
            let Ok(answer) = steps::renew(ground, &scene.renewal(slot, own(slot, number)));
            whose(&answer)
        }
        Op::Complete { slot, number, attempt, outcome, then } => {
            let end = scene.completion(slot, own(slot, number), attempt, outcome, then);
            let Ok(answer) = steps::complete(ground, name, &end);
            whose(&answer)
        }
        Op::Forfeit { slot, number } => {
            let unrun = scene.taken_back(slot, own(slot, number));
            let Ok(written) = steps::forfeit(ground, name, &unrun);
            Reply::Written(written)
        }
        Op::Abandon { slot, tok } => {
            let lost = scene.abandonment(slot, scene.token(slot, tok));
            let Ok(written) = steps::abandon(ground, name, &lost);
            Reply::Written(written)
        }
        Op::Report { expected, upto, missed, catch_up } => {
            let report = scene.report(expected, upto, missed, catch_up);
            let Ok(written) = steps::record_missed(ground, name, &report);
            Reply::Written(written)
        }
    }
}

fn whose(answer: &Ownership) -> Reply {
    if *answer == Ownership::Ours { Reply::Ours } else { Reply::NotOurs }
}

impl Scene {
    /// The claim as the engine makes it.
    pub(crate) fn claim(&self, slot: u8, token: Token, why: Why, advance: bool) -> Claim {
        let (job, name) = (&self.job, self.slots[usize::from(slot)].clone());
        let cause = match why {
            Why::Due => Cause::Due,
            Why::Ready => Cause::Ready,
            Why::TakeOver(lost) => Cause::TakeOver(self.token(slot, lost)),
        };
        let closes = job.closes(name.at);
        rules::claim(job, &self.settings, name, token, cause, closes, advance)
    }

    pub(crate) fn renewal(&self, slot: u8, token: Token) -> Renewal {
        Renewal {
            slot: self.slots[usize::from(slot)].clone(),
            token,
            ttl: self.ttl(),
            keep_record: self.settings.keep_open(),
        }
    }

    pub(crate) fn completion(
        &self,
        slot: u8,
        token: Token,
        attempt: u8,
        outcome: Outcome,
        next: Next,
    ) -> Completion {
        Completion {
            slot: self.slots[usize::from(slot)].clone(),
            token,
            attempt: u32::from(attempt),
            fence: Fence::new(0),
            outcome,
            then: match next {
                Next::Settle => Then::Settle,
                Next::HandOver => Then::HandOver(None),
                Next::Retry => Then::Retry,
            },
            started_at: at(0),
            finished_at: at(0),
            exit_code: None,
            signal: None,
            error: None,
            tail: String::new(),
            keep_record: self.settings.keep_open(),
            retention: self.settings.retention,
        }
    }

    pub(crate) fn taken_back(&self, slot: u8, token: Token) -> Forfeit {
        Forfeit {
            slot: self.slots[usize::from(slot)].clone(),
            token,
            reason: MissedReason::StoreDown,
            keep_record: self.settings.keep_open(),
            retention: self.settings.retention,
        }
    }

    pub(crate) fn abandonment(&self, slot: u8, token: Token) -> Abandonment {
        Abandonment {
            slot: self.slots[usize::from(slot)].clone(),
            token,
            // What is ready is left to those who may run it: that is not in the model.
            was_lost: true,
            why: String::new(),
            keep_record: self.settings.keep_open(),
            retention: self.settings.retention,
        }
    }

    /// The report as it was drafted; slots missed one after another are a range each.
    pub(crate) fn report(&self, expected: u8, upto: u8, missed: u8, catch_up: u8) -> MissedReport {
        let slots_in = |bits: u8| {
            let slots = (0u8..).zip(&self.slots).filter(move |(slot, _)| bits & 1 << slot != 0);
            slots.map(|(_, slot)| slot.at)
        };
        let last = self.cursor_at(upto);
        let missed = slots_in(missed).map(|at| MissedRange {
            from: at,
            to: at,
            count: 1,
            reason: MissedReason::Late,
        });
        MissedReport {
            cursor: self.key.clone(),
            expected: self.cursor_at(expected),
            upto: last,
            closes_at: self.job.closes(last),
            ranges: missed.collect(),
            catch_up: slots_in(catch_up).collect(),
            in_turn: self.job.policies.overlap != Overlap::Allow,
            keep_record: self.settings.keep_open(),
            retention: self.settings.retention,
        }
    }
}
