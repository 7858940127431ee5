//! Settles the gaps of jobs: asks the store how far their cursors have come and
//! which slots after them have a record, and writes the rest down as missed.
//!
//! The order of the questions keeps the invariant of [`crate::ledger::missed`]:
//! first the store's time, then the records. A slot whose window had closed at
//! that time can get no first claim any more, so what has no record then never
//! will.

use std::sync::Arc;

use crate::clock::{ClusterTime, Offset};
use crate::daemon::engine::{CURSOR_KEPT, Gap, Identity, Settings, slot_time};
use crate::ledger::missed::{self, Memory};
use crate::log::events;
use crate::slot::SlotTime;
use crate::store::{CursorKey, MissedReport, Result, Store, StoreError};
use crate::table::Job;
use crate::ticker::queue::JobIndex;

/// So many jobs are settled together.
const TOGETHER: usize = 256;

/// So many slots are asked for in one call.
const ASKED: usize = 5_000;

/// A job with its gap.
pub struct Open {
    /// Its place in the table.
    pub index: JobIndex,
    /// The job.
    pub job: Arc<Job>,
    /// What may have no record.
    pub gap: Gap,
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

impl Settler<'_> {
    /// Settles what it can. Returns the jobs that are done, each with the store's
    /// time: every slot whose window had closed by then is accounted for.
    pub async fn settle(&self, open: &[Open]) -> Vec<(JobIndex, ClusterTime)> {
        let mut settled = Vec::with_capacity(open.len());
        for some in open.chunks(TOGETHER) {
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
        open: &[Open],
        settled: &mut Vec<(JobIndex, ClusterTime)>,
    ) -> Result<()> {
        let now = self.store.time().await?;
        let mut reports = Vec::new();
        let mut complete = Vec::new();
        for (open, cursor) in open.iter().zip(self.cursors(open).await?) {
            let closed = missed::closed_slots(&open.job, cursor, now);
            let Some(&upto) = closed.last() else {
                settled.push((open.index, now));
                continue;
            };
            let recorded = match self.recorded(&open.job, &closed).await {
                Ok(recorded) => recorded,
                Err(error @ StoreError::Corrupt(_)) => {
                    tracing::warn!(job = %open.job.name, %error, "its missed slots cannot be settled");
                    continue;
                }
                Err(error) => return Err(error),
            };
            let reason = |at: SlotTime| self.memory.reason(at, open.job.window(at), self.offset);
            complete.push((open.index, closed.len() < missed::STEP));
            reports.push(MissedReport {
                cursor: key(&open.job),
                expected: cursor,
                upto,
                closes_at: upto.cluster_time() + open.job.window(upto),
                ranges: missed::ranges(&closed, &recorded, reason),
                retention: self.settings.retention,
            });
        }
        let written = self.store.record_missed(&self.identity.node, &reports).await?;
        for ((report, (index, complete)), written) in reports.iter().zip(complete).zip(written) {
            if !written {
                // Another node moved the cursor meanwhile; its step is looked at again.
                continue;
            }
            for range in &report.ranges {
                events::slot_missed(&report.cursor.job, range);
            }
            if complete {
                settled.push((index, now));
            }
        }
        Ok(())
    }

    /// Where the cursors stand. A store that lost one gets it anew where the
    /// first of the gaps begins.
    async fn cursors(&self, open: &[Open]) -> Result<Vec<SlotTime>> {
        let keys: Vec<_> = open.iter().map(|open| key(&open.job)).collect();
        let Some(from) = open.iter().map(|open| open.gap.from).min() else {
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

/// The cursor of `job`.
pub fn key(job: &Job) -> CursorKey {
    CursorKey { job: job.name.clone(), digest: job.digest }
}
