//! The engine: everything a node decides, without I/O and without a clock.
//!
//! It is told what happened ([`Event`]) and when ([`Now`]), and answers with
//! what to do ([`Action`]). The shell around it ([`super::shell`]) turns its
//! sources into events and carries the actions out. So a day of schedule, a
//! lost reply or a suspended machine is a list of events in a test.
//!
//! ```text
//!            ┌──────────── beat ────────────┐
//!            ▼                              │
//! opening ──► open: plan → due ─┐           │
//!    │        ▲      (ahead)    ├► claim ─┬─► won ──► run ──► completion ──► done
//!    │        │ sweep → open ───┘         │  (waits)    ▲          │
//!    │        │ (lapsed, ready)           │             └─ retry ──┘
//!    │        │ cursors are known         ├─► held, done, waits, missed: skipped
//!    │        └────────────────           ├─► refused late: gap ──► missed or caught up
//!    │                                    └─► no answer: again until the window closes
//!    └──► draining ──► drained
//! ```
//!
//! | file | what it decides |
//! |---|---|
//! | `claims` | from due slots to claims, and from verdicts to what follows |
//! | `sweep` | open slots that want somebody: takeovers, what is ready, cancels |
//! | `waits` | slots that were won ahead: their runs wait for their instant, or are withdrawn |
//! | `runs`, `retries` | runs in progress, their leases, their ends, and what is tried again |
//! | `cursors` | which cursors are asked for, where planning begins, gaps |
//! | `upkeep` | what recurs, health, clocks, nodes that differ |
//! | `reload`, `drain` | another table; the end |
//! | [`rules`] | what an answer means: functions from values to values, which the model shares |
//!
//! Invariants:
//!
//! - A run starts only on [`Verdict::Won`](crate::claim::Verdict::Won), and only while
//!   its lease can be trusted; and never before its slot is due.
//! - Every slot that the queue gave out ends as a run, as skipped, or in a gap
//!   that is settled: nothing is dropped silently.
//! - A win moves a cursor only while the node knows that every earlier slot of
//!   the job has a record: the job has no gap and no earlier claim is pending.
//! - What is under way keeps the job that it began with, whatever table comes.

mod claims;
mod cursors;
mod drain;
mod messages;
mod reload;
mod retries;
pub mod rules;
mod runs;
mod sweep;
mod upkeep;
mod waits;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

pub use self::messages::{Abandon, Action, Event, Identity, Now, Settings, Start, Unless, Vitals};

use self::cursors::Cursors;
use self::drain::Drain;
use self::retries::Retries;
use self::runs::Running;
use self::sweep::Sweeps;
use self::upkeep::{Commands, Others};
use crate::claim::attempt::{Distance, Pace};
use crate::claim::desk::Desk;
use crate::claim::peers::Peers;
use crate::claim::{Claimant, Token, Tokens};
use crate::clock::{BootInstant, ClusterTime, Offset};
use crate::daemon::gaps::Gap;
use crate::daemon::outbox::Outbox;
use crate::lease::book::Book;
use crate::ledger::missed::Memory;
use crate::slot::{Slot, SlotTime};
use crate::store::{Completion, CursorKey, Forfeit, Result as StoreResult};
use crate::table::{Job, JobTable};
use crate::ticker::beat::Rota;
use crate::ticker::queue::{DueQueue, JobIndex};

/// How far planning looks ahead. The coarse clock beats every second; three
/// beats may fail before the precise timer has to plan by itself.
pub const LOOKAHEAD: Duration = Duration::from_secs(4);

/// A cursor that nobody asks for is kept so long: a yearly job must find its own.
pub const CURSOR_KEPT: Duration = Duration::from_secs(400 * 86_400);

/// What a node tells of its table is kept so long, and told again meanwhile.
pub const TABLE_KEPT: Duration = Duration::from_secs(3600);

/// At most so many claims are made in one call: a file on a slow disk takes
/// about 50 ms for them.
const CLAIMS: usize = 2_000;

/// At most so many open slots are looked at in one sweep; the next comes a second later.
pub const SWEEP: usize = 1_000;

/// Where the node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The cursors are not known yet: nothing is claimed. Slots are taken from the
    /// queue only once asking has failed: until then the answer says where to begin.
    Opening { failed: bool },
    /// At work.
    Open,
    /// No new claims.
    Draining(Drain),
    /// Over.
    Finished,
}

