//! What the shell does for the engine: each deed that takes time is a task of its own,
//! and its answer comes back as an event.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::task::JoinSet;

use super::Shell;
use super::sources::read_clock;
use crate::clock::{BootInstant, Offset, Reading, wall_now};
use crate::daemon::engine::{
    Abandon, Action, CURSOR_KEPT, Event, SWEEP, TABLE_KEPT, Unless, claimant, slot_time,
};
use crate::daemon::gaps::{Gap, Settler, key};
use crate::ledger::missed::Memory;
use crate::log::events;
use crate::name::{JobName, NodeName};
use crate::node::Heartbeat;
use crate::service;
use crate::store::{Result, Store};
use crate::table::{Job, JobTable};

/// A table with more jobs is not told to the other nodes: they learn that it differs,
/// and not where.
const JOBS_PUBLISHED: usize = 20_000;

impl Shell {
    pub(super) fn perform(&mut self, action: Action) {
        let store = Arc::clone(&self.store);
        match action {
            Action::Start(start) => {
                self.runs.start(start, &self.identity, &self.clock, self.sender.clone());
            }
            Action::Tell(token, trust) => self.runs.tell(token, trust),
            Action::Begin(token, at) => self.runs.begin(token, at),
            Action::Stop(token, stop) => self.runs.stop(token, stop),
            Action::Ready => {
                events::node_started(
                    &self.identity.cluster,
                    self.identity.boot,
                    &self.store.describe(),
                    self.table.len(),
                );
                service::ready("claiming slots that are due");
            }
            Action::CheckClock => {
                let ahead = wall_now().as_microsecond() - self.clock.now().unix_micros();
                let _own = self.sender.send(Event::WallClockAhead(ahead));
            }
            Action::OpenCursors(jobs) => self.open_cursors(jobs),
            Action::ReadControl => {
                self.answer(async move { Event::ControlRead(store.control().await) });
            }
            Action::Reload(cause) => self.reload(cause),
            Action::PublishTable => self.publish_table(),
            Action::ReportDrift(others) => self.report_drift(others),
            Action::Claim(claims) => {
                let claimant = claimant(&self.identity, &self.settings);
                self.answer(async move {
                    let sent = BootInstant::now();
                    let answer = store.claim(&claimant, &claims).await;
                    Event::ClaimsAnswered { sent, claims, answer }
                });
            }
            Action::Renew(renewals) => {
                let parts = by_part(&*store, renewals, |renewal| &renewal.slot.job);
                self.answer_parts(parts, move |renewals| {
                    let store = Arc::clone(&store);
                    async move {
                        let sent = BootInstant::now();
                        let answer = store.renew(&renewals).await;
                        (answer.is_ok(), Event::RenewalsAnswered { sent, renewals, answer })
                    }
                });
            }
            Action::Complete(completions) => {
                let node = self.identity.node.clone();
                let parts = by_part(&*store, completions, |run| &run.slot.job);
                self.answer_parts(parts, move |completions| {
                    let (store, node) = (Arc::clone(&store), node.clone());
                    async move {
                        let answer = store.complete(&node, &completions).await;
                        (answer.is_ok(), Event::CompletionsAnswered { completions, answer })
                    }
                });
            }
            Action::Forfeit(forfeits) => {
                let node = self.identity.node.clone();
                let parts = by_part(&*store, forfeits, |forfeit| &forfeit.slot.job);
                self.answer_parts(parts, move |forfeits| {
                    let (store, node) = (Arc::clone(&store), node.clone());
                    async move {
                        let answer = store.forfeit(&node, &forfeits).await;
                        (answer.is_ok(), Event::ForfeitsAnswered { forfeits, answer })
                    }
                });
            }
            Action::Sweep => {
                self.answer(async move {
                    let sent = BootInstant::now();
                    Event::Swept { sent, answer: store.sweep(SWEEP).await }
                });
            }
            Action::Abandon(lapsed) => self.abandon(lapsed),
            Action::SettleGaps(gaps, memory) => self.settle_gaps(gaps, memory),
            Action::ReadNodes => {
                self.answer(async move { Event::NodesRead(store.nodes().await) });
            }
            Action::Heartbeat(heartbeat) => self.heartbeat(heartbeat),
            Action::Prune => {
                let retention = self.settings.retention;
                tokio::spawn(async move {
                    if let Err(error) = store.prune(retention).await {
                        tracing::debug!(%error, "pruning waits for its next turn");
                    }
                });
            }
            // Taken by the loop itself.
            Action::Finish { .. } => {}
        }
    }

