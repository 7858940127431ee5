//! Loading: the passes in their order.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::catalogue::{DEFAULTS, HTTP, NOTIFY, ROOT};
use super::cluster::{Given, Outside, Settings};
use super::diagnostics::{Diagnostics, Report, Spot};
use super::environment::Environment;
use super::job::Defaults;
use super::notify::Directory;
use super::parts;
use super::reader::Reader;
use super::source::{Source, gather};
use super::syntax::{self, Damage};
use super::value::Value;
use super::{Config, LogFormat, http};
use crate::table::{Job, JobTable};

/// What to load.
#[derive(Debug, Clone, Default)]
pub struct Load {
    /// Files, or directories of `*.toml`; when empty, the first of
    /// [`SEARCHED`](super::SEARCHED).
    pub paths: Vec<PathBuf>,
    /// What goes over the files.
    pub overrides: Overrides,
}

/// Settings from flags and from the environment, which go over the files.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `cluster.store`, taken as it is: nothing in it is expanded.
    pub store: Option<Override>,
    /// `cluster.name`
    pub cluster: Option<Override>,
    /// `cluster.node`
    pub node: Option<Override>,
    /// `log.filter`
    pub log_filter: Option<Override>,
    /// `log.format`
    pub log_format: Option<LogFormat>,
}

/// One setting that goes over the files.
#[derive(Clone, PartialEq, Eq)]
pub struct Override {
    /// Who says so, for messages: `--store` or `SOLOCRON_STORE`.
    pub from: &'static str,
    /// The text of the setting.
    pub value: String,
}

impl Override {
    /// `value`, as `from` says.
    pub fn new(from: &'static str, value: impl Into<String>) -> Self {
        Self { from, value: value.into() }
    }
}

/// Without the value: that of a store may hold a password.
impl fmt::Debug for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Override({})", self.from)
    }
}

/// A config that can be used.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// What its reader should know nevertheless.
    pub warnings: Diagnostics,
}

/// Loads a config.
///
/// # Errors
/// Everything that is wrong with it, and the warnings.
pub fn load(request: &Load, env: &dyn Environment) -> Result<Loaded, Diagnostics> {
    let mut report = Report::default();
    let sources = gather(&request.paths, &mut report);
    resolve(sources, &request.overrides, env, report)
}

/// Loads a config from a text in hand; `path` is what messages call it.
///
/// # Errors
/// As [`load`].
pub fn load_text(
    path: &Path,
    text: &str,
    overrides: &Overrides,
    env: &dyn Environment,
) -> Result<Loaded, Diagnostics> {
    resolve(vec![Source::new(path, text)], overrides, env, Report::default())
}

/// As [`load_text`], in parts however small it is; none where it must be read as a whole.
#[cfg(any(test, fuzzing))]
pub(crate) fn load_text_in_parts(path: &Path, text: &str, env: &dyn Environment) -> Option<Loaded> {
    let mut sources = vec![Source::new(path, text)];
    let given = Overrides::default().as_sources(&mut sources);
    let inputs = Inputs { sources, files: 1, given, log_format: None, env };
    inputs.resolve(Cut::Into(1), Report::default()).ok()
}

/// From sources to a config: large ones in parts, if that can be done.
fn resolve(
    mut sources: Vec<Source>,
    overrides: &Overrides,
    env: &dyn Environment,
    report: Report,
) -> Result<Loaded, Diagnostics> {
    let files = sources.len();
    let given = overrides.as_sources(&mut sources);
    let inputs = Inputs { sources, files, given, log_format: overrides.log_format, env };
    if inputs.sources.iter().any(|source| source.text.len() >= parts::LARGE)
        && let Ok(loaded) = inputs.resolve(Cut::Into(parts::PART), report.clone())
    {
        return Ok(loaded);
    }
    inputs.resolve(Cut::Whole, report)
}

/// How files are read.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Each as a whole.
    Whole,
    /// In parts of so many bytes. An error does not say all that is wrong, and may say
    /// nothing: some files can only be read as a whole.
    Into(usize),
}

/// What a config comes from.
struct Inputs<'s> {
    /// The files, and behind them the overrides.
    sources: Vec<Source>,
    files: usize,
    given: GivenSources,
    log_format: Option<LogFormat>,
    env: &'s dyn Environment,
}

