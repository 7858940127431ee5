//! What comes of what happens: the next state.

use solocron::claim::desk::Cause;
use solocron::control::Pauses;
use solocron::daemon::engine::rules::{self, Fate, Renewed, Win};
use solocron::daemon::gaps::Reckoner;
use solocron::ledger::missed::closed_slots;
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::store::OpenState;

use crate::broken::Broken;
use crate::node::{Life, Node, Pending, Settling, Why};
use crate::requests::carry_out;
use crate::run::{Next, Run, Stage, renewed};
use crate::scene::{NODES, SLOTS, at, offset};
use crate::store::{Stand, Step};
use crate::symmetry::order_fences;
use crate::world::{Action, Cluster, Flight, Op, Reply, State, Way};

impl Cluster {
    /// The state after `action`.
    pub(crate) fn after(&self, state: &State, action: Action) -> State {
        let mut new = state.clone();
        match action {
            Action::Tick => self.tick(&mut new),
            Action::Ask(n, op) => self.ask(&mut new, n, op),
            Action::Send(n, op) => {
                new.budget -= 1;
                mark(new.node_mut(n), op, true);
                let sent = new.now;
                new.flights.push(Flight { node: n, op, way: Way::There, sent, awaited: true });
            }
            Action::AskTwice(n, op) => {
                new.budget -= 1;
                self.ask(&mut new, n, op);
                let copy = Flight { node: n, op, way: Way::There, sent: 0, awaited: false };
                new.flights.push(copy);
            }
            Action::Apply(i) => {
                let flight = new.flights.remove(usize::from(i));
                let reply = self.apply(&mut new, flight.node, flight.op);
                if flight.awaited {
                    new.flights.push(Flight { way: Way::Back(reply), ..flight });
                }
            }
            Action::Deliver(i) => {
                let flight = new.flights.remove(usize::from(i));
                if let Way::Back(reply) = flight.way {
                    self.hear(&mut new, flight.node, flight.op, reply, flight.sent);
                }
            }
            Action::GiveUp(i) => {
                let flight = new.flights[usize::from(i)];
                new.forget(|other| *other == flight);
                self.hear_nothing(&mut new, flight.node, flight.op);
            }
            Action::Look(n) => {
                if let Some(node) = self.look(&new, n) {
                    *new.node_mut(n) = node;
                    new.draw(n);
                }
            }
            Action::AskTime(n) => {
                let (mut at, cursor) = (new.store_now(), new.held.cursor);
                if self.broken == Some(Broken::RecordsBeforeTheTime) {
                    at = i16::from(bits(|slot| new.held.recorded(slot)));
                }
                new.node_mut(n).settling = Settling::Timed { at, cursor };
            }
            Action::AskRecords(n) => self.reckon(&mut new, n),
            Action::End(n, slot, outcome) => {
                let now = new.now;
                new.node_mut(n).run_ended(&self.scene, slot, outcome, now);
                new.forget_what_is_gone(n);
                if new.node(n).is_up() {
                    new.go_on(&self.scene, n);
                }
            }
            Action::Crash(n) => {
                new.budget -= 1;
                self.crash(&mut new, n);
            }
            Action::Start(n) => {
                let mut node = Node::new(Life::Up, new.node(n).skew);
                // Its queue begins behind the cursor.
                node.planned = new.held.cursor;
                *new.node_mut(n) = node;
                new.go_on(&self.scene, n);
            }
            Action::Freeze(n) | Action::FreezeMachine(n) => {
                new.budget -= 1;
                new.node_mut(n).life = Life::Frozen;
                new.node_mut(n).keepers_stopped = matches!(action, Action::FreezeMachine(_));
            }
            Action::Thaw(n) => {
                new.node_mut(n).life = Life::Up;
                if new.node(n).keepers_stopped {
                    new.node_mut(n).keepers_stopped = false;
                    self.keep(&mut new, n);
                }
                new.go_on(&self.scene, n);
            }
            Action::Drain(n) => {
                new.budget -= 1;
                self.drain(&mut new, n);
            }
            Action::StoreDown => {
                new.budget -= 1;
                new.store_up = false;
                new.down_since = new.now;
            }
            Action::StoreUp => (new.store_up, new.down_since) = (true, 0),
            Action::StoreUpWithoutTail => {
                (new.store_up, new.down_since) = (true, 0);
                if let Some(durable) = &new.durable {
                    new.held.clone_from(durable);
                }
            }
            Action::StoreClockJumps => {
                new.budget -= 1;
                new.jumped = 4;
            }
        }
        new.in_order();
        new
    }

