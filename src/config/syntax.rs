//! TOML that is not TOML: every mistake of the grammar, in plain words, and how
//! far each one spoils what was read around it.
//!
//! The parser goes on behind a mistake with a guess, so that the rest of the
//! file can be checked in the same go. What follows only from such a guess must
//! not be reported: it would vanish with the mistake itself.

use std::collections::HashMap;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::catalogue::{CLUSTER, HISTORY, JOB, LOG};
use super::diagnostics::{Finding, Report, Spot};
use super::excerpt::cited;

/// The parts of a source that the parser had to guess about.
#[derive(Debug, Default)]
pub(crate) struct Damage {
    /// Findings that begin here follow from a guess; in order and apart.
    guessed: Vec<Range<usize>>,
    /// Where the mistakes are, in order.
    mistakes: Vec<usize>,
}

impl Damage {
    /// Whether `finding` may only follow from a mistake of the grammar.
    pub(crate) fn explains(&self, finding: &Finding, text: &str) -> bool {
        let at = finding.at.span.start;
        let next = self.guessed.partition_point(|range| range.end < at);
        if self.guessed.get(next).is_some_and(|range| range.start <= at) {
            return true;
        }
        // What a table lacks may be what could not be read of it.
        let next = self.mistakes.partition_point(|mistake| *mistake < at);
        finding.absence
            && self
                .mistakes
                .get(next)
                .is_some_and(|mistake| *mistake <= next_header(text, finding.at.span.end))
    }

    fn guess(&mut self, range: Range<usize>) {
        match self.guessed.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.guessed.push(range),
        }
    }
}

/// Parses `text`, with which the source `index` begins, as far as possible; reports what is
/// wrong with it.
pub(crate) fn parse<'s>(index: usize, text: &'s str, report: &mut Report) -> (DeTable<'s>, Damage) {
    let (tree, errors) = DeTable::parse_recoverable(text);
    let tree = tree.into_inner();
    let mut damage = Damage::default();
    if errors.is_empty() {
        return (tree, damage);
    }
    let mut errors: Vec<(Range<usize>, &str)> = errors
        .iter()
        .map(|error| (clamp(error.span().unwrap_or(0..0), text), error.message()))
        .collect();
    errors.sort_by_key(|(span, _)| span.start);
    let unclosed: Vec<usize> = errors
        .iter()
        .filter(|(_, message)| *message == UNCLOSED_ARRAY)
        .map(|(span, _)| span.start)
        .collect();
    let places = Places::new(&tree, text);
    let mut skip_until = 0;
    let mut last_bad_key = usize::MAX;
    for (span, message) in errors {
        if span.start < skip_until {
            continue;
        }
        let at = Spot { source: index, span: span.clone() };
        let line = line_around(text, &span);
        // A line that is no key reads as many bad ones: the first says it all.
        let of_key = message.contains("unquoted key") || message.starts_with("key with no value");
        if of_key && line.contains(&last_bad_key) {
            continue;
        }
        if of_key {
            last_bad_key = span.start;
        }
        damage.mistakes.push(span.start);
        if let Some(unsure) = unsure_part(text, &line) {
            report.hide(Spot { source: index, span: unsure });
        } else if message.starts_with(SURPLUS) {
            report.hide(Spot { source: index, span: span.start..line.end });
        }
        // Behind an array that is not closed everything reads as its elements.
        let next = unclosed.partition_point(|end| *end < span.start);
        if message.starts_with("missing comma between array elements")
            && let Some(end) = unclosed.get(next)
        {
            skip_until = end + 1;
            damage.guess(line.start..next_header(text, *end));
            report
                .error(at, "this array is not closed before here")
                .help("end it with `]`, or put a `,` between two elements");
            continue;
        }
        let mistake = Mistake::of(message, text, &line, &span);
        match mistake.spoils {
            Spoils::Nothing => {}
            Spoils::Line => damage.guess(line),
            Spoils::Table => damage.guess(line.start..next_header(text, line.end)),
        }
        let finding = report.error(at, mistake.message);
        finding.help.extend(mistake.help);
        if mistake.twice
            && let Some(first) = places.before(&span)
        {
            finding.related("first declared at", Spot { source: index, span: first });
        }
    }
    (tree, damage)
}

/// Something behind a value, which may have lost the key that says what it is.
const SURPLUS: &str = "unexpected key or value";

const UNCLOSED_ARRAY: &str = "unclosed array, expected `]`";

/// A mistake in plain words.
struct Mistake {
    message: String,
    help: Option<String>,
    spoils: Spoils,
    /// It is about something that is there already.
    twice: bool,
}

