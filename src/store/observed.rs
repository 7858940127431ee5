//! A store whose calls are observed: timed, counted, traced.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotRecord, SlotStory, Store, StoreError, Sweep, Warning,
};
use crate::claim::{Claim, Claimant, Claimed, RunId};
use crate::clock::{BootInstant, ClusterTime};
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};

/// Who is told of the calls to a store. It never feeds back: what it does may not depend
/// on, nor change, what becomes of them. Called where the answer came, so it must not wait.
pub trait CallObserver: Send + Sync {
    /// A call took so long, and failed so if it did.
    fn called(&self, _call: &'static str, _took: Duration, _error: Option<&StoreError>) {}

    /// A batch of claims was answered so, after so long.
    fn claimed(&self, _claims: &[Claim], _answer: &Result<Vec<Claimed>>, _took: Duration) {}

    /// A batch of renewals was answered so.
    fn renewed(&self, _renewals: &[Renewal], _answer: &Result<Vec<Ownership>>) {}

    /// A batch of completions was answered so, after so long.
    fn completed(&self, _ends: &[Completion], _answer: &Result<Vec<Ownership>>, _took: Duration) {}

    /// Something may have been written that is shown of slots.
    fn written(&self) {}
}

/// See the module's head.
pub struct Observed {
    store: Arc<dyn Store>,
    observers: Vec<Arc<dyn CallObserver>>,
}

impl Observed {
    /// Has `observers` told of the calls to `store`.
    pub fn new(store: Arc<dyn Store>, observers: Vec<Arc<dyn CallObserver>>) -> Self {
        Self { store, observers }
    }

    /// Tells them that `call` was made; its answer, and how long that took.
    async fn timed<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> (Result<T>, Duration) {
        let began = BootInstant::now();
        let answer = call.await;
        let took = BootInstant::now().since(began);
        self.tell(|observer| observer.called(name, took, answer.as_ref().err()));
        (answer, took)
    }

    /// The same of a call that is of no other interest.
    async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        self.timed(name, call).await.0
    }

    /// The same of one that writes.
    async fn write<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let answer = self.call(name, call).await;
        if answer.is_ok() {
            self.tell(|observer| observer.written());
        }
        answer
    }

    fn tell(&self, tell: impl Fn(&dyn CallObserver)) {
        self.observers.iter().for_each(|observer| tell(&**observer));
    }
}

#[async_trait]
impl Store for Observed {
    fn describe(&self) -> String {
        self.store.describe()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.store.health()
    }

    fn part(&self, job: &JobName) -> u32 {
        self.store.part(job)
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        self.call("inspect", self.store.inspect()).await
    }

    async fn time(&self) -> Result<ClusterTime> {
        self.call("time", self.store.time()).await
    }

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>> {
        let (answer, took) = self.timed("claim", self.store.claim(claimant, claims)).await;
        self.tell(|observer| observer.claimed(claims, &answer, took));
        answer
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        self.write("forfeit", self.store.forfeit(by, forfeits)).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        let answer = self.call("renew", self.store.renew(renewals)).await;
        self.tell(|observer| observer.renewed(renewals, &answer));
        answer
    }

    async fn complete(
        &self,
        node: &NodeName,
        completions: &[Completion],
    ) -> Result<Vec<Ownership>> {
        let (answer, took) = self.timed("complete", self.store.complete(node, completions)).await;
        self.tell(|observer| observer.completed(completions, &answer, took));
        answer
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep> {
        self.call("sweep", self.store.sweep(limit)).await
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        self.write("abandon", self.store.abandon(by, abandonments)).await
    }

    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>> {
        self.call("open_cursors", self.store.open_cursors(cursors, start, keep)).await
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        self.call("recorded", self.store.recorded(job, slots)).await
    }

    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>> {
        self.write("record_missed", self.store.record_missed(by, reports)).await
    }

    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool> {
        self.call("trigger", self.store.trigger(by, slot, keep)).await
    }

    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>> {
        self.call("cancel", self.store.cancel(run)).await
    }

    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool> {
        self.call("pause", self.store.pause(job, pause)).await
    }

    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()> {
        self.call("request_reload", self.store.request_reload(node)).await
    }

    async fn control(&self) -> Result<Control> {
        self.call("control", self.store.control()).await
    }

    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()> {
        self.call("publish_table", self.store.publish_table(digest, jobs, keep)).await
    }

    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>> {
        self.call("table", self.store.table(digest)).await
    }

    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>> {
        self.call("watch_output", self.store.watch_output(run, keep)).await
    }

    async fn watched_outputs(&self) -> Result<Vec<RunId>> {
        self.call("watched_outputs", self.store.watched_outputs()).await
    }

    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()> {
        self.call("show_output", self.store.show_output(run, output, keep)).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        self.call("heartbeat", self.store.heartbeat(heartbeat)).await
    }

    async fn nodes(&self) -> Result<Vec<Heartbeat>> {
        self.call("nodes", self.store.nodes()).await
    }

    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()> {
        self.call("leave", self.store.leave(node, boot)).await
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        self.call("history", self.store.history(query)).await
    }

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        self.call("recent", self.store.recent(jobs, each)).await
    }

    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        self.call("open_slots", self.store.open_slots(limit)).await
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        self.call("tail", self.store.tail(job, run)).await
    }

    async fn slot(&self, slot: &Slot) -> Result<SlotStory> {
        self.call("slot", self.store.slot(slot)).await
    }

    async fn prune(&self, retention: Retention) -> Result<()> {
        self.call("prune", self.store.prune(retention)).await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
