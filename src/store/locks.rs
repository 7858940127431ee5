//! The locks of a store, beside its slots: what `solocron::lock` stands on.
//!
//! What a backend must keep:
//!
//! - Each call is decided and written in one atomic step, by the store's own clock.
//!   Several names are taken all together or not at all.
//! - Nothing is written to a lock but by the token that holds it, and nobody takes one
//!   that is held. A token that was revoked is granted nothing any more, however late a
//!   copy of its request is applied.
//! - Every call ends in bounded time with an answer or a [`StoreError`] that says
//!   whether it may have been applied.
//! - Nothing stays of a lock that nobody holds: everything expires.
//!
//! [`StoreError`]: super::StoreError

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use tokio::sync::{Notify, watch};

use super::{Health, Result};
use crate::clock::ClusterTime;
use crate::lease::{Fence, Token};
use crate::lock::{Holder, LockName};

/// One attempt at locks.
#[derive(Debug, Clone)]
pub struct Take {
    /// Which; in order, each once, at least one.
    pub names: Arc<[LockName]>,
    /// Whose they are if it is granted. The same token again prolongs them, and has the
    /// same fence where it held them all.
    pub token: Token,
    /// How long they last without being extended, whole milliseconds, not zero.
    pub ttl: Duration,
    /// What others are told of the holder.
    pub metadata: Arc<str>,
    /// Who wants to be called when the first of them that is held is released.
    pub queue: Option<Place>,
}

/// A place in the queue for a lock.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// The number of the [`Waiter`].
    pub waiter: u64,
    /// Since when it waits, if it has waited before; by the store's clock.
    pub since: Option<ClusterTime>,
    /// When the waiter will ask again at the latest, called or not.
    pub asks_within: Duration,
}

/// The answer to a [`Take`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// All of them are ours.
    Granted(Fence),
    /// Nothing was taken.
    Held {
        /// The first that is held.
        name: LockName,
        /// By whom.
        holder: Holder,
        /// Since when the waiter has its place in the queue, where one was asked for.
        since: Option<ClusterTime>,
    },
    /// The token was [revoked](Release::revoke_for).
    Revoked,
}

/// What somebody who asked by token is told of one lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It was ours, and the write was made.
    Ours,
    /// Another holds it.
    HeldBy(Holder),
    /// Nobody holds it.
    Free,
}

/// Gives locks back.
#[derive(Debug, Clone)]
pub struct Release {
    /// Which.
    pub names: Arc<[LockName]>,
    /// Whose they are.
    pub token: Token,
    /// How long nobody may take them still; zero for at once.
    pub hold: Duration,
    /// For how long the token is granted nothing any more; none where every request
    /// that was made with it was answered.
    pub revoke_for: Option<Duration>,
}

/// The locks of a store. See the module's head for what an implementation must keep.
#[async_trait]
pub trait LockStore: Send + Sync + 'static {
    /// What and where it is, without any secret: for messages.
    fn describe(&self) -> String;

    /// Whether it can be reached, kept current by the backend.
    fn health(&self) -> watch::Receiver<Health>;

    /// Whether these can be taken in one step; else why not, and what to do.
    fn can_be_taken_together(&self, _names: &[LockName]) -> std::result::Result<(), String> {
        Ok(())
    }

    /// One attempt at all of `take.names`.
    async fn take(&self, take: &Take) -> Result<Taken>;

    /// Lets locks last for `ttl` from now; an answer for each name. Where one of them is
    /// not ours the others are prolonged all the same.
    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>>;

    /// Gives locks back, and calls the first that waits for each; an answer for each name.
    async fn release(&self, release: &Release) -> Result<Vec<Standing>>;

    /// Who holds a lock.
    async fn holder(&self, name: &LockName) -> Result<Option<Holder>>;

    /// Somebody who is called when a lock is released that it queues for. A call is a
    /// hint: it may come for nothing, and it may get lost.
    async fn enter(&self) -> Waiter;

    /// Gives up a place in the queue for `name`; one that was called already calls the next.
    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()>;

    /// Closes connections and files; later calls are unavailable.
    async fn close(&self);
}

/// Those of this process who wait for locks of one store.
#[derive(Debug, Clone, Default)]
pub struct WaitingRoom(Arc<Waiters>);

#[derive(Debug, Default)]
struct Waiters {
    last: AtomicU64,
    present: Mutex<HashMap<u64, Arc<Notify>>>,
    /// Told whenever somebody enters.
    entered: Notify,
}

impl Waiters {
    fn present(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Notify>>> {
        // Nothing in here panics half-way.
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl WaitingRoom {
    /// Lets one more wait.
    pub fn enter(&self) -> Waiter {
        let number = self.0.last.fetch_add(1, Ordering::Relaxed) + 1;
        let called = Arc::new(Notify::new());
        self.0.present().insert(number, called.clone());
        self.0.entered.notify_one();
        Waiter { number, called, room: self.clone(), _kept: None }
    }

    /// Calls one of them; false when it is gone.
    pub fn call(&self, number: u64) -> bool {
        let present = self.0.present();
        let called = present.get(&number).inspect(|called| called.notify_one());
        called.is_some()
    }

    /// Calls them all: nobody knows which calls were lost.
    pub fn call_all(&self) {
        self.0.present().values().for_each(|called| called.notify_one());
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.0.present().is_empty()
    }

    /// Returns when somebody is there, or has come since this was asked last.
    pub async fn occupied(&self) {
        while self.is_empty() {
            self.0.entered.notified().await;
        }
    }
}

/// Somebody who waits for a lock; when it is dropped it does so no longer.
#[derive(Debug)]
pub struct Waiter {
    number: u64,
    called: Arc<Notify>,
    room: WaitingRoom,
    _kept: Option<Kept>,
}

/// What lives as long as a waiter.
struct Kept(#[expect(dead_code, reason = "it is dropped")] Box<dyn Send + Sync>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl Waiter {
    /// The same; `what` is dropped with it.
    #[must_use]
    pub fn keeping(mut self, what: impl Send + Sync + 'static) -> Self {
        self._kept = Some(Kept(Box::new(what)));
        self
    }

    /// Its number in its store's waiting room.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns when it is called, or was since this was asked last.
    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// Forgets a call that nobody meant for it, since it had no place yet.
    pub fn forget_calls(&self) {
        let _ = self.called.notified().now_or_never();
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        self.room.0.present().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_kept_for_a_waiter_that_is_busy_and_reaches_nobody_who_is_gone() {
        let room = WaitingRoom::default();
        assert!(room.is_empty());
        let (first, second) = (room.enter(), room.enter());
        assert!(room.call(second.number()));
        second.called().await;
        room.call_all();
        first.called().await;
        second.called().await;
        let number = first.number();
        drop(first);
        assert!(!room.call(number));
        room.occupied().await;
    }
}
