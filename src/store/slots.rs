//! Slots in a store: the trait [`Store`], and what goes in and out of it.
//!
//! What a backend must keep:
//!
//! - Each item of a batch is decided and written in one atomic step, by the
//!   store's own clock; items of one batch do not depend on each other.
//! - The lock is only the lease. The slot's record is written with it in the
//!   same step and outlives it, so a finished slot stays finished whatever a
//!   late or skewed node tries.
//! - Every slot that is held or handed over stands in an index ordered by when
//!   its lease lapses, so a node that never saw the claim can settle it.
//! - Every call ends in bounded time with an answer or a
//!   [`StoreError`](super::StoreError) that says whether it may have been applied.
//! - Nothing grows without bound: everything expires or is capped.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::{Health, Result, Warning};
use crate::claim::{Claim, Claimant, Claimed, Fence, Holder, RunId, Settled, Token};
use crate::clock::ClusterTime;
use crate::control::Control;
use crate::ledger::{Entry, MissedRange, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::outcome::{CancelCause, MissedReason, Outcome, Ready};
use crate::slot::{Slot, SlotTime};
use crate::table::ScheduleDigest;

/// A run in progress whose lease is to be prolonged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewal {
    /// The slot.
    pub slot: Slot,
    /// The owner token.
    pub token: Token,
    /// How long the lock lasts from now, whole milliseconds.
    pub ttl: Duration,
    /// How long the slot's record outlives this renewal; never less than the lease.
    pub keep_record: Duration,
}

/// The answer to a [`Renewal`] or a [`Completion`] of a run that may no longer be
/// ours. Only [`Ownership::Ours`] means that anything was written, now or before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// It was ours and the write was made, now or by an earlier copy of the same request.
    Ours,
    /// Another holds it; its lease may have lapsed.
    HeldBy(Holder),
    /// It is settled otherwise. For a renewal, settled at all.
    SettledAs(Settled),
    /// Nobody holds it and it is not settled: the store knows nothing of it (any
    /// more), or it was handed over and waits for its next claim.
    Forgotten,
}

/// How a run ended, and what becomes of its slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// The slot.
    pub slot: Slot,
    /// The owner token.
    pub token: Token,
    /// Which run of the slot it was, from 1.
    pub attempt: u32,
    /// The fence under which it ran.
    pub fence: Fence,
    /// How it ended.
    pub outcome: Outcome,
    /// What becomes of the slot.
    pub then: Then,
    /// When it started, by the cluster's clock.
    pub started_at: ClusterTime,
    /// When it ended, by the cluster's clock.
    pub finished_at: ClusterTime,
    /// What the command exited with, where it did.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// The end of its output; any text, also with NUL, as long as some MiB.
    pub tail: String,
    /// How long the slot's record is kept from now.
    pub keep_record: Duration,
    /// How long and how much of the job's history is kept.
    pub retention: Retention,
}

impl Completion {
    /// The run.
    pub fn run_id(&self) -> RunId {
        self.token.run_id(self.attempt)
    }
}

/// What becomes of a slot when a run of it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is settled.
    Settle,
    /// It is [ready](Ready::HandedOver) for the next claim, from this instant on or at
    /// once. One that was told to be cancelled is settled as that instead.
    HandOver(Option<ClusterTime>),
    /// It stays held under the same token: the next run is an attempt more.
    Retry,
}

/// What a look at the store's open slots finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sweep {
    /// Open slots that want somebody: those whose lease has lapsed, and those that
    /// are ready, the longest-waiting first.
    pub open: Vec<Open>,
    /// When the next of those that are not in `open` may lapse or get ready.
    pub next: Option<ClusterTime>,
    /// Runs that are to be cancelled and whose leases have not lapsed.
    pub cancels: Vec<Cancel>,
    /// The [version](Control::version) of the control state.
    pub control: u64,
}

/// An open slot whose lease has lapsed, or that nobody holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// The slot.
    pub slot: Slot,
    /// The token that held it last, or that it was made with.
    pub token: Token,
    /// The node that held it last, or that made it.
    pub node: NodeName,
    /// How many runs it has had.
    pub attempt: u32,
    /// How often it was taken over.
    pub takeovers: u32,
    /// Why it is open.
    pub state: OpenState,
}

/// Why an open slot wants somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenState {
    /// Its holder stopped renewing.
    Lost,
    /// Nobody holds it.
    Ready(Ready),
}

