//! The end of a node: no new claims, runs finish, what did not is handed over.

use super::*;
use crate::log::events::{self, Skip};
use crate::run::Stop;

/// How long the store has to take the last completions when every run is over,
/// and how long anything is waited for after a second signal.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Drain {
    /// Runs may go on until then.
    patience: BootInstant,
    /// Nothing is waited for after that.
    ends: BootInstant,
    /// What the runs were told, once they were.
    stopped: Option<Stop>,
}

impl Engine {
    pub(super) fn on_drain(&mut self, now: Now, cause: &str, actions: &mut Vec<Action>) {
        if self.is_draining() {
            return;
        }
        let patience = now.boot + self.settings.drain_timeout;
        let longest_grace = self.running.values().map(|running| running.job.kill_grace).max();
        self.phase = Phase::Draining(Drain {
            patience,
            ends: patience + longest_grace.unwrap_or_default() + LAST_WORDS,
            stopped: None,
        });
        let alive = self.running.values().filter(|running| running.is_alive()).count();
        events::node_draining(cause, alive, self.settings.drain_timeout);
        self.hand_over_resting(now);
        self.withdraw_all(now, actions);
    }

    pub(super) fn on_kill(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.on_drain(now, "a second signal", actions);
        if let Phase::Draining(drain) = &mut self.phase
            && drain.stopped != Some(Stop::Kill)
        {
            drain.stopped = Some(Stop::Kill);
            drain.ends = now.boot + LAST_WORDS;
            self.stop_runs(Stop::Kill, actions);
        }
    }

    /// When the next step of the drain is due by itself.
    pub(super) fn next_drain_step(&self) -> Option<BootInstant> {
        match self.phase {
            Phase::Draining(Drain { patience, stopped: None, .. }) => Some(patience),
            Phase::Draining(Drain { ends, .. }) => Some(ends),
            _ => None,
        }
    }

    pub(super) fn go_on_draining(&mut self, now: Now, actions: &mut Vec<Action>) {
        let Phase::Draining(drain) = self.phase else { return };
        // What may be ours has to be known before it can be handed over; the rest
        // is left to the other nodes.
        for (slot, _) in self.desk.take_unmade() {
            events::slot_skipped(&slot, Skip::Draining);
        }
        let settled = self.running.is_empty()
            && self.desk.is_empty()
            && self.completions.is_empty()
            && self.forfeits.is_empty();
        if settled || now.boot >= drain.ends {
            self.phase = Phase::Finished;
            if !settled {
                tracing::warn!(
                    slots = self.running.len() + self.desk.len(),
                    "leaving although the store has not acknowledged everything; what it does \
                     not know counts as lost with this node"
                );
            }
            actions.push(Action::Finish { killed: self.killed, settled });
        } else if drain.stopped.is_none() && now.boot >= drain.patience {
            self.phase = Phase::Draining(Drain { stopped: Some(Stop::Drain), ..drain });
            self.stop_runs(Stop::Drain, actions);
        }
    }

    fn stop_runs(&self, stop: Stop, actions: &mut Vec<Action>) {
        let alive = self.running.iter().filter(|(_, running)| running.is_alive());
        actions.extend(alive.map(|(&token, _)| Action::Stop(token, stop)));
    }
}
