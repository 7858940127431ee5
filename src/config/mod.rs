//! The config: from TOML files to a checked [`Config`].
//!
//! Raw config ends here. What leaves this module is complete and valid: every
//! default is filled in, every name is a name, every schedule is a schedule. A
//! config with mistakes gives all of them at once, each with its file, line and
//! column, and nothing else.
//!
//! # The passes
//!
//! 1. `source` reads files and directories, `syntax` makes trees of them and
//!    explains what is not TOML; of large files in `parts`.
//! 2. `reader` and `value` hold the trees against the [`catalogue`], the one
//!    list of all keys, and give typed values.
//! 3. `cluster`, `job` and `policies` put defaults and what was given beside the files
//!    around them, and check what takes several keys to see.
//!
//! Each pass reports bytes of a source to a `diagnostics::Report`; lines and
//! columns are found out at the end, and only for what was reported.
//!
//! # What goes over what
//!
//! Flags, then `SOLOCRON_STORE`, `SOLOCRON_CLUSTER`, `SOLOCRON_NODE` and
//! `SOLOCRON_LOG` (the log's *filter*; its format has only a flag), then the
//! files, then the defaults. Several files are one config: their jobs come
//! together, and the same job or the same key twice is an error that names both
//! places. A job's `env` is added to that of `[defaults]`; any other key of a job
//! replaces that of `[defaults]`.

pub(crate) mod account;
mod call;
pub mod catalogue;
mod cluster;
mod diagnostics;
mod documentation;
pub mod duration;
mod environment;
mod excerpt;
mod expand;
mod http;
mod job;
pub mod keys;
mod load;
mod mismatch;
mod notify;
mod parts;
mod policies;
mod reader;
mod render;
mod retry;
mod schema;
pub mod size;
mod source;
mod syntax;
mod text;
mod value;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use diagnostics::{Diagnostic, Diagnostics, Place, Severity};
pub(crate) use diagnostics::{Report, Spot};
pub use documentation::documentation;
pub use environment::{Environment, ThisMachine, state_directory};
pub use excerpt::Excerpt;
pub(crate) use excerpt::{cited, visible};
#[cfg(any(test, fuzzing))]
pub(crate) use load::load_text_in_parts;
pub use load::{Load, Loaded, Override, Overrides, load, load_text};
pub use render::{Paint, Rendered};
pub use schema::schema;
pub use source::SEARCHED;
pub(crate) use source::{Source, read_text};

use crate::address::{self as store, invalid, secret};
pub use crate::address::{
    InvalidValue, RedisAddress, RedisConfig, Secret, SentinelAddress, StoreConfig, TlsFiles,
};
use crate::http::token::{Hash, Role};
use crate::name::{ClusterName, NodeName};
use crate::table::JobTable;

/// Everything a node goes by.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who works together, and where locks and history live.
    pub cluster: ClusterConfig,
    /// Where it is looked at; nowhere where that is absent.
    pub http: Option<HttpConfig>,
    /// What the daemon writes.
    pub log: LogConfig,
    /// The jobs.
    pub jobs: JobTable,
    /// The files that it was read from.
    pub sources: Vec<PathBuf>,
}

/// `[cluster]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// The name that its nodes share; the prefix of every key in the store.
    pub name: ClusterName,
    /// This node.
    pub node: NodeName,
    /// Where locks and history live.
    pub store: StoreConfig,
    /// How far clocks may be apart.
    pub max_clock_skew: Duration,
    /// How often a node says that it is alive.
    pub heartbeat: Duration,
    /// How long running jobs may go on while the node drains.
    pub drain_timeout: Duration,
    /// How many runs this node has at a time at most; none is no limit.
    pub max_running: Option<u32>,
    /// How much history is kept.
    pub history: HistoryPolicy,
}

/// `[cluster.history]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryPolicy {
    /// How long a finished run stays.
    pub keep: Duration,
    /// How many runs of a job stay at most.
    pub per_job: u32,
}

/// `[http]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// How to prove who the node is.
    pub tls: Option<TlsConfig>,
    /// Whether a proxy in front of it has TLS, and says who asks.
    pub behind_proxy: bool,
    /// Who may look and who may act. Where there are none, everybody may.
    pub tokens: Vec<TokenConfig>,
}

/// `[http.tls]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// A PEM file with the certificate and those it depends on.
    pub cert: PathBuf,
    /// A PEM file with its private key.
    pub key: PathBuf,
}

/// One of `[[http.tokens]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// Whose it is.
    pub name: String,
    /// What it is for.
    pub role: Role,
    /// The hash of its secret.
    pub hash: Hash,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// The form of a record.
    pub format: LogFormat,
    /// Which records are written: a level, or levels by module.
    pub filter: String,
}

/// The form of a record of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines, an object a line.
    Json,
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}
