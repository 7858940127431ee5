//! The cluster as the store tells it, read for who looks on.
//!
//! Invariants:
//!
//! - Nothing is read unless somebody asks: a node that nobody looks at asks the store for
//!   nothing. However many look, one reading at a time is made for all of them.
//! - What is told is at most as old as was asked for, and never from before what this node
//!   itself has changed.
//! - What is held is bounded: of each job of the table the newest [`KEPT`] entries.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, watch};

use super::feed::{Feed, differences};
use crate::claim::RunId;
use crate::clock::{BootInstant, ClusterTime};
use crate::control::Control;
use crate::ledger::{Entry, Query};
use crate::name::JobName;
use crate::node::{Heartbeat, Standing};
use crate::outcome::Outcome;
use crate::slot::{Slot, SlotTime};
use crate::store::{Result, SlotRecord, Store};
use crate::table::JobTable;

/// So many of the newest entries are held of each job.
pub(crate) const KEPT: usize = 32;

/// Who asks is told what is so old at most.
pub(crate) const FRESH: Duration = Duration::from_millis(500);

/// So many open slots are shown at most.
const OPEN: usize = 10_000;

/// Entries are asked for from so long before the last reading, for clocks of several
/// servers that are not quite alike.
const OVERLAP: Duration = Duration::from_secs(5);

/// At most so many are added to what is held: of more, all is read anew.
const ADDED: usize = 5_000;

/// A reading that is older is read anew as a whole.
const FORGOTTEN: Duration = Duration::from_secs(300);

/// What was read at one time.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// When the reading began.
    pub(crate) at: BootInstant,
    /// The store's clock then.
    pub(crate) now: ClusterTime,
    /// How long the store took to say that.
    pub(crate) latency: Duration,
    /// The nodes of which the store has a heartbeat.
    pub(crate) nodes: Vec<Heartbeat>,
    /// What was asked for of the whole cluster.
    pub(crate) control: Control,
    /// The slots that are not settled.
    pub(crate) open: BTreeMap<Slot, SlotRecord>,
    /// The newest entries of each job of the table, newest first.
    pub(crate) recent: HashMap<JobName, Arc<Vec<Entry>>>,
    /// The table whose jobs they are.
    pub(crate) table: Arc<JobTable>,
    /// How many changes this node had made.
    changes: u64,
}

impl Snapshot {
    /// Of a table, with what is in the store; at no time in particular.
    #[cfg(test)]
    pub(crate) fn of_test(
        table: JobTable,
        recent: HashMap<JobName, Arc<Vec<Entry>>>,
        open: BTreeMap<Slot, SlotRecord>,
    ) -> Self {
        Self {
            at: BootInstant::from_nanos(0),
            now: ClusterTime::from_unix_micros(0),
            latency: Duration::ZERO,
            nodes: Vec::new(),
            control: Control::default(),
            open,
            recent,
            table: Arc::new(table),
            changes: 0,
        }
    }

    /// The store's clock by now.
    pub(crate) fn by_now(&self) -> ClusterTime {
        self.now + BootInstant::now().since(self.at)
    }

    /// The nodes that live, each with whether its heartbeat is overdue, at `now`.
    pub(crate) fn nodes_up(
        &self,
        now: ClusterTime,
    ) -> impl Iterator<Item = (&Heartbeat, Standing)> {
        let standing = move |beat: &Heartbeat| beat.standing(now);
        let all = self.nodes.iter().map(move |beat| (beat, standing(beat)));
        all.filter(|(_, standing)| *standing != Standing::Gone)
    }

    /// The newest entries of a job, newest first.
    pub(crate) fn recent(&self, job: &JobName) -> &[Entry] {
        self.recent.get(job).map(|entries| entries.as_slice()).unwrap_or_default()
    }

