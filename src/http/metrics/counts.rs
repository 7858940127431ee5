//! What is counted, and by which events.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::Notify;

use crate::claim::{Claim, Claimed, Verdict};
use crate::log::{Noticed, Observer};
use crate::outcome::{MissedReason, Outcome, SkippedReason};
use crate::store::observed::CallObserver;
use crate::store::{Completion, Ownership, Renewal, Result, StoreError};

/// Counts by the words of a fixed list.
#[derive(Debug)]
pub(super) struct ByWord {
    words: &'static [&'static str],
    counts: Box<[AtomicU64]>,
}

impl ByWord {
    fn new(words: &'static [&'static str]) -> Self {
        Self { words, counts: words.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    fn add(&self, word: &str, count: u64) {
        if let Some(place) = self.words.iter().position(|known| *known == word) {
            self.counts[place].fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Each word with its count.
    pub(super) fn each(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        self.words.iter().copied().zip(counts)
    }
}

/// Seconds, from well under what a healthy node takes to what nobody waits for.
const LATE: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 60.0];
const TAKES: [f64; 10] = [0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0];
const ANSWERS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.25, 0.5, 1.0];

const VERDICTS: &[&str] = &["won", "held", "done", "waits", "missed", "refused", "unknown"];
const RENEWALS: &[&str] = &["renewed", "held", "done", "forgotten", "unanswered"];
const LOSSES: &[&str] = &["not_renewed", "held", "done", "forgotten"];
const ERRORS: &[&str] = &["unavailable", "unknown", "corrupt"];
const STATUSES: &[&str] = &["1xx", "2xx", "3xx", "4xx", "5xx"];

/// The calls to a store.
pub(super) const CALLS: &[&str] = &[
    "inspect",
    "time",
    "claim",
    "forfeit",
    "renew",
    "complete",
    "sweep",
    "abandon",
    "open_cursors",
    "recorded",
    "record_missed",
    "trigger",
    "cancel",
    "pause",
    "request_reload",
    "control",
    "publish_table",
    "table",
    "watch_output",
    "watched_outputs",
    "show_output",
    "heartbeat",
    "nodes",
    "leave",
    "history",
    "recent",
    "open_slots",
    "tail",
    "slot",
    "prune",
];

/// See the module's head.
#[derive(Debug)]
pub struct Counts {
    pub(super) claims: ByWord,
    pub(super) skipped: ByWord,
    pub(super) missed: ByWord,
    pub(super) renewals: ByWord,
    pub(super) losses: ByWord,
    pub(super) store_errors: ByWord,
    pub(super) requests: ByWord,
    pub(super) takeovers: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) retries: AtomicU64,
    pub(super) notifications: ByWord,
    /// By job, a count for each outcome.
    pub(super) runs: Mutex<HashMap<Box<str>, [u64; Outcome::ALL.len()]>>,
    pub(super) lateness: Histogram,
    pub(super) durations: Histogram,
    pub(super) answers: Box<[Histogram]>,
    /// This node has written something into the store that who stays wants to see.
    news: Notify,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            claims: ByWord::new(VERDICTS),
            skipped: ByWord::new(SkippedReason::WORDS),
            missed: ByWord::new(MissedReason::WORDS),
            renewals: ByWord::new(RENEWALS),
            losses: ByWord::new(LOSSES),
            store_errors: ByWord::new(ERRORS),
            requests: ByWord::new(STATUSES),
            takeovers: AtomicU64::new(0),
            abandoned: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            notifications: ByWord::new(&["sent", "failed"]),
            runs: Mutex::default(),
            lateness: Histogram::new(LATE),
            durations: Histogram::new(TAKES),
            answers: CALLS.iter().map(|_| Histogram::new(ANSWERS)).collect(),
            news: Notify::new(),
        }
    }
}

impl Counts {
    /// Waits until this node has written something into the store.
    pub async fn wait_for_news(&self) {
        self.news.notified().await;
    }

