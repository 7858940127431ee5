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
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::claim::{Claim, Claimant, Claimed, RunId};
use crate::clock::ClusterTime;
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{ClusterName, JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::ground as steps;
use crate::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotRecord, SlotStory, Store, Sweep, Warning,
};

mod calls;
mod connection;
mod control;
mod cursors;
mod fault;
mod file;
mod ground;
mod kernel;
mod ledger;
mod locks;
mod nodes;
mod open;
mod outputs;
mod published;
mod queues;
mod records;
mod thread;
mod turns;

#[cfg(test)]
mod tests;

use self::ground::each;
pub use self::kernel::Kernel;

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
    calls: Arc<calls::Calls>,
    queues: queues::Queues,
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
        let queues = queues::Queues::default();
        Ok(Self { path: path.to_owned(), calls: Arc::new(calls), queues })
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

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>> {
        if claims.is_empty() {
            return Ok(Vec::new());
        }
        let (claimant, claims) = (claimant.clone(), claims.to_vec());
        self.calls.write(move |step| ground::claim(step, &claimant, &claims)).await
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        if forfeits.is_empty() {
            return Ok(Vec::new());
        }
        let (by, forfeits) = (by.clone(), forfeits.to_vec());
        self.calls.write(move |step| each(&forfeits, |f| steps::forfeit(step, &by, f))).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        if renewals.is_empty() {
            return Ok(Vec::new());
        }
        let renewals = renewals.to_vec();
        self.calls.write(move |step| each(&renewals, |r| steps::renew(step, r))).await
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
        self.calls.write(move |step| each(&completions, |c| steps::complete(step, &node, c))).await
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep> {
        self.calls.read(move |step| open::sweep(step, limit)).await
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        if abandonments.is_empty() {
            return Ok(Vec::new());
        }
        let (by, abandonments) = (by.clone(), abandonments.to_vec());
        self.calls.write(move |step| each(&abandonments, |a| steps::abandon(step, &by, a))).await
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
        self.calls.write(move |step| each(&reports, |r| steps::record_missed(step, &by, r))).await
    }

    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool> {
        let (by, slot) = (by.clone(), slot.clone());
        self.calls.write(move |step| steps::trigger(step, &by, &slot, keep)).await
    }

    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>> {
        self.calls.write(move |step| open::cancel(step, run)).await
    }

    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool> {
        let job = job.clone();
        self.calls.write(move |step| steps::pause(step, &job, pause)).await
    }

    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()> {
        let node = node.cloned();
        self.calls.write(move |step| control::request_reload(step, node.as_ref())).await
    }

    async fn control(&self) -> Result<Control> {
        self.calls.read(control::all).await
    }

    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()> {
        let (digest, jobs) = (digest.to_owned(), jobs.to_vec());
        self.calls.write(move |step| published::put(step, &digest, &jobs, keep)).await
    }

    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>> {
        let digest = digest.to_owned();
        self.calls.read(move |step| published::find(step, &digest)).await
    }

    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>> {
        self.calls.write(move |step| outputs::watch(step, run, keep)).await
    }

    async fn watched_outputs(&self) -> Result<Vec<RunId>> {
        self.calls.read(outputs::watched).await
    }

    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()> {
        let output = output.to_owned();
        self.calls.write(move |step| outputs::show(step, run, &output, keep)).await
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

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        let jobs = jobs.to_vec();
        self.calls.read(move |step| ledger::recent(step, &jobs, each)).await
    }

    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        self.calls.read(move |step| open::all(step, limit)).await
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        let job = job.clone();
        self.calls.read(move |step| ledger::tail(step, &job, run)).await
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
                    turns::expire(step)?;
                    cursors::expire(step)?;
                    nodes::expire(step)?;
                    control::expire(step)?;
                    published::expire(step)?;
                    outputs::expire(step)?;
                    locks::expire(step)?;
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
