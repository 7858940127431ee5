//! The lock by itself: one holder at a time of a name, across processes and machines.
//!
//! The primitive under solocron's slots, for whoever needs it alone. *Fail fast* where a
//! second attempt is a mistake or is no use (a cron job, a double order, a double
//! payment); *wait with a deadline* where everybody is to have a turn (a flash sale).
//!
//! ```no_run
//! use std::time::Duration;
//! use solocron::lock::{LockError, Locks, Wait};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let locks = Locks::open("redis://127.0.0.1:6379/0")?;
//!
//! // Fail fast: the second request for the same order is refused at once.
//! match locks.lock("payment/4711").ttl(Duration::from_secs(30)).try_acquire().await {
//!     Ok(guard) => {
//!         // ... charge, and pass `guard.fence()` along with what is written ...
//!         guard.release().await?;
//!     }
//!     Err(LockError::Contended { holder, .. }) => println!("in progress: {holder}"),
//!     Err(other) => return Err(other.into()),
//! }
//!
//! // Wait: in turn, for at most five seconds.
//! let guard = locks.lock("stock/42").acquire(Wait::at_most(Duration::from_secs(5))).await?;
//! // ... read, decide, write ...
//! guard.release().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is promised
//!
//! - At most one holder of a name trusts itself to have it at any time: a [`Guard`] says
//!   until when, on a clock that counts the time in which the machine was suspended, and
//!   that is before the store lets another have it.
//! - A later holder of a name has a larger [fence](Guard::fence). Where it matters more
//!   than anything, let the resource refuse a smaller one than it has seen: no lock can
//!   help against a process that is frozen between looking at its lock and writing.
//! - A lock that was not granted leaves nothing behind; neither does a wait that is
//!   dropped or cancelled, or whose answer was lost. A holder that dies is followed by
//!   the next after the TTL.
//! - A store that forgets what it acknowledged (a failover to a replica that was behind)
//!   forgets locks as well. `?min_acks=N` in the address of a Redis has replicas acknowledge
//!   them first. The fence helps there, too.
//!
//! # On a quorum
//!
//! `Locks::open("redis://a,redis://b,redis://c")`: three or five Redis servers that know
//! nothing of each other, with commas between. A lock is held when a majority granted it,
//! and outlives the loss of the others. The first use needs all of them. While several ask
//! at once and nobody has a majority yet nobody is called the holder: an attempt goes on
//! for a quarter of the TTL, at most for the time of one call, and is then answered with
//! [`LockError::Unavailable`]. More in [`Quorum`](crate::store::quorum::locks::Quorum).
//!
//! # How waiting works
//!
//! Who waits has a place in a queue in the store. A release calls the first of them, by a
//! message; a lost call is made good by a timer that is never longer than what the lock
//! in the way has still to live, nor than the [`Backoff`]. The order is that of arrival,
//! but who comes along just when the lock is free takes it: a queue that everybody has to
//! pass would have to wait for those who died in it.

mod backoff;
mod bid;
mod error;
mod guard;
mod locks;
mod name;
mod request;
mod upkeep;

pub use self::backoff::Backoff;
pub use self::error::{Holder, LockError};
pub use self::guard::{Guard, Loss, State};
pub use self::locks::Locks;
pub use self::name::{InvalidLockName, LockName, MAX_LEN};
pub use self::request::{Request, Wait};
pub use crate::lease::Fence;
