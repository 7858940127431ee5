//! The command line: what people type, resolved into what the program does.
//!
//! `run` writes its log to standard output; every other command keeps standard
//! output for its result and writes messages to standard error.

mod check;
mod control;
mod history;
mod import;
mod listing;
mod lock;
mod manual;
mod moment;
mod next;
mod onlooker;
mod place;
mod run;
mod slot;
mod status;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Diagnostics;
use crate::name::{JobName, NodeName};
use crate::store::StoreError;

/// A cron daemon that runs as several equal replicas: every slot of every job runs once.
#[derive(Debug, Parser)]
#[command(name = "solocron", version, arg_required_else_help = true, max_term_width = 100,
          after_help = SETTINGS)]
pub struct Arguments {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

const SETTINGS: &str = "\
Settings come from flags, then from the environment (SOLOCRON_CONFIG, paths joined by colons;
SOLOCRON_STORE, SOLOCRON_CLUSTER, SOLOCRON_NODE, and SOLOCRON_LOG, the log's filter), then from
the config.

Exit codes: 0 done, 1 failed, 2 usage, 69 the store cannot be reached, 78 bad config.
`solocron lock` passes on those of its command; 75 the lock is held by another, 76 it was lost.";

/// Where the job table and the store are: these go with every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Config and store")]
struct Place {
    /// A config file, or a directory of *.toml; may be repeated
    /// [default: ./solocron.toml, else /etc/solocron/solocron.toml]
    #[arg(short, long, global = true, value_name = "PATH")]
    config: Vec<PathBuf>,
    /// The store, in place of the config's: sqlite:PATH, redis://…, rediss://…, redis+unix:///…,
    /// redis+sentinel://…, redis+cluster://… (rediss+… with TLS)
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// The cluster's name, in place of the config's
    #[arg(long, global = true, value_name = "NAME")]
    cluster: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a node: claim the slots that are due, run their jobs, log to standard output
    Run(run::Run),
    /// Check the config: every error in it, or a summary
    Check(check::Check),
    /// Show when the jobs, or a schedule, are due next
    Next(next::Next),
    /// List what ran, and what was missed, newest first
    History(history::History),
    /// Show what became of one slot: who ran it, when, how it ended
    Slot(slot::SlotArguments),
    /// Show the nodes, the jobs, what runs now, and how the store is
    Status(status::Status),
    /// Run a job now, once, on some node that may run it; prints the trigger's id
    Trigger(control::Trigger),
    /// Let none of a job's slots begin until it is resumed; what runs goes on
    Pause(control::Pause),
    /// Let a paused job go on
    Resume(control::Resume),
    /// End a run, wherever it runs
    Cancel(control::Cancel),
    /// Make all nodes load their job tables anew
    Reload(control::Reload),
    /// Run a command under a lock: one at a time on all machines that share the store
    Lock(lock::Lock),
    /// Make a job table of what another scheduler goes by
    #[command(subcommand)]
    Import(import::Import),
    /// Print the JSON Schema of the config, for completion in editors
    Schema,
    /// Print a completion script for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page
    Man,
}

/// How a listing is written: for people, or for scripts.
// The words stand with the flag: with one for each value, clap makes a page of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

/// Reads how many of something are wanted.
fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(count) => Ok(count),
        Err(_) => Err("a whole number, at least 1".to_owned()),
    }
}

/// Why a command did not do what was asked, each kind with its exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// 1: it was understood and could be tried, and did not work out.
    #[error("{0}")]
    Failed(String),
    /// 2: what was typed makes no sense.
    #[error("{0}")]
    Usage(String),
    /// 69: the store cannot be reached or used.
    #[error("{0}")]
    Store(String),
    /// 78: the config has errors.
    #[error("{}", .0.summary())]
    Config(Box<Diagnostics>),
}

impl Failure {
    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Failed(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Store(_) => ExitCode::from(69),
            Self::Config(_) => ExitCode::from(78),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Does what `arguments` ask, and returns the process's exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(refusal) => {
            // Printing can only fail where nobody reads.
            let _nobody_reads = refusal.print();
            return ExitCode::from(u8::try_from(refusal.exit_code()).unwrap_or(2));
        }
    };
    let Arguments { place, command } = arguments;
    let done = match command {
        Command::Run(run) => run.perform(&place),
        Command::Check(check) => check.perform(&place),
        Command::Next(next) => next.perform(&place),
        Command::History(history) => history.perform(&place),
        Command::Slot(slot) => slot.perform(&place),
        Command::Status(status) => status.perform(&place),
        Command::Trigger(trigger) => trigger.perform(&place),
        Command::Pause(pause) => pause.perform(&place),
        Command::Resume(resume) => resume.perform(&place),
        Command::Cancel(cancel) => cancel.perform(&place),
        Command::Reload(reload) => reload.perform(&place),
        Command::Lock(lock) => lock.perform(&place),
        Command::Import(import) => import.perform(),
        Command::Schema => manual::schema(),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man => manual::page(),
    };
    match done {
        Ok(code) => code,
        Err(failure) => {
            place::complain(&failure);
            failure.exit_code()
        }
    }
}
