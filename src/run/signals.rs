//! The signals that a process gets in the stead of the command that it runs.
//!
//! A terminal sends its signals to the whole foreground group, so the command has those
//! already: they are not passed on. What somebody sends to this process alone is. The
//! kernel says which is which: it signs what a terminal sends.

use std::io;

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, raise};
use nix::sys::signalfd::{SfdFlags, SignalFd, siginfo};
use nix::unistd::{getpid, getsid};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::errand::{Surroundings, bit};

/// Those that are passed on. What else there is ends or stops this process as it always
/// does: the keeper then ends the command in time.
const PASSED_ON: [Signal; 9] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    Signal::SIGCONT,
    Signal::SIGTSTP,
];

/// The signals of this process, held back until somebody asks for them.
#[derive(Debug)]
pub struct Signals {
    source: AsyncFd<SignalFd>,
    /// A stop was taken in, and is still to be heeded.
    stop: bool,
    /// The terminal's Ctrl-C was pressed.
    interrupted: bool,
}

/// A signal that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Arrived {
    signal: Signal,
    sender: Sender,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sender {
    Terminal,
    Process(u32),
}

impl Signals {
    /// Holds them back from here on, in this thread and those that it starts. Those that
    /// were ignored stay so. Must be called in a Tokio runtime.
    pub fn hold_back(surroundings: &Surroundings) -> io::Result<Self> {
        let heeded = PASSED_ON.into_iter().filter(|&one| surroundings.ignored & bit(one) == 0);
        let set: SigSet = heeded.collect();
        set.thread_block()?;
        let source = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        // SAFETY: a `SignalFd` is open, always the same, and lives until the registration
        // is dropped.
        let source = unsafe { AsyncFd::register_with_interest(source, Interest::READABLE)? };
        Ok(Self { source, stop: false, interrupted: false })
    }

    /// Returns when one comes that should end this process. Others do what they always do.
    /// May be dropped and called again.
    pub async fn ending(&mut self) -> Signal {
        loop {
            let signal = self.next().await.signal;
            // The terminal's size, and going on, are nothing to wait for.
            if !matches!(signal, Signal::SIGWINCH | Signal::SIGCONT | Signal::SIGTSTP) {
                return signal;
            }
        }
    }

    /// The next one that is to be passed on to the command, whose leader is `leader` once
    /// its program is loaded. May be dropped and called again.
    pub(super) async fn next_for(&mut self, leader: Option<u32>) -> Signal {
        loop {
            let arrived = self.next().await;
            let leads_session = getsid(None) == Ok(getpid());
            if arrived.is_news_to(leader, leads_session) {
                return arrived.signal;
            }
        }
    }

    async fn next(&mut self) -> Arrived {
        if std::mem::take(&mut self.stop) {
            // Whoever was to be told of it has been.
            stop();
        }
        let read = self.source.async_io_mut(Interest::READABLE, |source| {
            source.read_signal()?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        });
        let arrived = match read.await.as_ref().map(Arrived::from_info) {
            Ok(Some(arrived)) => arrived,
            // Neither comes about: it reads what it asked for.
            Ok(None) | Err(_) => std::future::pending().await,
        };
        self.stop = arrived.signal == Signal::SIGTSTP;
        self.interrupted |= arrived.is_interrupt();
        arrived
    }

    /// Ends this process as SIGINT ends a program, if Ctrl-C was pressed and `signal`, which
    /// ended the command, says that it went by it. A shell then ends the script that both
    /// are in as well, where it would go on after an exit code.
    pub fn die_of_interrupt(&mut self, signal: i32) {
        // The command may have ended by it before it was asked for here.
        while let Ok(Some(info)) = self.source.get_mut().read_signal() {
            self.interrupted |= Arrived::from_info(&info).is_some_and(Arrived::is_interrupt);
        }
        if self.interrupted && signal == Signal::SIGINT as i32 {
            let _ = setrlimit(Resource::RLIMIT_CORE, 0, 0);
            deliver(Signal::SIGINT);
        }
    }
}

impl Arrived {
    fn from_info(info: &siginfo) -> Option<Self> {
        let signal = Signal::try_from(info.ssi_signo.cast_signed()).ok()?;
        let sender = match info.ssi_code {
            libc::SI_KERNEL => Sender::Terminal,
            _ => Sender::Process(info.ssi_pid),
        };
        Some(Self { signal, sender })
    }

    /// Somebody pressed Ctrl-C.
    fn is_interrupt(self) -> bool {
        self.signal == Signal::SIGINT && self.sender == Sender::Terminal
    }

    /// Whether the command does not have it already.
    fn is_news_to(self, leader: Option<u32>, leads_session: bool) -> bool {
        match (leader, self.sender) {
            // It may not have been in the group when that got it.
            (None, _) => true,
            // When a terminal is gone, only the leader of its session is told.
            (Some(_), Sender::Terminal) => self.signal == Signal::SIGHUP && leads_session,
            // What it sends to its group, it sends to itself.
            (Some(leader), Sender::Process(sender)) => leader != sender,
        }
    }
}

/// Stops this process, until somebody lets it go on.
fn stop() {
    deliver(Signal::SIGTSTP);
}

/// Lets a signal that is held back do what it does.
fn deliver(signal: Signal) {
    let set = SigSet::from(signal);
    let _ = raise(signal);
    let _ = set.thread_unblock();
    // Here it has been.
    let _ = set.thread_block();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(signal: Signal, sender: Sender, leader: Option<u32>, leads_session: bool) -> bool {
        Arrived { signal, sender }.is_news_to(leader, leads_session)
    }

    #[test]
    fn what_the_command_has_from_the_terminal_or_from_itself_is_not_passed_on() {
        use Sender::{Process, Terminal};
        for signal in PASSED_ON {
            assert!(!news(signal, Terminal, Some(7), false), "{signal}");
            assert!(!news(signal, Process(7), Some(7), false), "{signal}");
            assert!(news(signal, Process(8), Some(7), false), "{signal}");
            assert!(news(signal, Terminal, None, false), "{signal}");
        }
        assert!(news(Signal::SIGHUP, Terminal, Some(7), true));
        assert!(!news(Signal::SIGINT, Terminal, Some(7), true));
    }
}
