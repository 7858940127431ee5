//! Spans, made of what the log and the store's calls tell.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Export, Parents, SlotTrace, TraceParent, span_of};
use crate::claim::{Claim, Claimed, Refusal, RunId, Verdict};
use crate::clock::{ClusterTime, wall_now};
use crate::log::{Noticed, Observer};
use crate::name::{ClusterName, NodeName};
use crate::outcome::Outcome;
use crate::slot::Slot;
use crate::store::observed::CallObserver;
use crate::store::{Completion, Ownership, Result, Then};

/// Makes the spans of one node. See the module's head.
pub struct Traces {
    cluster: ClusterName,
    node: NodeName,
    scope: InstrumentationScope,
    export: Export,
}

/// A span before it is one.
struct Draft {
    trace: SlotTrace,
    span: u64,
    name: Cow<'static, str>,
    start: SystemTime,
    end: SystemTime,
    attributes: Vec<KeyValue>,
    status: Status,
}

impl Traces {
    /// Those of `node`, which go to `export`.
    pub fn new(cluster: ClusterName, node: NodeName, export: Export) -> Self {
        let scope = InstrumentationScope::builder("solocron")
            .with_version(env!("CARGO_PKG_VERSION"))
            .build();
        Self { cluster, node, scope, export }
    }

    /// Has what is left sent, in so much time at most. It blocks.
    pub fn close(&self, within: Duration) {
        self.export.close(within);
    }

    /// What tells runs where in a trace they stand.
    pub fn parents(self: &std::sync::Arc<Self>) -> std::sync::Arc<Parents> {
        let traces = std::sync::Arc::clone(self);
        std::sync::Arc::new(move |slot, run| {
            let trace = SlotTrace::of(&traces.cluster, slot);
            let sampled = traces.export.samples(trace);
            TraceParent { trace: trace.id, span: span_of(run), sampled }
        })
    }

    /// The trace of this slot, unless it is not kept.
    fn trace(&self, slot: &impl std::fmt::Display) -> Option<SlotTrace> {
        Some(SlotTrace::of(&self.cluster, slot)).filter(|trace| self.export.samples(*trace))
    }

    fn hand_over(&self, draft: Draft) {
        let Draft { trace, span, name, start, end, attributes, status } = draft;
        let parent = if span == trace.root { 0 } else { trace.root };
        let sampled = TraceFlags::SAMPLED;
        let context =
            SpanContext::new(trace.id.into(), span.into(), sampled, false, TraceState::NONE);
        self.export.take(SpanData {
            span_context: context,
            parent_span_id: parent.into(),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name,
            start_time: start.min(end),
            end_time: end,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status,
            instrumentation_scope: self.scope.clone(),
        });
    }

    /// The span of a run that `noticed` is about, which came to its end just now and began
    /// at `start`; where its node is not this one, that is told.
    fn run(&self, noticed: Noticed<'_>, outcome: &str, start: Option<SystemTime>) {
        let Some(slot) = slot_of(noticed) else { return };
        let (Some(trace), Some(run)) = (self.trace(&slot), run_of(noticed)) else { return };
        let end = wall();
        let mut attributes = of_slot(noticed);
        attributes.push(KeyValue::new("solocron.run_id", run.to_string()));
        let node = noticed.text("from").unwrap_or(self.node.as_str()).to_owned();
        attributes.push(KeyValue::new("solocron.node", node));
        attributes.push(KeyValue::new("solocron.outcome", outcome.to_owned()));
        for (name, field) in [("solocron.attempt", "attempt"), ("solocron.fence", "fence")] {
            let number = noticed.number(field).and_then(|number| i64::try_from(number).ok());
            attributes.extend(number.map(|number| KeyValue::new(name, number)));
        }
        for (name, field) in [("process.exit.code", "exit_code"), ("solocron.signal", "signal")] {
            attributes.extend(noticed.signed(field).map(|number| KeyValue::new(name, number)));
        }
        self.hand_over(Draft {
            trace,
            span: span_of(run),
            name: "run".into(),
            start: start.or_else(|| claimed(run)).unwrap_or(end),
            end,
            attributes,
            status: status(outcome, noticed.text("error")),
        });
    }

