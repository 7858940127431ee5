//! The cluster: nodes, a store, and the clock on which everything happens.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use solocron::claim::{Token, Tokens};
use solocron::clock::{BootInstant, ClusterTime, Offset};
use solocron::config::{Overrides, ThisMachine, load_text};
use solocron::daemon::engine::{Action, Engine, Event, Identity, Now, Settings};
use solocron::ledger::Retention;
use solocron::name::NodeName;
use solocron::node::BootId;
use solocron::store::Health;
use solocron::table::JobTable;

use crate::deeds::{Answer, Deed};
use crate::memory::MemoryStore;
use crate::oracle::Oracle;
use crate::runs::SimRun;

/// 2026-11-22T03:00:00Z
pub(crate) const START: i64 = 1_795_316_400;

pub(crate) const NODES: usize = 3;

/// How wrong a node may be about the cluster's time, in microseconds: mostly a little.
pub(crate) fn clock_error(rng: &mut fastrand::Rng) -> i64 {
    let most = any(rng, &[0, 4_000, 4_000, 4_000, 300_000]);
    rng.i64(-most..=most)
}

/// What happens at an instant.
#[derive(Debug)]
pub(crate) enum Item {
    /// A request arrives at the store; its answer goes to that start of that node,
    /// if it is not lost.
    Arrive { node: usize, epoch: u32, deed: Box<Deed>, answer: Answer },
    /// A node is told something.
    Tell { node: usize, epoch: u32, event: Box<Event> },
    /// A node wanted to be woken.
    Wake { node: usize, epoch: u32 },
    /// The coarse clock of a node beats.
    Beat { node: usize, epoch: u32 },
    /// A run is to be looked at.
    Look { run: u64 },
}

/// One replica, through its deaths and starts.
pub(crate) struct SimNode {
    pub(crate) name: NodeName,
    pub(crate) engine: Option<Engine>,
    pub(crate) identity: Identity,
    /// Its boot clock is so far ahead of the cluster's, in microseconds.
    pub(crate) boot_ahead: i64,
    /// It is this much wrong about the cluster's time, in microseconds.
    pub(crate) error: i64,
    /// Counts its starts.
    pub(crate) epoch: u32,
    pub(crate) frozen: bool,
    /// What it will find when it thaws.
    pub(crate) stash: Vec<Event>,
    /// How its way to the store is.
    pub(crate) bad_link: bool,
    pub(crate) cut_off: bool,
    woken_at: Option<ClusterTime>,
}

/// See the module's head.
pub(crate) struct World {
    pub(crate) rng: fastrand::Rng,
    pub(crate) scale: Scale,
    pub(crate) now: ClusterTime,
    clock: Arc<AtomicI64>,
    pub(crate) store: MemoryStore,
    pub(crate) nodes: Vec<SimNode>,
    pub(crate) tables: Vec<Arc<JobTable>>,
    /// Which of them is in the files.
    pub(crate) in_files: usize,
    pub(crate) settings: Settings,
    queue: BinaryHeap<Reverse<(ClusterTime, u64)>>,
    items: BTreeMap<u64, Item>,
    count: u64,
    pub(crate) runs: BTreeMap<u64, SimRun>,
    pub(crate) oracle: Oracle,
    /// The store stands still until then.
    pub(crate) stalled_until: ClusterTime,
    /// When the last blow fell.
    pub(crate) suffered_until: ClusterTime,
    story: Vec<String>,
    tell: bool,
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn table(text: &str) -> Arc<JobTable> {
    let text = format!("[cluster]\nname = 't'\nnode = 'n'\nstore = 'sqlite:/x'\n{text}");
    let loaded = load_text("t.toml".as_ref(), &text, &Overrides::default(), &ThisMachine);
    Arc::new(loaded.unwrap_or_else(|errors| panic!("{}", errors.summary())).config.jobs)
}

fn any<T: Copy>(rng: &mut fastrand::Rng, of: &[T]) -> T {
    of[rng.usize(..of.len())]
}

/// How much time goes by in a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// A minute or so of jobs that are due every few seconds.
    Minute,
    /// Jobs that are due every few minutes, and calms of so many seconds at most between
    /// blows.
    Days(u64),
}

