//! A bid for locks: attempts with one token, and what has to be cleared away when it
//! comes to nothing.
//!
//! Invariant: what may have been written for a bid is a guard's, or is taken back. So a
//! bid can be dropped at any time, also while a request is on its way: its token is
//! revoked then, and no late copy of the request is granted anything.

use std::sync::Arc;
use std::time::Duration;

use super::error::{Holder, LockError};
use super::guard::{Grant, Guard};
use super::locks::Desk;
use super::name::LockName;
use crate::clock::{BootInstant, ClusterTime};
use crate::lease::{Token, trusted_until};
use crate::store::StoreError;
use crate::store::locks::{Place, Release, Take, Taken, Waiter};

/// For how long a token is granted nothing after its request got no answer: a copy that
/// comes later than that was held up by more than any network does.
const REVOKED_FOR: Duration = Duration::from_secs(60);

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) names: Arc<[LockName]>,
    pub(super) ttl: Duration,
    pub(super) min_hold: Duration,
    pub(super) metadata: Arc<str>,
    pub(super) renew: bool,
}

/// What came of an attempt.
pub(super) enum Answer {
    Granted(Box<Guard>),
    Held { name: LockName, holder: Holder },
}

/// See the module's head.
pub(super) struct Bid {
    desk: Arc<Desk>,
    terms: Terms,
    token: Token,
    /// A request is on its way.
    asking: bool,
    /// A request had no answer: a copy of it may be applied some day.
    unclear: bool,
    /// Where it queues, and since when.
    queued: Option<(LockName, u64)>,
    since: Option<ClusterTime>,
}

impl Bid {
    pub(super) fn new(desk: Arc<Desk>, terms: Terms) -> Self {
        let token = Token::new();
        Self { desk, terms, token, asking: false, unclear: false, queued: None, since: None }
    }

    /// The first of what is asked for.
    pub(super) fn first(&self) -> LockName {
        self.terms.names[0].clone()
    }

    /// Somebody who can be called.
    pub(super) async fn enter(&self) -> Waiter {
        self.desk.store.enter().await
    }

    /// One attempt; `place` is the number of a waiter that wants to be called, and how
    /// long it waits for that.
    pub(super) async fn make(
        &mut self,
        place: Option<(u64, Duration)>,
    ) -> Result<Answer, LockError> {
        let take = Take {
            names: self.terms.names.clone(),
            token: self.token,
            ttl: self.terms.ttl,
            metadata: self.terms.metadata.clone(),
            queue: place.map(|(waiter, asks_within)| Place {
                waiter,
                since: self.since,
                asks_within,
            }),
        };
        self.asking = true;
        let sent = BootInstant::now();
        let taken = self.desk.store.take(&take).await;
        self.asking = false;
        match taken {
            Ok(Taken::Granted(fence)) => self.granted(Grant { fence, sent }),
            Ok(Taken::Held { name, holder, since }) => {
                self.since = since.or(self.since);
                let place = place.map(|(waiter, _)| (name.clone(), waiter));
                self.move_to(place);
                Ok(Answer::Held { name, holder })
            }
            Ok(Taken::Revoked) => {
                self.renew_token();
                Err(LockError::Unknown("the request was taken back".to_owned()))
            }
            Err(error) => {
                self.unclear |= !matches!(error, StoreError::Unavailable(_));
                Err(error.into())
            }
        }
    }

    /// Goes on with another token: a quorum revokes that of a request that one of its
    /// servers did not answer.
    fn renew_token(&mut self) {
        if std::mem::take(&mut self.unclear) {
            give_back(&self.desk, self.revocation(), REVOKED_FOR);
        }
        self.token = Token::new();
    }

    fn revocation(&self) -> Release {
        Release {
            names: self.terms.names.clone(),
            token: self.token,
            hold: Duration::ZERO,
            revoke_for: Some(REVOKED_FOR),
        }
    }

    fn granted(&mut self, grant: Grant) -> Result<Answer, LockError> {
        // The grant took it out of the queues of its locks.
        self.queued = None;
        let revoke = std::mem::take(&mut self.unclear).then_some(REVOKED_FOR);
        let guard = Guard::new(self.desk.clone(), &self.terms, self.token, grant, revoke);
        let now = BootInstant::now();
        if now < trusted_until(grant.sent, self.terms.ttl) {
            return Ok(Answer::Granted(Box::new(guard)));
        }
        // Dropped, it is given back.
        Err(LockError::TooLate { ttl: self.terms.ttl, took: now.since(grant.sent) })
    }

    /// Notes where it queues; with several locks that may be another one than before.
    fn move_to(&mut self, place: Option<(LockName, u64)>) {
        if self.queued != place
            && let Some((name, waiter)) = std::mem::replace(&mut self.queued, place)
        {
            leave(&self.desk, name, waiter);
        }
    }
}

impl Drop for Bid {
    fn drop(&mut self) {
        if let Some((name, waiter)) = self.queued.take() {
            leave(&self.desk, name, waiter);
        }
        if self.asking || self.unclear {
            give_back(&self.desk, self.revocation(), REVOKED_FOR);
        }
    }
}

/// Gives up a place in the queue, in the background. What fails is made good by the
/// timers of those behind it.
fn leave(desk: &Arc<Desk>, name: LockName, waiter: u64) {
    let store = desk.store.clone();
    desk.runtime.spawn(async move { store.leave(&name, waiter).await });
}

/// The first pause between attempts to give something back, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Gives locks back in the background: at once, or as soon as the store answers, but no
/// later than `useful`, when it has come to the same by itself.
pub(super) fn give_back(desk: &Arc<Desk>, release: Release, useful: Duration) {
    let store = desk.store.clone();
    let until = BootInstant::now() + useful;
    desk.runtime.spawn(async move {
        let [mut pause, longest] = PAUSES;
        while store.release(&release).await.is_err() && BootInstant::now() < until {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    });
}
