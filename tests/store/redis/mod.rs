//! The Redis backend: the contract, and what only a server can do to it.

use std::sync::Arc;
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::Store;
use solocron::store::redis::{Address, Options, RedisStore};

use crate::contract::Fixture;
use crate::harness::redis_server::RedisServer;

mod access;
mod impostors;
pub(crate) mod keyspace;
mod looking;
mod mirror;
mod outages;
mod speed;

contract!(crate::redis::RedisFixture);

pub(crate) struct RedisFixture(RedisServer);

impl Fixture for RedisFixture {
    async fn start() -> Self {
        Self(RedisServer::start())
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(RedisStore::open(options(&self.0)))
    }
}

/// How to reach `server`, in a hurry.
pub(crate) fn options(server: &RedisServer) -> Options {
    options_for(server.port())
}

pub(crate) fn options_for(port: u16) -> Options {
    Options {
        address: Address::Tcp { host: "127.0.0.1".to_owned(), port, tls: None },
        database: 0,
        username: None,
        password: None,
        cluster: ClusterName::new("prod").unwrap(),
        node: None,
        timeout: Duration::from_secs(5),
        min_acks: 0,
    }
}

/// The full name of one of the cluster's keys.
pub(crate) fn key(rest: &str) -> String {
    format!("prod:{{prod.0}}:{rest}")
}
