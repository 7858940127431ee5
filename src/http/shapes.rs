//! What is answered, as JSON. Instants are RFC 3339 in UTC; absent values of an entry of
//! the ledger are null, elsewhere they are left out.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::board::Snapshot;
use crate::clock::ClusterTime;
use crate::ledger::record::Record;
use crate::name::NodeName;
use crate::schedule::Schedule;
use crate::slot::{Slot, SlotTime};
use crate::store::{SlotRecord, SlotState};
use crate::table::Job;

/// A schedule of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ScheduleView {
    /// Its fields in their normal form, such as `0 30 2 * * *`, or `@every 10s`.
    pub(crate) expression: String,
    /// The zone whose clock it follows.
    pub(crate) zone: String,
    /// The same in words.
    pub(crate) words: String,
}

impl From<&Schedule> for ScheduleView {
    fn from(schedule: &Schedule) -> Self {
        let canonical = schedule.canonical();
        let expression = canonical.split_once(' ').map_or(canonical.as_str(), |(_, rest)| rest);
        Self {
            expression: expression.to_owned(),
            zone: schedule.zone().name().to_owned(),
            words: schedule.in_words(),
        }
    }
}

/// A slot that is not settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct OpenView {
    /// Its job.
    pub(crate) job: String,
    /// Its instant.
    pub(crate) slot: String,
    /// What it was triggered by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trigger_id: Option<String>,
    /// `running`; `lapsed` (its node stopped renewing); `handed_over`, `triggered`,
    /// `waiting` or `catch_up` (nobody has it yet); in a stream also `settled`.
    pub(crate) state: &'static str,
    /// The node that has it, had it last, or made it.
    pub(crate) node: String,
    /// Its run, if it has had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run_id: Option<String>,
    /// Which run of the slot that is, from 1; 0 before the first.
    pub(crate) attempt: u32,
    /// How often it was taken over from a node that was lost.
    pub(crate) takeovers: u32,
    /// When it was claimed.
    pub(crate) claimed_at: String,
}

impl OpenView {
    /// As its record tells.
    pub(crate) fn of(slot: &Slot, record: &SlotRecord) -> Self {
        Self {
            job: slot.job.to_string(),
            slot: slot.at.to_string(),
            trigger_id: slot.trigger.map(|id| id.to_string()),
            state: state(record),
            node: record.node.to_string(),
            run_id: (record.attempt > 0).then(|| record.token.run_id(record.attempt).to_string()),
            attempt: record.attempt,
            takeovers: record.takeovers,
            claimed_at: record.claimed_at.to_string(),
        }
    }

    /// One that was as its record tells, and is settled now.
    pub(crate) fn settled(slot: &Slot, record: &SlotRecord) -> Self {
        Self { state: "settled", ..Self::of(slot, record) }
    }
}

/// The word for where an open slot stands.
pub(crate) fn state(record: &SlotRecord) -> &'static str {
    match record.state {
        SlotState::Running { remaining } if remaining.is_zero() => "lapsed",
        SlotState::Running { .. } => "running",
        SlotState::Ready(why) => why.as_str(),
        SlotState::Settled(outcome) => outcome.as_str(),
    }
}

/// A job, as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// Its name.
    pub(crate) name: String,
    /// When it is due.
    pub(crate) schedules: Vec<ScheduleView>,
    /// The zone in which its slots are shown.
    pub(crate) timezone: String,
    /// Words to find it by.
    pub(crate) tags: Vec<String>,
    /// Whether it runs by schedule.
    pub(crate) enabled: bool,
    /// Whether it is paused.
    pub(crate) paused: bool,
    /// Its next slots.
    pub(crate) next: Vec<String>,
    /// The last entry of the ledger about it; null where there is none.
    pub(crate) last: Option<Record>,
    /// Its slots that are not settled.
    pub(crate) open: Vec<OpenView>,
}

impl JobView {
    /// With its next `count` slots.
    pub(crate) fn of(job: &Job, seen: &Snapshot, count: usize) -> Self {
        Self {
            name: job.name.to_string(),
            schedules: job.schedule.schedules().iter().map(ScheduleView::from).collect(),
            timezone: job.timezone.name().to_owned(),
            tags: job.tags.iter().map(|tag| tag.to_string()).collect(),
            enabled: job.enabled,
            paused: seen.control.is_paused(&job.name),
            next: next(job, seen.now, count).map(|at| at.to_string()).collect(),
            last: seen.recent(&job.name).first().map(Record::from),
            open: seen
                .open_of(&job.name)
                .map(|(slot, record)| OpenView::of(slot, record))
                .collect(),
        }
    }
}

/// The next slots of a job; none where it is not enabled.
fn next(job: &Job, now: ClusterTime, count: usize) -> impl Iterator<Item = SlotTime> + '_ {
    let now = SlotTime::from_unix_seconds(now.unix_millis().div_euclid(1000));
    let first = job.schedule.next_after(now).filter(|_| job.enabled);
    std::iter::successors(first, |&at| job.schedule.next_after(at)).take(count)
}

/// All jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct JobList {
    /// The store's clock.
    pub(crate) now: String,
    /// Names the job table of this node: nodes with equal tables have equal digests.
    pub(crate) table: String,
    /// The jobs, in order of name.
    pub(crate) jobs: Vec<JobView>,
}

/// A coming slot on the clock of the job's zone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Coming {
    /// Its instant.
    pub(crate) slot: String,
    /// The same with the offset of the job's zone.
    pub(crate) local: String,
}

