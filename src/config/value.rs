//! One value, by the kind that its key says.

use std::ops::{Range, RangeInclusive};

use hyper::header::HeaderName;
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::catalogue::CALL;
use super::excerpt::cited;
use super::expand::{Expanded, expand};
use super::invalid::InvalidValue;
use super::keys::{Key, Kind, Section};
use super::mismatch::article;
use super::reader::Reader;
use super::secret::secrets_in_address;
use super::text::{absolute, choice, filter, invalid_name, umask};
use super::{account, duration, http, size};
use crate::name;
use crate::policy::{InvalidPattern, NodePattern, NodePatterns};
use crate::request;
use crate::schedule::Zone;
use crate::table::Variable;

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

    /// The addresses of the servers of a quorum, as one with commas between.
    fn servers<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
        let mut addresses = Vec::with_capacity(list.len());
        let mut changed = false;
        for value in list {
            let DeValue::String(text) = value.get_ref() else {
                self.error(value.span(), "a server of a quorum is a text: \"redis://HOST\"");
                return None;
            };
            let text = Quoted::new(self.text, text, value.span());
            let Some(Value::Expanded(_, address)) = self.expandable(key, text) else {
                return None;
            };
            changed |= address.changed;
            addresses.push(address.text);
        }
        let whole = Quoted { text: "", span, start: None };
        Some(Value::Expanded(whole, Expanded { text: addresses.join(","), changed }))
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

    /// The texts of `list`; none when one is not a text.
    fn texts<'v>(&mut self, key: &'static Key, list: &'v DeArray<'v>) -> Option<Vec<Quoted<'v>>> {
        let mut texts = Vec::with_capacity(list.len());
        for value in list {
            match value.get_ref() {
                DeValue::String(text) => {
                    let text = Quoted::new(self.text, text, value.span());
                    if let Some(at) = text.text.find('\0') {
                        let invalid =
                            InvalidValue::new(at..at + 1, "this cannot hold a NUL character");
                        self.refuse(key, text.part(invalid.span.clone()), invalid);
                    } else {
                        texts.push(text);
                    }
                }
                other => {
                    let is = article(other.type_str());
                    let raw = cited(&self.text[value.span()]);
                    let finding = self.error(
                        value.span(),
                        format!("`{}` is a list of texts, and this is {is}", key.name),
                    );
                    if matches!(
                        other,
                        DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_)
                    ) {
                        finding.help(format!("write \"{raw}\""));
                    }
                }
            }
        }
        (texts.len() == list.len()).then_some(texts)
    }

    /// The tables of `list`; none when one is not a table.
    fn tables<'v>(&mut self, key: &'static Key, list: &'v DeArray<'v>) -> Option<Value<'v>> {
        let mut tables = Vec::with_capacity(list.len());
        for value in list {
            match value.get_ref() {
                DeValue::Table(table) => tables.push((table, value.span())),
                other => {
                    self.hide(value);
                    let is = article(other.type_str());
                    self.error(
                        value.span(),
                        format!("`{}` is a list of tables, and this is {is}", key.name),
                    );
                }
            }
        }
        Some(Value::Tables(tables))
    }

    fn schedules<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
        if list.is_empty() {
            self.error(span, "`schedule` is an empty list: the job would never run")
                .help("to keep a job from running, set `enabled = false`");
            return None;
        }
        self.texts(key, list).map(Value::Schedules)
    }

    fn command<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
        let words = self.words(key, span, list)?;
        Some(Value::Words(words.iter().map(|word| word.text).collect()))
    }

    /// The words of a program and its arguments.
    fn words<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Vec<Quoted<'v>>> {
        let words = self.texts(key, list)?;
        match words.first() {
            Some(program) if !program.text.trim().is_empty() => Some(words),
            Some(program) => {
                self.error(program.span(), "`command`: the program has no name");
                None
            }
            None => {
                self.error(span, "`command` is an empty list: there is nothing to run")
                    .help("write the program and its arguments: [\"/usr/bin/backup\", \"--full\"]");
                None
            }
        }
    }

    fn headers<'v>(&mut self, key: &'static Key, table: &'v DeTable<'v>) -> Vec<HeaderText<'v>> {
        let mut headers = Vec::with_capacity(table.len());
        for (name, value) in table {
            let known = match request::header_name(name.get_ref()) {
                Ok(known) => known,
                Err(why) => {
                    self.refuse(key, name.span(), InvalidValue::new(0..0, why));
                    continue;
                }
            };
            let DeValue::String(text) = value.get_ref() else {
                let is = article(value.get_ref().type_str());
                self.error(value.span(), format!("a header is a text, and this is {is}"))
                    .help("put it in quotes");
                continue;
            };
            let value = Quoted::new(self.text, text, value.span());
            headers.push(HeaderText { name: known, value });
        }
        headers
    }

    fn tags<'v>(&mut self, key: &'static Key, list: &'v DeArray<'v>) -> Option<Value<'v>> {
        let mut words = Vec::with_capacity(list.len());
        for tag in self.texts(key, list)? {
            match name::check(tag.text) {
                Ok(()) => words.push(tag.text),
                Err(error) => {
                    let invalid = invalid_name(tag.text, &error);
                    let at = if tag.text.is_empty() {
                        tag.span()
                    } else {
                        tag.part(invalid.span.clone())
                    };
                    self.refuse(key, at, invalid);
                }
            }
        }
        words.sort_unstable();
        words.dedup();
        Some(Value::Words(words))
    }

    fn nodes<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
        if list.is_empty() {
            self.error(span, "`nodes` is an empty list: no node could run it")
                .help("to keep a job from running, set `enabled = false`");
            return None;
        }
        let mut patterns = Vec::with_capacity(list.len());
        for text in self.texts(key, list)? {
            match NodePattern::new(text.text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => {
                    let at = match error {
                        InvalidPattern::Empty => text.span(),
                        InvalidPattern::TooLong(_) => text.part(0..text.text.len()),
                        InvalidPattern::BadStart(bad) => text.part(0..bad.len_utf8()),
                        InvalidPattern::BadCharacter(bad) => {
                            let at = text.text.find(bad).unwrap_or(0);
                            text.part(at..at + bad.len_utf8())
                        }
                    };
                    let help = "write names, `*` for any run of characters, `?` for one: \"web-*\"";
                    let invalid = InvalidValue::new(0..0, error.to_string()).help(help);
                    self.refuse(key, at, invalid);
                }
            }
        }
        (patterns.len() == list.len()).then(|| Value::Nodes(NodePatterns::new(patterns)))
    }

    /// A list of numbers within `bounds`, each once and in order; what it may be is `such`.
    fn numbers<N: TryFrom<i64> + Ord>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &DeArray<'_>,
        bounds: RangeInclusive<i64>,
        such: &str,
    ) -> Option<Vec<N>> {
        if list.is_empty() {
            self.error(span, format!("`{}` is an empty list: no run could succeed", key.name))
                .help(format!("write {such}"));
            return None;
        }
        let mut numbers = Vec::with_capacity(list.len());
        for value in list {
            match value.get_ref() {
                DeValue::Integer(_) => {
                    let number = self.integer(key, value, bounds.clone());
                    numbers.extend(number.and_then(|number| N::try_from(number).ok()));
                }
                other => {
                    let is = article(other.type_str());
                    let said = format!("`{}` is a list of numbers, and this is {is}", key.name);
                    self.error(value.span(), said);
                }
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        (!numbers.is_empty()).then_some(numbers)
    }

    fn variables<'v>(&mut self, key: &'static Key, table: &'v DeTable<'v>) -> Option<Value<'v>> {
        let mut variables = Vec::with_capacity(table.len());
        for (name, value) in table {
            if let Err(invalid) = account::check_variable(name.get_ref()) {
                self.refuse(key, name.span(), invalid);
                continue;
            }
            let DeValue::String(text) = value.get_ref() else {
                let is = article(value.get_ref().type_str());
                self.error(value.span(), format!("a variable is a text, and this is {is}"))
                    .help("put it in quotes");
                continue;
            };
            let text = Quoted::new(self.text, text, value.span());
            if let Some(Value::Expanded(text, value)) = self.expandable(key, text) {
                if value.text.contains('\0') {
                    self.error(text.span(), "a variable cannot hold a NUL character");
                    continue;
                }
                variables.push(Variable {
                    name: name.get_ref().as_ref().into(),
                    value: value.text.into(),
                    local: value.changed,
                });
            }
        }
        Some(Value::Variables(variables))
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
