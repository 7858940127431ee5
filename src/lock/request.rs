//! A request for locks: what is wanted, and how long it may be waited for.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::backoff::Backoff;
use super::bid::{Answer, Bid, Terms};
use super::error::LockError;
use super::guard::Guard;
use super::locks::Desk;
use super::name::{InvalidLockName, LockName};
use crate::clock::BootInstant;
use crate::store::locks::Waiter;

/// How long a lock lasts unless something else is said.
const TTL: Duration = Duration::from_secs(30);
/// The longest TTL: somebody who wants more wants no lock.
const LONGEST_TTL: Duration = Duration::from_secs(366 * 86_400);
/// The most that a holder may say of itself, in bytes.
const LONGEST_METADATA: usize = 64 * 1024;
/// A store that was away is asked again after this at the latest, whatever the backoff.
const UNCALLED: Duration = Duration::from_secs(1);
/// So many locks may be asked for together.
const MOST_NAMES: usize = 128;

/// A request for one lock, or for several together.
#[derive(Clone)]
#[must_use = "nothing is asked for before try_acquire or acquire"]
pub struct Request {
    desk: Arc<Desk>,
    names: Result<Vec<LockName>, InvalidLockName>,
    ttl: Duration,
    min_hold: Duration,
    metadata: Arc<str>,
    renew: bool,
}

/// How long somebody waits for a lock, and how.
#[derive(Debug, Clone)]
pub struct Wait {
    at_most: Duration,
    backoff: Backoff,
    cancel: CancellationToken,
}

impl Wait {
    /// Until the lock is ours, and no longer than that.
    pub fn at_most(longest: Duration) -> Self {
        Self { at_most: longest, backoff: Backoff::default(), cancel: CancellationToken::new() }
    }

    /// The same with another pause between attempts that nobody was called for.
    #[must_use]
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { backoff, ..self }
    }

    /// The same, ended by `token` with [`LockError::Cancelled`].
    #[must_use]
    pub fn cancelled_by(self, token: CancellationToken) -> Self {
        Self { cancel: token, ..self }
    }
}

impl Request {
    pub(super) fn new(desk: Arc<Desk>, names: Result<Vec<LockName>, InvalidLockName>) -> Self {
        let metadata = desk.metadata.clone();
        Self { desk, names, ttl: TTL, min_hold: Duration::ZERO, metadata, renew: true }
    }

    /// How long the lock lasts when its holder does not extend it any more; 30 s unless
    /// something else is said. Whole milliseconds, from 1 ms to a year; parts of one are
    /// dropped.
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl, ..self }
    }

    /// How long nobody else may have the lock after it was granted, also when it is
    /// released before: what the work would do twice if clocks or queues are a little
    /// off. Not longer than the TTL.
    pub fn min_hold(self, min_hold: Duration) -> Self {
        Self { min_hold, ..self }
    }

    /// What others are told of the holder; `process PID` unless something else is said.
    /// At most 64 KiB.
    pub fn metadata(self, metadata: impl Into<String>) -> Self {
        Self { metadata: Arc::from(metadata.into()), ..self }
    }

    /// Whether the lock is extended in the background for as long as its [`Guard`]
    /// lives, every quarter of its TTL; it is unless something else is said.
    pub fn renew(self, renew: bool) -> Self {
        Self { renew, ..self }
    }

    /// One attempt. It may be dropped at any time: a lock that is granted nevertheless is
    /// given back in the background.
    ///
    /// # Errors
    /// [`Contended`](LockError::Contended) when another holds it, and every other
    /// [`LockError`] but `Deadline`, `Cancelled` and `NotHeld`.
    pub async fn try_acquire(&self) -> Result<Guard, LockError> {
        let mut bid = Bid::new(self.desk.clone(), self.terms()?);
        match bid.make(None).await? {
            Answer::Granted(guard) => Ok(*guard),
            Answer::Held { name, holder } => Err(LockError::Contended { name, holder }),
        }
    }

    /// Waits for the lock; with no time to wait, makes one attempt. It may be dropped at
    /// any time: a place in the queue is given up, and a lock that is granted nevertheless
    /// is given back, in the background.
    ///
    /// A store that is away is asked again until the deadline.
    ///
    /// # Errors
    /// [`Deadline`](LockError::Deadline) when another held it all the time,
    /// [`Contended`](LockError::Contended) when the backoff's limit was reached before,
    /// [`Cancelled`](LockError::Cancelled), and what the store said last when it did not
    /// serve at the end.
    pub async fn acquire(&self, wait: Wait) -> Result<Guard, LockError> {
        let terms = self.terms()?;
        let begun = BootInstant::now();
        let bid = Bid::new(self.desk.clone(), terms);
        let mut seat = Seat { bid, waiter: None, last: None };
        if wait.at_most.is_zero() {
            let granted = seat.wait(&wait.backoff.limit(1)).await;
            return granted.map_err(|error| error.at_deadline(Duration::ZERO));
        }
        let patience = tokio::time::sleep(wait.at_most);
        let granted = tokio::select! {
            biased;
            granted = seat.wait(&wait.backoff) => Some(granted),
            () = wait.cancel.cancelled() => return Err(LockError::Cancelled),
            () = patience => None,
        };
        let waited = BootInstant::now().since(begun);
        granted.unwrap_or_else(|| Err(seat.at_deadline(waited)))
    }

    /// What is asked for, checked.
    fn terms(&self) -> Result<Terms, LockError> {
        let invalid = |why: String| Err(LockError::Invalid(why));
        let mut names = self.names.clone()?;
        names.sort();
        names.dedup();
        if names.is_empty() || names.len() > MOST_NAMES {
            let count = names.len();
            return invalid(format!("1 to {MOST_NAMES} locks are asked for together, not {count}"));
        }
        let ttl = whole_ttl(self.ttl)?;
        if self.min_hold > ttl {
            let min_hold = self.min_hold;
            return invalid(format!(
                "a minimum hold time is no longer than the TTL ({ttl:?}), not {min_hold:?}"
            ));
        }
        if self.metadata.len() > LONGEST_METADATA {
            let count = self.metadata.len();
            return invalid(format!("metadata has at most 64 KiB, not {count} bytes"));
        }
        Ok(Terms {
            names: names.into(),
            ttl,
            min_hold: self.min_hold,
            metadata: self.metadata.clone(),
            renew: self.renew,
        })
    }
}

