//! From the tree of a TOML file to checked values, one section at a time.
//!
//! The [catalogue](super::catalogue) says which keys there are and what each
//! takes; whatever does not fit is reported, and the rest is read on.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Known;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::catalogue::{
    CALL, CLUSTER, DEFAULTS, HISTORY, HTTP, HTTP_TLS, HTTP_TOKEN, JOB, LOG, NOTIFY, REDIS, RETRY,
    ROOT,
};
use super::diagnostics::{Finding, Report, Spot};
use super::environment::Environment;
use super::excerpt::cited;
use super::invalid::InvalidValue;
use super::keys::{Key, Kind, Section};
use super::value::Value;

/// Reads one source.
pub(crate) struct Reader<'a> {
    /// Its text, or the part of it that is read.
    pub(super) text: &'a str,
    /// Where in the source that begins.
    pub(super) begins: usize,
    /// Its index.
    pub(super) source: usize,
    /// The name of the job or channel that is read; empty in [defaults].
    pub(super) job: String,
    pub(super) report: &'a mut Report,
    pub(super) env: &'a dyn Environment,
    /// Where each key of the sections that exist once was set, over all sources.
    pub(super) seen: &'a mut HashMap<(&'static str, &'static str), Spot>,
}

/// A key that is known and has a value that fits.
pub(crate) struct Entry<'v> {
    pub(crate) key: &'static Key,
    pub(crate) value: Value<'v>,
    /// Where the value stands.
    pub(crate) span: Range<usize>,
}

impl Reader<'_> {
    pub(crate) fn spot(&self, span: Range<usize>) -> Spot {
        let span = span.start + self.begins..span.end + self.begins;
        Spot { source: self.source, span }
    }

    pub(crate) fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Finding {
        let at = self.spot(span);
        self.report.error(at, message)
    }

    /// Reports that the value of `key` at `span` is refused.
    pub(crate) fn refuse(&mut self, key: &Key, span: Range<usize>, invalid: InvalidValue) {
        let finding = self.error(span, format!("`{}`: {}", key.name, invalid.message));
        finding.help.extend(invalid.help);
    }

    /// Everything that can be read of `table`.
    pub(crate) fn entries<'v>(
        &mut self,
        section: &'static Section,
        table: &'v DeTable<'v>,
    ) -> Vec<Entry<'v>> {
        let mut entries = Vec::with_capacity(table.len());
        for (name, value) in table {
            if let Some(key) = self.key(section, name, value)
                && let Some(read) = self.value(key, value)
            {
                entries.push(Entry { key, value: read, span: value.span() });
            }
        }
        entries
    }

    /// The key that is meant by `name`, if it may stand here.
    fn key(
        &mut self,
        section: &'static Section,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<&'static Key> {
        let Some(key) = section.find(name.get_ref()) else {
            self.unknown(section, name, value);
            return None;
        };
        if section.title == DEFAULTS.title && !key.common {
            self.error(name.span(), format!("`{}` cannot stand in [defaults]", key.name))
                .help("it says what one job is: give it in [jobs.NAME]");
            return None;
        }
        // A table with keys of its own is no value, and may come in pieces.
        let pieces = matches!(key.kind, Kind::Table(inner) if inner.once);
        if section.once && !pieces {
            let at = self.spot(name.span());
            match self.seen.entry((section.title, key.name)) {
                Known::Vacant(free) => {
                    free.insert(at);
                }
                Known::Occupied(first) => {
                    let first = first.get().clone();
                    self.report
                        .error(at, format!("`{}` of {} is set twice", key.name, section.title))
                        .help("keep one of the two")
                        .related("first declared at", first);
                    return None;
                }
            }
        }
        Some(key)
    }

    /// Reports a key that nobody knows, with what may have been meant.
    fn unknown(
        &mut self,
        section: &'static Section,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) {
        let given = name.get_ref().as_ref();
        let meant = nearest(section, given);
        let home = home_of(section, given);
        // What nobody knows may be a secret that lost its way.
        if meant.or(home.map(|(key, _)| key)).is_none_or(Key::may_be_secret) {
            self.hide(value);
        }
        let shown = cited(given);
        let (what, place) = if section.title == ROOT.title {
            match value.get_ref() {
                DeValue::Table(_) => (format!("unknown table `[{shown}]`"), String::new()),
                _ => (format!("unknown key `{shown}`"), " outside of a table".to_owned()),
            }
        } else {
            let title = match section.title {
                title if title == JOB.title => format!("[jobs.{}]", cited(&self.job)),
                title if title == CALL.title => format!("[jobs.{}.http]", cited(&self.job)),
                title if title == NOTIFY.title => format!("[notify.{}]", cited(&self.job)),
                title if title == RETRY.title && self.job.is_empty() => {
                    "[defaults.retry]".to_owned()
                }
                title if title == RETRY.title => format!("[jobs.{}.retry]", cited(&self.job)),
                title => title.to_owned(),
            };
            (format!("unknown key `{shown}`"), format!(" in {title}"))
        };
        let finding = self.error(name.span(), what + &place);
        if let Some(key) = meant {
            finding.help(format!("did you mean `{}`?", key.name));
        } else if let Some((_, home)) = home {
            finding.help(format!("`{shown}` belongs in {home}"));
        } else {
            let keys = section.keys.iter().map(|key| key.name);
            finding.help(format!("the keys here are {}", keys.collect::<Vec<_>>().join(", ")));
        }
    }

    /// Keeps all text in `value` from being shown.
    pub(crate) fn hide(&mut self, value: &Spanned<DeValue<'_>>) {
        match value.get_ref() {
            DeValue::Table(table) => table.values().for_each(|value| self.hide(value)),
            DeValue::Array(values) => values.iter().for_each(|value| self.hide(value)),
            _ => {
                let span = self.inside_quotes(value.span());
                let at = self.spot(span);
                self.report.hide(at);
            }
        }
    }

    /// `span` of a value without the quotes around it.
    fn inside_quotes(&self, span: Range<usize>) -> Range<usize> {
        let raw = &self.text[span.clone()];
        for quote in ["\"\"\"", "'''", "\"", "'"] {
            if raw.len() >= 2 * quote.len() && raw.starts_with(quote) && raw.ends_with(quote) {
                return span.start + quote.len()..span.end - quote.len();
            }
        }
        span
    }
}

