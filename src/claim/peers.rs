//! The nodes that are up, and their order for each slot: rendezvous hashing.
//!
//! Each node has a number for each slot, drawn from both names, and the larger number
//! comes first. So all nodes that know of the same nodes have the same order for a slot
//! without talking, another one for the next slot, and where a node is gone only its own
//! place falls to others.
//!
//! Nothing but evenness depends on it: who knows of too few or too many nodes, or draws
//! other numbers, tries a slot at another time ([`attempt`](super::attempt)).

use std::time::Duration;

use super::attempt::Place;
use crate::name::NodeName;
use crate::policy::draw::draw;
use crate::slot::Slot;

/// See the module's head.
#[derive(Debug, Clone)]
pub struct Peers {
    own: Peer,
    others: Vec<Peer>,
}

/// A node, and what of its name goes into its numbers.
#[derive(Debug, Clone)]
pub struct Peer {
    name: NodeName,
    seed: u64,
}

impl Peer {
    /// The node `name`.
    pub fn new(name: NodeName) -> Self {
        let seed = draw(name.as_str().as_bytes(), u64::MAX);
        Self { name, seed }
    }

    /// Its number for the slot with this seed; names tell equal ones apart.
    pub fn number(&self, slot: SlotSeed) -> (u64, &NodeName) {
        (mixed(self.seed ^ slot.0), &self.name)
    }
}

/// What of a slot's name goes into the numbers of its nodes.
#[derive(Debug, Clone, Copy)]
pub struct SlotSeed(u64);

impl SlotSeed {
    /// That of `slot`.
    pub fn of(slot: &Slot) -> Self {
        Self(draw(slot.to_string().as_bytes(), u64::MAX))
    }
}

impl Peers {
    /// A node that knows of no other.
    pub fn alone(own: NodeName) -> Self {
        Self { own: Peer::new(own), others: Vec::new() }
    }

    /// These are the others from now on.
    pub fn are(&mut self, others: impl IntoIterator<Item = NodeName>) {
        let own = &self.own.name;
        let others = others.into_iter().filter(|name| name != own).map(Peer::new);
        self.others = others.collect();
    }

    /// How many nodes there are, this one included.
    pub fn count(&self) -> usize {
        self.others.len() + 1
    }

    /// This node's place for `slot` among those that `may_run` it.
    pub fn place(&self, slot: &Slot, may_run: impl Fn(&NodeName) -> bool) -> Place {
        if self.others.is_empty() {
            return Place { before: 0, of: 1 };
        }
        let seed = SlotSeed::of(slot);
        let own = self.own.number(seed);
        let rivals = self.others.iter().filter(|other| may_run(&other.name));
        rivals.fold(Place { before: 0, of: 1 }, |Place { before, of }, other| Place {
            before: before + usize::from(other.number(seed) > own),
            of: of + 1,
        })
    }

    /// A share of a whole that is this node's own: by it those who would all do the same
    /// do it at different times.
    pub fn phase(&self, whole: Duration) -> Duration {
        let micros = u64::try_from(whole.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.own.seed % micros)
    }
}

/// Every bit of `number` changes about half of the result's (the last step of splitmix64).
fn mixed(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::slot::SlotTime;

    fn node(number: usize) -> NodeName {
        format!("node-{number}").parse().unwrap()
    }

    fn cluster(names: &[NodeName]) -> Vec<Peers> {
        let peers = names.iter().map(|name| {
            let mut peers = Peers::alone(name.clone());
            peers.are(names.iter().cloned());
            peers
        });
        peers.collect()
    }

    fn slot(second: i64) -> Slot {
        Slot::scheduled("a".parse().unwrap(), SlotTime::from_unix_seconds(second))
    }

    #[test]
    fn of_three_nodes_each_is_first_for_a_third_of_the_slots() {
        let cluster = cluster(&[node(1), node(2), node(3)]);
        for peers in &cluster {
            let first = (0..3_000).filter(|&n| peers.place(&slot(n), |_| true).before == 0);
            let count = first.count();
            assert!((900..1_100).contains(&count), "{count}");
        }
    }

    #[test]
    fn who_may_not_run_it_has_no_place() {
        let cluster = cluster(&[node(1), node(2), node(3)]);
        for second in 0..100 {
            let place = cluster[0].place(&slot(second), |name| *name != node(2));
            assert_eq!(place.of, 2);
            assert!(place.before < 2);
        }
    }

    #[test]
    fn a_node_alone_comes_first() {
        let peers = Peers::alone(node(1));
        assert_eq!(peers.place(&slot(7), |_| true), Place { before: 0, of: 1 });
    }

    proptest! {
        #[test]
        fn the_nodes_agree_on_one_order_and_only_the_place_of_one_that_is_gone_falls_to_others(
            nodes in 2_usize..20, gone in 0_usize..20, second in 0_i64..1_000_000,
        ) {
            let gone = gone % nodes;
            let names: Vec<_> = (0..nodes).map(node).collect();
            let left: Vec<_> = names.iter().filter(|name| **name != node(gone)).cloned().collect();
            let places = |cluster: &[Peers]| -> Vec<usize> {
                cluster.iter().map(|peers| peers.place(&slot(second), |_| true).before).collect()
            };
            let (all, fewer) = (places(&cluster(&names)), places(&cluster(&left)));
            prop_assert_eq!(all.iter().copied().collect::<BTreeSet<_>>(), (0..nodes).collect());
            let expected: Vec<_> = (0..nodes)
                .filter(|&n| n != gone)
                .map(|n| all[n] - usize::from(all[n] > all[gone]))
                .collect();
            prop_assert_eq!(fewer, expected);
        }
    }
}
