//! What is read of one server once it is known to have all of it, and what every server
//! keeps for itself.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::RedisReplica;
use crate::claim::RunId;
use crate::clock::ClusterTime;
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::quorum::slots::Replica;
use crate::store::redis::link::Purpose;
use crate::store::redis::server::Server;
use crate::store::redis::{control, inspect, ledger, nodes, open, outputs, reply, sweep, tables};
use crate::store::{Health, Result, SlotRecord, SlotStory, Sweep, Warning};

#[async_trait]
impl Replica for RedisReplica {
    fn health(&self) -> watch::Receiver<Health> {
        self.link.health()
    }

    async fn time(&self) -> Result<ClusterTime> {
        reply::time(self.link.ask(Purpose::Read, redis::cmd("TIME")).await?)
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        inspect::inspect(&self.link, inspect::Place::InQuorum).await
    }

    async fn sweep(&self, now: ClusterTime, limit: usize) -> Result<Sweep> {
        sweep::sweep_at(&*self.link, &self.keys, now, limit).await
    }

    async fn find(&self, run: RunId) -> Result<Option<Slot>> {
        let found = control::find(&*self.link, &self.keys, run).await?;
        let slot =
            |(name, _): (String, _)| name.parse().map_err(|_| reply::corrupt("the name of a slot"));
        found.map(slot).transpose()
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        ledger::recorded(&*self.link, &self.keys, job, slots).await
    }

    async fn control(&self) -> Result<Control> {
        control::control(&*self.link, &self.keys).await
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        ledger::history(&*self.link, &self.keys, query).await
    }

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        ledger::recent(&*self.link, &self.keys, jobs, each).await
    }

    async fn open_slots(&self, now: ClusterTime, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        open::open_slots_at(&*self.link, &self.keys, now, limit).await
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        ledger::tail(&*self.link, &self.keys, job, run).await
    }

    async fn slot(&self, slot: &Slot, now: ClusterTime) -> Result<SlotStory> {
        ledger::story_at(&*self.link, &self.keys, slot, now).await
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

    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>> {
        outputs::watch(&*self.link, &self.keys, run, keep).await
    }

    async fn watched_outputs(&self) -> Result<Vec<RunId>> {
        outputs::watched(&*self.link, &self.keys).await
    }

    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()> {
        outputs::show(&*self.link, &self.keys, run, output, keep).await
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

    async fn prune(&self, now: ClusterTime, retention: Retention) -> Result<()> {
        ledger::prune_at(&*self.link, &self.keys, now, retention).await
    }

    async fn close(&self) {
        self.link.close().await;
    }
}
