//! A small disk of its own, to be filled up: a tmpfs, so that what a server sees is the
//! kernel's own word that there is no room.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

/// Mounted for as long as the value lives.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// Gives this thread, and all that it starts from now on, mounts of its own: they are
    /// gone with the last process, however that ends. False where that is not permitted.
    ///
    /// To be called before anything else is started.
    pub(crate) fn may_be_mounted() -> bool {
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        unshare(CloneFlags::CLONE_NEWNS).is_ok()
            && mount(None::<&str>, "/", None::<&str>, private, None::<&str>).is_ok()
    }

    /// A disk with room for so many MiB.
    pub(crate) fn of(mebibytes: u32) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let size = format!("size={mebibytes}m");
        mount(Some("tmpfs"), folder.path(), Some("tmpfs"), MsFlags::empty(), Some(size.as_str()))
            .expect("it was tried before");
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }

    /// Leaves no room.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.ballast()).expect("a file needs no room");
        let mut piece = 1 << 20;
        // Down to the last byte: what is left of a page would take a short record.
        while piece > 0 {
            match ballast.write(&vec![0; piece]) {
                Ok(1..) => {}
                Ok(0) | Err(_) => piece /= 16,
            }
        }
    }

    /// Makes room again.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("it was filled");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Whatever still has files open there keeps them; the folder can be removed.
        let _gone = umount2(self.path(), MntFlags::MNT_DETACH);
    }
}
