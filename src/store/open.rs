//! From the config's words for a store to the store itself.

use std::sync::Arc;
use std::time::Duration;

use super::redis::{self, ClusterOptions, Endpoint, RedisCluster, RedisStore};
use super::sqlite::{self, SqliteStore};
use super::{Result, Store};
use crate::config::{RedisAddress, RedisConfig, StoreConfig, TlsFiles};
use crate::name::{ClusterName, NodeName};

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
    match config {
        StoreConfig::Sqlite { path } => {
            let usual = sqlite::Options::default();
            let options = sqlite::Options { bound: usual.bound.min(bound), ..usual };
            Ok(Arc::new(SqliteStore::open(path, cluster, options)?))
        }
        StoreConfig::Redis(config) => Ok(redis(config, cluster, node, bound)),
    }
}

fn redis(
    config: &RedisConfig,
    cluster: &ClusterName,
    node: Option<&NodeName>,
    bound: Duration,
) -> Arc<dyn Store> {
    let address = match &config.address {
        RedisAddress::Tcp { host, port, tls } => redis::Address::Tcp {
            host: host.clone(),
            port: *port,
            tls: tls.as_ref().map(tls_options),
        },
        RedisAddress::Unix(path) => redis::Address::Unix(path.clone()),
        RedisAddress::Cluster { seeds, tls } => {
            let seed = |(host, port): &(String, u16)| Endpoint { host: host.clone(), port: *port };
            return Arc::new(RedisCluster::open(ClusterOptions {
                seeds: seeds.iter().map(seed).collect(),
                tls: tls.as_ref().map(tls_options),
                username: config.username.clone(),
                password: config.password.as_ref().map(|secret| secret.expose().to_owned()),
                cluster: cluster.clone(),
                node: node.cloned(),
                timeout: config.timeout.min(bound),
            }));
        }
    };
    Arc::new(RedisStore::open(redis::Options {
        address,
        database: config.database,
        username: config.username.clone(),
        password: config.password.as_ref().map(|secret| secret.expose().to_owned()),
        cluster: cluster.clone(),
        node: node.cloned(),
        timeout: config.timeout.min(bound),
    }))
}

fn tls_options(files: &TlsFiles) -> redis::TlsOptions {
    let pem = |path: &Option<std::path::PathBuf>| path.clone().map(redis::Pem::File);
    redis::TlsOptions { ca: pem(&files.ca), cert: pem(&files.cert), key: pem(&files.key) }
}
