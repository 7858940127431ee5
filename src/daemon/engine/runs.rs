//! Runs in progress: their leases, and the record of their end.

use super::rules::{Held, Renewed};
use super::waits::Withdrawal;
use super::*;
use crate::claim::{Fence, Grant};
use crate::log::events::{self, Finish, LeaseLoss};
use crate::outcome::{CancelCause, Outcome};
use crate::policy::Overlap;
use crate::run::{Report, Trust};
use crate::store::{Ownership, Renewal, Then};

/// A slot that this node holds.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) job: Arc<Job>,
    pub(super) slot: Slot,
    /// Which run of the slot it is, or will be next.
    pub(super) attempt: u32,
    pub(super) fence: Fence,
    /// How many of its runs have failed.
    pub(super) failures: u32,
    /// Why it is to end, if somebody said so.
    pub(super) cancelled: Option<CancelCause>,
    pub(super) stage: Stage,
    /// When its first run begins, where it was claimed ahead of that.
    pub(super) begins: Option<Begins>,
    /// Why that was told not to begin, if it was.
    pub(super) withdrawn: Option<Withdrawal>,
}

/// When a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Begins {
    /// Never before that.
    pub(super) at: ClusterTime,
    /// Its keeper was told that this is then.
    pub(super) told: BootInstant,
}

/// How far a slot has come that this node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its processes may live.
    Alive,
    /// They are gone, and the end of the run is being written. There is another run
    /// of it here after that, or there is not.
    Over { again: bool },
    /// The run failed, and the next begins then.
    Rests(BootInstant),
}

impl Running {
    pub(super) fn new(job: Arc<Job>, slot: Slot, grant: Grant) -> Self {
        let Grant { fence, attempt, failures } = grant;
        Self {
            job,
            slot,
            attempt,
            fence,
            failures,
            cancelled: None,
            stage: Stage::Alive,
            begins: None,
            withdrawn: None,
        }
    }

    /// As events name it, held under `token`.
    pub(super) fn as_run(&self, token: Token) -> events::Run<'_> {
        events::Run {
            slot: &self.slot,
            run_id: token.run_id(self.attempt),
            attempt: self.attempt,
            fence: self.fence,
        }
    }

    /// The order to run it.
    pub(super) fn start(&self, token: Token, trusted_until: BootInstant) -> Start {
        Start {
            job: Arc::clone(&self.job),
            slot: self.slot.clone(),
            token,
            attempt: self.attempt,
            fence: self.fence,
            trusted_until,
            not_before: self.begins.map_or(BootInstant::from_nanos(0), |begins| begins.told),
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.stage == Stage::Alive
    }

    pub(super) fn rests(&self) -> bool {
        matches!(self.stage, Stage::Rests(_))
    }

    /// How far it has come, as the answer to a renewal sees it.
    fn held(&self) -> Held {
        match self.stage {
            Stage::Alive => Held::Alive,
            Stage::Rests(_) => Held::Rests,
            Stage::Over { .. } => Held::Over,
        }
    }

    /// Whether it counts for `max_running`.
    pub(super) fn takes_room(&self) -> bool {
        self.stage != Stage::Over { again: false }
    }
}

impl Engine {
    /// Renews what is due, all leases together.
    pub(super) fn renew_leases(&mut self, now: Now, actions: &mut Vec<Action>) {
        let tokens = self.book.take_due(now.boot);
        if tokens.is_empty() {
            return;
        }
        let renewals = tokens
            .into_iter()
            .filter_map(|token| {
                let running = self.running.get(&token)?;
                Some(Renewal {
                    slot: running.slot.clone(),
                    token,
                    ttl: running.job.lease_ttl,
                    keep_record: self.settings.keep_open(),
                })
            })
            .collect();
        actions.push(Action::Renew(renewals));
    }

    pub(super) fn on_renewals_answered(
        &mut self,
        now: Now,
        sent: BootInstant,
        renewals: &[Renewal],
        answer: StoreResult<Vec<Ownership>>,
        actions: &mut Vec<Action>,
    ) {
        self.book.landed();
        let Ok(answer) = answer else {
            for renewal in renewals {
                self.book.unanswered(renewal.token, now.boot);
            }
            return;
        };
        for (renewal, ownership) in renewals.iter().zip(answer) {
            let token = renewal.token;
            let held = self.running.get(&token).map_or(Held::Over, Running::held);
            match rules::renewed(&ownership, held) {
                Renewed::Granted => {
                    self.book.granted(token, sent);
                    if let Some(until) = self.book.trusted_until(token) {
                        actions.push(Action::Tell(token, Trust::Until(until)));
                    }
                }
                Renewed::Lost => {
                    self.tell_of_loss(token, &ownership);
                    self.book.strike(token);
                    actions.push(Action::Tell(token, Trust::Lost));
                }
                Renewed::LetGo => {
                    self.tell_of_loss(token, &ownership);
                    self.let_go(token);
                }
                Renewed::Unclear => self.book.unanswered(token, now.boot),
            }
        }
    }

    fn tell_of_loss(&self, token: Token, ownership: &Ownership) {
        if let Some(running) = self.running.get(&token) {
            events::lease_lost(running.as_run(token), loss(ownership));
        }
    }

    /// The slot is no longer ours, and nothing of it runs here.
    fn let_go(&mut self, token: Token) {
        self.book.strike(token);
        self.retries.forget(token);
        self.running.remove(&token);
    }

