//! A notice: what one alert says, as JSON, as variables of a template and as a
//! command's environment.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::AlertKind;
use super::chronicle::Finding;
use crate::config::duration::Human;
use crate::ledger::record::Record;
use crate::ledger::{Entry, MissedEntry, RunEntry};
use crate::name::ClusterName;
use crate::outcome::Outcome;
use crate::table::Job;

/// What one alert says. Absent values are null.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// Names the alert: the same again is the same alert.
    pub id: String,
    /// What it tells, one of the words of [`AlertKind`].
    pub alert: &'static str,
    /// When that was, RFC 3339 in UTC.
    pub at: String,
    /// The cluster.
    pub cluster: String,
    /// The job.
    pub job: String,
    /// The job's tags.
    pub tags: Vec<String>,
    /// All of it in a sentence.
    pub message: String,
    /// The slot, or the first one of those missed.
    pub slot: Option<String>,
    /// The last slot of those missed.
    pub slot_to: Option<String>,
    /// How many slots were missed.
    pub count: Option<u64>,
    /// Why they were missed.
    pub reason: Option<&'static str>,
    /// What a triggered slot was triggered by.
    pub trigger_id: Option<String>,
    /// Where it ran; the node that was lost, when it was taken over.
    pub node: Option<String>,
    /// The run.
    pub run_id: Option<String>,
    /// Which run of the slot it was, from 1.
    pub attempt: Option<u32>,
    /// The fence under which it ran.
    pub fence: Option<u64>,
    /// How it ended.
    pub outcome: Option<&'static str>,
    /// When it started.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// From start to end, in milliseconds.
    pub duration_ms: Option<u64>,
    /// What the command exited with.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What went wrong, in words.
    pub error: Option<String>,
    /// Since when the job has failed, or missed its slots, or not succeeded.
    pub since: Option<String>,
    /// The end of the run's output.
    pub output: Option<String>,
}

impl Notice {
    /// What `finding` says of `job`.
    pub(super) fn new(cluster: &ClusterName, job: &Job, finding: &Finding) -> Self {
        let record = finding.entry.as_ref().map(Record::from);
        let of_missed = matches!(finding.entry, Some(Entry::Missed(_)));
        let mut notice = Self {
            id: id(cluster, &finding.key),
            alert: finding.kind.as_str(),
            at: finding.at.to_string(),
            cluster: cluster.to_string(),
            job: job.name.to_string(),
            tags: job.tags.iter().map(|tag| tag.to_string()).collect(),
            message: message(job, finding),
            since: finding.since.map(|since| since.to_string()),
            ..Self::blank()
        };
        if let Some(record) = record {
            notice.outcome = (!of_missed).then_some(record.outcome);
            notice.slot = Some(record.slot);
            notice.slot_to = record.slot_to;
            notice.count = record.count;
            notice.reason = record.reason;
            notice.trigger_id = record.trigger_id;
            notice.node = record.node;
            notice.run_id = record.run_id;
            notice.attempt = record.attempt;
            notice.fence = record.fence;
            notice.started_at = record.started_at;
            notice.finished_at = record.finished_at;
            notice.duration_ms = record.duration_ms;
            notice.exit_code = record.exit_code;
            notice.signal = record.signal;
            notice.error = record.error;
        }
        notice
    }

    fn blank() -> Self {
        Self {
            id: String::new(),
            alert: AlertKind::Overdue.as_str(),
            at: "2026-11-22T03:00:07.250Z".to_owned(),
            cluster: "prod".to_owned(),
            job: "backup".to_owned(),
            tags: Vec::new(),
            message: String::new(),
            slot: None,
            slot_to: None,
            count: None,
            reason: None,
            trigger_id: None,
            node: None,
            run_id: None,
            attempt: None,
            fence: None,
            outcome: None,
            started_at: None,
            finished_at: None,
            duration_ms: None,
            exit_code: None,
            signal: None,
            error: None,
            since: None,
            output: None,
        }
    }

