//! All that came of one job, and how it is ended.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpid};

use crate::clock::BootInstant;
use crate::run::cgroup::RunGroup;
use crate::run::decide::{Blow, Exit};
use crate::run::family::{self, descendants};
use crate::run::reap::{self, Reaped};
use crate::run::session::Session;
use crate::run::wire::Said;

/// The first pause between two blows to a tree that was killed; each further one is
/// twice as long, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// How long after KILL a tree that will not go is worth a warning, and one that we may
/// not signal or see is left alone.
pub(in crate::run) const PATIENCE: Duration = Duration::from_secs(5);

/// The descendants of this process: nothing else is ever forked here.
pub(super) struct Tree {
    session: Session,
    leader: Pid,
    group: Option<RunGroup>,
    exit: Option<Exit>,
    gone: bool,
    killed_at: Option<BootInstant>,
    pause: Duration,
    warned: bool,
    trouble: Option<Said>,
}

impl Tree {
    pub(super) fn new(leader: Pid, group: Option<RunGroup>, session: Session) -> Self {
        Self {
            session,
            leader,
            group,
            exit: None,
            gone: false,
            killed_at: None,
            pause: FIRST_PAUSE,
            warned: false,
            trouble: None,
        }
    }

    /// Takes note of all that has ended; how the leader did, if it did.
    pub(super) fn reap(&mut self) -> Option<Exit> {
        loop {
            match reap::any() {
                Reaped::Child(pid, exit) if pid == self.leader => self.exit = Some(exit),
                Reaped::Child(..) => {}
                Reaped::AllLive => return self.exit,
                Reaped::NoChild => {
                    self.gone = true;
                    // Nobody else can take it from us; but whoever does must not hold
                    // the run up.
                    return Some(*self.exit.get_or_insert(Exit::Unknown));
                }
            }
        }
    }

    /// Nothing is left, or nothing that could be ended.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    pub(super) fn is_killed(&self) -> bool {
        self.killed_at.is_some()
    }

    /// Passes a signal on to the leader, while there is one.
    pub(super) fn pass_on(&self, signal: Signal) {
        // It is our child, and not reaped: nobody else can have its number.
        if self.exit.is_none() {
            let _ = kill(self.leader, signal);
        }
    }

    /// Signals every process of it.
    pub(super) fn strike(&mut self, blow: Blow) {
        match blow {
            Blow::Term => {
                let all = descendants(getpid(), |_| true);
                family::strike(&all, Signal::SIGTERM, self.session);
                // A stopped process takes its TERM only when it goes on.
                family::strike(&all, Signal::SIGCONT, self.session);
            }
            Blow::Kill => {
                if let Some(group) = &self.group {
                    group.kill();
                }
                let all = descendants(getpid(), |_| true);
                family::strike(&all, Signal::SIGKILL, self.session);
                let now = BootInstant::now();
                let killed_at = *self.killed_at.get_or_insert(now);
                if now.since(killed_at) >= PATIENCE {
                    let alive: Vec<_> = all.iter().filter(|one| !one.is_zombie()).collect();
                    let out_of_reach = alive.iter().all(|one| one.is_out_of_reach());
                    self.lose_patience(out_of_reach && self.exit.is_some());
                }
            }
        }
    }

    fn lose_patience(&mut self, hopeless: bool) {
        if hopeless {
            self.gone = true;
            self.trouble = Some(Said::LeftAlone);
        } else if !self.warned {
            self.warned = true;
            self.trouble = Some(Said::Hangs);
        }
    }

    /// What the daemon should know, once.
    pub(super) fn trouble(&mut self) -> Option<Said> {
        self.trouble.take()
    }

    /// When to strike again although nothing tells us to: what was being forked when
    /// the tree was listed was missed.
    pub(super) fn next_look(&mut self) -> Option<BootInstant> {
        self.killed_at?;
        let pause = self.pause;
        self.pause = (pause * 2).min(LONGEST_PAUSE);
        Some(BootInstant::now() + pause)
    }

    /// Removes what was set up for it.
    pub(super) fn clear_away(&self) {
        if let Some(group) = &self.group {
            group.remove();
        }
    }
}