    /// The span of a slot that is settled as `outcome`, with its last run.
    fn root(&self, slot: &Slot, run: RunId, attempt: u32, fence: Option<u64>, outcome: &str) {
        let Some(trace) = self.trace(slot) else { return };
        let due = system_time(slot.at.cluster_time());
        let mut attributes = vec![
            KeyValue::new("solocron.cluster", self.cluster.to_string()),
            KeyValue::new("solocron.job", slot.job.to_string()),
            KeyValue::new("solocron.slot", slot.at.to_string()),
            KeyValue::new("solocron.node", self.node.to_string()),
            KeyValue::new("solocron.run_id", run.to_string()),
            KeyValue::new("solocron.outcome", outcome.to_owned()),
        ];
        let fence = fence.and_then(|fence| i64::try_from(fence).ok());
        attributes
            .extend((attempt > 0).then(|| KeyValue::new("solocron.attempt", i64::from(attempt))));
        attributes.extend(fence.map(|fence| KeyValue::new("solocron.fence", fence)));
        attributes
            .extend(slot.trigger.map(|id| KeyValue::new("solocron.trigger_id", id.to_string())));
        self.hand_over(Draft {
            trace,
            span: trace.root,
            name: slot.job.to_string().into(),
            start: claimed(run).map_or(due, |claimed| claimed.min(due)),
            end: wall(),
            attributes,
            status: status(outcome, None),
        });
    }

    fn claim(&self, claim: &Claim, verdict: &Verdict, took: Duration) {
        let Some(trace) = self.trace(&claim.slot) else { return };
        let mut attributes = vec![
            KeyValue::new("solocron.node", self.node.to_string()),
            KeyValue::new("solocron.verdict", verdict.as_str()),
        ];
        let mut status = Status::Unset;
        match verdict {
            Verdict::Won(grant) => {
                let fence = i64::try_from(grant.fence.get()).unwrap_or(i64::MAX);
                attributes.push(KeyValue::new("solocron.attempt", i64::from(grant.attempt)));
                attributes.push(KeyValue::new("solocron.fence", fence));
            }
            Verdict::Held(holder) => {
                attributes.push(KeyValue::new("solocron.holder", holder.node.to_string()));
            }
            Verdict::Done(settled) => {
                attributes.push(KeyValue::new("solocron.holder", settled.node.to_string()));
                attributes.push(KeyValue::new("solocron.outcome", settled.outcome.as_str()));
            }
            Verdict::Waits(of) => {
                attributes.push(KeyValue::new("solocron.waits_for", of.to_string()));
            }
            Verdict::Missed(why) => {
                attributes.push(KeyValue::new("solocron.reason", why.as_str()));
            }
            // It is made again at the instant.
            Verdict::Refused(Refusal::Early) => return,
            Verdict::Refused(_) => {}
            Verdict::Unknown(why) => status = Status::error(why.clone()),
        }
        self.short(trace, "claim", took, attributes, status);
    }

    /// A call to the store that has just been answered, after so long.
    fn short(
        &self,
        trace: SlotTrace,
        name: &'static str,
        took: Duration,
        attributes: Vec<KeyValue>,
        status: Status,
    ) {
        let end = wall();
        let start = end.checked_sub(took).unwrap_or(end);
        let span = fastrand::u64(1..);
        self.hand_over(Draft { trace, span, name: name.into(), start, end, attributes, status });
    }
}

impl Observer for Traces {
    fn notice(&self, noticed: Noticed<'_>) {
        match noticed.event() {
            Some("run.finished") => {
                let outcome = noticed.text("outcome").unwrap_or_default();
                // Whoever settles its slot tells what became of it.
                if outcome != Outcome::LeaseLost.as_str() {
                    let took = Duration::from_millis(noticed.number("duration_ms").unwrap_or(0));
                    self.run(noticed, outcome, wall().checked_sub(took));
                }
            }
            Some("slot.taken_over") => self.run(noticed, Outcome::LeaseLost.as_str(), None),
            Some("slot.abandoned") => self.settled(noticed, Outcome::Abandoned),
            // One that was lost and is not to run again; of others the end of the run tells.
            Some("control.cancelled") if noticed.number("attempt").is_none() => {
                self.settled(noticed, Outcome::Cancelled);
            }
            _ => {}
        }
    }
}

