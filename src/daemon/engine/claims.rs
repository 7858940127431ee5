//! From due slots to claims, and from verdicts to what follows.

use super::*;
use crate::claim::desk::Pending;
use crate::claim::{Grant, Refusal};
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
            self.notice_gap(job, now, now.cluster());
        }
        for due in planned.due {
            let job = self.entry(due.job);
            let slot = Slot { job: job.name.clone(), at: due.at };
            let start_by = due.at.cluster_time() + job.window(due.at);
            self.desk.put(slot, Cause::Due, start_by, now.boot);
        }
    }

    /// Gives up claims whose start window closed without an answer.
    pub(super) fn give_up_expired_claims(&mut self, now: Now) {
        for (slot, pending) in self.desk.take_expired(now.cluster()) {
            let why = match pending.last {
                SkippedReason::Early => Skip::Early,
                _ => Skip::StoreDown,
            };
            events::slot_skipped(&slot, why);
            self.give_up(now, slot, pending);
        }
    }

    /// Makes the claims that are due, all together.
    pub(super) fn make_claims(&mut self, now: Now, actions: &mut Vec<Action>) {
        if !self.claims_now() {
            return;
        }
        let due = self.desk.take_due(now.boot);
        if due.is_empty() {
            return;
        }
        let claims = due.into_iter().filter_map(|(slot, pending)| self.claim(slot, &pending));
        let claims: Vec<_> = claims.collect();
        actions.extend(claims.chunks(CLAIMS).map(|some| Action::Claim(some.to_vec())));
    }

    fn claim(&self, slot: Slot, pending: &Pending) -> Option<Claim> {
        let (index, job) = self.find(&slot)?;
        Some(Claim {
            advance: self.phase == Phase::Open
                && pending.cause == Cause::Due
                && !self.gaps.contains_key(&index)
                && !self.desk.pending_before(&slot.job, slot.at),
            token: pending.token,
            ttl: job.lease_ttl,
            start_by: pending.start_by,
            keep_record: self.keep_open(),
            digest: job.digest,
            slot,
        })
    }

    pub(super) fn on_claims_answered(
        &mut self,
        now: Now,
        sent: BootInstant,
        claims: Vec<Claim>,
        answer: StoreResult<Vec<Verdict>>,
        actions: &mut Vec<Action>,
    ) {
        match answer {
            Ok(verdicts) => {
                for (claim, verdict) in claims.into_iter().zip(verdicts) {
                    self.on_verdict(now, sent, claim, verdict, actions);
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
            Verdict::Won(grant) => {
                self.on_won(now, sent, claim, grant, actions);
            }
            Verdict::Held(holder) => {
                self.desk.resolved(slot);
                events::slot_skipped(slot, Skip::Held(&holder));
            }
            Verdict::Done(settled) => {
                self.desk.resolved(slot);
                events::slot_skipped(slot, Skip::Done(&settled));
            }
            Verdict::Refused(Refusal::Late) => {
                self.desk.resolved(slot);
                events::slot_skipped(slot, Skip::Late);
                if let Some((job, _)) = self.find(slot) {
                    self.notice_gap(job, now, claim.start_by);
                }
            }
            Verdict::Refused(Refusal::Past) => {
                self.desk.resolved(slot);
                events::slot_skipped(slot, Skip::Late);
            }
            Verdict::Refused(Refusal::HandedOver) => {
                self.desk.resolved(slot);
            }
            // The store's clock is behind what this node believes; the next
            // heartbeat tells, and the claim is made again until then.
            Verdict::Refused(Refusal::Early) => {
                let due = now.offset.boot_instant(slot.at.cluster_time());
                self.desk.early(slot, due, now.boot);
            }
            Verdict::Unknown(why) => {
                tracing::debug!(%slot, why, "a claim has no verdict yet");
                self.desk.unanswered(slot, SkippedReason::StoreDown, true, now.boot);
            }
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
        let Some((_, job)) = self.find(&claim.slot) else { return };
        let job = Arc::clone(job);
        let trusted_until = trusted_until(sent, claim.ttl);
        let too_late = trusted_until.minus(job.grace_on_lost_lease()) <= now.boot;
        let due = now.offset.boot_instant(claim.slot.at.cluster_time());
        if !self.is_draining() && due > now.boot {
            // The clock was set since it was claimed: it is not due yet after all.
            // Claimed again then, with the same token, it is won again.
            self.desk.put_back(claim.slot, pending, due);
            return;
        }
        let may_start = pending.cause == Cause::HandedOver || now.cluster() < claim.start_by;
        if !self.is_draining() && too_late && may_start {
            // The answer took most of the lease; asking again prolongs it.
            self.desk.put_back(claim.slot, pending, now.boot);
            return;
        }
        let running = Running {
            job,
            slot: claim.slot,
            attempt: grant.attempt,
            fence: grant.fence,
            over: false,
        };
        events::slot_claimed(running.as_run(claim.token));
        if self.is_draining() {
            self.book.enter(claim.token, claim.ttl, sent);
            self.hand_over_unstarted(now, claim.token, running);
        } else if too_late {
            // Too late for its start window as well.
            self.forfeit(&running.job, running.slot.clone(), claim.token, MissedReason::StoreDown);
        } else {
            self.book.enter(claim.token, claim.ttl, sent);
            actions.push(Action::Start(Start {
                job: Arc::clone(&running.job),
                slot: running.slot.clone(),
                token: claim.token,
                attempt: grant.attempt,
                fence: grant.fence,
                trusted_until,
            }));
            self.running.insert(claim.token, running);
        }
    }

    /// The slot will not run here: what may have been applied is taken back, and
    /// the job is looked at for slots without a record.
    fn give_up(&mut self, now: Now, slot: Slot, pending: Pending) {
        let Some((index, job)) = self.find(&slot) else { return };
        let job = Arc::clone(job);
        self.notice_gap(index, now, pending.start_by);
        if pending.maybe_applied {
            self.forfeit(&job, slot, pending.token, MissedReason::StoreDown);
        }
    }

    fn forfeit(&mut self, job: &Job, slot: Slot, token: Token, reason: MissedReason) {
        self.forfeits.put(Forfeit {
            keep_record: self.keep_settled(job, slot.at),
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
                self.forfeits.acknowledged();
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

    /// The job that `slot` belongs to, if the table has it.
    pub(super) fn find(&self, slot: &Slot) -> Option<(JobIndex, &Arc<Job>)> {
        let index = self.table.position(&slot.job)?;
        Some((JobIndex(u32::try_from(index).ok()?), &self.table[index]))
    }
}
