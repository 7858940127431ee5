//! What the engine is told and what it answers: the present, what happened, what
//! to do. Plain values, so that a test can write them down.

use std::sync::Arc;
use std::time::Duration;

use crate::claim::{Claim, Fence, Token, Verdict};
use crate::clock::{BootInstant, ClusterTime, Offset};
use crate::ledger::Retention;
use crate::ledger::missed::Memory;
use crate::name::{ClusterName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::run::{Report, Stop, Trust};
use crate::slot::{Slot, SlotTime};
use crate::store::{
    Abandonment, Completion, Forfeit, Health, Lapsed, Ownership, Renewal, Result as StoreResult,
};
use crate::table::Job;
use crate::ticker::queue::JobIndex;

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

/// The settings that decisions depend on.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The largest difference of clocks that is tolerated.
    pub max_clock_skew: Duration,
    /// Between two heartbeats.
    pub heartbeat: Duration,
    /// How long a draining node lets its runs go on.
    pub drain_timeout: Duration,
    /// How long and how much the ledger keeps.
    pub retention: Retention,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The coarse clock beat.
    Beat,
    /// The cursors of all jobs, in the table's order.
    CursorsOpened(StoreResult<Vec<SlotTime>>),
    /// The answer to [`Action::Claim`], sent at `sent`.
    ClaimsAnswered {
        /// When the request left.
        sent: BootInstant,
        /// What was claimed.
        claims: Vec<Claim>,
        /// The verdicts, in order.
        answer: StoreResult<Vec<Verdict>>,
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
    /// The answer to [`Action::FindLapsed`].
    LapsedFound(StoreResult<Vec<Lapsed>>),
    /// The end of [`Action::SettleGaps`]: the jobs that were settled, with the
    /// store's time: every slot whose window had closed by then is accounted for.
    GapsSettled(Vec<(JobIndex, ClusterTime)>),
    /// The answer to [`Action::Heartbeat`].
    HeartbeatAnswered(StoreResult<HeartbeatReply>),
    /// The store's health changed.
    StoreHealth(Health),
    /// The wall clock is so far ahead of the cluster's (negative: behind), in microseconds.
    WallClockAhead(i64),
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
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Read all cursors. Those that do not exist are created at this instant:
    /// from then on the node answers for every slot.
    OpenCursors(BootInstant),
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
    /// Have a run ended.
    Stop(Token, Stop),
    /// Look for lapsed slots, at most [`SWEEP`](super::SWEEP).
    FindLapsed,
    /// Settle lapsed slots.
    Abandon(Vec<(Abandonment, NodeName)>),
    /// Settle these gaps.
    SettleGaps(Vec<(JobIndex, Gap)>, Memory),
    /// Say that the node lives.
    Heartbeat(Heartbeat),
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

/// Some slots of a job may have no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// No such slot was due before that, as far as this node knows.
    pub from: BootInstant,
    /// When the start window of the last such slot closes, by the cluster's clock.
    pub until: ClusterTime,
}