/// A run that is to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancel {
    /// The slot.
    pub slot: Slot,
    /// The token that holds it.
    pub token: Token,
    /// Why.
    pub cause: CancelCause,
}

/// A run in progress that somebody asked to be cancelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cancelled {
    /// The slot it is a run of.
    pub slot: Slot,
    /// The node that runs it.
    pub node: NodeName,
}

/// What to settle an open slot with that nobody may run any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abandonment {
    /// The slot.
    pub slot: Slot,
    /// The token that held it last: if another holds it by now, nothing is written.
    pub token: Token,
    /// Whether its holder was lost. What such a holder has handed over since is left alone:
    /// why nobody may run what was lost does not say that nobody may run that.
    pub was_lost: bool,
    /// Why nobody may run it, in words.
    pub why: String,
    /// How long the slot's record is kept from now.
    pub keep_record: Duration,
    /// How long and how much of the job's history is kept.
    pub retention: Retention,
}

/// Names a cursor: one for each job and schedule digest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorKey {
    /// The job.
    pub job: JobName,
    /// Its schedule: a changed one has a cursor of its own.
    pub digest: ScheduleDigest,
}

/// Slots of a job that nobody ran, and the cursor's step over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedReport {
    /// Whose cursor moves.
    pub cursor: CursorKey,
    /// Where it must stand, or nothing is written. A cursor that does not exist
    /// stands nowhere.
    pub expected: SlotTime,
    /// Where it moves to; later than `expected`, or nothing is written.
    pub upto: SlotTime,
    /// When the start window of the last slot in `ranges` closes; up to that very
    /// instant, by the store's clock, nothing is written, because until then a
    /// claim may win.
    pub closes_at: ClusterTime,
    /// The slots missed. May be empty: then only the cursor moves.
    pub ranges: Vec<MissedRange>,
    /// The slots to be caught up, oldest first: they are [ready](Ready::CatchUp) from
    /// now on.
    pub catch_up: Vec<SlotTime>,
    /// Whether one of them is to be settled before the next gets its turn.
    pub in_turn: bool,
    /// How long the records of those are kept.
    pub keep_record: Duration,
    /// How long and how much of the job's history is kept.
    pub retention: Retention,
}

/// A claim whose reply came too late, or never, and that is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forfeit {
    /// The slot.
    pub slot: Slot,
    /// The token it was claimed with.
    pub token: Token,
    /// Why the slot was missed.
    pub reason: MissedReason,
    /// How long the slot's record is kept from now.
    pub keep_record: Duration,
    /// How long and how much of the job's history is kept.
    pub retention: Retention,
}

/// The state of one slot, as its record tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotRecord {
    /// The node that holds or held it last.
    pub node: NodeName,
    /// The token under which it is or was held last.
    pub token: Token,
    /// Which run of the slot that is, from 1.
    pub attempt: u32,
    /// The fence of that run.
    pub fence: Fence,
    /// When it was claimed, by the store's clock.
    pub claimed_at: ClusterTime,
    /// How often it was taken over from a node that was lost.
    pub takeovers: u32,
    /// Where it stands.
    pub state: SlotState,
}

/// Where a slot stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotState {
    /// Held, with the time its lock still lasts; zero when it lapsed and is not settled yet.
    Running {
        /// The rest of the lock's time to live.
        remaining: Duration,
    },
    /// Held by nobody.
    Ready(Ready),
    /// Settled.
    Settled(Outcome),
}

/// Everything the store knows of one slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStory {
    /// Its record, as long as that is kept.
    pub record: Option<SlotRecord>,
    /// The ledger's entries of it, oldest first, with the missed ranges that it
    /// lies in.
    pub entries: Vec<Entry>,
    /// The end of its last run's output, where it is kept.
    pub tail: Option<String>,
}

