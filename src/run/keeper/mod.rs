//! The keeper: one process for each run, which starts the job, ends it, and goes when
//! nothing of it is left.
//!
//! **The invariant: a keeper outlives its run's tree, or its warden ends the tree.** It
//! says [`Said::Gone`] only when the kernel says that it has no child: it is the
//! subreaper of all that the job starts, so whatever loses its parent becomes its
//! child, also what forked twice and began a session of its own.
//!
//! It holds the lease's deadline itself, on its own timer, and asks nobody. If the
//! daemon dies, the socket closes, which is a lost lease. If the daemon is frozen, no
//! new deadline comes, and the old one passes. Where the command is to begin at a certain
//! instant, everything else is ready by then, and the last moment goes by without sleep.
//!
//! One thread, one loop: wait until something may have changed, look at everything,
//! decide ([`Decider`], the same pure rules that the daemon knows), act. Every signal
//! that can be is blocked, so neither a terminal nor a service manager ends it before
//! its work is done.

mod start;
mod tree;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::sched_yield;
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::unistd::{Pid, getpid, getppid, pipe2, read, setsid};

pub(super) use self::tree::PATIENCE;

use self::start::Start;
use self::tree::Tree;
use super::cgroup::{Own, RunGroup};
use super::child::{Ends, Image};
use super::decide::{Decider, Leader, Opening, Seen, Step};
use super::orders::{Stop, Trust};
use super::packets::{self, Received};
use super::pidfd;
use super::recipe::Brief;
use super::session::Session;
use super::wire::{Command, Heard, Said, Told};
use super::word::Stumble;
use crate::clock::BootInstant;

/// A command that begins at a certain instant is waited for so long without sleep. Longer
/// than a machine with nothing to do takes to wake two processes, one after the other.
const LAST_MOMENT: Duration = Duration::from_micros(700);

/// Lives the life of a keeper whose run is at the other end of `control`. In a process
/// forked for it, which has one thread and every signal blocked.
pub(super) fn live(control: OwnedFd, own: Option<&Own>, session: Session) -> ! {
    let _ = prctl::set_name(c"solocron-keeper");
    if session == Session::Own {
        // Cannot fail in a process that was just forked.
        let _ = setsid();
    }
    let _ = prctl::set_child_subreaper(true);
    match Keeper::briefed(control, session) {
        Some(keeper) => {
            keeper.keep(own);
            leave(0)
        }
        // It has started nothing; the warden says so.
        None => leave(1),
    }
}

/// Ends this process at once, without the exit handlers of the program it was forked
/// from. The code 0 says that nothing is left behind, and that the daemon knows.
pub(super) fn leave(code: i32) -> ! {
    // SAFETY: ends the process; nothing is left to be undone.
    unsafe { libc::_exit(code) }
}

struct Keeper {
    session: Session,
    post: Post,
    brief: Brief,
    decider: Decider,
    /// What the command is handed, in the order of the brief's numbers.
    handed: Vec<OwnedFd>,
}

/// The wire to the daemon.
struct Post {
    warden: Pid,
    control: OwnedFd,
    /// Nothing once the daemon has closed its end.
    open: bool,
    number: u32,
    trust: Trust,
    stop: Option<Stop>,
    not_before: BootInstant,
    /// What the leader is still to get.
    signals: Vec<Signal>,
    last: Option<Heard>,
}

impl Keeper {
    /// Says that it is there, and waits for the brief and the word to begin. Nothing
    /// if the daemon wants it no more.
    fn briefed(control: OwnedFd, session: Session) -> Option<Self> {
        let (warden, own) = (getppid(), getpid());
        let handle = pidfd::open(own).ok();
        let handles: Vec<_> = handle.iter().map(AsFd::as_fd).collect();
        packets::send(&control, &Said::Here(own).to_bytes(), &handles).ok()?;

        let (mut brief, mut handed) = (Vec::new(), Vec::new());
        let mut buffer = vec![0; packets::LONGEST];
        loop {
            wait_for(&[control.as_fd()]);
            let (length, descriptors) = match packets::receive(&control, &mut buffer).ok()? {
                Received::Packet { length, descriptors } => (length, descriptors),
                Received::Nothing => continue,
                Received::End => return None,
            };
            handed.extend(descriptors);
            match Told::from_bytes(&buffer[..length])? {
                Told::Part(part) => brief.extend(part),
                Told::Orders(_) | Told::Signal(_) => {}
                Told::Go(Command { number, trust, stop, not_before }) => {
                    let brief = Brief::from_bytes(&brief)?;
                    // All descriptors come, or there is no room for them.
                    if brief.numbers.len() != handed.len() {
                        return None;
                    }
                    let decider = Decider::new(brief.limits);
                    let post = Post {
                        warden,
                        control,
                        open: true,
                        number,
                        trust,
                        stop,
                        not_before,
                        signals: Vec::new(),
                        last: None,
                    };
                    return Some(Self { session, post, brief, decider, handed });
                }
            }
        }
    }

