//! A handle on one process: unlike its number, nobody else ever gets it.
//!
//! Linux has it since 5.3. Where it is missing, the number must do.

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// Opens a handle on `pid` that becomes readable when it has ended. `ENOSYS` where the
/// kernel has no such thing.
pub(super) fn open(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: takes two numbers and returns a new descriptor, closed on exec, or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
    let fd = Errno::result(fd)?;
    let fd = c_int::try_from(fd).map_err(|_| Errno::EBADF)?;
    // SAFETY: the descriptor was opened just now and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Signals the process.
pub(super) fn signal(process: impl AsFd, signal: Signal) -> nix::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    let fd = process.as_fd().as_raw_fd();
    // SAFETY: takes numbers and no pointer.
    let done =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal as c_int, nothing, 0) };
    Errno::result(done).map(drop)
}

/// Reaps the process, should it be a child of ours that has ended.
pub(super) fn reap(process: impl AsFd) {
    // One that is another's child is refused.
    let _ = waitid(Id::PIDFd(process.as_fd()), WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG);
}