    fn tick(&self, state: &mut State) {
        if state.store_up
            && let Some(durable) = &mut state.durable
        {
            durable.as_mut().clone_from(&state.held);
        }
        state.now += 1;
        let now = state.now;
        state.orphans.retain(|&(_, by)| now < by);
        for n in 0..NODES as u8 {
            if !state.node(n).keepers_stopped {
                self.keep(state, n);
            }
            if state.node(n).is_up() {
                state.go_on(&self.scene, n);
            }
        }
        order_fences(state);
    }

    /// The keepers of a node look at the time.
    fn keep(&self, state: &mut State, n: u8) {
        let now = state.now;
        if self.broken == Some(Broken::KeepersHaveNoTimer) {
            return;
        }
        for place in &mut state.node_mut(n).runs {
            if let Some(run) = place
                && run.lives()
                && !run.keep(&self.scene, now)
            {
                // Killed as one that lost its lease: nothing is written of it.
                *place = None;
            }
        }
        state.forget_what_is_gone(n);
    }

    fn crash(&self, state: &mut State, n: u8) {
        let now = state.now;
        let down = Node::new(Life::Down, state.node(n).skew);
        let dead = std::mem::replace(state.node_mut(n), down);
        for (slot, run) in (0..).zip(dead.runs) {
            if let Some(run) = run.filter(Run::lives) {
                state.orphans.push((slot, run.gone_by(&self.scene, now)));
            }
        }
        state.forget(|flight| flight.node == n);
    }

    fn drain(&self, state: &mut State, n: u8) {
        let now = state.now;
        let node = state.node_mut(n);
        node.draining = true;
        for place in &mut node.desk {
            // What the store has surely nothing of.
            place.take_if(|pending| !pending.asked && !pending.maybe_applied);
        }
        node.gap = None;
        node.settling = match node.settling {
            asked @ Settling::Drafted { asked: true, .. } => asked,
            _ => Settling::No,
        };
        node.hand_over_rested(now);
        state.go_on(&self.scene, n);
    }

    fn ask(&self, state: &mut State, n: u8, op: Op) {
        let reply = self.apply(state, n, op);
        self.hear(state, n, op, reply, state.now);
    }

    /// The store carries a request out.
    pub(crate) fn apply(&self, state: &mut State, n: u8, op: Op) -> Reply {
        let (scene, now) = (&self.scene, state.store_now());
        let is = |broken| self.broken == Some(broken);
        let takes_over = matches!(op, Op::Claim { why: Why::TakeOver(_), .. });
        let lapsed = op.slot().filter(|_| takes_over && is(Broken::TakesOverAtOnce));
        let asks_nobody = is(Broken::NobodyAsksForTheToken);
        let (mut op, mut instead) = (op, None);
        // Who is not asked whose the slot is may as well have the token that stands there.
        if let (Op::Renew { slot, .. } | Op::Complete { slot, .. }, true) = (op, asks_nobody)
            && let Some(record) = &state.held.records[usize::from(slot)]
        {
            instead = Some(scene.token(slot, record.token));
            if let Op::Complete { attempt, .. } = &mut op {
                *attempt = record.attempt;
            }
        }
        let mut step = Step { scene, held: &mut state.held, now, lapsed };
        let reply = carry_out(&mut step, scene, n, op, instead);
        if let Op::Complete { slot, then: Next::Settle, .. } = op
            && is(Broken::DoneIsADelete)
        {
            state.held.records[usize::from(slot)] = None;
        }
        reply
    }

