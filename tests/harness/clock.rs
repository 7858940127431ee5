//! A wall clock that is wrong, and can be set while a node runs by it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// The wall clock of one node, by libfaketime. Monotonic clocks stay true, as
/// they do when somebody sets the clock of a machine.
pub(crate) struct WallClock {
    file: PathBuf,
}

impl WallClock {
    /// A clock that is `ahead` seconds ahead (below zero: behind). Its file is in `folder`.
    pub(crate) fn new(folder: &Path, name: &str, ahead: i64) -> Self {
        let clock = Self { file: folder.join(format!("clock-of-{name}")) };
        clock.set(ahead);
        clock
    }

    /// Steps the clock to `ahead` seconds ahead of the true time.
    pub(crate) fn set(&self, ahead: i64) {
        // In one step: the node reads it at any moment.
        let draft = self.file.with_extension("draft");
        std::fs::write(&draft, format!("{ahead:+}\n")).expect("the clock can be set");
        std::fs::rename(&draft, &self.file).expect("the clock can be set");
    }

    /// Has `command` go by this clock.
    pub(crate) fn rule(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", LIBRARY.as_path())
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("FAKETIME_NO_CACHE", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

/// Removes what libfaketime leaves in memory when its process `pid` is killed.
pub(crate) fn clean_up_after(pid: u32) {
    for name in [format!("faketime_shm_{pid}"), format!("sem.faketime_sem_{pid}")] {
        // Most nodes have a true clock, and nothing there.
        let _not_there = std::fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

static LIBRARY: LazyLock<PathBuf> = LazyLock::new(|| {
    let found = ["/usr/lib", "/usr/lib64", "/usr/local/lib"]
        .iter()
        .find_map(|folder| find(Path::new(folder), "libfaketimeMT.so.1", 3));
    found.expect("libfaketime is needed: tests/run installs it")
});

fn find(folder: &Path, name: &str, depth: u32) -> Option<PathBuf> {
    let here = folder.join(name);
    if here.exists() {
        return Some(here);
    }
    let below = std::fs::read_dir(folder).ok().filter(|_| depth > 0)?;
    below
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.is_dir() && !path.is_symlink())
        .find_map(|path| find(&path, name, depth - 1))
}
