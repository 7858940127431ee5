//! What the engine is told and what it answers: the present, what happened, what
//! to do. Plain values, so that a test can write them down.

use std::sync::Arc;
use std::time::Duration;

use crate::claim::{Claim, Claimed, Fence, Token};
use crate::clock::{BootInstant, ClusterTime, Offset};
use crate::control::Control;
use crate::daemon::gaps::Gap;
use crate::ledger::Retention;
use crate::ledger::missed::Memory;
use crate::name::{ClusterName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::run::{Report, Stop, Trust};
use crate::slot::{Slot, SlotTime};
use crate::store::{
    Abandonment, Completion, CursorKey, Forfeit, Health, Ownership, Renewal, Result as StoreResult,
    Sweep,
};
use crate::table::{Job, JobTable};

/// The record of a slot that is not settled is kept at least so long.
const OPEN_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// The present, read once for each round.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// By this machine's boot clock.
    pub boot: BootInstant,
    /// From the boot clock to the cluster's.
    pub offset: Offset,
}

impl Now {
    /// By the cluster's clock.
    pub fn cluster(self) -> ClusterTime {
        self.offset.cluster_time(self.boot)
    }
}

/// What a node is, for as long as it runs.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The cluster it belongs to.
    pub cluster: ClusterName,
    /// Its name.
    pub node: NodeName,
    /// This start of it.
    pub boot: BootId,
    /// When this start began.
    pub started: BootInstant,
}

/// What a node shows of itself to who looks on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vitals {
    /// It claims what is due.
    pub ready: bool,
    /// It claims nothing new any more.
    pub draining: bool,
    /// How many runs it has in progress.
    pub running: usize,
    /// How many slots are planned: each job's next one, and those that are about to be due.
    pub queued: usize,
    /// How far its wall clock is ahead of the store's, in milliseconds, once that is known.
    pub skew_ms: Option<i64>,
}

/// The settings that decisions depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The largest difference of clocks that is tolerated.
    pub max_clock_skew: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long a draining node lets its runs go on.
    pub drain_timeout: Duration,
    /// How many runs the node has at a time at most.
    pub max_running: Option<u32>,
    /// How long and how much the ledger keeps.
    pub retention: Retention,
}

