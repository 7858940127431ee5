//! One Redis or Valkey server as the store, or the one that sentinels call the master; in
//! `cluster`, several of them as one.
//!
//! Every decision that changes something is made inside a Lua script (`scripts/`, one file
//! for each operation), by the server's clock and in one atomic step; a batch is one round
//! trip. The rooms, in the order in which a call passes them: the operations in `claim`
//! (before which `look` sees who has what others have most likely), `settle`, `sweep`,
//! `control`, `cursors`, `ledger`, `nodes`, `outputs` and `tables`; `batch` cuts a batch
//! into calls; `server` is what they go to; `link` sends them, and `acks` has replicas
//! acknowledge them; `supervise` keeps the connection that `dial` makes, to the master that
//! `sentinel` was told where there are some; `reply`, `record` and `entry` read what comes
//! back. `keys` names every key.
//! Locks that stand alone are in `locks`, asked for together by `combine`; `calls` hears
//! when one is released.
//!
//! What a single server cannot promise: it may forget what it acknowledged, when it
//! fails over to a replica without `min_acks`, or restarts without `appendfsync always`.
//! `inspect` warns of what can be seen of it.

use std::sync::Arc;

mod acks;
mod batch;
mod calls;
#[cfg(feature = "daemon")]
mod claim;
mod cluster;
mod combine;
#[cfg(feature = "daemon")]
mod control;
#[cfg(feature = "daemon")]
mod cursors;
mod dial;
mod eager;
#[cfg(feature = "daemon")]
mod entry;
mod exchange;
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(crate) mod fuzzing;
mod inspect;
mod keys;
#[cfg(feature = "daemon")]
mod ledger;
mod link;
mod locks;
#[cfg(feature = "daemon")]
mod look;
#[cfg(feature = "daemon")]
mod nodes;
#[cfg(feature = "daemon")]
mod open;
mod options;
#[cfg(feature = "daemon")]
mod outputs;
#[cfg(feature = "daemon")]
mod record;
#[cfg(feature = "daemon")]
mod replica;
mod reply;
mod scripts;
mod sentinel;
mod server;
#[cfg(feature = "daemon")]
mod settle;
#[cfg(feature = "daemon")]
mod slot_keys;
#[cfg(feature = "daemon")]
mod slots;
mod supervise;
#[cfg(feature = "daemon")]
mod sweep;
#[cfg(feature = "daemon")]
mod tables;
mod trouble;

pub use cluster::{ClusterOptions, Endpoint, RedisCluster};
pub use options::{Address, Options, Pem, Sentinels, TlsOptions};
#[cfg(feature = "daemon")]
pub use replica::RedisReplica;

use calls::Calls;
use keys::Keys;
use link::Link;

/// A store on one Redis or Valkey server, or on the one that sentinels call the master.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<Link>,
    keys: Keys,
    calls: Arc<Calls>,
    locks: locks::Desk<Link>,
}

impl RedisStore {
    /// A store that connects in the background from now on, and again whenever the
    /// connection is lost, until it is closed or dropped. Calls wait for the first
    /// connection as long as `options.timeout`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(options: Options) -> Self {
        let keys = Keys::new(&options.cluster, keys::FIRST_BUCKET);
        let calls = Arc::new(Calls::new(options.clone(), &keys));
        let link = Arc::new(Link::open(options));
        let locks = locks::Desk::new(link.clone(), &keys, calls.clone());
        Self { link, keys, calls, locks }
    }
}
