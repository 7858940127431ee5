//! A run: the life of a process, from the fork until it is gone.
//!
//! **The invariant: when [`execute`] returns, the run's process group is gone.**
//! Whoever holds the lease may give it up then; until then it must be kept.
//!
//! ```text
//!   task, identity ─▶ account ─▶ plan ─▶ fork ─▶ exec ─▶ … ─▶ leader ended ─▶ group gone ─▶ report
//!                     (user       (all    (one   (the pipe     (exit code)    (TERM, then
//!                      database)  laid     thread) `word`                     KILL, to what
//!                                 out)            tells)                      is left)
//! ```
//!
//! One loop drives it: wait until something may have changed, look at everything,
//! decide without doing anything, then do it. Orders (the lease, a drain,
//! a cancel) are heeded in every part of that line, also while the user database
//! or the file system of the program hangs.
//!
//! # Ending a run
//!
//! A command leads a session and a process group of its own, and signals go to the
//! whole group: TERM (and CONT, for those that were stopped), then KILL after the
//! grace. When the leader has ended, what is left of its group is ended the same
//! way. A group counts as gone when the kernel knows no process of it, or only
//! zombies, which their own parent has to clear away. A process that the kernel
//! cannot end (it hangs in a device) is waited for: while it lives, the run does.
//! Only what the leader left behind and we may not signal, because it has taken on
//! other rights, is left alone five seconds after KILL, with a warning.
//!
//! Two more ways out of this are open. A process that leaves the group (`setsid`, a
//! daemon that forks twice) is not reached by the signals. And if the daemon is
//! killed, the kernel kills the leader with it (`PR_SET_PDEATHSIG`), but not the
//! leader's children; a program with set-user-id rights or file capabilities
//! escapes that too.
//!
//! # Dropping
//!
//! When the future of [`execute`] is dropped, the group is killed, but nobody waits
//! until it is gone.

mod account;
mod alarm;
mod child;
mod decide;
mod environment;
mod failure;
mod limits;
mod orders;
mod output;
mod plan;
mod process;
mod pump;
mod remains;
mod spawn;
mod tail;
mod task;
mod word;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::Signal;

pub use self::environment::PATH;
pub use self::limits::raise_open_files;
pub use self::orders::{Orders, Stop, Trust};
pub use self::output::MAX_LINE;
pub use self::pump::{OutputSink, Stream};
pub use self::task::{Identity, Task};

use self::account::Account;
use self::alarm::Alarm;
use self::decide::{Cause, Decider, Exit, Leader, Limits, Seen, Step, Verdict};
use self::failure::NotStarted;
use self::plan::Plan;
use self::pump::Pump;
use self::remains::Remains;
use self::spawn::{Ends, spawn};
use self::word::Word;
use crate::clock::BootInstant;
use crate::outcome::Outcome;

/// What became of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// The exit code, if the command exited.
    pub exit_code: Option<i32>,
    /// The signal that ended the command, if one did.
    pub signal: Option<i32>,
    /// Why it did not succeed, in words; nothing if it did.
    pub error: Option<String>,
    /// When the process was forked, or the attempt at it began.
    pub started: BootInstant,
    /// When the group was gone.
    pub finished: BootInstant,
    /// The end of what it printed, as readable text.
    pub tail: String,
    /// The process, if the command was started.
    pub pid: Option<u32>,
}

/// Runs `task` until its whole process group is gone.
///
/// `started` is called once, when the program was loaded, with the process's id.
/// `grace_on_loss` is what lies between TERM and KILL when the lease is lost:
/// the smaller of `kill_grace` and a quarter of the lease's TTL.
///
/// It never fails: what goes wrong is in the report. It must run inside a Tokio
/// runtime with I/O enabled.
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
    let life = match Alarm::new() {
        Ok(alarm) => {
            let mut run = Run { task, decider: Decider::new(limits), orders, alarm };
            run.live(identity, began, started, sink).await.map(|life| (run, life))
        }
        Err(error) => Err(NotStarted::io(&error)),
    };
    let (run, life) = match life {
        Ok(lived) => lived,
        Err(failure) => return not_started(&failure, began, String::new()),
    };
    match life.failure {
        Some(failure) => not_started(&failure, life.started, life.tail),
        None => run.report(life),
    }
}

fn not_started(failure: &NotStarted, started: BootInstant, tail: String) -> Report {
    Report {
        outcome: Outcome::Failed,
        exit_code: None,
        signal: None,
        error: Some(failure.to_string()),
        started,
        finished: BootInstant::now(),
        tail,
        pid: None,
    }
}

/// What is known of a run when it is over, beside what was decided.
struct Life {
    started: BootInstant,
    pid: Option<u32>,
    failure: Option<NotStarted>,
    tail: String,
}

struct Run<'a> {
    task: &'a Task,
    decider: Decider,
    orders: Orders,
    alarm: Alarm,
}

