//! The child between fork and exec.
//!
//! It comes from a keeper, which has one thread, and keeps all the same to what is
//! async-signal-safe: no allocation, no lock, no user database. All it needs is in the
//! [`Recipe`].

use std::ffi::{CStr, CString, c_char, c_int};
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::ptr;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::stat::{Mode, umask};
use nix::unistd::{
    Pid, chdir, close, dup2_stderr, dup2_stdout, getpid, getppid, setgid, setgroups, setsid,
    setuid, write,
};

use super::recipe::Recipe;
use super::word::Stumble;

/// The child's ends of the three pipes: what it prints, and how its start went.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// Carries one [`Stumble`], or closes when the program was loaded.
    pub(super) word: OwnedFd,
}

/// A recipe as the kernel wants it: arrays of pointers, ended by a null.
pub(super) struct Image<'a> {
    recipe: &'a Recipe,
    candidates: Vec<&'a CString>,
    argv: Vec<*const c_char>,
    /// `/bin/sh`, a place for the script, its arguments.
    script_argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    stdout: BorrowedFd<'a>,
    stderr: BorrowedFd<'a>,
    word: BorrowedFd<'a>,
    /// Where to write in order to enter the run's control group.
    group: Option<BorrowedFd<'a>>,
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
            stdout: ends.stdout.as_fd(),
            stderr: ends.stderr.as_fd(),
            word: ends.word.as_fd(),
            group,
            parent: getpid(),
            open_files,
            no_signals: SigSet::empty(),
        }
    }

    /// Runs in the child.
    pub(super) fn become_the_command(mut self) -> ! {
        let stumble = match self.prepare() {
            Ok(()) => self.exec(),
            Err(stumble) => stumble,
        };
        let _ = write(self.word, &stumble.to_bytes());
        // SAFETY: ends the child at once, without the parent's exit handlers.
        unsafe { libc::_exit(127) }
    }

    fn prepare(&self) -> Result<(), Stumble> {
        // A session of its own: no terminal, and a group that has its leader's id.
        setsid().map_err(Stumble::Session)?;

        // Before anything could be forked, and with the keeper's rights. Without it
        // the run is ended process by process.
        if let Some(group) = self.group {
            let _ = write(group, b"0\n");
        }

        // The standard library keeps 0 to 2 open from the start of the process, so
        // the pipes lie above them and no copy below overwrites one.
        dup2_stdout(self.stdout)
            .and_then(|()| dup2_stderr(self.stderr))
            .and_then(|()| empty_stdin())
            .map_err(Stumble::Stdio)?;

        // Every signal is blocked since before the fork. Only when nothing handles or
        // ignores it any more may it arrive.
        for signal in 1..=MAX_SIGNAL {
            // SAFETY: sets the default, which runs no code of ours. The two that
            // cannot be set, and those that the C library keeps, are refused.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
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
        let mut entered = Err(Errno::ENOENT);
        for dir in &self.recipe.dirs {
            entered = chdir(dir.as_c_str());
            if entered.is_ok() {
                break;
            }
        }
        entered.map_err(Stumble::Cwd)?;

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
        sigprocmask(SigmaskHow::SIG_SETMASK, Some(&self.no_signals), None).map_err(Stumble::Session)
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
