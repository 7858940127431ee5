//! The cluster: a state of it, and what a model of it consists of.

use solocron::outcome::Outcome;

use crate::broken::Broken;
use crate::node::{Life, Node, Pending, Why};
use crate::run::{Next, Run};
use crate::scene::{NODES, SLOTS, Scene};
use crate::store::{Holdings, Tok};

/// A request to the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    Claim { slot: u8, number: u8, why: Why, advance: bool },
    Renew { slot: u8, number: u8 },
    Complete { slot: u8, number: u8, attempt: u8, outcome: Outcome, then: Next },
    Forfeit { slot: u8, number: u8 },
    Abandon { slot: u8, tok: Tok },
    Report { expected: u8, upto: u8, missed: u8, catch_up: u8 },
}

/// What the store says, as far as it matters to the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Won {
        fence: u16,
        attempt: u8,
        failures: u8,
    },
    Late,
    Early,
    /// Another has it, it waits, it is settled, or it is past.
    NotToBeHad,
    Ours,
    NotOurs,
    Written(bool),
}

/// How far a request is that takes its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    There,
    Back(Reply),
}

/// A request on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    pub(crate) node: u8,
    pub(crate) op: Op,
    pub(crate) way: Way,
    pub(crate) sent: u8,
    /// Somebody waits for the answer.
    pub(crate) awaited: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) now: u8,
    /// So much more may go wrong.
    pub(crate) budget: u8,
    pub(crate) store_up: bool,
    /// Since when it is not.
    pub(crate) down_since: u8,
    /// By so many seconds the store's clock has jumped.
    pub(crate) jumped: u8,
    pub(crate) held: Holdings,
    /// What a store that loses its tail comes back with.
    pub(crate) durable: Option<Box<Holdings>>,
    pub(crate) nodes: [Node; NODES],
    pub(crate) flights: Vec<Flight>,
    /// Runs whose daemon is dead: of which slot, and by when their keeper has ended them.
    pub(crate) orphans: Vec<(u8, u8)>,
    /// The fence of the last run of each slot.
    pub(crate) fences: [u16; SLOTS],
    /// A run began with a fence that is not larger than that of an earlier one.
    pub(crate) fence_went_back: bool,
    /// A node was told that the end of the slot is written.
    pub(crate) acknowledged: [bool; SLOTS],
}

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// A second goes by.
    Tick,
    /// A request is sent, applied and answered.
    Ask(u8, Op),
    /// A request is sent, and takes its time.
    Send(u8, Op),
    /// A request is sent, applied and answered, and a copy of it is still on its way.
    AskTwice(u8, Op),
    Apply(u8),
    Deliver(u8),
    /// The node waits no longer.
    GiveUp(u8),
    /// The node looks at the open slots.
    Look(u8),
    /// The node asks for the store's time and for the cursor,
    AskTime(u8),
    /// and then for the records, to say what was missed.
    AskRecords(u8),
    /// A run ends.
    End(u8, u8, Outcome),
    Crash(u8),
    Start(u8),
    Freeze(u8),
    FreezeMachine(u8),
    Thaw(u8),
    Drain(u8),
    StoreDown,
    StoreUp,
    /// It has lost what it was told last.
    StoreUpWithoutTail,
    StoreClockJumps,
}

/// What may go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A request is lost, or its answer, or either is late, also by as much as one pleases.
    Slow,
    /// A request is repeated by the network, later.
    Twice,
    /// A daemon dies, and may be started again.
    Crash,
    /// A daemon is stopped between any two steps, and may go on.
    Freeze,
    /// A node is told to leave.
    Drain,
    /// The store does not answer for a while; it keeps everything.
    Outage,
    /// One node is wrong about the cluster's time, as much as is allowed or more.
    Skew,
    /// Not promised to be survived: the store comes back without its last writes,
    LosesTail,
    /// a machine is frozen with its keepers,
    Machine,
    /// the store's clock jumps forward.
    Jump,
}

/// How far the model goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    /// So much goes wrong at most.
    pub(crate) budget: u8,
    /// Nothing goes wrong after that.
    pub(crate) calm: u8,
    /// Every slot has its end by then.
    pub(crate) horizon: u8,
    /// How long a run takes at most.
    pub(crate) longest: u8,
}

/// The model.
#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) scene: Scene,
    pub(crate) bounds: Bounds,
    pub(crate) faults: &'static [Fault],
    pub(crate) broken: Option<Broken>,
    /// What it is to reach.
    pub(crate) reaches: &'static [&'static str],
}

impl Flight {
    pub(crate) fn slot(&self) -> Option<u8> {
        self.op.slot()
    }
}

impl Op {
    pub(crate) fn slot(self) -> Option<u8> {
        match self {
            Self::Claim { slot, .. }
            | Self::Renew { slot, .. }
            | Self::Complete { slot, .. }
            | Self::Forfeit { slot, .. }
            | Self::Abandon { slot, .. } => Some(slot),
            Self::Report { .. } => None,
        }
    }

    pub(crate) fn number(self) -> Option<u8> {
        match self {
            Self::Claim { number, .. }
            | Self::Renew { number, .. }
            | Self::Complete { number, .. }
            | Self::Forfeit { number, .. } => Some(number),
            Self::Abandon { .. } | Self::Report { .. } => None,
        }
    }

