//! The two formats of a record: text for people, JSON for machines.
//!
//! Both are one line whatever the texts in them hold: control characters, and
//! those that turn the direction of writing, appear as escapes and never reach
//! a terminal.

use std::fmt;
use std::io::Write as _;
use std::str::FromStr;

use jiff::Timestamp;
use tracing::Level;

use super::record::{IDENTITY, Record, Value};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// One line of words a record.
    #[default]
    Text,
    /// One JSON object a record, on a line.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(InvalidFormat(text.to_owned())),
        }
    }
}

/// A text that names no [`Format`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a log format: it is text or json")]
pub struct InvalidFormat(pub String);

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// With escape sequences for a terminal.
    On,
    /// Plain.
    Off,
}

/// Everything that a record's line depends on beside the record.
#[derive(Debug, Clone)]
pub(super) struct Style {
    pub(super) format: Format,
    pub(super) colour: Colour,
    pub(super) node: String,
}

impl Style {
    /// Appends `record` to `out` as one line with its end.
    pub(super) fn render(&self, record: &Record, at: Timestamp, out: &mut Vec<u8>) {
        match self.format {
            Format::Text => self.text(record, at, out),
            Format::Json => self.json(record, at, out),
        }
        out.push(b'\n');
    }

    fn text(&self, record: &Record, at: Timestamp, out: &mut Vec<u8>) {
        let (dim, level, end) = match self.colour {
            Colour::On => ("\x1b[2m", level_colour(record.level), "\x1b[0m"),
            Colour::Off => ("", "", ""),
        };
        put(out, format_args!("{dim}{at:.3}{end} {level}{:<5}{end} {} ", record.level, self.node));
        let message = record.text("message").unwrap_or_default();
        if let Some(event) = record.event() {
            put(out, format_args!("{event:<14} "));
            escape_text(message, out);
            return;
        }
        escape_text(record.target, out);
        out.push(b':');
        if !message.is_empty() {
            out.push(b' ');
            escape_text(message, out);
        }
        for (name, value) in record.fields().filter(|(name, _)| *name != "message") {
            out.push(b' ');
            escape_text(name, out);
            out.push(b'=');
            match value {
                Value::Text(text) => escape_text(text, out),
                other => json_value(other, out),
            }
        }
    }