/// See the module's head.
#[derive(Debug)]
pub struct Engine {
    identity: Identity,
    settings: Settings,
    table: Arc<JobTable>,
    /// When this table came into force.
    table_since: BootInstant,
    phase: Phase,
    rota: Rota,
    queue: DueQueue,
    desk: Desk,
    tokens: Tokens,
    /// The nodes that slots are shared with.
    peers: Peers,
    /// How far the store is.
    distance: Distance,
    /// The offset by which runs that wait were told their instants.
    followed: Offset,
    book: Book,
    running: BTreeMap<Token, Running>,
    retries: Retries,
    completions: Outbox<Completion>,
    forfeits: Outbox<Forfeit>,
    /// Schedules with slots that may have no record.
    gaps: BTreeMap<CursorKey, Gap>,
    settling: bool,
    cursors: Cursors,
    sweeps: Sweeps,
    commands: Commands,
    others: Others,
    memory: Memory,
    store_is_up: bool,
    /// A part of it does not answer.
    store_is_partly_down: bool,
    skewed: bool,
    /// How far the wall clock was ahead of the store's when that was last looked at, in
    /// microseconds.
    wall_clock_ahead: Option<i64>,
    /// Runs that a drain had to end.
    killed: usize,
}

impl Engine {
    /// A node at the start of its life. `offset` leads to the cluster's time, as
    /// far as it is known.
    pub fn new(
        identity: Identity,
        settings: Settings,
        table: Arc<JobTable>,
        offset: Offset,
    ) -> Self {
        let now = Now { boot: identity.started, offset };
        let identity_node = identity.node.clone();
        let mut engine = Self {
            queue: DueQueue::new(),
            memory: Memory::new(identity.started),
            rota: Rota::new(settings.heartbeat),
            cursors: Cursors::wanted(&table, now.boot),
            table_since: now.boot,
            identity,
            peers: Peers::alone(identity_node),
            distance: Distance::default(),
            followed: offset,
            settings,
            table,
            phase: Phase::Opening { failed: false },
            desk: Desk::default(),
            tokens: Tokens::default(),
            book: Book::default(),
            running: BTreeMap::new(),
            retries: Retries::default(),
            completions: Outbox::default(),
            forfeits: Outbox::default(),
            gaps: BTreeMap::new(),
            settling: false,
            sweeps: Sweeps::default(),
            commands: Commands::default(),
            others: Others::default(),
            store_is_up: false,
            store_is_partly_down: false,
            skewed: false,
            wall_clock_ahead: None,
            killed: 0,
        };
        engine.queue = engine.what_may_still_start(now);
        engine
    }

    /// The same node with its tokens drawn from `tokens`: with those of a seed it
    /// decides the same each time.
    #[must_use]
    pub fn with_tokens(mut self, tokens: Tokens) -> Self {
        self.tokens = tokens;
        self
    }

    /// Takes in what happened; the consequences come with the next [`act`](Self::act).
    pub fn handle(&mut self, now: Now, event: Event, actions: &mut Vec<Action>) {
        match event {
            Event::Beat => self.on_beat(now, actions),
            Event::CursorsOpened(answer) => self.on_cursors_opened(now, answer, actions),
            Event::ClaimsAnswered { sent, claims, answer } => {
                self.on_claims_answered(now, sent, claims, answer, actions);
            }
            Event::RenewalsAnswered { sent, renewals, answer } => {
                self.on_renewals_answered(now, sent, &renewals, answer, actions);
            }
            Event::CompletionsAnswered { completions, answer } => {
                self.on_completions_answered(now, completions, answer);
            }
            Event::ForfeitsAnswered { forfeits, answer } => {
                self.on_forfeits_answered(now, forfeits, answer);
            }
            Event::RunEnded { token, report } => self.on_run_ended(now, token, report, actions),
            Event::Swept { sent, answer } => self.on_swept(now, sent, answer, actions),
            Event::GapsSettled(schedules) => self.on_gaps_settled(now, &schedules),
            Event::ControlRead(answer) => self.on_control_read(now, answer, actions),
            Event::NodesRead(answer) => self.on_nodes_read(answer),
            Event::HeartbeatAnswered(answer) => self.on_heartbeat_answered(answer, actions),
            Event::StoreHealth(health) => self.on_store_health(now, &health, actions),
            Event::WallClockAhead(micros) => self.on_wall_clock_ahead(micros),
            Event::Reloaded(table, settings) => self.on_reloaded(now, table, settings, actions),
            Event::Drain(cause) => self.on_drain(now, cause, actions),
            Event::Kill => self.on_kill(now, actions),
        }
    }

