//! What is special to the embedded store, beside the contract.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::Store;
use solocron::store::sqlite::{Options, SqliteStore};

use crate::contract::*;

contract!(crate::sqlite::SqliteFixture);

/// A file in a directory of its own.
pub(crate) struct SqliteFixture {
    dir: tempfile::TempDir,
}

impl SqliteFixture {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("solocron.db")
    }

    pub(crate) fn open(&self, options: Options) -> solocron::store::Result<Arc<dyn Store>> {
        let cluster = ClusterName::new("test").unwrap();
        Ok(Arc::new(SqliteStore::open(&self.path(), &cluster, options)?))
    }
}

/// The machine that runs the tests may be busy.
pub(crate) fn patient() -> Options {
    Options { bound: Duration::from_secs(15), ..Options::default() }
}

impl Fixture for SqliteFixture {
    async fn start() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    async fn store(&self) -> Arc<dyn Store> {
        self.open(patient()).unwrap()
    }
}
