//! Where things are: the config that a command goes by, and its store.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::onlooker::Onlooker;
use super::{Failure, JobName, Place};
use crate::config::{
    self, ClusterConfig, Config, Diagnostics, Load, LogFormat, Override, Overrides, Paint,
    SEARCHED, StoreConfig, ThisMachine,
};
use crate::name::ClusterName;
use crate::schedule::ScheduleError;
use crate::store::{self, Health, Store, StoreError};
use crate::table::JobTable;

use unicode_width::UnicodeWidthStr;

/// How long a command waits for its first answer from the store.
const PATIENCE: Duration = Duration::from_secs(3);

/// What a command that looks into the store has at hand.
pub(super) struct Reach<'a> {
    pub(super) cluster: &'a ClusterName,
    /// The job table, where there is a config.
    pub(super) jobs: Option<&'a JobTable>,
    pub(super) store: &'a dyn Store,
    /// The same, to keep.
    pub(super) handle: Arc<dyn Store>,
}

impl Place {
    /// The config, with what the command line says in place of what the files say;
    /// its warnings are passed on.
    pub(super) fn load(
        &self,
        node: Option<String>,
        log_format: Option<LogFormat>,
    ) -> Result<Config, Failure> {
        let overrides = Overrides {
            node: given("--node", node, "SOLOCRON_NODE"),
            log_filter: given("", None, "SOLOCRON_LOG"),
            log_format,
            ..self.overrides()
        };
        let load = Load { paths: self.paths(), overrides };
        let loaded = config::load(&load, &ThisMachine).map_err(bad_config)?;
        warn(&loaded.warnings);
        Ok(loaded.config)
    }

    /// The files and directories that the command line names, or else the environment.
    fn paths(&self) -> Vec<PathBuf> {
        if !self.config.is_empty() {
            return self.config.clone();
        }
        let listed = std::env::var_os("SOLOCRON_CONFIG").unwrap_or_default();
        std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect()
    }

    fn overrides(&self) -> Overrides {
        Overrides {
            store: given("--store", self.store.clone(), "SOLOCRON_STORE"),
            cluster: given("--cluster", self.cluster.clone(), "SOLOCRON_CLUSTER"),
            ..Overrides::default()
        }
    }

    /// The config, for a command that neither runs it nor asks how good it is.
    pub(super) fn load_table(&self) -> Result<Config, Failure> {
        self.look(&Onlooker::default())
    }

    fn look(&self, onlooker: &Onlooker) -> Result<Config, Failure> {
        self.look_with(onlooker, self.overrides())
    }

    fn look_with(&self, onlooker: &Onlooker, overrides: Overrides) -> Result<Config, Failure> {
        let load = Load { paths: self.paths(), overrides };
        config::load(&load, onlooker)
            // What is wrong is said without blanks in it.
            .or_else(|_| config::load(&load, &ThisMachine))
            .map(|loaded| loaded.config)
            .map_err(bad_config)
    }

    fn has_no_config(&self) -> bool {
        self.paths().is_empty() && !SEARCHED.iter().any(|path| Path::new(path).exists())
    }

    /// The config, or, where there is none and a store is named, that store alone:
    /// to look into it takes no job table.
    fn look_for_store(&self, onlooker: &Onlooker) -> Result<(Config, Option<JobTable>), Failure> {
        let overrides = self.overrides();
        if self.has_no_config() && overrides.store.is_some() {
            let loaded = config::load_text(Path::new("--store"), "", &overrides, &ThisMachine);
            return Ok((loaded.map_err(bad_config)?.config, None));
        }
        let config = self.look(onlooker)?;
        let jobs = config.jobs.clone();
        Ok((config, Some(jobs)))
    }

    /// What there is to know of the cluster, for a command that needs no job table: where
    /// there is no config, defaults will do. And what could not be known here, in words.
    pub(super) fn load_cluster(
        &self,
        node: Option<String>,
    ) -> Result<(ClusterConfig, Option<String>), Failure> {
        let overrides =
            Overrides { node: given("--node", node, "SOLOCRON_NODE"), ..self.overrides() };
        if self.has_no_config() {
            let loaded = config::load_text(Path::new("--store"), "", &overrides, &ThisMachine);
            return Ok((loaded.map_err(bad_config)?.config.cluster, None));
        }
        let onlooker = Onlooker::default();
        let config = self.look_with(&onlooker, overrides)?;
        Ok((config.cluster, onlooker.lacked()))
    }

