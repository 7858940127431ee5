//! From the config's words for a store to the store itself.

use std::sync::Arc;

use super::redis::{self, RedisStore};
use super::sqlite::{self, SqliteStore};
use super::{Result, Store};
use crate::config::{RedisAddress, StoreConfig, TlsFiles};
use crate::name::{ClusterName, NodeName};

/// Opens the store of `cluster` that `config` names, as `node` where it is one.
/// A file that cannot be used is an error; a server may come up later, so it is
/// asked in the background.
///
/// # Errors
/// [`Unavailable`](super::StoreError::Unavailable) with what to do about it.
pub fn open(
    config: &StoreConfig,
    cluster: &ClusterName,
    node: Option<&NodeName>,
) -> Result<Arc<dyn Store>> {
    match config {
        StoreConfig::Sqlite { path } => {
            Ok(Arc::new(SqliteStore::open(path, cluster, sqlite::Options::default())?))
        }
        StoreConfig::Redis(config) => Ok(Arc::new(RedisStore::open(redis::Options {
            address: address(&config.address),
            database: config.database,
            username: config.username.clone(),
            password: config.password.as_ref().map(|secret| secret.expose().to_owned()),
            cluster: cluster.clone(),
            node: node.cloned(),
            timeout: config.timeout,
        }))),
    }
}

fn address(address: &RedisAddress) -> redis::Address {
    match address {
        RedisAddress::Tcp { host, port, tls } => redis::Address::Tcp {
            host: host.clone(),
            port: *port,
            tls: tls.as_ref().map(tls_options),
        },
        RedisAddress::Unix(path) => redis::Address::Unix(path.clone()),
    }
}

fn tls_options(files: &TlsFiles) -> redis::TlsOptions {
    let pem = |path: &Option<std::path::PathBuf>| path.clone().map(redis::Pem::File);
    redis::TlsOptions { ca: pem(&files.ca), cert: pem(&files.cert), key: pem(&files.key) }
}
