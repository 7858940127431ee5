//! A quorum of servers: the contract, and what only several can do to it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::Store;
use solocron::store::quorum::slots::{QuorumStore, Replica};
use solocron::store::redis::{Options, RedisReplica};

use crate::contract::Fixture;
use crate::harness::redis_server::RedisServer;
use crate::redis::options_for;

mod access;
mod copiers;
mod outages;
mod promises;

contract!(crate::quorum::QuorumFixture);

/// A cluster of its own on servers that the cases share.
pub(crate) struct QuorumFixture {
    servers: Arc<Vec<RedisServer>>,
    cluster: ClusterName,
}

/// The servers, for as long as a case uses them.
static SHARED: Mutex<Weak<Vec<RedisServer>>> = Mutex::new(Weak::new());

impl Fixture for QuorumFixture {
    async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        // Another case may have failed while it started them.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let servers = shared.upgrade().unwrap_or_else(|| Arc::new(several(3)));
        *shared = Arc::downgrade(&servers);
        let name = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { servers, cluster: ClusterName::new(&name).unwrap() }
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(quorum_of(&self.servers, &self.cluster, Duration::from_secs(5)))
    }
}

/// So many servers, none of which remembers anything when it is restarted.
pub(crate) fn several(count: usize) -> Vec<RedisServer> {
    (0..count).map(|_| RedisServer::start()).collect()
}

/// A quorum of these, with connections of its own.
pub(crate) fn quorum_of(
    servers: &[RedisServer],
    cluster: &ClusterName,
    timeout: Duration,
) -> QuorumStore {
    quorum_at(&servers.iter().collect::<Vec<_>>(), cluster, timeout)
}

/// The same, of servers that may be the same.
pub(crate) fn quorum_at(
    servers: &[&RedisServer],
    cluster: &ClusterName,
    timeout: Duration,
) -> QuorumStore {
    let replica = |server: &&RedisServer| -> Arc<dyn Replica> {
        let cluster = cluster.clone();
        Arc::new(RedisReplica::open(Options { timeout, cluster, ..options_for(server.port()) }))
    };
    QuorumStore::open(servers.iter().map(replica).collect(), timeout)
}
