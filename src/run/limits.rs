//! The limit on open files: high for the daemon, as it was for the jobs.
//!
//! A run costs the daemon five descriptors while it lasts and three more while it
//! starts, so the usual soft limit of 1024 ends at some 200 runs at once. The
//! daemon may raise its own up to the hard limit, and so does the warden, which has
//! one for each run; a job gets back what the daemon was started with, because old
//! programs (`select`) break on high descriptors.

use std::io;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

static ORIGINAL: OnceLock<(u64, u64)> = OnceLock::new();

/// Raises this process's limit on open files as far as it may, and returns it.
/// For the start of the daemon.
pub fn raise_open_files() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let _ = ORIGINAL.set((soft, hard));
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    Ok(hard)
}

/// What the jobs get: what this process had before it raised its own.
pub(super) fn open_files_of_jobs() -> Option<(u64, u64)> {
    ORIGINAL.get().copied().or_else(|| getrlimit(Resource::RLIMIT_NOFILE).ok())
}
