//! Settles the gaps of a job: asks the store how far its cursor has come and
//! which slots after it have a record, and writes the rest down as missed.
//!
//! The order of the questions keeps the invariant of [`crate::ledger::missed`]:
//! first the store's time, then the records. A slot whose window had closed at
//! that time can get no first claim any more, so what has no record then never
//! will.

use crate::clock::{ClusterTime, Offset};
use crate::daemon::engine::{Gap, Identity, Settings, slot_time};
use crate::ledger::missed::{self, Memory};
use crate::log::events;
use crate::slot::SlotTime;
use crate::store::{CursorKey, MissedReport, Result, Store};
use crate::table::Job;

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
    /// Settles the gap of one job. Returns the store's time up to which every slot of it is
    /// accounted for; none when there is more to do.
    pub async fn settle(&self, job: &Job, gap: Gap) -> Result<Option<ClusterTime>> {
        let key = CursorKey { job: job.name.clone(), digest: job.digest };
        let now = self.store.time().await?;
        let cursor = self.cursor(&key, gap).await?;
        let closed = missed::closed_slots(job, cursor, now);
        let Some(&upto) = closed.last() else { return Ok(Some(now)) };
        let recorded = self.store.recorded(&job.name, &closed).await?;
        let reason = |at: SlotTime| self.memory.reason(at, job.window(at), self.offset);
        let ranges = missed::ranges(&closed, &recorded, reason);
        let report = MissedReport {
            cursor: key,
            expected: cursor,
            upto,
            closes_at: upto.cluster_time() + job.window(upto),
            ranges,
            retention: self.settings.retention,
        };
        let written =
            self.store.record_missed(&self.identity.node, std::slice::from_ref(&report)).await?;
        let won = written.first().copied().unwrap_or(false);
        if won {
            for range in &report.ranges {
                events::slot_missed(&job.name, range);
            }
        }
        // Where another node moved the cursor meanwhile, its step is looked at again.
        Ok((won && closed.len() < missed::STEP).then_some(now))
    }

    /// Where the cursor stands. A store that lost it gets it anew where the gap begins.
    async fn cursor(&self, key: &CursorKey, gap: Gap) -> Result<SlotTime> {
        let keep = self.settings.retention.keep;
        let start = slot_time(self.offset.cluster_time(gap.from));
        let cursors = self.store.open_cursors(std::slice::from_ref(key), start, keep).await?;
        cursors.first().copied().ok_or_else(|| {
            crate::store::StoreError::Corrupt(format!("no cursor came back for {}", key.job))
        })
    }
}
