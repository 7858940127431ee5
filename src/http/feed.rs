//! What those are told who stay: changes of the cluster, each with an id, so that who was
//! cut off goes on where they were.
//!
//! Invariants:
//!
//! - The store is read for it by one task, and only while somebody stays, or did until a
//!   moment ago.
//! - Whoever misses something is told so: what is kept is bounded, and so is what waits for
//!   one who is slow.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::{Notify, broadcast};

use super::board::Snapshot;
use super::nodes::{NodeView, nodes};
use super::shapes::{JobPause, OpenView, TableChange};
use crate::ledger::Entry;
use crate::ledger::record::Record;
use crate::node::{BootId, Heartbeat, Standing};
use crate::store::{SlotRecord, SlotState};

/// So many of the last are kept for who comes back.
const KEPT: usize = 4096;

/// So many wait for one who is slow.
const WAITING: usize = 1024;

/// What has happened, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// Counts what this start of the node has told.
    pub(crate) number: u64,
    /// What kind it is.
    pub(crate) event: &'static str,
    /// The rest, as JSON.
    pub(crate) data: Box<str>,
}

/// A change, before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    event: &'static str,
    data: Box<str>,
}

impl Change {
    /// Of this kind.
    pub(crate) fn new(event: &'static str, data: &impl Serialize) -> Self {
        // What is told is made of texts and numbers.
        let data = serde_json::to_string(data).unwrap_or_default().into();
        Self { event, data }
    }
}

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Feed {
    boot: BootId,
    kept: Mutex<Kept>,
    waiting: broadcast::Sender<Arc<Told>>,
    watchers: AtomicUsize,
    /// Something has happened here, or somebody came: read at once.
    nudged: Notify,
}

#[derive(Debug, Default)]
struct Kept {
    told: VecDeque<Arc<Told>>,
    last: u64,
    /// What was told before it cannot be told again, nor is it known what was not told.
    begins: u64,
}

/// One who stays.
pub(crate) struct Watcher {
    /// The feed that they watch.
    feed: Arc<super::board::Board>,
    /// What they have missed, and can still be told.
    pub(crate) backlog: Vec<Arc<Told>>,
    /// Whether that is all they have missed.
    pub(crate) complete: bool,
    /// The number of the last that was told before they came.
    pub(crate) last: u64,
    /// What comes.
    pub(crate) coming: broadcast::Receiver<Arc<Told>>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.feed.feed.watchers.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Feed {
    /// Of this start of a node.
    pub(crate) fn new(boot: BootId) -> Self {
        Self {
            boot,
            kept: Mutex::default(),
            waiting: broadcast::channel(WAITING).0,
            watchers: AtomicUsize::new(0),
            nudged: Notify::new(),
        }
    }

    /// Whether somebody stays.
    pub(crate) fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Acquire) > 0
    }

    /// Has the store read at once, where somebody stays.
    pub(crate) fn nudge(&self) {
        if self.is_watched() {
            self.nudged.notify_one();
        }
    }

    /// Waits until somebody asks for that.
    pub(crate) async fn nudged(&self) {
        self.nudged.notified().await;
    }

    /// The id of what has this number.
    pub(crate) fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.boot)
    }

    /// The number of what has this id, if this start of the node told it.
    fn number(&self, id: &str) -> Option<u64> {
        let (boot, number) = id.rsplit_once('-')?;
        (boot.parse() == Ok(self.boot)).then(|| number.parse().ok())?
    }

    /// Tells it those who stay, and keeps it for who comes back.
    pub(crate) fn tell(&self, changes: Vec<Change>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for Change { event, data } in changes {
            kept.last += 1;
            let told = Arc::new(Told { number: kept.last, event, data });
            if kept.told.len() == KEPT {
                kept.told.pop_front();
                kept.begins = kept.told.front().map_or(kept.last, |told| told.number);
            }
            kept.told.push_back(Arc::clone(&told));
            // Nobody listens where nobody stays.
            let _nobody = self.waiting.send(told);
        }
    }

    /// Nobody reads any more: what happens from now on is not told.
    pub(crate) fn pause(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.told.clear();
        kept.last += 1;
        kept.begins = kept.last + 1;
    }

    /// Somebody stays who was told everything up to `after`, if they were here before.
    pub(crate) fn watch(board: Arc<super::board::Board>, after: Option<&str>) -> Watcher {
        let feed = &board.feed;
        let kept = feed.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (backlog, complete) = match after {
            None => (Vec::new(), true),
            Some(id) => match feed.number(id) {
                Some(number) if number + 1 >= kept.begins && number <= kept.last => {
                    (kept.told.iter().filter(|told| told.number > number).cloned().collect(), true)
                }
                _ => (Vec::new(), false),
            },
        };
        let (last, coming) = (kept.last, feed.waiting.subscribe());
        feed.watchers.fetch_add(1, Ordering::AcqRel);
        drop(kept);
        feed.nudged.notify_one();
        Watcher { backlog, complete, last, coming, feed: board }
    }
}

/// What has changed from `before` to `after`, where `added` are the entries that are new.
pub(crate) fn differences(before: &Snapshot, after: &Snapshot, added: &[Entry]) -> Vec<Change> {
    let mut changes = Vec::new();
    if before.table.digest() != after.table.digest() {
        let digest = after.table.digest().to_string();
        changes.push(Change::new("table", &TableChange { digest, jobs: after.table.len() }));
    }
    let jobs = before.control.pauses.keys().chain(after.control.pauses.keys());
    let jobs: BTreeMap<_, _> = jobs.map(|job| (job, ())).collect();
    for job in jobs.into_keys() {
        let paused = after.control.is_paused(job);
        if before.control.is_paused(job) != paused {
            changes.push(Change::new("pause", &JobPause { job: job.to_string(), paused }));
        }
    }
    for (slot, record) in &after.open {
        if before.open.get(slot).is_none_or(|before| standing(before) != standing(record)) {
            changes.push(Change::new("slot", &OpenView::of(slot, record)));
        }
    }
    for entry in added {
        changes.push(Change::new("entry", &Record::from(entry)));
    }
    for (slot, record) in before.open.iter().filter(|(slot, _)| !after.open.contains_key(*slot)) {
        changes.push(Change::new("slot", &OpenView::settled(slot, record)));
    }
    if known_of_nodes(before) != known_of_nodes(after) {
        let all: Vec<NodeView> = nodes(after, after.now, None);
        changes.push(Change::new("nodes", &all));
    }
    changes
}

/// What of the nodes is told anew when it changes.
fn known_of_nodes(seen: &Snapshot) -> Vec<(Heartbeat, Standing)> {
    let known = |beat: &Heartbeat| {
        // That another came is no news.
        let same = Heartbeat { heard_at: beat.started_at, ..beat.clone() };
        (same, beat.standing(seen.now))
    };
    seen.nodes.iter().map(known).collect()
}

/// What of a record is told anew when it changes.
fn standing(record: &SlotRecord) -> (crate::claim::Token, u32, u32, &'static str) {
    let state = match record.state {
        SlotState::Running { remaining } if remaining.is_zero() => "lapsed",
        SlotState::Running { .. } => "running",
        SlotState::Ready(why) => why.as_str(),
        SlotState::Settled(outcome) => outcome.as_str(),
    };
    (record.token, record.attempt, record.takeovers, state)
}
