//! Open slots that want somebody: those whose holder was lost, those that nobody
//! holds, and runs that are to be cancelled.
//!
//! They are found in the store, never in this node's memory, so it works also when
//! every node that saw the claim is gone. Every node looks once a second, and at the
//! instant at which the store says the next lease may lapse.

use std::collections::HashSet;

use super::retries::RESTED;
use super::rules::Fate;
use super::*;
use crate::log::events;
use crate::outcome::Outcome;
use crate::policy::Overlap;
use crate::run::Stop;
use crate::store::{Abandonment, Cancel, Open, OpenState, Sweep};

/// A slot that this node may not run is left to the others for so long: their tables
/// may differ while a deployment rolls, and the nodes that may run it may be away.
const UNTAKEN_FOR: Duration = Duration::from_secs(600);

/// How often it is looked at least.
const PERIOD: Duration = Duration::from_secs(1);

/// Two sweeps are at least so far apart.
const PAUSE: Duration = Duration::from_millis(50);

/// What is known of the next sweep, and of slots left to others.
#[derive(Debug, Default)]
pub(super) struct Sweeps {
    under_way: bool,
    last: Option<BootInstant>,
    next: Option<BootInstant>,
    /// Slots that this node may not run, and since when it knows.
    untaken: HashMap<Slot, BootInstant>,
}

impl Sweeps {
    /// When the next is due, beside that of every beat.
    pub(super) fn next(&self) -> Option<BootInstant> {
        self.next.filter(|_| !self.under_way)
    }

    /// The store was away: who has waited for a slot has waited in vain.
    pub(super) fn store_is_back(&mut self, now: BootInstant) {
        self.untaken.clear();
        self.want(now);
    }

    /// One is wanted a while after the last.
    pub(super) fn want_next(&mut self, now: BootInstant) {
        self.want(self.last.map_or(now, |last| last + PERIOD));
    }

    /// One is wanted at `at`, or earlier.
    pub(super) fn want(&mut self, at: BootInstant) {
        let at = self.last.map_or(at, |last| at.max(last + PAUSE));
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

impl Engine {
    pub(super) fn sweep(&mut self, now: Now, actions: &mut Vec<Action>) {
        // A node that drains takes nothing, but what it runs may be cancelled.
        let wanted = match self.phase {
            Phase::Open => true,
            Phase::Draining(_) => !self.running.is_empty(),
            Phase::Opening { .. } | Phase::Finished => false,
        };
        if wanted && self.store_is_up && !self.sweeps.under_way {
            self.sweeps.under_way = true;
            self.sweeps.last = Some(now.boot);
            self.sweeps.next = None;
            actions.push(Action::Sweep);
        }
    }

    pub(super) fn sweep_if_due(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.sweeps.next().is_some_and(|next| next <= now.boot) {
            self.sweeps.next = None;
            self.sweep(now, actions);
        }
    }

    pub(super) fn on_swept(
        &mut self,
        now: Now,
        sent: BootInstant,
        answer: StoreResult<Sweep>,
        actions: &mut Vec<Action>,
    ) {
        self.sweeps.under_way = false;
        let Ok(sweep) = answer else { return };
        self.distance.note(now.boot.since(sent));
        for cancel in sweep.cancels {
            self.cancel(now, &cancel, actions);
        }
        if self.phase != Phase::Open {
            return;
        }
        if let Some(next) = sweep.next {
            self.sweeps.want(now.offset.boot_instant(next));
        }
        self.heed_version(now, sweep.control, actions);
        // What this node has no room for is not its business: another may take it.
        let mut room = self.room();
        let mut abandoned = Vec::new();
        let known = std::mem::take(&mut self.sweeps.untaken);
        // One of a job at a time where they take turns: the others wait anyway.
        let mut in_turn = HashSet::new();
        for open in sweep.open {
            // Our own run: its completion is under way, or it is being ended.
            if self.running.contains_key(&open.token) {
                continue;
            }
            let job = self.find(&open.slot);
            match rules::open_slot(&self.identity.node, job.as_ref(), &open) {
                Fate::Claim(job, cause) => {
                    let turns = job.policies.overlap != Overlap::Allow
                        && matches!(open.state, OpenState::Ready(_));
                    if room == 0 || turns && !in_turn.insert(open.slot.job.clone()) {
                        continue;
                    }
                    let until = now.cluster();
                    if self.desk.put(open.slot, job, cause, until, now.boot, &mut self.tokens) {
                        room -= 1;
                    }
                }
                Fate::Abandon(why) => abandoned.push(self.abandonment(open, why, None)),
                Fate::Leave(unless, why) => {
                    let since = known.get(&open.slot).copied().unwrap_or(now.boot);
                    if now.boot.since(since) < UNTAKEN_FOR {
                        self.sweeps.untaken.insert(open.slot, since);
                    } else {
                        let why = why.to_owned();
                        abandoned.push(self.abandonment(open, why, Some(unless)));
                    }
                }
            }
        }
        if !abandoned.is_empty() {
            actions.push(Action::Abandon(abandoned));
        }
    }

    fn abandonment(&self, open: Open, why: String, unless: Option<Unless>) -> Abandon {
        let keep_record = match self.find(&open.slot) {
            Some(job) => self.keep_settled(&job, &open.slot),
            // How late a claim of it may come only the others know.
            None => self.settings.keep_open(),
        };
        let retention = self.settings.retention;
        let what = Abandonment {
            was_lost: open.state == OpenState::Lost,
            slot: open.slot,
            token: open.token,
            why,
            keep_record,
            retention,
        };
        Abandon { what, from: open.node, attempt: open.attempt, unless }
    }

    /// Somebody wants the end of a run; of ours, if it is.
    fn cancel(&mut self, now: Now, cancel: &Cancel, actions: &mut Vec<Action>) {
        let Some(running) = self.running.get_mut(&cancel.token) else { return };
        if running.cancelled.replace(cancel.cause).is_some() {
            return;
        }
        let running = &self.running[&cancel.token];
        events::control_cancelled(running.as_run(cancel.token), cancel.cause);
        if running.is_alive() {
            actions.push(Action::Stop(cancel.token, Stop::Cancel));
        } else if running.rests() {
            self.retries.forget(cancel.token);
            self.end_without_run(now, cancel.token, Outcome::Cancelled, RESTED);
        }
    }
}
