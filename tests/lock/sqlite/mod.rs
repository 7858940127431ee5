//! Locks in a file: the contract's fixture, and what only a file can be.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::Connection;

use crate::contract::{Fixture, Need};
use crate::harness::folder::Folder;

mod files;

/// A file in a directory of its own.
pub(crate) struct File {
    /// Another process's transaction that does not end.
    stuck: Mutex<Option<Connection>>,
    dir: Folder,
}

impl File {
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("solocron.db")
    }

    /// Another connection to the file, as the sqlite3 shell would have.
    pub(crate) fn shell(&self) -> Connection {
        let shell = Connection::open(self.path()).unwrap();
        shell.busy_timeout(Duration::from_secs(10)).unwrap();
        shell
    }
}

impl Fixture for File {
    const OFFERS: &'static [Need] = &[Need::Stops, Need::Timers, Need::StrictQueue];

    fn start() -> Self {
        Self { stuck: Mutex::new(None), dir: Folder::new() }
    }

    fn address(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    /// What has lapsed stays in the file until somebody takes a lock; here it counts as
    /// gone. Queues are in memory.
    fn residue(&self) -> Vec<String> {
        let shell = self.shell();
        let now: i64 = shell.query_row("SELECT offset FROM clock", [], |row| row.get(0)).unwrap();
        let now = now + (solocron::clock::BootInstant::now().nanos() / 1000) as i64;
        let mut live = shell.prepare("SELECT name FROM locks WHERE lapses_at > ?1").unwrap();
        live.query_map([now], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    fn lapse(&self, name: &str) {
        self.shell().execute("DELETE FROM locks WHERE name = ?1", [name]).unwrap();
    }

    fn freeze(&self) {
        let shell = self.shell();
        shell.execute_batch("BEGIN IMMEDIATE").unwrap();
        *self.stuck.lock().unwrap() = Some(shell);
    }

    fn thaw(&self) {
        *self.stuck.lock().unwrap() = None;
    }
}
