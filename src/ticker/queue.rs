//! The due-queue: which slots come next, and which of them are due.
//!
//! Invariants:
//!
//! - A job's slots leave the queue in order and each once; the queue only moves
//!   forward, whatever the clock does. A clock that steps back repeats nothing.
//! - A slot leaves as [`Due`] while its start window is open. Slots whose window
//!   has closed are not walked one by one: the job is reported as
//!   [`passed`](Planned::passed), and settling compares its cursor with its schedule.
//! - The cost is by slots due, not by jobs: a job that is not due is one entry of a heap.
//!
//! Planning moves what comes within a few seconds from the heap to the armed
//! slots, for which precise timers run; what is armed at the same instant
//! leaves together, as one batch.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::clock::ClusterTime;
use crate::slot::SlotTime;
use crate::table::{Job, JobTable, LONGEST_IMPLIED_WINDOW};

/// A job by its place in the table; valid for one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobIndex(pub u32);

/// A slot that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The job.
    pub job: JobIndex,
    /// The slot.
    pub at: SlotTime,
}

/// What one round of planning brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Planned {
    /// Slots that are due now, their start window open.
    pub due: Vec<Due>,
    /// Jobs with slots whose start window had closed when the queue came to them.
    pub passed: Vec<JobIndex>,
}

/// See the module's head.
#[derive(Debug, Default)]
pub struct DueQueue {
    upcoming: BinaryHeap<Reverse<(SlotTime, JobIndex)>>,
    armed: BTreeMap<SlotTime, Vec<JobIndex>>,
    horizon: Option<ClusterTime>,
}

impl DueQueue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins with the slots of `job` strictly after `after`.
    pub fn seed(&mut self, table: &JobTable, job: JobIndex, after: SlotTime) {
        if let Some(at) = entry(table, job).schedule.next_after(after) {
            self.upcoming.push(Reverse((at, job)));
        }
    }

    /// Arms what comes until `horizon`. Slots whose window closed before `now`
    /// are passed over. A repeated call changes nothing.
    pub fn plan(
        &mut self,
        table: &JobTable,
        now: ClusterTime,
        horizon: ClusterTime,
    ) -> Vec<JobIndex> {
        let mut passed = Vec::new();
        while let Some(&Reverse((at, job))) = self.upcoming.peek() {
            if at.cluster_time() > horizon {
                break;
            }
            self.upcoming.pop();
            let entry = entry(table, job);
            let next = if at.cluster_time() + entry.window(at) < now {
                passed.push(job);
                first_open(entry, at, now)
            } else {
                self.armed.entry(at).or_default().push(job);
                entry.schedule.next_after(at)
            };
            if let Some(next) = next {
                self.upcoming.push(Reverse((next, job)));
            }
        }
        self.horizon = Some(horizon);
        passed
    }

    /// Takes every armed slot that is due at `now`, planning `lookahead` further
    /// first when nobody has planned that far.
    pub fn take_due(&mut self, table: &JobTable, now: ClusterTime, lookahead: Duration) -> Planned {
        let mut planned = Planned::default();
        if self.horizon.is_none_or(|horizon| horizon <= now) {
            planned.passed = self.plan(table, now, now + lookahead);
        }
        while let Some(first) = self.armed.first_entry() {
            let at = *first.key();
            if at.cluster_time() > now {
                break;
            }
            for job in first.remove() {
                // Armed in time but taken late: the machine slept, or was too busy.
                if at.cluster_time() + entry(table, job).window(at) < now {
                    planned.passed.push(job);
                } else {
                    planned.due.push(Due { job, at });
                }
            }
        }
        planned.passed.sort_unstable();
        planned.passed.dedup();
        planned
    }

    /// When there is something to do next: the first armed slot, or the end of
    /// what is planned, for the case that planning was not called in time.
    pub fn next_wake(&self) -> Option<ClusterTime> {
        let armed = self.armed.first_key_value().map(|(at, _)| at.cluster_time());
        match (armed, self.horizon) {
            (Some(armed), Some(horizon)) => Some(armed.min(horizon)),
            (armed, horizon) => armed.or(horizon),
        }
    }
}

fn entry(table: &JobTable, job: JobIndex) -> &Job {
    &table[job.0 as usize]
}

