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
    /// The buckets of which `MOVED` told, and no map since.
    pub(super) unproven: BTreeSet<u32>,
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
    /// Nothing is known.
    pub(super) fn new() -> Self {
        Self {
            state: State::Asking,
            map: Map::default(),
            owners: vec![None; BUCKETS as usize],
            torn: BTreeSet::new(),
            unproven: BTreeSet::new(),
            rounds: 0,
            last_round: None,
            lessons: 0,
        }
    }
}
