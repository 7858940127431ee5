//! The due-queue: which slots come next, and which of them are due.
//!
//! Invariants:
//!
//! - A job's slots leave the queue in order and each once; the queue only moves
//!   forward, whatever the clock does. A clock that steps back repeats nothing.
//!   (With a `jitter` too: no slot is due later than the next one comes.)
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
use crate::table::{Job, JobTable};

/// A job by its place in the table; valid for one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobIndex(pub u32);

/// A slot that has come, or that comes in a moment.
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
    /// By when they are due.
    armed: BTreeMap<ClusterTime, Vec<Due>>,
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

    /// Begins with the slot `next` of `job`.
    pub fn seed_at(&mut self, job: JobIndex, next: SlotTime) {
        self.upcoming.push(Reverse((next, job)));
    }

    /// The next slot of each job that has not left the queue.
    pub fn positions(&self) -> BTreeMap<JobIndex, SlotTime> {
        let armed = self.armed.values().flatten().map(|due| (due.job, due.at));
        let upcoming = self.upcoming.iter().map(|&Reverse((at, job))| (job, at));
        let mut positions = BTreeMap::new();
        for (job, at) in upcoming.chain(armed) {
            let first = positions.entry(job).or_insert(at);
            *first = at.min(*first);
        }
        positions
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
            let next = if entry.closes(at) < now {
                passed.push(job);
                first_open(entry, at, now)
            } else {
                self.armed.entry(entry.due(at)).or_default().push(Due { job, at });
                entry.schedule.next_after(at)
            };
            if let Some(next) = next {
                self.upcoming.push(Reverse((next, job)));
            }
        }
        self.horizon = Some(horizon);
        passed
    }

    /// Takes every armed slot that is due at `now`, or `ahead` of it at most, planning
    /// `lookahead` further first when nobody has planned that far.
    pub fn take_due(
        &mut self,
        table: &JobTable,
        now: ClusterTime,
        ahead: Duration,
        lookahead: Duration,
    ) -> Planned {
        let mut planned = Planned::default();
        if self.horizon.is_none_or(|horizon| horizon <= now + ahead) {
            planned.passed = self.plan(table, now, now + ahead + lookahead);
        }
        while let Some(first) = self.armed.first_entry() {
            if *first.key() > now + ahead {
                break;
            }
            for due in first.remove() {
                // Armed in time but taken late: the machine slept, or was too busy.
                if entry(table, due.job).closes(due.at) < now {
                    planned.passed.push(due.job);
                } else {
                    planned.due.push(due);
                }
            }
        }
        planned.passed.sort_unstable();
        planned.passed.dedup();
        planned
    }

    /// How many slots are planned: the next of each job, and those that are armed.
    pub fn len(&self) -> usize {
        self.upcoming.len() + self.armed.values().map(Vec::len).sum::<usize>()
    }

    /// Whether no slot is planned.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When there is something to do next for who comes ahead of nothing: the first armed
    /// slot, or the end of what is planned, for the case that planning was not called in
    /// time.
    pub fn next_wake(&self) -> Option<ClusterTime> {
        let armed = self.armed.first_key_value().map(|(&due, _)| due);
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
/// No window reaches further than [`Job::reach`], so every slot at or before `now`
/// less that has closed and need not be looked at one by one.
fn first_open(job: &Job, from: SlotTime, now: ClusterTime) -> Option<SlotTime> {
    let closed = now - job.reach() - Duration::from_secs(1);
    let closed = SlotTime::from_unix_seconds(closed.unix_micros().div_euclid(1_000_000));
    let mut next = job.schedule.next_after(from.max(closed))?;
    while job.closes(next) < now {
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
        assert_eq!(due(&queue.take_due(&table, at(1), Duration::ZERO, LOOKAHEAD)), []);
        assert_eq!(due(&queue.take_due(&table, at(2), Duration::ZERO, LOOKAHEAD)), [(0, 2)]);
        assert_eq!(due(&queue.take_due(&table, at(2), Duration::ZERO, LOOKAHEAD)), []);
        assert_eq!(due(&queue.take_due(&table, at(3), Duration::ZERO, LOOKAHEAD)), [(1, 3)]);
        queue.plan(&table, at(3), at(20));
        queue.plan(&table, at(3), at(20));
        assert_eq!(due(&queue.take_due(&table, at(4), Duration::ZERO, LOOKAHEAD)), [(0, 4)]);
        assert_eq!(
            due(&queue.take_due(&table, at(6), Duration::ZERO, LOOKAHEAD)),
            [(0, 6), (1, 6)]
        );
    }

    #[test]
    fn a_late_wake_up_finds_every_slot_whose_window_is_open_and_names_the_jobs_of_the_rest() {
        let table = table(
            "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"x\"\nstart_within = \"3s\"\n\
             [jobs.b]\nschedule = \"@every 100s\"\nshell = \"x\"\n",
        );
        let mut queue = seeded(&table, 0);
        queue.plan(&table, at(0), at(2));
        let planned = queue.take_due(&table, at(50), Duration::ZERO, LOOKAHEAD);
        assert_eq!(due(&planned), [(0, 47), (0, 48), (0, 49), (0, 50)]);
        assert_eq!(planned.passed, [JobIndex(0)]);
    }

    #[test]
    fn a_year_of_sleep_costs_no_walk_over_its_slots() {
        let table = table("[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"x\"\n");
        let mut queue = seeded(&table, 0);
        let planned = queue.take_due(&table, at(1_000_000_000), Duration::ZERO, LOOKAHEAD);
        // One second is the window; its edges belong to it.
        assert_eq!(due(&planned), [(0, 999_999_999), (0, 1_000_000_000)]);
        assert_eq!(planned.passed, [JobIndex(0)]);
    }

    #[test]
    fn a_clock_that_steps_back_gives_nothing_twice() {
        let table = table("[jobs.a]\nschedule = \"@every 10s\"\nshell = \"x\"\n");
        let mut queue = seeded(&table, 0);
        assert_eq!(
            due(&queue.take_due(&table, at(20), Duration::ZERO, LOOKAHEAD)),
            [(0, 10), (0, 20)]
        );
        for second in 0..30 {
            assert_eq!(due(&queue.take_due(&table, at(second), Duration::ZERO, LOOKAHEAD)), []);
        }
        assert_eq!(due(&queue.take_due(&table, at(30), Duration::ZERO, LOOKAHEAD)), [(0, 30)]);
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

    #[test]
    fn a_jitter_delays_each_slot_and_keeps_their_order() {
        let table = table(
            "[jobs.a]\nschedule = \"@every 10s\"\nshell = \"x\"\njitter = \"1h\"\n\
             [jobs.b]\nschedule = \"@every 10s\"\nshell = \"x\"\n",
        );
        let mut queue = seeded(&table, 1_000);
        let (mut now, mut taken) = (at(1_000), Vec::new());
        while taken.len() < 50 {
            now = queue.next_wake().unwrap_or(now).max(now + Duration::from_millis(1));
            for due in queue.take_due(&table, now, Duration::ZERO, LOOKAHEAD).due {
                let job = entry(&table, due.job);
                assert!(now >= job.due(due.at), "{due:?} came too early");
                if due.job == JobIndex(0) {
                    taken.push(due.at.unix_seconds());
                }
            }
        }
        let expected: Vec<_> = (101..).map(|n| n * 10).take(taken.len()).collect();
        assert_eq!(taken, expected);
    }

    #[test]
    fn the_position_of_a_job_is_its_next_slot_armed_or_not() {
        let table = table("[jobs.a]\nschedule = \"@every 2s\"\nshell = \"x\"\n");
        let mut queue = seeded(&table, 0);
        let position = |queue: &DueQueue| queue.positions()[&JobIndex(0)].unix_seconds();
        assert_eq!(position(&queue), 2);
        queue.plan(&table, at(0), at(9));
        assert_eq!(position(&queue), 2);
        queue.take_due(&table, at(5), Duration::ZERO, LOOKAHEAD);
        assert_eq!(position(&queue), 6);
        let mut other = DueQueue::new();
        other.seed_at(JobIndex(0), SlotTime::from_unix_seconds(6));
        assert_eq!(
            due(&other.take_due(&table, at(8), Duration::ZERO, LOOKAHEAD)),
            [(0, 6), (0, 8)]
        );
    }
}
