//! The shell around the engine: sources become events, actions become deeds.
//!
//! Select, then decide, then act: the loop only waits for whatever comes first,
//! hands it to the engine, and carries out what the engine answers. Every deed
//! that takes time is a task of its own that sends its result back as an event,
//! so nothing here waits for the store or for a run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use crate::clock::{BootInstant, ClusterClock, Offset, Reading, wall_now};
use crate::daemon::engine::{
    Action, CURSOR_KEPT, Engine, Event, Gap, Identity, Now, SWEEP, Settings, claimant, slot_time,
};
use crate::daemon::gaps::{Open, Settler, key};
use crate::daemon::runs::Runs;
use crate::ledger::missed::Memory;
use crate::log::events;
use crate::node::Heartbeat;
use crate::service;
use crate::store::{Health, Result, Store, StoreError};
use crate::table::JobTable;
use crate::ticker::beat::CoarseClock;
use crate::ticker::queue::JobIndex;

/// Events taken in before the engine is asked what to do: what happens together
/// is claimed, completed and renewed together.
const ROUND: usize = 4_096;

/// tokio's timers stop while the machine is suspended, so no sleep is longer.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// How long the store may take to answer at the start before the node goes on without it.
const PATIENCE: Duration = Duration::from_secs(2);

/// What somebody outside wants of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Stop claiming, let runs finish, leave; asked for by this, in words.
    Drain(&'static str),
    /// Stop now.
    Kill,
}

/// How a node's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How many runs had to be ended.
    pub killed: usize,
    /// Whether the store knows how everything ended.
    pub settled: bool,
}

/// A node at work.
pub struct Shell {
    store: Arc<dyn Store>,
    clock: Arc<ClusterClock>,
    identity: Arc<Identity>,
    settings: Settings,
    table: Arc<JobTable>,
    engine: Engine,
    runs: Runs,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    /// Warnings about the store that were given already.
    warned: Arc<Mutex<Vec<String>>>,
    /// Whether a service manager waits for signs of life.
    watched: bool,
}

impl Shell {
    /// A node that has not begun yet. It asks for the cluster's time; where the
    /// store does not tell it within two seconds, the wall clock has to do at first.
    pub async fn new(
        store: Arc<dyn Store>,
        settings: Settings,
        table: Arc<JobTable>,
        identity: Identity,
    ) -> Self {
        let clock = Arc::new(ClusterClock::new(Offset::of_wall_clock()));
        if let Ok(Ok(reading)) = tokio::time::timeout(PATIENCE, first_reading(&*store)).await {
            clock.set(reading.refine(None));
        }
        let (sender, events) = mpsc::unbounded_channel();
        let offset = clock.offset();
        Self {
            engine: Engine::new(identity.clone(), settings, Arc::clone(&table), offset),
            store,
            clock,
            identity: Arc::new(identity),
            settings,
            table,
            runs: Runs::default(),
            events,
            sender,
            warned: Arc::default(),
            watched: service::Watchdog::interval().is_some(),
        }
    }

