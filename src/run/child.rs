//! The child between fork and exec.
//!
//! It comes from a keeper, which has one thread, and keeps all the same to what is
//! async-signal-safe: no allocation, no lock, no user database. All it needs is in the
//! [`Recipe`].

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Pid, chdir, close, fchdir, getpid, getppid, setgid, setgroups, setpgid, setsid, setuid, write,
};

use super::gate::Gate;
use super::recipe::{Recipe, WORKING_DIRECTORY};
use super::session::Session;
use super::word::Stumble;

/// What the child takes over from the keeper. None of it has a number that the command
/// has something under, so that no copy overwrites what is still to be copied.
#[derive(Debug)]
pub(super) struct Ends {
    /// What the command has open, each with its number there. Where that is not standard
    /// input too, it is empty.
    handed: Vec<(RawFd, OwnedFd)>,
    working_directory: Option<OwnedFd>,
    /// Carries one [`Stumble`], or closes when the program was loaded.
    word: OwnedFd,
}

impl Ends {
    /// `numbers` are those of `handed`.
    pub(super) fn new(numbers: &[RawFd], handed: Vec<OwnedFd>, word: OwnedFd) -> nix::Result<Self> {
        let word = move_away(word, numbers)?;
        let mut ends = Self { handed: Vec::new(), working_directory: None, word };
        for (&number, descriptor) in numbers.iter().zip(handed) {
            let descriptor = move_away(descriptor, numbers)?;
            match number {
                WORKING_DIRECTORY => ends.working_directory = Some(descriptor),
                number => ends.handed.push((number, descriptor)),
            }
        }
        Ok(ends)
    }
}

/// The same descriptor under a number that is none of these.
pub(super) fn move_away(mut descriptor: OwnedFd, numbers: &[RawFd]) -> nix::Result<OwnedFd> {
    // What is in the way stays there until another number is found.
    let mut left = Vec::new();
    while numbers.contains(&descriptor.as_raw_fd()) {
        // Below lies what the standard library keeps open from the start of the process.
        let moved = fcntl(&descriptor, FcntlArg::F_DUPFD_CLOEXEC(3))?;
        // SAFETY: the kernel made this descriptor for us just now.
        left.push(std::mem::replace(&mut descriptor, unsafe { OwnedFd::from_raw_fd(moved) }));
    }
    Ok(descriptor)
}

/// A recipe as the kernel wants it: arrays of pointers, ended by a null.
pub(super) struct Image<'a> {
    recipe: &'a Recipe,
    candidates: Vec<&'a CString>,
    argv: Vec<*const c_char>,
    /// `/bin/sh`, a place for the script, its arguments.
    script_argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    ends: &'a Ends,
    /// Where to write in order to enter the run's control group.
    group: Option<BorrowedFd<'a>>,
    session: Session,
    parent: Pid,
    open_files: Option<(u64, u64)>,
    no_signals: SigSet,
}

const SHELL: &CStr = c"/bin/sh";
const DEV_NULL: &CStr = c"/dev/null";

/// How often a program that is just being written is tried again, 10 ms apart.
const BUSY_TRIES: u32 = 10;

impl<'a> Image<'a> {
    pub(super) fn new(
        recipe: &'a Recipe,
        ends: &'a Ends,
        group: Option<BorrowedFd<'a>>,
        session: Session,
        open_files: Option<(u64, u64)>,
    ) -> Self {
        let pointers = |head: &[*const c_char], rest: &[CString]| {
            let rest = rest.iter().map(|text| text.as_ptr());
            head.iter().copied().chain(rest).chain([ptr::null()]).collect()
        };
        Self {
            recipe,
            candidates: recipe.candidates.iter().collect(),
            argv: pointers(&[], &recipe.argv),
            script_argv: pointers(&[SHELL.as_ptr(), ptr::null()], &recipe.argv[1..]),
            environment: pointers(&[], &recipe.environment),
            ends,
            group,
            session,
            parent: getpid(),
            open_files,
            no_signals: SigSet::empty(),
        }
    }