    /// What to do at `now`, after everything that happened was taken in.
    pub fn act(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.go_on_draining(now, actions);
        self.follow_the_clock(now, actions);
        self.take_due_slots(now);
        self.give_up_expired_claims(now);
        self.make_claims(now, actions);
        self.retry_runs(now, actions);
        self.renew_leases(now, actions);
        self.sweep_if_due(now, actions);
        let completions = self.completions.take_due(now.boot);
        if !completions.is_empty() {
            actions.push(Action::Complete(completions));
        }
        let forfeits = self.forfeits.take_due(now.boot);
        if !forfeits.is_empty() {
            actions.push(Action::Forfeit(forfeits));
        }
    }

    /// When there is something to do next if nothing happens until then.
    pub fn next_wake(&self, now: Now) -> Option<BootInstant> {
        let due = self.queue.next_wake().filter(|_| self.takes_slots());
        [
            due.map(|at| now.offset.boot_instant(at - self.farthest_ahead())),
            self.desk.next_attempt().filter(|_| self.claims_now() && self.room() > 0),
            self.book.next_renewal(),
            self.retries.next(),
            self.sweeps.next().filter(|_| self.phase == Phase::Open),
            self.completions.next_send(now.boot),
            self.forfeits.next_send(now.boot),
            self.next_drain_step(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Whether the node is at its end.
    pub fn is_finished(&self) -> bool {
        self.phase == Phase::Finished
    }

    /// What the node shows of itself.
    pub fn vitals(&self) -> Vitals {
        Vitals {
            ready: self.phase == Phase::Open,
            draining: self.is_draining(),
            running: self.runs_in_progress(),
            queued: self.queue.len(),
            skew_ms: self.wall_clock_ahead.map(|micros| micros / 1000),
        }
    }

    fn runs_in_progress(&self) -> usize {
        self.running.values().filter(|running| running.takes_room()).count()
    }

    fn takes_slots(&self) -> bool {
        matches!(self.phase, Phase::Opening { failed: true } | Phase::Open)
    }

    fn claims_now(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Draining(_))
    }

    fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Finished)
    }

    /// When slots are tried.
    fn pace(&self) -> Pace {
        let max_clock_skew = self.settings.max_clock_skew;
        Pace { round_trip: self.distance.round_trip(), max_clock_skew }
    }

    /// How far ahead of its instant a slot is tried at most.
    fn farthest_ahead(&self) -> Duration {
        self.pace().farthest(self.peers.count())
    }

    /// How many more slots the node may have: those that it may win included.
    fn room(&self) -> usize {
        let Some(most) = self.settings.max_running else { return usize::MAX };
        let busy = self.running.values().filter(|running| running.takes_room()).count();
        (most as usize).saturating_sub(busy + self.desk.in_flight())
    }

    fn entry(&self, job: JobIndex) -> &Arc<Job> {
        &self.table[job.0 as usize]
    }

    /// The job that `slot` belongs to, if the table has it.
    fn find(&self, slot: &Slot) -> Option<Arc<Job>> {
        self.table.get(&slot.job).cloned()
    }

    /// Whether this node may run `job` at all.
    fn is_for_us(&self, job: &Job) -> bool {
        job.may_run_on(&self.identity.node)
    }

    /// How long the record of a settled slot of `job` is kept.
    fn keep_settled(&self, job: &Job, slot: &Slot) -> Duration {
        rules::keep_settled(job, &self.settings, slot)
    }
}

/// The jobs of `table` that are scheduled, with their places.
fn scheduled(table: &JobTable) -> impl Iterator<Item = (JobIndex, &Arc<Job>)> {
    (0..).map(JobIndex).zip(table.iter()).filter(|(_, job)| job.enabled)
}

/// The whole second at or before `at`.
pub(in crate::daemon) fn slot_time(at: ClusterTime) -> SlotTime {
    SlotTime::from_unix_seconds(at.unix_micros().div_euclid(1_000_000))
}

/// The claimant that `identity` is, under `settings`.
pub fn claimant(identity: &Identity, settings: &Settings) -> Claimant {
    Claimant {
        node: identity.node.clone(),
        boot: identity.boot,
        max_early: settings.max_clock_skew,
    }
}
