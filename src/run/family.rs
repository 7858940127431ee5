//! Who descends from whom, as `/proc` has it, and signals to whole families.
//!
//! A listing is old as soon as it is made: what it shows may have ended, and what has
//! just been forked is missing. So nobody takes an empty listing for "nothing is left"
//! (only the kernel's "no child" means that, see [`reap`](super::reap)), and whoever
//! kills lists and kills again until then.
//!
//! Signals go to process groups, because the kernel signals a group in one step: a
//! group that forks as fast as it can is ended whole, where one process after the
//! other never would be. A group of a descendant has no strangers in it: groups do not
//! cross sessions, and every session in the tree was begun in the tree. Where the tree is
//! in its caller's session, the caller's group has strangers in it: who is in that one is
//! signalled alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getpgrp};

use super::session::Session;

/// One process at the moment of the listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Relative {
    pub(super) pid: Pid,
    /// Nothing where its state could not be read: it ended meanwhile, or it is hidden.
    pub(super) stat: Option<Stat>,
}

/// The part of `/proc/PID/stat` that matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: char,
    pub(super) parent: Pid,
    pub(super) group: Pid,
    pub(super) session: Pid,
}

impl Stat {
    /// Reads what is known of `pid`; nothing if it is gone or hidden.
    pub(super) fn of(pid: Pid) -> Option<Self> {
        Self::parse(&fs::read_to_string(folder(pid).join("stat")).ok()?)
    }

    /// `pid (name) state parent group session …`, where the name may contain anything.
    fn parse(text: &str) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let mut pid = || fields.next()?.parse().ok().map(Pid::from_raw);
        Some(Self { state, parent: pid()?, group: pid()?, session: pid()? })
    }

    /// It has ended, and waits for its parent to notice.
    pub(super) fn is_zombie(&self) -> bool {
        matches!(self.state, 'Z' | 'X')
    }

    /// Somebody has stopped it (and not: a debugger holds it).
    pub(super) fn is_stopped(&self) -> bool {
        self.state == 'T'
    }
}

impl Relative {
    fn of(pid: Pid) -> Self {
        Self { pid, stat: Stat::of(pid) }
    }

    /// It is alive, and we may not signal it or not even see it.
    pub(super) fn is_out_of_reach(&self) -> bool {
        match self.stat {
            Some(stat) => !stat.is_zombie() && kill(self.pid, None) == Err(Errno::EPERM),
            None => true,
        }
    }

    pub(super) fn is_zombie(&self) -> bool {
        self.stat.is_some_and(|stat| stat.is_zombie())
    }
}

/// Whether somebody has stopped `pid`.
pub(super) fn is_stopped(pid: Pid) -> bool {
    Stat::of(pid).is_some_and(|stat| stat.is_stopped())
}

/// The children of `of`.
pub(super) fn children(of: Pid) -> Vec<Pid> {
    if lists_exist() { listed(of) } else { among(&everybody(), of) }
}

/// The children of `root` that `is_kin` holds for, and all that descend from them.
pub(super) fn descendants(root: Pid, is_kin: impl Fn(Pid) -> bool) -> Vec<Relative> {
    let everybody = (!lists_exist()).then(everybody);
    let children = |of| match &everybody {
        Some(everybody) => among(everybody, of),
        None => listed(of),
    };
    let mut found: Vec<_> = children(root).into_iter().filter(|&child| is_kin(child)).collect();
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        // One may be listed twice, when it is handed to another parent meanwhile.
        let new: Vec<_> = children(pid).into_iter().filter(|pid| !found.contains(pid)).collect();
        found.extend(new);
        next += 1;
    }
    found.into_iter().map(Relative::of).collect()
}

/// Sends `signal` to each of them once. They live in `session`.
pub(super) fn strike(family: &[Relative], signal: Signal, session: Session) {
    let (own, shared) = (getpgrp(), session.shared_group());
    let mut groups: Vec<Pid> = Vec::new();
    for relative in family {
        match relative.stat {
            // A child that has not begun its session yet is still in our own group.
            Some(stat)
                if stat.group != own && Some(stat.group) != shared && stat.group.as_raw() > 1 =>
            {
                if !groups.contains(&stat.group) {
                    groups.push(stat.group);
                }
            }
            // Gone already is as good.
            _ => drop(kill(relative.pid, signal)),
        }
    }
    for group in groups {
        let _ = kill(Pid::from_raw(-group.as_raw()), signal);
    }
}

fn folder(pid: Pid) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// Whether this kernel lists the children of a thread (`CONFIG_PROC_CHILDREN`).
fn lists_exist() -> bool {
    static EXIST: OnceLock<bool> = OnceLock::new();
    *EXIST.get_or_init(|| Path::new("/proc/thread-self/children").exists())
}

fn listed(of: Pid) -> Vec<Pid> {
    let Ok(threads) = fs::read_dir(folder(of).join("task")) else { return Vec::new() };
    let lists =
        threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_ascii_whitespace().filter_map(pid).collect::<Vec<_>>())
        .collect()
}

fn everybody() -> Vec<(Pid, Pid)> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(|entry| pid(entry.ok()?.file_name().to_str()?))
        .filter_map(|pid| Some((pid, Stat::of(pid)?.parent)))
        .collect()
}

fn among(everybody: &[(Pid, Pid)], of: Pid) -> Vec<Pid> {
    everybody.iter().filter(|(_, parent)| *parent == of).map(|(pid, _)| *pid).collect()
}

fn pid(text: &str) -> Option<Pid> {
    text.parse().ok().map(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_state_is_found_behind_any_name() {
        let [parent, group, session] = [1, 42, 43].map(Pid::from_raw);
        assert_eq!(
            Stat::parse("12 (a) b) Z 1) S 1 42 43 0"),
            Some(Stat { state: 'S', parent, group, session })
        );
        assert_eq!(Stat::parse("12 (a"), None);
        assert_eq!(Stat::of(Pid::from_raw(i32::MAX)), None);
    }

    #[test]
    fn descendants_are_found_in_every_generation_by_lists_and_by_looking_at_everybody() {
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'sleep 1000 & echo $!; wait' & wait"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let (child, grandchild) =
            (Pid::from_raw(shell.id().cast_signed()), pid(line.trim()).unwrap());
        let own = nix::unistd::getpid();

        let family = descendants(own, |pid| pid == child);
        assert_eq!(family.len(), 3, "{family:?}");
        assert!(family.iter().any(|one| one.pid == grandchild), "{family:?}");
        let everybody = everybody();
        assert!(among(&everybody, own).contains(&child));
        let between = Stat::of(grandchild).unwrap().parent;
        assert_eq!(among(&everybody, between), [grandchild]);

        // They are in this process's own group, which must not be struck.
        strike(&family, Signal::SIGKILL, Session::Own);
        assert!(!shell.wait().unwrap().success());
    }
}
