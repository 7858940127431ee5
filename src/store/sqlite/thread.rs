//! The thread that owns the connection.
//!
//! Invariants:
//!
//! - A call that was given up before its transaction began is never executed: the
//!   caller and the thread race for its [`Ticket`], and one of them wins.
//! - After an error that may lie with the connection the next call opens the file
//!   anew; health is what the last call saw.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use rusqlite::{Transaction, TransactionBehavior};
use tokio::sync::watch;

use super::calls::{Calls, Job, Ticket, report};
use super::connection::{Link, Patience};
use super::fault::{Fault, Stage};
use super::kernel::{Arrival, Clock, Kernel};
use crate::claim::Fence;
use crate::clock::{BootInstant, ClusterTime};
use crate::store::{Health, Result, StoreError};

/// So many calls wait at most; the callers of more are told at once.
const QUEUE: usize = 1024;

/// What the body of a call works with: a transaction at one instant.
pub(super) struct Step<'a> {
    pub(super) tx: &'a Transaction<'a>,
    pub(super) cluster: &'a str,
    pub(super) now: ClusterTime,
    /// The last fence given out.
    pub(super) last_fence: Fence,
}

/// The thread's side: the file, open or to be opened.
pub(super) struct Desk {
    path: PathBuf,
    cluster: String,
    kernel: Option<Kernel>,
    bound: Duration,
    patience: Patience,
    link: Option<Link>,
    arrival: Arrival,
    closed: bool,
    health: Arc<watch::Sender<Health>>,
    /// Whether the last failure was a write's: then only a write shows that it is over.
    cannot_write: bool,
}

