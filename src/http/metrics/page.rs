//! The counts and the node's state as text, in OpenMetrics' form.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, EncodeMetric,
    NoLabelSet, text::encode,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::counts::{ByWord, CALLS, Counts};
use crate::daemon::shell::View;
use crate::outcome::Outcome;
use crate::store::{Health, Store};

/// What is said of the page.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes the page.
pub struct Page {
    registry: Registry,
}

impl Page {
    /// Of a node that counts with `counts` and shows `view`.
    pub fn new(counts: Arc<Counts>, view: View, store: Arc<dyn Store>) -> Self {
        let mut registry = Registry::with_prefix("solocron");
        registry.register_collector(Box::new(Node { counts, view, store }));
        Self { registry }
    }

    /// The page as it is now.
    pub fn write(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _written = encode(&mut page, &self.registry);
        page
    }
}

struct Node {
    counts: Arc<Counts>,
    view: View,
    store: Arc<dyn Store>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("counts", &self.counts).finish_non_exhaustive()
    }
}

/// Writes single metrics.
struct Writer<'a> {
    to: DescriptorEncoder<'a>,
}

impl Writer<'_> {
    fn counter(&mut self, name: &str, help: &str, count: u64) -> fmt::Result {
        let mut metric = self.to.encode_descriptor(name, help, None, MetricType::Counter)?;
        metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
    }

    /// A counter for each of `counts`, by its labels.
    fn counters<L: EncodeLabelSet, C: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        counts: impl Iterator<Item = (L, C)>,
    ) -> fmt::Result {
        let mut metric = self.to.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (labels, count) in counts {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&count, None)?;
        }
        Ok(())
    }

    fn by_word(&mut self, name: &str, help: &str, label: &str, counts: &ByWord) -> fmt::Result {
        self.counters(name, help, counts.each().map(|(word, count)| ([(label, word)], count)))
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let mut metric = self.to.encode_descriptor(name, help, None, MetricType::Gauge)?;
        metric.encode_gauge(&value)
    }

    fn info(&mut self, name: &str, help: &str, labels: &impl EncodeLabelSet) -> fmt::Result {
        let mut metric = self.to.encode_descriptor(name, help, None, MetricType::Info)?;
        metric.encode_info(labels)
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let metric = self.to.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram.encode(metric)
    }
}

impl Collector for Node {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Writer { to: encoder };
        self.state(&mut to)?;
        self.slots(&mut to)?;
        self.runs(&mut to)?;
        self.store(&mut to)?;
        let counts = &self.counts;
        to.by_word(
            "notifications",
            "Alerts that were sent, and that could not be",
            "result",
            &counts.notifications,
        )?;
        to.by_word("http_answers", "Answers over HTTP, by their status", "status", &counts.requests)
    }
}

impl Node {
    /// How the node is now.
    fn state(&self, to: &mut Writer<'_>) -> fmt::Result {
        let vitals = *self.view.vitals.borrow();
        let table = Arc::clone(&self.view.table.borrow());
        let identity = &self.view.identity;
        to.info(
            "build",
            "The program, and who runs it",
            &[
                ("version", env!("CARGO_PKG_VERSION")),
                ("cluster", identity.cluster.as_str()),
                ("node", identity.node.as_str()),
            ],
        )?;
        let digest = table.digest().to_string();
        to.info(
            "table",
            "The job table in force: nodes with equal tables have equal digests",
            &[("digest", digest.as_str())],
        )?;
        to.gauge("jobs", "Jobs of the table in force", table.len() as u64)?;
        to.gauge("ready", "1 while the node claims what is due", u64::from(vitals.ready))?;
        to.gauge("draining", "1 once the node claims nothing new", u64::from(vitals.draining))?;
        to.gauge("running", "Runs in progress on this node", vitals.running as u64)?;
        to.gauge("queue_slots", "Slots that this node has planned", vitals.queued as u64)?;
        let started = self.view.clock.offset().cluster_time(identity.started);
        to.gauge(
            "start_time_seconds",
            "When the node started, in seconds since 1970",
            started.unix_micros() as f64 / 1e6,
        )?;
        if let Some(skew) = vitals.skew_ms {
            to.gauge(
                "clock_skew_seconds",
                "How far the wall clock of this machine is ahead of the store's",
                skew as f64 / 1e3,
            )?;
        }
        Ok(())
    }

    /// What became of slots here.
    fn slots(&self, to: &mut Writer<'_>) -> fmt::Result {
        let counts = &self.counts;
        to.by_word("claims", "Claims by their verdict", "verdict", &counts.claims)?;
        to.by_word(
            "slots_skipped",
            "Slots that were due and that this node did not run",
            "reason",
            &counts.skipped,
        )?;
        to.by_word(
            "slots_missed",
            "Slots that nobody ran, as this node recorded",
            "reason",
            &counts.missed,
        )?;
        to.counter(
            "takeovers",
            "Slots that this node took over from one that was lost",
            counts.takeovers.load(Ordering::Relaxed),
        )?;
        to.counter(
            "slots_abandoned",
            "Slots of lost nodes that will not run again, as this node recorded",
            counts.abandoned.load(Ordering::Relaxed),
        )?;
        to.by_word(
            "lease_renewals",
            "Renewals of leases by their answer",
            "answer",
            &counts.renewals,
        )?;
        to.by_word("leases_lost", "Runs that were ended for their lease", "reason", &counts.losses)
    }

    /// What ran here.
    fn runs(&self, to: &mut Writer<'_>) -> fmt::Result {
        let counts = &self.counts;
        let runs = self.runs_of_table();
        let each = runs.iter().flat_map(|(job, counts)| {
            let outcomes = Outcome::WORDS.iter().zip(counts).filter(|(_, count)| **count > 0);
            outcomes
                .map(|(outcome, count)| ([("job", job.as_ref()), ("outcome", *outcome)], *count))
        });
        to.counters("runs", "Runs that ended on this node", each)?;
        to.counter("retries", "Runs that are tried again", counts.retries.load(Ordering::Relaxed))?;
        to.histogram(
            "run_lateness_seconds",
            "How long after they were due first runs of slots started",
            &counts.lateness,
        )?;
        to.histogram("run_duration_seconds", "How long runs took", &counts.durations)
    }

    /// The counts of jobs; those of jobs that the table has no more are let go.
    fn runs_of_table(&self) -> HashMap<Box<str>, [u64; Outcome::ALL.len()]> {
        let table = Arc::clone(&self.view.table.borrow());
        let mut runs = self.counts.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.len() > table.len() {
            let known = |job: &str| job.parse().is_ok_and(|job| table.get(&job).is_some());
            runs.retain(|job, _| known(job));
        }
        runs.clone()
    }

    fn store(&self, to: &mut Writer<'_>) -> fmt::Result {
        let counts = &self.counts;
        let up = match &*self.store.health().borrow() {
            Health::Up | Health::Weakened { .. } => 1_u64,
            Health::Starting | Health::Partly(_) | Health::Down(_) => 0,
        };
        to.gauge("store_up", "1 while the store answers every call", up)?;
        to.by_word(
            "store_errors",
            "Calls to the store without an answer",
            "kind",
            &counts.store_errors,
        )?;
        let name = "store_call_seconds";
        let mut metric = to.to.encode_descriptor(
            name,
            "How long calls to the store took",
            None,
            MetricType::Histogram,
        )?;
        for (call, histogram) in CALLS.iter().zip(&counts.answers) {
            histogram.encode(metric.encode_family(&[("call", *call)])?)?;
        }
        Ok(())
    }
}
