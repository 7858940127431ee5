//! Locks on one Redis server: the contract's fixture, and what only a server can do.

use std::time::Duration;

use redis::Value;
use solocron::store::redis::{Address, Options, RedisStore};

use crate::contract::{Fixture, Need, PATIENT, cluster};
use crate::harness::redis_server::RedisServer;

mod access;
mod impostors;
mod keyspace;
mod waiting;

/// A server of its own.
pub(crate) struct Server(pub(crate) RedisServer);

impl Fixture for Server {
    const OFFERS: &'static [Need] = &[
        Need::Scripts,
        Need::OpenKeys,
        Need::Stops,
        Need::Timers,
        Need::CommonQueue,
        Need::StrictQueue,
    ];

    fn start() -> Self {
        Self(RedisServer::start())
    }

    fn address(&self) -> String {
        self.0.url()
    }

    fn residue(&self) -> Vec<String> {
        ["held", "queue"]
            .iter()
            .flat_map(|kind| self.0.cli_list(&["KEYS", &key(kind, "*")]))
            .collect()
    }

    fn lapse(&self, name: &str) {
        self.0.cli(&["DEL", &key("held", name)]);
    }

    fn block(&self, name: &str, as_text: bool) {
        let command = if as_text { "SET" } else { "RPUSH" };
        self.0.cli(&[command, &key("held", name), "foreign"]);
    }

    fn freeze(&self) {
        self.0.pause();
    }

    fn thaw(&self) {
        self.0.resume();
    }

    fn forget_scripts(&self) {
        let flushed = self.0.cli(&["SCRIPT", "FLUSH"]);
        assert_eq!(flushed, Value::Okay);
    }
}

/// The full name of a key of a lock.
pub(crate) fn key(kind: &str, name: &str) -> String {
    format!("prod:{{prod.0}}:{kind}:{name}")
}

pub(crate) fn options(port: u16) -> Options {
    Options {
        address: Address::Tcp { host: "127.0.0.1".to_owned(), port, tls: None },
        database: 0,
        username: None,
        password: None,
        cluster: cluster(),
        node: None,
        timeout: PATIENT,
        min_acks: 0,
    }
}

/// A store whose calls take no longer than `bound`.
fn hasty(server: &RedisServer, bound: Duration) -> RedisStore {
    RedisStore::open(Options { timeout: bound, ..options(server.port()) })
}
