//! The async side: calls are sent to the thread and waited for, within a bound.
//!
//! Invariant: a caller waits no longer than the bound, whatever the file does, and
//! knows then whether its call may have been applied.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::connection::Link;
use super::fault::Fault;
use super::kernel::Kernel;
use super::thread::{Desk, Step};
use crate::clock::BootInstant;
use crate::store::{Health, Result, StoreError};

/// Where a call stands.
const OPEN: u8 = 0;
const ENTERED: u8 = 1;
const GIVEN_UP: u8 = 2;

/// One call's right to be executed: entered by the thread, or given up by the caller.
#[derive(Debug)]
pub(super) struct Ticket {
    state: AtomicU8,
    /// From then on nobody waits for it.
    pub(super) deadline: BootInstant,
}

impl Ticket {
    /// Whether its caller may still be waiting.
    pub(super) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN && BootInstant::now() < self.deadline
    }

    /// The thread's step; false when the caller has given up.
    pub(super) fn enter(&self) -> bool {
        self.take(ENTERED)
    }

    /// The caller's step; false when the thread may be writing.
    fn give_up(&self) -> bool {
        self.take(GIVEN_UP)
    }

    fn take(&self, state: u8) -> bool {
        self.state.compare_exchange(OPEN, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// Gives the call up when its caller goes away.
struct Caller(Arc<Ticket>);

impl Drop for Caller {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

/// A call on its way to the thread.
pub(super) type Job = Box<dyn FnOnce(&mut Desk) + Send>;

/// The async side: sends calls and waits for their answers.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) queue: SyncSender<Job>,
    pub(super) health: Arc<watch::Sender<Health>>,
    pub(super) bound: Duration,
    pub(super) path: PathBuf,
}

impl Calls {
    /// A call that only reads.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Step<'_>) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.call(move |desk, ticket| desk.read(ticket, body)).await
    }

    /// A call that writes, in one transaction.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Step<'_>) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.call(move |desk, ticket| desk.write(ticket, body)).await
    }

    /// A call about the file itself.
    pub(super) async fn examine<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Link, &Kernel) -> std::result::Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        self.call(move |desk, ticket| desk.examine(ticket, body)).await
    }

    /// Closes the file; what comes later is unavailable.
    pub(super) async fn close(&self) {
        let _ = self
            .call(|desk, _| {
                desk.close();
                Ok(())
            })
            .await;
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    async fn call<T: Send + 'static>(
        &self,
        body: impl FnOnce(&mut Desk, &Ticket) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let ticket = Arc::new(Ticket {
            state: AtomicU8::new(OPEN),
            deadline: BootInstant::now() + self.bound,
        });
        let caller = Caller(ticket.clone());
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |desk| {
            let answer = body(desk, &ticket);
            let _ = reply.send(answer);
        });
        self.queue.try_send(job).map_err(|refused| {
            StoreError::Unavailable(match refused {
                TrySendError::Full(_) => "too many calls wait for the file".to_owned(),
                TrySendError::Disconnected(_) => "its thread has ended".to_owned(),
            })
        })?;
        let error = match tokio::time::timeout(self.bound, answer).await {
            Ok(Ok(answer)) => return answer,
            Ok(Err(_)) => "its thread has ended".to_owned(),
            Err(_) => format!(
                "{}: no answer within {:?}: the disk hangs, or another process holds the file",
                self.path.display(),
                self.bound
            ),
        };
        report(&self.health, Health::Down(error.clone()));
        Err(if caller.0.give_up() {
            StoreError::Unavailable(error)
        } else {
            StoreError::Unknown(error)
        })
    }
}

/// Makes it known how the store is, if that is new.
pub(super) fn report(health: &watch::Sender<Health>, now: Health) {
    health.send_if_modified(|held| {
        let new = *held != now;
        *held = now;
        new
    });
}