    fn keep(self, own: Option<&Own>) {
        let Self { session, mut post, brief, mut decider, handed } = self;
        // Whatever may fail for want of something comes before the fork.
        let tools = Tools::new().and_then(|tools| {
            let (word, word_end) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
            Ok((tools, word, Ends::new(&brief.numbers, handed, word_end)?))
        });
        let (tools, word, ends) = match tools {
            Ok(tools) => tools,
            Err(errno) => return post.say(Said::NotForked(errno)),
        };
        let group = own.and_then(|own| own.divide(getpid()));
        let image = Image::new(
            &brief.recipe,
            &ends,
            group.as_ref().and_then(RunGroup::entrance),
            session,
            brief.open_files,
        );
        let mut start = Start::new(image);
        let is_callers = matches!(session, Session::Callers(_));
        if is_callers || BootInstant::now() < post.not_before {
            start = start.get_ready();
        }
        if is_callers && start.is_ready() {
            // The command had to be born in the caller's session. A parent there that is in
            // another group would be the tie without which the caller's group is orphaned:
            // at the command's end the kernel would hang it up if something in it is
            // stopped. So the command waits behind its gate until this is done. Cannot
            // fail: the warden leads the group.
            let _ = setsid();
        }
        if !post.wait_to_begin(&mut decider, &tools, &mut start) {
            start.call_off();
            post.report(&decider, false);
            group.iter().for_each(RunGroup::remove);
            return post.say(Said::Gone);
        }
        let began_at = BootInstant::now();
        let leader = match start.begin() {
            Ok(leader) => leader,
            Err(errno) => {
                group.iter().for_each(RunGroup::remove);
                return post.say(Said::NotForked(errno));
            }
        };
        if is_callers {
            // For one that had no gate to wait behind.
            let _ = setsid();
        }
        // The child has its own; while ours are open, nobody sees the end of a pipe.
        drop(ends);
        post.say(Said::Forked(leader, began_at));
        decider.started(began_at, brief.timeout);
        drop(brief);

        let mut word = Some(word);
        let mut tree = Tree::new(leader, group, session);
        let mut told_end = false;
        loop {
            post.listen();
            let exit = tree.reap();
            post.signals.drain(..).for_each(|signal| tree.pass_on(signal));
            // After the exit: what the child had to say, it said before.
            if let Some(said) = heard_word(&mut word, exit.is_some()) {
                post.say(said);
            }
            let leader = exit.map_or(Leader::Running, Leader::Ended);
            let step = decider.decide(&post.seen(leader, tree.is_gone()));
            if let (Some((exit, cause)), false) = (decider.ended(), told_end) {
                told_end = true;
                post.say(Said::Ended(exit, cause));
            }
            match step {
                Step::Over => break,
                Step::Go { blow, wake } => {
                    if let Some(blow) = blow {
                        tree.strike(blow);
                    }
                    post.report(&decider, tree.is_killed());
                    if let Some(trouble) = tree.trouble() {
                        post.say(trouble);
                    }
                    tools.ring([wake, tree.next_look()].into_iter().flatten().min());
                }
            }
            if !tree.is_gone() {
                tools.wait(&post, word.as_ref());
            }
        }
        tree.clear_away();
        post.say(Said::Gone);
    }
}

impl Post {
    /// Returns when the command is to be started; false if it is not to. After it the
    /// clock says so, the orders do, and the lease can be trusted. For the last moment
    /// nobody sleeps: neither a timer nor a process that is woken comes to the point.
    fn wait_to_begin(
        &mut self,
        decider: &mut Decider,
        tools: &Tools,
        start: &mut Start<'_>,
    ) -> bool {
        loop {
            self.listen();
            let seen = self.seen(Leader::Absent, false);
            let wake = match decider.open(&seen, self.not_before) {
                Opening::Begin => return true,
                Opening::Over => return false,
                Opening::Wait(wake) => wake,
            };
            self.report(decider, false);
            let left = self.not_before.since(seen.now);
            if left <= LAST_MOMENT {
                start.get_set();
                give_way();
                continue;
            }
            start.stand_easy();
            tools.ring(Some(wake.min(seen.now + (left - LAST_MOMENT))));
            tools.wait(self, None);
        }
    }

