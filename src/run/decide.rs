//! When to send TERM, when to send KILL, and which outcome a run has: a state
//! machine from what is seen to what is done, without a process or a timer.
//!
//! ```text
//!            cause                    kill_by                 group gone
//!  running ─────────▶ ending (TERM) ─────────▶ KILL ─┐
//!     │                    │                         ├────────────────▶ over
//!     └────────────────────┴── the leader ended ─────┘
//! ```
//!
//! Rules:
//!
//! - **The instant of KILL never moves later.** Each cause proposes one, and the
//!   earliest stands. TERM is sent once, and not at all when KILL is due too.
//! - **A deadline is a comparison, not a timer.** A machine that slept past it
//!   finds out at its first look.
//! - **The outcome is fixed when the leader ends.** What happens while the rest
//!   of its tree is ended does not change it.
//! - A run that is **withdrawn** ends if it has not begun; one that has goes on.
//! - A run that ended before it was told to is judged by its exit code alone.
//! - A **drain** interrupts the run for the node's sake: one that still ends with
//!   a success code has `succeeded`, any other end is `handed_over`. (A command
//!   that stops half-way on TERM should therefore not exit with a success code.)
//! - A **timeout**, a **cancel** and a **lost lease** decide the outcome whatever
//!   the exit code: the command was told to stop, and its word for success is no
//!   longer good enough to settle the slot.
//! - The first cause names the outcome; only a drain yields to a later cancel or
//!   lost lease, because then the slot is not ours to hand over.

use std::time::Duration;

use super::orders::{Stop, Trust};
use crate::clock::BootInstant;
use crate::outcome::Outcome;

/// How the leader of the run's tree ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// Somebody else took its exit status.
    Unknown,
}

/// The process that was started for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// Not started yet.
    Absent,
    /// It runs.
    Running,
    /// It ended.
    Ended(Exit),
}

/// What is seen at one look.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub now: BootInstant,
    pub leader: Leader,
    /// Nothing lives of the leader's tree. Means nothing before it ended.
    pub tree_gone: bool,
    pub trust: Trust,
    pub stop: Option<Stop>,
}

/// The run's own limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub kill_grace: Duration,
    pub grace_on_loss: Duration,
}

/// What goes to the whole tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Term,
    Kill,
}

/// What to do after one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Step {
    /// Send the blow, if any, and look again at the instant, if any, or when
    /// there is news.
    Go { blow: Option<Blow>, wake: Option<BootInstant> },
    /// The run is over.
    Over,
}

/// What to do while nothing was started yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Opening {
    /// Look again at the instant, or when there is news.
    Wait(BootInstant),
    /// Start the command.
    Begin,
    /// It is not to be started.
    Over,
}

/// Why a run was told to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    Timeout,
    Drain,
    Cancel,
    /// The lease could not be renewed in time.
    LeaseExpired,
    /// The lease is another's.
    LeaseLost,
    /// It was not to begin, and had not.
    Withdrawn,
}

impl Cause {
    /// Whether `self` stands when `later` comes.
    fn outranks(self, later: Self) -> bool {
        !matches!((self, later), (Self::Drain, Self::Cancel | Self::LeaseExpired | Self::LeaseLost))
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Timeout => Outcome::TimedOut,
            Self::Drain | Self::Withdrawn => Outcome::HandedOver,
            Self::Cancel => Outcome::Cancelled,
            Self::LeaseExpired | Self::LeaseLost => Outcome::LeaseLost,
        }
    }
}

/// How a run ended and, unless it succeeded, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    pub cause: Option<Cause>,
}

impl Verdict {
    /// On a run that is over: how its leader ended, if it began, and the cause that was
    /// in force then.
    pub fn on(exit: Option<Exit>, cause: Option<Cause>, success_codes: &[u8]) -> Self {
        let success = matches!(exit, Some(Exit::Code(code))
            if u8::try_from(code).is_ok_and(|code| success_codes.contains(&code)));
        match cause {
            None | Some(Cause::Drain) if success => {
                Self { outcome: Outcome::Succeeded, cause: None }
            }
            None => Self { outcome: Outcome::Failed, cause: None },
            Some(cause) => Self { outcome: cause.outcome(), cause: Some(cause) },
        }
    }
}

