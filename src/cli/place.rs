//! Where things are: the config that a command goes by, and its store.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use super::{Failure, JobName, Place};
use crate::config::{self, Config, Load, LogFormat, Override, Overrides, Paint, ThisMachine};
use crate::schedule::ScheduleError;
use crate::store::{self, Health, Store, StoreError};
use crate::table::JobTable;

use unicode_width::UnicodeWidthStr;

/// How long a command waits for its first answer from the store.
const PATIENCE: Duration = Duration::from_secs(3);

impl Place {
    /// The config, with what the command line says in place of what the files say.
    pub(super) fn load(
        &self,
        node: Option<String>,
        log_format: Option<LogFormat>,
    ) -> Result<Config, Failure> {
        let paths = if self.config.is_empty() {
            let listed = std::env::var_os("SOLOCRON_CONFIG").unwrap_or_default();
            std::env::split_paths(&listed).filter(|path| !path.as_os_str().is_empty()).collect()
        } else {
            self.config.clone()
        };
        let overrides = Overrides {
            store: given("--store", self.store.clone(), "SOLOCRON_STORE"),
            cluster: given("--cluster", self.cluster.clone(), "SOLOCRON_CLUSTER"),
            node: given("--node", node, "SOLOCRON_NODE"),
            log_filter: given("", None, "SOLOCRON_LOG"),
            log_format,
        };
        match config::load(&Load { paths, overrides }, &ThisMachine) {
            Ok(loaded) => {
                for warning in loaded.warnings.iter() {
                    say(&warning.render(paint()).to_string());
                }
                Ok(loaded.config)
            }
            Err(diagnostics) => Err(Failure::Config(Box::new(diagnostics))),
        }
    }

    /// The config, for a command that is not a node.
    pub(super) fn load_table(&self) -> Result<Config, Failure> {
        self.load(None, None)
    }

    /// Does `work` with the store of the config.
    pub(super) fn with_store<T>(
        &self,
        work: impl AsyncFnOnce(&Config, &dyn Store) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let config = self.load_table()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let store = store::open::open(&config.cluster.store, &config.cluster.name, None)
                .map_err(store_failure)?;
            reachable(&*store).await?;
            let done = work(&config, &*store).await;
            store.close().await;
            done
        })
    }
}

/// Waits until the store answers, or says why it does not.
async fn reachable(store: &dyn Store) -> Result<(), Failure> {
    let mut health = store.health();
    let answered = tokio::time::timeout(PATIENCE, health.wait_for(|health| *health == Health::Up));
    if let Ok(Ok(_)) = answered.await {
        return Ok(());
    }
    let why = match &*store.health().borrow() {
        Health::Down(why) => why.clone(),
        _ => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Err(Failure::Store(format!("the store {} cannot be reached: {why}", store.describe())))
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
    let Some(before) = expression.get(..error.span.start) else { return error.message.clone() };
    let offending = expression.get(error.span.clone()).unwrap_or_default();
    let indent = " ".repeat(before.width());
    let carets = "^".repeat(offending.width().max(1));
    let expression = super::listing::printable(expression);
    let mut text = format!("{}\n  {expression}\n  {indent}{carets}", error.message);
    if let Some(help) = &error.help {
        text.push_str(&format!("\n  help: {help}"));
    }
    text
}

/// What to say of a job that the table does not have.
pub(super) fn unknown_job(name: &JobName, table: &JobTable) -> String {
    let nearest = table
        .iter()
        .map(|job| (strsim::damerau_levenshtein(job.name.as_str(), name.as_str()), &job.name))
        .min();
    match nearest {
        Some((distance, nearest)) if distance <= 3 => {
            format!("there is no job {name}; did you mean {nearest}?")
        }
        _ => format!("there is no job {name} in the table"),
    }
}

/// Tells the user on standard error why the command did not do what was asked.
pub(super) fn complain(failure: &Failure) {
    match failure {
        Failure::Config(diagnostics) => say(&diagnostics.render(paint()).to_string()),
        other => say(&format!("solocron: {other}\n")),
    }
}

fn say(text: &str) {
    // Where nobody reads, nobody is told.
    let _nobody_reads = io::stderr().lock().write_all(text.as_bytes());
}

/// Colour only on a terminal, and not where NO_COLOR asks for none.
fn paint() -> Paint {
    let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    if wanted && io::stderr().is_terminal() { Paint::Colour } else { Paint::Plain }
}