impl Run<'_> {
    async fn live(
        &mut self,
        identity: &Identity,
        began: BootInstant,
        started: impl FnOnce(u32) + Send,
        sink: Arc<dyn OutputSink>,
    ) -> Result<Life, NotStarted> {
        let never = || Life { started: began, pid: None, failure: None, tail: String::new() };

        let Some(account) = self.unless_over(account(self.task)).await else {
            return Ok(never());
        };
        let lang = std::env::var_os("LANG");
        let plan = Arc::new(Plan::new(self.task, identity, account?, lang)?);

        // Whatever may fail for want of something comes before the fork.
        let (word, word_end) = pump::pipe().map_err(|error| NotStarted::io(&error))?;
        let (stdout, stdout_end) = pump::pipe().map_err(|error| NotStarted::io(&error))?;
        let (stderr, stderr_end) = pump::pipe().map_err(|error| NotStarted::io(&error))?;
        let ends = Ends { stdout: stdout_end, stderr: stderr_end, word: word_end };

        let called_off = Arc::new(AtomicBool::new(false));
        let mut fork = pin!(spawn(plan.clone(), ends, called_off.clone()));
        let forked = match self.unless_over(&mut fork).await {
            Some(forked) => forked,
            None => {
                // Too late or not: if there is a process, we must know it to end it.
                called_off.store(true, Ordering::Release);
                fork.await
            }
        };
        let Some(mut process) = forked.map_err(|error| NotStarted::io(&error))? else {
            return Ok(never());
        };

        let pid = process.id();
        let forked_at = process.forked();
        self.decider.started(forked_at, self.task.timeout);
        // Nothing is read before `started` was told, so that its output follows it.
        let mut pipes = Some((stdout, stderr, sink));
        let mut pump = None;
        let mut end = process.end();
        let mut word = Word::Awaited(word);
        let mut started = Some(started);
        let mut remains = Remains::default();
        loop {
            let exit = process.exit();
            // After the exit: what the child had to say, it said before.
            word.read(exit.is_some());
            if word.is_loaded()
                && let Some(started) = started.take()
            {
                started(pid);
            }
            if (word.is_loaded() || exit.is_some())
                && let Some((stdout, stderr, sink)) = pipes.take()
            {
                pump = Some(Pump::start(stdout, stderr, self.task.output_limit, sink));
            }
            let group_gone = exit.is_some() && remains.are_gone(&mut process).await;
            match self.decide(exit.map_or(Leader::Running, Leader::Ended), group_gone) {
                Step::Over => break,
                Step::Go { blow, wake } => {
                    if let Some(blow) = blow {
                        process.strike(blow);
                        remains.struck(blow, pid);
                    }
                    let look = remains.next_look(exit.is_some());
                    self.alarm.set([wake, look].into_iter().flatten().min());
                }
            }
            tokio::select! {
                () = self.orders.changed() => {}
                () = self.alarm.rung() => {}
                () = end.look(), if exit.is_none() => {}
                () = word.comes(), if exit.is_none() => {}
            }
        }
        let failure = word.stumble().map(|stumble| NotStarted::stumbled(stumble, &plan));
        Ok(Life {
            started: forked_at,
            pid: failure.is_none().then_some(pid),
            failure,
            tail: match pump {
                Some(pump) => pump.finish().await,
                None => String::new(),
            },
        })
    }

    /// Does `work` unless the run is to end before it is done.
    async fn unless_over<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        loop {
            match self.decide(Leader::Absent, false) {
                Step::Over => return None,
                Step::Go { wake, .. } => self.alarm.set(wake),
            }
            tokio::select! {
                done = &mut work => return Some(done),
                () = self.orders.changed() => {}
                () = self.alarm.rung() => {}
            }
        }
    }

    fn decide(&mut self, leader: Leader, group_gone: bool) -> Step {
        let (trust, stop) = self.orders.read();
        self.decider.decide(&Seen { now: BootInstant::now(), leader, group_gone, trust, stop })
    }

    fn report(&self, life: Life) -> Report {
        let exit = self.decider.exit();
        let verdict = self.decider.verdict(&self.task.success_codes);
        Report {
            outcome: verdict.outcome,
            exit_code: match exit {
                Some(Exit::Code(code)) => Some(code),
                _ => None,
            },
            signal: match exit {
                Some(Exit::Signal(signal)) => Some(signal),
                _ => None,
            },
            error: self.error(verdict, exit),
            started: life.started,
            finished: BootInstant::now(),
            tail: life.tail,
            pid: life.pid,
        }
    }

    fn error(&self, verdict: Verdict, exit: Option<Exit>) -> Option<String> {
        let why = match verdict.cause {
            None => {
                return match exit {
                    _ if verdict.outcome == Outcome::Succeeded => None,
                    Some(Exit::Code(code)) => Some(format!("exited with {code}")),
                    Some(Exit::Signal(signal)) => Some(format!("ended by {}", name(signal))),
                    Some(Exit::Unknown) | None => {
                        Some("how it ended is not known: something else took its status".into())
                    }
                };
            }
            Some(Cause::Timeout) => {
                let timeout = self.task.timeout.unwrap_or_default();
                format!("it ran longer than its timeout of {timeout:?}")
            }
            Some(Cause::Drain) => "the node is draining".to_owned(),
            Some(Cause::Cancel) => "it was cancelled".to_owned(),
            Some(Cause::LeaseExpired) => "the lease could not be renewed in time".to_owned(),
            Some(Cause::LeaseLost) => "the lease is no longer this node's".to_owned(),
        };
        let what = if exit.is_some() { "ended" } else { "not started" };
        Some(format!("{what}: {why}"))
    }
}

async fn account(task: &Task) -> Result<Account, NotStarted> {
    let (user, group) = (task.user.clone(), task.group.clone());
    tokio::task::spawn_blocking(move || account::resolve(user.as_deref(), group.as_deref()))
        .await
        .unwrap_or_else(|error| Err(NotStarted::io(&error.into())))
}

fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {signal}"),
    }
}

#[cfg(test)]
mod tests;