/// Starts the thread and opens the file in it.
pub(super) fn start(
    path: PathBuf,
    cluster: String,
    kernel: Option<Kernel>,
    bound: Duration,
) -> Result<Calls> {
    let (queue, jobs) = sync_channel(QUEUE);
    let shown = path.clone();
    let health = Arc::new(watch::Sender::new(Health::Starting));
    let mut desk = Desk {
        path,
        cluster,
        kernel,
        bound,
        patience: Patience::default(),
        link: None,
        arrival: Arrival::First,
        closed: false,
        health: health.clone(),
        cannot_write: false,
    };
    let (opened, open) = sync_channel(1);
    std::thread::Builder::new()
        .name("sqlite".to_owned())
        .spawn(move || {
            desk.patience.set(BootInstant::now() + desk.bound);
            let result = desk.open();
            let failed = result.is_err();
            if opened.send(result).is_ok() && !failed {
                desk.work(&jobs);
            }
        })
        .map_err(|error| StoreError::Unavailable(format!("no thread for the file: {error}")))?;
    match open.recv_timeout(bound + Duration::from_millis(100)) {
        Ok(Ok(())) => Ok(Calls { queue, health, bound, path: shown }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(StoreError::Unavailable(format!(
            "{}: did not open within {bound:?}: the disk hangs, or another process holds the file",
            shown.display()
        ))),
    }
}

impl Desk {
    /// Closes the file for good.
    pub(super) fn close(&mut self) {
        self.closed = true;
        self.link = None;
    }

    fn work(&mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            job(self);
        }
    }

    /// Opens the file if it is not open.
    fn open(&mut self) -> Result<()> {
        if self.closed {
            return Err(StoreError::Unavailable("it was closed".to_owned()));
        }
        if self.link.is_some() {
            return Ok(());
        }
        let opened =
            self.kernel().and_then(|k| Link::open(&self.path, k, self.arrival, &self.patience));
        match opened {
            Ok(link) => {
                self.link = Some(link);
                self.arrival = Arrival::Again;
                self.up();
                Ok(())
            }
            Err(fault) => {
                self.cannot_write = true;
                Err(self.down(fault, Stage::Before))
            }
        }
    }

    /// The kernel this process runs on, or the one a test says.
    fn kernel(&self) -> std::result::Result<Kernel, Fault> {
        self.kernel.clone().map_or_else(Kernel::read, Ok)
    }

    /// Opens the file within the ticket's time.
    fn admit(&mut self, ticket: &Ticket) -> Result<()> {
        if !ticket.is_open() {
            return Err(given_up());
        }
        // A wait for another process ends before the caller's own time does, so
        // that the caller hears why.
        self.patience.set(ticket.deadline.minus(self.bound / 10));
        self.open()
    }

    pub(super) fn read<T>(
        &mut self,
        ticket: &Ticket,
        body: impl FnOnce(&mut Step<'_>) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        self.admit(ticket)?;
        let done = self.transact(TransactionBehavior::Deferred, || true, body);
        self.after(done, false)
    }

    pub(super) fn write<T>(
        &mut self,
        ticket: &Ticket,
        body: impl FnOnce(&mut Step<'_>) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        self.admit(ticket)?;
        let done = self.transact(TransactionBehavior::Immediate, || ticket.enter(), body);
        self.after(done, true)
    }

    pub(super) fn examine<T>(
        &mut self,
        ticket: &Ticket,
        body: impl FnOnce(&Link, &Kernel) -> std::result::Result<T, Fault>,
    ) -> Result<T> {
        self.admit(ticket)?;
        let done = match (&self.link, self.kernel()) {
            (Some(link), Ok(kernel)) => body(link, &kernel).map(Some),
            (_, Err(fault)) => Err(fault),
            (None, Ok(_)) => Ok(None),
        };
        self.after(done.map_err(|fault| (fault, Stage::Before)), false)
    }

    /// Runs `body` in one transaction; nothing when `enter` says that nobody waits
    /// for it any more.
    fn transact<T>(
        &mut self,
        behavior: TransactionBehavior,
        enter: impl FnOnce() -> bool,
        body: impl FnOnce(&mut Step<'_>) -> std::result::Result<T, Fault>,
    ) -> std::result::Result<Option<T>, (Fault, Stage)> {
        let Some(link) = &mut self.link else { return Ok(None) };
        link.check_in_place().map_err(before)?;
        let writes = matches!(behavior, TransactionBehavior::Immediate);
        let tx = link.db.transaction_with_behavior(behavior).map_err(before)?;
        let clock = Clock::read(&tx, &link.boot_id).map_err(before)?;
        if !enter() {
            return Ok(None);
        }
        let mut step = Step {
            tx: &tx,
            cluster: &self.cluster,
            now: clock.now(),
            last_fence: clock.last_fence,
        };
        let answer = body(&mut step).map_err(before)?;
        if writes {
            Clock::keep(step.tx, step.now, step.last_fence).map_err(before)?;
        }
        tx.commit().map_err(|error| (error.into(), Stage::Commit))?;
        Ok(Some(answer))
    }

    /// Keeps health and connection current after a call.
    fn after<T>(
        &mut self,
        done: std::result::Result<Option<T>, (Fault, Stage)>,
        wrote: bool,
    ) -> Result<T> {
        match done {
            Ok(Some(answer)) => {
                if wrote || !self.cannot_write {
                    self.up();
                }
                Ok(answer)
            }
            Ok(None) => Err(given_up()),
            Err((fault, stage)) => {
                self.cannot_write |= wrote;
                if fault.breaks_connection() {
                    self.link = None;
                }
                Err(self.down(fault, stage))
            }
        }
    }

    fn up(&mut self) {
        self.cannot_write = false;
        report(&self.health, Health::Up);
    }

    fn down(&self, fault: Fault, stage: Stage) -> StoreError {
        let error = fault.into_error(&self.path, stage);
        let why = match &error {
            StoreError::Unavailable(why) | StoreError::Unknown(why) | StoreError::Corrupt(why) => {
                why.clone()
            }
        };
        report(&self.health, Health::Down(why));
        error
    }
}

fn before(fault: impl Into<Fault>) -> (Fault, Stage) {
    (fault.into(), Stage::Before)
}

fn given_up() -> StoreError {
    StoreError::Unavailable("the caller had given up".to_owned())
}
