//! The ledger's entries as scripts see them: stable JSON, the same on the
//! command line and over HTTP. Absent values are null.

use serde::Serialize;
use utoipa::ToSchema;

use crate::ledger::{Entry, MissedEntry, RunEntry};
use crate::outcome::Outcome;

/// One entry. A run has no `slot_to`, `count` and `reason`; a missed range has
/// only those and its job and slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Entry)]
pub struct Record {
    /// The job.
    pub job: String,
    /// The slot, or the first one of a missed range.
    pub slot: String,
    /// What a triggered slot was triggered by.
    pub trigger_id: Option<String>,
    /// The last slot of a missed range.
    pub slot_to: Option<String>,
    /// How many slots a missed range has.
    pub count: Option<u64>,
    /// How it ended, one of the words of [`Outcome`].
    pub outcome: &'static str,
    /// Why it was missed.
    pub reason: Option<&'static str>,
    /// Where it ran.
    pub node: Option<String>,
    /// The run's id.
    pub run_id: Option<String>,
    /// Which run of the slot it was, from 1.
    pub attempt: Option<u32>,
    /// The fence under which it ran.
    pub fence: Option<u64>,
    /// When it started, RFC 3339 in UTC.
    pub started_at: Option<String>,
    /// When it ended, RFC 3339 in UTC.
    pub finished_at: Option<String>,
    /// From start to end, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What the command exited with.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What went wrong, in words.
    pub error: Option<String>,
}

impl From<&Entry> for Record {
    fn from(entry: &Entry) -> Self {
        match entry {
            Entry::Run(run) => run.into(),
            Entry::Missed(missed) => missed.into(),
        }
    }
}

impl From<&RunEntry> for Record {
    fn from(run: &RunEntry) -> Self {
        let took = run.finished_at.since(run.started_at).as_millis();
        Self {
            job: run.slot.job.to_string(),
            slot: run.slot.at.to_string(),
            trigger_id: run.slot.trigger.map(|id| id.to_string()),
            slot_to: None,
            count: None,
            outcome: run.outcome.as_str(),
            reason: None,
            node: Some(run.node.to_string()),
            run_id: Some(run.run_id.to_string()),
            attempt: Some(run.attempt),
            fence: Some(run.fence.get()),
            started_at: Some(run.started_at.to_string()),
            finished_at: Some(run.finished_at.to_string()),
            duration_ms: u64::try_from(took).ok(),
            exit_code: run.exit_code,
            signal: run.signal,
            error: run.error.clone(),
        }
    }
}

impl From<&MissedEntry> for Record {
    fn from(missed: &MissedEntry) -> Self {
        Self {
            job: missed.job.to_string(),
            slot: missed.range.from.to_string(),
            trigger_id: None,
            slot_to: Some(missed.range.to.to_string()),
            count: Some(missed.range.count),
            outcome: Outcome::Missed.as_str(),
            reason: Some(missed.range.reason.as_str()),
            node: None,
            run_id: None,
            attempt: None,
            fence: None,
            started_at: None,
            finished_at: None,
            duration_ms: None,
            exit_code: None,
            signal: None,
            error: None,
        }
    }
}
