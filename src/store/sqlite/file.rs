//! The file and where it lies: made if missing, refused where SQLite's locks or
//! its shared memory cannot be relied on.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::statfs::statfs;
use nix::sys::statvfs::statvfs;

use super::fault::Fault;

/// Below so much free space the operator is warned.
const LITTLE_SPACE: u64 = 100 * 1_000_000;

/// Which file a path names: it changes when the file is deleted or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// Of the file at `path`, if there is one.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let meta = path.metadata().ok()?;
        Some(Self { device: meta.dev(), inode: meta.ino() })
    }
}

/// How far a kind of filesystem can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ground {
    Sound,
    /// Shared between machines: locks, memory maps and boot clocks are not.
    Network(&'static str),
    /// May be shared, or may not map memory as SQLite needs.
    Doubtful(&'static str),
    /// Gone at the next reboot.
    Memory(&'static str),
    /// Gone with the container.
    Layer(&'static str),
}

fn ground(magic: u32) -> Ground {
    match magic {
        0x6969 => Ground::Network("NFS"),
        0x517B => Ground::Network("SMB"),
        0xFF53_4D42 => Ground::Network("CIFS"),
        0xFE53_4D42 => Ground::Network("SMB2"),
        0x564C => Ground::Network("NCP"),
        0x0102_1997 => Ground::Network("9p"),
        0x5346_414F | 0x6B41_4653 => Ground::Network("AFS"),
        0x7375_7245 => Ground::Network("Coda"),
        0x00C3_6400 => Ground::Network("Ceph"),
        0x0BD0_0BD0 => Ground::Network("Lustre"),
        0x0116_1970 => Ground::Network("GFS2"),
        0x7461_636F => Ground::Network("OCFS2"),
        0x4750_4653 => Ground::Network("GPFS"),
        0x1983_0326 => Ground::Network("BeeGFS"),
        0x786F_4256 => Ground::Network("a VirtualBox shared folder"),
        0x6573_5546 => Ground::Doubtful("FUSE"),
        0x0102_1994 => Ground::Memory("tmpfs"),
        0x8584_58F6 => Ground::Memory("ramfs"),
        0x794C_7630 => Ground::Layer("overlayfs"),
        _ => Ground::Sound,
    }
}

/// The kind of the filesystem on which `path` lies.
fn ground_of(path: &Path) -> Result<Ground, Fault> {
    let found = statfs(path).map_err(|errno| {
        Fault::Unusable(format!(
            "the filesystem of {} cannot be examined: {}",
            path.display(),
            errno.desc()
        ))
    })?;
    // The magic numbers have 32 bits; the field is as wide as a long.
    Ok(ground(found.filesystem_type().0 as u32))
}

/// Makes sure that there is a file to open at `path`, with the directories above
/// it, private to this user; the path without links.
pub(super) fn prepare(path: &Path) -> Result<PathBuf, Fault> {
    let path = std::path::absolute(path).map_err(|error| cannot("be named", path, &error))?;
    let dir = path.parent().ok_or_else(|| {
        Fault::Unusable(format!("{} is a directory; name a file in it", path.display()))
    })?;
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| cannot("be created", dir, &error))?;
    refuse_network(dir)?;
    if !path.exists() {
        create(&path)?;
    }
    let path = path.canonicalize().map_err(|error| cannot("be found", &path, &error))?;
    let kind = path.metadata().map_err(|error| cannot("be examined", &path, &error))?.file_type();
    if kind.is_dir() {
        return Err(Fault::Unusable(format!(
            "{} is a directory; name a file, such as {}",
            path.display(),
            path.join("solocron.db").display()
        )));
    }
    if !kind.is_file() {
        return Err(Fault::Unusable(format!("{} is not a regular file", path.display())));
    }
    refuse_network(&path)?;
    // SQLite would open what it may only read, and fail later in other words.
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .map_err(|error| cannot("be opened for writing", &path, &error))?;
    Ok(path)
}

fn create(path: &Path) -> Result<(), Fault> {
    let made: io::Result<File> =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(cannot("be created", path, &error)),
    }
}

fn refuse_network(path: &Path) -> Result<(), Fault> {
    match ground_of(path)? {
        Ground::Network(kind) => Err(Fault::Unusable(format!(
            "{} lies on {kind}, which machines share, and SQLite's locks do not hold there; put \
             the file on a local disk, or use redis:// for replicas on several machines",
            path.display()
        ))),
        _ => Ok(()),
    }
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Fault {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "; give this user permission, or name another place",
        io::ErrorKind::ReadOnlyFilesystem => "; its filesystem is read-only: name another place",
        io::ErrorKind::NotADirectory => "; a part of the path is a file: name another place",
        io::ErrorKind::StorageFull => "; make room on its filesystem",
        _ => "",
    };
    Fault::Unusable(format!("{} cannot {what}: {error}{advice}", path.display()))
}

/// What about the file's place can break the guarantee.
pub(super) fn warnings(path: &Path) -> Vec<String> {
    let shown = path.display();
    let mut found = Vec::new();
    match ground_of(path) {
        Ok(Ground::Memory(kind)) => found.push(format!(
            "{shown} lies on {kind}: at a reboot all records and the ledger are lost; put it on \
             a disk"
        )),
        Ok(Ground::Layer(kind)) => found.push(format!(
            "{shown} lies on {kind}: if that is a container's own layer, all records and the \
             ledger are lost with the container; put it on a volume"
        )),
        Ok(Ground::Doubtful(kind)) => found.push(format!(
            "{shown} lies on {kind}: whether locks hold there depends on its server; put it on a \
             local disk, and never let two machines use it"
        )),
        Ok(Ground::Sound | Ground::Network(_)) | Err(_) => {}
    }
    // The two fields are as wide as the platform has them.
    #[allow(clippy::unnecessary_cast)]
    if let Ok(space) = statvfs(path) {
        let free = (space.blocks_available() as u64).saturating_mul(space.fragment_size() as u64);
        if free < LITTLE_SPACE {
            found.push(format!(
                "the filesystem of {shown} has only {} MB free: when it is full no slot can be \
                 claimed; make room",
                free / 1_000_000
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_filesystems_are_known_by_their_numbers() {
        for magic in [0x6969, 0x517B, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997, 0x0BD0_0BD0] {
            assert!(matches!(ground(magic), Ground::Network(_)), "{magic:#x}");
        }
        for (ext4, xfs, btrfs) in [(0xEF53, 0x5846_5342, 0x9123_683E)] {
            for magic in [ext4, xfs, btrfs] {
                assert_eq!(ground(magic), Ground::Sound, "{magic:#x}");
            }
        }
    }
}
