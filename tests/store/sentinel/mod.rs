//! Redis with Sentinel: the contract, and how another master is found.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::Store;
use solocron::store::redis::{Address, Options, RedisStore, Sentinels};

use crate::contract::Fixture;
use crate::harness::sentinel::{Group, MASTER};

mod acks;
mod failover;
mod impostors;

contract!(crate::sentinel::SentinelFixture);

/// A cluster of its own on servers that the cases share.
pub(crate) struct SentinelFixture {
    group: Arc<Group>,
    cluster: ClusterName,
}

/// The servers, for as long as a case uses them.
static SHARED: Mutex<Weak<Group>> = Mutex::new(Weak::new());

impl Fixture for SentinelFixture {
    async fn start() -> Self {
        // Another case may have failed while it started them.
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let group = shared.upgrade().unwrap_or_else(|| Arc::new(Group::plan().replicas(1).start()));
        *shared = Arc::downgrade(&group);
        let cluster = format!("test-{}", solocron::claim::Token::new());
        Self { group, cluster: ClusterName::new(&cluster).unwrap() }
    }

    async fn store(&self) -> Arc<dyn Store> {
        let cluster = self.cluster.clone();
        // What replicas acknowledge is to be all the same otherwise.
        Arc::new(RedisStore::open(Options { cluster, min_acks: 1, ..options(&self.group) }))
    }
}

/// How to reach the master of `group`.
pub(crate) fn options(group: &Group) -> Options {
    options_for(group.addresses())
}

pub(crate) fn options_for(servers: Vec<(String, u16)>) -> Options {
    Options {
        address: Address::Sentinel(Sentinels {
            servers,
            master: MASTER.to_owned(),
            username: None,
            password: None,
            tls: None,
        }),
        database: 0,
        username: None,
        password: None,
        cluster: ClusterName::new("prod").unwrap(),
        node: None,
        timeout: Duration::from_secs(5),
        min_acks: 0,
    }
}
