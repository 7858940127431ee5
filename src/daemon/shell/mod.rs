//! The shell around the engine: sources become events, actions become deeds.
//!
//! Select, then decide, then act: the loop only waits for whatever comes first,
//! hands it to the engine, and carries out what the engine answers. Every deed
//! that takes time is a task of its own that sends its result back as an event,
//! so nothing here waits for the store or for a run.

mod deeds;
mod sources;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use self::sources::{beat, first_reading, sleep_until, watch_health};
use crate::alert::watch::{LAST_WORDS, OpenLocks, Pointer, Post, Watch};
use crate::clock::{BootInstant, ClusterClock, Offset};
use crate::daemon::engine::{Action, Engine, Event, Identity, Now, Settings, Vitals};
use crate::daemon::outputs::Outputs;
use crate::daemon::runs::Runs;
use crate::outcome::Outcome;
use crate::service;
use crate::store::{Ownership, Store};
use crate::table::JobTable;
use crate::trace::Parents;

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
    /// Load the table anew; asked for by this, in words.
    Reload(&'static str),
}

/// Loads the job table and the settings anew; none when there is something wrong with
/// them, which has been told. It may block.
pub type Loader = dyn Fn() -> Option<(JobTable, Settings)> + Send + Sync;

/// How a node's work ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// How many runs had to be ended.
    pub killed: usize,
    /// Whether the store knows how everything ended.
    pub settled: bool,
    /// Whether somebody wanted it to end at once.
    pub hurried: bool,
}

/// What a node shows to who looks on. Only the shell writes it, and nobody who reads it
/// can change anything by it.
#[derive(Clone)]
pub struct View {
    /// What the node is.
    pub identity: Arc<Identity>,
    /// The job table in force.
    pub table: watch::Receiver<Arc<JobTable>>,
    /// How it is.
    pub vitals: watch::Receiver<Vitals>,
    /// The cluster's time as it knows it.
    pub clock: Arc<ClusterClock>,
    /// What its runs in progress print.
    pub outputs: Arc<Outputs>,
    /// The warnings about the store that it gave.
    pub warnings: Arc<Mutex<Vec<String>>>,
}

