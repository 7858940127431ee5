//! What is known of the cluster: a value that the routes keep current.

use std::collections::BTreeSet;

use crate::clock::BootInstant;
use crate::store::redis::cluster::buckets::BUCKETS;
use crate::store::redis::cluster::map::Map;
use crate::store::redis::cluster::options::Endpoint;

/// What is known of the cluster.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) state: State,
    pub(super) map: Map,
    /// The master of each bucket.
    pub(super) owners: Vec<Option<Endpoint>>,
    /// The buckets whose masters do not know that they move.
    pub(super) torn: BTreeSet<u32>,
    /// The buckets of which `MOVED` told, and no map since; and those that have another
    /// master than before, while some have not told what is moving to them: ...
    pub(super) unproven: BTreeSet<u32>,
    /// ... these.
    pub(super) silent: Vec<Endpoint>,
    /// Counts the answers, and the times that nobody answered.
    pub(super) rounds: u64,
    pub(super) last_round: Option<BootInstant>,
    /// Counts what was learnt from `MOVED`.
    pub(super) lessons: u64,
}

/// Whether anybody has told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    Asking,
    Known,
    Failed(String),
    Closed,
}

impl Table {
    /// Takes in who has which bucket by a new map. One that has another master than before
    /// is unproven until all masters have told what is moving to them.
    pub(super) fn take_owners(&mut self, owners: Vec<Option<Endpoint>>, silent: Vec<Endpoint>) {
        let is_first = self.map == Map::default();
        let is_unproven = |bucket: &u32| {
            let place = *bucket as usize;
            let is_new = !is_first && owners[place] != self.owners[place];
            !silent.is_empty() && (is_new || self.unproven.contains(bucket))
        };
        self.unproven = (0..BUCKETS).filter(is_unproven).collect();
        self.owners = owners;
        self.silent = silent;
    }

    /// Whether it is not known yet if a bucket is moving away from its new master.
    pub(super) fn is_unsure(&self, bucket: u32) -> bool {
        self.unproven.contains(&bucket) && !self.silent.is_empty()
    }

    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            state: State::Asking,
            map: Map::default(),
            owners: vec![None; BUCKETS as usize],
            torn: BTreeSet::new(),
            unproven: BTreeSet::new(),
            silent: Vec::new(),
            rounds: 0,
            last_round: None,
            lessons: 0,
        }
    }
}
