//! Why a command was not started, in words for the job's owner.

use std::ffi::{CStr, OsStr};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use super::plan::Plan;
use super::word::Stumble;

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotStarted {
    #[error("there is no user {0:?}")]
    UnknownUser(Box<str>),
    #[error("there is no group {0:?}")]
    UnknownGroup(Box<str>),
    #[error("user {0} is not in the user database, so its group is not known: set `group` too")]
    NoGroup(Box<str>),
    #[error("cannot look up {asked} in the user database: {}", shortage(*errno))]
    UserDatabase { asked: Box<str>, errno: Errno },
    #[error("{0} contains a NUL byte, which no program can be given")]
    Nul(Box<str>),
    #[error("the command is empty")]
    Empty,
    #[error("cannot start a process: {0}")]
    Resources(Box<str>),
    #[error(
        "cannot start a process: the one that would watch over it is killed or stopped again \
         and again"
    )]
    Unkept,
    #[error("{why}")]
    Stumbled { stumble: Stumble, why: Box<str> },
}

impl NotStarted {
    /// The daemon itself could not get what a run needs.
    pub(super) fn resources(errno: Errno) -> Self {
        Self::Resources(shortage(errno).into())
    }

    /// The daemon itself could not get what a run needs.
    pub(super) fn io(error: &std::io::Error) -> Self {
        match error.raw_os_error() {
            Some(errno) => Self::resources(Errno::from_raw(errno)),
            None => Self::Resources(error.to_string().into()),
        }
    }

    /// The child got as far as `stumble`. Looks at the files concerned for the
    /// reason behind the error number.
    pub(super) fn stumbled(stumble: Stumble, plan: &Plan) -> Self {
        Self::Stumbled { stumble, why: explain(stumble, plan).into() }
    }
}

/// At what a command's start failed, as shells tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no such program.
    Missing,
    /// It is there, and cannot be executed.
    NotExecutable,
    /// It did not come so far.
    Other,
}

impl NotStarted {
    pub(super) fn fault(&self) -> Fault {
        match self {
            Self::Empty => Fault::Missing,
            Self::Stumbled { stumble: Stumble::Exec(_, errno), .. } => match errno {
                Errno::ENOENT | Errno::ENOTDIR => Fault::Missing,
                _ => Fault::NotExecutable,
            },
            _ => Fault::Other,
        }
    }
}

fn explain(stumble: Stumble, plan: &Plan) -> String {
    match stumble {
        Stumble::Session(errno) => format!("cannot start a session: {}", errno.desc()),
        Stumble::Stdio(errno) => format!("cannot set up input and output: {}", errno.desc()),
        Stumble::Account(errno) => match (&plan.change, errno) {
            (Some(change), Errno::EPERM) => format!(
                "cannot become {}: solocron runs as {}; run it as root or drop `{}`",
                change.wanted, change.own, change.key
            ),
            (Some(change), errno) => format!("cannot become {}: {}", change.wanted, errno.desc()),
            (None, errno) => format!("cannot become another user: {}", errno.desc()),
        },
        Stumble::Orphan => "solocron died while the command was being started".to_owned(),
        Stumble::Cwd(errno) => {
            format!("cannot enter {:?}: {}", shown(plan.recipe.dirs.last()), errno.desc())
        }
        Stumble::Exec(candidate, errno) => exec(plan, usize::from(candidate), errno),
    }
}

fn exec(plan: &Plan, candidate: usize, errno: Errno) -> String {
    let found = |path: &CStr| {
        let path = plan.under_cwd(Path::new(OsStr::from_bytes(path.to_bytes())));
        fs::metadata(&path).is_ok_and(|meta| meta.is_file()).then_some(path)
    };
    let why = match errno {
        Errno::ENOENT | Errno::ENOTDIR => {
            match plan.recipe.candidates.iter().find_map(|path| found(path)) {
                Some(path) => missing_interpreter(&path),
                None if plan.searched.is_some() => {
                    format!("not found in {}", plan.searched.as_deref().unwrap_or_default())
                }
                None => errno.desc().to_owned(),
            }
        }
        Errno::EACCES => {
            let path = plan
                .recipe
                .candidates
                .get(candidate)
                .map(|path| plan.under_cwd(Path::new(OsStr::from_bytes(path.to_bytes()))));
            match path.and_then(|path| fs::metadata(path).ok()) {
                Some(meta) if meta.is_dir() => "it is a directory".to_owned(),
                Some(meta) if meta.permissions().mode() & 0o111 == 0 => {
                    "it is not executable".to_owned()
                }
                _ => errno.desc().to_owned(),
            }
        }
        Errno::E2BIG => "its arguments and environment are too long".to_owned(),
        errno => shortage(errno),
    };
    format!("cannot start {:?}: {why}", plan.program)
}

/// The kernel says "no such file" about a file that is there when what should
/// interpret it is not.
fn missing_interpreter(path: &Path) -> String {
    let mut head = [0; 256];
    let length = fs::File::open(path).and_then(|mut file| file.read(&mut head)).unwrap_or(0);
    // As the kernel reads it: a carriage return belongs to the name.
    let interpreter = head[..length]
        .strip_prefix(b"#!")
        .and_then(|rest| rest.split(|&byte| byte == b'\n').next())
        .and_then(|line| line.split(|byte| b" \t".contains(byte)).find(|word| !word.is_empty()));
    match interpreter {
        Some(name) => {
            format!("its interpreter {:?} does not exist", String::from_utf8_lossy(name))
        }
        None => "the file is there, but the loader that it needs is not".to_owned(),
    }
}

fn shortage(errno: Errno) -> String {
    let advice = match errno {
        Errno::EMFILE => "too many open files in solocron: raise its limit (`ulimit -n`)",
        Errno::ENFILE => "too many open files on this machine",
        Errno::EAGAIN => "too many processes: see `ulimit -u` and the control group's pids.max",
        Errno::ENOMEM => "not enough memory",
        errno => errno.desc(),
    };
    advice.to_owned()
}

fn shown(path: Option<&std::ffi::CString>) -> PathBuf {
    path.map(|path| PathBuf::from(OsStr::from_bytes(path.to_bytes()))).unwrap_or_default()
}