    fn json(&self, record: &Record, at: Timestamp, out: &mut Vec<u8>) {
        let level = level_word(record.level);
        put(out, format_args!(r#"{{"timestamp":"{at:.6}","level":"{level}""#));
        match record.event() {
            Some(event) => {
                json_field("event", Value::Text(event), out);
                json_field("node", Value::Text(&self.node), out);
                for name in IDENTITY {
                    if let Some(value) = record.get(name) {
                        json_field(name, value, out);
                    }
                }
                let placed = |name| matches!(name, "event" | "message") || IDENTITY.contains(&name);
                for (name, value) in record.fields().filter(|(name, _)| !placed(*name)) {
                    json_field(name, value, out);
                }
            }
            None => {
                json_field("target", Value::Text(record.target), out);
                json_field("node", Value::Text(&self.node), out);
                // Names that others chose must not meet ours.
                let mut own = record.fields().filter(|(name, _)| *name != "message").peekable();
                if own.peek().is_some() {
                    out.extend_from_slice(br#","fields":{"#);
                    let start = out.len();
                    own.for_each(|(name, value)| json_field(name, value, out));
                    out.remove(start);
                    out.push(b'}');
                }
            }
        }
        if let Some(message) = record.get("message") {
            json_field("message", message, out);
        }
        out.push(b'}');
    }
}

/// A `Vec` takes everything, so there is no error to handle.
fn put(out: &mut Vec<u8>, text: fmt::Arguments<'_>) {
    let _ = out.write_fmt(text);
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

fn level_colour(level: Level) -> &'static str {
    match level {
        Level::ERROR => "\x1b[31m",
        Level::WARN => "\x1b[33m",
        Level::INFO => "\x1b[32m",
        Level::DEBUG => "\x1b[34m",
        Level::TRACE => "\x1b[35m",
    }
}

fn json_field(name: &str, value: Value<'_>, out: &mut Vec<u8>) {
    out.push(b',');
    json_text(name, out);
    out.push(b':');
    json_value(value, out);
}

fn json_value(value: Value<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Text(text) => json_text(text, out),
        Value::Signed(n) => put(out, format_args!("{n}")),
        Value::Unsigned(n) => put(out, format_args!("{n}")),
        Value::Float(n) if n.is_finite() => put(out, format_args!("{n}")),
        Value::Float(n) => put(out, format_args!("\"{n}\"")),
        Value::Flag(b) => put(out, format_args!("{b}")),
    }
}

/// A JSON string by serde_json, and what that leaves as it is but a terminal
/// would obey as `\u` escapes.
fn json_text(text: &str, out: &mut Vec<u8>) {
    let start = out.len();
    // Strings always serialize, and a Vec takes everything.
    let _ = serde_json::to_writer(&mut *out, text);
    if text.is_ascii() && !text.contains('\x7f') {
        return;
    }
    let written = out.split_off(start);
    for c in String::from_utf8_lossy(&written).chars() {
        if is_unsafe(c) {
            put(out, format_args!("\\u{:04x}", u32::from(c)));
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

fn escape_text(text: &str, out: &mut Vec<u8>) {
    if text.bytes().all(|b| matches!(b, b' '..=b'~')) {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    for c in text.chars() {
        match c {
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            c if is_unsafe(c) => put(out, format_args!("{}", c.escape_unicode())),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Characters that steer a terminal, break a line, or turn the direction of writing.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}' | '\u{2029}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(format: Format, record: &Record) -> String {
        let style = Style { format, colour: Colour::Off, node: "web-1".to_owned() };
        let mut out = Vec::new();
        style.render(record, Timestamp::UNIX_EPOCH, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn record(message: &str) -> Record {
        let mut record = Record::new(Level::WARN, "redis::aio");
        record.put("message", message);
        record.put("level", message);
        record.put_number("tries", 3);
        record
    }

    #[test]
    fn a_record_of_a_dependency_shows_its_target_and_its_fields() {
        let record = record("lost\nit");
        assert_eq!(
            line(Format::Text, &record),
            "1970-01-01T00:00:00.000Z WARN  web-1 redis::aio: lost\\nit level=lost\\nit tries=3\n"
        );
        assert_eq!(
            line(Format::Json, &record),
            concat!(
                r#"{"timestamp":"1970-01-01T00:00:00.000000Z","level":"warn","#,
                r#""target":"redis::aio","node":"web-1","#,
                r#""fields":{"level":"lost\nit","tries":3},"message":"lost\nit"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn a_dependency_cannot_pass_for_an_event() {
        let mut foreign = Record::new(Level::INFO, "somebody");
        foreign.put("event", "run.started");
        assert_eq!(foreign.event(), None);
    }

    #[test]
    fn colour_is_only_around_time_and_level() {
        let style = Style { format: Format::Text, colour: Colour::On, node: "web-1".to_owned() };
        let mut out = Vec::new();
        style.render(&record("\x1b[31mred"), Timestamp::UNIX_EPOCH, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("\x1b[2m1970-01-01T00:00:00.000Z\x1b[0m \x1b[33mWARN \x1b[0m "));
        assert_eq!(text.matches('\x1b').count(), 4);
    }

    #[test]
    fn a_format_reads_back_as_itself() {
        for format in [Format::Text, Format::Json] {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("JSON".parse::<Format>().is_err());
    }

    /// Texts with more than their share of what must be escaped.
    fn nasty() -> impl Strategy<Value = String> {
        let nasty = prop_oneof![
            any::<char>(),
            proptest::char::range('\0', '"'),
            proptest::char::range('\\', '\u{a0}'),
            proptest::char::range('\u{2000}', '\u{2070}'),
        ];
        prop::collection::vec(nasty, 0..40).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_line_or_steers_a_terminal(message in nasty()) {
            for format in [Format::Text, Format::Json] {
                let line = line(format, &record(&message));
                let inner = line.strip_suffix('\n').unwrap();
                prop_assert!(!inner.chars().any(is_unsafe), "{inner:?}");
            }
        }

        #[test]
        fn json_gives_every_text_back(message in nasty()) {
            let line = line(Format::Json, &record(&message));
            let read: serde_json::Value = serde_json::from_str(&line).unwrap();
            prop_assert_eq!(&read["message"], &serde_json::Value::from(message.as_str()));
            prop_assert_eq!(&read["fields"]["level"], &serde_json::Value::from(message));
        }
    }
}
