//! Runs in progress: their leases, and the record of their end.

use super::*;
use crate::log::events::{self, Finish, LeaseLoss};
use crate::outcome::Outcome;

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
                    keep_record: self.keep_open(),
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
            if ownership == Ownership::Ours {
                self.book.granted(token, sent);
                if let Some(until) = self.book.trusted_until(token) {
                    actions.push(Action::Tell(token, Trust::Until(until)));
                }
            } else if let Some(running) = self.running.get(&token).filter(|running| !running.over) {
                self.book.strike(token);
                events::lease_lost(running.as_run(token), loss(&ownership));
                actions.push(Action::Tell(token, Trust::Lost));
            } else {
                // Of a run that is over the answer to its completion tells: that may
                // have been first.
                self.book.unanswered(token, now.boot);
            }
        }
    }

    pub(super) fn on_run_ended(&mut self, now: Now, token: Token, report: Report) {
        let Some(running) = self.running.get(&token) else { return };
        if report.outcome == Outcome::LeaseLost && self.book.holds(token) {
            events::lease_lost(running.as_run(token), LeaseLoss::NotRenewed);
        }
        let finish = Finish {
            outcome: report.outcome,
            exit_code: report.exit_code,
            signal: report.signal,
            duration: report.finished.since(report.started),
            error: report.error.as_deref(),
        };
        events::run_finished(running.as_run(token), &finish);
        if report.outcome == Outcome::LeaseLost {
            // Whoever settles the slot writes what became of it; this node could
            // not prove that it was still its own.
            self.book.strike(token);
            self.running.remove(&token);
            return;
        }
        self.killed += usize::from(report.outcome == Outcome::HandedOver);
        self.write_end(now, token, report);
    }

    /// A slot won while draining is given to the others without having run.
    pub(super) fn hand_over_unstarted(&mut self, now: Now, token: Token, running: Running) {
        self.running.insert(token, running);
        let report = Report {
            outcome: Outcome::HandedOver,
            exit_code: None,
            signal: None,
            error: Some(format!("{} was draining and did not start it", self.identity.node)),
            started: now.boot,
            finished: now.boot,
            tail: String::new(),
            pid: None,
        };
        self.write_end(now, token, report);
    }

    /// Has the end of a run written down, and its slot with it.
    fn write_end(&mut self, now: Now, token: Token, report: Report) {
        let Some(running) = self.running.get_mut(&token) else { return };
        running.over = true;
        let running = &self.running[&token];
        self.completions.put(Completion {
            slot: running.slot.clone(),
            token,
            run_id: token.run_id(),
            attempt: running.attempt,
            fence: running.fence,
            outcome: report.outcome,
            started_at: now.offset.cluster_time(report.started),
            finished_at: now.offset.cluster_time(report.finished),
            exit_code: report.exit_code,
            signal: report.signal,
            error: report.error,
            tail: report.tail,
            keep_record: match report.outcome {
                Outcome::HandedOver => self.keep_open(),
                _ => self.keep_settled(&running.job, running.slot.at),
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
                self.completions.acknowledged();
                for (completion, ownership) in completions.into_iter().zip(answer) {
                    self.book.strike(completion.token);
                    let running = self.running.remove(&completion.token);
                    if ownership != Ownership::Ours
                        && let Some(running) = running
                    {
                        events::lease_lost(running.as_run(completion.token), loss(&ownership));
                    }
                }
            }
            Err(_) => self.completions.unanswered(completions, now.boot),
        }
    }
}

/// What an answer that is not [`Ownership::Ours`] says of a lease.
fn loss(ownership: &Ownership) -> LeaseLoss<'_> {
    match ownership {
        Ownership::HeldBy(holder) => LeaseLoss::Held(holder),
        Ownership::SettledAs(settled) => LeaseLoss::Done(settled),
        Ownership::Forgotten | Ownership::Ours => LeaseLoss::Forgotten,
    }
}
