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
//! opening ──► open: plan → due → claim ─┬─► won ──► run ──► completion ──► done
//!    │        ▲                         ├─► held, done: skipped
//!    │        │ cursors are known       ├─► refused late: gap ──► missed
//!    │        └────────────────         └─► no answer: again until the window closes
//!    └──► draining ──► drained
//! ```
//!
//! Invariants:
//!
//! - A run starts only on [`Verdict::Won`], and only
//!   while its lease can be trusted.
//! - Every slot that the queue gave out ends as a run, as skipped, or in a gap
//!   that is settled: nothing is dropped silently.
//! - A win moves a cursor only while the node knows that every earlier slot of
//!   the job has a record: the job has no gap and no earlier claim is pending.

mod claims;
mod drain;
mod messages;
mod runs;
mod upkeep;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

pub use self::messages::{Action, Event, Gap, Identity, Now, Settings, Start};

use crate::claim::desk::{Cause, Desk};
use crate::claim::{Claim, Claimant, Fence, Token, Verdict};
use crate::clock::{BootInstant, ClusterTime, Offset};
use crate::daemon::outbox::Outbox;
use crate::lease::book::Book;
use crate::ledger::missed::Memory;
use crate::log::events;
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::run::{Report, Stop, Trust};
use crate::slot::{Slot, SlotTime};
use crate::store::{
    Abandonment, Completion, Forfeit, Health, Lapsed, Ownership, Renewal, Result as StoreResult,
};
use crate::table::{Job, JobTable, LONGEST_IMPLIED_WINDOW};
use crate::ticker::beat::{Duty, Rota};
use crate::ticker::queue::{DueQueue, JobIndex};

/// How far planning looks ahead. The coarse clock beats every second; three
/// beats may fail before the precise timer has to plan by itself.
pub const LOOKAHEAD: Duration = Duration::from_secs(4);

/// How long the record of a settled slot outlives its start window and twice the
/// tolerated skew: room for a store whose clock is set back a little. Beyond it
/// the cursor holds late claims off.
const RECORD_MARGIN: Duration = Duration::from_secs(300);

/// The record of a slot that is not settled is kept at least so long.
const OPEN_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A slot that was handed over and that this node may not run is left to the others
/// for so long: their tables may differ while a deployment rolls.
const UNTAKEN_FOR: Duration = Duration::from_secs(600);

/// A cursor that nobody asks for is kept so long: a yearly job must find its own.
pub const CURSOR_KEPT: Duration = Duration::from_secs(400 * 86_400);

/// At most so many claims are made in one call: a file on a slow disk takes
/// about 50 ms for them.
const CLAIMS: usize = 2_000;

/// At most so many lapsed slots are settled in one sweep; the next comes a second later.
pub const SWEEP: usize = 1_000;

/// What the node knows of its cursors in the store. They are asked for at the
/// start, when the store comes back, and every now and then, so that they never
/// run out and a store that lost them gets them anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cursors {
    /// They were all there at that time; at the start, the time of that.
    known: BootInstant,
    /// They are to be asked for.
    wanted: bool,
    /// They are being asked for.
    asked: bool,
}

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

/// How far a drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Drain {
    /// Runs may go on until then.
    patience: BootInstant,
    /// Nothing is waited for after that.
    ends: BootInstant,
    /// What the runs were told, once they were.
    stopped: Option<Stop>,
}

/// A slot that this node holds: it runs, or its end is not acknowledged yet.
#[derive(Debug)]
struct Running {
    job: Arc<Job>,
    slot: Slot,
    attempt: u32,
    fence: Fence,
    /// True once its processes are gone.
    over: bool,
}

impl Running {
    /// As events name it, held under `token`.
    fn as_run(&self, token: Token) -> events::Run<'_> {
        events::Run {
            slot: &self.slot,
            run_id: token.run_id(),
            attempt: self.attempt,
            fence: self.fence,
        }
    }
}

