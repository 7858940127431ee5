//! From due slots to claims, and from verdicts to what follows.

use super::*;
use crate::claim::desk::{Cause, Pending};
use crate::claim::{Claim, Claimed, Grant, Refusal, Verdict};
use crate::lease::trusted_until;
use crate::ledger::MissedRange;
use crate::log::events::{self, Skip};
use crate::outcome::{MissedReason, SkippedReason};
use crate::store::StoreError;

impl Engine {
    /// Puts every slot that is due on the desk.
    pub(super) fn take_due_slots(&mut self, now: Now) {
        if !self.takes_slots() {
            return;
        }
        let planned = self.queue.take_due(&self.table, now.cluster(), LOOKAHEAD);
        for job in planned.passed {
            let job = Arc::clone(self.entry(job));
            self.notice_gap(&job, now, now.cluster());
        }
        for due in planned.due {
            let job = Arc::clone(self.entry(due.job));
            let slot = Slot::scheduled(job.name.clone(), due.at);
            let start_by = job.closes(due.at);
            self.desk.put(slot, job, Cause::Due, start_by, now.boot, &mut self.tokens);
        }
    }

    /// Gives up claims whose start window closed without an answer.
    pub(super) fn give_up_expired_claims(&mut self, now: Now) {
        for (slot, pending) in self.desk.take_expired(now.cluster()) {
            let why = match pending.last {
                SkippedReason::Early => Skip::Early,
                SkippedReason::Full => {
                    let due = now.offset.boot_instant(pending.job.due(slot.at));
                    self.memory.was_full(due, now.boot);
                    Skip::Full
                }
                _ => Skip::StoreDown,
            };
            events::slot_skipped(&slot, why);
            self.give_up(now, slot, pending);
        }
    }

    /// Makes the claims that are due, all together, as far as there is room.
    pub(super) fn make_claims(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.claims_now() || self.desk.is_empty() {
            return;
        }
        let due = self.desk.take_due(now.boot, self.room());
        if due.is_empty() {
            return;
        }
        let claims: Vec<_> =
            due.into_iter().map(|(slot, pending)| self.claim(slot, &pending)).collect();
        actions.extend(claims.chunks(CLAIMS).map(|some| Action::Claim(some.to_vec())));
    }

    fn claim(&self, slot: Slot, pending: &Pending) -> Claim {
        let job = &pending.job;
        Claim {
            advance: self.phase == Phase::Open
                && pending.cause == Cause::Due
                && !self.gaps.contains_key(&crate::daemon::gaps::key(job))
                && !self.desk.pending_before(&slot.job, slot.at),
            token: pending.token,
            ttl: job.lease_ttl,
            due: match slot.trigger {
                None => job.due(slot.at),
                Some(_) => slot.at.cluster_time(),
            },
            start_by: pending.start_by,
            overlap: job.policies.overlap,
            max_takeovers: job.takeovers(),
            takes_over: match pending.cause {
                Cause::TakeOver(token) => Some(token),
                Cause::Due | Cause::Ready => None,
            },
            keep_record: self.settings.keep_open(),
            keep_settled: self.keep_settled(job, &slot),
            retention: self.settings.retention,
            digest: job.digest,
            slot,
        }
    }

    pub(super) fn on_claims_answered(
        &mut self,
        now: Now,
        sent: BootInstant,
        claims: Vec<Claim>,
        answer: StoreResult<Vec<Claimed>>,
        actions: &mut Vec<Action>,
    ) {
        match answer {
            Ok(claimed) => {
                for (claim, claimed) in claims.into_iter().zip(claimed) {
                    events::beside_a_claim(&claim.slot, &claimed.entries);
                    self.on_verdict(now, sent, claim, claimed.verdict, actions);
                }
            }
            Err(error) => {
                let maybe_applied = !matches!(error, StoreError::Unavailable(_));
                for claim in claims {
                    let last = SkippedReason::StoreDown;
                    self.desk.unanswered(&claim.slot, last, maybe_applied, now.boot);
                }
            }
        }
    }

