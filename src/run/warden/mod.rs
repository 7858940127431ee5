//! The warden: the parent of all keepers, one for each daemon.
//!
//! ```text
//! daemon ── warden ─┬─ keeper ── the job's tree
//!                   ├─ keeper ── …
//! ```
//!
//! **Why it is there.** A keeper could be a child of the daemon. But then a daemon and a
//! keeper killed together would leave the job's tree to nobody. Here whatever loses its
//! keeper becomes the warden's child (it is the nearest subreaper), and the warden ends
//! it. And it is small: the same binary started anew, with one thread and no runtime,
//! so that a keeper is a plain fork of it, without exec, in a fraction of a millisecond
//! and with next to no memory of its own.
//!
//! **What ends what.**
//!
//! | what dies or is stopped | who ends the trees |
//! |---|---|
//! | a keeper | the kernel the leader (PDEATHSIG), the warden the rest; then it says so |
//! | a stopped keeper | the daemon kills it when it is late (`vigil.rs`), then as above |
//! | the daemon | each keeper its own tree; the warden kills stopped keepers at once, and after the longest grace all that is left |
//! | a stopped daemon | each keeper, at the deadline of its lease |
//! | daemon and keeper | the warden |
//! | the warden | keepers go on; the daemon, which is a subreaper as well, adopts them, and later what they lose (`orphanage.rs`); it starts a new warden for new runs |
//! | a stopped warden | the daemon kills it as soon as it needs it |
//!
//! **Why no PID namespace.** It would end a tree whole without any of this. But a job in
//! one cannot signal the world outside, and `kill -HUP $(cat /run/nginx.pid)` is the
//! commonest thing that cron jobs do. The warden gives the same protection against two
//! deaths at once.
//!
//! # Starting it
//!
//! The daemon starts the warden at its first run, from `/proc/self/exe`, under the name
//! [`NAME`]; for commands in the caller's session, with the caller's process group as its
//! argument. So the program must call [`serve_if_warden`] before anything else: there
//! the warden's life begins and ends.

mod hire;
mod serve;

use std::ffi::OsStr;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

pub(super) use self::hire::{ANSWERS_WITHIN, Warden, dismiss, entrust};

use super::session::Session;

/// What the warden is called: its first argument, and its name in lists of processes.
const NAME: &str = "solocron-warden";

/// Set once this program has said that it can be the warden.
static PREPARED: AtomicBool = AtomicBool::new(false);

/// To be called at the very start of `main`, before any thread is there. If this process
/// was started to be the warden, it is that from here on, and the call does not return.
/// A program that does not call it cannot run commands.
pub fn serve_if_warden() {
    let mut arguments = std::env::args_os();
    if arguments.next().as_deref() == Some(OsStr::new(NAME)) {
        serve::on_standard_input(Session::from_argument(arguments.next().as_deref()));
    }
    PREPARED.store(true, Ordering::Release);
}

/// How to start the warden.
fn program(session: Session) -> io::Result<Command> {
    if !PREPARED.load(Ordering::Acquire) {
        return Err(io::Error::other(
            "this program does not call `solocron::run::serve_if_warden` at its start",
        ));
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg0(NAME).args(session.to_argument());
    if let Session::Callers(_) = session {
        // From its first instruction: a Ctrl-C must not end it.
        command.process_group(0);
    }
    Ok(command)
}

/// A test binary has a `main` that is not ours, and by the time a test runs it has
/// threads. So there the C library calls this before `main`.
#[cfg(test)]
// SAFETY: the section holds pointers to functions without arguments that return nothing.
#[unsafe(link_section = ".init_array")]
#[used]
static BEFORE_MAIN: extern "C" fn() = {
    extern "C" fn before_main() {
        serve_if_warden();
    }
    before_main
};