    /// Does `work` with what is within reach.
    pub(super) fn with_store<T>(
        &self,
        work: impl AsyncFnOnce(Reach<'_>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let onlooker = Onlooker::default();
        let (config, jobs) = self.look_for_store(&onlooker)?;
        reach(&config.cluster, jobs.as_ref(), work).map_err(|failure| match failure {
            Failure::Store(why) => match onlooker.lacked() {
                Some(lacked) => Failure::Store(format!("{why} ({lacked})")),
                None => Failure::Store(why),
            },
            other => other,
        })
    }
}

/// Opens the store, does `work` with it, and closes it.
fn reach<T>(
    cluster: &ClusterConfig,
    jobs: Option<&JobTable>,
    work: impl AsyncFnOnce(Reach<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // Who only looks makes no file: it would be taken for a store without history.
    if let StoreConfig::Sqlite { path } = &cluster.store
        && let Ok(false) = path.try_exists()
    {
        return Err(Failure::Store(format!(
            "the store {} does not exist; a node makes it when it starts",
            cluster.store
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = store::open::open(&cluster.store, &cluster.name, None, PATIENCE)
            .map_err(store_failure)?;
        reachable(&*store).await?;
        let reach =
            Reach { cluster: &cluster.name, jobs, store: &*store, handle: Arc::clone(&store) };
        let done = work(reach).await;
        store.close().await;
        done
    })
}

fn bad_config(diagnostics: Diagnostics) -> Failure {
    Failure::Config(Box::new(diagnostics))
}

/// Waits until the store answers, or says why it does not.
async fn reachable(store: &dyn Store) -> Result<(), Failure> {
    let mut health = store.health();
    // What concerns a part that is down says so itself.
    let answered = tokio::time::timeout(PATIENCE, health.wait_for(Health::answers));
    if let Ok(Ok(_)) = answered.await {
        return Ok(());
    }
    let why = match &*store.health().borrow() {
        Health::Down(why) => why.clone(),
        _ => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Err(Failure::Store(unreachable(&store.describe(), &why)))
}

/// What to say of the store `name` that cannot be reached.
pub(super) fn unreachable(name: &str, why: &str) -> String {
    // Some say which store it is, some do not.
    let why = why.strip_prefix(name).map_or(why, |rest| rest.trim_start_matches([':', ' ']));
    format!("the store {name} cannot be reached: {why}")
}

/// What a store that does not open means to a command.
pub(super) fn store_failure(error: StoreError) -> Failure {
    Failure::Store(error.to_string())
}

/// A setting from its flag, or else from its variable.
fn given(flag: &'static str, typed: Option<String>, variable: &'static str) -> Option<Override> {
    typed.map(|value| Override::new(flag, value)).or_else(|| {
        let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
        Some(Override::new(variable, value))
    })
}

/// `expression` with what offends underlined.
pub(super) fn underlined(expression: &str, error: &ScheduleError) -> String {
    let help = error.help.as_ref().map(|help| format!("\n  help: {help}")).unwrap_or_default();
    let before = expression.get(..error.span.start).filter(|_| !expression.trim().is_empty());
    let Some(before) = before else { return error.message.clone() + &help };
    let offending = expression.get(error.span.clone()).unwrap_or_default();
    let indent = " ".repeat(before.width());
    let carets = "^".repeat(offending.width().max(1));
    let expression = super::listing::printable(expression);
    format!("{}\n  {expression}\n  {indent}{carets}{help}", error.message)
}

/// What to say of a job that the table does not have.
pub(super) fn unknown_job(name: &JobName, table: &JobTable) -> String {
    match nearest(name, table.iter().map(|job| &job.name)) {
        Some(nearest) => format!("there is no job {name}; did you mean {nearest}?"),
        None => format!("there is no job {name} in the table"),
    }
}

/// What may have been meant by `name`.
pub(super) fn nearest<'n>(
    name: &JobName,
    names: impl IntoIterator<Item = &'n JobName>,
) -> Option<&'n JobName> {
    let distance = |known: &JobName| strsim::damerau_levenshtein(known.as_str(), name.as_str());
    let (distance, nearest) = names.into_iter().map(|known| (distance(known), known)).min()?;
    (distance <= 3).then_some(nearest)
}

/// Tells the user on standard error why the command did not do what was asked.
pub(super) fn complain(failure: &Failure) {
    match failure {
        Failure::Config(diagnostics) => say(&diagnostics.render(paint()).to_string()),
        other => say(&format!("solocron: {other}\n")),
    }
}

/// Tells the user on standard error what is to be known although all went well.
pub(super) fn warn(warnings: &Diagnostics) {
    for warning in warnings {
        say(&warning.render(paint()).to_string());
    }
}

/// Writes a message to standard error.
pub(super) fn say(text: &str) {
    // Where nobody reads, nobody is told.
    let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
}

/// Colour only on a terminal, and not where NO_COLOR asks for none.
fn paint() -> Paint {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stderr().is_terminal() { Paint::Colour } else { Paint::Plain }
}
