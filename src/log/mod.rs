//! The log: what a daemon says of what it does, on standard output.
//!
//! Every event of the daemon is a function in [`events`], and nowhere else. The
//! log is one line a record, text or JSON ([`Format`]); a record never waits for
//! the reader of the log, and where one had to be dropped the log says how many
//! (the invariants stand in `writer.rs`).
//!
//! # JSON
//!
//! Keys of an event stand in this order, absent ones are left out:
//!
//! | key | |
//! |---|---|
//! | `timestamp` | RFC 3339, UTC, microseconds, by the wall clock of the node |
//! | `level` | `error` `warn` `info` `debug` |
//! | `event` | its name; see [`events`] |
//! | `node` | which node says it |
//! | `job` `slot` | the job, and the slot's instant (`2026-11-22T03:00:00Z`) |
//! | `run_id` `attempt` `fence` | of events of a run; the last two are numbers |
//! | … | the event's own fields |
//! | `message` | the same in words, with `job@instant` |
//!
//! A record that is no event (a warning of a library, our own `debug`) has
//! `target` and, where it has any, an object `fields` instead.
//!
//! # Levels
//!
//! At `info` the logs of all nodes together tell each slot's whole story.
//! `warn`: somebody should look, a slot may not have run. `error`: a job failed,
//! or the guarantee or the node is in danger.
//!
//! # Filter
//!
//! `[log] filter` is a list with commas of a level for everything (`info` when
//! there is none) and of `TARGET=LEVEL`, where `off` is a level too. The longest
//! target that fits decides. The targets of events:
//!
//! | target | events |
//! |---|---|
//! | `solocron::node` | `node.*`, `http.listening` |
//! | `solocron::config` | `config.*` |
//! | `solocron::clock` | `clock.*` |
//! | `solocron::store` | `store.*` |
//! | `solocron::traces` | `traces.*` |
//! | `solocron::slot` | `slot.*` |
//! | `solocron::run` | `run.*`, `lease.*`, and those of `solocron::run::output` |
//! | `solocron::run::output` | `run.output` alone |
//!
//! So `info,solocron::run::output=off` keeps the output of jobs out of the log,
//! and `warn,solocron::run=info` is the log without the replicas that skip.
//! `run.output_dropped` comes from the writer itself and is not filtered.
//! tokio-cron-scheduler is heard from `warn` on, unless the filter names it.

pub mod events;
mod format;
mod layer;
mod observer;
mod record;
mod words;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::Dispatch;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Layer as _, SubscriberExt};

use crate::clock;
use crate::name::NodeName;

pub use format::{Colour, Format, InvalidFormat};
pub use layer::InvalidFilter;
pub use observer::{Noticed, Observer};
pub use writer::Guard;

use format::Style;
use layer::LogLayer;
use observer::ObserverLayer;
use writer::Limits;

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter cannot be read.
    #[error(transparent)]
    Filter(#[from] InvalidFilter),
    /// Standard output cannot be had, or the writer's thread cannot be started.
    #[error("the log cannot be opened: {0}")]
    Open(#[from] io::Error),
    /// The process has a log already.
    #[error("the log was installed before")]
    Twice,
}

/// Makes standard output the log of the process. Call it once, when the config is
/// known; the log is written as long as the guard is kept. `observers` are told of what
/// happens.
pub fn install(
    format: Format,
    filter: &str,
    node: &NodeName,
    observers: Vec<Arc<dyn Observer>>,
) -> Result<Guard, LogError> {
    // The descriptor itself: Stdout would buffer a second time, and lock.
    let stdout = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let colour = colour_for(&stdout);
    let style = Style { format, colour, node: node.to_string() };
    let limits = Limits::default();
    let (dispatch, guard) =
        open(style, filter, clock::wall_now, limits, Box::new(stdout), observers)?;
    tracing::dispatcher::set_global_default(dispatch).map_err(|_| LogError::Twice)?;
    Ok(guard)
}

/// Whether [`install`] would take `filter`; for `check`.
pub fn check_filter(filter: &str) -> Result<(), InvalidFilter> {
    layer::filter(filter).map(drop)
}

/// A log that goes to `sink`, for [`tracing::dispatcher::with_default`]: tests
/// capture what is logged with it.
pub fn to(
    format: Format,
    filter: &str,
    node: &NodeName,
    colour: Colour,
    sink: impl Write + Send + 'static,
) -> Result<(Dispatch, Guard), LogError> {
    let style = Style { format, colour, node: node.to_string() };
    open(style, filter, clock::wall_now, Limits::default(), Box::new(sink), Vec::new())
}

fn open(
    style: Style,
    filter: &str,
    now: fn() -> Timestamp,
    limits: Limits,
    sink: Box<dyn Write + Send>,
    observers: Vec<Arc<dyn Observer>>,
) -> Result<(Dispatch, Guard), LogError> {
    let filter = layer::filter(filter)?;
    let style = Arc::new(style);
    let teller = Arc::clone(&style);
    let tell = move |loss: &writer::Loss, line: &mut Vec<u8>| {
        teller.render(&events::run_output_dropped(loss), now(), line);
    };
    let (queue, guard) = writer::start(sink, limits, Box::new(tell))?;
    let layer = LogLayer { style, now, queue };
    let registry = tracing_subscriber::registry();
    let dispatch = if observers.is_empty() {
        Dispatch::new(registry.with(filter).with(layer))
    } else {
        // The filter is the log's alone.
        let observer = ObserverLayer(observers).with_filter(filter_fn(observer::is_observed));
        Dispatch::new(registry.with(layer.with_filter(filter)).with(observer))
    };
    Ok((dispatch, guard))
}

/// Colour is for terminals of people who did not ask for none.
fn colour_for(out: &impl IsTerminal) -> Colour {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    if out.is_terminal() && !set("NO_COLOR") && !dumb { Colour::On } else { Colour::Off }
}
