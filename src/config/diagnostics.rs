//! What a config's reader is told: errors and warnings, each at its place.
//!
//! Two forms, because line and column cost time: a [`Finding`] is what a pass
//! reports, a byte range in a source; a [`Diagnostic`] is what people see, with
//! line, column and the line itself. Only findings that exist are located.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::excerpt::{Excerpt, excerpt, visible};
use super::secret::{secrets_in_line, without_references};
use super::source::Source;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The config cannot be used.
    Error,
    /// It can, but it may not mean what its writer thinks.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a file, as editors count: from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as it was named.
    pub path: Arc<Path>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

/// `PATH:LINE:COL`
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = visible(&self.path.display().to_string());
        write!(f, "{path}:{}:{}", self.line, self.column)
    }
}

/// One error or warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where it begins.
    pub place: Place,
    /// The offending bytes of the file.
    pub span: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right, a line each.
    pub help: Vec<String>,
    /// Another place that has to do with it, and how.
    pub related: Option<(String, Place)>,
    /// The line, when there is one to show.
    pub excerpt: Option<Excerpt>,
}

/// Everything wrong with a config, in the order of its files and lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.0.iter().filter(|found| found.severity == Severity::Error).count()
    }

    /// How many warnings there are.
    pub fn warnings(&self) -> usize {
        self.0.len() - self.errors()
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `10 errors and 1 warning in 2 files`
    pub fn summary(&self) -> String {
        let mut paths: Vec<&Path> = self.0.iter().map(|found| &*found.place.path).collect();
        paths.sort_unstable();
        paths.dedup();
        let count = |number: usize, word: &str| match number {
            1 => format!("1 {word}"),
            _ => format!("{number} {word}s"),
        };
        let files = count(paths.len(), "file");
        match (self.errors(), self.warnings()) {
            (errors, 0) => format!("{} in {files}", count(errors, "error")),
            (0, warnings) => format!("{} in {files}", count(warnings, "warning")),
            (errors, warnings) => {
                format!("{} and {} in {files}", count(errors, "error"), count(warnings, "warning"))
            }
        }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// What a pass reports: bytes of a source, not yet a line and a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    pub(crate) at: Spot,
    pub(crate) message: String,
    pub(crate) help: Vec<String>,
    pub(crate) related: Option<(String, Spot)>,
    /// It is about something that is not there, so a broken neighbour may be why.
    pub(crate) absence: bool,
}

impl Finding {
    pub(crate) fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help.push(help.into());
        self
    }

    pub(crate) fn related(&mut self, text: impl Into<String>, at: Spot) -> &mut Self {
        self.related = Some((text.into(), at));
        self
    }
}

/// Bytes of one of the sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spot {
    /// Which source, by its index.
    pub(crate) source: usize,
    pub(crate) span: Range<usize>,
}

/// Collects what the passes find.
#[derive(Debug, Clone, Default)]
pub(crate) struct Report {
    pub(crate) findings: Vec<Finding>,
    /// Where the sources hold secrets: never shown, whatever is wrong beside them.
    secrets: Vec<Spot>,
}

