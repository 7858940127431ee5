//! The ledger: the durable history of runs and of slots missed.

pub mod missed;
pub mod record;

use std::time::Duration;

use crate::claim::{Fence, RunId};
use crate::clock::ClusterTime;
use crate::name::{JobName, NodeName};
use crate::outcome::{MissedReason, Outcome};
use crate::slot::{Slot, SlotTime};

/// One entry of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A run that ended, or that was lost with its node.
    Run(RunEntry),
    /// A range of slots that nobody ran.
    Missed(MissedEntry),
}

impl Entry {
    /// The job it tells of.
    pub fn job(&self) -> &JobName {
        match self {
            Self::Run(run) => &run.slot.job,
            Self::Missed(missed) => &missed.job,
        }
    }

    /// When it was written, by the store's clock.
    pub fn recorded_at(&self) -> ClusterTime {
        match self {
            Self::Run(run) => run.recorded_at,
            Self::Missed(missed) => missed.recorded_at,
        }
    }
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunEntry {
    /// The slot it was a run of.
    pub slot: Slot,
    /// Where it ran.
    pub node: NodeName,
    /// Its id.
    pub run_id: RunId,
    /// Which run of the slot it was, from 1.
    pub attempt: u32,
    /// The fence under which it ran.
    pub fence: Fence,
    /// How it ended. [`Outcome::Abandoned`] when its node was lost.
    pub outcome: Outcome,
    /// When it started; for an abandoned one, when it was claimed.
    pub started_at: ClusterTime,
    /// When it ended; for an abandoned one, when that was settled.
    pub finished_at: ClusterTime,
    /// What the command exited with, where it did.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// When the entry was written, by the store's clock.
    pub recorded_at: ClusterTime,
}

/// A range of slots that nobody ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissedEntry {
    /// The job.
    pub job: JobName,
    /// The slots.
    pub range: MissedRange,
    /// The node that found and recorded it.
    pub node: NodeName,
    /// When the entry was written, by the store's clock.
    pub recorded_at: ClusterTime,
}

/// Consecutive slots of one job that were missed for one reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MissedRange {
    /// The first slot.
    pub from: SlotTime,
    /// The last slot, the same as `from` when it is one.
    pub to: SlotTime,
    /// How many slots.
    pub count: u64,
    /// Why.
    pub reason: MissedReason,
}

/// Which entries are asked for; they come newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Only this job's.
    pub job: Option<JobName>,
    /// Only those of this node.
    pub node: Option<NodeName>,
    /// Only those recorded at or after this instant.
    pub since: Option<ClusterTime>,
    /// At most so many.
    pub limit: usize,
}

/// How long and how much the ledger keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Entries older than this go.
    pub keep: Duration,
    /// Of each job at most so many stay.
    pub per_job: u32,
}

/// Output tails are kept for the last so many runs that succeeded and for the
/// last so many that did not, of each job.
pub const TAILS_KEPT: usize = 10;