    /// The node hears an answer to a request that was sent at `sent`.
    fn hear(&self, state: &mut State, n: u8, op: Op, reply: Reply, sent: u8) {
        let now = state.now;
        let sent = if self.broken == Some(Broken::TrustCountsFromTheAnswer) { now } else { sent };
        match op {
            Op::Claim { slot, why, .. } => self.hear_verdict(state, n, slot, why, reply, sent),
            Op::Renew { slot, .. } => {
                let place = &mut state.node_mut(n).runs[usize::from(slot)];
                if let Some(run) = place {
                    run.renewing = false;
                    match renewed(reply == Reply::Ours, run.held()) {
                        Renewed::Granted => run.grant(&self.scene, sent),
                        Renewed::Lost => run.lose(&self.scene, now),
                        Renewed::LetGo => *place = None,
                        Renewed::Unclear => run.renewal = Some(now + 1),
                    }
                }
            }
            Op::Complete { slot, then, .. } => {
                state.acknowledged[usize::from(slot)] |=
                    reply == Reply::Ours && then == Next::Settle && state.durable.is_some();
                let ours = reply == Reply::Ours;
                state.node_mut(n).end_written(slot, then, ours, now);
            }
            Op::Forfeit { slot, .. } => state.node_mut(n).forfeits[usize::from(slot)] = None,
            Op::Abandon { slot, .. } => state.node_mut(n).abandons[usize::from(slot)] = None,
            Op::Report { .. } => {
                let node = state.node_mut(n);
                if let Settling::Drafted { at, .. } = node.settling
                    && reply == Reply::Written(true)
                {
                    node.settled_up_to(at);
                }
                node.settling = Settling::No;
                node.gap_from = now + 1;
            }
        }
        state.forget_what_is_gone(n);
        state.go_on(&self.scene, n);
    }

    fn hear_verdict(&self, state: &mut State, n: u8, slot: u8, why: Why, reply: Reply, sent: u8) {
        let (now, scene) = (state.now, &self.scene);
        let place = usize::from(slot);
        let node = state.node_mut(n);
        let Some(mut pending) = node.desk[place].take() else { return };
        pending.asked = false;
        match reply {
            Reply::Won { fence, attempt, failures } => {
                let win = node.won(scene, slot, why, sent, now);
                let mut run = Run::new(pending.number, attempt, failures, sent, now);
                run.grant(scene, sent);
                match win {
                    Win::NotYet => {
                        node.desk[place] = Some(Pending { from: now + 1, ..pending });
                    }
                    Win::AskAgain => node.desk[place] = Some(Pending { from: now, ..pending }),
                    Win::TakeBack => node.forfeits[place] = Some((pending.number, false)),
                    Win::GiveAway => {
                        let (outcome, then) = (Outcome::HandedOver, Next::HandOver);
                        run.stage = Stage::Over { outcome, then, from: now, asked: false };
                        node.runs[place] = Some(run);
                    }
                    Win::Run => {
                        node.runs[place] = Some(run);
                        state.begins(slot, fence);
                    }
                }
            }
            Reply::Late if why == Why::Due => {
                let closes = scene.job.closes(scene.slots[place].at);
                node.notice_gap(crate::scene::tick_of(closes));
            }
            Reply::Early => node.desk[place] = Some(Pending { from: now + 1, ..pending }),
            _ => {}
        }
    }

    /// The node has waited for an answer in vain.
    fn hear_nothing(&self, state: &mut State, n: u8, op: Op) {
        let now = state.now;
        let broken = self.broken == Some(Broken::UnknownIsTakenForWon);
        if let (Op::Claim { slot, why, .. }, true) = (op, broken) {
            let reply = Reply::Won { fence: u16::MAX, attempt: 1, failures: 0 };
            return self.hear_verdict(state, n, slot, why, reply, now);
        }
        let node = state.node_mut(n);
        mark(node, op, false);
        match op {
            Op::Claim { slot, .. } => {
                if let Some(pending) = &mut node.desk[usize::from(slot)] {
                    (pending.maybe_applied, pending.from) = (true, now);
                }
            }
            Op::Report { .. } => {
                node.settling = Settling::No;
                node.gap_from = now + 1;
            }
            _ => {}
        }
        state.go_on(&self.scene, n);
    }

