//! The watch of one node: it looks at the ledgers of the jobs that somebody wants to hear
//! of, and has told what is news.
//!
//! A job is looked at when this node has written something about it, and every
//! `ROUND` anyway: what another node wrote that died before it could tell is found so.
//! Looks come one after another, with a pause between them, so that many jobs cost the
//! store no more than few.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinHandle, JoinSet};

use super::chronicle::{Besides, Chronicle, Finding};
use super::delivery::{Delivery, Ends};
use super::right::{Right, known_since};
use super::{AlertKind, Notice};
use crate::clock::{BootInstant, ClusterClock, ClusterTime};
use crate::control::{Control, Pauses};
use crate::ledger::{Entry, Query};
use crate::name::{ClusterName, JobName, NodeName};
use crate::store::locks::LockStore;
use crate::store::{Result, Store};
use crate::table::{Job, JobTable};

/// How often a job is looked at that nobody pointed out, at the most often.
const ROUND: Duration = Duration::from_secs(5);

/// The pause between two such looks: of a thousand jobs each has its turn in 50 s.
const PAUSE: Duration = Duration::from_millis(50);

/// The pause between looks at jobs that were pointed out.
const SHORT_PAUSE: Duration = Duration::from_millis(2);

/// How long nothing is looked at when the store did not answer.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// So many entries of a job are looked at first. More would only be old.
const FIRST_LOOK: usize = 200;

/// And so many later: more than may come within a round.
const LATER_LOOK: usize = 10_000;

/// For how long the state of pauses is gone by.
const PAUSES_KNOWN_FOR: Duration = Duration::from_secs(5);

/// After so long it is asked again since when a job is known, which keeps that known.
const KNOWN_FOR: Duration = Duration::from_secs(6 * 3600);

/// So many alerts go out on one channel at a time.
const TOGETHER: usize = 4;

/// How much of the end of a run's output a notice has.
const OUTPUT: usize = 2_000;

/// How long a node that leaves waits for alerts that are on their way, and for those of
/// its last runs. What is not sent by then is left to the others.
pub const LAST_WORDS: Duration = Duration::from_secs(5);

/// Opens the locks of the store, in which it is noted who sends what.
pub type OpenLocks = dyn Fn() -> Result<Arc<dyn LockStore>> + Send + Sync;

/// What a watch needs.
pub struct Post {
    /// Where the ledger is.
    pub store: Arc<dyn Store>,
    /// Opens its locks, when the first job wants to be watched.
    pub open_locks: Arc<OpenLocks>,
    /// The cluster's time.
    pub clock: Arc<ClusterClock>,
    /// The cluster.
    pub cluster: ClusterName,
    /// The node.
    pub node: NodeName,
    /// How many entries of a job the ledger keeps.
    pub per_job: u32,
}

/// See the module's head. Dropped, it ends, and leaves what is not sent to the others.
#[derive(Debug)]
pub struct Watch {
    orders: Arc<Orders>,
    ends: Ends,
    task: JoinHandle<()>,
}

/// Tells a watch where to look; one of no watch tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Pointer(Option<Arc<Orders>>);

/// What a watch is told.
#[derive(Debug)]
struct Orders {
    table: RwLock<Arc<JobTable>>,
    /// Jobs that something was written about.
    hints: Mutex<BTreeSet<JobName>>,
    /// There is a hint, or another table.
    news: Notify,
}

impl Watch {
    /// Begins to watch the jobs of `table`.
    pub fn start(post: Post, table: Arc<JobTable>) -> Self {
        let orders = Arc::new(Orders {
            table: RwLock::new(table),
            hints: Mutex::default(),
            news: Notify::new(),
        });
        let ends = Ends::default();
        let watcher = Watcher {
            post,
            orders: Arc::clone(&orders),
            ends: ends.clone(),
            locks: None,
            jobs: BTreeMap::new(),
            rooms: HashMap::new(),
            pauses: None,
            deliveries: JoinSet::new(),
        };
        Self { orders, ends, task: tokio::spawn(watcher.watch()) }
    }

    /// The table is another from now on.
    pub fn set_table(&self, table: Arc<JobTable>) {
        *self.orders.table.write().unwrap_or_else(PoisonError::into_inner) = table;
        self.orders.news.notify_one();
    }

    /// What tells it where to look.
    pub fn pointer(&self) -> Pointer {
        Pointer(Some(Arc::clone(&self.orders)))
    }

