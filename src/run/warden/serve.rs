//! The warden's own life, in a process of its own.
//!
//! **The invariant: what lives below it is below a living keeper, or is being ended.**
//! It lists its children, and each that is no keeper of its own is killed with all that
//! descends from it, again and again until none is left; only then it says that the
//! dead keeper's tree is gone.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::sys::signalfd::SignalFd;
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::stat::Mode;
use nix::unistd::{ForkResult, Pid, close, dup2_stdin, fork, getpid, setsid};

use crate::clock::BootInstant;
use crate::run::bytes::Reader;
use crate::run::cgroup::{Own, RunGroup};
use crate::run::decide::Exit;
use crate::run::family::{self, descendants};
use crate::run::keeper::{self, PATIENCE, told_of_children};
use crate::run::packets::{self, Received};
use crate::run::reap::{self, Reaped};
use crate::run::session::Session;
use crate::run::wire::Said;

/// How much longer than the longest grace keepers may take when the daemon is gone.
const OVERTIME: Duration = Duration::from_millis(100);

/// How often it looks while something has to go: the first pause and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Serves the daemon at the other end of standard input, and ends with it.
pub(super) fn on_standard_input(session: Session) -> ! {
    match settle(session) {
        Ok((orders, children)) => Warden::new(orders, children, session).serve(),
        Err(errno) => {
            let _ = writeln!(
                std::io::stderr(),
                "this is a part of solocron that only solocron starts ({})",
                errno.desc()
            );
            std::process::exit(2)
        }
    }
}

/// Makes this process a good parent: out of reach of terminals and service managers,
/// small, and with nothing open but its socket.
fn settle(session: Session) -> nix::Result<(OwnedFd, SignalFd)> {
    // Above the three, and closed on exec.
    let orders = std::io::stdin().as_fd().try_clone_to_owned().map_err(|_| Errno::EBADF)?;
    // Whoever started this by hand is told so, and harmed in no way.
    getsockopt(&orders, sockopt::SockType)?;

    // A keeper that failed must not come back as a second warden.
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    SigSet::all().thread_block()?;
    // One that inherited "ignored" would never learn how its children end.
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    // SAFETY: the default runs no code of ours.
    unsafe { sigaction(Signal::SIGCHLD, &default)? };
    let _ = prctl::set_name(c"solocron-warden");
    // In the caller's, it was started in a group of its own.
    if session == Session::Own {
        let _ = setsid();
    }
    prctl::set_child_subreaper(true)?;

    let null = open(c"/dev/null", OFlag::O_RDWR | OFlag::O_CLOEXEC, Mode::empty())?;
    dup2_stdin(&null)?;
    drop(null);
    close_all_but(&orders);
    // No file system is held by it.
    let _ = nix::unistd::chdir(c"/");
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
    Ok((orders, told_of_children()?))
}

/// Closes what a careless parent passed on.
fn close_all_but(socket: &OwnedFd) {
    let Ok(entries) = fs::read_dir("/proc/self/fd") else { return };
    let open: Vec<i32> =
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for fd in open {
        if fd > libc::STDERR_FILENO && fd != socket.as_raw_fd() {
            // That of the listing itself is closed already.
            let _ = close(fd);
        }
    }
}

/// A keeper, alive or dead.
struct Ward {
    pid: Pid,
    /// The keeper's end of its socket.
    control: OwnedFd,
    grace_on_loss: Duration,
}

struct Warden {
    session: Session,
    /// Nothing once the daemon is gone.
    orders: Option<OwnedFd>,
    children: SignalFd,
    own: Option<Own>,
    wards: Vec<Ward>,
    /// Those that died before their time, until what they left is gone.
    dead: Vec<Ward>,
    /// Since when there is something to end.
    clearing: Option<Clearing>,
    /// When the daemon is gone: until when keepers may take.
    deadline: Option<BootInstant>,
}

#[derive(Clone, Copy)]
struct Clearing {
    since: BootInstant,
    pause: Duration,
}

impl Warden {
    fn new(orders: OwnedFd, children: SignalFd, session: Session) -> Self {
        Self {
            session,
            orders: Some(orders),
            children,
            own: Own::find(),
            wards: Vec::new(),
            dead: Vec::new(),
            clearing: None,
            deadline: None,
        }
    }

    fn serve(mut self) -> ! {
        loop {
            self.take_orders();
            self.reap();
            self.hurry();
            let clear = self.clear();
            if clear && self.orders.is_none() && self.wards.is_empty() {
                keeper::leave(0);
            }
            self.wait();
        }
    }

