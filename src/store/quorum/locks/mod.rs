//! Locks on a quorum: several servers that know nothing of each other, of which a
//! majority decides. A lock outlives the loss of the others.
//!
//! The rooms: `voter` is what a server can do beyond what every store of locks can;
//! `round` has them vote on a request for locks, and `tally` counts the votes; `inquiry`
//! asks all of them the rest, and `sight` who holds a lock; `grants` keeps what is won until
//! it is given back; `turns` keeps what one of them is asked for one token in
//! order; `memory` sees to those that came back empty; `queue` lets somebody wait at all of
//! them; `report` says how they are.
//!
//! # What is kept
//!
//! - **One holder.** A lock is granted when a majority granted it, and two majorities have
//!   a server in common. Trust counts from before the first request was sent.
//! - **A hung server holds up nobody.** All are asked at once, each is given its own time,
//!   and the answer is there as soon as a majority has granted, or none can be had. What
//!   the others answer later is seen to in the background.
//! - **The fence is larger than that of every earlier holder.** Each server keeps the
//!   largest that it knows of and grants a larger one; a grant is good only when its fence
//!   is written at a majority. So one of those who grant the next knows of it. The number
//!   is proposed with the request, and servers that are on the same level all take it: one
//!   round trip. Where they differ the largest is written to a majority first: a second
//!   one.
//! - **A lost vote leaves nothing.** What was granted is given back at once, by the task
//!   that asked for it; where the answer was lost, the token is revoked as well. Where a
//!   server cannot be reached that is tried until the lock has lapsed there.
//! - **Who is called the holder has won.** What a server grants is a bid, until it is told
//!   that a majority granted. Others are told a holder whom a majority names and one of
//!   them knows to have won. While there is none they try again, after pauses that chance
//!   gives; when the time for that is over (that of one call, at most a quarter of the TTL)
//!   they are told that nobody is known to have a majority. Nobody is guessed. Where servers
//!   do not answer one that did win is told, if it may have a majority with these.
//! - **An extension mends.** A majority has to hold the lock still; those that do not know
//!   of it are then given it again, with the same token and fence.
//! - **Who forgot does not vote.** A server marks its memory (`member` in its keys), and in
//!   it until when any lock may last that it voted for. One that was restarted empty has no
//!   mark: it says neither yes nor no, in the same atomic step in which it would have voted.
//!   It is admitted again once a majority of servers with a memory has been asked, with
//!   the largest fence that they know of and after the longest time that a lock may last
//!   that they voted for: whatever the forgetful one voted for, one of these did as well.
//!   They are asked when a vote that it was part of is over: after the time of one call,
//!   which should be the same for all who use the quorum.
//!
//! # What is not
//!
//! - Where a majority lost its memory at the same time, locks are forgotten. All have to be
//!   there then, as at the first use, and they go by what the rest remembers.
//! - A server that comes back with a part of its memory (a snapshot, a log that was not
//!   synced) is not recognised: persist with `appendfsync always`, or not at all.
//! - A server whose clock jumps forward lets its locks lapse; a majority of such clocks, or
//!   one beside a crash, can make two holders. The fence is for that.
//! - Waiting is in turn as far as the servers agree on who came first; when one of them is
//!   slow, somebody may be called early, and take the lock before those in front.
//!
//! It is for locks that stand alone; the slots of the daemon are not kept in it yet.

mod grants;
mod inquiry;
mod memory;
mod queue;
mod round;
mod sight;
mod tally;
mod turns;
mod voter;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use self::voter::{Memory, Sight, Vote, Voter, Writing};

use self::grants::Grants;
use self::memory::Admissions;
use self::queue::Queues;
use self::turns::Turns;
use crate::lease::{Fence, Token};
use crate::lock::{Holder, LockName};
use crate::store::locks::{LockStore, Release, Standing, Take, Taken, Waiter};
use crate::store::quorum::report;
use crate::store::{Health, Result, StoreError};

/// For how long a token is granted nothing by a server that did not answer.
const REVOKED_FOR: Duration = Duration::from_secs(60);

/// See the module's head.
#[derive(Clone)]
pub struct Quorum(Arc<Servers>);

/// The servers, and what is known of them here.
struct Servers {
    all: Vec<Arc<dyn Voter>>,
    /// The longest that one call to one of them may take.
    bound: Duration,
    turns: Turns,
    /// The largest fence seen.
    fence: AtomicU64,
    grants: Mutex<Grants>,
    admissions: Admissions,
    queues: Queues,
    health: watch::Receiver<Health>,
    closed: CancellationToken,
}

impl std::fmt::Debug for Quorum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Quorum").field(&self.describe()).finish()
    }
}

impl Quorum {
    /// The quorum of `servers`, of which each answers a call within `timeout`; three or
    /// five: with four no more may fail than with three.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and without servers.
    pub fn new(servers: Vec<Arc<dyn Voter>>, timeout: Duration) -> Self {
        assert!(!servers.is_empty(), "a quorum has servers");
        let closed = CancellationToken::new();
        let health =
            report::follow(servers.iter().map(|server| server.health()).collect(), closed.clone());
        Self(Arc::new(Servers {
            // They keep to the time themselves; this is for what they wait for before.
            bound: timeout + timeout / 4,
            turns: Turns::default(),
            fence: AtomicU64::new(0),
            grants: Mutex::default(),
            admissions: Admissions::default(),
            queues: Queues::default(),
            all: servers,
            health,
            closed,
        }))
    }

    /// Returns when nothing is under way any more: the answers that came late are there,
    /// and what they left is cleared away.
    pub async fn settled(&self) {
        self.0.turns.over().await;
    }
}

impl Servers {
    fn count(&self) -> usize {
        self.all.len()
    }

    fn grants(&self) -> MutexGuard<'_, Grants> {
        // Nothing in here panics half-way.
        self.grants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saw(&self, fence: Fence) {
        self.fence.fetch_max(fence.get(), Ordering::Relaxed);
    }

    /// A call with an end.
    async fn within<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(self.bound, call).await.unwrap_or_else(|_| {
            Err(StoreError::Unknown(format!("no answer within {:?}", self.bound)))
        })
    }
}

#[async_trait]
impl LockStore for Quorum {
    fn describe(&self) -> String {
        let servers = self.0.all.iter().map(|server| server.describe());
        servers.collect::<Vec<_>>().join(",")
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.0.health.clone()
    }

    fn can_be_taken_together(&self, names: &[LockName]) -> std::result::Result<(), String> {
        self.0.all.iter().try_for_each(|server| server.can_be_taken_together(names))
    }

    async fn take(&self, take: &Take) -> Result<Taken> {
        round::take(&self.0, take).await
    }

    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        inquiry::extend(&self.0, names, token, ttl).await
    }

    async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        inquiry::release(&self.0, release).await
    }

    async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        sight::holder(&self.0, name).await
    }

    async fn enter(&self) -> Waiter {
        queue::enter(&self.0).await
    }

    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        queue::leave(&self.0, name, waiter).await
    }

    async fn close(&self) {
        // What was given back is given back everywhere where that can be had.
        let _ = tokio::time::timeout(self.0.bound, self.settled()).await;
        self.0.closed.cancel();
        futures_util::future::join_all(self.0.all.iter().map(|server| server.close())).await;
        let mut health = self.health();
        let _ = health.wait_for(|health| matches!(health, Health::Down(_))).await;
    }
}
