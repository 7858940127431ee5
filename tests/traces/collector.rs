//! A collector: takes spans over OTLP and remembers them.

use std::collections::BTreeMap;
use std::process::Command;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message as _;

use crate::harness::receiver::{Manner, Receiver};
use crate::harness::until;

/// See the module's head.
pub(crate) struct Collector {
    pub(crate) receiver: Receiver,
}

/// A span, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty for a root.
    pub(crate) parent: String,
    pub(crate) name: String,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    pub(crate) end: u64,
    pub(crate) failed: bool,
    /// What it says, and what its node says of itself.
    said: BTreeMap<String, String>,
}

impl Span {
    /// An attribute; empty where there is none. `solocron.` need not be written.
    pub(crate) fn text(&self, name: &str) -> &str {
        let known = self.said.get(name).or_else(|| self.said.get(&format!("solocron.{name}")));
        known.map(String::as_str).unwrap_or_default()
    }
}

impl Collector {
    pub(crate) fn start(manners: &[Manner]) -> Self {
        Self { receiver: Receiver::start(manners) }
    }

    /// One that takes everything.
    pub(crate) fn friendly() -> Self {
        Self { receiver: Receiver::start(&[Manner::Answer(200, Vec::new())]) }
    }

    /// Has a node send its spans here, soon.
    pub(crate) fn told_by(&self, command: &mut Command) {
        command
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.receiver.url(""))
            .env("OTEL_BSP_SCHEDULE_DELAY", "100");
    }

    /// All that arrived so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let mut spans = Vec::new();
        for received in self.receiver.received() {
            assert_eq!((&*received.method, &*received.path), ("POST", "/v1/traces"));
            assert_eq!(received.header("content-type"), "application/x-protobuf");
            let request = ExportTraceServiceRequest::decode(&*received.bytes).unwrap();
            for of_node in request.resource_spans {
                let node = of_node.resource.unwrap().attributes;
                for span in of_node.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                    spans.push(Span {
                        trace: hex(&span.trace_id),
                        id: hex(&span.span_id),
                        parent: hex(&span.parent_span_id),
                        name: span.name,
                        start: span.start_time_unix_nano,
                        end: span.end_time_unix_nano,
                        failed: span.status.is_some_and(|status| status.code == 2),
                        said: node.iter().chain(&span.attributes).map(read).collect(),
                    });
                }
            }
        }
        spans
    }

    /// Waits until `wanted` finds what it looks for in what arrived.
    pub(crate) fn wait<T>(&self, what: &str, wanted: impl Fn(&[Span]) -> Option<T>) -> T {
        let mut found = None;
        until(what, || {
            found = wanted(&self.spans());
            found.is_some()
        });
        found.expect("it was found")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(pair: &KeyValue) -> (String, String) {
    let value = match &pair.value {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text.clone(),
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        other => panic!("{}: {other:?}", pair.key),
    };
    (pair.key.clone(), value)
}
