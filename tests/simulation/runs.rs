//! Runs as their keepers have them: gone by the end of trust, whatever the node does.

use std::time::Duration;

use solocron::claim::Token;
use solocron::clock::ClusterTime;
use solocron::daemon::engine::{Event, Start};
use solocron::outcome::Outcome;
use solocron::run::{Report, Stop, Trust};
use solocron::slot::Slot;

use crate::world::{Item, World, ms};

/// A run whose processes live.
#[derive(Debug)]
pub(crate) struct SimRun {
    pub(crate) node: usize,
    pub(crate) epoch: u32,
    pub(crate) token: Token,
    pub(crate) slot: Slot,
    started: ClusterTime,
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
            started: self.now,
            ends: self.now + lasts,
            outcome,
            trusted_until,
            grace: start.job.grace_on_lost_lease(),
        };
        self.note(|| format!("node {node} runs {}, attempt {}", start.slot, start.attempt));
        let record = self.store.look(|step| {
            step.records().find(|(slot, _)| **slot == start.slot).map(|(_, record)| record.clone())
        });
        self.oracle.run_begins(self.now, &run, &start, record.as_ref(), self.runs.values());
        let number = self.oracle.count_run();
        let look = run.ends.min(run.trusted_until);
        self.runs.insert(number, run);
        self.schedule(look, Item::Look { run: number });
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
        let look = run.ends.min(run.trusted_until);
        self.schedule(look, Item::Look { run: number });
    }

    pub(crate) fn stop_run(&mut self, node: usize, token: Token, stop: Stop) {
        let Some(number) = self.run_under(node, token) else { return };
        let takes = match stop {
            Stop::Kill => Duration::ZERO,
            Stop::Drain | Stop::Cancel => ms(self.rng.u64(0..1_000)),
        };
        let Some(run) = self.runs.get_mut(&number) else { return };
        if run.ends > self.now + takes {
            run.ends = self.now + takes;
            run.outcome = match stop {
                Stop::Cancel => Outcome::Cancelled,
                Stop::Drain | Stop::Kill => Outcome::HandedOver,
            };
            self.schedule(self.now + takes, Item::Look { run: number });
        }
    }

    /// The node is dead: its keepers end what they keep.
    pub(crate) fn orphan_runs(&mut self, node: usize) {
        let mut looks = Vec::new();
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
        if now < run.ends && now < run.trusted_until {
            return;
        }
        let Some(run) = self.runs.remove(&number) else { return };
        let outcome = if run.ends <= now { run.outcome } else { Outcome::LeaseLost };
        let (node, epoch) = (run.node, run.epoch);
        self.note(|| format!("the run of {} on node {node} ends: {outcome}", run.slot));
        if self.nodes[node].epoch != epoch {
            return;
        }
        let boot = self.boot(node);
        let report = Report {
            outcome,
            exit_code: None,
            signal: None,
            error: None,
            started: boot.minus(now.since(run.started)),
            finished: boot,
            tail: String::new(),
            pid: Some(1),
        };
        self.tell_node(node, Event::RunEnded { token: run.token, report });
    }
}
