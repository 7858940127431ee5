//! What becomes the daemon's own when a warden dies, and is ended here.
//!
//! A living keeper goes on, and is only reaped when it has ended. What a dead keeper
//! left, with no warden to clear it away, is killed and reaped.
//!
//! The process that solocron runs in may have children of its own, which are nobody's
//! business here. So a child counts as adopted only if it is in another session than
//! this process (every job begins one), was not there before the first warden was, and
//! is no warden and no keeper. A process that runs commands in its own session starts
//! nothing else: there the session does not count.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::{Pid, getpid, getsid};

use super::family::{self, Stat, children, descendants};
use super::keeper::PATIENCE;
use super::reap;
use super::session::Session;
use super::warden::Warden;
use crate::clock::BootInstant;

/// Children that are not to be touched: those that were there before any warden, the
/// wardens, and the keepers that live.
#[derive(Debug, Default)]
pub(super) struct Kin {
    /// What was there before the first warden, once there is one.
    before: Option<Vec<Pid>>,
    known: HashSet<Pid>,
    /// Where commands were started in this process's session: its group.
    shared: Option<Session>,
}

impl Kin {
    /// Adds `pid`, which is a child of ours since just now.
    pub(super) fn add(&mut self, pid: Pid) -> Known {
        self.known.insert(pid);
        Known(pid)
    }

    /// Commands are started in `session` from now on.
    pub(super) fn lives_in(&mut self, session: Session) {
        if let Session::Callers(_) = session {
            self.shared = Some(session);
        }
    }

    fn knows(&self, pid: Pid) -> bool {
        self.known.contains(&pid) || self.before.iter().flatten().any(|&one| one == pid)
    }
}

/// Does what makes or changes kin, so that nobody takes the new one for an orphan.
pub(super) fn among_kin<T>(act: impl FnOnce(&mut Kin) -> T) -> T {
    static KIN: Mutex<Option<Kin>> = Mutex::new(None);
    let mut kin = KIN.lock().unwrap_or_else(PoisonError::into_inner);
    let kin = kin.get_or_insert_default();
    kin.before.get_or_insert_with(|| children(getpid()));
    act(kin)
}

/// A warden or a keeper, known for as long as this lives.
#[derive(Debug)]
pub(super) struct Known(Pid);

impl Known {
    pub(super) fn new(pid: Pid) -> Self {
        among_kin(|kin| kin.known.insert(pid));
        Self(pid)
    }

    pub(super) fn pid(&self) -> Pid {
        self.0
    }
}

impl Drop for Known {
    fn drop(&mut self) {
        among_kin(|kin| kin.known.remove(&self.0));
    }
}

/// The pauses between two looks: the first and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Returns when nothing is left of what was adopted. `warden` is dead or dying, and the
/// keeper that it had for the run is no longer known.
pub(super) async fn clear(warden: &Arc<Warden>) {
    let begun = BootInstant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        // Before it has ended, what it leaves is not ours yet.
        if warden.is_dead() && sweep(BootInstant::now().since(begun) >= PATIENCE) {
            return;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Kills and reaps what was adopted; true when nothing is left, or, if `patience_lost`,
/// nothing that could be ended.
fn sweep(patience_lost: bool) -> bool {
    let Ok(own_session) = getsid(None) else { return true };
    among_kin(|kin| {
        let is_adopted = |pid: Pid| {
            !kin.knows(pid)
                && Stat::of(pid)
                    .is_some_and(|stat| kin.shared.is_some() || stat.session != own_session)
        };
        let strays = descendants(getpid(), is_adopted);
        let stuck = patience_lost
            && strays.iter().filter(|one| !one.is_zombie()).all(|one| one.is_out_of_reach());
        family::strike(&strays, Signal::SIGKILL, kin.shared.unwrap_or(Session::Own));
        for stray in &strays {
            // Those further down have parents that reap them, or become ours.
            let _ = reap::this(stray.pid);
        }
        strays.is_empty() || stuck
    })
}
