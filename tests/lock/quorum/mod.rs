//! Locks on a quorum of servers: the contract's fixture, and what only several can do.

use std::process::Child;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::locks::LockStore;
use solocron::store::quorum::locks::{Quorum, Voter};
use solocron::store::redis::{Options, RedisStore};

use crate::contract::{Fixture, Need, PATIENCE, PATIENT, cluster};
use crate::harness::processes;
use crate::harness::redis_server::RedisServer;
use crate::redis::options;

mod contending;
mod outages;

/// Three servers, maybe with a cluster's name of its own on those that the cases share.
pub(crate) struct Three {
    cluster: ClusterName,
    /// Servers that nobody else uses.
    own: Option<Vec<RedisServer>>,
    opened: Mutex<Vec<Quorum>>,
}

/// Three for all cases that leave servers as they are.
static SHARED: LazyLock<(Vec<RedisServer>, Mutex<Child>)> = LazyLock::new(|| {
    let servers = several(3);
    let cleaner = processes::remove_at_the_end(servers.iter().map(RedisServer::folder));
    (servers, Mutex::new(cleaner))
});

impl Three {
    fn held(&self, name: &str) -> String {
        key(&self.cluster, "held", name)
    }
}

/// The full name of a key of a lock.
fn key(cluster: &ClusterName, kind: &str, name: &str) -> String {
    format!("{cluster}:{{{cluster}.0}}:{kind}:{name}")
}

impl Fixture for Three {
    const OFFERS: &'static [Need] =
        &[Need::Scripts, Need::OpenKeys, Need::Stops, Need::CommonQueue, Need::Quorum];

    fn start() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("case-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let cluster = ClusterName::new(&name).unwrap();
        Self { cluster, own: None, opened: Mutex::default() }
    }

    fn alone() -> Self {
        Self { cluster: cluster(), own: Some(several(3)), opened: Mutex::default() }
    }

    fn cluster(&self) -> ClusterName {
        self.cluster.clone()
    }

    fn address(&self) -> String {
        self.servers().iter().map(RedisServer::url).collect::<Vec<_>>().join(",")
    }

    fn residue(&self) -> Vec<String> {
        residue_in(&self.cluster, self.servers())
    }

    fn lapse(&self, name: &str) {
        self.settle();
        let held = self.held(name);
        self.servers().iter().for_each(|server| drop(server.cli(&["DEL", &held])));
    }

    fn block(&self, name: &str, as_text: bool) {
        let command = if as_text { "SET" } else { "RPUSH" };
        for server in self.servers() {
            server.cli(&[command, &self.held(name), "foreign"]);
        }
    }

    fn freeze(&self) {
        self.servers().iter().for_each(RedisServer::pause);
    }

    fn thaw(&self) {
        self.servers().iter().for_each(RedisServer::resume);
    }

    fn forget_scripts(&self) {
        self.servers().iter().for_each(|server| drop(server.cli(&["SCRIPT", "FLUSH"])));
    }

    fn servers(&self) -> &[RedisServer] {
        self.own.as_ref().unwrap_or_else(|| &SHARED.0)
    }

    fn settle(&self) {
        let opened = self.opened.lock().unwrap().clone();
        let settled = async {
            for quorum in &opened {
                tokio::time::timeout(PATIENCE, quorum.settled()).await.unwrap();
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(settled));
    }

    fn store(&self) -> Arc<dyn LockStore> {
        let quorum = quorum_in(&self.cluster, self.servers(), PATIENT);
        self.opened.lock().unwrap().push(quorum.clone());
        Arc::new(quorum)
    }
}

/// So many servers, none of which remembers anything when it is restarted.
pub(crate) fn several(count: usize) -> Vec<RedisServer> {
    (0..count).map(|_| RedisServer::start()).collect()
}

/// A quorum of these, with connections of its own.
pub(crate) fn quorum_of(servers: &[RedisServer], timeout: Duration) -> Quorum {
    quorum_in(&cluster(), servers, timeout)
}

fn quorum_in(cluster: &ClusterName, servers: &[RedisServer], timeout: Duration) -> Quorum {
    let voter = |server: &RedisServer| -> Arc<dyn Voter> {
        let cluster = cluster.clone();
        Arc::new(RedisStore::open(Options { timeout, cluster, ..options(server.port()) }))
    };
    Quorum::new(servers.iter().map(voter).collect(), timeout)
}

/// What is left of locks and of queues on any of these.
pub(crate) fn residue(servers: &[RedisServer]) -> Vec<String> {
    residue_in(&cluster(), servers)
}

fn residue_in(cluster: &ClusterName, servers: &[RedisServer]) -> Vec<String> {
    let mut left: Vec<_> = servers
        .iter()
        .flat_map(|server| {
            ["held", "queue"].map(|kind| server.cli_list(&["KEYS", &key(cluster, kind, "*")]))
        })
        .flatten()
        .collect();
    left.sort();
    left.dedup();
    left
}
