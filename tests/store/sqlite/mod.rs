//! What is special to the embedded store, beside the contract.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use solocron::name::ClusterName;
use solocron::store::sqlite::{Options, SqliteStore};
use solocron::store::{Result, Store, StoreError};

use crate::contract::*;
use crate::harness::folder::Folder;

mod clocks;
mod faults;
mod growth;
mod places;
mod processes;

contract!(crate::sqlite::SqliteFixture);

/// A file in a directory of its own.
pub(crate) struct SqliteFixture {
    dir: Folder,
}

impl SqliteFixture {
    fn path(&self) -> PathBuf {
        self.dir.path().join("solocron.db")
    }

    /// Another connection to the file, as the sqlite3 shell would have.
    fn shell(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

/// The machine that runs the tests may be busy.
fn patient() -> Options {
    Options { bound: Duration::from_secs(15), ..Options::default() }
}

fn open(path: &Path, options: Options) -> Result<Arc<dyn Store>> {
    let cluster = ClusterName::new("test").unwrap();
    Ok(Arc::new(SqliteStore::open(path, &cluster, options)?))
}

/// Why the file at `path` does not open.
#[track_caller]
fn refusal(path: &Path) -> StoreError {
    match open(path, patient()) {
        Ok(_) => panic!("{} should not open", path.display()),
        Err(error) => error,
    }
}

impl Fixture for SqliteFixture {
    async fn start() -> Self {
        Self { dir: Folder::new() }
    }

    async fn store(&self) -> Arc<dyn Store> {
        open(&self.path(), patient()).unwrap()
    }
}
