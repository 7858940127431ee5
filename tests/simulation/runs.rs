//! Runs as their keepers have them: they begin at their instant and are gone by the end
//! of trust, whatever the node does.

use std::time::Duration;

use solocron::claim::Token;
use solocron::clock::{BootInstant, ClusterTime};
use solocron::daemon::engine::{Event, Start};
use solocron::outcome::Outcome;
use solocron::run::{Report, Stop, Trust};
use solocron::slot::Slot;

use crate::oracle::Moment;
use crate::world::{Item, World, ms};

/// A run: its keeper, and its processes once they were started.
#[derive(Debug)]
pub(crate) struct SimRun {
    pub(crate) node: usize,
    pub(crate) epoch: u32,
    pub(crate) token: Token,
    pub(crate) slot: Slot,
    start: Start,
    /// Since when its processes live, if they do.
    pub(crate) begun: Option<ClusterTime>,
    /// When they are started, unless something comes before.
    begins: BootInstant,
    /// When its keeper hears that they are not to be.
    withdrawn: Option<ClusterTime>,
    lasts: Duration,
    /// When it ends, and how, unless something comes before.
    ends: ClusterTime,
    outcome: Outcome,
    /// The keeper's deadline.
    trusted_until: ClusterTime,
    grace: Duration,
}

impl World {
    pub(crate) fn begin_run(&mut self, node: usize, start: Start) {
        let trusted_until = self.at(node, start.trusted_until);
        let long = self.rng.u8(..4) == 0;
        let lasts = ms(self.rng.u64(1..if long { 9_000 } else { 1_200 }));
        let outcome = match self.rng.u8(..5) {
            0 => Outcome::Failed,
            1 => Outcome::TimedOut,
            _ => Outcome::Succeeded,
        };
        let run = SimRun {
            node,
            epoch: self.nodes[node].epoch,
            token: start.token,
            slot: start.slot.clone(),
            begun: None,
            begins: start.not_before,
            withdrawn: None,
            lasts,
            ends: trusted_until,
            outcome,
            trusted_until,
            grace: start.job.grace_on_lost_lease(),
            start,
        };
        let number = self.oracle.count_run();
        self.runs.insert(number, run);
        self.look_at(number);
    }

    /// The processes of a run are started.
    fn start_processes(&mut self, number: u64) {
        let Some(mut run) = self.runs.remove(&number) else { return };
        let (node, slot) = (run.node, &run.slot);
        self.note(|| format!("node {node} runs {slot}, attempt {}", run.start.attempt));
        let record = self.store.look(|step| {
            step.records().find(|(of, _)| **of == run.slot).map(|(_, record)| record.clone())
        });
        let alive = self.runs.values().filter(|run| run.begun.is_some());
        let moment = Moment { now: self.now, believed: self.believed(node) };
        self.oracle.run_begins(moment, &run, &run.start, record.as_ref(), alive);
        run.begun = Some(self.now);
        run.ends = self.now + run.lasts;
        self.runs.insert(number, run);
    }

    /// A new deadline, or the word that the lease is another's.
    pub(crate) fn prolong(&mut self, node: usize, token: Token, trust: Trust) {
        let Some(number) = self.run_under(node, token) else { return };
        let until = match trust {
            Trust::Until(at) => self.at(node, at),
            Trust::Lost => self.now + self.runs[&number].grace,
        };
        let Some(run) = self.runs.get_mut(&number) else { return };
        if trust == Trust::Lost {
            run.trusted_until = run.trusted_until.min(until);
            run.ends = run.ends.min(run.trusted_until);
            run.outcome = Outcome::LeaseLost;
        } else {
            run.trusted_until = run.trusted_until.max(until);
        }
        self.look_at(number);
    }

    /// Another instant at which a run begins.
    pub(crate) fn move_run(&mut self, node: usize, token: Token, at: BootInstant) {
        let Some(number) = self.run_under(node, token) else { return };
        if let Some(run) = self.runs.get_mut(&number) {
            run.begins = at;
        }
        self.look_at(number);
    }

    pub(crate) fn stop_run(&mut self, node: usize, token: Token, stop: Stop) {
        let Some(number) = self.run_under(node, token) else { return };
        let takes = match stop {
            Stop::Kill => Duration::ZERO,
            Stop::Withdraw => Duration::from_micros(self.rng.u64(0..2_000)),
            Stop::Drain | Stop::Cancel => ms(self.rng.u64(0..1_000)),
        };
        let Some(run) = self.runs.get_mut(&number) else { return };
        let at = self.now + takes;
        match stop {
            Stop::Withdraw => run.withdrawn = Some(at),
            _ if run.begun.is_none() || run.ends > at => {
                run.ends = at;
                run.outcome = match stop {
                    Stop::Cancel => Outcome::Cancelled,
                    Stop::Drain | Stop::Kill | Stop::Withdraw => Outcome::HandedOver,
                };
            }
            _ => {}
        }
        if run.begun.is_none() && stop != Stop::Withdraw {
            let outcome = run.outcome;
            return self.end_run(number, outcome);
        }
        self.schedule(at, Item::Look { run: number });
    }

    /// The node is dead: its keepers end what they keep.
    pub(crate) fn orphan_runs(&mut self, node: usize) {
        let mut looks = Vec::new();
        self.runs.retain(|_, run| run.node != node || run.begun.is_some());
        for (&number, run) in self.runs.iter_mut().filter(|(_, run)| run.node == node) {
            run.trusted_until = run.trusted_until.min(self.now + run.grace);
            looks.push((number, run.trusted_until));
        }
        for (number, at) in looks {
            self.schedule(at, Item::Look { run: number });
        }
    }

    pub(crate) fn look_at(&mut self, number: u64) {
        let now = self.now;
        let Some(run) = self.runs.get(&number) else { return };
        let begins = self.at(run.node, run.begins);
        if run.begun.is_none() {
            let last = run.trusted_until - run.grace;
            if run.outcome == Outcome::LeaseLost || now >= last {
                return self.end_run(number, Outcome::LeaseLost);
            }
            if run.withdrawn.is_some_and(|at| at <= now) {
                return self.end_run(number, Outcome::HandedOver);
            }
            if now < begins {
                let look = begins.min(last);
                self.schedule(look, Item::Look { run: number });
                return;
            }
            self.start_processes(number);
        }
        let Some(run) = self.runs.get(&number) else { return };
        if now >= run.ends {
            let outcome = run.outcome;
            self.end_run(number, outcome);
        } else if now >= run.trusted_until {
            self.end_run(number, Outcome::LeaseLost);
        } else {
            let look = run.ends.min(run.trusted_until);
            self.schedule(look, Item::Look { run: number });
        }
    }

    fn end_run(&mut self, number: u64, outcome: Outcome) {
        let Some(run) = self.runs.remove(&number) else { return };
        let (node, epoch, now) = (run.node, run.epoch, self.now);
        self.note(|| format!("the run of {} on node {node} ends: {outcome}", run.slot));
        if self.nodes[node].epoch != epoch {
            return;
        }
        let boot = self.boot(node);
        let report = Report {
            outcome,
            began: run.begun.is_some(),
            exit_code: None,
            signal: None,
            error: None,
            started: boot.minus(now.since(run.begun.unwrap_or(now))),
            finished: boot,
            tail: String::new(),
            pid: Some(1),
        };
        // Not before the node has done what it is doing.
        let event = Box::new(Event::RunEnded { token: run.token, report });
        self.schedule(now, Item::Tell { node, epoch, event });
    }
}
