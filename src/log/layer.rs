//! From `tracing` to the queue: a record is collected, rendered, and handed in.

use std::cell::Cell;
use std::sync::Arc;

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer};

use super::events;
use super::format::Style;
use super::record::Record;
use super::writer::{Queue, RunFields};

/// What a thread collects and renders a record in, over and over.
struct Scratch {
    record: Record,
    line: Vec<u8>,
}

/// A line longer than this does not keep its buffer.
const KEEP_LINE: usize = 64 << 10;

thread_local! {
    static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

/// Writes every record that the filter lets through.
pub(super) struct LogLayer {
    pub(super) style: Arc<Style>,
    pub(super) now: fn() -> Timestamp,
    pub(super) queue: Arc<Queue>,
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // None on the first record of a thread, and while a thread ends.
        let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_else(|| {
            Box::new(Scratch { record: Record::new(Level::INFO, ""), line: Vec::new() })
        });
        let Scratch { record, line } = &mut *scratch;
        record.fill(event);
        line.clear();
        self.style.render(record, (self.now)(), line);
        match (run_of(record), record.text("line")) {
            (Some(run), Some(text)) if record.event() == Some(events::RUN_OUTPUT) => {
                self.queue.output(run, text.len(), line);
            }
            (run, _) => self.queue.event(run, line),
        }
        if line.capacity() <= KEEP_LINE {
            let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
        }
    }
}

fn run_of(record: &Record) -> Option<RunFields<'_>> {
    record.event()?;
    Some(RunFields {
        job: record.text("job")?,
        slot: record.text("slot")?,
        run_id: record.text("run_id")?,
        attempt: record.number("attempt")?,
        fence: record.number("fence")?,
    })
}

/// Why a text is not a filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{filter:?} is not a log filter: {why}")]
pub struct InvalidFilter {
    /// The whole filter.
    pub filter: String,
    /// What is wrong with it.
    pub why: String,
}

/// Reads a filter as this module's head describes it.
pub(super) fn filter(text: &str) -> Result<EnvFilter, InvalidFilter> {
    let mut complete = text.to_owned();
    let invalid = |why: String| InvalidFilter { filter: text.to_owned(), why };
    // Span filters hold commas of their own; they are left to the library.
    if !text.contains('[') {
        let parts = || text.split(',').map(str::trim).filter(|part| !part.is_empty());
        if let Some(part) = parts().find(|p| !p.contains('=') && !is_level(p)) {
            return Err(invalid(format!(
                "{part:?} is neither a level (error, warn, info, debug, trace, off) nor TARGET=LEVEL"
            )));
        }
        let base = (!parts().any(is_level)).then_some("info");
        let quiet = (!text.contains(CHATTY) && parts().all(|part| !is_below_warn(part)))
            .then(|| format!("{CHATTY}=warn"));
        let all = base.into_iter().chain(parts()).chain(quiet.as_deref());
        complete = all.collect::<Vec<_>>().join(",");
    }
    EnvFilter::builder()
        .with_regex(false)
        .parse(complete)
        .map_err(|error| invalid(error.to_string()))
}

/// A library that tells of its own life at `info`. It is heard from `warn` on,
/// unless the filter names it.
const CHATTY: &str = "tokio_cron_scheduler";

fn is_level(text: &str) -> bool {
    text.parse::<LevelFilter>().is_ok()
}

/// Whether it is a level that keeps warnings out.
fn is_below_warn(text: &str) -> bool {
    text.parse::<LevelFilter>().is_ok_and(|level| level < LevelFilter::WARN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_without_a_level_of_its_own_starts_from_info() {
        for (given, read) in [
            ("", "info,tokio_cron_scheduler=warn"),
            ("debug", "debug,tokio_cron_scheduler=warn"),
            ("error", "error"),
            ("tokio_cron_scheduler=info", "info,tokio_cron_scheduler=info"),
            ("solocron::slot=debug", "solocron::slot=debug,info,tokio_cron_scheduler=warn"),
            (
                "warn, solocron::run::output=off",
                "solocron::run::output=off,warn,tokio_cron_scheduler=warn",
            ),
        ] {
            let read = EnvFilter::new(read);
            assert_eq!(filter(given).unwrap().to_string(), read.to_string(), "{given:?}");
        }
    }

    #[test]
    fn a_bad_filter_is_named_with_what_is_wrong() {
        for bad in ["inof", "info,solocron", "solocron=loud", "=", "[x"] {
            let error = filter(bad).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bad:?} is not a log filter: ")), "{error}");
        }
        assert_eq!(
            filter("info,solocorn").unwrap_err().why,
            "\"solocorn\" is neither a level (error, warn, info, debug, trace, off) nor TARGET=LEVEL"
        );
    }
}