    /// Takes in all that the daemon has said.
    fn listen(&mut self) {
        let mut buffer = [0; 64];
        while self.open {
            match packets::receive(&self.control, &mut buffer) {
                Ok(Received::Nothing) => return,
                Ok(Received::Packet { length, .. }) => {
                    match Told::from_bytes(&buffer[..length]) {
                        Some(Told::Orders(command)) => {
                            self.number = command.number;
                            self.trust = command.trust;
                            self.stop = command.stop;
                            self.not_before = command.not_before;
                        }
                        Some(Told::Signal(signal)) => self.signals.push(signal),
                        // What a run begins with comes once.
                        Some(Told::Part(_) | Told::Go(_)) | None => {}
                    }
                }
                Ok(Received::End) | Err(_) => {
                    // The daemon is gone: nobody renews the lease any more.
                    self.open = false;
                    self.trust = Trust::Lost;
                    // Should somebody have stopped the warden, it would stay for ever.
                    if getppid() == self.warden {
                        let _ = kill(self.warden, Signal::SIGCONT);
                    }
                }
            }
        }
    }

    /// Says it unless nobody listens. There is always room: the daemon gets a handful
    /// of words, and one for each of its own that it had room for.
    fn say(&self, said: Said) {
        let _ = packets::send(&self.control, &said.to_bytes(), &[]);
    }

    /// Says how things stand, if the daemon does not know yet.
    fn report(&mut self, decider: &Decider, killed: bool) {
        let heard = Heard {
            number: self.number,
            cause: decider.cause(),
            kill_by: decider.kill_by(),
            killed,
        };
        if self.last.replace(heard) != Some(heard) {
            self.say(Said::Heard(heard));
        }
    }

    fn seen(&self, leader: Leader, tree_gone: bool) -> Seen {
        let now = BootInstant::now();
        Seen { now, leader, tree_gone, trust: self.trust, stop: self.stop }
    }
}

/// Waits for some microseconds without sleep, so that neither whoever wants this core waits
/// for it, nor the other half of the core, on which the child may be.
fn give_way() {
    let _ = sched_yield();
    for _ in 0..100 {
        std::hint::spin_loop();
    }
}

/// What the child has said of its start, if it has, which it does once. When it has
/// ended, silence is an answer too.
fn heard_word(word: &mut Option<OwnedFd>, ended: bool) -> Option<Said> {
    let mut bytes = [0; Stumble::LEN];
    let said = match read(word.as_ref()?, &mut bytes) {
        Ok(Stumble::LEN) => Said::Stumbled(Stumble::from_bytes(bytes)),
        Err(Errno::EAGAIN | Errno::EINTR) if !ended => return None,
        _ => Said::Loaded,
    };
    *word = None;
    Some(said)
}

/// What wakes a keeper up beside its post.
struct Tools {
    /// On the clock that also counts while the machine is suspended.
    timer: TimerFd,
    /// Tells of children that ended.
    children: SignalFd,
}

impl Tools {
    fn new() -> nix::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, flags)?;
        Ok(Self { timer, children: told_of_children()? })
    }

    fn ring(&self, at: Option<BootInstant>) {
        let _ = match at {
            // An expiration of zero would switch the timer off.
            Some(at) => self.timer.set(
                Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(
                    at.nanos().max(1),
                ))),
                TimerSetTimeFlags::TFD_TIMER_ABSTIME,
            ),
            None => self.timer.unset(),
        };
    }

    /// Returns when something may have changed.
    fn wait(&self, post: &Post, word: Option<&OwnedFd>) {
        let control = post.open.then(|| post.control.as_fd());
        let word = word.map(AsFd::as_fd);
        let sources: Vec<_> =
            [Some(self.timer.as_fd()), Some(self.children.as_fd()), control, word]
                .into_iter()
                .flatten()
                .collect();
        wait_for(&sources);
        // A timer that is set again has not rung; of children, all are looked at.
        while let Ok(Some(_)) = self.children.read_signal() {}
    }
}

/// A descriptor that becomes readable when a child has ended. SIGCHLD must be blocked.
pub(super) fn told_of_children() -> nix::Result<SignalFd> {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
}

fn wait_for(sources: &[BorrowedFd<'_>]) {
    let mut polled: Vec<_> = sources.iter().map(|&fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
    // Interrupted, it is looked at everything once more.
    let _ = poll(&mut polled, PollTimeout::NONE);
}