/// The first slot at or after `from` whose start window is open at `now` or later.
///
/// No window is longer than `longest`, so every slot at or before `now − longest`
/// has closed and need not be looked at one by one.
fn first_open(job: &Job, from: SlotTime, now: ClusterTime) -> Option<SlotTime> {
    let longest = job.start_within.unwrap_or(LONGEST_IMPLIED_WINDOW);
    let closed = now - longest - Duration::from_secs(1);
    let closed = SlotTime::from_unix_seconds(closed.unix_micros().div_euclid(1_000_000));
    let mut next = job.schedule.next_after(from.max(closed))?;
    while next.cluster_time() + job.window(next) < now {
        next = job.schedule.next_after(next)?;
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, ThisMachine, load_text};

    const LOOKAHEAD: Duration = Duration::from_secs(4);

    fn table(jobs: &str) -> JobTable {
        let text = format!("[cluster]\nname = \"t\"\nnode = \"n\"\nstore = \"sqlite:/x\"\n{jobs}");
        load_text("test.toml".as_ref(), &text, &Overrides::default(), &ThisMachine)
            .expect("it is good")
            .config
            .jobs
    }

    fn at(seconds: i64) -> ClusterTime {
        SlotTime::from_unix_seconds(seconds).cluster_time()
    }

    fn seeded(table: &JobTable, after: i64) -> DueQueue {
        let mut queue = DueQueue::new();
        for index in 0..table.len() {
            let job = JobIndex(u32::try_from(index).unwrap());
            queue.seed(table, job, SlotTime::from_unix_seconds(after));
        }
        queue
    }

    fn due(planned: &Planned) -> Vec<(u32, i64)> {
        planned.due.iter().map(|due| (due.job.0, due.at.unix_seconds())).collect()
    }

    #[test]
    fn what_is_due_together_leaves_together_and_once() {
        let table = table(
            "[jobs.a]\nschedule = \"@every 2s\"\nshell = \"x\"\n\
             [jobs.b]\nschedule = \"@every 3s\"\nshell = \"x\"\n",
        );
        let mut queue = seeded(&table, 0);
        assert_eq!(due(&queue.take_due(&table, at(1), LOOKAHEAD)), []);
        assert_eq!(due(&queue.take_due(&table, at(2), LOOKAHEAD)), [(0, 2)]);
        assert_eq!(due(&queue.take_due(&table, at(2), LOOKAHEAD)), []);
        assert_eq!(due(&queue.take_due(&table, at(3), LOOKAHEAD)), [(1, 3)]);
        queue.plan(&table, at(3), at(20));
        queue.plan(&table, at(3), at(20));
        assert_eq!(due(&queue.take_due(&table, at(4), LOOKAHEAD)), [(0, 4)]);
        assert_eq!(due(&queue.take_due(&table, at(6), LOOKAHEAD)), [(0, 6), (1, 6)]);
    }

    #[test]
    fn a_late_wake_up_finds_every_slot_whose_window_is_open_and_names_the_jobs_of_the_rest() {
        let table = table(
            "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"x\"\nstart_within = \"3s\"\n\
             [jobs.b]\nschedule = \"@every 100s\"\nshell = \"x\"\n",
        );
        let mut queue = seeded(&table, 0);
        queue.plan(&table, at(0), at(2));
        let planned = queue.take_due(&table, at(50), LOOKAHEAD);
        assert_eq!(due(&planned), [(0, 47), (0, 48), (0, 49), (0, 50)]);
        assert_eq!(planned.passed, [JobIndex(0)]);
    }

    #[test]
    fn a_year_of_sleep_costs_no_walk_over_its_slots() {
        let table = table("[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"x\"\n");
        let mut queue = seeded(&table, 0);
        let planned = queue.take_due(&table, at(1_000_000_000), LOOKAHEAD);
        // One second is the window; its edges belong to it.
        assert_eq!(due(&planned), [(0, 999_999_999), (0, 1_000_000_000)]);
        assert_eq!(planned.passed, [JobIndex(0)]);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_twice() {
        let table = table("[jobs.a]\nschedule = \"@every 10s\"\nshell = \"x\"\n");
        let mut queue = seeded(&table, 0);
        assert_eq!(due(&queue.take_due(&table, at(20), LOOKAHEAD)), [(0, 10), (0, 20)]);
        for second in 0..30 {
            assert_eq!(due(&queue.take_due(&table, at(second), LOOKAHEAD)), []);
        }
        assert_eq!(due(&queue.take_due(&table, at(30), LOOKAHEAD)), [(0, 30)]);
    }

    #[test]
    fn the_next_wake_is_the_first_armed_slot_or_the_end_of_the_plan() {
        let table = table("[jobs.a]\nschedule = \"@every 100s\"\nshell = \"x\"\n");
        let mut queue = seeded(&table, 0);
        assert_eq!(queue.next_wake(), None);
        queue.plan(&table, at(0), at(4));
        assert_eq!(queue.next_wake(), Some(at(4)));
        queue.plan(&table, at(97), at(101));
        assert_eq!(queue.next_wake(), Some(at(100)));
    }
}