    /// The slots of a job that are not settled, in order.
    pub(crate) fn open_of<'a>(
        &'a self,
        job: &'a JobName,
    ) -> impl Iterator<Item = (&'a Slot, &'a SlotRecord)> {
        let first = Slot::scheduled(job.clone(), SlotTime::from_unix_seconds(i64::MIN));
        self.open.range(first..).take_while(move |(slot, _)| slot.job == *job)
    }

    /// The slot that has this run in progress.
    pub(crate) fn in_progress(&self, run: RunId) -> Option<(&Slot, &SlotRecord)> {
        self.open
            .iter()
            .find(|(_, record)| record.attempt > 0 && record.token.run_id(record.attempt) == run)
    }
}

/// See the module's head.
pub(crate) struct Board {
    store: Arc<dyn Store>,
    table: watch::Receiver<Arc<JobTable>>,
    held: Mutex<Option<Arc<Snapshot>>>,
    changes: AtomicU64,
    /// What those are told who stay.
    pub(crate) feed: Feed,
}

impl Board {
    /// A board on which nothing was read yet.
    pub(crate) fn new(
        store: Arc<dyn Store>,
        table: watch::Receiver<Arc<JobTable>>,
        feed: Feed,
    ) -> Self {
        Self { store, table, held: Mutex::default(), changes: AtomicU64::new(0), feed }
    }

    /// The job table in force.
    pub(crate) fn table(&self) -> Arc<JobTable> {
        Arc::clone(&self.table.borrow())
    }

    /// The store that is read.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// This node has changed something: what was read before is old.
    pub(crate) fn note_change(&self) {
        self.changes.fetch_add(1, Ordering::Release);
        self.feed.nudge();
    }

    /// What the cluster is like, as of `age` ago at most.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) async fn look(&self, age: Duration) -> Result<Arc<Snapshot>> {
        let asked = BootInstant::now();
        let changes = self.changes.load(Ordering::Acquire);
        let mut held = self.held.lock().await;
        let table = self.table();
        if let Some(read) = &*held
            && read.at >= asked.minus(age)
            && read.changes >= changes
            && Arc::ptr_eq(&read.table, &table)
        {
            return Ok(Arc::clone(read));
        }
        let before = held.clone().filter(|read| asked.since(read.at) < FORGOTTEN);
        let (read, added) = self.read(before.as_deref(), table).await?;
        let read = Arc::new(read);
        if let Some(before) = &before
            && self.feed.is_watched()
        {
            self.feed.tell(differences(before, &read, &added));
        }
        *held = Some(Arc::clone(&read));
        Ok(read)
    }

    /// Reads the store; what it has now, and the entries that are new since `before`.
    async fn read(
        &self,
        before: Option<&Snapshot>,
        table: Arc<JobTable>,
    ) -> Result<(Snapshot, Vec<Entry>)> {
        let changes = self.changes.load(Ordering::Acquire);
        let at = BootInstant::now();
        let now = self.store.time().await?;
        let latency = BootInstant::now().since(at);
        let (nodes, control, open) = futures_util::try_join!(
            self.store.nodes(),
            self.store.control(),
            self.store.open_slots(OPEN),
        )?;
        let (recent, added) = self.read_ledger(before, &table).await?;
        let open = open.into_iter().collect();
        let read = Snapshot { at, now, latency, nodes, control, open, recent, table, changes };
        Ok((read, added))
    }

    async fn read_ledger(
        &self,
        before: Option<&Snapshot>,
        table: &JobTable,
    ) -> Result<(HashMap<JobName, Arc<Vec<Entry>>>, Vec<Entry>)> {
        let mut recent = before.map(|before| before.recent.clone()).unwrap_or_default();
        let mut added = Vec::new();
        if let Some(before) = before {
            let since = Some(before.now - OVERLAP);
            let query = Query { since, limit: ADDED, ..Query::default() };
            let fresh = self.store.history(&query).await?;
            if fresh.len() < ADDED {
                added = merge(&mut recent, fresh);
            } else {
                recent.clear();
            }
        }
        recent.retain(|job, _| table.get(job).is_some());
        let missing = table.iter().map(|job| &job.name).filter(|job| !recent.contains_key(*job));
        let missing: Vec<_> = missing.cloned().collect();
        if !missing.is_empty() {
            let entries = self.store.recent(&missing, KEPT).await?;
            recent.extend(missing.into_iter().zip(entries.into_iter().map(Arc::new)));
        }
        Ok((recent, added))
    }
}