    fn take_orders(&mut self) {
        let mut buffer = [0; 64];
        while let Some(orders) = &self.orders {
            match packets::receive(orders, &mut buffer) {
                Ok(Received::Packet { length, descriptors }) => {
                    // Without the socket there is no run to speak of, and the daemon
                    // sees that its end is closed.
                    if let (Some(grace), Some(control)) =
                        (Reader::new(&buffer[..length]).duration(), descriptors.into_iter().next())
                    {
                        self.fork_keeper(control, grace);
                    }
                }
                Ok(Received::Nothing) => return,
                Ok(Received::End) | Err(_) => {
                    self.orders = None;
                    let longest = self.wards.iter().map(|ward| ward.grace_on_loss).max();
                    self.deadline =
                        Some(BootInstant::now() + longest.unwrap_or_default() + OVERTIME);
                }
            }
        }
    }

    fn fork_keeper(&mut self, control: OwnedFd, grace_on_loss: Duration) {
        // SAFETY: this process has one thread, so the child may do what it likes.
        match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                // What belongs to the warden and to other runs.
                self.orders = None;
                self.wards.clear();
                self.dead.clear();
                keeper::live(control, self.own.as_ref(), self.session)
            }
            Ok(ForkResult::Parent { child }) => {
                self.wards.push(Ward { pid: child, control, grace_on_loss });
            }
            Err(errno) => say(&control, Said::NoKeeper(errno)),
        }
    }

    fn reap(&mut self) {
        while let Reaped::Child(pid, exit) = reap::any() {
            let Some(index) = self.wards.iter().position(|ward| ward.pid == pid) else { continue };
            let ward = self.wards.swap_remove(index);
            // A keeper that ends well has left nothing.
            if exit != Exit::Code(0) {
                self.dead.push(ward);
            }
        }
    }

    /// When the daemon is gone, keepers have to come to an end.
    fn hurry(&mut self) {
        let Some(deadline) = self.deadline else { return };
        let late = BootInstant::now() >= deadline;
        for ward in &self.wards {
            if late || family::is_stopped(ward.pid) {
                let _ = kill(ward.pid, Signal::SIGKILL);
            }
        }
    }

    /// Ends what dead keepers left; true when nothing is left of it.
    fn clear(&mut self) -> bool {
        if self.dead.is_empty() && self.orders.is_some() {
            return true;
        }
        let now = BootInstant::now();
        let Clearing { since, pause } =
            *self.clearing.get_or_insert(Clearing { since: now, pause: FIRST_PAUSE });
        for ward in &self.dead {
            self.group(ward).iter().for_each(RunGroup::kill);
        }
        // Nobody but us takes a child off this list, and whoever loses a parent is on
        // it before that parent can be reaped. So what is not on it is not there.
        let strays = descendants(getpid(), |pid| self.wards.iter().all(|ward| ward.pid != pid));
        let out_of_reach = now.since(since) >= PATIENCE
            && strays.iter().filter(|one| !one.is_zombie()).all(|one| one.is_out_of_reach());
        if !strays.is_empty() && !out_of_reach {
            family::strike(&strays, Signal::SIGKILL, self.session);
            self.clearing = Some(Clearing { since, pause: (pause * 2).min(LONGEST_PAUSE) });
            return false;
        }
        for ward in std::mem::take(&mut self.dead) {
            self.group(&ward).iter().for_each(RunGroup::remove);
            if !strays.is_empty() {
                say(&ward.control, Said::LeftAlone);
            }
            say(&ward.control, Said::Cleared);
        }
        self.clearing = None;
        true
    }

    fn group(&self, ward: &Ward) -> Option<RunGroup> {
        self.own.as_ref().map(|own| own.of(ward.pid))
    }

    /// Returns when there may be something to do.
    fn wait(&self) {
        let pause = match self.clearing {
            Some(Clearing { pause, .. }) => Some(pause),
            // Nobody tells us that a keeper was stopped.
            None => self.deadline.map(|_| LONGEST_PAUSE),
        };
        let pause = pause.map_or(PollTimeout::NONE, |pause| {
            PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO)
        });
        let sources = [Some(self.children.as_fd()), self.orders.as_ref().map(AsFd::as_fd)];
        let mut sources: Vec<_> =
            sources.into_iter().flatten().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let _ = poll(&mut sources, pause);
        // All children are looked at, however often we were told.
        while let Ok(Some(_)) = self.children.read_signal() {}
    }
}

/// Says it unless nobody listens.
fn say(control: &OwnedFd, said: Said) {
    let _ = packets::send(control, &said.to_bytes(), &[]);
}