/// A node at work.
pub struct Shell {
    store: Arc<dyn Store>,
    clock: Arc<ClusterClock>,
    identity: Arc<Identity>,
    settings: Settings,
    table: Arc<JobTable>,
    loader: Arc<Loader>,
    /// Counts the loads of the table.
    loads_begun: u64,
    /// The newest of them that has ended.
    newest_load: Arc<AtomicU64>,
    engine: Engine,
    runs: Runs,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    vitals: watch::Sender<Vitals>,
    tables: watch::Sender<Arc<JobTable>>,
    /// Warnings about the store that were given already.
    warned: Arc<Mutex<Vec<String>>>,
    /// Tells people what is news of jobs, if anything does.
    watch: Option<Watch>,
    pointer: Pointer,
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
        loader: Arc<Loader>,
    ) -> Self {
        let clock = Arc::new(ClusterClock::new(Offset::of_wall_clock()));
        let mut known = None;
        if let Ok(Ok(reading)) = tokio::time::timeout(PATIENCE, first_reading(&*store)).await {
            clock.set(reading.refine([Offset::of_wall_clock()]));
            known = tokio::time::timeout(PATIENCE, store.control()).await.ok().and_then(Result::ok);
        }
        let (sender, events) = mpsc::unbounded_channel();
        let offset = clock.offset();
        let mut engine = Engine::new(identity.clone(), settings, Arc::clone(&table), offset);
        // Its table was loaded just now, so what was asked so far needs nothing. Who asks
        // from now on asks for news.
        if let Some(control) = known {
            let now = Now { boot: BootInstant::now(), offset };
            engine.handle(now, Event::ControlRead(Ok(control)), &mut Vec::new());
        }
        Self {
            engine,
            store,
            clock,
            identity: Arc::new(identity),
            settings,
            vitals: watch::Sender::default(),
            tables: watch::Sender::new(Arc::clone(&table)),
            table,
            loader,
            loads_begun: 0,
            newest_load: Arc::default(),
            runs: Runs::default(),
            events,
            sender,
            warned: Arc::default(),
            watch: None,
            pointer: Pointer::default(),
            watched: service::Watchdog::interval().is_some(),
        }
    }

    /// What it shows from now on; output of runs is kept for it.
    pub fn view(&self) -> View {
        self.runs.outputs().keep();
        View {
            identity: Arc::clone(&self.identity),
            table: self.tables.subscribe(),
            vitals: self.vitals.subscribe(),
            clock: Arc::clone(&self.clock),
            outputs: Arc::clone(self.runs.outputs()),
            warnings: Arc::clone(&self.warned),
        }
    }

    /// The same node, which also has alerts told; `open_locks` opens the locks of its store.
    #[must_use]
    pub fn with_alerts(mut self, open_locks: Arc<OpenLocks>) -> Self {
        let post = Post {
            store: Arc::clone(&self.store),
            open_locks,
            clock: Arc::clone(&self.clock),
            cluster: self.identity.cluster.clone(),
            node: self.identity.node.clone(),
            per_job: self.settings.retention.per_job,
        };
        let watch = Watch::start(post, Arc::clone(&self.table));
        self.pointer = watch.pointer();
        self.watch = Some(watch);
        self
    }

    /// The same node, whose runs are told by `parents` where in a trace they stand.
    #[must_use]
    pub fn with_traces(mut self, parents: Arc<Parents>) -> Self {
        self.runs.stand_in_traces(parents);
        self
    }

    /// Works until the engine is finished.
    pub async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) -> End {
        let beats = tokio::spawn(beat(self.sender.clone()));
        let health = tokio::spawn(watch_health(
            self.store.health(),
            self.store.describe(),
            self.sender.clone(),
        ));
        let mut end = End { killed: 0, settled: false, hurried: false };
        let mut actions = Vec::new();
        let mut last_words = LAST_WORDS;
        let _own = self.sender.send(Event::Beat);
        while !self.engine.is_finished() {
            let wake = self.engine.next_wake(self.now());
            let first = tokio::select! {
                event = self.events.recv() => event,
                Some(request) = requests.recv() => match request {
                    Request::Drain(cause) => Some(Event::Drain(cause)),
                    Request::Kill => {
                        last_words = Duration::ZERO;
                        Some(Event::Kill)
                    }
                    Request::Reload(cause) => {
                        self.reload(cause);
                        None
                    }
                },
                () = sleep_until(wake) => None,
            };
            let more = std::iter::from_fn(|| self.events.try_recv().ok()).take(ROUND);
            for event in first.into_iter().chain(more) {
                point_out(&self.pointer, &event);
                match &event {
                    Event::RunEnded { token, .. } => self.runs.ended(*token),
                    Event::Reloaded(table, settings) => {
                        self.table = Arc::clone(table);
                        self.settings = *settings;
                        self.tables.send_replace(Arc::clone(table));
                        if let Some(watch) = &self.watch {
                            watch.set_table(Arc::clone(table));
                        }
                    }
                    _ => {}
                }
                if self.watched && matches!(event, Event::Beat) {
                    service::watchdog_ping();
                }
                let now = Now { boot: BootInstant::now(), offset: self.clock.offset() };
                self.engine.handle(now, event, &mut actions);
            }
            self.engine.act(self.now(), &mut actions);
            // First: who reads in the log what it does may look at once.
            self.show();
            for action in actions.drain(..) {
                if let Action::Finish { killed, settled } = action {
                    end = End { killed, settled, hurried: last_words.is_zero() };
                } else {
                    self.perform(action);
                }
            }
        }
        beats.abort();
        health.abort();
        if let Some(watch) = self.watch.take() {
            watch.finish(last_words).await;
        }
        self.leave().await;
        end
    }

    /// Shows how the node is, where anybody looks.
    fn show(&self) {
        if self.vitals.receiver_count() > 0 {
            let vitals = self.engine.vitals();
            self.vitals.send_if_modified(|shown| std::mem::replace(shown, vitals) != vitals);
        }
    }

    fn now(&self) -> Now {
        Now { boot: BootInstant::now(), offset: self.clock.offset() }
    }

    async fn leave(&self) {
        let node = &self.identity.node;
        let left = self.store.leave(node, self.identity.boot);
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, left).await {
            tracing::debug!(%error, "left without telling the store");
        }
        if tokio::time::timeout(PATIENCE, self.store.close()).await.is_err() {
            tracing::debug!("left without waiting for the store to close");
        }
    }
}

/// Points out to the watch which ledgers have news by what happened.
fn point_out(pointer: &Pointer, event: &Event) {
    match event {
        Event::CompletionsAnswered { completions, answer: Ok(answer) } => {
            for (run, ownership) in completions.iter().zip(answer) {
                match (ownership, run.outcome) {
                    (Ownership::Ours, Outcome::Succeeded) => {
                        pointer.look_at_success(&run.slot.job);
                    }
                    (Ownership::Ours, _) => pointer.look_at(&run.slot.job),
                    _ => {}
                }
            }
        }
        Event::ClaimsAnswered { claims, answer: Ok(answer), .. } => {
            let told = claims.iter().zip(answer).filter(|(_, came)| !came.entries.is_empty());
            told.for_each(|(claim, _)| pointer.look_at(&claim.slot.job));
        }
        Event::ForfeitsAnswered { forfeits, answer: Ok(_) } => {
            forfeits.iter().for_each(|forfeit| pointer.look_at(&forfeit.slot.job));
        }
        Event::GapsSettled(schedules) => {
            schedules.iter().for_each(|(cursor, _)| pointer.look_at(&cursor.job));
        }
        _ => {}
    }
}