impl Inputs<'_> {
    fn resolve(&self, cut: Cut, mut report: Report) -> Result<Loaded, Diagnostics> {
        let (sources, env) = (&self.sources[..], self.env);
        let outside = self.given.outside(sources, self.log_format);
        let parts: Vec<_> = sources.iter().map(|source| cut.parts(source)).collect();
        let trees: Vec<Option<(DeTable<'_>, Damage)>> = sources
            .iter()
            .zip(&parts)
            .enumerate()
            .map(|(index, (source, (first, _)))| {
                let text = &source.text[first.clone()];
                source.readable.then(|| syntax::parse(index, text, &mut report))
            })
            .collect();
        // What is found from here on may only follow from a mistake of the grammar.
        let grammar = std::mem::take(&mut report.findings);

        let mut passes = Passes { sources, env, report, seen: HashMap::new() };
        let mut settings = Settings::default();
        let mut looked_at = http::Settings::default();
        let mut defaults = Defaults::new();
        let mut directory = Directory::default();
        let mut tables = Vec::new();
        for (source, (tree, _)) in each(&trees) {
            let mut reader = passes.reader(source, &parts[source].0);
            for entry in reader.entries(&ROOT, tree) {
                match entry.value {
                    Value::Table(section, table) if std::ptr::eq(section, &DEFAULTS) => {
                        defaults.read(&mut reader, table);
                    }
                    Value::Table(section, table) if std::ptr::eq(section, &HTTP) => {
                        let at = reader.spot(entry.span);
                        looked_at.read(&mut reader, section, table, at);
                    }
                    Value::Table(section, table) => settings.read(&mut reader, section, table),
                    Value::Named(section, table) if std::ptr::eq(section, &NOTIFY) => {
                        directory.read(&mut reader, table);
                    }
                    Value::Named(_, table) => tables.push((source, table)),
                    _ => {}
                }
            }
        }
        defaults.know(directory, &mut passes.report);
        defaults.check(&mut passes.report);
        let in_parts = parts.iter().any(|(_, others)| !others.is_empty());
        // Its head cannot be read without what follows.
        if in_parts && tables.iter().any(|(source, _)| !parts[*source].1.is_empty()) {
            return Err(Diagnostics::default());
        }
        let mut jobs = passes.jobs(&tables, &mut defaults);
        for (source, (_, others)) in parts.iter().enumerate() {
            for part in others {
                let read = passes.jobs_of_part(source, part, &mut defaults, &mut jobs);
                read.ok_or_else(Diagnostics::default)?;
            }
        }
        defaults.check_channels(&mut passes.report);
        let mut report = passes.report;
        let complete = sources[..self.files].iter().all(|source| source.readable);
        let log = settings.log(&outside, &mut report);
        let http = looked_at.resolve(&mut report);
        let cluster = if complete { settings.cluster(&outside, env, &mut report) } else { None };

        report.findings.retain(|finding| {
            let source = finding.at.source;
            let damage = trees[source].as_ref().map(|(_, damage)| damage);
            !damage.is_some_and(|damage| damage.explains(finding, &sources[source].text))
        });
        report.findings.extend(grammar);
        let blank = sources[..self.files].iter().all(|source| source.text.trim().is_empty());
        if jobs.is_empty() && !blank && !report.has_errors() {
            let at = Spot { source: 0, span: 0..0 };
            report.warning(at, "there are no jobs").help("a job is a table [jobs.NAME]");
        }
        let failed = report.has_errors();
        let diagnostics = report.locate(sources);
        let paths = sources[..self.files].iter().map(|source| source.path.to_path_buf()).collect();
        let Some(cluster) = cluster.filter(|_| !failed) else { return Err(diagnostics) };
        let count = jobs.len();
        let jobs = JobTable::new(jobs);
        // A job was in two parts, which only the whole can tell of.
        if in_parts && jobs.len() != count {
            return Err(Diagnostics::default());
        }
        let config = Config { cluster, http, log, jobs, sources: paths };
        Ok(Loaded { config, warnings: diagnostics })
    }
}

impl Cut {
    /// The first part of a source, and the others.
    fn parts(self, source: &Source) -> (Range<usize>, Vec<Range<usize>>) {
        match self {
            Self::Into(size) if source.readable => {
                let mut parts = parts::cut(&source.text, size);
                (parts.remove(0), parts)
            }
            _ => (0..source.text.len(), Vec::new()),
        }
    }
}

