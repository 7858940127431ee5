//! Runs that failed and are tried again: on this node, under the same lease.
//!
//! The end of the failed run is in the ledger before its slot rests; the lease is
//! renewed meanwhile. A node that drains gives a resting slot to the others, who
//! begin its next run when it would have begun here.

use super::*;
use crate::log::events;
use crate::outcome::Outcome;

use super::runs::Stage;

/// How soon a run is looked at again that could not start because its lease was not
/// renewed lately.
const LEASE_PAUSE: Duration = Duration::from_millis(100);

/// What a slot did that ended between two runs.
pub(super) const RESTED: &str = "it waited for its next try";

/// When which slot's next run begins.
#[derive(Debug, Default)]
pub(super) struct Retries {
    at: BTreeMap<BootInstant, Vec<Token>>,
}

impl Retries {
    pub(super) fn next(&self) -> Option<BootInstant> {
        self.at.first_key_value().map(|(&at, _)| at)
    }

    fn put(&mut self, at: BootInstant, token: Token) {
        self.at.entry(at).or_default().push(token);
    }

    fn take_due(&mut self, now: BootInstant) -> Vec<Token> {
        let mut due = Vec::new();
        while let Some(first) = self.at.first_entry().filter(|first| *first.key() <= now) {
            due.extend(first.remove());
        }
        due
    }

    /// `token` rests no more.
    pub(super) fn forget(&mut self, token: Token) {
        self.at.retain(|_, tokens| {
            tokens.retain(|other| *other != token);
            !tokens.is_empty()
        });
    }
}

impl Engine {
    /// The end of a failed run is written: its slot rests until the next.
    pub(super) fn rest(&mut self, now: Now, token: Token) {
        let Some(mut running) = self.running.remove(&token) else { return };
        let seed = running.fence.get();
        running.failures += 1;
        running.attempt += 1;
        (running.begins, running.withdrawn) = (None, None);
        let wait = running.job.policies.retry.wait_before(running.failures, seed);
        let until = now.boot + wait;
        events::run_retrying(running.as_run(token), running.failures, wait);
        if running.cancelled.is_some() {
            self.running.insert(token, running);
            self.end_without_run(now, token, Outcome::Cancelled, RESTED);
        } else if self.is_draining() {
            self.hand_over_unstarted(now, token, running, Some(now.offset.cluster_time(until)));
        } else {
            running.stage = Stage::Rests(until);
            self.running.insert(token, running);
            self.retries.put(until, token);
        }
    }

    /// Begins the runs whose rest is over.
    pub(super) fn retry_runs(&mut self, now: Now, actions: &mut Vec<Action>) {
        for token in self.retries.take_due(now.boot) {
            let Some(running) = self.running.get_mut(&token) else { continue };
            let grace = running.job.grace_on_lost_lease();
            let trusted = self.book.trusted_until(token).filter(|at| at.minus(grace) > now.boot);
            match trusted {
                Some(trusted_until) => {
                    running.stage = Stage::Alive;
                    actions.push(Action::Start(running.start(token, trusted_until)));
                }
                // Nothing runs, so a lease that lapsed and that nobody took may still be
                // renewed; and if it is not, the answer says so.
                None => {
                    let later = now.boot + LEASE_PAUSE;
                    running.stage = Stage::Rests(later);
                    self.retries.put(later, token);
                }
            }
        }
    }

    /// The node drains: what rests is given to the others.
    pub(super) fn hand_over_resting(&mut self, now: Now) {
        let resting: Vec<_> = self
            .running
            .iter()
            .filter_map(|(&token, running)| match running.stage {
                Stage::Rests(until) => Some((token, until)),
                Stage::Alive | Stage::Over { .. } => None,
            })
            .collect();
        for (token, until) in resting {
            self.retries.forget(token);
            if let Some(running) = self.running.remove(&token) {
                let until = now.offset.cluster_time(until);
                self.hand_over_unstarted(now, token, running, Some(until));
            }
        }
    }
}
