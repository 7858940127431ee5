//! What of a job's ledger is news: from entries to findings, without a store or a clock.
//!
//! Each entry is taken in once, in order; nodes that take in the same entries find the
//! same, under the same keys.
//!
//! - A **failure** is a slot that failed or timed out as often as the job's `retry`
//!   allows, or that was abandoned. The first of a row is told, and one more each
//!   [`AGAIN_AFTER`].
//! - A **recovery** is the first success after a failure, or after one that came later
//!   than `expect_every`.
//! - **Missed** slots likewise: the first of a row in which nothing ran. What was paused
//!   was not missed.
//! - A node that comes in the middle of a row whose begin the ledger has forgotten takes it
//!   for told.

use std::collections::HashMap;
use std::time::Duration;

use super::{AGAIN_AFTER, AlertKind, NEWS_FOR};
use crate::clock::ClusterTime;
use crate::control::Pauses;
use crate::ledger::{Entry, MissedEntry, RunEntry};
use crate::outcome::{MissedReason, Outcome};
use crate::slot::Slot;
use crate::table::Job;

/// Entries may show up so much later than those that were written after them: an answer
/// of some servers of a quorum, a clock that was put right.
const MARGIN: Duration = Duration::from_secs(10);

/// Something to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) kind: AlertKind,
    /// Names it, the same on all nodes.
    pub(super) key: String,
    pub(super) at: ClusterTime,
    /// The entry that it is about.
    pub(super) entry: Option<Entry>,
    /// Since when it lasts, or lasted.
    pub(super) since: Option<ClusterTime>,
    /// The job never succeeded, as far as anybody knows.
    pub(super) never: bool,
}

/// Failures, or missed slots, without a success, or a run, between them.
#[derive(Debug)]
struct Row {
    /// The key of the first.
    key: String,
    since: ClusterTime,
    /// How often it was told; none where nobody here knows.
    told: Option<u64>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Chronicle {
    /// When the newest entry was written.
    upto: Option<ClusterTime>,
    /// The newest entries, and when they were written.
    seen: HashMap<String, ClusterTime>,
    /// Whether rows begin where they are first seen.
    whole: bool,
    failing: Option<Row>,
    missing: Option<Row>,
    /// When the last success was.
    last_success: Option<ClusterTime>,
    /// What was before that is forgotten, a success perhaps as well.
    forgotten_before: Option<ClusterTime>,
    /// How often slots have failed that are not settled.
    failures: HashMap<Slot, u32>,
}

/// What is known beside the ledger.
pub(super) struct Besides<'a> {
    pub(super) now: ClusterTime,
    /// Since when the job is known; none where nobody asks.
    pub(super) known_since: Option<ClusterTime>,
    /// When it was paused.
    pub(super) pauses: &'a Pauses,
}

impl Chronicle {
    /// From when on entries are wanted; none for the newest of all.
    pub(super) fn wants_since(&self) -> Option<ClusterTime> {
        self.upto.map(|upto| upto - MARGIN)
    }

    /// Takes in what the ledger has, oldest first. `cut` says that it has more before.
    pub(super) fn take(
        &mut self,
        job: &Job,
        entries: Vec<Entry>,
        cut: bool,
        besides: &Besides<'_>,
    ) -> Vec<Finding> {
        if self.upto.is_none() {
            self.whole = !cut;
            self.forgotten_before = entries.first().filter(|_| cut).map(Entry::recorded_at);
        }
        let mut findings = Vec::new();
        for entry in entries {
            let key = key_of(&entry);
            if self.seen.insert(key.clone(), entry.recorded_at()).is_some() {
                continue;
            }
            self.upto = self.upto.max(Some(entry.recorded_at()));
            match &entry {
                Entry::Run(run) => findings.extend(self.take_run(job, run, &key, besides)),
                Entry::Missed(missed) => findings.extend(self.take_missed(missed, &key)),
            }
        }
        // A job without entries has none before them either.
        self.upto = self.upto.or(Some(besides.now - MARGIN * 6));
        let since = self.wants_since();
        self.seen.retain(|_, at| Some(*at) >= since);
        findings.retain(|finding| finding.at + NEWS_FOR >= besides.now);
        findings
    }