    /// Runs `deed` on its own and hands its event to the engine.
    fn answer(&self, deed: impl Future<Output = Event> + Send + 'static) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            // Nobody listens any more only when the node is finished.
            let _finished = sender.send(deed.await);
        });
    }

    /// The same for a batch in parts, one deed for each. The engine learns of all when the
    /// last has ended, and of what went well first: it tries the rest again, and together.
    fn answer_parts<T, F>(&self, parts: Vec<Vec<T>>, deed: impl Fn(Vec<T>) -> F)
    where
        F: Future<Output = (bool, Event)> + Send + 'static,
    {
        let mut deeds: JoinSet<_> = parts.into_iter().map(deed).collect();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let mut events = Vec::new();
            while let Some(ended) = deeds.join_next().await {
                events.extend(ended.ok());
            }
            events.sort_by_key(|(went_well, _)| !went_well);
            for (_, event) in events {
                let _finished = sender.send(event);
            }
        });
    }

    fn open_cursors(&self, jobs: Vec<(Arc<Job>, BootInstant)>) {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        let warned = Arc::clone(&self.warned);
        self.answer(async move {
            let opened = async {
                inspect(&*store, &warned).await?;
                // Only now is it certain what time it is in the cluster.
                let reading = read_clock(&*store).await?;
                clock.set(reading.refine([clock.offset(), Offset::of_wall_clock()]));
                let mut by_start: BTreeMap<BootInstant, Vec<Arc<Job>>> = BTreeMap::new();
                for (job, since) in jobs {
                    by_start.entry(since).or_default().push(job);
                }
                let mut opened = Vec::new();
                for (since, jobs) in by_start {
                    let keys: Vec<_> = jobs.iter().map(|job| key(job)).collect();
                    let start = slot_time(clock.offset().cluster_time(since));
                    let cursors = store.open_cursors(&keys, start, CURSOR_KEPT).await?;
                    opened.extend(jobs.into_iter().zip(cursors));
                }
                Ok(opened)
            };
            Event::CursorsOpened(opened.await)
        });
    }

    fn heartbeat(&self, heartbeat: Heartbeat) {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        self.answer(async move {
            let sent = BootInstant::now();
            let answer = store.heartbeat(&heartbeat).await;
            if let Ok(reply) = &answer {
                let reading = Reading { sent, received: BootInstant::now(), store: reply.now };
                clock.set(reading.refine([clock.offset(), Offset::of_wall_clock()]));
            }
            Event::HeartbeatAnswered(answer)
        });
    }

    /// Loads the table on a thread of its own; a good one comes back as an event.
    /// Of several at once the last to be asked for stands, however long the others take.
    pub(super) fn reload(&mut self, cause: &'static str) {
        let (loader, sender) = (Arc::clone(&self.loader), self.sender.clone());
        self.loads_begun += 1;
        let (number, newest) = (self.loads_begun, Arc::clone(&self.newest_load));
        tokio::task::spawn_blocking(move || {
            tracing::info!("loading the job table anew, asked for by {cause}");
            service::reloading();
            let loaded = loader();
            let is_newest = newest.fetch_max(number, Ordering::AcqRel) < number;
            if let Some((table, settings)) = loaded.filter(|_| is_newest) {
                let _finished = sender.send(Event::Reloaded(Arc::new(table), settings));
            }
            service::ready("claiming slots that are due");
        });
    }

    /// Tells the others what the table says of each job.
    fn publish_table(&self) {
        if self.table.len() > JOBS_PUBLISHED {
            return;
        }
        let (store, table) = (Arc::clone(&self.store), Arc::clone(&self.table));
        tokio::spawn(async move {
            let jobs = fingerprints(&table);
            let digest = table.digest().to_string();
            if let Err(error) = store.publish_table(&digest, &jobs, TABLE_KEPT).await {
                tracing::debug!(%error, "the table is told to the others at its next turn");
            }
        });
    }

    /// Says in which jobs the tables of `others` differ from this node's.
    fn report_drift(&self, others: Vec<(NodeName, String)>) {
        let (store, table) = (Arc::clone(&self.store), Arc::clone(&self.table));
        tokio::spawn(async move {
            for (node, digest) in others {
                let theirs = store.table(&digest).await.ok().flatten();
                let jobs = theirs.map(|theirs| differing(&fingerprints(&table), &theirs));
                events::cluster_drift(&node, &digest, jobs.as_deref());
            }
        });
    }

    fn abandon(&self, open: Vec<Abandon>) {
        let store = Arc::clone(&self.store);
        let node = self.identity.node.clone();
        let table = self.table.digest().to_string();
        let pointer = self.pointer.clone();
        tokio::spawn(async move {
            let jobs: Vec<_> = open.iter().map(|open| open.what.slot.job.clone()).collect();
            match abandon(&*store, &node, &table, open).await {
                Ok(()) => jobs.iter().for_each(|job| pointer.look_at(job)),
                Err(error) => tracing::debug!(%error, "open slots wait for the next sweep"),
            }
        });
    }

    fn settle_gaps(&self, gaps: Vec<Gap>, memory: Memory) {
        let offset = self.clock.offset();
        let store = Arc::clone(&self.store);
        let identity = Arc::clone(&self.identity);
        let settings = self.settings;
        self.answer(async move {
            let settler = Settler {
                store: &*store,
                identity: &identity,
                settings: &settings,
                memory: &memory,
                offset,
            };
            Event::GapsSettled(settler.settle(&gaps).await)
        });
    }
}

