//! Loading: the passes in their order.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::catalogue::{DEFAULTS, ROOT};
use super::cluster::{Given, Outside, Settings};
use super::diagnostics::{Diagnostics, Report, Spot};
use super::environment::Environment;
use super::job::Defaults;
use super::reader::Reader;
use super::source::{Source, gather};
use super::syntax::{self, Damage};
use super::value::Value;
use super::{Config, LogFormat};
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

/// From sources to a config.
fn resolve(
    mut sources: Vec<Source>,
    overrides: &Overrides,
    env: &dyn Environment,
    mut report: Report,
) -> Result<Loaded, Diagnostics> {
    let files = sources.len();
    let given = overrides.as_sources(&mut sources);
    let outside = given.outside(&sources, overrides.log_format);

    let trees: Vec<Option<(DeTable<'_>, Damage)>> = sources
        .iter()
        .enumerate()
        .map(|(index, source)| source.readable.then(|| syntax::parse(index, source, &mut report)))
        .collect();
    // What is found from here on may only follow from a mistake of the grammar.
    let grammar = std::mem::take(&mut report.findings);

    let mut passes = Passes { sources: &sources, env, report, seen: HashMap::new() };
    let mut settings = Settings::default();
    let mut defaults = Defaults::new();
    let mut tables = Vec::new();
    for (source, (tree, _)) in each(&trees) {
        let mut reader = passes.reader(source);
        for entry in reader.entries(&ROOT, tree) {
            match entry.value {
                Value::Table(section, table) if std::ptr::eq(section, &DEFAULTS) => {
                    defaults.read(&mut reader, table);
                }
                Value::Table(section, table) => settings.read(&mut reader, section, table),
                Value::Named(table) => tables.push((source, table)),
                _ => {}
            }
        }
    }
    defaults.check(&mut passes.report);
    let jobs = passes.jobs(&tables, &mut defaults);
    let mut report = passes.report;
    let complete = sources[..files].iter().all(|source| source.readable);
    let log = settings.log(&outside, &mut report);
    let cluster = if complete { settings.cluster(&outside, env, &mut report) } else { None };

    report.findings.retain(|finding| {
        let source = finding.at.source;
        let damage = trees[source].as_ref().map(|(_, damage)| damage);
        !damage.is_some_and(|damage| damage.explains(finding, &sources[source].text))
    });
    report.findings.extend(grammar);
    let blank = sources[..files].iter().all(|source| source.text.trim().is_empty());
    if jobs.is_empty() && !blank && !report.has_errors() {
        let at = Spot { source: 0, span: 0..0 };
        report.warning(at, "there are no jobs").help("a job is a table [jobs.NAME]");
    }
    let failed = report.has_errors();
    let diagnostics = report.locate(&sources);
    let paths = sources[..files].iter().map(|source| source.path.to_path_buf()).collect();
    match cluster {
        Some(cluster) if !failed => {
            let config = Config { cluster, log, jobs: JobTable::new(jobs), sources: paths };
            Ok(Loaded { config, warnings: diagnostics })
        }
        _ => Err(diagnostics),
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
    fn reader(&mut self, source: usize) -> Reader<'_> {
        Reader {
            text: &self.sources[source].text,
            source,
            job: String::new(),
            report: &mut self.report,
            env: self.env,
            seen: &mut self.seen,
        }
    }

    /// The jobs of all sources.
    fn jobs<'v>(
        &mut self,
        tables: &[(usize, &'v DeTable<'v>)],
        defaults: &mut Defaults<'v>,
    ) -> Vec<Arc<Job>> {
        let count = tables.iter().map(|(_, table)| table.len()).sum();
        let mut jobs = Vec::with_capacity(count);
        let mut first: HashMap<&str, Spot> = HashMap::new();
        for (source, table) in tables {
            let mut reader = self.reader(*source);
            for (name, value) in *table {
                let job = defaults.job(&mut reader, name, value);
                let at = Spot { source: *source, span: name.span() };
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
    fn outside(self, sources: &[Source], log_format: Option<LogFormat>) -> Outside<'_> {
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