    /// Has the last of it told, for at most `patience`.
    pub async fn finish(mut self, patience: Duration) {
        self.ends.draining.cancel();
        if tokio::time::timeout(patience, &mut self.task).await.is_err() {
            self.ends.over.cancel();
            // The rights are given back, if the store answers.
            let _ = tokio::time::timeout(Duration::from_secs(1), &mut self.task).await;
        }
    }
}

impl Pointer {
    /// Something was written about `job`.
    pub fn look_at(&self, job: &JobName) {
        self.point(job, |job| !job.alerts.is_silent());
    }

    /// The same, of a run that succeeded: that is news only to some.
    pub fn look_at_success(&self, job: &JobName) {
        self.point(job, |job| !job.alerts.on_recovery.is_empty());
    }

    fn point(&self, job: &JobName, is_news: impl Fn(&Job) -> bool) {
        if let Some(orders) = &self.0
            && orders.table().get(job).is_some_and(|job| is_news(job))
        {
            orders.hints().insert(job.clone());
            orders.news.notify_one();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Orders {
    fn table(&self) -> Arc<JobTable> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn hints(&self) -> std::sync::MutexGuard<'_, BTreeSet<JobName>> {
        // Nothing in here panics half-way.
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Watcher {
    post: Post,
    orders: Arc<Orders>,
    ends: Ends,
    locks: Option<Arc<dyn LockStore>>,
    jobs: BTreeMap<JobName, Watched>,
    /// The room of each channel.
    rooms: HashMap<Box<str>, Arc<Semaphore>>,
    pauses: Option<(BootInstant, Control)>,
    deliveries: JoinSet<()>,
}

/// A job that is watched.
struct Watched {
    chronicle: Chronicle,
    /// When it is looked at next.
    next: BootInstant,
    /// Since when the cluster knows it, and when that was asked.
    known_since: Option<(BootInstant, ClusterTime)>,
    /// The key under which it was told last that it is overdue.
    overdue: Option<String>,
}

impl Watcher {
    async fn watch(mut self) {
        let mut table = self.orders.table();
        self.adopt(&table);
        let draining = self.ends.draining.clone();
        while !draining.is_cancelled() {
            let newest = self.orders.table();
            if !Arc::ptr_eq(&newest, &table) {
                table = newest;
                self.adopt(&table);
            }
            while self.deliveries.try_join_next().is_some() {}
            let pause = match self.next_job() {
                Next::Look(job, pause) => match self.look(&table, &job).await {
                    Ok(()) => pause,
                    Err(error) => {
                        tracing::debug!(%error, "alerts wait for the store");
                        self.orders.hints().insert(job);
                        STORE_PAUSE
                    }
                },
                Next::Wait(wait) => {
                    tokio::select! {
                        () = self.orders.news.notified() => {}
                        () = tokio::time::sleep(wait) => {}
                        () = draining.cancelled() => {}
                    }
                    continue;
                }
            };
            draining.run_until_cancelled(tokio::time::sleep(pause)).await;
        }
        self.finish(&table).await;
    }

    /// The last of it: what was written about the last runs, and what is on its way.
    async fn finish(mut self, table: &JobTable) {
        let over = self.ends.over.clone();
        let hints = std::mem::take(&mut *self.orders.hints());
        let looks = async {
            for job in hints {
                if self.look(table, &job).await.is_err() {
                    break;
                }
            }
        };
        over.run_until_cancelled(looks).await;
        while self.deliveries.join_next().await.is_some() {}
        if let Some(locks) = self.locks {
            locks.close().await;
        }
    }

    /// Watches what `table` has to watch, and nothing else.
    fn adopt(&mut self, table: &JobTable) {
        let watched = |name: &JobName| table.get(name).is_some_and(|job| !job.alerts.is_silent());
        self.jobs.retain(|name, _| watched(name));
        let now = BootInstant::now();
        for job in table.iter().filter(|job| !job.alerts.is_silent()) {
            self.jobs.entry(job.name.clone()).or_insert_with(|| Watched {
                chronicle: Chronicle::default(),
                next: now,
                known_since: None,
                overdue: None,
            });
        }
    }

    fn next_job(&self) -> Next {
        while let Some(job) = self.orders.hints().pop_first() {
            if self.jobs.contains_key(&job) {
                return Next::Look(job, SHORT_PAUSE);
            }
        }
        match self.jobs.iter().min_by_key(|(_, watched)| watched.next) {
            None => Next::Wait(ROUND),
            Some((job, Watched { next, .. })) => {
                let now = BootInstant::now();
                match next.since(now) {
                    Duration::ZERO => Next::Look(job.clone(), PAUSE),
                    wait => Next::Wait(wait.min(ROUND)),
                }
            }
        }
    }

    /// Looks at the ledger of `job`, and has told what is news.
    async fn look(&mut self, table: &JobTable, name: &JobName) -> Result<()> {
        let Some(job) = table.get(name) else { return Ok(()) };
        let locks = self.locks()?;
        let now = self.post.clock.now();
        let expects = job.alerts.expect_every.is_some();
        let pauses = if expects { self.pauses_of(name).await? } else { Pauses::default() };
        let Some(watched) = self.jobs.get_mut(name) else { return Ok(()) };
        watched.next = BootInstant::now() + ROUND;
        let asked = BootInstant::now();
        let is_fresh = |(at, _): &(BootInstant, _)| asked.since(*at) < KNOWN_FOR;
        if expects && !watched.known_since.as_ref().is_some_and(is_fresh) {
            watched.known_since = Some((asked, known_since(&*locks, name, now).await?));
        }
        let since = watched.chronicle.wants_since();
        let limit = if since.is_none() { FIRST_LOOK } else { LATER_LOOK };
        let query = Query { job: Some(name.clone()), node: None, since, limit };
        let mut entries = self.post.store.history(&query).await?;
        let cut = entries.len() >= limit.min(self.post.per_job as usize);
        entries.reverse();
        let besides = Besides {
            now,
            known_since: watched.known_since.map(|(_, since)| since),
            pauses: &pauses,
        };
        let mut findings = watched.chronicle.take(job, entries, cut, &besides);
        let overdue = watched.chronicle.overdue(job, &besides);
        let key = overdue.as_ref().map(|finding| finding.key.clone());
        if key.is_some() && key != watched.overdue {
            findings.extend(overdue);
        }
        watched.overdue = key;
        if let Some(soon) = watched.chronicle.due_at(job, &besides) {
            let soon = self.post.clock.offset().boot_instant(soon);
            watched.next = watched.next.min(soon.max(BootInstant::now() + PAUSE));
        }
        for finding in findings {
            self.tell(job, &locks, finding).await;
        }
        Ok(())
    }

    async fn tell(&mut self, job: &Arc<Job>, locks: &Arc<dyn LockStore>, finding: Finding) {
        let channels = job.alerts.channels(finding.kind);
        if channels.is_empty() {
            return;
        }
        let mut notice = Notice::new(&self.post.cluster, job, &finding);
        if finding.kind == AlertKind::Failure
            && let Some(Entry::Run(run)) = &finding.entry
            && let Ok(story) = self.post.store.slot(&run.slot).await
        {
            notice.output = story.tail.map(|tail| end_of(&tail).to_owned());
        }
        let notice = Arc::new(notice);
        for channel in channels {
            let locks = Arc::clone(locks);
            let right = Right::new(locks, &channel.name, &finding.key, &self.post.node);
            let Some(right) = right else { continue };
            let room = self.rooms.entry(channel.name.clone());
            let room = room.or_insert_with(|| Arc::new(Semaphore::new(TOGETHER)));
            let delivery = Delivery {
                notice: Arc::clone(&notice),
                channel,
                right,
                room: Arc::clone(room),
                ends: self.ends.clone(),
            };
            self.deliveries.spawn(delivery.run());
        }
    }

    fn locks(&mut self) -> Result<Arc<dyn LockStore>> {
        if let Some(locks) = &self.locks {
            return Ok(Arc::clone(locks));
        }
        let locks = (self.post.open_locks)()?;
        self.locks = Some(Arc::clone(&locks));
        Ok(locks)
    }

    async fn pauses_of(&mut self, job: &JobName) -> Result<Pauses> {
        let now = BootInstant::now();
        if self.pauses.as_ref().is_none_or(|(read, _)| now.since(*read) > PAUSES_KNOWN_FOR) {
            self.pauses = Some((now, self.post.store.control().await?));
        }
        let control = self.pauses.as_ref().map(|(_, control)| control);
        Ok(control.and_then(|control| control.pauses.get(job)).cloned().unwrap_or_default())
    }
}

/// What to do next.
enum Next {
    /// Look at this job, and pause so long after it.
    Look(JobName, Duration),
    /// Nothing, for so long.
    Wait(Duration),
}

/// The end of `output`, in whole lines where that is possible.
fn end_of(output: &str) -> &str {
    let mut from = output.len().saturating_sub(OUTPUT);
    while !output.is_char_boundary(from) {
        from += 1;
    }
    let end = &output[from..];
    match end.find('\n') {
        Some(line) if from > 0 && line + 1 < end.len() => &end[line + 1..],
        _ => end,
    }
}
