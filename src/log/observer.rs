//! Who counts what happens, beside the log: told of every event but what jobs print,
//! whatever the log's filter keeps out.

use std::cell::RefCell;
use std::sync::Arc;

use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::record::Record;

/// See the module's head. It never feeds back: what it does may not depend on, nor change,
/// what the node does.
pub trait Observer: Send + Sync {
    /// This has happened. Called where it did, so it must not wait.
    fn notice(&self, noticed: Noticed<'_>);
}

/// An event, with the fields of its record.
#[derive(Debug, Clone, Copy)]
pub struct Noticed<'a>(&'a Record);

impl<'a> Noticed<'a> {
    /// Its name.
    pub fn event(self) -> Option<&'a str> {
        self.0.event()
    }

    /// A field that is a text.
    pub fn text(self, name: &str) -> Option<&'a str> {
        self.0.text(name)
    }

    /// A field that is a number from 0 on.
    pub fn number(self, name: &str) -> Option<u64> {
        self.0.number(name)
    }

    /// A field that is a number of either sign.
    pub fn signed(self, name: &str) -> Option<i64> {
        self.0.signed(name)
    }
}

thread_local! {
    static RECORD: RefCell<Record> = RefCell::new(Record::new(Level::INFO, ""));
}

/// Hands events to observers.
pub(super) struct ObserverLayer(pub(super) Vec<Arc<dyn Observer>>);

/// Whether observers are told of it.
pub(super) fn is_observed(of: &Metadata<'_>) -> bool {
    *of.level() <= Level::INFO
        && of.target().starts_with("solocron::")
        && of.target() != super::events::OUTPUT
}

impl<S: Subscriber> Layer<S> for ObserverLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // Not while a thread ends, nor from within an observer.
        let _ended = RECORD.try_with(|record| {
            if let Ok(mut record) = record.try_borrow_mut() {
                record.fill(event);
                self.0.iter().for_each(|observer| observer.notice(Noticed(&record)));
            }
        });
    }
}