    /// The numbers under which the command has what is handed to it.
    pub(super) fn numbers(&self) -> impl Iterator<Item = RawFd> + '_ {
        self.ends.handed.iter().map(|(number, _)| *number)
    }

    /// Runs in the child. Behind a gate everything is done but the loading of the program.
    pub(super) fn become_the_command(mut self, gate: Option<Gate>) -> ! {
        let prepared = self.prepare();
        if let Some(gate) = gate {
            if !gate.pass() {
                // SAFETY: as below.
                unsafe { libc::_exit(127) }
            }
            // Those at a terminal are for the command from when it is in its group.
            if self.session == Session::Own {
                self.forget_signals();
            }
        }
        let stumble = match prepared.and_then(|()| self.face_signals()) {
            Ok(()) => self.exec(),
            Err(stumble) => stumble,
        };
        let _ = write(&self.ends.word, &stumble.to_bytes());
        // SAFETY: ends the child at once, without the parent's exit handlers.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self) -> Result<(), Stumble> {
        match self.session {
            // No terminal, and a group that has its leader's id.
            Session::Own => setsid().map(drop),
            // With its terminal: in the foreground when the caller is.
            Session::Callers(group) => setpgid(Pid::from_raw(0), group),
        }
        .map_err(Stumble::Session)?;

        // Before anything could be forked, and with the keeper's rights. Without it
        // the run is ended process by process.
        if let Some(group) = self.group {
            let _ = write(group, b"0\n");
        }

        // The warden has closed what a careless parent passed on, and what solocron
        // opens closes on exec: a second lock on the same door. Linux before 5.11
        // lacks it.
        // SAFETY: changes flags of descriptors of this process, which ends or execs.
        unsafe {
            libc::syscall(
                libc::SYS_close_range,
                3 as libc::c_uint,
                libc::c_uint::MAX,
                libc::CLOSE_RANGE_CLOEXEC,
            )
        };
        self.take_over().map_err(Stumble::Stdio)?;

        // Every signal is blocked since before the fork. Only when nothing handles or
        // ignores it any more may it arrive.
        for signal in 1..=MAX_SIGNAL {
            act_on(signal, self.action(signal));
        }

        if let Some(mask) = self.recipe.umask {
            umask(mask);
        }
        if let Some((soft, hard)) = self.open_files {
            let _ = setrlimit(Resource::RLIMIT_NOFILE, soft, hard);
        }

        if let Some(ids) = &self.recipe.ids {
            // In this order: without its user's rights it may not set groups.
            setgroups(&ids.groups)
                .and_then(|()| setgid(ids.gid))
                .and_then(|()| setuid(ids.uid))
                .map_err(Stumble::Account)?;
        }

        // After the change of ids, which clears it. If the keeper died before this
        // line, the child has been given to another parent.
        let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
        if getppid() != self.parent {
            return Err(Stumble::Orphan);
        }

        // As the user that the command runs as: that is whose rights count.
        self.enter().map_err(Stumble::Cwd)
    }

    /// What the command does about a signal from the start.
    fn action(&self, signal: c_int) -> libc::sighandler_t {
        match self.recipe.ignored >> (signal - 1) & 1 {
            0 => libc::SIG_DFL,
            _ => libc::SIG_IGN,
        }
    }

    /// What came while it waited was not for the command, which had not begun.
    fn forget_signals(&self) {
        let mut pending: libc::sigset_t = *self.no_signals.as_ref();
        // SAFETY: writes one set to `pending`.
        unsafe { libc::sigpending(&raw mut pending) };
        // SAFETY: reads that set.
        let came = |signal| unsafe { libc::sigismember(&raw const pending, signal) } == 1;
        for signal in (1..=MAX_SIGNAL).filter(|&signal| came(signal)) {
            // One that is ignored is not pending any more.
            act_on(signal, libc::SIG_IGN);
            act_on(signal, self.action(signal));
        }
    }

    /// Lets signals arrive: last of all, since they would end it.
    fn face_signals(&self) -> Result<(), Stumble> {
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.no_signals), None).map_err(Stumble::Session)
    }

    /// Gives what was handed over the numbers that the command has it under.
    fn take_over(&self) -> nix::Result<()> {
        for (number, descriptor) in &self.ends.handed {
            // SAFETY: what it may close is of no use to this process, which ends or execs.
            Errno::result(unsafe { libc::dup2(descriptor.as_raw_fd(), *number) })?;
        }
        match self.ends.handed.iter().any(|(number, _)| *number == libc::STDIN_FILENO) {
            true => Ok(()),
            false => empty_stdin(),
        }
    }

    fn enter(&self) -> nix::Result<()> {
        if let Some(dir) = &self.ends.working_directory {
            return fchdir(dir);
        }
        let mut entered = Err(Errno::ENOENT);
        for dir in &self.recipe.dirs {
            entered = chdir(dir.as_c_str());
            if entered.is_ok() {
                break;
            }
        }
        entered
    }

    /// Tries the candidates as `execvp` does. Returns only if none could be loaded.
    fn exec(&mut self) -> Stumble {
        let mut denied = None;
        let mut last = Stumble::Exec(0, Errno::ENOENT);
        for index in 0..self.candidates.len() {
            let program = self.candidates[index].as_ptr();
            let mut errno = execve(program, &self.argv, &self.environment);
            for _ in 0..BUSY_TRIES {
                if errno != Errno::ETXTBSY {
                    break;
                }
                pause();
                errno = execve(program, &self.argv, &self.environment);
            }
            if errno == Errno::ENOEXEC {
                // A script without a `#!` line is one for the shell.
                self.script_argv[1] = program;
                let _ = execve(SHELL.as_ptr(), &self.script_argv, &self.environment);
            }
            last = Stumble::Exec(index as u16, errno);
            match errno {
                Errno::EACCES => denied = denied.or(Some(last)),
                Errno::ENOENT | Errno::ENOTDIR | Errno::ESTALE | Errno::ENODEV => {}
                _ => return last,
            }
        }
        denied.unwrap_or(last)
    }
}

/// Closes the keeper's standard input first: there may be room for no other.
fn empty_stdin() -> nix::Result<()> {
    close(libc::STDIN_FILENO)?;
    // The lowest free number, so it is standard input.
    let null = open(DEV_NULL, OFlag::O_RDWR, Mode::empty())?;
    match null.into_raw_fd() {
        libc::STDIN_FILENO => Ok(()),
        _ => Err(Errno::EBADF),
    }
}

/// The highest signal number of Linux.
const MAX_SIGNAL: c_int = 64;

fn act_on(signal: c_int, action: libc::sighandler_t) {
    // SAFETY: neither of the two actions that are set here runs code of ours. The signals
    // that cannot be set, and those that the C library keeps, are refused.
    unsafe { libc::signal(signal, action) };
}

fn execve(program: *const c_char, argv: &[*const c_char], env: &[*const c_char]) -> Errno {
    // SAFETY: `program` points into a `CString`, both arrays hold such pointers and
    // end with a null, and all of them outlive the call (it does not return if it
    // succeeds).
    unsafe { libc::execve(program, argv.as_ptr(), env.as_ptr()) };
    Errno::last()
}

/// 10 ms.
fn pause() {
    let time = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    // SAFETY: reads `time` and writes nowhere.
    unsafe { libc::nanosleep(&raw const time, ptr::null_mut()) };
}
