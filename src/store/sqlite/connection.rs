//! Opening the file: its settings, its schema and this boot's clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

use super::fault::Fault;
use super::file::{self, Identity};
use super::kernel::{self, Arrival, Kernel};
use crate::clock::BootInstant;

/// The schema's version, in `user_version`.
const VERSION: i32 = 4;
/// "solo", in `application_id`: what tells our files from other programs'.
const APPLICATION: i32 = 0x736f_6c6f;
const SCHEMA: &str = include_str!("schema.sql");
/// What version 2 has besides.
const LOCKS: &str = include_str!("locks.sql");
/// What version 3 has besides.
const LOADS: &str = include_str!("loads.sql");
/// What version 4 has besides.
const OUTPUTS: &str = include_str!("outputs.sql");
/// Every statement of this backend stays prepared.
const STATEMENTS: usize = 128;

/// Until when the busy handler waits for another process; shared with SQLite's callback.
#[derive(Debug, Clone, Default)]
pub(super) struct Patience(Arc<AtomicU64>);

impl Patience {
    /// Waits until `at` from now on.
    pub(super) fn set(&self, at: BootInstant) {
        self.0.store(at.nanos(), Ordering::Relaxed);
    }

    /// Sleeps a little and says true, or says false when the time is up.
    fn wait(&self, tries: i32) -> bool {
        let deadline = BootInstant::from_nanos(self.0.load(Ordering::Relaxed));
        let left = deadline.since(BootInstant::now());
        if left.is_zero() {
            return false;
        }
        // Short at first, because a write takes milliseconds; with jitter, so
        // that waiting processes do not meet again.
        let pause = Duration::from_micros(500 * u64::from(tries.clamp(1, 10).unsigned_abs()));
        std::thread::sleep(pause.mul_f64(0.5 + fastrand::f64()).min(left));
        true
    }
}

/// An open file.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) db: Connection,
    /// The boot of the kernel in which it was opened.
    pub(super) boot_id: String,
    /// Its path without links.
    path: PathBuf,
    identity: Option<Identity>,
}

impl Link {
    /// Opens the file at `path`, making it if there is none.
    pub(super) fn open(
        path: &Path,
        kernel: Kernel,
        arrival: Arrival,
        patience: &Patience,
    ) -> Result<Self, Fault> {
        let path = file::prepare(path)?;
        let identity = Identity::of(&path);
        let mut db = Connection::open_with_flags(
            &path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        let waiting = patience.clone();
        db.busy_handler(Some(move |tries| waiting.wait(tries)))?;
        db.set_prepared_statement_cache_capacity(STATEMENTS);
        // In one transaction: another process may be making the file meanwhile.
        check_owner(&*db.transaction()?)?;
        use_write_ahead_log(&db, patience)?;
        db.execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA trusted_schema = OFF;
             PRAGMA cache_size = -16384;
             PRAGMA journal_size_limit = 16777216;",
        )?;
        if version(&db)? != VERSION || !kernel::boot_is_settled(&db, &kernel)? {
            let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
            check_owner(&tx)?;
            let found = version(&tx)?;
            if found == 0 {
                tx.execute_batch(SCHEMA)?;
                tx.pragma_update(None, "application_id", APPLICATION)?;
            }
            if found < 2 {
                tx.execute_batch(LOCKS)?;
            }
            if found < 3 {
                tx.execute_batch(LOADS)?;
            }
            if found < 4 {
                tx.execute_batch(OUTPUTS)?;
            }
            if found < VERSION {
                tx.pragma_update(None, "user_version", VERSION)?;
            }
            kernel::settle_boot(&tx, &kernel, arrival)?;
            tx.commit()?;
        }
        Ok(Self { db, boot_id: kernel.boot_id, path, identity })
    }

    /// The file's path without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Fails when the file at the path is no longer the one that is open: what is
    /// written there nobody else would see.
    pub(super) fn check_in_place(&self) -> Result<(), Fault> {
        if Identity::of(&self.path) == self.identity {
            return Ok(());
        }
        Err(Fault::Unusable(format!(
            "{} was deleted or replaced while it was in use; what it held is out of reach, and \
             the next call makes do with what is there now",
            self.path.display()
        )))
    }
}

fn version(db: &Connection) -> rusqlite::Result<i32> {
    db.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Refuses the file of another program or of a newer version of this one.
fn check_owner(db: &Connection) -> Result<(), Fault> {
    let found = version(db)?;
    let application: i32 = db.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = db.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION && (application != 0 || found != 0 || tables != 0) {
        return Err(Fault::Unusable(
            "the file is the database of another program; name another file".to_owned(),
        ));
    }
    if found > VERSION {
        return Err(Fault::Unusable(format!(
            "the file was written by a newer solocron: its schema has version {found}, this \
             program knows up to {VERSION}; run the newer program, or name another file"
        )));
    }
    Ok(())
}

/// Several processes that open a new file at once can be told that it is busy
/// without SQLite asking its busy handler.
fn use_write_ahead_log(db: &Connection, patience: &Patience) -> Result<(), Fault> {
    let mut tries = 0;
    let mode: String = loop {
        match db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0)) {
            Ok(mode) => break mode,
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                tries += 1;
                if !patience.wait(tries) {
                    return Err(error.into());
                }
            }
            Err(error) => return Err(error.into()),
        }
    };
    if mode.eq_ignore_ascii_case("wal") {
        return Ok(());
    }
    Err(Fault::Unusable(format!(
        "the file cannot have a write-ahead log where it lies (its journal stays {mode:?}); put \
         it on a local disk"
    )))
}