    /// An answer with this status went out.
    pub fn answered(&self, status: u16) {
        let place = usize::from(status / 100).saturating_sub(1).min(STATUSES.len() - 1);
        self.requests.add(STATUSES[place], 1);
    }

    fn ran(&self, job: &str, outcome: Outcome) {
        let Some(place) = Outcome::ALL.iter().position(|known| *known == outcome) else { return };
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        match runs.get_mut(job) {
            Some(counts) => counts[place] += 1,
            None => {
                let counts = runs.entry(job.into()).or_default();
                counts[place] += 1;
            }
        }
    }
}

impl Observer for Counts {
    fn notice(&self, noticed: Noticed<'_>) {
        let seconds =
            |field| noticed.number(field).map(|ms| Duration::from_millis(ms).as_secs_f64());
        match noticed.event() {
            Some("run.started") => {
                if let Some(late) = seconds("late_ms") {
                    self.lateness.observe(late);
                }
            }
            Some("run.finished") => {
                let outcome = noticed.text("outcome").and_then(|word| word.parse().ok());
                if let (Some(job), Some(outcome)) = (noticed.text("job"), outcome) {
                    self.ran(job, outcome);
                }
                if let Some(took) = seconds("duration_ms") {
                    self.durations.observe(took);
                }
            }
            Some("run.retrying") => _ = self.retries.fetch_add(1, Ordering::Relaxed),
            Some("slot.skipped") => {
                self.skipped.add(noticed.text("reason").unwrap_or_default(), 1);
            }
            Some("slot.missed") => {
                let count = noticed.number("count").unwrap_or(1);
                self.missed.add(noticed.text("reason").unwrap_or_default(), count);
            }
            Some("slot.taken_over") => _ = self.takeovers.fetch_add(1, Ordering::Relaxed),
            Some("slot.abandoned") => _ = self.abandoned.fetch_add(1, Ordering::Relaxed),
            Some("lease.lost") => {
                self.losses.add(noticed.text("reason").unwrap_or_default(), 1);
            }
            Some("notify.sent") => self.notifications.add("sent", 1),
            Some("notify.failed") => self.notifications.add("failed", 1),
            _ => {}
        }
    }
}

impl CallObserver for Counts {
    fn called(&self, call: &'static str, took: Duration, error: Option<&StoreError>) {
        if let Some(place) = CALLS.iter().position(|known| *known == call) {
            self.answers[place].observe(took.as_secs_f64());
        }
        if let Some(error) = error {
            let word = match error {
                StoreError::Unavailable(_) => "unavailable",
                StoreError::Unknown(_) => "unknown",
                StoreError::Corrupt(_) => "corrupt",
            };
            self.store_errors.add(word, 1);
        }
    }

    fn claimed(&self, claims: &[Claim], answer: &Result<Vec<Claimed>>, _: Duration) {
        let Ok(claimed) = answer else {
            return self.claims.add("unknown", claims.len() as u64);
        };
        for one in claimed {
            self.claims.add(one.verdict.as_str(), 1);
        }
        if claimed.iter().any(|one| matches!(one.verdict, Verdict::Won(_))) {
            self.written();
        }
    }

    fn renewed(&self, renewals: &[Renewal], answer: &Result<Vec<Ownership>>) {
        let Ok(renewed) = answer else {
            return self.renewals.add("unanswered", renewals.len() as u64);
        };
        for ownership in renewed {
            let word = match ownership {
                Ownership::Ours => "renewed",
                Ownership::HeldBy(_) => "held",
                Ownership::SettledAs(_) => "done",
                Ownership::Forgotten => "forgotten",
            };
            self.renewals.add(word, 1);
        }
    }

    fn completed(&self, _: &[Completion], answer: &Result<Vec<Ownership>>, _: Duration) {
        if answer.is_ok() {
            self.written();
        }
    }

    fn written(&self) {
        self.news.notify_one();
    }
}
