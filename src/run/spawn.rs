//! From plan to process: one thread forks, and the child makes itself the command.
//!
//! **Why not [`std::process::Command`].** It returns only when the program was
//! loaded. A program or working directory on a network file system that hangs
//! would hold the calling thread, with a process that nobody knows the id of and
//! that starts the job whenever the file system wakes up, long after the lease
//! is gone. Here the id is known when `fork` returns, what became of the exec
//! comes later through a pipe, and until then the process can be killed like any
//! other. The pipe also says which step failed, not only an error number.
//!
//! **Why one thread of its own.** `PR_SET_PDEATHSIG`, which takes the job down
//! with the daemon, fires when the *thread* that forked ends, not the process.
//! The runtime's threads come and go; this one lives as long as the process. It
//! does nothing but fork, so nothing holds it up, and it blocks every signal, so
//! that none reaches the child before its handlers are those of a new program.

use std::ffi::c_int;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use nix::libc;
use nix::sys::signal::{SaFlags, SigHandler, SigSet, Signal};
use nix::unistd::{ForkResult, Pid, fork};
use tokio::sync::oneshot;

use super::child::Image;
use super::plan::Plan;
use super::process::Process;
use crate::clock::BootInstant;

/// The child's ends of the three pipes: what it prints, and how its start went.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// Carries one [`Stumble`](super::word::Stumble), or closes when the program was loaded.
    pub(super) word: OwnedFd,
}

struct Order {
    plan: Arc<Plan>,
    ends: Ends,
    called_off: Arc<AtomicBool>,
    reply: oneshot::Sender<nix::Result<Option<Process>>>,
}

/// Forks, unless it is called off before its turn comes. When the returned future
/// is dropped, no process is started, or the one that was is killed.
pub(super) async fn spawn(
    plan: Arc<Plan>,
    ends: Ends,
    called_off: Arc<AtomicBool>,
) -> io::Result<Option<Process>> {
    let (reply, answer) = oneshot::channel();
    send(Order { plan, ends, called_off, reply })?;
    Ok(answer.await.map_err(|_| io::Error::other("the thread that forks is gone"))??)
}

fn send(order: Order) -> io::Result<()> {
    static FORKER: Mutex<Option<mpsc::Sender<Order>>> = Mutex::new(None);
    let mut forker = FORKER.lock().unwrap_or_else(PoisonError::into_inner);
    let order = match &*forker {
        None => order,
        Some(sender) => match sender.send(order) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(order)) => order,
        },
    };
    let (sender, orders) = mpsc::channel();
    std::thread::Builder::new().name("solocron-fork".to_owned()).spawn(move || serve(&orders))?;
    let sent = sender.send(order);
    *forker = Some(sender);
    sent.map_err(|_| io::Error::other("the thread that forks is gone"))
}

fn serve(orders: &mpsc::Receiver<Order>) {
    // Cannot fail: the set is valid.
    let _ = SigSet::all().thread_block();
    keep_exit_statuses();
    while let Ok(Order { plan, ends, called_off, reply }) = orders.recv() {
        let process = if called_off.load(Ordering::Acquire) || reply.is_closed() {
            Ok(None)
        } else {
            fork_one(&plan, &ends).map(Some)
        };
        // The child has its own; while ours are open, nobody sees the end of a pipe.
        drop(ends);
        // If nobody waits any more, this drops the process, which kills it.
        let _ = reply.send(process);
    }
}

/// A process that inherited "SIGCHLD is ignored" never learns how its children end.
fn keep_exit_statuses() {
    // SAFETY: reads the disposition into a zeroed sigaction (for which all zero is
    // a valid value), and sets the default one, which runs no code of ours.
    unsafe {
        let mut held: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGCHLD, ptr::null(), &raw mut held) == 0
            && (held.sa_sigaction == libc::SIG_IGN || held.sa_flags & libc::SA_NOCLDWAIT != 0)
        {
            let default = nix::sys::signal::SigAction::new(
                SigHandler::SigDfl,
                SaFlags::empty(),
                SigSet::empty(),
            );
            let _ = nix::sys::signal::sigaction(Signal::SIGCHLD, &default);
        }
    }
}

fn fork_one(plan: &Plan, ends: &Ends) -> nix::Result<Process> {
    let image = Image::new(plan, ends);
    let now = BootInstant::now();
    // SAFETY: the child calls `Image::become_the_command` and nothing else, which
    // keeps to async-signal-safe calls and never returns.
    match unsafe { fork()? } {
        ForkResult::Child => image.become_the_command(),
        ForkResult::Parent { child } => Ok(Process::new(child, now)),
    }
}

/// Opens a handle on `child` that becomes readable when it ends, if the kernel
/// (since 5.3) and the table of descriptors allow it.
pub(super) fn pidfd(child: Pid) -> Option<OwnedFd> {
    // SAFETY: takes two numbers and returns a new descriptor, closed on exec, or -1.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    let fd = c_int::try_from(fd).ok().filter(|&fd| fd >= 0)?;
    // SAFETY: the descriptor was opened just now and nobody else has it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
