//! Runs that wait for their instant: slots that were won ahead of it.
//!
//! Invariants:
//!
//! - A run begins at its instant by the cluster's clock as this node knows it then. When
//!   that clock is put right meanwhile, its keeper is told another instant.
//! - What would have kept the slot from being claimed keeps its run from beginning: a drain,
//!   a pause, a table in which it is no more. The keeper has the last word: a run that it
//!   has begun goes on, one that it has not never begins.
//! - The store is asked for news (pauses, cancels) once more just before the instant, and
//!   while it has some that were not read yet, nothing begins.
//! - The lease is renewed meanwhile like that of every run.

use super::*;
use crate::control::Control;
use crate::log::events::{self, Skip};
use crate::outcome::{MissedReason, Outcome};
use crate::run::Stop;

use super::runs::{Begins, Running};

/// How long before its instant a keeper should have heard that its run is not to begin.
const WORD: Duration = Duration::from_millis(5);

/// Later than any run is to begin.
const NOT_YET: BootInstant = BootInstant::from_nanos(u64::MAX);

/// Why a run is not to begin.
#[derive(Debug, Clone)]
pub(super) enum Withdrawal {
    /// The node drains: another may run the slot when it is due.
    Draining,
    /// This node may not run the job any more; others may.
    NotOurs,
    /// The job is paused.
    Paused,
    /// The table has the job otherwise: it begins as that.
    Anew(Arc<Job>),
    /// The table does not have the slot any more.
    Gone,
}

impl Running {
    /// Whether its run has not begun, as far as is known.
    pub(super) fn waits(&self, now: Now) -> bool {
        self.is_alive()
            && self.begins.is_some_and(|begins| begins.told > now.boot || begins.at > now.cluster())
    }
}

impl Engine {
    /// What is asked for just before `due` is heard of before it.
    pub(super) fn look_before(&mut self, due: BootInstant, now: Now) {
        let at = due.minus(self.pace().answered() + WORD);
        if at > now.boot {
            self.sweeps.want(at);
        }
    }

    /// A run begins at `at`, or when it is known what is new.
    pub(super) fn begins(&self, now: Now, at: ClusterTime) -> Begins {
        let reading = self.commands.is_reading();
        Begins { at, told: if reading { NOT_YET } else { now.offset.boot_instant(at) } }
    }

    /// The runs that wait and are not withdrawn.
    fn those_that_wait(&self, now: Now) -> Vec<Token> {
        let waits = |running: &Running| running.withdrawn.is_none() && running.waits(now);
        self.running.iter().filter(|(_, one)| waits(one)).map(|(&token, _)| token).collect()
    }

    fn tell_begin(&mut self, token: Token, at: BootInstant, actions: &mut Vec<Action>) {
        let running = self.running.get_mut(&token);
        if let Some(begins) = running.and_then(|running| running.begins.as_mut())
            && begins.told != at
        {
            begins.told = at;
            actions.push(Action::Begin(token, at));
        }
    }

