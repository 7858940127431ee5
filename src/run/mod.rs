//! A run: the life of a job's processes, from the fork until all of them are gone.
//!
//! **The invariant: when [`execute`] returns, nothing that the job started lives.**
//! Whoever holds the lease may give it up then; until then it must be kept.
//!
//! ```text
//!   task, identity ─▶ account ─▶ plan ─▶ keeper ─▶ job ─▶ … ─▶ leader ended ─▶ tree gone ─▶ report
//!                     (user       (all    (forked   (forked      (exit code)    (TERM, then
//!                      database)  laid     by the    by the                      KILL, to what
//!                                 out)     warden)   keeper)                     is left)
//! ```
//!
//! Three tiers keep it, so that no one death, and no two at once, leaves a job to itself:
//!
//! - `warden` (one for each daemon): forks keepers, and ends what a dead one left. Its
//!   head says what ends what.
//! - `keeper` (one for each run): starts the job, holds the lease's deadline, ends the
//!   tree. Being its subreaper it knows exactly when nothing is left.
//! - here (`life`): the daemon's part. It hands over the plan and the orders, reads the
//!   output, follows what the keeper says, and kills one that is late (`vigil`).
//!
//! # Ending a run
//!
//! TERM (and CONT, for those that were stopped) goes to every process of the tree, then
//! KILL after the grace, again and again until the kernel knows no process of it. What
//! began a session of its own or was forked twice is reached like everything else. When
//! the leader has ended, what is left of its tree is ended the same way. A process that
//! the kernel cannot end (it hangs in a device) is waited for: while it lives, the run
//! does. Only what the leader left behind and we may not signal, because it has taken on
//! other rights, is left alone five seconds after KILL, with a warning.
//!
//! Out of reach is what the job has others do: a service manager, a container engine, `at`.
//!
//! # In the caller's surroundings
//!
//! An [`Errand`] is a command of whoever called this program, at the caller's terminal and
//! with all that the caller has. The tiers are the same; only the session is not, and no
//! output is read. What is in the caller's process group is signalled one by one, because
//! others are in it too: what forks faster than it can be listed is ended whole only where
//! there is a control group.
//!
//! # Requests
//!
//! A job that is a request over HTTP has no processes; [`request`] runs it by the same
//! orders.
//!
//! # Dropping
//!
//! When the future of [`execute`] is dropped, the tree is killed, but nobody waits until
//! it is gone.

mod account;
mod alarm;
mod bytes;
mod call;
mod cgroup;
mod child;
/// Public for the model alone, which decides by it when a run ends (`tests/model`).
#[doc(hidden)]
pub mod decide;
mod environment;
mod errand;
mod failure;
mod family;
mod gate;
mod inquiry;
mod keeper;
mod life;
mod limits;
mod link;
mod load;
mod orders;
mod orphanage;
mod output;
mod packets;
mod pidfd;
mod plan;
mod pump;
mod reap;
mod recipe;
mod session;
mod signals;
mod story;
mod tail;
mod task;
mod vigil;
mod warden;
mod wire;
mod word;

use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;

pub use self::call::request;
pub use self::environment::PATH;
pub use self::errand::{Errand, Farewell, Surroundings};
pub use self::limits::raise_open_files;
pub use self::orders::{Orders, Stop, Trust};
pub use self::output::MAX_LINE;
pub use self::pump::{OutputSink, Stream};
pub use self::signals::Signals;
pub(crate) use self::tail::Tail;
pub use self::task::{Identity, Task};
pub use self::warden::serve_if_warden;

use self::decide::{Cause, Exit, Limits, Verdict};
use self::failure::NotStarted;
use self::life::{Life, Rule};
use self::load::Load;
use self::story::Ending;
use crate::clock::BootInstant;
use crate::outcome::Outcome;

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// False when it was told to end before its command was started, or tried to be.
    pub began: bool,
    /// The exit code, if the command exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the command, if one did.
    pub signal: Option<i32>,
    /// Why it did not succeed, in words; nothing if it did.
    pub error: Option<String>,
    /// When the job's process was forked, or the attempt at it began or was given up.
    pub started: BootInstant,
    /// When nothing of it was left.
    pub finished: BootInstant,
    /// The end of what it printed, as readable text.
    pub tail: String,
    /// The process, if the command was started.
    pub pid: Option<u32>,
}

