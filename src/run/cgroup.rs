//! Control groups: where solocron owns its own, each run gets one below it.
//!
//! The kernel ends a control group in one step (`cgroup.kill`, Linux 5.14), which beats
//! what forks faster than anybody can list. It is a help and nothing more: everywhere
//! else, and whenever something here fails, trees are ended process by process. So
//! nothing here complains.
//!
//! To own a control group means that whoever manages the tree of groups said so: it is
//! marked as delegated (systemd's `Delegate=yes`), it belongs to the user that we are
//! and that is not root, or it is the root of a container's own view. In any other,
//! systemd or a container engine would find groups that it does not know.
//!
//! No controller is enabled below, so processes may stay in the group itself.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::unistd::{AccessFlags, Pid, access, geteuid};

/// The control group that this process is in, and may divide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Own(PathBuf);

/// The control group of one run.
#[derive(Debug)]
pub(super) struct RunGroup {
    folder: PathBuf,
    entrance: Option<OwnedFd>,
}

impl Own {
    /// Looks for it.
    pub(super) fn find() -> Option<Self> {
        let folder = folder(
            &fs::read_to_string("/proc/self/mountinfo").ok()?,
            &fs::read_to_string("/proc/self/cgroup").ok()?,
        )?;
        // The real root has no type: it belongs to the machine.
        let divides = folder.join("cgroup.type").exists() && is_writable(&folder);
        (divides && is_ours(&folder)).then_some(Self(folder))
    }

    /// Makes the group of the run that `keeper` keeps.
    pub(super) fn divide(&self, keeper: Pid) -> Option<RunGroup> {
        let group = self.of(keeper);
        fs::create_dir(&group.folder).ok()?;
        if !group.folder.join("cgroup.kill").exists() {
            group.remove();
            return None;
        }
        let entrance = fs::OpenOptions::new().write(true).open(group.folder.join("cgroup.procs"));
        Some(RunGroup { entrance: entrance.ok().map(OwnedFd::from), ..group })
    }

    /// The group of the run that `keeper` kept, whether it is there or not.
    pub(super) fn of(&self, keeper: Pid) -> RunGroup {
        RunGroup { folder: self.0.join(format!("solocron-run-{keeper}")), entrance: None }
    }
}

impl RunGroup {
    /// A process that writes `0` here enters.
    pub(super) fn entrance(&self) -> Option<BorrowedFd<'_>> {
        self.entrance.as_ref().map(AsFd::as_fd)
    }

    /// Kills all that is in it.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
    }

    /// Removes it, when nothing is left in it.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Where a process with these lists of mounts and control groups finds its own.
fn folder(mountinfo: &str, cgroup: &str) -> Option<PathBuf> {
    let path = cgroup.lines().find_map(|line| line.strip_prefix("0::"))?;
    let (root, mounted) = mountinfo.lines().find_map(mount)?;
    // Of a part of the tree that is mounted by itself, the part's own path is cut off.
    let below = Path::new(path).strip_prefix(&root).ok()?;
    // Outside of what this process may see.
    let outside = below.components().any(|part| part == std::path::Component::ParentDir);
    (!outside).then(|| mounted.join(below))
}

/// The root and the place of a mount, if it is one of control groups:
/// `id parent device root place options [tags] - type source options`.
fn mount(line: &str) -> Option<(PathBuf, PathBuf)> {
    let (fields, kind) = line.split_once(" - ")?;
    if kind.split(' ').next() != Some("cgroup2") {
        return None;
    }
    let mut fields = fields.split(' ').skip(3);
    Some((unescape(fields.next()?), unescape(fields.next()?)))
}

/// Spaces and the like are written as `\040`.
fn unescape(text: &str) -> PathBuf {
    let mut parts = text.split('\\');
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                out.push_str(&part[3..]);
            }
            None => {
                out.push('\\');
                out.push_str(part);
            }
        }
    }
    PathBuf::from(out)
}

fn is_ours(folder: &Path) -> bool {
    let owner = fs::metadata(folder).map(|meta| meta.uid());
    let us = geteuid();
    // A unit may have its processes in one group below the one that is delegated.
    [Some(folder), folder.parent()].into_iter().flatten().any(is_delegated)
        || (!us.is_root() && owner.is_ok_and(|owner| owner == us.as_raw()))
        || is_container_root(folder)
}

fn is_delegated(folder: &Path) -> bool {
    [c"user.delegate", c"trusted.delegate"].into_iter().any(|name| attribute_is_one(folder, name))
}

/// The root of a container's view looks like a root and, other than the real one, has
/// all that a group has (which [`Own::find`] has seen).
fn is_container_root(folder: &Path) -> bool {
    fs::read_to_string("/proc/self/cgroup")
        .is_ok_and(|text| text.lines().any(|line| line == "0::/"))
        && folder.join("cgroup.type").exists()
}

fn is_writable(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK).is_ok()
        && access(&folder.join("cgroup.procs"), AccessFlags::W_OK).is_ok()
}

fn attribute_is_one(folder: &Path, name: &CStr) -> bool {
    let Ok(folder) = CString::new(folder.as_os_str().as_bytes()) else { return false };
    let mut value = [0_u8; 4];
    // SAFETY: both texts end with a null, and at most `value.len()` bytes are written
    // to `value`.
    let length = unsafe {
        libc::getxattr(folder.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    usize::try_from(length).is_ok_and(|length| &value[..length] == b"1")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
22 1 0:21 / /proc rw,relatime shared:5 - proc proc rw
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
";

    fn found(mount: &str, cgroup: &str) -> Option<PathBuf> {
        folder(&format!("{MOUNTS}{mount}\n"), cgroup)
    }

    #[test]
    fn the_group_is_found_below_its_mount() {
        let unified = "28 23 0:25 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(
            found(unified, "0::/system.slice/solocron@1.service\n"),
            Some("/sys/fs/cgroup/system.slice/solocron@1.service".into())
        );
        assert_eq!(found(unified, "0::/\n"), Some("/sys/fs/cgroup".into()));
        let hybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        assert_eq!(
            found(hybrid, "5:memory:/other\n1:name=systemd:/a\n0::/a/b\n"),
            Some("/sys/fs/cgroup/unified/a/b".into())
        );
        let odd = r"41 31 0:38 / /odd\040place/x\134y rw - cgroup2 cgroup2 rw";
        assert_eq!(found(odd, "0::/a\n"), Some(r"/odd place/x\y/a".into()));
    }

    #[test]
    fn of_a_part_that_is_mounted_by_itself_the_way_to_it_is_cut_off() {
        let part = "41 31 0:38 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup2 rw";
        assert_eq!(found(part, "0::/docker/1234/a\n"), Some("/sys/fs/cgroup/a".into()));
        assert_eq!(found(part, "0::/docker/1234\n"), Some("/sys/fs/cgroup/".into()));
        assert_eq!(found(part, "0::/elsewhere\n"), None);
    }

    #[test]
    fn there_may_be_none() {
        assert_eq!(found("", "0::/a\n"), None, "not mounted");
        let unified = "28 23 0:25 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        assert_eq!(found(unified, "5:memory:/a\n"), None, "only the old kind");
        assert_eq!(found(unified, "0::/../other\n"), None, "out of sight");
    }
}