impl Scale {
    fn schedules(self) -> [&'static str; 4] {
        match self {
            Self::Minute => ["* * * * * *", "*/2 * * * * *", "*/3 * * * * *", "*/5 * * * * *"],
            Self::Days(_) => ["0 * * * * *", "0 */2 * * * *", "0 */15 * * * *", "0 0 * * * *"],
        }
    }

    fn longest_catch_ups(self) -> [u64; 2] {
        match self {
            Self::Minute => [5, 60],
            Self::Days(_) => [600, 86_400],
        }
    }

    /// The longest time between two blows.
    pub(crate) fn longest_calm(self) -> Duration {
        match self {
            Self::Minute => ms(3_000),
            Self::Days(seconds) => ms(seconds * 1_000),
        }
    }
}

/// Two jobs with policies of every kind, and how they may look after a reload: the same
/// with other commands, or with one more.
fn tables(rng: &mut fastrand::Rng, scale: Scale) -> Vec<Arc<JobTable>> {
    let mut jobs = String::new();
    for name in ["a", "b"] {
        jobs += &format!(
            "[jobs.{name}]\nschedule = '{}'\nshell = 'COMMAND'\nlease_ttl = '{}s'\n\
             start_within = '{}ms'\nkill_grace = '1s'\noverlap = '{}'\non_crash = '{}'\n\
             max_takeovers = {}\ncatch_up = '{}'\ncatch_up_window = '{}s'\ncatch_up_limit = {}\n\
             retry = {{ attempts = {}, backoff = 'constant', min = '{}ms' }}\njitter = '{}ms'\n",
            any(rng, &scale.schedules()),
            any(rng, &[1, 2, 4, 8]),
            any(rng, &[300, 1_000, 2_500, 8_000]),
            any(rng, &["skip", "allow", "wait", "replace"]),
            any(rng, &["takeover", "takeover", "skip"]),
            any(rng, &[0, 1, 3]),
            any(rng, &["none", "latest", "all"]),
            any(rng, &scale.longest_catch_ups()),
            any(rng, &[1, 3]),
            any(rng, &[1, 1, 3]),
            any(rng, &[0, 200, 1_500]),
            any(rng, &[0, 0, 900]),
        );
    }
    let more = "[jobs.aa]\nschedule = '*/4 * * * * *'\nshell = 'x'\n";
    vec![table(&jobs), table(&jobs.replace("COMMAND", "another")), table(&(jobs.clone() + more))]
}

