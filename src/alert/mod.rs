//! Alerts: what went wrong with a job, and that it is well again, told to those whom the
//! job names, once for the cluster.
//!
//! ```text
//!   ledger ─▶ chronicle ─▶ notice ─▶ right to send ─▶ webhook | command
//!             (what is      (the      (a lock that
//!              news)         words)    stands alone)
//! ```
//!
//! - **What is told follows from the ledger alone** (`chronicle`), never from what a node
//!   remembers of its own runs. Every node that has the job in its table reads the job's
//!   ledger: at once when it has written something itself, else every few seconds. So it
//!   does not matter which node ran what, nor whether that one lives.
//! - **Who sends it is whoever has the right to** (`right`): each alert has a name that
//!   follows from the ledger too, and for each channel a lock of that name. The lock lasts
//!   seconds while somebody sends, and days once it was sent or given up. A sender that
//!   dies loses it, and another sends.
//! - So an alert is sent **once; again only if its sender was lost, or could not be told
//!   apart from one that was, after the receiver had it and before the store knew**. Its
//!   id is the same each time.
//! - What is older than [`NEWS_FOR`] when a node first sees it is news no more.
//! - Nothing waits for an alert but the end of a drain, for [`watch::LAST_WORDS`] at most.

mod channel;
mod chronicle;
mod command;
mod delivery;
mod notice;
mod right;
mod signature;
pub mod watch;
mod webhook;

use std::sync::Arc;
use std::time::Duration;

pub use self::channel::{BadTemplate, Body, Channel, Means, Webhook, Words};
pub use self::notice::Notice;
pub use self::signature::{SigningKey, sign};

/// The notices on which templates are tried, for `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(crate) fn samples() -> [Notice; 2] {
    Notice::samples()
}
use crate::word::words;

/// An entry of the ledger that is older when a node first sees it is told to nobody:
/// whoever starts a cluster in the morning does not want the alerts of the night before.
pub const NEWS_FOR: Duration = Duration::from_secs(3600);

/// While a job goes on failing, or missing its slots, that is told again after so long:
/// less than a day, so that a nightly job that fails each night is told each night.
pub const AGAIN_AFTER: Duration = Duration::from_secs(20 * 3600);

words! {
    /// What an alert tells.
    AlertKind {
        /// A slot of the job failed, after all its retries, or was abandoned.
        Failure = "failure",
        /// The job succeeded, the first time after that, or after it was overdue.
        Recovery = "recovery",
        /// Nobody ran a slot.
        Missed = "missed",
        /// A node was lost while it ran a slot, and another runs it again.
        Takeover = "takeover",
        /// The job has not succeeded for longer than its `expect_every`.
        Overdue = "overdue",
    }
}

/// Whom a job's alerts go to.
#[derive(Debug, Clone, Default)]
pub struct Alerts {
    /// Those of failures.
    pub on_failure: Channels,
    /// Those of recoveries.
    pub on_recovery: Channels,
    /// Those of missed slots.
    pub on_missed: Channels,
    /// Those of slots taken over.
    pub on_takeover: Channels,
    /// How long the job may go without a success.
    pub expect_every: Option<Duration>,
}

/// Some channels, in order of name.
pub type Channels = Arc<[Arc<Channel>]>;

impl Alerts {
    /// Whether nobody is told anything.
    pub fn is_silent(&self) -> bool {
        AlertKind::ALL.iter().all(|&kind| self.channels(kind).is_empty())
    }

    /// Those who are told of `kind`, each once. That a job is overdue is told to those of
    /// its failures and to those of its missed slots.
    pub fn channels(&self, kind: AlertKind) -> Vec<Arc<Channel>> {
        match kind {
            AlertKind::Failure => self.on_failure.to_vec(),
            AlertKind::Recovery => self.on_recovery.to_vec(),
            AlertKind::Missed => self.on_missed.to_vec(),
            AlertKind::Takeover => self.on_takeover.to_vec(),
            AlertKind::Overdue if self.expect_every.is_none() => Vec::new(),
            AlertKind::Overdue => {
                let mut both = [&*self.on_failure, &*self.on_missed].concat();
                both.sort_by(|a, b| a.name.cmp(&b.name));
                both.dedup_by(|b, a| a.name == b.name);
                both
            }
        }
    }
}