    /// The clock may have been put right.
    pub(super) fn follow_the_clock(&mut self, now: Now, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.followed, now.offset) != now.offset
            && !self.commands.is_reading()
        {
            self.let_those_begin_that_wait(now, actions);
        }
    }

    /// Nothing begins until it is known what is new.
    pub(super) fn hold_those_that_wait(&mut self, now: Now, actions: &mut Vec<Action>) {
        for token in self.those_that_wait(now) {
            self.tell_begin(token, NOT_YET, actions);
        }
    }

    /// What waits begins at its instant.
    pub(super) fn let_those_begin_that_wait(&mut self, now: Now, actions: &mut Vec<Action>) {
        for token in self.those_that_wait(now) {
            if let Some(Begins { at, .. }) = self.running[&token].begins {
                self.tell_begin(token, now.offset.boot_instant(at), actions);
            }
        }
    }

    fn withdraw(&mut self, token: Token, why: Withdrawal, actions: &mut Vec<Action>) {
        if let Some(running) = self.running.get_mut(&token) {
            running.withdrawn = Some(why);
            actions.push(Action::Stop(token, Stop::Withdraw));
        }
    }

    /// The node drains.
    pub(super) fn withdraw_all(&mut self, now: Now, actions: &mut Vec<Action>) {
        for token in self.those_that_wait(now) {
            self.withdraw(token, Withdrawal::Draining, actions);
        }
    }

    /// Jobs may have been paused.
    pub(super) fn withdraw_what_is_paused(
        &mut self,
        now: Now,
        control: &Control,
        actions: &mut Vec<Action>,
    ) {
        for token in self.those_that_wait(now) {
            let running = &self.running[&token];
            let Some(Begins { at, .. }) = running.begins else { continue };
            let pauses = control.pauses.get(&running.job.name);
            let binds = running.slot.trigger.is_none() && running.attempt == 1;
            if binds && pauses.is_some_and(|pauses| pauses.forbids(at).is_some()) {
                self.withdraw(token, Withdrawal::Paused, actions);
            }
        }
    }

    /// Another table is in force.
    pub(super) fn withdraw_what_changed(&mut self, now: Now, actions: &mut Vec<Action>) {
        for token in self.those_that_wait(now) {
            let running = &self.running[&token];
            if let Some(why) = self.since_reload(now, &running.slot, &running.job) {
                self.withdraw(token, why, actions);
            }
        }
    }

    /// Why a slot that is claimed as one of `job` is not to be run so, now that the table
    /// may be another. One that has come is run as it was.
    pub(super) fn since_reload(&self, now: Now, slot: &Slot, job: &Arc<Job>) -> Option<Withdrawal> {
        if slot.trigger.is_some() || job.due(slot.at) <= now.cluster() {
            return None;
        }
        let Some(new) = self.table.get(&slot.job) else { return Some(Withdrawal::Gone) };
        if Arc::ptr_eq(new, job) {
            return None;
        }
        let before = SlotTime::from_unix_seconds(slot.at.unix_seconds() - 1);
        // One that has come and is only delayed stays, whatever becomes of the schedule.
        let has_come = slot.at.cluster_time() <= now.cluster();
        if !new.enabled || !has_come && new.schedule.next_after(before) != Some(slot.at) {
            return Some(Withdrawal::Gone);
        }
        if !self.is_for_us(new) {
            return Some(Withdrawal::NotOurs);
        }
        let other_schedule = has_come && new.digest != job.digest;
        let same = new.fingerprint() == job.fingerprint() && new.env == job.env;
        (!other_schedule && !same).then(|| Withdrawal::Anew(Arc::clone(new)))
    }

    /// A run ended that never began.
    pub(super) fn on_never_began(&mut self, now: Now, token: Token, actions: &mut Vec<Action>) {
        let Some(mut running) = self.running.remove(&token) else { return };
        // Without a reason of its own it was a drain that ended it.
        let why = running.withdrawn.take().unwrap_or(Withdrawal::Draining);
        self.give_away(now, token, running, why, actions);
    }

    /// What becomes of a slot that was won and is not to be run so. Nothing of it lives.
    pub(super) fn give_away(
        &mut self,
        now: Now,
        token: Token,
        running: Running,
        why: Withdrawal,
        actions: &mut Vec<Action>,
    ) {
        let due = running.begins.map(|begins| begins.at);
        match why {
            _ if running.cancelled.is_some() => {
                self.running.insert(token, running);
                let why = "it was cancelled before it began";
                self.end_without_run(now, token, Outcome::Cancelled, why);
            }
            Withdrawal::Paused => {
                events::slot_skipped(&running.slot, Skip::Paused);
                self.book.strike(token);
                self.forfeit(&running.job, running.slot, token, MissedReason::Paused);
            }
            Withdrawal::Gone => {
                self.running.insert(token, running);
                let why = "the job table was loaded anew before it began, and has it no more";
                self.end_without_run(now, token, Outcome::Cancelled, why);
            }
            Withdrawal::Anew(job) if !self.is_draining() => {
                self.begin_anew(now, token, running, job, actions);
            }
            Withdrawal::Draining | Withdrawal::NotOurs | Withdrawal::Anew(_) => {
                if self.is_draining() {
                    events::slot_skipped(&running.slot, Skip::Draining);
                }
                self.hand_over_unstarted(now, token, running, due);
            }
        }
    }

    /// The same slot under the same lease, as the table has it now.
    fn begin_anew(
        &mut self,
        now: Now,
        token: Token,
        mut running: Running,
        job: Arc<Job>,
        actions: &mut Vec<Action>,
    ) {
        let job = match self.since_reload(now, &running.slot, &job) {
            None => job,
            Some(Withdrawal::Anew(newer)) => newer,
            Some(why) => return self.give_away(now, token, running, why, actions),
        };
        running.begins = Some(self.begins(now, job.due(running.slot.at)));
        running.job = job;
        let grace = running.job.grace_on_lost_lease();
        let trusted = self.book.trusted_until(token).filter(|at| at.minus(grace) > now.boot);
        match trusted {
            Some(until) => {
                actions.push(Action::Start(running.start(token, until)));
                self.running.insert(token, running);
            }
            None => {
                events::lease_lost(running.as_run(token), events::LeaseLoss::NotRenewed);
                self.book.strike(token);
            }
        }
    }
}
