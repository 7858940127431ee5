//! Another table comes into force while the node works.
//!
//! Invariants: a job whose slots and windows are the same goes on where it was, so no
//! slot is lost or repeated; one that is new or has another schedule begins now (or
//! where another node that was faster has come to), so there is no burst; what is
//! under way ends as it began.

use super::cursors::Was;
use super::*;
use crate::claim::desk::Cause;

impl Engine {
    pub(super) fn on_reloaded(
        &mut self,
        now: Now,
        table: Arc<JobTable>,
        settings: Settings,
        actions: &mut Vec<Action>,
    ) {
        if self.is_draining() {
            return;
        }
        // What is due was due under the old table.
        self.take_due_slots(now);
        let planned = self.desk.take_planned(now.cluster());
        let old = std::mem::replace(&mut self.table, Arc::clone(&table));
        let old_since = std::mem::replace(&mut self.table_since, now.boot);
        self.settings = settings;
        if let Phase::Opening { .. } = self.phase {
            self.queue = self.what_may_still_start(now);
            self.cursors.wanted = true;
            return;
        }
        let mut positions = std::mem::take(&mut self.queue).positions();
        // What was to be claimed ahead comes under the new one.
        for (slot, _) in planned {
            let place = old.position(&slot.job).and_then(|place| u32::try_from(place).ok());
            if let Some(place) = place {
                let next = positions.entry(JobIndex(place)).or_insert(slot.at);
                *next = slot.at.min(*next);
            }
        }
        self.keep_what_has_come(now, &old, &positions);
        self.withdraw_what_changed(now, actions);
        let position = |job: &Job| {
            let place = old.position(&job.name)?;
            let same = old[place].digest == job.digest;
            let index = JobIndex(u32::try_from(place).ok()?);
            positions.get(&index).copied().filter(|_| same)
        };
        let node = &self.identity.node;
        self.cursors.dismiss(|job| {
            table
                .get(&job.name)
                .is_some_and(|new| new.digest == job.digest && new.enabled && new.may_run_on(node))
        });
        for (index, job) in scheduled(&table) {
            let was = old.get(&job.name);
            let in_force = was.is_some_and(|was| was.enabled && was.digest == job.digest);
            let ours = self.is_for_us(job);
            match position(job) {
                Some(next) if in_force && ours => self.queue.seed_at(index, next),
                // A schedule that has come to its end has no position.
                None if in_force && ours && was.is_some_and(|was| self.is_for_us(was)) => {}
                _ if ours => {
                    let was = if in_force { Was::Elsewhere } else { Was::Absent(old_since) };
                    self.cursors.welcome(job, now.boot, was);
                }
                _ => self.cursors.wanted = true,
            }
        }
        self.plan(now);
        self.ask_for_cursors(actions);
        actions.push(Action::Heartbeat(self.heartbeat(now)));
        actions.push(Action::PublishTable);
    }

    /// A slot that has come, and is only delayed by its jitter, is due under the table
    /// under which it came, also where the job's schedule is another from now on.
    fn keep_what_has_come(
        &mut self,
        now: Now,
        old: &JobTable,
        positions: &BTreeMap<JobIndex, SlotTime>,
    ) {
        for (&index, &at) in positions {
            let job = &old[index.0 as usize];
            let stays = self.table.get(&job.name).is_some_and(|new| new.enabled);
            let changes = self.table.get(&job.name).is_some_and(|new| new.digest != job.digest);
            if stays && changes && at.cluster_time() <= now.cluster() {
                let due = now.offset.boot_instant(job.due(at));
                let slot = Slot::scheduled(job.name.clone(), at);
                let (job, closes) = (Arc::clone(job), job.closes(at));
                self.desk.put(slot, job, Cause::Due, closes, due, &mut self.tokens);
            }
        }
    }
}