    fn take_run(
        &mut self,
        job: &Job,
        run: &RunEntry,
        key: &str,
        besides: &Besides<'_>,
    ) -> Option<Finding> {
        let finding = |kind, key: &str, since| Finding {
            kind,
            key: format!("{kind}:{key}"),
            at: run.recorded_at,
            entry: Some(Entry::Run(run.clone())),
            since,
            never: false,
        };
        match run.outcome {
            Outcome::Succeeded => {
                self.failures.remove(&run.slot);
                let failing = self.failing.take().map(|row| row.since);
                let since = failing.or_else(|| self.overdue_before(job, run, besides));
                let first = self.last_success.is_none();
                (self.missing, self.whole) = (None, true);
                self.last_success = self.last_success.max(Some(run.finished_at));
                let since = since?;
                let never = failing.is_none() && first;
                Some(Finding { never, ..finding(AlertKind::Recovery, key, Some(since)) })
            }
            Outcome::Failed | Outcome::TimedOut => {
                self.missing = None;
                let failures = self.failures.entry(run.slot.clone()).or_default();
                *failures += 1;
                if job.policies.retry.allows(*failures) {
                    return None;
                }
                self.failures.remove(&run.slot);
                let (key, since) = row(&mut self.failing, key, run.recorded_at, self.whole)?;
                Some(finding(AlertKind::Failure, &key, Some(since)))
            }
            Outcome::Abandoned => {
                self.failures.remove(&run.slot);
                let (key, since) = row(&mut self.failing, key, run.recorded_at, self.whole)?;
                Some(finding(AlertKind::Failure, &key, Some(since)))
            }
            Outcome::LeaseLost => Some(finding(AlertKind::Takeover, key, None)),
            Outcome::Cancelled => {
                self.failures.remove(&run.slot);
                None
            }
            Outcome::HandedOver | Outcome::Missed => None,
        }
    }

    fn take_missed(&mut self, missed: &MissedEntry, key: &str) -> Option<Finding> {
        if missed.range.reason == MissedReason::Paused {
            return None;
        }
        let (key, since) = row(&mut self.missing, key, missed.recorded_at, self.whole)?;
        Some(Finding {
            kind: AlertKind::Missed,
            key: format!("{}:{key}", AlertKind::Missed),
            at: missed.recorded_at,
            entry: Some(Entry::Missed(missed.clone())),
            since: Some(since),
            never: false,
        })
    }

    /// Since when the job had not succeeded before `run`, if that was too long.
    fn overdue_before(
        &self,
        job: &Job,
        run: &RunEntry,
        besides: &Besides<'_>,
    ) -> Option<ClusterTime> {
        let every = job.alerts.expect_every?;
        let since = self.counts_since(besides, run.finished_at)?;
        (run.finished_at.since(since) > every).then_some(since)
    }

    /// From when on `expect_every` is counted at `at`.
    fn counts_since(&self, besides: &Besides<'_>, at: ClusterTime) -> Option<ClusterTime> {
        let known_since = besides.known_since.max(self.forgotten_before);
        let since = self.last_success.or(known_since)?;
        Some(besides.pauses.last_end_before(at).map_or(since, |end| end.max(since)))
    }

    /// When the job will be overdue if nothing happens, as long as it is not.
    pub(super) fn due_at(&self, job: &Job, besides: &Besides<'_>) -> Option<ClusterTime> {
        let every = job.alerts.expect_every.filter(|_| job.enabled)?;
        let due = self.counts_since(besides, besides.now)? + every;
        (due > besides.now).then_some(due + Duration::from_millis(1))
    }

    /// That the job is overdue now, if it is. That is told again each [`AGAIN_AFTER`], or
    /// each `expect_every` where that is longer.
    pub(super) fn overdue(&self, job: &Job, besides: &Besides<'_>) -> Option<Finding> {
        let every = job.alerts.expect_every.filter(|_| job.enabled)?;
        if besides.pauses.current().is_some() {
            return None;
        }
        let since = self.counts_since(besides, besides.now)?;
        let late = besides.now.since(since).checked_sub(every).filter(|late| !late.is_zero())?;
        let times = late.as_micros() / AGAIN_AFTER.max(every).as_micros();
        Some(Finding {
            kind: AlertKind::Overdue,
            key: format!("{}:{}:{}:{times}", AlertKind::Overdue, job.name, since.unix_micros()),
            at: besides.now,
            entry: None,
            since: Some(since),
            never: self.last_success.is_none(),
        })
    }
}

/// One more of a row, or the first: its key and since when the row lasts, if it is to be
/// told.
fn row(
    row: &mut Option<Row>,
    key: &str,
    at: ClusterTime,
    whole: bool,
) -> Option<(String, ClusterTime)> {
    match row {
        None => {
            *row = Some(Row { key: key.to_owned(), since: at, told: whole.then_some(0) });
            whole.then(|| (key.to_owned(), at))
        }
        Some(Row { key, since, told }) => {
            let told = told.as_mut()?;
            let times =
                u64::try_from(at.since(*since).as_micros() / AGAIN_AFTER.as_micros()).unwrap_or(0);
            if times <= *told {
                return None;
            }
            *told = times;
            Some((format!("{key}:{times}"), *since))
        }
    }
}

fn key_of(entry: &Entry) -> String {
    match entry {
        Entry::Run(run) => run.run_id.to_string(),
        // Its end may move on.
        Entry::Missed(missed) => {
            format!("{}@{}:{}", missed.job, missed.range.from, missed.range.reason)
        }
    }
}

#[cfg(test)]
mod tests;