impl Report {
    pub(crate) fn error(&mut self, at: Spot, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Error, at, message.into())
    }

    pub(crate) fn warning(&mut self, at: Spot, message: impl Into<String>) -> &mut Finding {
        self.add(Severity::Warning, at, message.into())
    }

    fn add(&mut self, severity: Severity, at: Spot, message: String) -> &mut Finding {
        let help = Vec::new();
        let index = self.findings.len();
        self.findings.push(Finding { severity, at, message, help, related: None, absence: false });
        &mut self.findings[index]
    }

    /// Keeps the text at `at` out of everything that is shown.
    pub(crate) fn hide(&mut self, at: Spot) {
        self.secrets.push(at);
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Locates every finding. Whatever a text of it cites, nothing in there does anything
    /// to a terminal.
    pub(crate) fn locate(mut self, sources: &[Source]) -> Diagnostics {
        self.findings.sort_by(|a, b| {
            (a.at.source, a.at.span.start, a.severity).cmp(&(
                b.at.source,
                b.at.span.start,
                b.severity,
            ))
        });
        self.findings.dedup_by(|b, a| a.at == b.at && a.message == b.message);
        let mut lines: Vec<Option<Lines<'_>>> = sources.iter().map(|_| None).collect();
        let mut secrets: Vec<Vec<Range<usize>>> = sources.iter().map(|_| Vec::new()).collect();
        for secret in self.secrets {
            secrets[secret.source].push(secret.span);
        }
        secrets.iter_mut().for_each(|known| known.sort_by_key(|secret| secret.start));
        let located = self.findings.into_iter().map(|finding| {
            let related =
                finding.related.map(|(text, at)| (visible(&text), place(sources, &mut lines, &at)));
            Diagnostic {
                severity: finding.severity,
                place: place(sources, &mut lines, &finding.at),
                excerpt: lines[finding.at.source]
                    .as_ref()
                    .and_then(|lines| lines.excerpt(&finding.at.span, &secrets[finding.at.source])),
                span: finding.at.span,
                message: visible(&finding.message),
                help: finding.help.iter().map(|help| visible(help)).collect(),
                related,
            }
        });
        Diagnostics(located.collect())
    }
}

fn place<'s>(sources: &'s [Source], lines: &mut [Option<Lines<'s>>], at: &Spot) -> Place {
    let source = &sources[at.source];
    let (line, column) =
        lines[at.source].get_or_insert_with(|| Lines::new(&source.text)).position(at.span.start);
    Place { path: source.path.clone(), line, column }
}

/// Where the lines of a source begin.
struct Lines<'s> {
    text: &'s str,
    starts: Vec<usize>,
    /// The last place that was asked for and its column: places come in order,
    /// so even one line of many megabytes is counted only once.
    last: (usize, usize),
}

impl<'s> Lines<'s> {
    fn new(text: &'s str) -> Self {
        let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        Self { text, starts: starts.collect(), last: (0, 1) }
    }

    /// The line and the column of the byte `at`, from 1.
    fn position(&mut self, at: usize) -> (usize, usize) {
        let at = (0..=at.min(self.text.len()))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))
            .unwrap_or(0);
        let line = self.starts.partition_point(|start| *start <= at);
        let start = self.starts[line - 1];
        let (from, column) =
            if (start..=at).contains(&self.last.0) { self.last } else { (start, 1) };
        let column = column + self.text[from..at].chars().count();
        self.last = (at, column);
        (line, column)
    }

    fn excerpt(&self, span: &Range<usize>, secrets: &[Range<usize>]) -> Option<Excerpt> {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = *self.starts.get(line - 1)?;
        let end = self.starts.get(line).map_or(self.text.len(), |next| next - 1);
        let end = start + self.text.get(start..end)?.trim_end_matches('\r').len();
        if start == end && self.text.trim().is_empty() {
            return None;
        }
        // A line may be a whole file, and nothing that far from the place is shown.
        const REACH: usize = 16 * 1024;
        let from = (start..=span.start.saturating_sub(REACH).max(start))
            .rev()
            .find(|at| self.text.is_char_boundary(*at))?;
        let to = (span.start.saturating_add(REACH).min(end)..=end)
            .find(|at| self.text.is_char_boundary(*at))?;
        let first = secrets.partition_point(|secret| secret.end <= from);
        let known = secrets[first..].iter().take_while(|secret| secret.start < to);
        let mut secrets: Vec<Range<usize>> = known.cloned().collect();
        let guessed = secrets_in_line(&self.text[from..to]);
        secrets.extend(guessed.into_iter().map(|secret| secret.start + from..secret.end + from));
        let secrets = without_references(self.text, secrets);
        Some(excerpt(self.text, start..end, span.clone(), &secrets))
    }
}
