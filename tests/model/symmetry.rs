//! States that differ only in what nothing depends on are one: which node is which, and by
//! how much a fence is larger than another.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::node::{Pending, Why};
use crate::scene::{NODES, SLOTS, STORE};
use crate::store::{Tok, by_order};
use crate::world::{Op, Reply, State, Way};

impl State {
    /// The same with the nodes in another order: `to[n]` is the new number of `n`.
    fn renamed(&self, to: [u8; NODES]) -> Self {
        let mut new = self.clone();
        let tok = |tok: &mut Tok| {
            if tok.node != STORE {
                tok.node = to[usize::from(tok.node)];
            }
        };
        let why = |why: &mut Why| {
            if let Why::TakeOver(lost) = why {
                tok(lost);
            }
        };
        for (n, node) in self.nodes.iter().enumerate() {
            let place = &mut new.nodes[usize::from(to[n])];
            place.clone_from(node);
            place.desk.iter_mut().flatten().for_each(|pending| why(&mut pending.why));
            place.abandons.iter_mut().flatten().for_each(|(lost, _)| tok(lost));
        }
        let durable = new.durable.as_deref_mut();
        for held in [Some(&mut new.held), durable].into_iter().flatten() {
            for record in held.records.iter_mut().flatten() {
                tok(&mut record.token);
                record.handed_over_by.iter_mut().for_each(tok);
            }
        }
        for flight in &mut new.flights {
            flight.node = to[usize::from(flight.node)];
            match &mut flight.op {
                Op::Claim { why: of, .. } => why(of),
                Op::Abandon { tok: of, .. } => tok(of),
                _ => {}
            }
        }
        new.in_order();
        new
    }

    /// What has no order of its own is kept in one.
    pub(crate) fn in_order(&mut self) {
        self.flights.sort_by_cached_key(number);
        self.orphans.sort_unstable();
    }

    /// What tells a node from the others, whatever its number.
    fn look_of(&self, n: u8) -> u64 {
        let mut look = DefaultHasher::new();
        let own = |tok: &Tok| (tok.node == n, tok.node == STORE, tok.number);
        let node = self.node(n);
        (node.life, node.keepers_stopped, node.draining, node.skew, node.planned).hash(&mut look);
        (node.runs, node.forfeits, node.gap, node.gap_from, node.settling).hash(&mut look);
        for slot in 0..SLOTS {
            if let Some(Pending { number, why, from, asked, maybe_applied }) = node.desk[slot] {
                (slot, number, from, asked, maybe_applied, why == Why::Due).hash(&mut look);
                if let Why::TakeOver(lost) = why {
                    own(&lost).hash(&mut look);
                }
            }
            node.abandons[slot].map(|(lost, asked)| (own(&lost), asked)).hash(&mut look);
            if let Some(record) = &self.held.records[slot] {
                own(&record.token).hash(&mut look);
                record.handed_over_by.iter().for_each(|tok| own(tok).hash(&mut look));
            }
        }
        for flight in self.flights.iter().filter(|flight| flight.node == n) {
            (flight.way, flight.sent, flight.awaited).hash(&mut look);
            (flight.op.slot(), flight.op.number()).hash(&mut look);
            let names = flight.op.names();
            names.map(|tok| own(&tok)).hash(&mut look);
        }
        look.finish()
    }

    /// The one state that stands for all that differ from this only in which node is which.
    pub(crate) fn representative(&self) -> Self {
        let mut order: [u8; NODES] = std::array::from_fn(|n| n as u8);
        order.sort_by_cached_key(|&n| self.look_of(n));
        let mut to = [0; NODES];
        for (place, n) in order.into_iter().enumerate() {
            to[usize::from(n)] = place as u8;
        }
        self.renamed(to)
    }
}

fn number(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Of the fences from before this second only the order is kept.
pub(crate) fn order_fences(state: &mut State) {
    let mut fences: Vec<&mut u16> = state.fences.iter_mut().collect();
    let durable = state.durable.as_deref_mut();
    for held in [Some(&mut state.held), durable].into_iter().flatten() {
        fences.push(&mut held.last_fence);
        fences.extend(held.records.iter_mut().flatten().map(|record| &mut record.fence));
    }
    for flight in &mut state.flights {
        if let Way::Back(Reply::Won { fence, .. }) = &mut flight.way {
            fences.push(fence);
        }
    }
    by_order(&mut fences);
}