/// Where locks, slot records, cursors and the ledger live. See the module's head
/// for what an implementation must keep.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// What and where it is, without any secret: for messages.
    fn describe(&self) -> String;

    /// Whether it can be reached, kept current by the backend.
    fn health(&self) -> watch::Receiver<Health>;

    /// The part of the store that has the job. The items of one call that are in one part
    /// have an answer together or none; who needs the answers of the others all the same
    /// makes one call for each part. Fences are given out by each part: those of jobs in
    /// different ones may be alike.
    fn part(&self, _job: &JobName) -> u32 {
        0
    }

    /// Looks at what can break the guarantee: version, eviction, persistence.
    /// An [`Unavailable`](super::StoreError::Unavailable) error when it is unusable (too old).
    async fn inspect(&self) -> Result<Vec<Warning>>;

    /// The store's clock.
    async fn time(&self) -> Result<ClusterTime>;

    /// One attempt at each slot's lock; what came of them in the order of `claims`. A
    /// failed item is [`Verdict::Unknown`](crate::claim::Verdict::Unknown) and fails no
    /// other; an error is about the whole call.
    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>>;

    /// Takes back claims that nobody ran: a slot whose record says running under
    /// this token is settled as missed, with a ledger entry. True where this
    /// call's write did it; nothing is written where the slot was never claimed
    /// with this token, or is held by another.
    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>>;

    /// Prolongs leases by owner token. A lease that lapsed but that nobody has
    /// settled is still ours and lives again.
    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>>;

    /// Writes the end of runs: record, ledger entry, tail, and the lock's release,
    /// each in one step. A copy of a completion that was written before is
    /// [`Ownership::Ours`] and writes nothing. A lease that lapsed but that nobody
    /// has settled is still ours.
    async fn complete(&self, node: &NodeName, completions: &[Completion])
    -> Result<Vec<Ownership>>;

    /// Looks at the open slots: which want somebody, at most `limit` of them, and what
    /// else a node has to know from time to time. What is in a part that does not answer
    /// is left out, unless none does.
    async fn sweep(&self, limit: usize) -> Result<Sweep>;

    /// Settles slots whose lease has lapsed, or that nobody holds, as abandoned, with
    /// a ledger entry of the last run; as cancelled where that was asked.
    /// True where this call's write did it.
    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>>;

    /// Where the cursors stand; one that does not exist yet is created at `start`.
    /// A cursor is kept for `keep` from the last call that opened or moved it.
    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>>;

    /// Which of `slots`, all of `job` and in ascending order, have a record or a
    /// ledger entry of a run; a missed range alone does not count.
    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>>;

    /// Moves cursors over slots that nobody ran, with a ledger entry for each
    /// range, and makes those ready that are to be caught up. True where this call's
    /// write did it.
    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>>;

    /// Makes `slot`, a triggered one, ready for whoever claims it, and keeps its record
    /// for `keep`. False when it was there already: the same wish again is the same slot.
    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool>;

    /// Asks for the end of a run in progress; none when there is no such run.
    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>>;

    /// Pauses a job, or lets it go on. False when it was so already.
    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool>;

    /// Asks this node, or all, to load their job tables anew.
    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()>;

    /// What was asked for of the whole cluster.
    async fn control(&self) -> Result<Control>;

    /// Tells the others what the table `digest` says of each job, for `keep`.
    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()>;

    /// What the table `digest` says of each job, in order of name; none when nobody
    /// published it, or not lately.
    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>>;

    /// Asks for the output of a run in progress to be shown, for `keep` from now on; what
    /// was shown of it last.
    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>>;

    /// The runs whose output somebody watches, in no order.
    async fn watched_outputs(&self) -> Result<Vec<RunId>>;

    /// Shows the end of a run's output so far, for `keep`.
    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()>;

    /// Says that the node lives.
    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply>;

    /// The heartbeats that have not run out.
    async fn nodes(&self) -> Result<Vec<Heartbeat>>;

    /// Says that the node is gone; a heartbeat of another start of it stays.
    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()>;

    /// The ledger's entries that `query` asks for, newest first.
    async fn history(&self, query: &Query) -> Result<Vec<Entry>>;

    /// The newest entries of each of `jobs`, at most `each` of one, newest first, in the
    /// order of `jobs`.
    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>>;

    /// The slots that are not settled, with their records: those that run, those whose
    /// lease has lapsed, and those that are ready; in no order, at most `limit`.
    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>>;

    /// The end of the output of a run of `job` that has ended, where it is kept.
    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>>;

    /// Everything about one slot.
    async fn slot(&self, slot: &Slot) -> Result<SlotStory>;

    /// Removes what has outlived its time and does not expire by itself.
    async fn prune(&self, retention: Retention) -> Result<()>;

    /// Closes connections and files; later calls are unavailable.
    async fn close(&self);
}
