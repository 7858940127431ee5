//! One Redis or Valkey server as the store, or the one that sentinels call the master; in
//! `cluster`, several of them as one.
//!
//! Every decision is made inside a Lua script (`scripts/`, one file for each
//! operation), by the server's clock and in one atomic step; a batch is one round
//! trip. The rooms, in the order in which a call passes them: the operations in
//! `claim`, `settle`, `sweep`, `control`, `cursors`, `ledger`, `nodes` and `tables`;
//! `batch` cuts a batch into calls; `server` is what they go to; `link` sends them, and `acks` has replicas
//! acknowledge them; `supervise` keeps the connection that `dial` makes, to the master
//! that `sentinel` was told where there are some; `reply`, `record` and `entry` read
//! what comes back. `keys` names every key.
//! Locks that stand alone are in `locks`, asked for together by `combine`; `calls` hears
//! when one is released.
//!
//! What a single server cannot promise: it may forget what it acknowledged, when it
//! fails over to a replica without `min_acks`, or restarts without `appendfsync always`.
//! [`inspect`](crate::store::Store::inspect) warns of what can be seen of it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::claim::{Claim, Claimant, Claimed, RunId};
use crate::clock::ClusterTime;
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotStory, Store, Sweep, Warning,
};

mod acks;
mod batch;
mod calls;
mod claim;
mod cluster;
mod combine;
mod control;
mod cursors;
mod dial;
mod entry;
mod inspect;
mod keys;
mod ledger;
mod link;
mod locks;
mod nodes;
mod options;
mod record;
mod reply;
mod scripts;
mod sentinel;
mod server;
mod settle;
mod supervise;
mod sweep;
mod tables;
mod trouble;

pub use cluster::{ClusterOptions, Endpoint, RedisCluster};
pub use options::{Address, Options, Pem, Sentinels, TlsOptions};

use calls::Calls;
use keys::Keys;
use link::{Link, Purpose};
use server::Server;

/// A store on one Redis or Valkey server, or on the one that sentinels call the master.
#[derive(Debug)]
pub struct RedisStore {
    link: Arc<Link>,
    keys: Keys,
    calls: Arc<Calls>,
    locks: locks::Desk<Link>,
}

impl RedisStore {
    /// A store that connects in the background from now on, and again whenever the
    /// connection is lost, until it is closed or dropped. Calls wait for the first
    /// connection as long as `options.timeout`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(options: Options) -> Self {
        let keys = Keys::new(&options.cluster, keys::FIRST_BUCKET);
        let calls = Arc::new(Calls::new(options.clone(), &keys));
        let link = Arc::new(Link::open(options));
        let locks = locks::Desk::new(link.clone(), &keys, calls.clone());
        Self { link, keys, calls, locks }
    }
}

#[async_trait]
impl Store for RedisStore {
    fn describe(&self) -> String {
        self.link.options().to_string()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.link.health()
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        inspect::inspect(&self.link, inspect::Place::Alone).await
    }

    async fn time(&self) -> Result<ClusterTime> {
        reply::time(self.link.ask(Purpose::Read, redis::cmd("TIME")).await?)
    }

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>> {
        claim::claim(&*self.link, &self.keys, claimant, claims).await
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        settle::forfeit(&*self.link, &self.keys, by, forfeits).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        claim::renew(&*self.link, &self.keys, renewals).await
    }

    async fn complete(
        &self,
        node: &NodeName,
        completions: &[Completion],
    ) -> Result<Vec<Ownership>> {
        settle::complete(&*self.link, &self.keys, node, completions).await
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep> {
        sweep::sweep(&*self.link, &self.keys, limit).await
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        settle::abandon(&*self.link, &self.keys, by, abandonments).await
    }

    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>> {
        cursors::open(&*self.link, &self.keys, cursors, start, keep).await
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        ledger::recorded(&*self.link, &self.keys, job, slots).await
    }

    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>> {
        cursors::record_missed(&*self.link, &self.keys, by, reports).await
    }

    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool> {
        control::trigger(&*self.link, &self.keys, by, slot, keep).await
    }

    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>> {
        control::cancel(&*self.link, &self.keys, run).await
    }

    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool> {
        control::pause(&*self.link, &self.keys, job, pause).await
    }

    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()> {
        control::request_reload(&*self.link, &self.keys, node).await
    }

    async fn control(&self) -> Result<Control> {
        control::control(&*self.link, &self.keys).await
    }

    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()> {
        tables::publish(&*self.link, &self.keys, digest, jobs, keep).await
    }

    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>> {
        tables::table(&*self.link, &self.keys, digest).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        nodes::heartbeat(&*self.link, &self.keys, heartbeat).await
    }

    async fn nodes(&self) -> Result<Vec<Heartbeat>> {
        nodes::nodes(&*self.link, &self.keys).await
    }

    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()> {
        nodes::leave(&*self.link, &self.keys, node, boot).await
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        ledger::history(&*self.link, &self.keys, query).await
    }

    async fn slot(&self, slot: &Slot) -> Result<SlotStory> {
        ledger::story(&*self.link, &self.keys, slot).await
    }

    async fn prune(&self, retention: Retention) -> Result<()> {
        ledger::prune(&*self.link, &self.keys, retention).await
    }

    async fn close(&self) {
        self.calls.close();
        self.link.close().await;
    }
}
