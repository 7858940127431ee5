//! A Redis Cluster as the store.
//!
//! Everything is as on a single server, in one of [`BUCKETS`](buckets::BUCKETS) buckets:
//! all keys of a bucket carry the same hash tag and so are on one server, whichever that
//! is. A job is in the bucket that the hash of its name says, with its slots, cursors,
//! pauses and ledger; what belongs to no job (heartbeats, tables, reloads) is in the first.
//!
//! - A batch is one call for each bucket that it touches, all at once. The items of a
//!   bucket whose master does not answer have no answer; the others have theirs.
//! - What looks at everything (`sweep`, `history`, `cancel`, …) asks all buckets and
//!   merges. Every bucket counts the commands given in it; the version of the whole is
//!   the sum.
//! - Every bucket gives out fences of its own: they grow for each job, and those of jobs in
//!   different buckets may be alike.
//! - The routing is our own (`routes` knows the way, `bucket` goes it): a client that
//!   sends again by itself turns a claim whose reply was lost into one that another has.
//!
//! **Time.** The cluster's time is that of the first bucket's master; the nodes plan by it.
//! Windows and leases of a job are checked by the clock of the master that has its bucket,
//! always the same one for all nodes, so masters whose clocks differ never make two of
//! them win: a clock that is ahead closes windows early, one that is behind opens them
//! late. `max_clock_skew` bears the latter; `inspect` warns from some tens of milliseconds
//! on. At a failover a lease goes on by the new master's clock, and lapses early by as
//! much as that is ahead: keep the servers' clocks together.
//!
//! What a Redis Cluster cannot promise: a master that fails over to a replica forgets what
//! had not reached that one. A replica of Redis 7 that follows in the middle of the move of a
//! hash slot does not know of it, and lacks what had moved; `routes` says how far that is seen.

#[cfg(feature = "daemon")]
use std::collections::HashMap;
use std::sync::Arc;
#[cfg(feature = "daemon")]
use std::sync::Mutex;

use crate::store::redis::calls::Calls;
use crate::store::redis::locks::Desk;

mod bucket;
mod buckets;
#[cfg(feature = "daemon")]
mod inspect;
mod locks;
mod map;
#[cfg(feature = "daemon")]
mod merge;
mod nodes;
mod options;
mod routes;
#[cfg(feature = "daemon")]
mod slots;
mod survey;
mod table;
#[cfg(feature = "daemon")]
mod together;

pub use options::{ClusterOptions, Endpoint};

use bucket::Bucket;
use buckets::BUCKETS;
use routes::Routes;

/// A store on a Redis Cluster.
#[derive(Debug)]
pub struct RedisCluster {
    routes: Arc<Routes>,
    buckets: Vec<Arc<Bucket>>,
    /// The locks of each.
    locks: Vec<Desk<Bucket>>,
    calls: Arc<Calls>,
    /// The last version of each bucket's commands, for when it does not answer.
    #[cfg(feature = "daemon")]
    versions: Mutex<HashMap<u32, u64>>,
}

impl RedisCluster {
    /// A store that finds its servers in the background from now on, and again whenever
    /// they change, until it is closed or dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(options: ClusterOptions) -> Self {
        let routes = Arc::new(Routes::open(options));
        let seeds = routes.options().seeds.iter();
        let seeds = seeds.map(|seed| routes.options().of(seed)).collect();
        let bucket = |number| Arc::new(Bucket::new(routes.clone(), number));
        let buckets: Vec<_> = (0..BUCKETS).map(bucket).collect();
        let calls = Arc::new(Calls::of_cluster(seeds, &buckets[0].keys));
        let desk = |bucket: &Arc<Bucket>| Desk::new(bucket.clone(), &bucket.keys, calls.clone());
        let locks = buckets.iter().map(desk).collect();
        Self {
            routes,
            buckets,
            locks,
            calls,
            #[cfg(feature = "daemon")]
            versions: Mutex::default(),
        }
    }
}

/// Reads `values` as what a server may say of its cluster, for `crate::fuzzing`.
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(super) fn read_all(values: &[redis::Value]) {
    use crate::store::redis::reply;
    let asked = Endpoint { host: "10.0.0.1".to_owned(), port: 6379 };
    let [info, slots, nodes, ..] = values else { return };
    let Ok(info) = reply::text(info.clone()) else { return };
    let map = map::Map::read(&asked, &info, slots.clone()).unwrap_or_default();
    for hash_slot in [0, 5461, 16_383] {
        let _who = (map.owner(hash_slot), map.has_replica(hash_slot));
    }
    if let Ok(nodes) = reply::text(nodes.clone()) {
        let _read = nodes::Nodes::read(&asked, &nodes, &map);
    }
    let _where = map::target(&asked, &info);
}

/// The bucket of a lock, for `crate::fuzzing`.
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(super) fn bucket(name: &crate::lock::LockName) -> u32 {
    buckets::bucket_of_lock(name)
}
