//! One value, by the kind that its key says.

use std::ops::{Range, RangeInclusive};

use hyper::header::HeaderName;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalogue::CALL;
use super::excerpt::cited;
use super::expand::{Expanded, expand};
use super::invalid::InvalidValue;
use super::keys::{Key, Kind, Section};
use super::reader::Reader;
use super::secret::secrets_in_address;
use super::text::{absolute, choice, filter, invalid_name, umask};
use super::{account, duration, http, size};
use crate::name;
use crate::policy::NodePatterns;
use crate::schedule::Zone;
use crate::table::Variable;

mod lists;
mod maps;

/// A value that fits its key.
pub(crate) enum Value<'v> {
    Table(&'static Section, &'v DeTable<'v>),
    Named(&'static Section, &'v DeTable<'v>),
    /// Tables, and where each stands.
    Tables(Vec<(&'v DeTable<'v>, Range<usize>)>),
    Duration(std::time::Duration),
    Size(u64),
    Integer(i64),
    Switch(bool),
    Text(&'v str),
    Expanded(Quoted<'v>, Expanded),
    Schedules(Vec<Quoted<'v>>),
    Zone(Zone),
    Words(Vec<&'v str>),
    Variables(Vec<Variable>),
    Mode(u32),
    Codes(Vec<u8>),
    Nodes(NodePatterns),
    Channels(Vec<Quoted<'v>>),
    Program(Vec<Quoted<'v>>),
    Headers(Vec<HeaderText<'v>>),
    RunText(Quoted<'v>),
    Statuses(Vec<u16>),
}

/// A header, whose value is not expanded yet.
pub(crate) struct HeaderText<'v> {
    pub(crate) name: HeaderName,
    pub(crate) value: Quoted<'v>,
}

/// A text of the file, and where.
#[derive(Debug, Clone)]
pub(crate) struct Quoted<'v> {
    pub(crate) text: &'v str,
    span: Range<usize>,
    /// Where in the file the text itself begins; none when it holds escapes, so
    /// that the file does not show it as it is.
    start: Option<usize>,
}

impl<'v> Quoted<'v> {
    fn new(file: &str, text: &'v str, span: Range<usize>) -> Self {
        let raw = &file[span.clone()];
        let quotes = if raw.starts_with("\"\"\"") || raw.starts_with("'''") {
            3
        } else {
            usize::from(raw.starts_with(['"', '\'']))
        };
        let inner = raw.get(quotes..raw.len().saturating_sub(quotes));
        let start = (inner == Some(text)).then_some(span.start + quotes);
        Self { text, span, start }
    }

    /// Where `part` of the text stands in the file, or all of it.
    pub(crate) fn part(&self, part: Range<usize>) -> Range<usize> {
        match self.start {
            Some(start) if part.end <= self.text.len() => start + part.start..start + part.end,
            _ => self.span.clone(),
        }
    }

    /// Where the value stands, with its quotes.
    pub(crate) fn span(&self) -> Range<usize> {
        self.span.clone()
    }
}

impl Reader<'_> {
    /// The value of `key`; none when it does not fit, which is reported.
    pub(super) fn value<'v>(
        &mut self,
        key: &'static Key,
        value: &'v Spanned<DeValue<'v>>,
    ) -> Option<Value<'v>> {
        if matches!(
            key.kind,
            Kind::Secret | Kind::Variables | Kind::Program | Kind::Headers | Kind::RunText
        ) {
            self.hide(value);
        }
        // A request that is no table may be its URL.
        if matches!((key.kind, value.get_ref()), (Kind::Table(section), DeValue::String(_))
            if std::ptr::eq(section, &CALL))
        {
            self.hide(value);
        }
        match (key.kind, value.get_ref()) {
            (Kind::Table(section), DeValue::Table(table)) => Some(Value::Table(section, table)),
            (Kind::Named(section), DeValue::Table(table)) => Some(Value::Named(section, table)),
            (Kind::Tables(_), DeValue::Array(list)) => self.tables(key, list),
            (Kind::Switch, DeValue::Boolean(switch)) => Some(Value::Switch(*switch)),
            (Kind::Integer(least, most), DeValue::Integer(_)) => {
                self.integer(key, value, least..=most).map(Value::Integer)
            }
            (Kind::Schedules, DeValue::Array(list)) => self.schedules(key, value.span(), list),
            (Kind::Command, DeValue::Array(list)) => self.command(key, value.span(), list),
            (Kind::Tags, DeValue::Array(list)) => self.tags(key, list),
            (Kind::Nodes, DeValue::Array(list)) => self.nodes(key, value.span(), list),
            (Kind::ExitCodes, DeValue::Array(list)) => {
                self.numbers(key, value.span(), list, 0..=255, "[0]").map(Value::Codes)
            }
            (Kind::Channels, DeValue::Array(list)) => self.texts(key, list).map(Value::Channels),
            (Kind::Program, DeValue::Array(list)) => {
                self.words(key, value.span(), list).map(Value::Program)
            }
            (Kind::Statuses, DeValue::Array(list)) => {
                self.numbers(key, value.span(), list, 200..=599, "[200]").map(Value::Statuses)
            }
            (Kind::Headers, DeValue::Table(table)) => {
                Some(Value::Headers(self.headers(key, table)))
            }
            (Kind::Variables, DeValue::Table(table)) => self.variables(key, table),
            (Kind::Store, DeValue::Array(list)) => {
                self.hide(value);
                self.servers(key, value.span(), list)
            }
            (kind, DeValue::String(text)) if takes_text(kind) => {
                let text = Quoted::new(self.text, text, value.span());
                self.text_value(key, text)
            }
            _ => {
                if matches!(key.kind, Kind::Tables(_)) {
                    self.hide(value);
                }
                self.wrong_type(key, value);
                None
            }
        }
    }

    fn text_value<'v>(&mut self, key: &'static Key, text: Quoted<'v>) -> Option<Value<'v>> {
        let span = text.span();
        if let Some(at) = text.text.find('\0') {
            let invalid = InvalidValue::new(at..at + 1, "this cannot hold a NUL character");
            self.refuse(key, text.part(invalid.span.clone()), invalid);
            return None;
        }
        let read = match key.kind {
            Kind::Duration(least, most, why) => duration::parse(text.text).and_then(|value| {
                if (least..=most).contains(&value) {
                    return Ok(Value::Duration(value));
                }
                let bound = if value < least {
                    format!("the least is {}", duration::Human(least))
                } else {
                    format!("the most is {}", duration::Human(most))
                };
                let message = format!("{} is out of bounds, {bound}", duration::Human(value));
                Err(InvalidValue::new(0..text.text.len(), message).help(why))
            }),
            Kind::Size(most, why) => size::parse(text.text).and_then(|value| {
                if value <= most {
                    return Ok(Value::Size(value));
                }
                let message = format!(
                    "{} is out of bounds, the most is {}",
                    size::Human(value),
                    size::Human(most)
                );
                Err(InvalidValue::new(0..text.text.len(), message).help(why))
            }),
            Kind::Name => name::check(text.text)
                .map(|()| Value::Text(text.text))
                .map_err(|error| invalid_name(text.text, &error)),
            Kind::Choice(words) => choice(text.text, words).map(Value::Text),
            Kind::Filter => filter(text.text).map(|()| Value::Text(text.text)),
            Kind::Zone => Zone::named(text.text).map(Value::Zone).map_err(|unknown| {
                let message = format!("there is no time zone {:?}", cited(&unknown.name));
                InvalidValue::new(0..text.text.len(), message).help(unknown.help())
            }),
            Kind::Umask => umask(text.text).map(Value::Mode),
            Kind::Account => account::check(text.text).map(|()| Value::Text(text.text)),
            Kind::Path => absolute(text.text).map(|()| Value::Text(text.text)),
            Kind::Listen => http::address(text.text).map(|_| Value::Text(text.text)),
            Kind::Shell if text.text.trim().is_empty() => {
                Err(InvalidValue::new(0..text.text.len(), "there is nothing to run"))
            }
            Kind::RunText => return Some(Value::RunText(text)),
            Kind::Schedules => return Some(Value::Schedules(vec![text])),
            Kind::Store | Kind::Text | Kind::Secret => return self.expandable(key, text),
            _ => return Some(Value::Text(text.text)),
        };
        match read {
            Ok(value) => Some(value),
            Err(invalid) => {
                let at =
                    if invalid.span.is_empty() { span } else { text.part(invalid.span.clone()) };
                self.refuse(key, at, invalid);
                None
            }
        }
    }

    pub(super) fn expandable<'v>(
        &mut self,
        key: &'static Key,
        text: Quoted<'v>,
    ) -> Option<Value<'v>> {
        if matches!(key.kind, Kind::Store) {
            for secret in secrets_in_address(text.text) {
                let at = self.spot(text.part(secret));
                self.report.hide(at);
            }
        }
        match expand(text.text, self.env) {
            Ok(expanded) => Some(Value::Expanded(text, expanded)),
            Err(errors) => {
                for invalid in errors {
                    self.refuse(key, text.part(invalid.span.clone()), invalid);
                }
                None
            }
        }
    }

    fn integer(
        &mut self,
        key: &'static Key,
        value: &Spanned<DeValue<'_>>,
        bounds: RangeInclusive<i64>,
    ) -> Option<i64> {
        let DeValue::Integer(digits) = value.get_ref() else { return None };
        let number = i64::from_str_radix(digits.as_str(), digits.radix());
        if let Ok(number) = number
            && bounds.contains(&number)
        {
            return Some(number);
        }
        let (least, most) = (bounds.start(), bounds.end());
        let what = match key.kind {
            Kind::ExitCodes => "an exit code",
            Kind::Statuses => "a status",
            _ => key.name,
        };
        self.error(value.span(), format!("{what} is a number from {least} to {most}"));
        None
    }
}

fn takes_text(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Table(_)
            | Kind::Named(_)
            | Kind::Tables(_)
            | Kind::Integer(..)
            | Kind::Switch
            | Kind::Command
            | Kind::Variables
            | Kind::ExitCodes
            | Kind::Tags
            | Kind::Nodes
            | Kind::Channels
            | Kind::Program
            | Kind::Headers
            | Kind::Statuses
    )
}
