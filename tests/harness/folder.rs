//! A folder of a test's own for files that this process writes itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use solocron::clock::BootInstant;

/// How long a thread of this process may take to let go of its files; for ever, where a
/// test forgot who holds them.
const LETTING_GO: Duration = Duration::from_secs(5);

/// Removed when it is dropped, once nothing here has a file in it open any more: a store
/// that is dropped closes its file a moment later, in its own thread, and a folder in
/// which files come and go meanwhile cannot be removed.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("there is room for a folder"))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The files in it that this process has open.
    fn open_files(&self) -> Vec<PathBuf> {
        let Ok(open) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
        open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter(|file| file.starts_with(self.path()))
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let begun = BootInstant::now();
        let removed =
            || self.open_files().is_empty() && std::fs::remove_dir_all(self.path()).is_ok();
        while !removed() && BootInstant::now().since(begun) < LETTING_GO {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
