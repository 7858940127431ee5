//! `solocron run`: a node, from its config to its last word.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Failure, Place, place};
use crate::alert::watch::OpenLocks;
use crate::clock::BootInstant;
use crate::config::{ClusterConfig, Config, HttpConfig, LogConfig, LogFormat, Severity};
use crate::daemon::engine::{Identity, Settings};
use crate::daemon::shell::{End, Loader, Request, Shell};
use crate::http::Door;
use crate::http::metrics::Counts;
use crate::http::tokens::Tokens;
use crate::ledger::Retention;
use crate::log::{self, events};
use crate::node::BootId;
use crate::store::Store;
use crate::store::observed::{CallObserver, Observed};
use crate::trace::Parents;
use crate::{lease, service, store};

#[derive(Debug, Args)]
#[command(after_help = "\
SIGTERM or SIGINT drains: no new claims, running jobs finish (up to drain_timeout), what did not
is handed over to the other nodes. A second signal kills now. Exit code 0 after a clean drain,
1 if runs had to be ended.

SIGHUP loads the job table anew, as `solocron reload` does on all nodes: a table with errors
changes nothing.")]
pub(super) struct Run {
    /// This node's name, in place of the config's [default: the host's name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// How the log is written, in place of the config's: for people, or an object a line
    #[arg(long, value_name = "FORMAT", value_enum)]
    log_format: Option<LogForm>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogForm {
    Text,
    Json,
}

impl Run {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let log_format = self.log_format.map(|form| match form {
            LogForm::Text => LogFormat::Text,
            LogForm::Json => LogFormat::Json,
        });
        let config = place.load(self.node.clone(), log_format)?;
        let format = match config.log.format {
            LogFormat::Text => log::Format::Text,
            LogFormat::Json => log::Format::Json,
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        // Who is not looked at counts nothing.
        let counts = config.http.as_ref().map(|_| Arc::new(Counts::default()));
        let mut watchers = Watchers::new(counts);
        let traces = watchers.trace(&config.cluster, runtime.handle());
        let _flushes_at_the_end =
            log::install(format, &config.log.filter, &config.cluster.node, watchers.of_events())
                .map_err(|error| Failure::Failed(error.to_string()))?;
        if let Err(why) = traces {
            tracing::warn!("slots are not traced: {why}");
        }
        events::config_loaded(
            &sources(&config),
            config.jobs.len(),
            &config.jobs.digest().to_string(),
        );
        if let Err(error) = crate::run::raise_open_files() {
            tracing::warn!(%error, "the limit on open files stays as it is");
        }
        let tokens = Tokens::of(config.http.as_ref());
        let loader = loader(place.clone(), self.node, &config, tokens.clone());
        let end = runtime.block_on(live(config, loader, tokens, &watchers))?;
        let End { killed, settled, hurried } = end;
        watchers.close(if hurried { Duration::ZERO } else { LAST_SPANS });
        events::node_stopped(killed);
        runtime.shutdown_background();
        Ok(if killed == 0 && settled { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// How long a node that has ended waits for a collector to take its last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Who is told what the node does, and has no part in it.
struct Watchers {
    counts: Option<Arc<Counts>>,
    #[cfg(feature = "otel")]
    traces: Option<Arc<crate::trace::Traces>>,
}

impl Watchers {
    fn new(counts: Option<Arc<Counts>>) -> Self {
        Self {
            counts,
            #[cfg(feature = "otel")]
            traces: None,
        }
    }

    /// Has slots traced, if the environment says where to.
    #[cfg(feature = "otel")]
    fn trace(&mut self, of: &ClusterConfig, runtime: &Handle) -> Result<(), String> {
        let export = crate::trace::from_environment(&of.name, &of.node, runtime.clone())?;
        let traces = |export| crate::trace::Traces::new(of.name.clone(), of.node.clone(), export);
        self.traces = export.map(traces).map(Arc::new);
        Ok(())
    }

    #[cfg(not(feature = "otel"))]
    fn trace(&mut self, _: &ClusterConfig, _: &Handle) -> Result<(), String> {
        match std::env::var_os("OTEL_EXPORTER_OTLP_ENDPOINT") {
            Some(_) => Err("this program was built without the feature `otel`".to_owned()),
            None => Ok(()),
        }
    }

    fn of_events(&self) -> Vec<Arc<dyn log::Observer>> {
        let mut all: Vec<Arc<dyn log::Observer>> = Vec::new();
        all.extend(self.counts.clone().map(|counts| counts as _));
        #[cfg(feature = "otel")]
        all.extend(self.traces.clone().map(|traces| traces as _));
        all
    }

    fn of_calls(&self) -> Vec<Arc<dyn CallObserver>> {
        let mut all: Vec<Arc<dyn CallObserver>> = Vec::new();
        all.extend(self.counts.clone().map(|counts| counts as _));
        #[cfg(feature = "otel")]
        all.extend(self.traces.clone().map(|traces| traces as _));
        all
    }

    fn parents(&self) -> Option<Arc<Parents>> {
        #[cfg(feature = "otel")]
        return self.traces.as_ref().map(crate::trace::Traces::parents);
        #[cfg(not(feature = "otel"))]
        None
    }

    /// Nothing more is told them.
    fn close(&self, within: Duration) {
        #[cfg(feature = "otel")]
        if let Some(traces) = &self.traces {
            traces.close(within);
        }
        #[cfg(not(feature = "otel"))]
        let _ = within;
    }
}

/// The node's whole life.
async fn live(
    config: Config,
    loader: Arc<Loader>,
    tokens: Tokens,
    watchers: &Watchers,
) -> Result<End, Failure> {
    let requests = requests()?;
    let cluster = &config.cluster;
    let shortest = shortest_lease(&config);
    let store = store::open::open(
        &cluster.store,
        &cluster.name,
        Some(&cluster.node),
        lease::longest_call(shortest),
    )
    .map_err(|error| {
        events::store_down(&cluster.store.to_string(), &error.to_string());
        place::store_failure(error)
    })?;
    let watching = watchers.of_calls();
    let store: Arc<dyn Store> =
        if watching.is_empty() { store } else { Arc::new(Observed::new(store, watching)) };
    // Before anything is claimed: who cannot be looked at as the config says does not start.
    let door = match config.http {
        Some(http) => {
            let door = Door::build(http, tokens).await;
            Some(door.map_err(|error| Failure::Failed(error.to_string()))?)
        }
        None => None,
    };
    let settings = settings(cluster);
    let open_locks = open_locks(cluster, lease::longest_call(shortest));
    let identity = Identity {
        cluster: cluster.name.clone(),
        node: cluster.node.clone(),
        boot: BootId::random(),
        started: BootInstant::now(),
    };
    let shell =
        Shell::new(Arc::clone(&store), settings, Arc::new(config.jobs), identity, loader).await;
    let mut shell = shell.with_alerts(open_locks);
    if let Some(parents) = watchers.parents() {
        shell = shell.with_traces(parents);
    }
    let server = match (door, watchers.counts.clone()) {
        (Some(door), Some(counts)) => Some(door.open(shell.view(), store, counts)?),
        _ => None,
    };
    let end = shell.run(requests).await;
    if let Some(server) = server {
        server.close().await;
    }
    Ok(end)
}

/// What opens the locks of the store, beside its slots.
fn open_locks(cluster: &ClusterConfig, bound: Duration) -> Arc<OpenLocks> {
    let (store, name, node) = (cluster.store.clone(), cluster.name.clone(), cluster.node.clone());
    Arc::new(move || store::open::open_locks(&store, &name, Some(&node), bound))
}

fn settings(cluster: &ClusterConfig) -> Settings {
    Settings {
        max_clock_skew: cluster.max_clock_skew,
        heartbeat: cluster.heartbeat,
        drain_timeout: cluster.drain_timeout,
        max_running: cluster.max_running,
        retention: Retention { keep: cluster.history.keep, per_job: cluster.history.per_job },
    }
}

/// What loads the table anew: from the same places, by the same rules. One with errors
/// is told and not used.
fn loader(place: Place, node: Option<String>, config: &Config, tokens: Tokens) -> Arc<Loader> {
    let began = Began::with(config);
    Arc::new(move || {
        let config = match place.load(node.clone(), None) {
            Ok(config) => config,
            Err(Failure::Config(diagnostics)) => {
                let first = diagnostics.iter().find(|found| found.severity == Severity::Error);
                let source = first.map(|found| found.place.path.display().to_string());
                let error = first.map(|found| format!("{}: {}", found.place, found.message));
                let error = error.unwrap_or_default();
                let source = source.unwrap_or_else(|| "the config".to_owned());
                events::config_rejected(&source, diagnostics.errors(), &error);
                return None;
            }
            Err(other) => {
                events::config_rejected("the config", 1, &other.to_string());
                return None;
            }
        };
        events::config_loaded(
            &sources(&config),
            config.jobs.len(),
            &config.jobs.digest().to_string(),
        );
        began.tell_what_stays(&config);
        if !tokens.exchange(config.http.as_ref()) && config.http.is_some() {
            tracing::warn!(
                "[http] has no tokens any more, and they stay as they were: restart the node to \
                 let everybody in, or nobody"
            );
        }
        let settings = Settings { heartbeat: began.cluster.heartbeat, ..settings(&config.cluster) };
        Some((config.jobs, settings))
    })
}

/// What a node began with and keeps until it ends.
struct Began {
    cluster: ClusterConfig,
    log: LogConfig,
    http: Option<HttpConfig>,
    shortest: Duration,
}

impl Began {
    fn with(config: &Config) -> Self {
        Self {
            cluster: config.cluster.clone(),
            log: config.log.clone(),
            http: at_place(config.http.as_ref()),
            shortest: shortest_lease(config),
        }
    }

    /// Says what of a new config counts only when the node is started again.
    fn tell_what_stays(&self, new: &Config) {
        let (was, is) = (&self.cluster, &new.cluster);
        let fixed = (&is.name, &is.node, &is.store, is.heartbeat)
            == (&was.name, &was.node, &was.store, was.heartbeat);
        if !fixed || new.log.filter != self.log.filter {
            tracing::warn!(
                "the node's name, cluster, store, heartbeat and log stay as they were: restart \
                 it to change them"
            );
        }
        if at_place(new.http.as_ref()) != self.http {
            tracing::warn!(
                "of [http] only the tokens are as in the new table, the rest stays as it was: \
                 restart the node to change it"
            );
        }
        if shortest_lease(new) < self.shortest {
            tracing::warn!(
                "a job has a shorter lease now than any had when this node started: restart it, \
                 so that it waits less long for the store"
            );
        }
    }
}

/// `[http]` without its tokens, which alone a reload exchanges.
fn at_place(http: Option<&HttpConfig>) -> Option<HttpConfig> {
    http.map(|http| HttpConfig { tokens: Vec::new(), ..http.clone() })
}

fn shortest_lease(config: &Config) -> Duration {
    config.jobs.iter().map(|job| job.lease_ttl).min().unwrap_or(Duration::MAX)
}

fn sources(config: &Config) -> String {
    let sources: Vec<_> = config.sources.iter().map(|path| path.display().to_string()).collect();
    sources.join(", ")
}

/// Signals become requests: the first one drains, the second one kills.
fn requests() -> std::io::Result<mpsc::UnboundedReceiver<Request>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, requests) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut asked = false;
        loop {
            let name = tokio::select! {
                Some(()) = terminate.recv() => "SIGTERM",
                Some(()) = interrupt.recv() => "SIGINT",
                Some(()) = hangup.recv() => {
                    if sender.send(Request::Reload("SIGHUP")).is_err() {
                        return;
                    }
                    continue;
                }
            };
            let request = if asked {
                tracing::warn!("{name} came as well: no run is waited for any more");
                Request::Kill
            } else {
                Request::Drain(name)
            };
            asked = true;
            service::stopping("draining");
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    Ok(requests)
}
