//! From due slots to claims, and from verdicts to what follows.

use super::rules::{Known, Win, Winning};
use super::waits::Withdrawal;
use super::*;
use crate::claim::attempt::{Place, Turn, look_back, round};
use crate::claim::desk::{Cause, Pending};
use crate::claim::{Claim, Claimed, Grant, Refusal, Verdict};
use crate::lease::trusted_until;
use crate::ledger::MissedRange;
use crate::log::events::{self, Skip};
use crate::outcome::{MissedReason, SkippedReason};
use crate::store::StoreError;

impl Engine {
    /// Puts every slot on the desk that is due, or will be in a moment: each to be claimed
    /// when it is this node's turn.
    pub(super) fn take_due_slots(&mut self, now: Now) {
        if !self.takes_slots() {
            return;
        }
        let ahead = self.farthest_ahead();
        let planned = self.queue.take_due(&self.table, now.cluster(), ahead, LOOKAHEAD);
        for job in planned.passed {
            let job = Arc::clone(self.entry(job));
            self.notice_gap(&job, now, now.cluster());
        }
        for due in planned.due {
            let job = Arc::clone(self.entry(due.job));
            let slot = Slot::scheduled(job.name.clone(), due.at);
            self.expect(now, slot, job);
        }
    }

    /// Puts the slot on the desk, to be claimed when it is this node's turn.
    pub(super) fn expect(&mut self, now: Now, slot: Slot, job: Arc<Job>) {
        let place = self.peers.place(&slot, |node| job.may_run_on(node));
        let at = self.attempt(&slot, &job, place).max(now.cluster());
        let (start_by, at) = (job.closes(slot.at), now.offset.boot_instant(at));
        let looks = self.pace().looks_first(place).then(|| slot.clone());
        let is_new = self.desk.put(slot, job, Cause::Due, start_by, at, &mut self.tokens);
        if let (Some(slot), true) = (looks, is_new) {
            self.desk.look_first(&slot);
        }
    }

    /// When this node, which has `place`, tries a slot that is due, or will be.
    fn attempt(&self, slot: &Slot, job: &Job, place: Place) -> ClusterTime {
        let due = job.due(slot.at);
        match self.pace().turn(place) {
            Turn::Ahead(ahead) => due - ahead,
            Turn::Behind => {
                let round = round(place.of);
                look_back(due, job.window(slot.at), round, self.peers.phase(round))
            }
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
        let claims = due.into_iter().map(|(slot, pending)| self.claim(slot, &pending));
        // Nobody who is first waits for the looks of others.
        let (look, claim): (Vec<_>, Vec<_>) = claims.partition(|claim| claim.looks_first);
        let batches = claim.chunks(CLAIMS).chain(look.chunks(CLAIMS));
        actions.extend(batches.map(|some| Action::Claim(some.to_vec())));
    }

    fn claim(&self, slot: Slot, pending: &Pending) -> Claim {
        let Pending { job, token, cause, start_by, .. } = pending;
        let known = Known {
            opened: self.phase == Phase::Open,
            gap: self.gaps.contains_key(&crate::daemon::gaps::key(job)),
            earlier_pending: self.desk.pending_before(&slot.job, slot.at),
        };
        let advance = rules::advances(*cause, known);
        let claim = rules::claim(job, &self.settings, slot, *token, *cause, *start_by, advance);
        Claim { looks_first: pending.looks_first, ..claim }
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
                // (After a look there may have been another round trip.)
                if !claims.iter().any(|claim| claim.looks_first) {
                    self.distance.note(now.boot.since(sent));
                }
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
            Verdict::Refused(Refusal::Early) => self.on_early(now, &claim),
            Verdict::Unknown(why) => {
                tracing::debug!(%slot, why, "a claim has no verdict yet");
                self.desk.unanswered(slot, SkippedReason::StoreDown, true, now.boot);
            }
        }
    }

    /// Something keeps the slot from running that may be over when it is due; or the
    /// store's clock is behind what this node believes: the next heartbeat tells, and the
    /// claim is made again until then.
    fn on_early(&mut self, now: Now, claim: &Claim) {
        let slot = &claim.slot;
        self.desk.early(slot, now.offset.boot_instant(claim.due), now.boot);
        // The table may have been loaded anew meanwhile.
        let news = self.desk.job(slot).and_then(|job| self.since_reload(now, slot, job));
        if news.is_some()
            && self.desk.give_up(slot)
            && let Some(Withdrawal::Anew(job)) = news
        {
            self.expect(now, slot.clone(), job);
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
        let winning = Winning {
            cause: pending.cause,
            due: claim.due,
            start_by: claim.start_by,
            trusted_until,
            grace: job.grace_on_lost_lease(),
            draining: self.is_draining(),
        };
        let due = now.offset.boot_instant(claim.due);
        let win = rules::won(now, &winning);
        match win {
            Win::NotYet => {
                // With the same token it is won again then.
                self.desk.put_back(claim.slot, pending, due.minus(self.farthest_ahead()));
                return;
            }
            Win::AskAgain => {
                self.desk.put_back(claim.slot, pending, now.boot);
                return;
            }
            Win::GiveAway | Win::TakeBack | Win::Run => {}
        }
        let withdrawal = self.since_reload(now, &claim.slot, &job);
        let mut running = Running::new(job, claim.slot, grant);
        events::slot_claimed(running.as_run(claim.token));
        if due > now.boot {
            running.begins = Some(self.begins(now, claim.due));
        }
        if win == Win::GiveAway {
            self.book.enter(claim.token, claim.ttl, sent);
            self.give_away(now, claim.token, running, Withdrawal::Draining, actions);
        } else if win == Win::TakeBack {
            let slot = running.slot.clone();
            self.forfeit(&running.job, slot, claim.token, MissedReason::StoreDown);
        } else {
            if running.slot.trigger.is_some() {
                events::control_triggered(running.as_run(claim.token));
            }
            self.book.enter(claim.token, claim.ttl, sent);
            if let Some(withdrawal) = withdrawal {
                self.give_away(now, claim.token, running, withdrawal, actions);
                return;
            }
            if running.begins.is_some() {
                self.look_before(due, now);
            }
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

    pub(super) fn forfeit(&mut self, job: &Job, slot: Slot, token: Token, reason: MissedReason) {
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
