//! Settles the gaps of jobs: asks the store how far their cursors have come and
//! which slots after them have a record, writes the rest down as missed, and makes
//! those ready that are to be caught up.
//!
//! The order of the questions keeps the invariant of [`crate::ledger::missed`]:
//! first the store's time, then the records. A slot whose window had closed at
//! that time can get no first claim any more, so what has no record then never
//! will. Cursor, entries and the slots to catch up are written in one step, so each
//! is missed or caught up once, whoever looks.

use std::sync::Arc;

use crate::clock::{BootInstant, ClusterTime, Offset};
use crate::control::Pauses;
use crate::daemon::engine::{CURSOR_KEPT, Identity, Settings, slot_time};
use crate::ledger::Retention;
use crate::ledger::missed::{self, Memory};
use crate::log::events;
use crate::name::NodeName;
use crate::outcome::MissedReason;
use crate::policy::catch_up::Backlog;
use crate::policy::{CatchUpPolicy, Overlap};
use crate::slot::SlotTime;
use crate::store::{CursorKey, MissedReport, Result, Store, StoreError};
use crate::table::Job;

/// So many jobs are settled together.
const TOGETHER: usize = 256;

/// So many slots are asked for in one call.
const ASKED: usize = 5_000;

/// Some slots of a job may have no record.
#[derive(Debug, Clone)]
pub struct Gap {
    /// The job, as it was in the table.
    pub job: Arc<Job>,
    /// No such slot was due before that, as far as this node knows.
    pub from: BootInstant,
    /// When the start window of the last such slot closes, by the cluster's clock.
    pub until: ClusterTime,
    /// The job's schedule was not in force up to that slot: nothing was missed there,
    /// and its cursor only moves on.
    pub skip_to: Option<SlotTime>,
}

/// What a node knows when it settles gaps.
pub struct Settler<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The node.
    pub identity: &'a Identity,
    /// Its settings.
    pub settings: &'a Settings,
    /// What explains why slots were missed.
    pub memory: &'a Memory,
    /// From the boot clock to the cluster's.
    pub offset: Offset,
}

/// One report, and what is known of it besides.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The report.
    pub report: MissedReport,
    /// Whether it reaches as far as it can.
    pub complete: bool,
}

/// What a report on slots without a record depends on, beside what the store said.
#[derive(Debug, Clone, Copy)]
pub struct Reckoner<'a> {
    /// The node that reports.
    pub node: &'a NodeName,
    /// Its settings.
    pub settings: &'a Settings,
    /// What explains why slots were missed.
    pub memory: &'a Memory,
    /// From the boot clock to the cluster's.
    pub offset: Offset,
}

impl Settler<'_> {
    /// Settles what it can. Returns the jobs that are done, each with the store's
    /// time: every slot whose window had closed by then is accounted for.
    pub async fn settle(&self, gaps: &[Gap]) -> Vec<(CursorKey, ClusterTime)> {
        let mut settled = Vec::with_capacity(gaps.len());
        for some in gaps.chunks(TOGETHER) {
            match self.settle_together(some, &mut settled).await {
                Ok(()) => {}
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::warn!(%error, "missed slots of some jobs cannot be settled");
                }
                Err(error) => {
                    tracing::debug!(%error, "missed slots wait for the store");
                    break;
                }
            }
        }
        settled
    }

    async fn settle_together(
        &self,
        gaps: &[Gap],
        settled: &mut Vec<(CursorKey, ClusterTime)>,
    ) -> Result<()> {
        let now = self.store.time().await?;
        let reckoner = self.reckoner();
        let mut drafts = Vec::new();
        let mut control = None;
        for (gap, cursor) in gaps.iter().zip(self.cursors(gaps).await?) {
            let begin = gap.skip_to.map_or(cursor, |skipped| skipped.max(cursor));
            let closed = match gap.job.enabled {
                true => missed::closed_slots(&gap.job, begin, now),
                false => Vec::new(),
            };
            if closed.is_empty() {
                drafts.push(Draft {
                    report: reckoner.report(&gap.job, cursor, begin, now),
                    complete: true,
                });
                continue;
            }
            let recorded = match self.recorded(&gap.job, &closed).await {
                Ok(recorded) => recorded,
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::warn!(job = %gap.job.name, %error, "its missed slots cannot be settled");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let pauses = if recorded.iter().all(|&known| known) {
                Pauses::default()
            } else {
                if control.is_none() {
                    control = Some(self.store.control().await?);
                }
                let known = control.as_ref().and_then(|control| control.pauses.get(&gap.job.name));
                known.cloned().unwrap_or_default()
            };
            drafts.push(reckoner.draft(&gap.job, cursor, now, &closed, &recorded, &pauses));
        }
        self.write(drafts, now, settled).await
    }

    async fn write(
        &self,
        drafts: Vec<Draft>,
        now: ClusterTime,
        settled: &mut Vec<(CursorKey, ClusterTime)>,
    ) -> Result<()> {
        let (stays, moves): (Vec<_>, Vec<_>) =
            drafts.into_iter().partition(|draft| draft.report.upto <= draft.report.expected);
        settled.extend(stays.into_iter().map(|draft| (draft.report.cursor, now)));
        let reports: Vec<_> = moves.iter().map(|draft| draft.report.clone()).collect();
        let written = self.store.record_missed(&self.identity.node, &reports).await?;
        for (Draft { report, complete }, written) in moves.into_iter().zip(written) {
            if !written {
                // Another node moved the cursor meanwhile; its step is looked at again.
                continue;
            }
            for range in &report.ranges {
                events::slot_missed(&report.cursor.job, range);
            }
            tell_of_catch_up(&report);
            if complete {
                settled.push((report.cursor, now));
            }
        }
        Ok(())
    }

    fn reckoner(&self) -> Reckoner<'_> {
        Reckoner {
            node: &self.identity.node,
            settings: self.settings,
            memory: self.memory,
            offset: self.offset,
        }
    }

    /// Where the cursors stand. A store that lost one gets it anew where the
    /// first of the gaps begins.
    async fn cursors(&self, gaps: &[Gap]) -> Result<Vec<SlotTime>> {
        let keys: Vec<_> = gaps.iter().map(|gap| key(&gap.job)).collect();
        let Some(from) = gaps.iter().map(|gap| gap.from).min() else {
            return Ok(Vec::new());
        };
        let start = slot_time(self.offset.cluster_time(from));
        self.store.open_cursors(&keys, start, CURSOR_KEPT).await
    }

    async fn recorded(&self, job: &Job, slots: &[SlotTime]) -> Result<Vec<bool>> {
        let mut recorded = Vec::with_capacity(slots.len());
        for some in slots.chunks(ASKED) {
            recorded.extend(self.store.recorded(&job.name, some).await?);
        }
        Ok(recorded)
    }
}