/// What an entry is about: the same again is the same entry, told anew.
#[derive(PartialEq, Eq, Hash)]
enum About {
    Run(RunId, Outcome),
    Missed(SlotTime),
}

fn about(entry: &Entry) -> About {
    match entry {
        Entry::Run(run) => About::Run(run.run_id, run.outcome),
        Entry::Missed(missed) => About::Missed(missed.range.from),
    }
}

/// Puts `fresh` entries, in any order, to those of their jobs that are held; those that
/// were not known, oldest first.
fn merge(recent: &mut HashMap<JobName, Arc<Vec<Entry>>>, fresh: Vec<Entry>) -> Vec<Entry> {
    let mut of_jobs: HashMap<JobName, Vec<Entry>> = HashMap::new();
    for entry in fresh {
        of_jobs.entry(entry.job().clone()).or_default().push(entry);
    }
    let mut added = Vec::new();
    for (job, mut fresh) in of_jobs {
        // One that is not held is read as a whole.
        let Some(held) = recent.get_mut(&job) else { continue };
        fresh.retain(|entry| !held.contains(entry));
        if fresh.is_empty() {
            continue;
        }
        let told: HashSet<_> = fresh.iter().map(about).collect();
        let held = Arc::make_mut(held);
        held.retain(|entry| !told.contains(&about(entry)));
        added.extend(fresh.iter().cloned());
        held.append(&mut fresh);
        held.sort_by_key(|entry| std::cmp::Reverse(entry.recorded_at()));
        held.truncate(KEPT);
    }
    added.sort_by_key(Entry::recorded_at);
    added
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{MissedEntry, MissedRange};
    use crate::outcome::MissedReason;

    fn missed(job: &str, from: i64, count: u64, recorded: i64) -> Entry {
        let second = SlotTime::from_unix_seconds;
        let range = MissedRange {
            from: second(from),
            to: second(from + i64::try_from(count).unwrap() - 1),
            count,
            reason: MissedReason::NoNode,
        };
        Entry::Missed(MissedEntry {
            job: job.parse().unwrap(),
            range,
            node: "web-1".parse().unwrap(),
            recorded_at: ClusterTime::from_unix_millis(recorded),
        })
    }

    #[test]
    fn what_is_read_twice_is_told_once_and_what_has_grown_takes_its_own_place() {
        let job: JobName = "a".parse().unwrap();
        let mut recent = HashMap::from([(job.clone(), Arc::new(vec![missed("a", 1, 1, 10)]))]);
        assert_eq!(merge(&mut recent, vec![missed("a", 1, 1, 10)]), []);
        let grown = missed("a", 1, 3, 30);
        let other = missed("a", 9, 1, 20);
        let unknown = missed("b", 9, 1, 20);
        let added = merge(&mut recent, vec![grown.clone(), unknown, other.clone()]);
        assert_eq!(added, [other.clone(), grown.clone()], "oldest first");
        assert_eq!(*recent[&job], [grown, other], "newest first");
        assert_eq!(recent.len(), 1);
    }

    #[test]
    fn of_each_job_the_newest_entries_are_held() {
        let job: JobName = "a".parse().unwrap();
        let mut recent = HashMap::from([(job.clone(), Arc::default())]);
        for n in 0..100 {
            merge(&mut recent, vec![missed("a", n, 1, n)]);
        }
        assert_eq!(recent[&job].len(), KEPT);
        assert_eq!(recent[&job][0].recorded_at().unix_millis(), 99);
    }
}
