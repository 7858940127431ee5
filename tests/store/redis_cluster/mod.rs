//! A Redis Cluster as the backend: the contract, and what only several servers can do
//! to it.

use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::Store;
use solocron::store::redis::{ClusterOptions, Endpoint, RedisCluster};

use crate::contract::Fixture;
use crate::harness::redis_cluster::ServerCluster;

mod acks;
mod inspecting;
mod moving;
mod outages;
mod shown;
mod tls;

contract!(crate::redis_cluster::ClusterFixture);

/// One for all cases of the contract: each has a name of its own in it.
static SHARED: LazyLock<(ServerCluster, Mutex<Child>)> = LazyLock::new(|| {
    let cluster = ServerCluster::start(3, 1);
    let cleaner = Mutex::new(cluster.clean_up_at_the_end());
    (cluster, cleaner)
});

pub(crate) struct ClusterFixture(ClusterName);

impl Fixture for ClusterFixture {
    async fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self(ClusterName::new(&name).unwrap())
    }

    async fn store(&self) -> Arc<dyn Store> {
        let ports = tokio::task::block_in_place(|| SHARED.0.ports());
        Arc::new(RedisCluster::open(ClusterOptions {
            cluster: self.0.clone(),
            // What replicas acknowledge is to be all the same otherwise.
            min_acks: 1,
            ..options_for(&ports)
        }))
    }
}

/// How to reach a cluster by servers on these ports.
pub(crate) fn options_for(ports: &[u16]) -> ClusterOptions {
    let seed = |&port: &u16| Endpoint { host: "127.0.0.1".to_owned(), port };
    ClusterOptions {
        seeds: ports.iter().map(seed).collect(),
        tls: None,
        username: None,
        password: None,
        cluster: ClusterName::new("prod").unwrap(),
        node: None,
        timeout: Duration::from_secs(5),
        min_acks: 0,
    }
}

/// The same, by any server of it.
pub(crate) fn options(cluster: &ServerCluster) -> ClusterOptions {
    options_for(&cluster.ports())
}

/// The full name of one of the keys of a bucket.
pub(crate) fn key(bucket: u32, rest: &str) -> String {
    format!("prod:{{prod.{bucket}}}:{rest}")
}