    pub(super) fn on_run_ended(
        &mut self,
        now: Now,
        token: Token,
        report: Report,
        actions: &mut Vec<Action>,
    ) {
        if report.outcome == Outcome::HandedOver && !report.began {
            return self.on_never_began(now, token, actions);
        }
        let Some(running) = self.running.get(&token) else { return };
        if report.outcome == Outcome::LeaseLost && self.book.holds(token) {
            events::lease_lost(running.as_run(token), LeaseLoss::NotRenewed);
        }
        // What else a drain tells a run to do, it does by itself.
        let cut_short = report.outcome == Outcome::HandedOver;
        let policies = Arc::clone(&running.job.policies);
        let written = rules::ended(report.outcome, policies.on_crash);
        let report = as_written(report, written);
        let finish = Finish {
            outcome: report.outcome,
            exit_code: report.exit_code,
            signal: report.signal,
            duration: report.finished.since(report.started),
            error: report.error.as_deref(),
        };
        events::run_finished(running.as_run(token), &finish);
        let (failures, cancelled) = (running.failures, running.cancelled.is_some());
        let Some(written) = written else {
            self.let_go(token);
            return;
        };
        self.killed += usize::from(cut_short);
        let then = rules::then(written, &policies, failures, cancelled);
        self.write_end(now, token, report, then);
    }

    /// A slot that is not running here is given to the others; to be run at
    /// `not_before`, if that is said.
    pub(super) fn hand_over_unstarted(
        &mut self,
        now: Now,
        token: Token,
        running: Running,
        not_before: Option<ClusterTime>,
    ) {
        self.running.insert(token, running);
        let why = match self.is_draining() {
            true => format!("{} was draining and did not start it", self.identity.node),
            false => format!("{} may not run it any more", self.identity.node),
        };
        let report = unstarted(now, Outcome::HandedOver, why);
        self.write_end(now, token, report, Then::HandOver(not_before));
    }

    /// A slot whose next run has not begun ends with `outcome`.
    pub(super) fn end_without_run(&mut self, now: Now, token: Token, outcome: Outcome, why: &str) {
        let report = unstarted(now, outcome, why.to_owned());
        self.write_end(now, token, report, Then::Settle);
    }

    /// Has the end of a run written down, and its slot with it.
    fn write_end(&mut self, now: Now, token: Token, report: Report, then: Then) {
        let Some(running) = self.running.get_mut(&token) else { return };
        running.stage = Stage::Over { again: then == Then::Retry };
        let running = &self.running[&token];
        self.completions.put(Completion {
            slot: running.slot.clone(),
            token,
            attempt: running.attempt,
            fence: running.fence,
            outcome: report.outcome,
            then,
            started_at: recorded(now, &running.slot, report.started),
            finished_at: recorded(now, &running.slot, report.finished),
            exit_code: report.exit_code,
            signal: report.signal,
            error: report.error,
            tail: report.tail,
            keep_record: match then {
                Then::Settle => self.keep_settled(&running.job, &running.slot),
                Then::HandOver(_) | Then::Retry => self.settings.keep_open(),
            },
            retention: self.settings.retention,
        });
    }

    pub(super) fn on_completions_answered(
        &mut self,
        now: Now,
        completions: Vec<Completion>,
        answer: StoreResult<Vec<Ownership>>,
    ) {
        match answer {
            Ok(answer) => {
                self.completions.acknowledged(completions.len());
                for (completion, ownership) in completions.into_iter().zip(answer) {
                    self.on_end_written(now, &completion, &ownership);
                }
            }
            Err(_) => self.completions.unanswered(completions, now.boot),
        }
    }

    fn on_end_written(&mut self, now: Now, completion: &Completion, ownership: &Ownership) {
        let token = completion.token;
        if *ownership == Ownership::Ours && completion.then == Then::Retry {
            return self.rest(now, token);
        }
        self.book.strike(token);
        let Some(running) = self.running.remove(&token) else { return };
        if *ownership != Ownership::Ours {
            events::lease_lost(running.as_run(token), loss(ownership));
        } else if running.job.policies.overlap != Overlap::Allow {
            // Another slot may have waited for its turn.
            self.sweeps.want(now.boot);
        }
    }
}

/// The report of a run that is written down as `written`.
fn as_written(mut report: Report, written: Option<Outcome>) -> Report {
    if let Some(outcome) = written.filter(|outcome| *outcome != report.outcome) {
        report.outcome = outcome;
        let why = "the node was draining, and its job says on_crash = \"skip\"";
        report.error = Some(format!("ended: {why}"));
    }
    report
}

/// The end of a run that never began.
fn unstarted(now: Now, outcome: Outcome, why: String) -> Report {
    Report {
        outcome,
        began: false,
        exit_code: None,
        signal: None,
        error: Some(why),
        started: now.boot,
        finished: now.boot,
        tail: String::new(),
        pid: None,
    }
}

/// An instant of a run, as its entry in the ledger has it. What ends before the instant of
/// its slot was won ahead of it and has not begun: the entry does not say that it had.
fn recorded(now: Now, slot: &Slot, instant: BootInstant) -> ClusterTime {
    now.offset.cluster_time(instant).max(slot.at.cluster_time())
}

/// What an answer that is not [`Ownership::Ours`] says of a lease.
fn loss(ownership: &Ownership) -> LeaseLoss<'_> {
    match ownership {
        Ownership::HeldBy(holder) => LeaseLoss::Held(holder),
        Ownership::SettledAs(settled) => LeaseLoss::Done(settled),
        Ownership::Forgotten | Ownership::Ours => LeaseLoss::Forgotten,
    }
}