/// A job with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct JobDetail {
    /// As in the list.
    #[serde(flatten)]
    pub(crate) job: JobView,
    /// Its next ten slots.
    pub(crate) coming: Vec<Coming>,
    /// What it runs: `command`, `shell` or `http`.
    pub(crate) kind: &'static str,
    /// What a slot does that comes while an earlier one runs.
    pub(crate) overlap: &'static str,
    /// What happens to a slot whose node is lost.
    pub(crate) on_crash: &'static str,
    /// Which missed slots are run after all.
    pub(crate) catch_up: &'static str,
    /// How many runs a slot gets, the first included.
    pub(crate) attempts: u32,
    /// How long a run may take, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) timeout_ms: Option<u64>,
    /// How long its lock outlives a holder that died, in milliseconds.
    pub(crate) lease_ttl_ms: u64,
    /// The nodes that live and may run it.
    pub(crate) may_run_on: Vec<String>,
    /// Its newest entries of the ledger, newest first.
    pub(crate) recent: Vec<Record>,
}

impl JobDetail {
    /// Of a job, as it was seen.
    pub(crate) fn of(job: &Job, seen: &Snapshot) -> Self {
        let zone = job.timezone.time_zone();
        let coming = next(job, seen.now, 10).map(|at| {
            let offset = zone.to_offset(at.timestamp());
            let local = at.timestamp().display_with_offset(offset).to_string();
            Coming { slot: at.to_string(), local }
        });
        let may_run = |node: &&NodeName| job.may_run_on(node);
        Self {
            job: JobView::of(job, seen, 3),
            coming: coming.collect(),
            kind: job.work.kind(),
            overlap: job.policies.overlap.as_str(),
            on_crash: job.policies.on_crash.as_str(),
            catch_up: job.policies.catch_up.policy.as_str(),
            attempts: job.policies.retry.attempts,
            timeout_ms: job.timeout.map(millis),
            lease_ttl_ms: millis(job.lease_ttl),
            may_run_on: seen
                .nodes_up(seen.by_now())
                .map(|(beat, _)| &beat.node)
                .filter(may_run)
                .map(NodeName::to_string)
                .collect(),
            recent: seen.recent(&job.name).iter().map(Record::from).collect(),
        }
    }
}

/// Whole milliseconds.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A run, with its output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct RunDetail {
    /// `running`, `lapsed`, or how it ended.
    pub(crate) state: &'static str,
    /// The run as the ledger has it; of one in progress only what is known yet.
    #[serde(flatten)]
    pub(crate) run: Record,
    /// The end of its output; null where that is not kept, or its node, which was asked for
    /// it now, has not told it yet.
    pub(crate) output: Option<String>,
    /// Whether the output is that of a run in progress, so far.
    pub(crate) output_is_live: bool,
}

/// A run in progress as an entry of the ledger would have it.
pub(crate) fn in_progress(slot: &Slot, record: &SlotRecord) -> RunDetail {
    let open = OpenView::of(slot, record);
    RunDetail {
        state: open.state,
        run: Record {
            job: open.job,
            slot: open.slot,
            trigger_id: open.trigger_id,
            slot_to: None,
            count: None,
            outcome: open.state,
            reason: None,
            node: Some(open.node),
            run_id: open.run_id,
            attempt: Some(open.attempt),
            fence: Some(record.fence.get()),
            started_at: Some(open.claimed_at),
            finished_at: None,
            duration_ms: None,
            exit_code: None,
            signal: None,
            error: None,
        },
        output: None,
        output_is_live: false,
    }
}

/// The cluster and its store, as this node sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct ClusterView {
    /// The cluster's name.
    pub(crate) cluster: String,
    /// The node that answers.
    pub(crate) node: String,
    /// The version of its program.
    pub(crate) version: &'static str,
    /// The store's clock.
    pub(crate) now: String,
    /// Where locks and ledger are, without any secret.
    pub(crate) store: String,
    /// How long the store took to answer, in microseconds.
    pub(crate) store_latency_us: u64,
    /// What about the store can break the guarantee.
    pub(crate) store_warnings: Vec<String>,
    /// How many jobs this node's table has.
    pub(crate) jobs: usize,
    /// The digest of that table.
    pub(crate) table: String,
    /// How many slots are running in the whole cluster.
    pub(crate) running: usize,
}

/// Whether a job is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct JobPause {
    /// The job.
    pub(crate) job: String,
    /// Whether it is.
    pub(crate) paused: bool,
}

/// Another job table is in force on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TableChange {
    /// Its digest.
    pub(crate) digest: String,
    /// How many jobs it has.
    pub(crate) jobs: usize,
}

/// What came of a wish to pause a job, or to let it go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct PauseResult {
    /// The job.
    pub(crate) job: String,
    /// Whether it is paused now.
    pub(crate) paused: bool,
    /// Whether that was otherwise before.
    pub(crate) changed: bool,
}

/// What came of a wish to run a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct TriggerResult {
    /// The job.
    pub(crate) job: String,
    /// The slot that was made for it.
    pub(crate) slot: String,
    /// Its id: asking again with it runs the job no second time.
    pub(crate) trigger_id: String,
    /// Whether this was the first time.
    pub(crate) new: bool,
}

/// What came of a wish to end a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct CancelResult {
    /// The run.
    pub(crate) run_id: String,
    /// Its job.
    pub(crate) job: String,
    /// Its slot.
    pub(crate) slot: String,
    /// The node that is asked to end it.
    pub(crate) node: String,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct SessionView {
    /// The token's name; `anybody` where there are no tokens.
    pub(crate) name: String,
    /// What they may: `viewer` or `operator`.
    pub(crate) role: &'static str,
    /// Whether there are no tokens, so that nobody has to sign in.
    pub(crate) open: bool,
}

/// Whether the node is well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct HealthView {
    /// `ok`.
    pub(crate) status: &'static str,
}
