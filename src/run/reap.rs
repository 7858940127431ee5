//! Taking note of children that ended.

use nix::errno::Errno;
use nix::libc;
use nix::unistd::Pid;

use super::decide::Exit;

/// What one look at the children found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reaped {
    /// This one had ended so.
    Child(Pid, Exit),
    /// There are children, and all of them live.
    AllLive,
    /// There is no child. For a subreaper: nothing that descends from it lives.
    NoChild,
}

/// Reaps one child that has ended, if there is one.
pub(super) fn any() -> Reaped {
    one(-1)
}

/// Reaps `child`, if it has ended.
pub(super) fn this(child: Pid) -> Reaped {
    one(child.as_raw())
}

fn one(whom: libc::pid_t) -> Reaped {
    // Also children that were cloned in a way that would not tell their parent.
    let flags = libc::WNOHANG | libc::__WALL;
    loop {
        let mut status = 0;
        // nix's `waitpid` loses the status of a process that a real-time signal ended.
        // SAFETY: writes one status to `status` and touches nothing else.
        let reaped = unsafe { libc::waitpid(whom, &raw mut status, flags) };
        return match Errno::result(reaped) {
            Ok(0) => Reaped::AllLive,
            Ok(pid) => Reaped::Child(Pid::from_raw(pid), exit(status)),
            Err(Errno::EINTR) => continue,
            Err(_) => Reaped::NoChild,
        };
    }
}

fn exit(status: libc::c_int) -> Exit {
    if libc::WIFEXITED(status) {
        Exit::Code(libc::WEXITSTATUS(status))
    } else {
        // Stops are told only to those who ask for them.
        Exit::Signal(libc::WTERMSIG(status))
    }
}