    /// Another's token that it names.
    pub(crate) fn names(self) -> Option<Tok> {
        match self {
            Self::Claim { why: Why::TakeOver(tok), .. } | Self::Abandon { tok, .. } => Some(tok),
            _ => None,
        }
    }
}

impl State {
    pub(crate) fn store_now(&self) -> i16 {
        i16::from(self.now + self.jumped)
    }

    pub(crate) fn node(&self, n: u8) -> &Node {
        &self.nodes[usize::from(n)]
    }

    pub(crate) fn node_mut(&mut self, n: u8) -> &mut Node {
        &mut self.nodes[usize::from(n)]
    }

    /// How many runs of the slot live.
    pub(crate) fn live(&self, slot: usize) -> usize {
        let runs = self.nodes.iter().filter_map(|node| node.runs[slot]);
        let orphans = self.orphans.iter().filter(|(of, _)| usize::from(*of) == slot);
        runs.filter(Run::lives).count() + orphans.count()
    }

    /// Whether nothing knows the token any more.
    pub(crate) fn is_free(&self, slot: u8, tok: Tok) -> bool {
        let place = usize::from(slot);
        let in_record = self.held.records[place]
            .as_ref()
            .is_some_and(|record| record.token == tok || record.handed_over_by.contains(&tok));
        let own = self.node(tok.node);
        let at_node = [
            own.desk[place].map(|pending| pending.number),
            own.runs[place].map(|run| run.number),
            own.forfeits[place].map(|(number, _)| number),
        ];
        let elsewhere = self.nodes.iter().any(|node| {
            node.abandons[place].is_some_and(|(named, _)| named == tok)
                || node.desk[place].is_some_and(|pending| pending.why == Why::TakeOver(tok))
        });
        let on_its_way = self.flights.iter().any(|flight| {
            let own = flight.node == tok.node && flight.op.number() == Some(tok.number);
            flight.op.slot() == Some(slot) && (own || flight.op.names() == Some(tok))
        });
        !in_record && !at_node.contains(&Some(tok.number)) && !elsewhere && !on_its_way
    }

    /// Gives new claims of the node their tokens.
    pub(crate) fn draw(&mut self, n: u8) {
        for slot in 0..SLOTS as u8 {
            let new = |pending: &Pending| pending.number == u8::MAX;
            if self.node(n).desk[usize::from(slot)].as_ref().is_some_and(new) {
                let free = (0..u8::MAX).find(|&number| self.is_free(slot, Tok { node: n, number }));
                if let Some(pending) = &mut self.node_mut(n).desk[usize::from(slot)] {
                    pending.number = free.unwrap();
                }
            }
        }
    }

    /// What the node does by itself after what came.
    pub(crate) fn go_on(&mut self, scene: &Scene, n: u8) {
        let now = self.now;
        let node = self.node_mut(n);
        node.go_on(scene, now);
        node.begin_rested(scene, now);
        if node.has_drained() {
            *node = Node::new(Life::Down, node.skew);
            self.forget(|flight| flight.node == n);
        }
        self.draw(n);
    }

    /// Nobody waits for the answers of these requests any more.
    pub(crate) fn forget(&mut self, of: impl Fn(&Flight) -> bool) {
        for flight in self.flights.iter_mut().filter(|flight| of(flight)) {
            flight.awaited = false;
            flight.sent = 0;
        }
        self.flights.retain(|flight| flight.awaited || flight.way == Way::There);
    }

    /// Renewals and ends of what a node does not hold any more are not waited for.
    pub(crate) fn forget_what_is_gone(&mut self, n: u8) {
        let runs = self.node(n).runs;
        self.forget(|flight| {
            let (Op::Renew { slot, number } | Op::Complete { slot, number, .. }) = flight.op else {
                return false;
            };
            let held = runs[usize::from(slot)].is_some_and(|run| run.number == number);
            flight.node == n && !held
        });
    }

    /// A run begins that was won with this fence.
    pub(crate) fn begins(&mut self, slot: u8, fence: u16) {
        let last = &mut self.fences[usize::from(slot)];
        self.fence_went_back |= fence <= *last;
        *last = fence;
    }
}

impl Cluster {
    pub(crate) fn may(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// The states in which it begins: all nodes up, and one of them perhaps wrong about
    /// the time.
    pub(crate) fn beginnings(&self) -> Vec<State> {
        let life = |n| if n < self.bounds.nodes { Life::Up } else { Life::Absent };
        let calm = State {
            now: 0,
            budget: self.bounds.budget,
            store_up: true,
            down_since: 0,
            jumped: 0,
            held: Holdings::default(),
            durable: self.may(Fault::LosesTail).then(Box::default),
            nodes: std::array::from_fn(|n| Node::new(life(n), 0)),
            flights: Vec::new(),
            orphans: Vec::new(),
            fences: [0; SLOTS],
            fence_went_back: false,
            acknowledged: [false; SLOTS],
        };
        let mut beginnings = vec![calm.clone()];
        if self.may(Fault::Skew) {
            for skew in [-2, -1, 1, 2] {
                let mut skewed = calm.clone();
                skewed.budget -= 1;
                skewed.nodes[0].skew = skew;
                beginnings.push(skewed);
            }
        }
        beginnings
    }
}