impl Settings {
    /// How long the record of a slot is kept that is not settled yet: whoever comes
    /// to settle it must find it.
    pub fn keep_open(&self) -> Duration {
        self.retention.keep.max(OPEN_KEPT)
    }
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The coarse clock beat.
    Beat,
    /// The answer to [`Action::OpenCursors`]: where each job's cursor stands.
    CursorsOpened(StoreResult<Vec<(Arc<Job>, SlotTime)>>),
    /// The answer to [`Action::Claim`], sent at `sent`.
    ClaimsAnswered {
        /// When the request left.
        sent: BootInstant,
        /// What was claimed.
        claims: Vec<Claim>,
        /// What came of it, in order.
        answer: StoreResult<Vec<Claimed>>,
    },
    /// The answer to [`Action::Renew`], sent at `sent`.
    RenewalsAnswered {
        /// When the request left.
        sent: BootInstant,
        /// What was to be renewed.
        renewals: Vec<Renewal>,
        /// Whose they are, in order.
        answer: StoreResult<Vec<Ownership>>,
    },
    /// The answer to [`Action::Complete`].
    CompletionsAnswered {
        /// What was to be written.
        completions: Vec<Completion>,
        /// Whose they were, in order.
        answer: StoreResult<Vec<Ownership>>,
    },
    /// The answer to [`Action::Forfeit`].
    ForfeitsAnswered {
        /// What was taken back.
        forfeits: Vec<Forfeit>,
        /// Where this node's write did it, in order.
        answer: StoreResult<Vec<bool>>,
    },
    /// A run is over: its processes are gone.
    RunEnded {
        /// The claim it ran under.
        token: Token,
        /// How it ended.
        report: Report,
    },
    /// The answer to [`Action::Sweep`], sent at `sent`.
    Swept {
        /// When the request left.
        sent: BootInstant,
        /// What was found.
        answer: StoreResult<Sweep>,
    },
    /// The end of [`Action::SettleGaps`]: the schedules that were settled, with the
    /// store's time: every slot whose window had closed by then is accounted for.
    GapsSettled(Vec<(CursorKey, ClusterTime)>),
    /// The answer to [`Action::ReadControl`].
    ControlRead(StoreResult<Control>),
    /// The answer to [`Action::Heartbeat`].
    HeartbeatAnswered(StoreResult<HeartbeatReply>),
    /// The answer to [`Action::ReadNodes`].
    NodesRead(StoreResult<Vec<Heartbeat>>),
    /// The store's health changed.
    StoreHealth(Health),
    /// The wall clock is so far ahead of the cluster's (negative: behind), in microseconds.
    WallClockAhead(i64),
    /// A new table, and new settings, are in force from now on.
    Reloaded(Arc<JobTable>, Settings),
    /// Somebody asked the node to stop: what, in words.
    Drain(&'static str),
    /// Somebody asked again.
    Kill,
}

/// A run to start.
#[derive(Debug)]
pub struct Start {
    /// The job.
    pub job: Arc<Job>,
    /// The slot.
    pub slot: Slot,
    /// The claim that won it.
    pub token: Token,
    /// Which run of the slot this is.
    pub attempt: u32,
    /// The fence under which it runs.
    pub fence: Fence,
    /// How long its lease can be trusted, for now.
    pub trusted_until: BootInstant,
    /// Its command begins then, as far as is known now; at once where that has passed.
    pub not_before: BootInstant,
}

/// An open slot to settle.
#[derive(Debug)]
pub struct Abandon {
    /// As what.
    pub what: Abandonment,
    /// The node that had it last.
    pub from: NodeName,
    /// The number of its last run.
    pub attempt: u32,
    /// It is left alone while there is such a node.
    pub unless: Option<Unless>,
}

/// A node that is up and may still want a slot.
#[derive(Debug)]
pub enum Unless {
    /// One that may run this job: it may have no room for the moment.
    MayRun(Arc<Job>),
    /// One that goes by another table than this node: it may have the job.
    HasAnotherTable,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Read the cursors of these jobs. Those that do not exist are created at the
    /// instant of each: from then on the node answers for every slot.
    OpenCursors(Vec<(Arc<Job>, BootInstant)>),
    /// Claim.
    Claim(Vec<Claim>),
    /// Renew leases.
    Renew(Vec<Renewal>),
    /// Write the end of runs.
    Complete(Vec<Completion>),
    /// Take claims back.
    Forfeit(Vec<Forfeit>),
    /// Start a run.
    Start(Start),
    /// Tell a run about its lease.
    Tell(Token, Trust),
    /// Have a run that has not begun begin at another instant.
    Begin(Token, BootInstant),
    /// Have a run ended.
    Stop(Token, Stop),
    /// Look at the open slots, at most [`SWEEP`](super::SWEEP) of them.
    Sweep,
    /// Settle open slots that nobody may run.
    Abandon(Vec<Abandon>),
    /// Settle these gaps.
    SettleGaps(Vec<Gap>, Memory),
    /// Read what was asked for of the whole cluster.
    ReadControl,
    /// Load the table anew; why, in words.
    Reload(&'static str),
    /// Tell the others what this node's table says.
    PublishTable,
    /// Find out in which jobs these nodes' tables differ, and say so.
    ReportDrift(Vec<(NodeName, String)>),
    /// Say that the node lives.
    Heartbeat(Heartbeat),
    /// Find out which nodes live.
    ReadNodes,
    /// Hold the wall clock against the cluster's.
    CheckClock,
    /// Remove what has outlived its time in the store.
    Prune,
    /// The node is ready to claim: tell whoever waits for that.
    Ready,
    /// Every run is over and written: leave.
    Finish {
        /// How many runs had to be ended, and were handed over.
        killed: usize,
        /// Whether the store knows how everything ended.
        settled: bool,
    },
}
