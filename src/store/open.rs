//! From the config's words for a store to the store itself.

#[cfg(feature = "daemon")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "daemon")]
use super::Store;
use super::locks::LockStore;
use super::quorum::locks::{Quorum, Voter};
#[cfg(feature = "daemon")]
use super::quorum::slots::{QuorumStore, Replica};
#[cfg(feature = "daemon")]
use super::redis::RedisReplica;
use super::redis::{self, ClusterOptions, Endpoint, RedisCluster, RedisStore};
#[cfg(feature = "daemon")]
use super::sqlite::{self, SqliteStore};
use super::{Result, StoreError};
use crate::address::{MIN_ACKS, RedisAddress, RedisConfig, Secret, StoreConfig, TlsFiles};
use crate::name::{ClusterName, NodeName};

#[cfg(feature = "daemon")]
/// Opens the store of `cluster` that `config` names, as `node` where it is one. No
/// call waits longer than `bound`, where that is shorter than what is usual: a
/// node's bound is a part of its shortest lease, so that one call without an
/// answer loses none.
/// A file that cannot be used is an error; a server may come up later, so it is
/// asked in the background.
///
/// # Errors
/// [`Unavailable`](super::StoreError::Unavailable) with what to do about it.
pub fn open(
    config: &StoreConfig,
    cluster: &ClusterName,
    node: Option<&NodeName>,
    bound: Duration,
) -> Result<Arc<dyn Store>> {
    Ok(match config {
        StoreConfig::Sqlite { path } => Arc::new(in_file(path, cluster, bound)?),
        StoreConfig::Redis(config) => match reach(config, cluster, node, bound) {
            Reach::Server(options) => Arc::new(RedisStore::open(options)),
            Reach::Cluster(options) => Arc::new(RedisCluster::open(options)),
        },
        StoreConfig::Quorum(servers) => {
            let (options, longest) = reach_all(servers, cluster, node, bound)?;
            let replica = |options| -> Arc<dyn Replica> { Arc::new(RedisReplica::open(options)) };
            Arc::new(QuorumStore::open(options.into_iter().map(replica).collect(), longest))
        }
    })
}

/// The same for its locks, which stand alone.
///
/// # Errors
/// As `open`.
pub fn open_locks(
    config: &StoreConfig,
    cluster: &ClusterName,
    node: Option<&NodeName>,
    bound: Duration,
) -> Result<Arc<dyn LockStore>> {
    Ok(match config {
        #[cfg(feature = "daemon")]
        StoreConfig::Sqlite { path } => Arc::new(in_file(path, cluster, bound)?),
        #[cfg(not(feature = "daemon"))]
        StoreConfig::Sqlite { .. } => {
            let why = "SQLite is left out of this program; build it with the feature `daemon`";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        StoreConfig::Redis(config) => match reach(config, cluster, node, bound) {
            Reach::Server(options) => Arc::new(RedisStore::open(options)),
            Reach::Cluster(options) => Arc::new(RedisCluster::open(options)),
        },
        StoreConfig::Quorum(servers) => {
            let (options, longest) = reach_all(servers, cluster, node, bound)?;
            let voter = |options| -> Arc<dyn Voter> { Arc::new(RedisStore::open(options)) };
            Arc::new(Quorum::new(options.into_iter().map(voter).collect(), longest))
        }
    })
}

#[cfg(feature = "daemon")]
fn in_file(path: &Path, cluster: &ClusterName, bound: Duration) -> Result<SqliteStore> {
    let usual = sqlite::Options::default();
    let options = sqlite::Options { bound: usual.bound.min(bound), ..usual };
    SqliteStore::open(path, cluster, options)
}

/// How to reach each server of a quorum, and the longest that a call to one may take.
fn reach_all(
    servers: &[RedisConfig],
    cluster: &ClusterName,
    node: Option<&NodeName>,
    bound: Duration,
) -> Result<(Vec<redis::Options>, Duration)> {
    let mut all = Vec::with_capacity(servers.len());
    for config in servers {
        let Reach::Server(options) = reach(config, cluster, node, bound) else {
            let why = format!("{config} cannot be a server of a quorum");
            return Err(StoreError::Unavailable(why));
        };
        all.push(options);
    }
    let longest = all.iter().map(|options| options.timeout).max();
    let longest =
        longest.ok_or_else(|| StoreError::Unavailable("a quorum without servers".to_owned()))?;
    Ok((all, longest))
}

/// How to reach a Redis.
enum Reach {
    /// One server, or the one that sentinels name.
    Server(redis::Options),
    /// Several that are one store.
    Cluster(ClusterOptions),
}

fn reach(
    config: &RedisConfig,
    cluster: &ClusterName,
    node: Option<&NodeName>,
    bound: Duration,
) -> Reach {
    let timeout = config.timeout.min(bound);
    let address = match &config.address {
        RedisAddress::Tcp { host, port, tls } => redis::Address::Tcp {
            host: host.clone(),
            port: *port,
            tls: tls.as_ref().map(tls_options),
        },
        RedisAddress::Unix(path) => redis::Address::Unix(path.clone()),
        RedisAddress::Sentinel(of) => redis::Address::Sentinel(redis::Sentinels {
            servers: of.sentinels.clone(),
            master: of.master.clone(),
            username: of.username.clone(),
            password: exposed(of.password.as_ref()),
            tls: of.tls.as_ref().map(tls_options),
        }),
        RedisAddress::Cluster { seeds, tls } => {
            let seed = |(host, port): &(String, u16)| Endpoint { host: host.clone(), port: *port };
            return Reach::Cluster(ClusterOptions {
                seeds: seeds.iter().map(seed).collect(),
                tls: tls.as_ref().map(tls_options),
                username: config.username.clone(),
                password: exposed(config.password.as_ref()),
                cluster: cluster.clone(),
                node: node.cloned(),
                timeout,
                min_acks: config.min_acks.unwrap_or(MIN_ACKS),
            });
        }
    };
    Reach::Server(redis::Options {
        address,
        database: config.database,
        username: config.username.clone(),
        password: exposed(config.password.as_ref()),
        cluster: cluster.clone(),
        node: node.cloned(),
        timeout,
        min_acks: config.min_acks.unwrap_or(MIN_ACKS),
    })
}

fn exposed(secret: Option<&Secret>) -> Option<String> {
    secret.map(|secret| secret.expose().to_owned())
}

fn tls_options(files: &TlsFiles) -> redis::TlsOptions {
    let pem = |path: &Option<std::path::PathBuf>| path.clone().map(redis::Pem::File);
    redis::TlsOptions { ca: pem(&files.ca), cert: pem(&files.cert), key: pem(&files.key) }
}
