//! The right to send one alert on one channel: a lock that stands alone, named by both.
//!
//! ```text
//!   free ──take──▶ held for LEASE, renewed ──settle──▶ held for SETTLED_FOR
//!    ▲                        │
//!    └─────── lapses ─────────┘   the sender is lost
//! ```
//!
//! A lock that lasts longer than a lease says that the alert was sent, or given up: nobody
//! sends it any more. All else that a lock must keep is the store's business.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootInstant, ClusterTime};
use crate::lease::{Token, trusted_until};
use crate::lock::LockName;
use crate::name::{JobName, NodeName};
use crate::store::locks::{LockStore, Release, Standing, Take, Taken};
use crate::store::{Result, StoreError};

/// How long the right outlives a sender that was lost.
pub(super) const LEASE: Duration = Duration::from_secs(10);

/// How often it is renewed.
pub(super) const RENEWAL: Duration = Duration::from_millis(2500);

/// How long it is remembered that an alert was sent: longer than any node may still find
/// the same to tell ([`NEWS_FOR`](super::NEWS_FOR), [`AGAIN_AFTER`](super::AGAIN_AFTER)).
const SETTLED_FOR: Duration = Duration::from_secs(3 * 86_400);

/// How long it is remembered since when a job is known, from the last look.
const KNOWN_FOR: Duration = Duration::from_secs(8 * 86_400);

/// Beside it in the store: every name of these begins with it.
const PREFIX: &str = "solocron.alert";

/// What came of asking for the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// It is ours.
    Ours,
    /// Somebody sends it; the right lapses then, should they be lost.
    Others(Duration),
    /// It was sent, or given up.
    Settled,
}

/// See the module's head.
pub(super) struct Right {
    locks: Arc<dyn LockStore>,
    names: Arc<[LockName]>,
    node: Arc<str>,
    token: Token,
    /// How long it is certainly ours; none when it is not.
    trusted: Option<BootInstant>,
}

impl Right {
    /// That to send the alert `key` on `channel`, for `node`; not asked for yet.
    pub(super) fn new(
        locks: Arc<dyn LockStore>,
        channel: &str,
        key: &str,
        node: &NodeName,
    ) -> Option<Self> {
        // Channels and jobs are named by the rule for names, and all else is short.
        let name = LockName::new(&format!("{PREFIX}/{channel}/{key}")).ok()?;
        let (names, node) = (Arc::from([name]), Arc::from(node.as_str()));
        Some(Self { locks, names, node, token: Token::new(), trusted: None })
    }

    /// Asks for it.
    pub(super) async fn ask(&mut self) -> Result<Asked> {
        let sent = BootInstant::now();
        Ok(match self.take(LEASE).await? {
            Taken::Granted(_) => {
                self.trusted = Some(trusted_until(sent, LEASE));
                Asked::Ours
            }
            Taken::Held { holder, .. } if holder.remaining > LEASE => Asked::Settled,
            Taken::Held { holder, .. } => Asked::Others(holder.remaining),
            Taken::Revoked => {
                self.token = Token::new();
                Asked::Others(Duration::ZERO)
            }
        })
    }

    /// Keeps it; returns when it is no longer certain to be ours.
    pub(super) async fn keep(&mut self) {
        while let Some(trusted) = self.trusted {
            tokio::time::sleep(RENEWAL.min(trusted.since(BootInstant::now()))).await;
            let sent = BootInstant::now();
            if sent >= trusted {
                self.trusted = None;
                continue;
            }
            let left = trusted.since(sent);
            let extend = self.locks.extend(&self.names, self.token, LEASE);
            match tokio::time::timeout(left, extend).await {
                Ok(Ok(standings)) if standings == [Standing::Ours] => {
                    self.trusted = Some(trusted_until(sent, LEASE));
                }
                Ok(Ok(_)) => self.trusted = None,
                // Asked again, until it can be ours no more.
                Ok(Err(_)) | Err(_) => {}
            }
        }
    }

    /// Says that nobody is to send it any more. False when another has it by now.
    pub(super) async fn settle(&mut self) -> bool {
        loop {
            match self.take(SETTLED_FOR).await {
                Ok(Taken::Granted(_)) => return true,
                Ok(Taken::Held { .. }) => return false,
                Ok(Taken::Revoked) => self.token = Token::new(),
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Gives it back, unsent.
    pub(super) async fn give_back(&self) {
        let release = Release {
            names: self.names.clone(),
            token: self.token,
            hold: Duration::ZERO,
            revoke_for: None,
        };
        // If it fails, the lease lapses.
        let _ = self.locks.release(&release).await;
    }

    async fn take(&self, ttl: Duration) -> Result<Taken> {
        let take = Take {
            names: self.names.clone(),
            token: self.token,
            ttl,
            metadata: self.node.clone(),
            queue: None,
        };
        self.locks.take(&take).await
    }
}

/// Since when the cluster knows `job`, as all nodes that watch it see it: it is written
/// down by the first, and kept for as long as one looks at least once a week. The token of
/// that lock stands in it, so that any of them may keep it.
pub(super) async fn known_since(
    locks: &dyn LockStore,
    job: &JobName,
    now: ClusterTime,
) -> Result<ClusterTime> {
    let name = format!("{PREFIX}:since/{job}");
    let name = LockName::new(&name).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let names: Arc<[LockName]> = Arc::from([name]);
    let token = Token::new();
    let take = Take {
        names: names.clone(),
        token,
        ttl: KNOWN_FOR,
        metadata: format!("{} {token}", now.unix_micros()).into(),
        queue: None,
    };
    let held = match locks.take(&take).await? {
        Taken::Granted(_) => return Ok(now),
        Taken::Held { holder, .. } => holder,
        Taken::Revoked => return Err(StoreError::Unknown("the request was taken back".into())),
    };
    let since = held.metadata.split_once(' ');
    let since = since.and_then(|(at, token)| Some((at.parse().ok()?, token.parse().ok()?)));
    let Some((micros, token)) = since else {
        return Err(StoreError::Corrupt(format!("{} is held by somebody else", names[0])));
    };
    locks.extend(&names, token, KNOWN_FOR).await?;
    Ok(ClusterTime::from_unix_micros(micros))
}