    fn on_verdict(
        &mut self,
        now: Now,
        sent: BootInstant,
        claim: Claim,
        verdict: Verdict,
        actions: &mut Vec<Action>,
    ) {
        let slot = &claim.slot;
        match verdict {
            Verdict::Won(grant) => self.on_won(now, sent, claim, grant, actions),
            Verdict::Held(holder) => self.skip(slot, Skip::Held(&holder)),
            Verdict::Done(settled) => self.skip(slot, Skip::Done(&settled)),
            Verdict::Waits(of) => self.skip(slot, Skip::Overlap(Some(&of))),
            Verdict::Missed(MissedReason::Paused) => self.skip(slot, Skip::Paused),
            Verdict::Missed(_) => self.skip(slot, Skip::Overlap(None)),
            Verdict::Refused(Refusal::Late) => {
                let pending = self.desk.resolved(slot);
                events::slot_skipped(slot, Skip::Late);
                if let Some(Pending { job, cause: Cause::Due, .. }) = pending {
                    self.notice_gap(&job, now, claim.start_by);
                }
            }
            Verdict::Refused(Refusal::Past) => self.skip(slot, Skip::Late),
            Verdict::Refused(Refusal::HandedOver) => {
                self.desk.resolved(slot);
            }
            // The store's clock is behind what this node believes; the next
            // heartbeat tells, and the claim is made again until then.
            Verdict::Refused(Refusal::Early) => {
                let due = now.offset.boot_instant(claim.due);
                self.desk.early(slot, due, now.boot);
            }
            Verdict::Unknown(why) => {
                tracing::debug!(%slot, why, "a claim has no verdict yet");
                self.desk.unanswered(slot, SkippedReason::StoreDown, true, now.boot);
            }
        }
    }

    fn skip(&mut self, slot: &Slot, why: Skip<'_>) {
        if self.desk.resolved(slot).is_some() {
            events::slot_skipped(slot, why);
        }
    }

    fn on_won(
        &mut self,
        now: Now,
        sent: BootInstant,
        claim: Claim,
        grant: Grant,
        actions: &mut Vec<Action>,
    ) {
        let Some(pending) = self.desk.resolved(&claim.slot) else { return };
        let job = Arc::clone(&pending.job);
        let trusted_until = trusted_until(sent, claim.ttl);
        let too_late = trusted_until.minus(job.grace_on_lost_lease()) <= now.boot;
        let due = now.offset.boot_instant(claim.due);
        if !self.is_draining() && due > now.boot {
            // The clock was set since it was claimed: it is not due yet after all.
            // Claimed again then, with the same token, it is won again.
            self.desk.put_back(claim.slot, pending, due);
            return;
        }
        let may_start = pending.cause != Cause::Due || now.cluster() < claim.start_by;
        if !self.is_draining() && too_late && may_start {
            // The answer took most of the lease; asking again prolongs it.
            self.desk.put_back(claim.slot, pending, now.boot);
            return;
        }
        let running = Running::new(job, claim.slot, grant);
        events::slot_claimed(running.as_run(claim.token));
        if self.is_draining() {
            self.book.enter(claim.token, claim.ttl, sent);
            self.hand_over_unstarted(now, claim.token, running, None);
        } else if too_late {
            // Too late for its start window as well.
            let slot = running.slot.clone();
            self.forfeit(&running.job, slot, claim.token, MissedReason::StoreDown);
        } else {
            if running.slot.trigger.is_some() {
                events::control_triggered(running.as_run(claim.token));
            }
            self.book.enter(claim.token, claim.ttl, sent);
            actions.push(Action::Start(running.start(claim.token, trusted_until)));
            self.running.insert(claim.token, running);
        }
    }

    /// The slot will not run here: what may have been applied is taken back, and
    /// the job is looked at for slots without a record.
    fn give_up(&mut self, now: Now, slot: Slot, pending: Pending) {
        self.notice_gap(&pending.job, now, pending.start_by);
        if pending.maybe_applied {
            self.forfeit(&pending.job, slot, pending.token, MissedReason::StoreDown);
        }
    }

    fn forfeit(&mut self, job: &Job, slot: Slot, token: Token, reason: MissedReason) {
        self.forfeits.put(Forfeit {
            keep_record: self.keep_settled(job, &slot),
            retention: self.settings.retention,
            slot,
            token,
            reason,
        });
    }

    pub(super) fn on_forfeits_answered(
        &mut self,
        now: Now,
        forfeits: Vec<Forfeit>,
        answer: StoreResult<Vec<bool>>,
    ) {
        match answer {
            Ok(written) => {
                self.forfeits.acknowledged(forfeits.len());
                for (forfeit, written) in forfeits.iter().zip(written) {
                    if written {
                        let at = forfeit.slot.at;
                        let range =
                            MissedRange { from: at, to: at, count: 1, reason: forfeit.reason };
                        events::slot_missed(&forfeit.slot.job, &range);
                    }
                }
            }
            Err(_) => self.forfeits.unanswered(forfeits, now.boot),
        }
    }
}