    /// Two notices to try a template on: one with all that a run's has, and quotes in it;
    /// one with hardly anything.
    pub(super) fn samples() -> [Self; 2] {
        let text = || "it said \"no\"\n\t\\ and <left>".to_owned();
        let hardly_any = Self { message: text(), ..Self::blank() };
        let all = Self {
            id: "msg_5f2d6c1b0a".to_owned(),
            alert: AlertKind::Failure.as_str(),
            tags: vec!["db".to_owned()],
            slot: Some("2026-11-22T03:00:00Z".to_owned()),
            slot_to: Some("2026-11-22T03:00:00Z".to_owned()),
            count: Some(1),
            reason: Some("no_node"),
            trigger_id: Some("0193f7a1-7b1c-7000-8000-0123456789ab".to_owned()),
            node: Some("web-1".to_owned()),
            run_id: Some("0193f7a1-7b1c-7000-8000-0123456789ab".to_owned()),
            attempt: Some(1),
            fence: Some(1_795_316_400_000_000),
            outcome: Some("failed"),
            started_at: Some("2026-11-22T03:00:00.000Z".to_owned()),
            finished_at: Some("2026-11-22T03:00:07.250Z".to_owned()),
            duration_ms: Some(7250),
            exit_code: Some(1),
            signal: Some(15),
            error: Some(text()),
            since: Some("2026-11-22T03:00:07.250Z".to_owned()),
            output: Some(text()),
            ..hardly_any.clone()
        };
        [all, hardly_any]
    }

    /// The variables that a command sees, those that have a value.
    pub(super) fn variables(&self) -> Vec<(&'static str, String)> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        let all = [
            ("SOLOCRON_ALERT", Some(self.alert.to_owned())),
            ("SOLOCRON_ALERT_ID", Some(self.id.clone())),
            ("SOLOCRON_CLUSTER", Some(self.cluster.clone())),
            ("SOLOCRON_JOB", Some(self.job.clone())),
            ("SOLOCRON_MESSAGE", Some(self.message.clone())),
            ("SOLOCRON_SLOT", self.slot.clone()),
            ("SOLOCRON_NODE", self.node.clone()),
            ("SOLOCRON_RUN_ID", self.run_id.clone()),
            ("SOLOCRON_ATTEMPT", number(self.attempt.map(u64::from))),
            ("SOLOCRON_FENCE", number(self.fence)),
            ("SOLOCRON_OUTCOME", self.outcome.map(str::to_owned)),
            ("SOLOCRON_REASON", self.reason.map(str::to_owned)),
            ("SOLOCRON_EXIT_CODE", self.exit_code.map(|code| code.to_string())),
            ("SOLOCRON_ERROR", self.error.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The notice as JSON.
    pub(super) fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}

/// A short name that follows from the alert's key.
fn id(cluster: &ClusterName, key: &str) -> String {
    let digest = Sha256::digest(format!("{cluster} {key}"));
    let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("msg_{hex}")
}

fn message(job: &Job, finding: &Finding) -> String {
    let name = &job.name;
    let since = finding.since.map(|since| since.to_string()).unwrap_or_default();
    match (finding.kind, &finding.entry) {
        (AlertKind::Failure, Some(Entry::Run(run))) => of_failure(run),
        (AlertKind::Recovery, Some(Entry::Run(run))) if finding.since.is_some() => {
            format!("{} succeeded on {}, the first time since {since}", run.slot, run.node)
        }
        (AlertKind::Recovery, Some(Entry::Run(run))) => {
            format!("{} succeeded on {} again", run.slot, run.node)
        }
        (AlertKind::Missed, Some(Entry::Missed(missed))) => of_missed(missed),
        (AlertKind::Takeover, Some(Entry::Run(run))) => {
            format!("{} was taken over from {}, which was lost while it ran it", run.slot, run.node)
        }
        (AlertKind::Overdue, _) => {
            let every = job.alerts.expect_every.map(|every| Human(every).to_string());
            let every = every.unwrap_or_default();
            let last = if finding.never { "it never has, since" } else { "the last time was" };
            format!("{name} is to succeed every {every} and does not: {last} {since}")
        }
        (kind, _) => format!("{name}: {kind}"),
    }
}

fn of_failure(run: &RunEntry) -> String {
    let how = match run.outcome {
        Outcome::TimedOut => "timed out",
        Outcome::Abandoned => "was abandoned",
        _ => "failed",
    };
    let why = run.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{} {how} on {}{why}", run.slot, run.node)
}

fn of_missed(missed: &MissedEntry) -> String {
    let (job, range) = (&missed.job, &missed.range);
    match range.count {
        1 => format!("{job}@{} was missed ({})", range.from, range.reason),
        count => format!(
            "{count} slots of {job} were missed, from {} to {} ({})",
            range.from, range.to, range.reason
        ),
    }
}