/// How much had to be guessed because of a mistake.
enum Spoils {
    Nothing,
    Line,
    /// The line, and whose keys follow up to the next header.
    Table,
}

impl Mistake {
    fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, spoils: Spoils::Line, twice: false }
    }

    fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    fn header(message: &str) -> Self {
        Self { spoils: Spoils::Table, ..Self::new(message) }
    }

    /// The parser's `message` about `span` in `line`, as one would say it.
    fn of(message: &str, text: &str, line: &Range<usize>, span: &Range<usize>) -> Self {
        let found = &text[span.clone()];
        let shown = cited(found.lines().next().unwrap_or_default());
        let begins = |with: &str| message.starts_with(with);
        if begins("string values must be quoted")
            || begins("invalid boolean")
            || begins("invalid float")
            || begins("invalid integer")
        {
            let known = may_be_shown(&text[line.start..span.start]);
            return Self::of_bare_word(found, known.then_some(shown));
        }
        match message {
            "duplicate key" => Self {
                spoils: Spoils::Nothing,
                twice: true,
                ..Self::new(format!("`{shown}` is there already")).help("keep one of the two")
            },
            UNCLOSED_ARRAY => Self::new("this array is never closed").help("end it with `]`"),
            _ if begins("invalid unquoted key") => {
                Self::header("a key without quotes has only letters, digits, `-` and `_`")
            }
            _ if begins("invalid key-value pair") => {
                Self::header("this is neither a key nor a header")
            }
            _ if begins("unexpected leading zero") => {
                let mistake = Self::new("a number does not begin with 0");
                if may_be_shown(&text[line.start..span.start]) {
                    let number = cited(word_at(text, span.start));
                    mistake.help(format!("write \"{number}\" if it is not one"))
                } else {
                    mistake.help("put it in quotes if it is not one")
                }
            }
            _ if begins("invalid basic string, expected `\"`") => {
                Self::new("this text is never closed").help("end it with \"")
            }
            _ if begins("invalid literal string, expected `'`") => {
                Self::new("this text is never closed").help("end it with '")
            }
            _ if begins("invalid multi-line") => {
                Self::new("this text is never closed").help("end it as it began, with three quotes")
            }
            _ if begins("unclosed table") => {
                Self::header("this header is never closed").help("end it with `]`")
            }
            _ if begins("unclosed array of tables") || begins("unclosed array table") => {
                Self::header("this header is never closed").help("end it with `]]`")
            }
            _ if begins("missing table open") => Self::header("a `[` is missing here"),
            _ if begins("unclosed inline table") => {
                Self::new("this table is never closed").help("end it with `}`")
            }
            _ if begins(SURPLUS) => Self::new("a line ends behind its value, and this one goes on"),
            _ if begins("missing comma between") => Self::new("a `,` is missing here"),
            _ if begins("key with no value") => Self::new("a key is followed by `=` and a value")
                .help("a key that holds blanks or other signs needs quotes"),
            _ if begins("unquoted keys cannot be empty") => Self::header("a key is missing here"),
            _ if begins("missing escaped value") => {
                Self::new("a backslash begins an escape such as \\n, and this is none")
                    .help("write \\\\ for a backslash, or put the text in '…'")
            }
            _ if message.contains("visible characters") => {
                Self::new("a text cannot hold this character as it is")
                    .help("write it as an escape such as \\u001B, in \"…\"")
            }
            _ if begins("cannot extend value of type ") => Self {
                twice: true,
                ..Self::header(&format!("`{shown}` has a value already, so it cannot be a table"))
            },
            _ => Self::new(message),
        }
    }

    /// About a word without quotes, which is `shown` when it is no secret.
    fn of_bare_word(found: &str, shown: Option<String>) -> Self {
        if found.trim().is_empty() {
            return Self::new("a value is missing here");
        }
        match (near_boolean(found), shown) {
            (Some(word), _) => {
                Self::new("this is not a value").help(format!("did you mean {word}?"))
            }
            (None, Some(shown)) => {
                Self::new(format!("`{shown}` needs quotes")).help(format!("write \"{shown}\""))
            }
            (None, None) => Self::new("a text needs quotes").help("put it in \"…\""),
        }
    }
}