    /// The node after a look at the open slots; none when that changes nothing.
    pub(crate) fn look(&self, state: &State, n: u8) -> Option<Node> {
        let (scene, now) = (&self.scene, state.store_now());
        let mut node = state.node(n).clone();
        for (slot, record) in state.held.records.iter().enumerate() {
            let Some(record) = record.as_ref().filter(|record| record.token.node == n) else {
                continue;
            };
            let lives = record.stand == Stand::Running && record.lapses_at > now;
            if lives && record.cancel.is_some() {
                node.cancel(slot, record.token.number, state.now);
            }
        }
        if node.draining {
            return (node != *state.node(n)).then_some(node);
        }
        let mut open = state.held.open(scene, now);
        if self.broken == Some(Broken::TakesOverAtOnce) {
            open = state.held.open(scene, i16::from(u8::MAX));
        }
        let mut in_turn = false;
        for (slot, open) in open {
            let place = usize::from(slot);
            if node.runs[place].is_some() {
                continue;
            }
            let name = &scene.nodes[usize::from(n)];
            match rules::open_slot(name, Some(&scene.job), &open) {
                Fate::Claim(job, cause) => {
                    let turns = job.policies.overlap != Overlap::Allow
                        && matches!(open.state, OpenState::Ready(_));
                    if turns && std::mem::replace(&mut in_turn, true) {
                        continue;
                    }
                    let why = match cause {
                        Cause::TakeOver(token) => Why::TakeOver(scene.tok(slot, token)),
                        _ => Why::Ready,
                    };
                    if node.desk[place].is_none() {
                        node.desk[place] = Some(Pending::new(why, state.now));
                    }
                }
                Fate::Abandon(_) => {
                    let tok = scene.tok(slot, open.token);
                    node.abandons[place].get_or_insert((tok, false));
                }
                Fate::Leave(..) => unreachable!("every node may run the job"),
            }
        }
        (node != *state.node(n)).then_some(node)
    }

    /// The node has the records, and says what was missed.
    fn reckon(&self, state: &mut State, n: u8) {
        let scene = &self.scene;
        let mut recorded = bits(|slot| state.held.recorded(slot));
        let now = state.now;
        let store_now = state.store_now();
        let skew = state.node(n).skew;
        let node = state.node_mut(n);
        let Settling::Timed { at: mut time, cursor } = node.settling else { return };
        if self.broken == Some(Broken::RecordsBeforeTheTime) {
            recorded = u8::try_from(time).unwrap();
            time = store_now;
        }
        let from = scene.cursor_at(cursor);
        let closed = closed_slots(&scene.job, from, at(time));
        if closed.is_empty() {
            node.settled_up_to(time);
            node.settling = Settling::No;
            node.gap_from = now + 1;
            return;
        }
        let known: Vec<_> =
            closed.iter().map(|&at| recorded & 1 << (scene.passed_at(at) - 1) != 0).collect();
        let reckoner = Reckoner {
            node: &scene.nodes[usize::from(n)],
            settings: &scene.settings,
            memory: &scene.memory,
            offset: offset(skew),
        };
        let draft = reckoner.draft(&scene.job, from, at(time), &closed, &known, &Pauses::default());
        let report = draft.report;
        let missed = bits(|slot| {
            let at = scene.slots[usize::from(slot)].at;
            report.ranges.iter().any(|range| (range.from..=range.to).contains(&at))
        });
        let catch_up = bits(|slot| report.catch_up.contains(&scene.slots[usize::from(slot)].at));
        node.settling = Settling::Drafted {
            at: time,
            expected: cursor,
            upto: scene.passed_at(report.upto),
            missed,
            catch_up,
            asked: false,
        };
    }
}

fn bits(of: impl Fn(u8) -> bool) -> u8 {
    (0..SLOTS as u8).filter(|&slot| of(slot)).map(|slot| 1 << slot).sum()
}

/// The request is on its way, or is not any more.
fn mark(node: &mut Node, op: Op, asked: bool) {
    let place = op.slot().map_or(0, usize::from);
    match op {
        Op::Claim { .. } => node.desk[place].iter_mut().for_each(|one| one.asked = asked),
        Op::Renew { .. } => node.runs[place].iter_mut().for_each(|run| run.renewing = asked),
        Op::Complete { .. } => {
            if let Some(Run { stage: Stage::Over { asked: of, .. }, .. }) = &mut node.runs[place] {
                *of = asked;
            }
        }
        Op::Forfeit { .. } => node.forfeits[place].iter_mut().for_each(|one| one.1 = asked),
        Op::Abandon { .. } => node.abandons[place].iter_mut().for_each(|one| one.1 = asked),
        Op::Report { .. } => {
            if let Settling::Drafted { asked: of, .. } = &mut node.settling {
                *of = asked;
            }
        }
    }
}