/// Runs `task` until all that it started is gone.
///
/// `started` is called once, when the program was loaded, with the process's id.
/// `grace_on_loss` is what lies between TERM and KILL when the lease is lost:
/// the smaller of `kill_grace` and a quarter of the lease's TTL.
///
/// It never fails: what goes wrong is in the report. It must run inside a Tokio
/// runtime with I/O and time enabled, in a program that calls [`serve_if_warden`] at
/// its start.
pub async fn execute(
    task: &Task,
    identity: &Identity,
    orders: Orders,
    grace_on_loss: Duration,
    started: impl FnOnce(u32) + Send,
    sink: Arc<dyn OutputSink>,
) -> Report {
    let began = BootInstant::now();
    let limits = Limits { kill_grace: task.kill_grace, grace_on_loss };
    let rule = Rule { limits, timeout: task.timeout, orders, signals: None };
    match life::live(Load::of_job(task, identity, sink), rule, started).await {
        Ok(Life { failure: Some(failure), started, tail, .. }) => {
            not_started(&failure, started.unwrap_or(began), tail)
        }
        Ok(life) => report(task, life, began),
        Err(failure) => not_started(&failure, began, String::new()),
    }
}

fn not_started(failure: &NotStarted, started: BootInstant, tail: String) -> Report {
    Report {
        outcome: Outcome::Failed,
        began: true,
        exit_code: None,
        signal: None,
        error: Some(failure.to_string()),
        started,
        finished: BootInstant::now(),
        tail,
        pid: None,
    }
}

fn report(task: &Task, life: Life, tried: BootInstant) -> Report {
    let (exit, cause) = match life.ending {
        Ending::Exited(exit, cause) => (Some(exit), cause),
        Ending::NeverBegan(cause) | Ending::KeeperLost(cause) => (None, cause),
    };
    let verdict = Verdict::on(exit, cause, &task.success_codes);
    let began = !matches!(life.ending, Ending::NeverBegan(_));
    let finished = BootInstant::now();
    Report {
        outcome: verdict.outcome,
        began,
        exit_code: match exit {
            Some(Exit::Code(code)) => Some(code),
            _ => None,
        },
        signal: match exit {
            Some(Exit::Signal(signal)) => Some(signal),
            _ => None,
        },
        error: error(task, verdict, life.ending),
        started: if began { life.started.unwrap_or(tried) } else { finished },
        finished,
        tail: life.tail,
        pid: life.pid,
    }
}

/// Why it did not succeed; nothing if it did.
fn error(task: &Task, verdict: Verdict, ending: Ending) -> Option<String> {
    let why = match verdict.cause {
        None => {
            return match ending {
                _ if verdict.outcome == Outcome::Succeeded => None,
                Ending::Exited(Exit::Code(code), _) => Some(format!("exited with {code}")),
                Ending::Exited(Exit::Signal(signal), _) => {
                    Some(format!("ended by {}", name(signal)))
                }
                Ending::Exited(Exit::Unknown, _) | Ending::NeverBegan(_) => {
                    Some("how it ended is not known: something else took its status".into())
                }
                Ending::KeeperLost(_) => Some(
                    "ended: its keeper, the process that solocron watches over it with, was \
                     killed"
                        .into(),
                ),
            };
        }
        Some(Cause::Timeout) => {
            let timeout = task.timeout.unwrap_or_default();
            format!("it ran longer than its timeout of {timeout:?}")
        }
        Some(Cause::Drain) => "the node is draining".to_owned(),
        Some(Cause::Cancel) => "it was cancelled".to_owned(),
        Some(Cause::Withdrawn) => "it was withdrawn".to_owned(),
        Some(Cause::LeaseExpired) => "the lease could not be renewed in time".to_owned(),
        Some(Cause::LeaseLost) => "the lease is no longer this node's".to_owned(),
    };
    let what = match ending {
        Ending::NeverBegan(_) => "not started",
        _ => "ended",
    };
    Some(format!("{what}: {why}"))
}

fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests;