impl World {
    pub(crate) fn new(seed: u64, scale: Scale, tell: bool) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let clock = Arc::new(AtomicI64::new(START * 1_000_000));
        let store = MemoryStore::at(Arc::clone(&clock));
        let tables = tables(&mut rng, scale);
        let settings = Settings {
            max_clock_skew: ms(500),
            heartbeat: ms(5_000),
            drain_timeout: ms(rng.u64(0..6_000)),
            max_running: any(&mut rng, &[None, None, Some(1), Some(3)]),
            retention: Retention { keep: ms(30 * 86_400_000), per_job: 100_000 },
        };
        let nodes = (0..NODES).map(|n| SimNode::new(n, &mut rng)).collect();
        let oracle = Oracle::new(&tables[0]);
        let mut world = Self {
            rng,
            scale,
            now: ClusterTime::from_unix_micros(START * 1_000_000),
            clock,
            store,
            nodes,
            tables,
            in_files: 0,
            settings,
            queue: BinaryHeap::new(),
            items: BTreeMap::new(),
            count: 0,
            runs: BTreeMap::new(),
            oracle,
            stalled_until: ClusterTime::from_unix_micros(START * 1_000_000),
            suffered_until: ClusterTime::from_unix_micros(START * 1_000_000),
            story: Vec::new(),
            tell,
        };
        for node in 0..NODES {
            world.start(node);
        }
        world.go_on_until(world.now + ms(1_500));
        world
    }

    /// What happened, by lines.
    pub(crate) fn story(self) -> Vec<String> {
        self.story
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let line = format!("{} {}", self.now, line());
        if self.tell {
            println!("{line}");
        }
        self.story.push(line);
    }

    pub(crate) fn schedule(&mut self, at: ClusterTime, item: Item) {
        self.count += 1;
        self.queue.push(Reverse((at.max(self.now), self.count)));
        self.items.insert(self.count, item);
    }

    /// Lets everything happen that is due up to `until`.
    pub(crate) fn go_on_until(&mut self, until: ClusterTime) {
        while let Some(&Reverse((at, number))) = self.queue.peek() {
            if at > until {
                break;
            }
            self.queue.pop();
            self.set_time(at);
            let Some(item) = self.items.remove(&number) else { continue };
            self.happen(item);
        }
        self.set_time(until);
    }

    fn set_time(&mut self, now: ClusterTime) {
        self.now = now;
        self.clock.store(now.unix_micros(), Ordering::Relaxed);
    }

    fn happen(&mut self, item: Item) {
        match item {
            Item::Arrive { node, epoch, deed, answer } => {
                let event = self.carry_out(node, *deed);
                if answer != Answer::Lost {
                    let slow = if answer == Answer::Slow { self.rng.u64(10..120) } else { 0 };
                    let back = self.delay() + ms(slow);
                    let event = Box::new(event);
                    self.schedule(self.now + back, Item::Tell { node, epoch, event });
                }
            }
            Item::Tell { node, epoch, event } => {
                if self.nodes[node].epoch == epoch {
                    self.tell_node(node, *event);
                }
            }
            Item::Beat { node, epoch } => {
                if self.nodes[node].epoch == epoch && self.nodes[node].engine.is_some() {
                    self.schedule(self.now + ms(1_000), Item::Beat { node, epoch });
                    if !self.nodes[node].frozen {
                        self.tell_node(node, Event::Beat);
                    }
                }
            }
            Item::Wake { node, epoch } => {
                let sleeper = &mut self.nodes[node];
                if sleeper.epoch == epoch && !sleeper.frozen && sleeper.woken_at == Some(self.now) {
                    sleeper.woken_at = None;
                    self.act(node);
                }
            }
            Item::Look { run } => self.look_at(run),
        }
    }

    /// The way to the store, or back.
    pub(crate) fn delay(&mut self) -> Duration {
        Duration::from_micros(self.rng.u64(50..3_000))
    }

    /// Starts a node that is down.
    pub(crate) fn start(&mut self, node: usize) {
        let table = Arc::clone(&self.tables[self.in_files]);
        let seed = self.rng.u64(..);
        let tokens = Tokens::Seeded(fastrand::Rng::with_seed(seed));
        let settings = self.settings;
        let boot = self.boot(node);
        let started = &mut self.nodes[node];
        started.epoch += 1;
        started.frozen = false;
        started.stash.clear();
        started.identity.boot = BootId::random();
        started.identity.started = boot;
        let offset = started.offset();
        let engine = Engine::new(started.identity.clone(), settings, table, offset);
        started.engine = Some(engine.with_tokens(tokens));
        let epoch = started.epoch;
        self.note(|| format!("node {node} starts"));
        self.schedule(self.now, Item::Beat { node, epoch });
        let up = Box::new(Event::StoreHealth(Health::Up));
        self.schedule(self.now, Item::Tell { node, epoch, event: up });
    }

    /// What the boot clock of a node says.
    pub(crate) fn boot(&self, node: usize) -> BootInstant {
        let micros = self.now.unix_micros() + self.nodes[node].boot_ahead;
        BootInstant::from_nanos(micros.unsigned_abs() * 1_000)
    }

    /// When it is `at` by the boot clock of a node.
    pub(crate) fn at(&self, node: usize, at: BootInstant) -> ClusterTime {
        let micros = (at.nanos() / 1_000).cast_signed() - self.nodes[node].boot_ahead;
        ClusterTime::from_unix_micros(micros)
    }

    /// What a node takes for the cluster's time.
    pub(crate) fn believed(&self, node: usize) -> ClusterTime {
        self.moment(node).cluster()
    }

    fn moment(&self, node: usize) -> Now {
        Now { boot: self.boot(node), offset: self.nodes[node].offset() }
    }

    /// Tells a node something, now or when it thaws.
    pub(crate) fn tell_node(&mut self, node: usize, event: Event) {
        let now = self.moment(node);
        let told = &mut self.nodes[node];
        let Some(engine) = &mut told.engine else { return };
        if told.frozen {
            told.stash.push(event);
            return;
        }
        let mut actions = Vec::new();
        engine.handle(now, event, &mut actions);
        self.perform(node, actions);
        self.act(node);
    }

    pub(crate) fn thaw(&mut self, node: usize) {
        self.nodes[node].frozen = false;
        for event in std::mem::take(&mut self.nodes[node].stash) {
            self.tell_node(node, event);
        }
        self.act(node);
    }

    pub(crate) fn act(&mut self, node: usize) {
        let now = self.moment(node);
        let Some(engine) = &mut self.nodes[node].engine else { return };
        let mut actions = Vec::new();
        engine.act(now, &mut actions);
        let wake = engine.next_wake(now);
        let finished = engine.is_finished();
        self.perform(node, actions);
        if finished {
            self.nodes[node].engine = None;
            self.note(|| format!("node {node} has left"));
            return;
        }
        if let Some(wake) = wake {
            // A node that asks for the present again and again would hang the world.
            let at = self.at(node, wake).max(self.now + Duration::from_micros(10));
            let epoch = self.nodes[node].epoch;
            if self.nodes[node].woken_at.is_none_or(|before| at < before || before <= self.now) {
                self.nodes[node].woken_at = Some(at);
                self.schedule(at, Item::Wake { node, epoch });
            }
        }
    }

    fn perform(&mut self, node: usize, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Start(start) => self.begin_run(node, start),
                Action::Tell(token, trust) => self.prolong(node, token, trust),
                Action::Begin(token, at) => self.move_run(node, token, at),
                Action::Stop(token, stop) => self.stop_run(node, token, stop),
                Action::Reload(_) => self.load_table(node),
                Action::CheckClock
                | Action::Ready
                | Action::PublishTable
                | Action::ReportDrift(_)
                | Action::Finish { .. } => {}
                request => self.send(node, request),
            }
        }
    }

    pub(crate) fn load_table(&mut self, node: usize) {
        let table = Arc::clone(&self.tables[self.in_files]);
        let event = Box::new(Event::Reloaded(table, self.settings));
        let (epoch, wait) = (self.nodes[node].epoch, self.rng.u64(1..200));
        self.schedule(self.now + ms(wait), Item::Tell { node, epoch, event });
    }

    /// The start of a node is over, without a word.
    pub(crate) fn kill(&mut self, node: usize) {
        self.note(|| format!("node {node} is killed"));
        self.nodes[node].engine = None;
        self.nodes[node].epoch += 1;
        self.orphan_runs(node);
    }

    pub(crate) fn run_under(&self, node: usize, token: Token) -> Option<u64> {
        let epoch = self.nodes[node].epoch;
        let of = |run: &SimRun| run.node == node && run.epoch == epoch && run.token == token;
        self.runs.iter().find(|(_, run)| of(run)).map(|(&number, _)| number)
    }
}

impl SimNode {
    fn new(number: usize, rng: &mut fastrand::Rng) -> Self {
        let name: NodeName = format!("node-{number}").parse().unwrap();
        Self {
            identity: Identity {
                cluster: "t".parse().unwrap(),
                node: name.clone(),
                boot: BootId::random(),
                started: BootInstant::from_nanos(0),
            },
            name,
            engine: None,
            boot_ahead: rng.i64(-1_000_000_000_000_000..0),
            error: clock_error(rng),
            epoch: 0,
            frozen: false,
            stash: Vec::new(),
            bad_link: false,
            cut_off: false,
            woken_at: None,
        }
    }

    /// From its boot clock to what it takes for the cluster's time.
    fn offset(&self) -> Offset {
        Offset::from_micros(self.error - self.boot_ahead)
    }
}
