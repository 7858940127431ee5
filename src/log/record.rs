//! One record of the log as values: collected from `tracing`, rendered by
//! [`format`](super::format).

use std::error::Error;
use std::fmt::{self, Write as _};
use std::ops::Range;

use tracing::field::{Field, Visit};
use tracing::{Event, Level};

/// The fields that say whose record it is; they stand first, in this order.
pub(super) const IDENTITY: [&str; 5] = ["job", "slot", "run_id", "attempt", "fence"];

/// A record. It is filled again and again, so that a record costs no allocation.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) level: Level,
    pub(super) target: &'static str,
    text: String,
    fields: Vec<(&'static str, Held)>,
}

/// A value as it is held: texts lie one after another in `Record::text`.
#[derive(Debug)]
enum Held {
    Text(Range<usize>),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Flag(bool),
}

/// A field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Text(&'a str),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Flag(bool),
}

impl Record {
    pub(super) fn new(level: Level, target: &'static str) -> Self {
        Self { level, target, text: String::new(), fields: Vec::new() }
    }

    /// Forgets what it held and takes what `event` says.
    pub(super) fn fill(&mut self, event: &Event<'_>) {
        let metadata = event.metadata();
        self.level = *metadata.level();
        self.target = metadata.target();
        self.text.clear();
        self.fields.clear();
        event.record(self);
    }

    /// Adds a field with a text.
    pub(super) fn put(&mut self, name: &'static str, value: impl fmt::Display) {
        let start = self.text.len();
        // A String takes everything; only a Display of its own can refuse, and
        // then what it wrote so far is what there is.
        let _ = write!(self.text, "{value}");
        self.fields.push((name, Held::Text(start..self.text.len())));
    }

    /// Adds a field with a number.
    pub(super) fn put_number(&mut self, name: &'static str, value: u64) {
        self.fields.push((name, Held::Unsigned(value)));
    }

    /// The fields in the order in which they came.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'static str, Value<'_>)> {
        self.fields.iter().map(|(name, held)| (*name, self.value(held)))
    }

    pub(super) fn get(&self, name: &str) -> Option<Value<'_>> {
        self.fields.iter().find(|(n, _)| *n == name).map(|(_, held)| self.value(held))
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    pub(super) fn signed(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Value::Signed(number) => Some(number),
            _ => None,
        }
    }

    /// The event's name: for what [`events`](super::events) made. A dependency
    /// that happens to call a field `event` does not make one.
    pub(super) fn event(&self) -> Option<&str> {
        self.text("event").filter(|_| self.target.starts_with("solocron"))
    }

    fn value(&self, held: &Held) -> Value<'_> {
        match held {
            Held::Text(range) => Value::Text(&self.text[range.clone()]),
            Held::Signed(n) => Value::Signed(*n),
            Held::Unsigned(n) => Value::Unsigned(*n),
            Held::Float(n) => Value::Float(*n),
            Held::Flag(b) => Value::Flag(*b),
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), format_args!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let start = self.text.len();
        self.text.push_str(value);
        self.fields.push((field.name(), Held::Text(start..self.text.len())));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), Held::Signed(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put_number(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), Held::Float(value)));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), Held::Flag(value)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field.name(), value);
    }
}
