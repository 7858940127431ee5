//! The slots of one server.

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
use crate::store::redis::link::Purpose;
use crate::store::redis::server::Server;
use crate::store::redis::{
    RedisStore, claim, control, cursors, inspect, ledger, nodes, open, outputs, reply, settle,
    sweep, tables,
};
use crate::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotRecord, SlotStory, Store, Sweep, Warning,
};

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

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        ledger::history(&*self.link, &self.keys, query).await
    }

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        ledger::recent(&*self.link, &self.keys, jobs, each).await
    }

    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        open::open_slots(&*self.link, &self.keys, limit).await
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        ledger::tail(&*self.link, &self.keys, job, run).await
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