impl Traces {
    /// The slot of a run that was lost is settled without another.
    fn settled(&self, noticed: Noticed<'_>, outcome: Outcome) {
        self.run(noticed, outcome.as_str(), None);
        let slot = slot_of(noticed).and_then(|slot| slot.parse().ok());
        if let (Some(slot), Some(run)) = (slot, run_of(noticed)) {
            self.root(&slot, run, 0, None, outcome.as_str());
        }
    }
}

impl CallObserver for Traces {
    fn claimed(&self, claims: &[Claim], answer: &Result<Vec<Claimed>>, took: Duration) {
        match answer {
            Ok(claimed) => {
                for (claim, claimed) in claims.iter().zip(claimed) {
                    self.claim(claim, &claimed.verdict, took);
                }
            }
            Err(error) => {
                let unknown = Verdict::Unknown(error.to_string());
                claims.iter().for_each(|claim| self.claim(claim, &unknown, took));
            }
        }
    }

    fn completed(&self, ends: &[Completion], answer: &Result<Vec<Ownership>>, took: Duration) {
        for (place, end) in ends.iter().enumerate() {
            let Some(trace) = self.trace(&end.slot) else { continue };
            let attributes = vec![
                KeyValue::new("solocron.node", self.node.to_string()),
                KeyValue::new("solocron.run_id", end.run_id().to_string()),
                KeyValue::new("solocron.outcome", end.outcome.as_str()),
            ];
            let ours = answer.as_ref().map(|answer| answer.get(place) == Some(&Ownership::Ours));
            let status = match &ours {
                Ok(true) => Status::Unset,
                Ok(false) => Status::error("the slot is another's by now"),
                Err(error) => Status::error(error.to_string()),
            };
            self.short(trace, "complete", took, attributes, status);
            if ours == Ok(true) && end.then == Then::Settle {
                let (run, fence) = (end.run_id(), end.fence.get());
                self.root(&end.slot, run, end.attempt, Some(fence), end.outcome.as_str());
            }
        }
    }
}

/// The slot that an event is about, as logs write it.
fn slot_of(noticed: Noticed<'_>) -> Option<String> {
    let slot = format!("{}@{}", noticed.text("job")?, noticed.text("slot")?);
    Some(match noticed.text("trigger_id") {
        Some(trigger) => format!("{slot}#{trigger}"),
        None => slot,
    })
}

fn of_slot(noticed: Noticed<'_>) -> Vec<KeyValue> {
    ["job", "slot", "trigger_id"]
        .iter()
        .zip(["solocron.job", "solocron.slot", "solocron.trigger_id"])
        .filter_map(|(field, name)| Some(KeyValue::new(name, noticed.text(field)?.to_owned())))
        .collect()
}

fn run_of(noticed: Noticed<'_>) -> Option<RunId> {
    noticed.text("run_id")?.parse().ok()
}

fn status(outcome: &str, error: Option<&str>) -> Status {
    let is_well = [Outcome::Succeeded, Outcome::Cancelled, Outcome::HandedOver]
        .iter()
        .any(|well| well.as_str() == outcome);
    match (is_well, error) {
        (true, _) => Status::Unset,
        (false, Some(error)) => Status::error(error.to_owned()),
        (false, None) => Status::error(outcome.to_owned()),
    }
}

fn wall() -> SystemTime {
    wall_now().into()
}

/// When the slot of `run` was claimed, by the clock of who did.
fn claimed(run: RunId) -> Option<SystemTime> {
    run.claimed_at().map(system_time)
}

fn system_time(at: ClusterTime) -> SystemTime {
    let micros = u64::try_from(at.unix_micros()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}
