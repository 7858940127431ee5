//! The processes of one run: its leader, which is our child, and the rest of the
//! leader's group, which need not be.
//!
//! The group's id is the leader's. The kernel gives a number to nobody else while
//! an unreaped process or a living group has it, so a signal sent before the
//! leader is reaped, or while the group still answers, reaches no stranger.
//!
//! A process that left the group (`setsid`, a daemon that forks twice) is not
//! reached by anything here.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::decide::{Blow, Exit};
use super::spawn::pidfd;
use crate::clock::BootInstant;

/// How often the leader is asked when the kernel cannot tell.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// The leader of a run's group. Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Process {
    leader: Pid,
    forked: BootInstant,
    pidfd: Option<OwnedFd>,
    exit: Option<Exit>,
    gone: bool,
}

/// What is left of a group whose leader has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// Nothing.
    None,
    /// Processes, alive or waiting for their parent to notice their end.
    Some,
    /// Only processes that we may not signal: they have taken on other rights.
    Foreign,
}

impl Process {
    /// The group that `leader`, a child of this process since `forked`, leads or is
    /// about to.
    pub(super) fn new(leader: Pid, forked: BootInstant) -> Self {
        Self { leader, forked, pidfd: pidfd(leader), exit: None, gone: false }
    }

    pub(super) fn id(&self) -> u32 {
        self.leader.as_raw().unsigned_abs()
    }

    pub(super) fn forked(&self) -> BootInstant {
        self.forked
    }

    pub(super) fn group(&self) -> Group {
        Group(self.leader)
    }

    /// What becomes ready when the leader ends. To be called once.
    pub(super) fn end(&mut self) -> End {
        let watched = self.pidfd.take().map(|fd| {
            // SAFETY: an `OwnedFd` is open, always the same, and lives until the
            // registration is dropped.
            unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) }
        });
        match watched {
            Some(Ok(fd)) => End::Told(fd),
            Some(Err(_)) | None => End::Asked,
        }
    }

    /// How the leader ended, if it did; reaps it then.
    pub(super) fn exit(&mut self) -> Option<Exit> {
        if self.exit.is_none() {
            let mut status = 0;
            // nix's `waitpid` loses the status of a process that a real-time signal
            // ended.
            // SAFETY: writes one status to `status` and touches nothing else.
            let reaped =
                unsafe { libc::waitpid(self.leader.as_raw(), &raw mut status, libc::WNOHANG) };
            self.exit = match Errno::result(reaped) {
                // Still running.
                Ok(0) => None,
                Ok(_) if libc::WIFEXITED(status) => Some(Exit::Code(libc::WEXITSTATUS(status))),
                Ok(_) if libc::WIFSIGNALED(status) => Some(Exit::Signal(libc::WTERMSIG(status))),
                // Stopped or continued, which is told only to those who ask for it.
                Ok(_) => None,
                // Another part of the process waited for "any child" and got ours.
                Err(Errno::ECHILD) => Some(Exit::Unknown),
                Err(_) => None,
            };
        }
        self.exit
    }

    /// What is left of the group, once the leader was reaped.
    pub(super) fn rest(&mut self) -> Rest {
        if self.gone {
            return Rest::None;
        }
        // As the init of a container we inherit orphans: those of the group are
        // ours to reap.
        while let Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) =
            waitpid(Pid::from_raw(-self.leader.as_raw()), Some(WaitPidFlag::WNOHANG))
        {}
        let rest = match self.group().signal(None) {
            Ok(()) => Rest::Some,
            Err(Errno::EPERM) => Rest::Foreign,
            Err(_) => Rest::None,
        };
        self.gone = rest == Rest::None;
        rest
    }

    /// Nothing of the group lives, whatever `rest` says.
    pub(super) fn give_up(&mut self) {
        self.gone = true;
    }

    /// Signals the whole group.
    pub(super) fn strike(&self, blow: Blow) {
        let signal = match blow {
            Blow::Term => Signal::SIGTERM,
            Blow::Kill => Signal::SIGKILL,
        };
        let struck = self.group().signal(Some(signal));
        // The child has not made its group yet.
        if struck == Err(Errno::ESRCH) && self.exit.is_none() {
            let _ = kill(self.leader, signal);
        }
        // A stopped process takes its TERM only when it goes on.
        if blow == Blow::Term {
            let _ = self.group().signal(Some(Signal::SIGCONT));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        self.strike(Blow::Kill);
        if self.exit().is_none() {
            // It is dead but not reaped yet. Waiting here would hold a worker.
            let leader = self.leader;
            let reaper = std::thread::Builder::new().name("solocron-reap".to_owned());
            let _ = reaper.spawn(move || while waitpid(leader, None) == Err(Errno::EINTR) {});
        }
    }
}

/// How we learn of the leader's end.
#[derive(Debug)]
pub(super) enum End {
    /// The kernel tells us.
    Told(AsyncFd<OwnedFd>),
    /// We have to ask from time to time: Linux before 5.3, or no descriptor left.
    Asked,
}

impl End {
    /// Returns when it is time to look at the leader. May be dropped and called again.
    pub(super) async fn look(&mut self) {
        match self {
            Self::Told(fd) => {
                let _ = fd.readable().await;
                // The handle stays ready. Should the leader not be there to reap yet
                // (a debugger holds it), asking is what remains.
                *self = Self::Asked;
            }
            Self::Asked => tokio::time::sleep(ASK_EVERY).await,
        }
    }
}

/// The id of a process group.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group(Pid);

impl Group {
    fn signal(self, signal: Option<Signal>) -> nix::Result<()> {
        kill(Pid::from_raw(-self.0.as_raw()), signal)
    }

    /// Whether a process of the group is more than a zombie. Reads all of `/proc`,
    /// so it may take milliseconds.
    pub(super) fn lives(self) -> io::Result<bool> {
        for entry in fs::read_dir("/proc")? {
            let entry = entry?;
            let is_process =
                entry.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
            if !is_process {
                continue;
            }
            // One that ended meanwhile does not live.
            let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
            if let Some((state, group)) = state_and_group(&stat)
                && group == self.0.as_raw()
                && !matches!(state, "Z" | "X")
            {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `pid (name) state parent group …`, where the name may contain anything.
fn state_and_group(stat: &str) -> Option<(&str, i32)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    Some((state, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_found_behind_any_name() {
        assert_eq!(state_and_group("12 (a) b) Z 1) S 1 42 42 0"), Some(("S", 42)));
        assert_eq!(state_and_group("12 (a"), None);
    }

    #[test]
    fn our_own_group_lives() {
        assert!(Group(nix::unistd::getpgrp()).lives().unwrap());
        assert!(!Group(Pid::from_raw(i32::MAX)).lives().unwrap());
    }
}
