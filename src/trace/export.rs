//! The way of spans to a collector: OTLP over HTTP, as the `OTEL_*` variables say.
//!
//! A queue, and a thread that empties it in batches (the SDK's `BatchSpanProcessor`). The
//! requests are made by solocron's own client, on the runtime of the node. What finds the
//! queue full is dropped; what was lost is told once when it begins, when it is over, and
//! at the end.

use std::env;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanKind;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as Otlp, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Config, SamplingDecision, ShouldSample, SpanData,
    SpanExporter, SpanProcessor as _,
};
use tokio::runtime::Handle;

use super::SlotTrace;
use crate::log::events;
use crate::name::{ClusterName, NodeName};
use crate::request::{self, Address};
use crate::tls::{Pem, TlsOptions};

/// Spans that wait, unless `OTEL_BSP_MAX_QUEUE_SIZE` says otherwise.
const QUEUE: usize = 2048;

/// How long one request may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const TIMEOUT: Duration = Duration::from_secs(10);

/// So much of an answer is read.
const LONGEST: usize = 64 << 10;

/// See the module's head.
pub struct Export {
    processor: BatchSpanProcessor,
    sampler: Box<dyn ShouldSample>,
    queue: u64,
    tally: Arc<Tally>,
}

/// What became of spans.
#[derive(Debug)]
struct Tally {
    collector: String,
    /// Taken over from who made them.
    taken: AtomicU64,
    /// On their way, or at the end of it.
    sent: AtomicU64,
    arrived: AtomicU64,
    /// Found no room.
    dropped: AtomicU64,
    is_down: AtomicBool,
    is_full: AtomicBool,
}

/// What the environment says of where traces go: none, where it names no collector.
///
/// # Errors
/// In words, what it says that cannot be done.
pub fn from_environment(
    cluster: &ClusterName,
    node: &NodeName,
    runtime: Handle,
) -> Result<Option<Export>, String> {
    let endpoints = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
    let endpoint = endpoints.iter().find_map(|name| said(name));
    let wanted = match said("OTEL_TRACES_EXPORTER").as_deref() {
        None => endpoint.is_some(),
        Some("otlp") => true,
        Some("none") => false,
        Some(other) => {
            return Err(format!("OTEL_TRACES_EXPORTER={other}: there is `otlp`, and `none`"));
        }
    };
    if !wanted || said("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"))
    {
        return Ok(None);
    }
    let protocols = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
    if let Some(other) = protocols.iter().find_map(|name| said(name))
        && other != "http/protobuf"
    {
        return Err(format!(
            "OTEL_EXPORTER_OTLP_PROTOCOL={other}: traces are sent as http/protobuf"
        ));
    }
    let endpoint = endpoint.unwrap_or_else(|| "http://localhost:4318".to_owned());
    let address = Address::parse(&endpoint).map_err(|why| format!("the OTLP endpoint: {why}"))?;
    let client = Client { runtime, timeout: timeout(), tls: tls() };
    let exporter = Otlp::builder()
        .with_http()
        .with_http_client(client)
        .build()
        .map_err(|error| format!("the OTLP exporter: {error}"))?;
    Ok(Some(Export::new(exporter, address.to_string(), &resource(cluster, node))))
}

/// A variable that says something.
fn said(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

fn timeout() -> Duration {
    ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]
        .iter()
        .find_map(|name| said(name)?.parse().ok())
        .map_or(TIMEOUT, Duration::from_millis)
}

