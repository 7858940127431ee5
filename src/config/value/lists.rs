//! Lists: of texts and of numbers, and what is read from such.

use std::ops::{Range, RangeInclusive};

use toml::de::{DeArray, DeValue};

use super::{Quoted, Value};
use crate::config::excerpt::cited;
use crate::config::expand::Expanded;
use crate::config::invalid::InvalidValue;
use crate::config::keys::Key;
use crate::config::mismatch::article;
use crate::config::reader::Reader;
use crate::config::text::invalid_name;
use crate::name;
use crate::policy::{InvalidPattern, NodePattern, NodePatterns};

impl Reader<'_> {
    /// The addresses of the servers of a quorum, as one with commas between.
    pub(super) fn servers<'v>(
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

    /// The texts of `list`; none when one is not a text.
    pub(super) fn texts<'v>(
        &mut self,
        key: &'static Key,
        list: &'v DeArray<'v>,
    ) -> Option<Vec<Quoted<'v>>> {
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
    pub(super) fn tables<'v>(
        &mut self,
        key: &'static Key,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
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

    pub(super) fn schedules<'v>(
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

    pub(super) fn command<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
        let words = self.words(key, span, list)?;
        Some(Value::Words(words.iter().map(|word| word.text).collect()))
    }

    /// The words of a program and its arguments.
    pub(super) fn words<'v>(
        &mut self,
        key: &'static Key,
        span: Range<usize>,
        list: &'v DeArray<'v>,
    ) -> Option<Vec<Quoted<'v>>> {
        let words = self.texts(key, list)?;
        match words.first() {
            Some(program) if !program.text.trim().is_empty() => {
                if is_a_line(program.text) {
                    let at = self.spot(program.span());
                    self.report
                        .warning(at, "`command`: the name of the program has blanks in it")
                        .help("each argument is a text of its own; a line is for `shell`");
                }
                Some(words)
            }
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

    pub(super) fn tags<'v>(
        &mut self,
        key: &'static Key,
        list: &'v DeArray<'v>,
    ) -> Option<Value<'v>> {
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

    pub(super) fn nodes<'v>(
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
    pub(super) fn numbers<N: TryFrom<i64> + Ord>(
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
}

/// Whether a program's name looks like a line with its arguments. Folders may have blanks in
/// their names.
fn is_a_line(program: &str) -> bool {
    program.contains(" -") || (program.contains(' ') && !program.starts_with('/'))
}