/// See the module's head.
#[derive(Debug)]
pub struct Engine {
    identity: Identity,
    settings: Settings,
    table: Arc<JobTable>,
    phase: Phase,
    rota: Rota,
    queue: DueQueue,
    desk: Desk,
    book: Book,
    running: HashMap<Token, Running>,
    completions: Outbox<Completion>,
    forfeits: Outbox<Forfeit>,
    /// Jobs with slots that may have no record.
    gaps: BTreeMap<JobIndex, Gap>,
    cursors: Cursors,
    settling: bool,
    sweeping: bool,
    /// Slots that were handed over and that this node may not run, and since when
    /// it knows.
    untaken: HashMap<Slot, BootInstant>,
    memory: Memory,
    store_is_up: bool,
    beats: u64,
    duplicates: HashSet<BootId>,
    skewed: bool,
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
        Self {
            queue: what_may_still_start(&table, now),
            memory: Memory::new(identity.started),
            rota: Rota::new(settings.heartbeat),
            identity,
            settings,
            table,
            phase: Phase::Opening { failed: false },
            desk: Desk::default(),
            book: Book::default(),
            running: HashMap::new(),
            completions: Outbox::default(),
            forfeits: Outbox::default(),
            gaps: BTreeMap::new(),
            cursors: Cursors { known: now.boot, wanted: true, asked: false },
            settling: false,
            sweeping: false,
            untaken: HashMap::new(),
            store_is_up: false,
            beats: 0,
            duplicates: HashSet::new(),
            skewed: false,
            killed: 0,
        }
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
            Event::RunEnded { token, report } => self.on_run_ended(now, token, report),
            Event::LapsedFound(answer) => self.on_lapsed_found(now, answer, actions),
            Event::GapsSettled(jobs) => self.on_gaps_settled(&jobs),
            Event::HeartbeatAnswered(answer) => self.on_heartbeat_answered(answer),
            Event::StoreHealth(health) => self.on_store_health(now, &health, actions),
            Event::WallClockAhead(micros) => self.on_wall_clock_ahead(micros),
            Event::Drain(cause) => self.on_drain(now, cause),
            Event::Kill => self.on_kill(now, actions),
        }
    }

    /// What to do at `now`, after everything that happened was taken in.
    pub fn act(&mut self, now: Now, actions: &mut Vec<Action>) {
        self.go_on_draining(now, actions);
        self.take_due_slots(now);
        self.give_up_expired_claims(now);
        self.make_claims(now, actions);
        self.renew_leases(now, actions);
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
            due.map(|at| now.offset.boot_instant(at)),
            self.desk.next_attempt().filter(|_| self.claims_now()),
            self.book.next_renewal(),
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

    fn takes_slots(&self) -> bool {
        matches!(self.phase, Phase::Opening { failed: true } | Phase::Open)
    }

    fn claims_now(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Draining(_))
    }

    fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining(_) | Phase::Finished)
    }

    fn entry(&self, job: JobIndex) -> &Arc<Job> {
        &self.table[job.0 as usize]
    }

    /// How long the record of a settled slot of `job` is kept.
    fn keep_settled(&self, job: &Job, slot: SlotTime) -> Duration {
        job.window(slot) + self.settings.max_clock_skew * 2 + RECORD_MARGIN
    }

    /// How long the record of a slot is kept that is not settled yet: whoever comes
    /// to settle it must find it.
    fn keep_open(&self) -> Duration {
        self.settings.retention.keep.max(OPEN_KEPT)
    }
}

/// The jobs of `table` that are scheduled, with their places.
fn jobs(table: &JobTable) -> impl Iterator<Item = (JobIndex, &Arc<Job>)> {
    (0..).map(JobIndex).zip(table.iter()).filter(|(_, job)| job.enabled)
}

/// A queue that begins with the slots whose start window may be open at `now`.
fn what_may_still_start(table: &JobTable, now: Now) -> DueQueue {
    let mut queue = DueQueue::new();
    for (job, entry) in jobs(table) {
        let reach = entry.start_within.unwrap_or(LONGEST_IMPLIED_WINDOW);
        queue.seed(table, job, slot_time(now.cluster() - reach));
    }
    queue
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
