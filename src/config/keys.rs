//! What can be said about a key of the config: its name, its kind of value, its
//! default, its documentation. The keys themselves are in [`super::catalogue`].

use std::fmt;
use std::time::Duration;

use super::{duration, size};

/// A table of keys.
#[derive(Debug)]
pub struct Section {
    /// How it is written: `[cluster]`.
    pub title: &'static str,
    /// Whether a config has it once, so that each of its keys is set once over
    /// all files.
    pub once: bool,
    /// What it is for.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of this name.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// One key of a section.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value is.
    pub kind: Kind,
    /// What it does, in Markdown.
    pub doc: &'static str,
    /// What holds when it is absent.
    pub default: Preset,
    /// Other names that people try.
    pub also: &'static [&'static str],
    /// Whether `[defaults]` may set it; of interest only for keys of a job.
    pub common: bool,
}

/// What a value is.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// A table with keys of its own.
    Table(&'static Section),
    /// A table of tables whose names are free.
    Named(&'static Section),
    /// A list of tables.
    Tables(&'static Section),
    /// A name, by the rule of [`crate::name`].
    Name,
    /// A duration in these bounds, and why they are there.
    Duration(Duration, Duration, &'static str),
    /// A size in bytes up to this one, and why.
    Size(u64, &'static str),
    /// An integer in these bounds.
    Integer(i64, i64),
    /// `true` or `false`.
    Switch,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A filter for the log.
    Filter,
    /// Where locks and history live; may hold `${…}`.
    Store,
    /// A text that may hold `${…}`.
    Text,
    /// A text that may hold `${…}` and is never shown.
    Secret,
    /// An absolute path.
    Path,
    /// An IP address and a port.
    Listen,
    /// A schedule, or several.
    Schedules,
    /// A time zone.
    Zone,
    /// A program and its arguments.
    Command,
    /// A line for the shell.
    Shell,
    /// Variables for a job; the values may hold `${…}`.
    Variables,
    /// A user or a group of the system.
    Account,
    /// Permissions that new files do not get, in octal.
    Umask,
    /// Exit codes.
    ExitCodes,
    /// Words to find jobs by.
    Tags,
    /// Patterns of nodes' names.
    Nodes,
    /// Names of channels.
    Channels,
    /// A program and its arguments, which may hold `${…}` and are never shown.
    Program,
    /// Headers of a request; the values may hold `${…}` and are never shown.
    Headers,
    /// A text of a request, which may hold `${…}`, what a run is as well, and is never shown.
    RunText,
    /// Statuses of HTTP.
    Statuses,
}

/// What holds when a key is absent.
#[derive(Debug, Clone, Copy)]
pub enum Preset {
    /// Nothing; the documentation says what that means.
    Nothing,
    /// This duration.
    Duration(Duration),
    /// This size in bytes.
    Size(u64),
    /// This number.
    Integer(i64),
    /// This text.
    Text(&'static str),
    /// These texts.
    Texts(&'static [&'static str]),
    /// These numbers.
    Integers(&'static [u8]),
    /// This.
    Switch(bool),
}

impl Preset {
    /// The value for JSON; `None` for [`Preset::Nothing`].
    pub fn json(self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Nothing => return None,
            Self::Duration(value) => duration::Human(value).to_string().into(),
            Self::Size(value) => size::Human(value).to_string().into(),
            Self::Integer(value) => value.into(),
            Self::Text(value) => value.into(),
            Self::Texts(values) => values.into(),
            Self::Integers(values) => values.into(),
            Self::Switch(value) => value.into(),
        })
    }
}

/// As TOML writes it; empty for [`Preset::Nothing`].
impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // These few kinds of value are written the same in JSON and in TOML.
        self.json().map_or(Ok(()), |value| value.fmt(f))
    }
}

impl Key {
    /// A key without a default, for one job only.
    pub(super) const fn new(name: &'static str, kind: Kind, doc: &'static str) -> Self {
        Self { name, kind, doc, default: Preset::Nothing, also: &[], common: false }
    }

    /// The same with a default.
    pub(super) const fn preset(mut self, default: Preset) -> Self {
        self.default = default;
        self
    }

    /// The same, found also by names that people try.
    pub(super) const fn also(mut self, names: &'static [&'static str]) -> Self {
        self.also = names;
        self
    }

    /// The same, and `[defaults]` may set it.
    pub(super) const fn common(mut self) -> Self {
        self.common = true;
        self
    }

    /// Whether its value may hold a secret.
    pub(super) fn may_be_secret(&self) -> bool {
        matches!(
            self.kind,
            Kind::Tables(_)
                | Kind::Store
                | Kind::Text
                | Kind::Secret
                | Kind::Variables
                | Kind::Program
                | Kind::Headers
                | Kind::RunText
        )
    }
}
