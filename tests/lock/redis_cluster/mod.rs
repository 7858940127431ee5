//! Locks on a Redis Cluster: the contract's fixture, and what only several servers can do
//! to a lock.

use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use redis::Value;
use solocron::clock::BootInstant;
use solocron::lock::{LockError, Locks, Wait};
use solocron::name::ClusterName;
use solocron::store::redis::{ClusterOptions, Endpoint, RedisCluster};

use crate::contract::waiting::only_called;
use crate::contract::*;
use crate::harness::redis_cluster::ServerCluster;
use crate::watched::{Kind, Said, Watched};

mod acks;
mod moving;
mod outages;

/// A cluster's name of its own on servers that the cases share.
pub(crate) struct Shared {
    cluster: ClusterName,
    /// Servers that nobody else uses.
    own: Option<ServerCluster>,
}

/// One for all cases: each has a name of its own on it.
static SHARED: LazyLock<(ServerCluster, Mutex<Child>)> = LazyLock::new(|| {
    let servers = ServerCluster::start(MASTERS, 0);
    let cleaner = Mutex::new(servers.clean_up_at_the_end());
    (servers, cleaner)
});

const MASTERS: usize = 3;

/// So many buckets the locks of a cluster are spread over.
const BUCKETS: u16 = 16;

impl Shared {
    fn on(own: Option<ServerCluster>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        Self { cluster: ClusterName::new(&name).unwrap(), own }
    }

    fn servers(&self) -> &ServerCluster {
        self.own.as_ref().unwrap_or_else(|| &SHARED.0)
    }

    /// The full name of a key of a lock.
    fn key(&self, kind: &str, name: &str) -> String {
        // A multiple of the buckets, so the rest is the same.
        let bucket = self.servers().hash_slot(name) % BUCKETS;
        format!("{0}:{{{0}.{bucket}}}:{kind}:{name}", self.cluster)
    }

    /// The hash slot of a lock, and the server that has it.
    fn place(&self, name: &str) -> (u16, usize) {
        let hash_slot = self.servers().hash_slot(&self.key("held", name));
        (hash_slot, self.servers().owner(hash_slot))
    }

    /// What the master of a lock answers.
    fn ask(&self, name: &str, args: &[&str]) -> Value {
        self.servers().server(self.place(name).1).cli(args)
    }

    /// A store that finds the cluster by these ports, and listens there.
    fn store_by(&self, ports: &[u16], timeout: Duration) -> Arc<RedisCluster> {
        let seed = |&port: &u16| Endpoint { host: "127.0.0.1".to_owned(), port };
        Arc::new(RedisCluster::open(ClusterOptions {
            seeds: ports.iter().map(seed).collect(),
            tls: None,
            username: None,
            password: None,
            cluster: self.cluster(),
            node: None,
            timeout,
            min_acks: 0,
        }))
    }
}

impl Fixture for Shared {
    const OFFERS: &'static [Need] =
        &[Need::Scripts, Need::OpenKeys, Need::Stops, Need::CommonQueue, Need::StrictQueue];

    fn start() -> Self {
        Self::on(None)
    }

    fn alone() -> Self {
        let servers = ServerCluster::start(MASTERS, 0);
        for master in 0..MASTERS {
            // Who is stopped for a moment is not taken for dead.
            servers.server(master).cli(&["CONFIG", "SET", "cluster-node-timeout", "15000"]);
        }
        Self::on(Some(servers))
    }

    fn address(&self) -> String {
        self.servers().url()
    }

    fn cluster(&self) -> ClusterName {
        self.cluster.clone()
    }

    fn residue(&self) -> Vec<String> {
        let patterns =
            ["held", "queue"].map(|kind| format!("{0}:{{{0}.*}}:{kind}:*", self.cluster));
        (0..MASTERS)
            .flat_map(|master| patterns.iter().map(move |pattern| (master, pattern)))
            .flat_map(|(master, pattern)| {
                self.servers().server(master).cli_list(&["KEYS", pattern])
            })
            .collect()
    }

    fn lapse(&self, name: &str) {
        self.ask(name, &["DEL", &self.key("held", name)]);
    }

    fn block(&self, name: &str, as_text: bool) {
        let command = if as_text { "SET" } else { "RPUSH" };
        self.ask(name, &[command, &self.key("held", name), "foreign"]);
    }

    fn freeze(&self) {
        (0..MASTERS).for_each(|master| self.servers().server(master).pause());
    }

    fn thaw(&self) {
        (0..MASTERS).for_each(|master| self.servers().server(master).resume());
        self.servers().until_whole();
    }

    fn forget_scripts(&self) {
        for master in 0..MASTERS {
            assert_eq!(self.servers().server(master).cli(&["SCRIPT", "FLUSH"]), Value::Okay);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_is_enough() {
    let f = Shared::start();
    let locks = Locks::open_in(&f.address(), &f.cluster()).unwrap();
    let guard = take(&locks, "order/1").await;
    let (_, holder) = contended(f.locks().lock("order/1").try_acquire().await);
    assert_eq!(holder.fence, guard.fence());
    guard.release().await.unwrap();
    assert_eq!(f.residue(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_in_different_buckets_are_refused_together_with_the_remedy() {
    let f = Shared::start();
    let store = Watched::new(f.store());
    for names in [["order/1", "order/2"], ["{order/1}stock", "{order/2}stock"], ["{}a", "{}b"]] {
        let request = store.locks().lock_all(names).ttl(LONG);
        let wait = Wait::at_most(PATIENCE);
        for answer in [request.try_acquire().await, request.acquire(wait).await] {
            let Err(LockError::Invalid(why)) = answer else { panic!("{names:?}: {answer:?}") };
            assert!(why.contains("must be on one server"), "{why}");
            assert!(why.contains("{order/1}stock and {order/1}money"), "{why}");
        }
    }
    assert_eq!(store.calls(Kind::Take).len(), 0, "nothing was sent");
    assert_eq!(f.residue(), [""; 0]);
    // As it advises.
    let request = store.locks().lock_all(["{order/1}stock", "{order/1}money"]).ttl(LONG);
    request.try_acquire().await.unwrap().release().await.unwrap();
}

/// The channels of a cluster's waiters that a server knows of.
fn channels(f: &Shared, server: usize) -> usize {
    let pattern = format!("{}:*", f.cluster);
    f.servers().server(server).cli_list(&["PUBSUB", "CHANNELS", &pattern]).len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_at_another_server_than_the_lock_is_on_is_called_all_the_same() {
    let f = Shared::start();
    let ports = f.servers().ports();
    for name in ["order/1", "order/2", "order/3", "order/4"] {
        let (_, owner) = f.place(name);
        let other = (owner + 1) % MASTERS;
        let holder = take(&f.locks(), name).await;
        let store = Watched::new(f.store_by(&[ports[other]], PATIENT));
        let request = store.locks().lock(name).ttl(LONG);
        let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
        store.queued(1).await;
        assert_eq!([owner, other].map(|server| channels(&f, server)), [0, 1]);
        let (took, released) = timed(holder.release()).await;
        released.unwrap();
        let (waited, guard) = timed(soon("the call", waiting)).await;
        guard.unwrap().unwrap().release().await.unwrap();
        assert!(took + waited < SLACK, "{name}: {waited:?}");
        drop(store);
        eventually("nobody listens", async || channels(&f, other) == 0).await;
    }
}
