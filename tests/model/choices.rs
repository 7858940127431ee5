//! What may happen in a state: everything that is due, in any order, and everything that may
//! go wrong as long as something may. Time goes on when nothing is due.

use solocron::outcome::Outcome;

use crate::node::{Life, Node, Pending, Settling};
use crate::run::Stage;
use crate::scene::{NODES, SLOTS};
use crate::world::{Action, Cluster, Fault, Op, State, Way};

impl Cluster {
    /// What the node has to ask the store.
    fn ops(&self, state: &State, n: u8) -> Vec<Op> {
        let (node, now) = (state.node(n), state.now);
        let mut ops = Vec::new();
        for slot in 0..SLOTS as u8 {
            let place = usize::from(slot);
            if let Some(Pending { number, why, from, asked: false, .. }) = node.desk[place]
                && from <= now
            {
                let advance = node.advances(slot, why, self.broken);
                ops.push(Op::Claim { slot, number, why, advance });
            }
            if let Some(run) = node.runs[place] {
                let number = run.number;
                if !run.renewing && run.renewal.is_some_and(|due| due <= now) {
                    ops.push(Op::Renew { slot, number });
                }
                if let Stage::Over { outcome, then, from, asked: false } = run.stage
                    && from <= now
                {
                    ops.push(Op::Complete { slot, number, attempt: run.attempt, outcome, then });
                }
            }
            if let Some((number, false)) = node.forfeits[place] {
                ops.push(Op::Forfeit { slot, number });
            }
            if let Some((tok, false)) = node.abandons[place] {
                ops.push(Op::Abandon { slot, tok });
            }
        }
        if let Settling::Drafted { expected, upto, missed, catch_up, asked: false, .. } =
            node.settling
        {
            ops.push(Op::Report { expected, upto, missed, catch_up });
        }
        ops
    }

    /// What the node does that needs the store, beside its requests.
    fn looks(&self, state: &State, n: u8, actions: &mut Vec<Action>) {
        let node = state.node(n);
        if self.look(state, n).is_some() {
            actions.push(Action::Look(n));
        }
        let settles = node.gap.is_some()
            && !node.draining
            && node.gap_from <= state.now
            && node.forfeits.iter().all(Option::is_none);
        match node.settling {
            Settling::No if settles => actions.push(Action::AskTime(n)),
            Settling::Timed { .. } => actions.push(Action::AskRecords(n)),
            Settling::No | Settling::Drafted { .. } => {}
        }
    }

    /// What may happen to the runs of a node, and whether time waits for one.
    fn ends(&self, state: &State, n: u8, actions: &mut Vec<Action>) -> bool {
        let node = state.node(n);
        let mut urgent = false;
        for (slot, run) in (0..).zip(&node.runs) {
            let Some(run) = run else { continue };
            match run.stage {
                Stage::Ending(_) => actions.push(Action::End(n, slot, Outcome::LeaseLost)),
                Stage::Alive => {
                    let told = run.cancelled || node.draining && node.is_up();
                    if run.cancelled {
                        actions.push(Action::End(n, slot, Outcome::Cancelled));
                    } else {
                        actions.push(Action::End(n, slot, Outcome::Succeeded));
                        if self.scene.job.policies.retry.attempts > 1 {
                            actions.push(Action::End(n, slot, Outcome::Failed));
                        }
                        if told {
                            actions.push(Action::End(n, slot, Outcome::HandedOver));
                        }
                    }
                    urgent |= told || state.now - run.began >= self.bounds.longest;
                }
                Stage::Over { .. } | Stage::Rests => {}
            }
        }
        urgent
    }

    /// What happens to requests on their way, and whether time waits for one.
    fn ways(&self, state: &State, actions: &mut Vec<Action>) -> bool {
        let mut urgent = false;
        for (i, flight) in (0..).zip(&state.flights) {
            let hears = state.node(flight.node).is_up();
            match flight.way {
                Way::There if state.store_up => actions.push(Action::Apply(i)),
                Way::Back(_) if hears => actions.push(Action::Deliver(i)),
                Way::There | Way::Back(_) => {}
            }
            if flight.awaited && hears && flight.sent < state.now {
                actions.push(Action::GiveUp(i));
                urgent = true;
            }
        }
        urgent
    }

    fn faults(&self, state: &State, ops: &[(u8, Op)], actions: &mut Vec<Action>) {
        if state.budget == 0 || state.now > self.bounds.calm {
            return;
        }
        let mut may = |fault, action| {
            if self.may(fault) {
                actions.push(action);
            }
        };
        for &(n, op) in ops {
            may(Fault::Slow, Action::Send(n, op));
            may(Fault::Twice, Action::AskTwice(n, op));
        }
        for n in 0..NODES as u8 {
            let node = state.node(n);
            if node.is_up() {
                may(Fault::Crash, Action::Crash(n));
                may(Fault::Freeze, Action::Freeze(n));
                may(Fault::Machine, Action::FreezeMachine(n));
                if !node.draining {
                    may(Fault::Drain, Action::Drain(n));
                }
            }
        }
        if state.store_up {
            may(Fault::Outage, Action::StoreDown);
            may(Fault::LosesTail, Action::StoreDown);
        }
        if state.jumped == 0 {
            may(Fault::Jump, Action::StoreClockJumps);
        }
    }

    /// Everything that may happen.
    pub(crate) fn what_may_happen(&self, state: &State, actions: &mut Vec<Action>) {
        if state.now >= self.bounds.horizon {
            return;
        }
        let over = state.now >= self.bounds.calm;
        let mut ops = Vec::new();
        let mut urgent = self.ways(state, actions);
        for n in 0..NODES as u8 {
            let node = state.node(n);
            if node.is_up() && state.store_up {
                ops.extend(self.ops(state, n).into_iter().map(|op| (n, op)));
                let before = actions.len();
                self.looks(state, n, actions);
                urgent |= actions.len() > before;
            }
            urgent |= self.ends(state, n, actions);
        }
        urgent |= !ops.is_empty();
        actions.extend(ops.iter().map(|&(n, op)| Action::Ask(n, op)));
        let is_well = |node: &Node| node.is_up() && !node.draining;
        let well = state.nodes.iter().any(is_well);
        for n in 0..NODES as u8 {
            match state.node(n).life {
                // After the last fault only where there is nobody else.
                Life::Down if state.store_up && (!over || !well) => actions.push(Action::Start(n)),
                Life::Frozen => actions.push(Action::Thaw(n)),
                _ => {}
            }
        }
        // It takes a while to come back.
        if !state.store_up && state.down_since < state.now {
            actions.push(Action::StoreUp);
            if state.durable.is_some() {
                actions.push(Action::StoreUpWithoutTail);
            }
        }
        urgent |= over && (!well || !state.store_up && state.down_since < state.now);
        self.faults(state, &ops, actions);
        if !urgent {
            actions.push(Action::Tick);
        }
        assert!(!actions.is_empty(), "time stands still: {state:#?}");
    }
}
