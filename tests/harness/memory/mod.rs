//! A store in memory, for tests on a clock of their own and with failures at will.
//!
//! It decides by the same rules, by the same steps as SQLite, and passes the contract.
//! Each node of a test has a handle of its own: what befalls a handle befalls that
//! node's calls alone.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use solocron::claim::{Claim, Claimant, Claimed, RunId};
use solocron::clock::{BootInstant, ClusterTime, Offset};
use solocron::control::Control;
use solocron::ledger::{Entry, Query, Retention};
use solocron::name::{JobName, NodeName};
use solocron::node::{BootId, Heartbeat, HeartbeatReply};
use solocron::slot::{Slot, SlotTime};
use solocron::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotRecord, SlotStory, Store, StoreError, Sweep, Warning, ground as steps,
};
use tokio::sync::watch;

pub(crate) mod ground;

use ground::{Holdings, Step};

/// What becomes of a handle's calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Weather {
    /// They are answered.
    #[default]
    Fair,
    /// There is no connection: they are not applied, and the caller knows.
    Unavailable,
    /// They do not arrive, and the caller does not know.
    RequestsLost,
    /// They are applied, and the caller does not know.
    RepliesLost,
}

/// By what a store in memory tells the time.
#[derive(Debug, Clone)]
enum Clock {
    /// What the test says, in microseconds.
    Set(Arc<AtomicI64>),
    /// The machine's.
    Real(Offset),
}

/// A handle on a store in memory.
pub(crate) struct MemoryStore {
    held: Arc<Mutex<Holdings>>,
    clock: Clock,
    weather: Mutex<Weather>,
    health: watch::Sender<Health>,
}

impl MemoryStore {
    /// An empty one whose time is what `clock` says, in microseconds since 1970.
    pub(crate) fn at(clock: Arc<AtomicI64>) -> Self {
        Self::with(Arc::default(), Clock::Set(clock))
    }

    /// An empty one that goes by the machine's clock.
    pub(crate) fn in_real_time() -> Self {
        Self::with(Arc::default(), Clock::Real(Offset::of_wall_clock()))
    }

    fn with(held: Arc<Mutex<Holdings>>, clock: Clock) -> Self {
        let health = watch::Sender::new(Health::Starting);
        Self { held, clock, weather: Mutex::default(), health }
    }

    /// Another handle on the same store.
    pub(crate) fn handle(&self) -> Self {
        Self::with(self.held.clone(), self.clock.clone())
    }

    /// From now on `weather` befalls the calls of this handle.
    pub(crate) fn set_weather(&self, weather: Weather) {
        *self.weather.lock().unwrap() = weather;
    }