/// The part of `line` that may be a secret: what is given to a key that is not
/// known to hold none, or all of a line that gives nothing to any key. What the
/// grammar makes of such a line cannot be relied on.
fn unsure_part(text: &str, line: &Range<usize>) -> Option<Range<usize>> {
    let shown = &text[line.clone()];
    let indent = shown.len() - shown.trim_start().len();
    let header = shown[indent..].starts_with('[');
    let in_a_key = |c: char| c.is_alphanumeric() || "_-. \t\"'".contains(c);
    let key_end = shown[indent..].find([' ', '\t', '=']).map_or(shown.len(), |end| indent + end);
    let from = match shown.find('=') {
        _ if may_be_shown(&shown[indent..key_end]) => return None,
        Some(sign) if header || shown[..sign].chars().all(in_a_key) => sign + 1,
        None if header && shown.chars().all(|c| in_a_key(c) || "[]#".contains(c)) => return None,
        _ => indent,
    };
    let start = from + shown[from..].len() - shown[from..].trim_start().len();
    let end = shown.trim_end().len();
    (start < end).then(|| line.start + start..line.start + end)
}

/// Whether what is given to the key in `before` can be repeated in a message: not
/// unless it is known to be no secret.
fn may_be_shown(before: &str) -> bool {
    let name = before.trim().trim_end_matches('=').trim_end();
    [&CLUSTER, &HISTORY, &LOG, &JOB]
        .into_iter()
        .filter_map(|section| section.find(name))
        .any(|key| !key.may_be_secret())
}

/// `True` or `yes` for someone who meant `true`.
pub(super) fn near_boolean(text: &str) -> Option<&'static str> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "ture" => Some("true"),
        "false" | "no" | "off" | "flase" => Some("false"),
        _ => None,
    }
}

fn clamp(span: Range<usize>, text: &str) -> Range<usize> {
    let inside = |at: usize| {
        (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
    };
    let start = inside(span.start);
    start..inside(span.end).max(start)
}

fn line_around(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
    let end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
    start..end
}

/// Where the next line behind `at` begins that opens a table, or the end.
fn next_header(text: &str, at: usize) -> usize {
    text[at..].find("\n[").map_or(text.len(), |found| at + found)
}

fn word_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    &rest[..rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())]
}

/// Where each key was given, for the mistakes that are about giving it twice.
struct Places<'s> {
    text: &'s str,
    /// The keys of the tree by name.
    keys: HashMap<&'s str, Vec<Range<usize>>>,
    /// The first header of each text, and where its `[` stands.
    headers: HashMap<&'s str, usize>,
}

impl<'s> Places<'s> {
    fn new(tree: &'s DeTable<'_>, text: &'s str) -> Self {
        let mut keys = HashMap::new();
        keys_of(tree, &mut keys);
        let mut headers = HashMap::new();
        let mut at = 0;
        for line in text.split_inclusive('\n') {
            if let Some((open, header)) = header_in(line) {
                headers.entry(header).or_insert(at + open);
            }
            at += line.len();
        }
        Self { text, keys, headers }
    }

    /// Where the key at `span` stood before.
    fn before(&self, span: &Range<usize>) -> Option<Range<usize>> {
        let line = line_around(self.text, span);
        if let Some((open, header)) = header_in(&self.text[line.clone()]) {
            // The parser keeps only the later one of two headers.
            let start = self.headers.get(header)? + span.start - line.start - open;
            let first = start..start + span.len();
            return (first.start < span.start && self.text.get(first.clone()).is_some())
                .then_some(first);
        }
        let name = self.text[span.clone()].trim_matches(['"', '\'']);
        let begins_line =
            |at: usize| self.text[line_around(self.text, &(at..at)).start..at].trim().is_empty();
        self.keys
            .get(name)?
            .iter()
            .filter(|place| place.start < span.start)
            .filter(|place| begins_line(place.start) == begins_line(span.start))
            .max_by_key(|place| place.start)
            .cloned()
    }
}

/// Where a header begins in `line`, and its text up to the first `]`.
fn header_in(line: &str) -> Option<(usize, &str)> {
    let open = line.len() - line.trim_start().len();
    let header = &line[open..];
    let close = header.find(']')? + 1;
    header.starts_with('[').then(|| (open, &header[..close]))
}

fn keys_of<'s>(table: &'s DeTable<'_>, keys: &mut HashMap<&'s str, Vec<Range<usize>>>) {
    for (key, value) in table {
        keys.entry(key.get_ref()).or_default().push(key.span());
        keys_within(value.get_ref(), keys);
    }
}

fn keys_within<'s>(value: &'s DeValue<'_>, keys: &mut HashMap<&'s str, Vec<Range<usize>>>) {
    match value {
        DeValue::Table(table) => keys_of(table, keys),
        DeValue::Array(values) => {
            values.iter().for_each(|value| keys_within(value.get_ref(), keys));
        }
        _ => {}
    }
}