/// A TTL in whole milliseconds.
pub(super) fn whole_ttl(ttl: Duration) -> Result<Duration, LockError> {
    let whole = Duration::from_millis(ttl.as_millis().try_into().unwrap_or(u64::MAX));
    if whole.is_zero() || whole > LONGEST_TTL {
        let why = format!("a TTL is at least 1 ms and at most a year, not {ttl:?}");
        return Err(LockError::Invalid(why));
    }
    Ok(whole)
}

/// Somebody who waits.
struct Seat {
    bid: Bid,
    waiter: Option<Waiter>,
    /// Why the last attempt was in vain.
    last: Option<LockError>,
}

impl Seat {
    async fn wait(&mut self, backoff: &Backoff) -> Result<Guard, LockError> {
        let mut attempt = 0_u32;
        loop {
            attempt = attempt.saturating_add(1);
            let delay = backoff.delay(attempt, fastrand::f64());
            // The first attempt does without a place: most locks are free.
            let place = self.waiter.as_ref().map(Waiter::number).zip(delay);
            let longest;
            let error = match self.bid.make(place).await {
                Ok(Answer::Granted(guard)) => return Ok(*guard),
                Ok(Answer::Held { name, holder }) => {
                    longest = holder.remaining + Duration::from_millis(1);
                    LockError::Contended { name, holder }
                }
                Err(error @ (LockError::Unavailable(_) | LockError::Unknown(_))) => {
                    // What does not answer calls nobody.
                    longest = UNCALLED;
                    error
                }
                Err(lasting) => return Err(lasting),
            };
            let contended = matches!(error, LockError::Contended { .. });
            self.last = Some(error.clone());
            let Some(delay) = delay else { return Err(error) };
            match &self.waiter {
                // Its place was asked for just now.
                Some(waiter) if place.is_some() => {
                    tokio::select! {
                        () = waiter.called() => {}
                        () = tokio::time::sleep(delay.min(longest)) => {}
                    }
                }
                _ if contended => {
                    self.waiter = Some(self.bid.enter().await);
                    // It may have been released meanwhile, and this attempt does not count.
                    attempt -= 1;
                }
                _ => tokio::time::sleep(delay.min(longest)).await,
            }
        }
    }

    /// What to say when the time is over.
    fn at_deadline(mut self, waited: Duration) -> LockError {
        match self.last.take() {
            Some(error) => error.at_deadline(waited),
            None => LockError::Deadline { name: self.bid.first(), holder: None, waited },
        }
    }
}