/// A batch by the parts of the store, so that one that is down costs the others nothing.
fn by_part<T>(store: &dyn Store, items: Vec<T>, job: impl Fn(&T) -> &JobName) -> Vec<Vec<T>> {
    let mut parts: BTreeMap<u32, Vec<T>> = BTreeMap::new();
    for item in items {
        parts.entry(store.part(job(&item))).or_default().push(item);
    }
    parts.into_values().collect()
}

/// Settles open slots, but for those that another node may still want; `node` goes by
/// `table`.
async fn abandon(
    store: &dyn Store,
    node: &NodeName,
    table: &str,
    mut open: Vec<Abandon>,
) -> Result<()> {
    if open.iter().any(|open| open.unless.is_some()) {
        let others: Vec<_> =
            store.nodes().await?.into_iter().filter(|other| other.node != *node).collect();
        open.retain(|open| match &open.unless {
            None => true,
            Some(Unless::MayRun(job)) => !others.iter().any(|o| job.may_run_on(&o.node)),
            Some(Unless::HasAnotherTable) => others.iter().all(|other| other.table == table),
        });
    }
    let what: Vec<_> = open.iter().map(|open| open.what.clone()).collect();
    let written = store.abandon(node, &what).await?;
    for (Abandon { what, from, attempt, .. }, _) in
        open.iter().zip(written).filter(|(_, written)| *written)
    {
        events::slot_abandoned(&what.slot, from, what.token.run_id(*attempt), &what.why);
    }
    Ok(())
}

/// What nodes must agree on of each job, in order of name.
fn fingerprints(table: &JobTable) -> Vec<(JobName, u64)> {
    let of = |job: &Arc<Job>| (job.name.clone(), u64::from_be_bytes(job.fingerprint().bytes()));
    table.iter().map(of).collect()
}

/// The jobs that only one of two tables has, or that they have otherwise.
fn differing(ours: &[(JobName, u64)], theirs: &[(JobName, u64)]) -> Vec<JobName> {
    let mut all: BTreeMap<&JobName, [Option<u64>; 2]> = BTreeMap::new();
    for (side, table) in [ours, theirs].into_iter().enumerate() {
        for (job, fingerprint) in table {
            all.entry(job).or_default()[side] = Some(*fingerprint);
        }
    }
    all.into_iter().filter(|(_, [a, b])| a != b).map(|(job, _)| job.clone()).collect()
}

/// Warns about what can break the guarantee, each thing once; an error when the
/// store cannot be used at all.
async fn inspect(store: &dyn Store, warned: &Mutex<Vec<String>>) -> Result<()> {
    let warnings = store.inspect().await.inspect_err(|error| {
        tracing::debug!(%error, "the store cannot be used yet");
    })?;
    let Ok(mut warned) = warned.lock() else { return Ok(()) };
    for warning in warnings {
        if !warned.contains(&warning.0) {
            events::store_warning(&store.describe(), &warning.0);
            warned.push(warning.0);
        }
    }
    Ok(())
}
