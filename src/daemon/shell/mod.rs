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

use tokio::sync::mpsc;

use self::sources::{beat, first_reading, sleep_until, watch_health};
use crate::clock::{BootInstant, ClusterClock, Offset};
use crate::daemon::engine::{Action, Engine, Event, Identity, Now, Settings};
use crate::daemon::runs::Runs;
use crate::service;
use crate::store::Store;
use crate::table::JobTable;

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
        loader: Arc<Loader>,
    ) -> Self {
        let clock = Arc::new(ClusterClock::new(Offset::of_wall_clock()));
        let mut known = None;
        if let Ok(Ok(reading)) = tokio::time::timeout(PATIENCE, first_reading(&*store)).await {
            clock.set(reading.refine(None));
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
            table,
            loader,
            loads_begun: 0,
            newest_load: Arc::default(),
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
                Some(request) = requests.recv() => match request {
                    Request::Drain(cause) => Some(Event::Drain(cause)),
                    Request::Kill => Some(Event::Kill),
                    Request::Reload(cause) => {
                        self.reload(cause);
                        None
                    }
                },
                () = sleep_until(wake) => None,
            };
            let more = std::iter::from_fn(|| self.events.try_recv().ok()).take(ROUND);
            for event in first.into_iter().chain(more) {
                match &event {
                    Event::RunEnded { token, .. } => self.runs.ended(*token),
                    Event::Reloaded(table, settings) => {
                        self.table = Arc::clone(table);
                        self.settings = *settings;
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

    async fn leave(&self) {
        let node = &self.identity.node;
        let left = self.store.leave(node, self.identity.boot);
        if let Ok(Err(error)) = tokio::time::timeout(PATIENCE, left).await {
            tracing::debug!(%error, "left without telling the store");
        }
        self.store.close().await;
    }
}
