//! `solocron run`: a node, from its config to its last word.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::{Failure, Place, place};
use crate::clock::BootInstant;
use crate::config::{ClusterConfig, Config, LogFormat, Severity};
use crate::daemon::engine::{Identity, Settings};
use crate::daemon::shell::{End, Loader, Request, Shell};
use crate::ledger::Retention;
use crate::log::{self, events};
use crate::node::BootId;
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
        let _flushes_at_the_end = log::install(format, &config.log.filter, &config.cluster.node)
            .map_err(|error| Failure::Failed(error.to_string()))?;
        events::config_loaded(
            &sources(&config),
            config.jobs.len(),
            &config.jobs.digest().to_string(),
        );
        if let Err(error) = crate::run::raise_open_files() {
            tracing::warn!(%error, "the limit on open files stays as it is");
        }
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let loader = loader(place.clone(), self.node, &config);
        let End { killed, settled } = runtime.block_on(live(config, loader))?;
        events::node_stopped(killed);
        runtime.shutdown_background();
        Ok(if killed == 0 && settled { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// The node's whole life.
async fn live(config: Config, loader: Arc<Loader>) -> Result<End, Failure> {
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
    let settings = settings(cluster);
    let identity = Identity {
        cluster: cluster.name.clone(),
        node: cluster.node.clone(),
        boot: BootId::random(),
        started: BootInstant::now(),
    };
    let shell = Shell::new(store, settings, Arc::new(config.jobs), identity, loader).await;
    Ok(shell.run(requests).await)
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
fn loader(place: Place, node: Option<String>, config: &Config) -> Arc<Loader> {
    let (cluster, log) = (config.cluster.clone(), config.log.clone());
    let shortest = shortest_lease(config);
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
        let new = &config.cluster;
        let fixed = (&new.name, &new.node, &new.store, new.heartbeat)
            == (&cluster.name, &cluster.node, &cluster.store, cluster.heartbeat);
        if !fixed || config.log.filter != log.filter {
            tracing::warn!(
                "the node's name, cluster, store, heartbeat and log stay as they were: restart \
                 it to change them"
            );
        }
        if shortest_lease(&config) < shortest {
            tracing::warn!(
                "a job has a shorter lease now than any had when this node started: restart it, \
                 so that it waits less long for the store"
            );
        }
        let settings = Settings { heartbeat: cluster.heartbeat, ..settings(new) };
        Some((config.jobs, settings))
    })
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
            let request = if asked { Request::Kill } else { Request::Drain(name) };
            asked = true;
            service::stopping("draining");
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    Ok(requests)
}