    /// Works until the engine is finished.
    pub async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) -> End {
        let beats = tokio::spawn(beat(self.sender.clone()));
        let health = tokio::spawn(watch_health(
            self.store.health(),
            self.store.describe(),
            self.sender.clone(),
        ));
        let mut end = End { killed: 0, settled: false };
        let mut actions = Vec::new();
        let _own = self.sender.send(Event::Beat);
        while !self.engine.is_finished() {
            let wake = self.engine.next_wake(self.now());
            let first = tokio::select! {
                event = self.events.recv() => event,
                Some(request) = requests.recv() => Some(match request {
                    Request::Drain(cause) => Event::Drain(cause),
                    Request::Kill => Event::Kill,
                }),
                () = sleep_until(wake) => None,
            };
            let more = std::iter::from_fn(|| self.events.try_recv().ok()).take(ROUND);
            for event in first.into_iter().chain(more) {
                if let Event::RunEnded { token, .. } = &event {
                    self.runs.ended(*token);
                }
                if self.watched && matches!(event, Event::Beat) {
                    service::watchdog_ping();
                }
                let now = Now { boot: BootInstant::now(), offset: self.clock.offset() };
                self.engine.handle(now, event, &mut actions);
            }
            self.engine.act(self.now(), &mut actions);
            for action in actions.drain(..) {
                if let Action::Finish { killed, settled } = action {
                    end = End { killed, settled };
                } else {
                    self.perform(action);
                }
            }
        }
        beats.abort();
        health.abort();
        self.leave().await;
        end
    }

    fn now(&self) -> Now {
        Now { boot: BootInstant::now(), offset: self.clock.offset() }
    }

    fn perform(&mut self, action: Action) {
        let store = Arc::clone(&self.store);
        match action {
            Action::Start(start) => self.runs.start(start, &self.identity, self.sender.clone()),
            Action::Tell(token, trust) => self.runs.tell(token, trust),
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
            Action::OpenCursors(since) => self.open_cursors(since),
            Action::Claim(claims) => {
                let claimant = claimant(&self.identity, &self.settings);
                self.answer(async move {
                    let sent = BootInstant::now();
                    let answer = store.claim(&claimant, &claims).await;
                    Event::ClaimsAnswered { sent, claims, answer }
                });
            }
            Action::Renew(renewals) => self.answer(async move {
                let sent = BootInstant::now();
                let answer = store.renew(&renewals).await;
                Event::RenewalsAnswered { sent, renewals, answer }
            }),
            Action::Complete(completions) => {
                let node = self.identity.node.clone();
                self.answer(async move {
                    let answer = store.complete(&node, &completions).await;
                    Event::CompletionsAnswered { completions, answer }
                });
            }
            Action::Forfeit(forfeits) => {
                let node = self.identity.node.clone();
                self.answer(async move {
                    let answer = store.forfeit(&node, &forfeits).await;
                    Event::ForfeitsAnswered { forfeits, answer }
                });
            }
            Action::FindLapsed => {
                self.answer(async move { Event::LapsedFound(store.lapsed(SWEEP).await) });
            }
            Action::Abandon(lapsed) => self.abandon(lapsed),
            Action::SettleGaps(gaps, memory) => self.settle_gaps(gaps, memory),
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

    fn open_cursors(&self, since: BootInstant) {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        let warned = Arc::clone(&self.warned);
        let keys: Vec<_> =
            self.table.iter().filter(|job| job.enabled).map(|job| key(job)).collect();
        self.answer(async move {
            let opened = async {
                inspect(&*store, &warned).await?;
                // Only now is it certain what time it is in the cluster.
                clock.set(read_clock(&*store).await?.refine(Some(clock.offset())));
                let start = slot_time(clock.offset().cluster_time(since));
                store.open_cursors(&keys, start, CURSOR_KEPT).await
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
                clock.set(reading.refine(Some(clock.offset())));
            }
            Event::HeartbeatAnswered(answer)
        });
    }

    fn abandon(&self, lapsed: Vec<(crate::store::Abandonment, crate::name::NodeName)>) {
        let store = Arc::clone(&self.store);
        let node = self.identity.node.clone();
        tokio::spawn(async move {
            let (abandonments, from): (Vec<_>, Vec<_>) = lapsed.into_iter().unzip();
            match store.abandon(&node, &abandonments).await {
                Ok(written) => {
                    for ((abandonment, from), written) in
                        abandonments.iter().zip(&from).zip(written)
                    {
                        if written {
                            events::slot_abandoned(
                                &abandonment.slot,
                                from,
                                abandonment.token.run_id(),
                            );
                        }
                    }
                }
                Err(error) => tracing::debug!(%error, "lapsed slots wait for the next sweep"),
            }
        });
    }

    fn settle_gaps(&self, gaps: Vec<(JobIndex, Gap)>, memory: Memory) {
        let offset = self.clock.offset();
        let store = Arc::clone(&self.store);
        let identity = Arc::clone(&self.identity);
        let settings = self.settings;
        let open: Vec<_> = gaps
            .into_iter()
            .map(|(index, gap)| Open { index, job: Arc::clone(&self.table[index.0 as usize]), gap })
            .collect();
        self.answer(async move {
            let settler = Settler {
                store: &*store,
                identity: &identity,
                settings: &settings,
                memory: &memory,
                offset,
            };
            Event::GapsSettled(settler.settle(&open).await)
        });
    }

    async fn leave(&self) {
        let node = &self.identity.node;
        let left = self.store.leave(node, self.identity.boot);
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, left).await {
            tracing::debug!(%error, "left without telling the store");
        }
        self.store.close().await;
    }
}

/// Asks for the store's time until it answers.
async fn first_reading(store: &dyn Store) -> Result<Reading> {
    let mut health = store.health();
    loop {
        if let Ok(reading) = read_clock(store).await {
            return Ok(reading);
        }
        // Ends when the backend is gone.
        health.changed().await.map_err(|_| StoreError::Unavailable("closed".to_owned()))?;
    }
}

async fn read_clock(store: &dyn Store) -> Result<Reading> {
    let sent = BootInstant::now();
    let time = store.time().await?;
    Ok(Reading { sent, received: BootInstant::now(), store: time })
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

/// Hands the beats of the coarse clock to the engine.
async fn beat(sender: mpsc::UnboundedSender<Event>) {
    let mut clock = loop {
        match CoarseClock::start().await {
            Ok(clock) => break clock,
            Err(error) => {
                tracing::warn!(%error, "the coarse clock did not start; trying again");
                tokio::time::sleep(LONGEST_SLEEP).await;
            }
        }
        if sender.send(Event::Beat).is_err() {
            return;
        }
    };
    loop {
        clock.beat().await;
        if sender.send(Event::Beat).is_err() {
            return;
        }
    }
}

/// Hands changes of the store's health to the engine, and to the log.
async fn watch_health(
    mut health: watch::Receiver<Health>,
    store: String,
    sender: mpsc::UnboundedSender<Event>,
) {
    let mut told = Health::Starting;
    let mut down = None;
    loop {
        let now = health.borrow_and_update().clone();
        match &now {
            Health::Up if told != Health::Up => {
                events::store_up(&store, down.take().map(|since| BootInstant::now().since(since)));
            }
            Health::Down(why) if !matches!(told, Health::Down(_)) => {
                down = Some(BootInstant::now());
                events::store_down(&store, why);
            }
            _ => {}
        }
        if sender.send(Event::StoreHealth(now.clone())).is_err() {
            return;
        }
        told = now;
        if health.changed().await.is_err() {
            return;
        }
    }
}

/// Sleeps until the boot clock reads `wake`, or a little less: at most a second.
async fn sleep_until(wake: Option<BootInstant>) {
    let wait = wake.map_or(LONGEST_SLEEP, |wake| wake.since(BootInstant::now()));
    tokio::time::sleep(wait.min(LONGEST_SLEEP)).await;
}