    /// Looks at or changes what is held, whatever the weather.
    pub(crate) fn look<T>(&self, body: impl FnOnce(&mut Step<'_>) -> T) -> T {
        let mut held = self.held.lock().unwrap();
        let now = match &self.clock {
            Clock::Set(micros) => ClusterTime::from_unix_micros(micros.load(Ordering::SeqCst)),
            Clock::Real(offset) => offset.cluster_time(BootInstant::now()),
        };
        body(&mut Step { held: &mut held, now })
    }

    fn call<T>(&self, body: impl FnOnce(&mut Step<'_>) -> T) -> Result<T> {
        let weather = *self.weather.lock().unwrap();
        let answer = match weather {
            Weather::Fair => Ok(self.look(body)),
            Weather::Unavailable => Err(StoreError::Unavailable("no connection".to_owned())),
            Weather::RequestsLost => Err(StoreError::Unknown("no answer in time".to_owned())),
            Weather::RepliesLost => {
                self.look(body);
                Err(StoreError::Unknown("no answer in time".to_owned()))
            }
        };
        let health = match &answer {
            Ok(_) => Health::Up,
            Err(error) => Health::Down(error.to_string()),
        };
        self.health.send_if_modified(|held| {
            let new = *held != health;
            *held = health;
            new
        });
        answer
    }

    /// The answers to a batch, in order.
    fn each<T, A>(
        &self,
        batch: &[T],
        mut answer: impl FnMut(&mut Step<'_>, &T) -> std::result::Result<A, std::convert::Infallible>,
    ) -> Result<Vec<A>> {
        self.call(|step| {
            let answers = batch.iter().map(|item| {
                let Ok(answer) = answer(step, item);
                answer
            });
            answers.collect()
        })
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.subscribe()
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        self.call(|_| Vec::new())
    }

    async fn time(&self) -> Result<ClusterTime> {
        self.call(|step| step.now)
    }

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>> {
        self.each(claims, |step, claim| steps::claim(step, claimant, claim))
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        self.each(forfeits, |step, forfeit| steps::forfeit(step, by, forfeit))
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        self.each(renewals, |step, renewal| steps::renew(step, renewal))
    }

    async fn complete(
        &self,
        node: &NodeName,
        completions: &[Completion],
    ) -> Result<Vec<Ownership>> {
        self.each(completions, |step, end| steps::complete(step, node, end))
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep> {
        self.call(|step| step.sweep(limit))
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        self.each(abandonments, |step, lost| steps::abandon(step, by, lost))
    }

    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>> {
        self.each(cursors, |step, key| Ok(step.open_cursor(key, start, keep)))
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        self.each(slots, |step, &at| Ok(step.recorded(&Slot::scheduled(job.clone(), at))))
    }

    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>> {
        self.each(reports, |step, report| steps::record_missed(step, by, report))
    }

    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool> {
        self.call(|step| {
            let Ok(new) = steps::trigger(step, by, slot, keep);
            new
        })
    }

    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>> {
        self.call(|step| {
            let running = step.records().filter(|(_, record)| record.is_running());
            let slots: Vec<_> = running.map(|(slot, _)| slot.clone()).collect();
            slots.iter().find_map(|slot| {
                let Ok(cancelled) = steps::cancel(step, run, slot);
                cancelled
            })
        })
    }

    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool> {
        self.call(|step| {
            let Ok(new) = steps::pause(step, job, pause);
            new
        })
    }

    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()> {
        self.call(|step| step.request_reload(node))
    }

    async fn control(&self) -> Result<Control> {
        self.call(|step| step.control())
    }

    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()> {
        self.call(|step| step.publish(digest, jobs, keep))
    }

    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>> {
        self.call(|step| step.table(digest))
    }

    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>> {
        self.call(|step| step.watch_output(run, keep))
    }

    async fn watched_outputs(&self) -> Result<Vec<RunId>> {
        self.call(|step| step.watched_outputs())
    }

    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()> {
        self.call(|step| step.show_output(run, output, keep))
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        self.call(|step| step.heartbeat(heartbeat))
    }

    async fn nodes(&self) -> Result<Vec<Heartbeat>> {
        self.call(|step| step.nodes())
    }

    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()> {
        self.call(|step| step.leave(node, boot))
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        self.call(|step| step.history(query))
    }

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        self.call(|step| {
            let of =
                |job: &JobName| Query { job: Some(job.clone()), limit: each, ..Query::default() };
            jobs.iter().map(|job| step.history(&of(job))).collect()
        })
    }

    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        self.call(|step| {
            let open = step.records().filter(|(_, record)| record.is_open()).take(limit);
            open.map(|(slot, record)| (slot.clone(), record.shown(step.now))).collect()
        })
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        self.call(|step| step.tail(job, run))
    }

    async fn slot(&self, slot: &Slot) -> Result<SlotStory> {
        self.call(|step| step.story(slot))
    }

    async fn prune(&self, retention: Retention) -> Result<()> {
        self.call(|step| step.prune(retention))
    }

    async fn close(&self) {
        self.set_weather(Weather::Unavailable);
    }
}
