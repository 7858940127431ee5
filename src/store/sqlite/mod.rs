//! The embedded store: one SQLite file for all replicas on one machine, no server.
//!
//! - Each batch is one `BEGIN IMMEDIATE` transaction that reads, asks
//!   [`rules`](super::rules), and writes. `synchronous=FULL`, so what was
//!   acknowledged survives a power cut.
//! - A thread of its own owns the connection, and calls come to it by a queue:
//!   nothing blocks the async side, and no call waits longer than its bound. One
//!   that did not begin in time is never executed; one that did not end in time
//!   is [`Unknown`](super::StoreError::Unknown).
//! - Time is boot time plus one offset per boot of the kernel, kept in the file.
//! - The file is private to its user and is readable with the sqlite3 shell.

use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::claim::{Claim, Claimant, Verdict};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{ClusterName, JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::{
    Abandonment, Completion, CursorKey, Forfeit, Health, Lapsed, MissedReport, Ownership, Renewal,
    Result, SlotStory, Store, Warning,
};

mod calls;
mod claims;
mod connection;
mod cursors;
mod fault;
mod file;
mod kernel;
mod ledger;
mod nodes;
mod records;
mod thread;

#[cfg(test)]
mod tests;

pub use kernel::Kernel;

/// So much of the ledger is pruned in one transaction.
const PRUNED_AT_ONCE: usize = 2000;
/// The wall clock may be so far off the cluster's before the operator is told.
const TOLERATED_SKEW: i64 = 5_000_000;

/// How to open the file.
#[derive(Debug, Clone)]
pub struct Options {
    /// No call waits longer than this.
    pub bound: Duration,
    /// What to take for this boot of the kernel and its wall clock; the real ones
    /// when absent. For tests of reboots and of stepped clocks.
    pub kernel: Option<Kernel>,
}

impl Default for Options {
    fn default() -> Self {
        Self { bound: Duration::from_secs(1), kernel: None }
    }
}

/// A [`Store`] in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    calls: calls::Calls,
}

impl SqliteStore {
    /// Opens the file at `path`, or makes it, with its directory, and sees there
    /// what belongs to `cluster`. Blocks for as long as `options` bounds a call.
    pub fn open(path: &Path, cluster: &ClusterName, options: Options) -> Result<Self> {
        let calls = thread::start(
            path.to_owned(),
            cluster.as_str().to_owned(),
            options.kernel,
            options.bound,
        )?;
        Ok(Self { path: path.to_owned(), calls })
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn describe(&self) -> String {
        format!("sqlite:{}", self.path.display())
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.calls.health()
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        let warnings = self
            .calls
            .examine(|link, kernel| {
                let mut found = file::warnings(link.path());
                let clock = kernel::Clock::read(&link.db, &link.boot_id)?;
                found.extend(skew_in_words(clock.ahead_of(kernel)));
                Ok(found)
            })
            .await?;
        Ok(warnings.into_iter().map(Warning).collect())
    }

    async fn time(&self) -> Result<ClusterTime> {
        self.calls.read(|step| Ok(step.now)).await
    }

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Verdict>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let (claimant, claims) = (claimant.clone(), claims.to_vec());
        self.calls.write(move |step| claims::claim(step, &claimant, &claims)).await
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        if forfeits.is_empty() {
            return Ok(Vec::new());
        }
        let (by, forfeits) = (by.clone(), forfeits.to_vec());
        self.calls.write(move |step| claims::forfeit(step, &by, &forfeits)).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        if renewals.is_empty() {
            return Ok(Vec::new());
        }
        let renewals = renewals.to_vec();
        self.calls.write(move |step| claims::renew(step, &renewals)).await
    }

    async fn complete(
        &self,
        node: &NodeName,
        completions: &[Completion],
    ) -> Result<Vec<Ownership>> {
        if completions.is_empty() {
            return Ok(Vec::new());
        }
        let (node, completions) = (node.clone(), completions.to_vec());
        self.calls.write(move |step| claims::complete(step, &node, &completions)).await
    }

    async fn lapsed(&self, limit: usize) -> Result<Vec<Lapsed>> {
        self.calls.read(move |step| records::lapsed(step, limit)).await
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        if abandonments.is_empty() {
            return Ok(Vec::new());
        }
        let (by, abandonments) = (by.clone(), abandonments.to_vec());
        self.calls.write(move |step| claims::abandon(step, &by, &abandonments)).await
    }

    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>> {
        if cursors.is_empty() {
            return Ok(Vec::new());
        }
        let cursors = cursors.to_vec();
        self.calls.write(move |step| cursors::open(step, &cursors, start, keep)).await
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        let (job, slots) = (job.clone(), slots.to_vec());
        self.calls.read(move |step| ledger::recorded(step, &job, &slots)).await
    }

    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>> {
        if reports.is_empty() {
            return Ok(Vec::new());
        }
        let (by, reports) = (by.clone(), reports.to_vec());
        self.calls.write(move |step| cursors::record_missed(step, &by, &reports)).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        let heartbeat = heartbeat.clone();
        self.calls.write(move |step| nodes::heartbeat(step, &heartbeat)).await
    }

    async fn nodes(&self) -> Result<Vec<Heartbeat>> {
        self.calls.read(nodes::all).await
    }

    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()> {
        let node = node.clone();
        self.calls.write(move |step| nodes::leave(step, &node, boot)).await
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        let query = query.clone();
        self.calls.read(move |step| ledger::history(step, &query)).await
    }

    async fn slot(&self, slot: &Slot) -> Result<SlotStory> {
        let slot = slot.clone();
        self.calls.read(move |step| ledger::story(step, &slot)).await
    }

    async fn prune(&self, retention: Retention) -> Result<()> {
        // In small pieces, so that claims come in between.
        loop {
            let more = self
                .calls
                .write(move |step| {
                    records::expire(step, PRUNED_AT_ONCE)?;
                    cursors::expire(step)?;
                    nodes::expire(step)?;
                    ledger::prune(step, retention, PRUNED_AT_ONCE)
                })
                .await?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn close(&self) {
        self.calls.close().await;
    }
}

/// What to say of a cluster's clock that is `micros` ahead of the wall clock.
fn skew_in_words(micros: i64) -> Option<String> {
    if micros.abs() <= TOLERATED_SKEW {
        return None;
    }
    let by = Duration::from_secs(micros.unsigned_abs() / 1_000_000);
    let way = if micros > 0 { "ahead of" } else { "behind" };
    Some(format!(
        "the cluster's clock in the file is {by:?} {way} this machine's wall clock, which was \
         set since the first start after boot: slots come due by the former until the next \
         reboot; start solocron only once the clock is right (systemd: After=time-sync.target)"
    ))
}