/// The key of `section` that is most like `name`, when one is like it at all.
fn nearest(section: &Section, name: &str) -> Option<&'static Key> {
    let lower = name.to_lowercase().replace('-', "_");
    if lower.len() > 40 {
        return None;
    }
    let allowed = |key: &&Key| section.title != DEFAULTS.title || key.common;
    let keys = || section.keys.iter().filter(allowed);
    if let Some(key) = keys().find(|key| key.name == lower || key.also.contains(&lower.as_str())) {
        return Some(key);
    }
    let likeness = |key: &Key| strsim::damerau_levenshtein(&lower, key.name);
    keys()
        .map(|key| (likeness(key), key))
        .filter(|(mistakes, key)| *mistakes <= (key.name.len() / 3).clamp(1, 3))
        .min_by_key(|(mistakes, _)| *mistakes)
        .map(|(_, key)| key)
}

/// The section in which `name` is known, and the key there.
fn home_of(section: &Section, name: &str) -> Option<(&'static Key, &'static str)> {
    if section.title != JOB.title
        && let Some(key) = JOB.find(name)
    {
        return Some((key, if key.common { "[defaults] or [jobs.NAME]" } else { JOB.title }));
    }
    [&CLUSTER, &HISTORY, &REDIS, &HTTP, &HTTP_TLS, &HTTP_TOKEN, &LOG, &RETRY, &NOTIFY, &CALL]
        .into_iter()
        .filter(|other| other.title != section.title)
        .find_map(|other| other.find(name).map(|key| (key, other.title)))
}