impl Reckoner<'_> {
    /// The report on the `closed` slots of `job`, of which those `recorded` have a record:
    /// the rest is missed, or caught up. The cursor stood at `cursor`; `now` is the store's
    /// time, read before its records were.
    pub fn draft(
        &self,
        job: &Job,
        cursor: SlotTime,
        now: ClusterTime,
        closed: &[SlotTime],
        recorded: &[bool],
        pauses: &Pauses,
    ) -> Draft {
        let upto = closed.last().copied().unwrap_or(cursor);
        let unrun: Vec<_> =
            closed.iter().zip(recorded).filter(|(_, known)| !**known).map(|(&at, _)| at).collect();
        let paused = |at: &SlotTime| pauses.forbids(job.due(*at)).is_some();
        // What was due in a pause is never caught up.
        let backlog: Vec<_> = match job.policies.catch_up.policy {
            CatchUpPolicy::None => Vec::new(),
            _ => unrun.into_iter().filter(|at| !paused(at)).collect(),
        };
        let complete = closed.len() < missed::STEP;
        let newer = !complete
            || backlog.last() != Some(&upto)
            || job.schedule.next_after(upto).is_some_and(|next| job.due(next) <= now);
        let plan =
            job.policies.catch_up.plan(Backlog { slots: &backlog, newer }, now, |at| job.due(at));
        // Those to be caught up are as good as recorded: the ranges leave them out.
        let runs = plan.run;
        let accounted: Vec<bool> = closed
            .iter()
            .zip(recorded)
            .map(|(at, &known)| known || runs.binary_search(at).is_ok())
            .collect();
        let reason = |at: SlotTime| match paused(&at) {
            true => MissedReason::Paused,
            // That this node was up is no help to a slot that it may not run.
            false if !job.may_run_on(self.node) => MissedReason::NoNode,
            false => self.memory.reason(job.due(at), job.window(at), self.offset),
        };
        let report = MissedReport {
            ranges: missed::ranges(closed, &accounted, reason),
            catch_up: runs.to_vec(),
            in_turn: job.policies.overlap != Overlap::Allow,
            ..self.report(job, cursor, upto, job.closes(upto))
        };
        Draft { report, complete }
    }

    fn report(
        &self,
        job: &Job,
        expected: SlotTime,
        upto: SlotTime,
        closes_at: ClusterTime,
    ) -> MissedReport {
        let retention: Retention = self.settings.retention;
        MissedReport {
            cursor: key(job),
            expected,
            upto,
            closes_at,
            ranges: Vec::new(),
            catch_up: Vec::new(),
            in_turn: false,
            keep_record: self.settings.keep_open(),
            retention,
        }
    }
}

fn tell_of_catch_up(report: &MissedReport) {
    if let (Some(from), Some(to)) = (report.catch_up.first(), report.catch_up.last()) {
        let (job, count) = (&report.cursor.job, report.catch_up.len());
        tracing::info!(
            job = job.as_str(),
            count,
            "{job}: slots nobody ran are caught up, {count} of them from {from} to {to}"
        );
    }
}

/// The cursor of `job`.
pub fn key(job: &Job) -> CursorKey {
    CursorKey { job: job.name.clone(), digest: job.digest }
}