fn tls() -> TlsOptions {
    let file = |name: &str| {
        [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")]
            .iter()
            .find_map(|name| said(name))
            .map(|path| Pem::File(path.into()))
    };
    TlsOptions {
        ca: file("CERTIFICATE"),
        cert: file("CLIENT_CERTIFICATE"),
        key: file("CLIENT_KEY"),
    }
}

/// Whose spans they are. What the environment says of it stands.
fn resource(cluster: &ClusterName, node: &NodeName) -> Resource {
    let own = [
        ("service.name", "solocron"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.namespace", cluster.as_str()),
        ("service.instance.id", node.as_str()),
    ];
    let listed = said("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_said = |name: &str| {
        (name == "service.name" && said("OTEL_SERVICE_NAME").is_some())
            || listed.split(',').any(|pair| pair.split('=').next().map(str::trim) == Some(name))
    };
    let own = own.into_iter().filter(|(name, _)| !is_said(name));
    let own = own.map(|(name, value)| KeyValue::new(name, value.to_owned()));
    Resource::builder().with_attributes(own).build()
}

impl Export {
    fn new(exporter: Otlp, collector: String, resource: &Resource) -> Self {
        let queue = said("OTEL_BSP_MAX_QUEUE_SIZE").and_then(|size| size.parse().ok());
        let queue = queue.filter(|&size| size > 0).unwrap_or(QUEUE);
        let tally = Arc::new(Tally {
            collector,
            taken: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            arrived: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            is_down: AtomicBool::new(false),
            is_full: AtomicBool::new(false),
        });
        let exporter = Counted { exporter, tally: Arc::clone(&tally) };
        let config = BatchConfigBuilder::default().with_max_queue_size(queue).build();
        let mut processor = BatchSpanProcessor::new(exporter, config);
        processor.set_resource(resource);
        Self { processor, sampler: Config::default().sampler, queue: queue as u64, tally }
    }

    /// Whether the trace is kept: by its id, so that all nodes keep the same ones.
    pub(super) fn samples(&self, trace: SlotTrace) -> bool {
        let kind = SpanKind::Internal;
        let sampled = self.sampler.should_sample(None, trace.id.into(), "slot", &kind, &[], &[]);
        sampled.decision == SamplingDecision::RecordAndSample
    }

    /// Takes a span over, or drops it; never waits.
    pub(super) fn take(&self, span: SpanData) {
        let tally = &self.tally;
        let waiting = tally.taken.load(Ordering::Acquire) - tally.sent.load(Ordering::Acquire);
        if waiting >= self.queue {
            tally.dropped.fetch_add(1, Ordering::Relaxed);
            if !tally.is_full.swap(true, Ordering::AcqRel) {
                events::traces_down(&tally.collector, "its queue here is full");
            }
            return;
        }
        tally.taken.fetch_add(1, Ordering::AcqRel);
        self.processor.on_end(span);
    }

    /// Has what is left sent, in so much time at most, and tells what was lost. It blocks.
    pub(super) fn close(&self, within: Duration) {
        let Tally { taken, arrived, dropped, .. } = &*self.tally;
        // What is not over in time ends with the process.
        let _late = self.processor.shutdown_with_timeout(within);
        let lost = taken.load(Ordering::Acquire) - arrived.load(Ordering::Acquire)
            + dropped.load(Ordering::Relaxed);
        if lost > 0 {
            events::traces_lost(lost);
        }
    }
}

/// An exporter that notes what becomes of what it is given.
#[derive(Debug)]
struct Counted {
    exporter: Otlp,
    tally: Arc<Tally>,
}

impl SpanExporter for Counted {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len() as u64;
        let tally = &self.tally;
        tally.sent.fetch_add(count, Ordering::AcqRel);
        let result = self.exporter.export(batch).await;
        match &result {
            Ok(()) => {
                tally.arrived.fetch_add(count, Ordering::AcqRel);
                if tally.is_down.swap(false, Ordering::AcqRel) {
                    let gone = tally.sent.load(Ordering::Acquire);
                    let lost = gone - tally.arrived.load(Ordering::Acquire)
                        + tally.dropped.load(Ordering::Relaxed);
                    events::traces_up(&tally.collector, lost);
                }
            }
            Err(error) => {
                if !tally.is_down.swap(true, Ordering::AcqRel) {
                    events::traces_down(&tally.collector, &error.to_string());
                }
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends what the exporter has written: solocron's own client, on the node's runtime. The
/// exporter itself waits on a thread of its own.
struct Client {
    runtime: Handle,
    timeout: Duration,
    tls: TlsOptions,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let request = request::Request {
            method: parts.method,
            address: Address::parse(&parts.uri.to_string())?,
            headers: parts.headers,
            body: body.to_vec(),
            tls: self.tls.clone(),
        };
        let timeout = self.timeout;
        let answered = self.runtime.spawn(async move {
            tokio::time::timeout(timeout, exchange(request)).await.map_err(|_| {
                HttpError::from(format!("no answer within {} ms", timeout.as_millis()))
            })?
        });
        answered.await?
    }
}

async fn exchange(request: request::Request) -> Result<Response<Bytes>, HttpError> {
    let mut answer = request::send(request).await?;
    let mut body = Vec::new();
    while let Some(piece) = answer.piece().await? {
        if body.len() + piece.len() > LONGEST {
            return Err("its answer is longer than 64 KiB".into());
        }
        body.extend_from_slice(&piece);
    }
    Ok(Response::builder().status(answer.status).body(body.into())?)
}