/// The trees of the sources that have one, each with its source.
fn each<T>(trees: &[Option<T>]) -> impl Iterator<Item = (usize, &T)> {
    trees.iter().enumerate().filter_map(|(source, tree)| Some((source, tree.as_ref()?)))
}

/// What goes through all passes.
struct Passes<'s> {
    sources: &'s [Source],
    env: &'s dyn Environment,
    report: Report,
    /// Where each key of the sections that exist once was set.
    seen: HashMap<(&'static str, &'static str), Spot>,
}

impl Passes<'_> {
    /// A reader of a part of a source.
    fn reader(&mut self, source: usize, part: &Range<usize>) -> Reader<'_> {
        Reader {
            text: &self.sources[source].text[part.clone()],
            begins: part.start,
            source,
            job: String::new(),
            report: &mut self.report,
            env: self.env,
            seen: &mut self.seen,
        }
    }

    /// The jobs of a part that has nothing else; none where it has, or is no TOML.
    fn jobs_of_part(
        &mut self,
        source: usize,
        part: &Range<usize>,
        defaults: &mut Defaults<'_>,
        jobs: &mut Vec<Arc<Job>>,
    ) -> Option<()> {
        let sources = self.sources;
        let tree = DeTable::parse(&sources[source].text[part.clone()]).ok()?.into_inner();
        let [(name, value)] = tree.iter().collect::<Vec<_>>()[..] else { return None };
        let DeValue::Table(table) = value.get_ref() else { return None };
        if name.get_ref() != "jobs" {
            return None;
        }
        let mut reader = self.reader(source, part);
        for (name, value) in table {
            jobs.extend(defaults.job(&mut reader, name, value).map(Arc::new));
        }
        Some(())
    }

    /// The jobs of all trees.
    fn jobs<'v>(
        &mut self,
        tables: &[(usize, &'v DeTable<'v>)],
        defaults: &mut Defaults<'_>,
    ) -> Vec<Arc<Job>> {
        let count = tables.iter().map(|(_, table)| table.len()).sum();
        let mut jobs = Vec::with_capacity(count);
        let mut first: HashMap<&str, Spot> = HashMap::new();
        for (source, table) in tables {
            let whole = 0..self.sources[*source].text.len();
            let mut reader = self.reader(*source, &whole);
            for (name, value) in *table {
                let job = defaults.job(&mut reader, name, value);
                let at = reader.spot(name.span());
                // One file cannot have a job twice: its grammar forbids it.
                if tables.len() > 1
                    && let Some(before) = first.insert(name.get_ref(), at.clone())
                {
                    let shown = super::excerpt::cited(name.get_ref());
                    reader
                        .report
                        .error(at, format!("the job `{shown}` is declared twice"))
                        .help("rename one of the two, or remove it")
                        .related("first declared at", before.clone());
                    first.insert(name.get_ref(), before);
                    continue;
                }
                jobs.extend(job.map(Arc::new));
            }
        }
        jobs
    }
}

/// Where the overrides are among the sources.
struct GivenSources {
    store: Option<usize>,
    cluster: Option<usize>,
    node: Option<usize>,
    log_filter: Option<usize>,
}

impl Overrides {
    /// Adds the overrides to the sources, so that what is wrong with one can be
    /// shown as what is wrong with a file.
    fn as_sources(&self, sources: &mut Vec<Source>) -> GivenSources {
        let mut add = |given: &Option<Override>| {
            given.as_ref().map(|given| {
                let source = Source::new(Path::new(given.from), given.value.as_str());
                sources.push(Source { readable: false, ..source });
                sources.len() - 1
            })
        };
        GivenSources {
            store: add(&self.store),
            cluster: add(&self.cluster),
            node: add(&self.node),
            log_filter: add(&self.log_filter),
        }
    }
}

impl GivenSources {
    fn outside<'s>(&self, sources: &'s [Source], log_format: Option<LogFormat>) -> Outside<'s> {
        let given = |source: Option<usize>| {
            source.map(|source| Given { text: &sources[source].text, source })
        };
        Outside {
            store: given(self.store),
            cluster: given(self.cluster),
            node: given(self.node),
            log_filter: given(self.log_filter),
            log_format,
        }
    }
}
