//! A command that runs under a keeper in its caller's surroundings: what `solocron lock`
//! runs.
//!
//! It has what the caller has: environment, open descriptors (the very same ones, a
//! terminal is a terminal), working directory, user, limits, ignored signals; and it is
//! in the caller's session and process group. So Ctrl-C reaches it from the terminal,
//! and Ctrl-Z stops it and its caller together. All else is as with a job: nothing that
//! it started outlives [`Errand::run`], nor the lease that this goes by.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl, open};
use nix::libc;
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;

use super::decide::{Cause, Exit, Limits};
use super::failure::{Fault, NotStarted};
use super::life::{self, Life, Rule};
use super::load::Load;
use super::orders::Orders;
use super::recipe::WORKING_DIRECTORY;
use super::signals::Signals;
use super::story::Ending;
use super::warden;

/// What to run, and what it has from its caller.
#[derive(Debug)]
pub struct Errand {
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// All variables that it sees.
    pub environment: BTreeMap<OsString, OsString>,
    /// What the caller has, and it too.
    pub surroundings: Surroundings,
    /// How long lies between TERM and KILL for what the program leaves behind.
    pub kill_grace: Duration,
}

/// What a process has from whoever started it, beside its environment.
#[derive(Debug)]
pub struct Surroundings {
    /// Everything that was open, and the working directory, each with its number.
    pub(super) handed: Vec<(RawFd, OwnedFd)>,
    /// The signals that were ignored, a bit each.
    pub(super) ignored: u64,
}

/// How an errand ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Farewell {
    /// The program exited with this code.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// It was ended, or not even started, because the lease was lost.
    Lost,
    /// There is no such program; in words.
    Missing(String),
    /// The program is there and cannot be executed; in words.
    NotExecutable(String),
    /// It could not be started, or how it ended is not known; in words.
    Failed(String),
}

impl Errand {
    /// Runs it until all that it started is gone.
    ///
    /// `signals` that come are passed on to it, `grace_on_loss` is what lies between TERM
    /// and KILL when the lease is lost, and `started` is called once, when the program was
    /// loaded, with the process's id. See [`execute`](super::execute), which asks for the
    /// same of its caller.
    pub async fn run(
        self,
        orders: Orders,
        signals: &mut Signals,
        grace_on_loss: Duration,
        started: impl FnOnce(u32) + Send,
    ) -> Farewell {
        let limits = Limits { kill_grace: self.kill_grace, grace_on_loss };
        let rule = Rule { limits, timeout: None, orders, signals: Some(signals) };
        let life = life::live(Load::of_errand(self), rule, started).await;
        warden::dismiss().await;
        match life {
            Ok(Life { failure: Some(failure), .. }) | Err(failure) => Farewell::unstarted(&failure),
            Ok(Life { ending, .. }) => Farewell::after(ending),
        }
    }
}

impl Farewell {
    fn unstarted(failure: &NotStarted) -> Self {
        let why = failure.to_string();
        match failure.fault() {
            Fault::Missing => Self::Missing(why),
            Fault::NotExecutable => Self::NotExecutable(why),
            Fault::Other => Self::Failed(why),
        }
    }

    fn after(ending: Ending) -> Self {
        let (exit, cause) = match ending {
            Ending::Exited(exit, cause) => (Some(exit), cause),
            Ending::NeverBegan(cause) | Ending::KeeperLost(cause) => (None, cause),
        };
        match (cause, exit) {
            (Some(Cause::LeaseExpired | Cause::LeaseLost), _) => Self::Lost,
            (_, Some(Exit::Code(code))) => Self::Exited(code),
            (_, Some(Exit::Signal(signal))) => Self::Signalled(signal),
            (_, Some(Exit::Unknown)) => {
                Self::Failed("how the command ended is not known".to_owned())
            }
            (_, None) => Self::Failed(
                "the command was ended: its keeper, the process that solocron watches over it \
                 with, was killed"
                    .to_owned(),
            ),
        }
    }
}

impl Surroundings {
    /// Those of this process, before it opens anything itself: what is open and does not
    /// close on exec was there when it began.
    pub fn inherited() -> io::Result<Self> {
        let mut handed = vec![
            (libc::STDIN_FILENO, io::stdin().as_fd().try_clone_to_owned()?),
            (libc::STDOUT_FILENO, io::stdout().as_fd().try_clone_to_owned()?),
            (libc::STDERR_FILENO, io::stderr().as_fd().try_clone_to_owned()?),
        ];
        // What lies above the limit, which was lowered later, can be put nowhere.
        let (_, limit) = getrlimit(Resource::RLIMIT_NOFILE)?;
        let within = |number: &RawFd| u64::try_from(*number).is_ok_and(|number| number < limit);
        for number in open_numbers().into_iter().filter(within) {
            // SAFETY: it was open when it was listed, and nobody else is here to close it.
            let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
            let flags = fcntl(descriptor, FcntlArg::F_GETFD).map(FdFlag::from_bits_retain);
            // An error is that of the listing, which is closed already.
            if flags.is_ok_and(|flags| !flags.contains(FdFlag::FD_CLOEXEC)) {
                handed.push((number, descriptor.try_clone_to_owned()?));
            }
        }
        // A path may lead nowhere by now, or elsewhere.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let here = open(c".", flags, Mode::empty()).map_err(|errno| {
            io::Error::other(format!("cannot open the working directory: {}", errno.desc()))
        })?;
        handed.push((WORKING_DIRECTORY, here));
        Ok(Self { handed, ignored: ignored_signals() })
    }
}

/// The numbers of all that is open above the standard three.
fn open_numbers() -> Vec<RawFd> {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    numbers.filter(|&number: &RawFd| number > libc::STDERR_FILENO).collect()
}

/// The signals that this process ignores; but Rust itself ignores SIGPIPE.
fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.unwrap_or_default() & !bit(Signal::SIGPIPE)
}

/// The signal's bit in such a mask.
pub(super) fn bit(signal: Signal) -> u64 {
    1 << (signal as i32 - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_was_lost_outweighs_how_the_command_ended() {
        for (ending, farewell) in [
            (Ending::Exited(Exit::Code(3), None), Farewell::Exited(3)),
            (Ending::Exited(Exit::Signal(15), None), Farewell::Signalled(15)),
            (Ending::Exited(Exit::Code(0), Some(Cause::LeaseExpired)), Farewell::Lost),
            (Ending::Exited(Exit::Signal(9), Some(Cause::LeaseLost)), Farewell::Lost),
            (Ending::NeverBegan(Some(Cause::LeaseLost)), Farewell::Lost),
            (Ending::KeeperLost(Some(Cause::LeaseExpired)), Farewell::Lost),
        ] {
            assert_eq!(Farewell::after(ending), farewell);
        }
        assert!(matches!(Farewell::after(Ending::KeeperLost(None)), Farewell::Failed(_)));
    }

    #[test]
    fn what_is_open_and_outlives_an_exec_is_handed_over() {
        let (kept, private) = (fs::File::open("/dev/null").unwrap(), fs::File::open("/").unwrap());
        fcntl(&kept, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
        let Surroundings { handed, ignored } = Surroundings::inherited().unwrap();
        let has = |number| handed.iter().any(|(handed, _)| *handed == number);
        use std::os::fd::AsRawFd;
        assert!(has(0) && has(1) && has(2) && has(WORKING_DIRECTORY));
        assert!(has(kept.as_raw_fd()));
        assert!(!has(private.as_raw_fd()));
        assert_eq!(ignored & bit(Signal::SIGPIPE), 0);
    }
}