/// The state of one run's decisions.
#[derive(Debug)]
pub struct Decider {
    limits: Limits,
    timeout_at: Option<BootInstant>,
    cause: Option<Cause>,
    kill_by: Option<BootInstant>,
    term_sent: bool,
    last_until: Option<BootInstant>,
    ended: Option<(Exit, Option<Cause>)>,
}

impl Decider {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            timeout_at: None,
            cause: None,
            kill_by: None,
            term_sent: false,
            last_until: None,
            ended: None,
        }
    }

    /// Starts the clock of the job's timeout.
    pub fn started(&mut self, at: BootInstant, timeout: Option<Duration>) {
        self.timeout_at = timeout.map(|timeout| at + timeout);
    }

    /// Decides before anything was started: the command begins at `not_before`, unless
    /// something ends the run before that.
    pub fn open(&mut self, seen: &Seen, not_before: BootInstant) -> Opening {
        match self.decide(seen) {
            Step::Over => Opening::Over,
            Step::Go { .. } if seen.now >= not_before => Opening::Begin,
            Step::Go { wake, .. } => {
                Opening::Wait(wake.map_or(not_before, |at| at.min(not_before)))
            }
        }
    }

    /// Decides on what is seen now.
    pub fn decide(&mut self, seen: &Seen) -> Step {
        let now = seen.now;
        if let (Leader::Ended(exit), None) = (seen.leader, self.ended) {
            self.ended = Some((exit, self.cause));
        }
        if self.ended.is_some() && seen.tree_gone {
            return Step::Over;
        }

        self.heed_trust(now, seen.trust);
        match seen.stop {
            Some(Stop::Drain) => self.end(Cause::Drain, now + self.limits.kill_grace),
            Some(Stop::Cancel) => self.end(Cause::Cancel, now + self.limits.kill_grace),
            Some(Stop::Kill) => self.end(Cause::Drain, now),
            Some(Stop::Withdraw) if seen.leader == Leader::Absent => {
                self.end(Cause::Withdrawn, now);
            }
            Some(Stop::Withdraw) | None => {}
        }
        if self.timeout_at.is_some_and(|at| at <= now) {
            self.end(Cause::Timeout, now + self.limits.kill_grace);
        }
        if self.ended.is_some() {
            self.kill_by_at_latest(now + self.limits.kill_grace);
        }

        if seen.leader == Leader::Absent && self.cause.is_some() {
            return Step::Over;
        }
        Step::Go { blow: self.blow(now), wake: self.wake(now, seen.trust) }
    }

    fn heed_trust(&mut self, now: BootInstant, trust: Trust) {
        match trust {
            Trust::Until(at) => {
                self.last_until = Some(at);
                if at.minus(self.limits.grace_on_loss) <= now {
                    self.end(Cause::LeaseExpired, at);
                }
            }
            Trust::Lost => {
                let grace = now + self.limits.grace_on_loss;
                self.end(Cause::LeaseLost, self.last_until.map_or(grace, |at| at.min(grace)));
            }
        }
    }

    fn end(&mut self, cause: Cause, kill_by: BootInstant) {
        if !self.cause.is_some_and(|standing| standing.outranks(cause)) {
            self.cause = Some(cause);
        }
        self.kill_by_at_latest(kill_by);
    }

    fn kill_by_at_latest(&mut self, at: BootInstant) {
        self.kill_by = Some(self.kill_by.map_or(at, |by| by.min(at)));
    }

    fn blow(&mut self, now: BootInstant) -> Option<Blow> {
        if self.kill_by? <= now {
            self.term_sent = true;
            return Some(Blow::Kill);
        }
        let first = !self.term_sent;
        self.term_sent = true;
        first.then_some(Blow::Term)
    }

    /// The next instant at which a deadline passes.
    fn wake(&self, now: BootInstant, trust: Trust) -> Option<BootInstant> {
        let trust = match trust {
            Trust::Until(at) => Some(at.minus(self.limits.grace_on_loss)),
            Trust::Lost => None,
        };
        [self.kill_by, self.timeout_at, trust].into_iter().flatten().filter(|&at| at > now).min()
    }

    /// How the leader ended, if it did, and the cause that was in force then.
    pub fn ended(&self) -> Option<(Exit, Option<Cause>)> {
        self.ended
    }

    /// Why the run is to end, if it is.
    pub fn cause(&self) -> Option<Cause> {
        self.cause
    }

    /// When KILL is due, if it is.
    pub fn kill_by(&self) -> Option<BootInstant> {
        self.kill_by
    }
}

#[cfg(test)]
mod tests;
