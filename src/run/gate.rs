//! What a child waits at until it may begin.
//!
//! A pipe: [`GO`] in it lets the child go, and its end, which comes when whoever has the
//! key is gone, sends it away.
//!
//! To wake a process that sleeps takes a part of a millisecond, more where a core has to be
//! woken for it. So just before it may go the child is told to get [`SET`]: from then on it
//! looks again and again, and gives way in between to whoever has something to do.

use std::os::fd::{OwnedFd, RawFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sched::sched_yield;
use nix::unistd::{pipe2, read, write};

use super::child::move_away;
use crate::clock::BootInstant;

const SET: u8 = 1;
const GO: u8 = 2;

/// A child that is set sleeps again when it may not go for so long: whoever has the key was
/// stopped.
const STAYS_SET: Duration = Duration::from_millis(10);

/// The child's side.
pub(super) struct Gate(OwnedFd);

/// The side of whoever lets it go.
pub(super) struct Key(OwnedFd);

/// A gate that is shut, and its key. Neither has a number that is among `taken`.
pub(super) fn shut(taken: impl Iterator<Item = RawFd>) -> nix::Result<(Gate, Key)> {
    let taken: Vec<_> = taken.collect();
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC)?;
    Ok((Gate(move_away(reader, &taken)?), Key(move_away(writer, &taken)?)))
}

impl Gate {
    /// Waits until it is opened; false if it never will be. Async-signal-safe.
    pub(super) fn pass(&self) -> bool {
        let mut told = [0];
        let mut set_until = BootInstant::from_nanos(0);
        loop {
            match read(&self.0, &mut told) {
                Ok(1) if told == [GO] => return true,
                Ok(1) => {
                    set_until = BootInstant::now() + STAYS_SET;
                    self.look(OFlag::O_NONBLOCK);
                }
                Err(Errno::EAGAIN) if BootInstant::now() < set_until => {
                    let _ = sched_yield();
                }
                Err(Errno::EAGAIN) => self.look(OFlag::empty()),
                Err(Errno::EINTR) => {}
                Ok(_) | Err(_) => return false,
            }
        }
    }

    /// Whether a look waits: cannot fail for a pipe.
    fn look(&self, flags: OFlag) {
        let _ = fcntl(&self.0, FcntlArg::F_SETFL(flags));
    }
}

impl Key {
    /// Has the child get set: it may go in a moment.
    pub(super) fn announce(&self) {
        // As in `turn`.
        let _ = write(&self.0, &[SET]);
    }

    /// Opens the gate. One behind which nobody waits any more stays shut.
    pub(super) fn turn(self) {
        // There is room for more bytes than there are announcements. SIGPIPE is blocked here as every signal is.
        let _ = write(&self.0, &[GO]);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread::{self, JoinHandle};

    use nix::unistd::{Pid, gettid};

    use super::*;

    /// Somebody who waits at a gate: their thread, and what became of it.
    fn waits_at(gate: Gate) -> (Pid, JoinHandle<bool>) {
        let (tell, told) = mpsc::channel();
        let waits = thread::spawn(move || {
            tell.send(gettid()).unwrap();
            gate.pass()
        });
        (told.recv().unwrap(), waits)
    }

    fn until_it_sleeps(thread: Pid) {
        let status = format!("/proc/self/task/{thread}/status");
        while !std::fs::read_to_string(&status).unwrap().contains("State:\tS") {
            thread::yield_now();
        }
    }

    #[test]
    fn whoever_waits_goes_when_the_key_is_turned_announced_or_not() {
        for announced in [false, true] {
            let (gate, key) = shut(std::iter::empty()).unwrap();
            let (thread, waits) = waits_at(gate);
            until_it_sleeps(thread);
            if announced {
                key.announce();
            }
            key.turn();
            assert!(waits.join().unwrap());
        }
    }

    #[test]
    fn whoever_waits_is_sent_away_with_the_key_announced_or_not() {
        for announced in [false, true] {
            let (gate, key) = shut(std::iter::empty()).unwrap();
            let (thread, waits) = waits_at(gate);
            until_it_sleeps(thread);
            if announced {
                key.announce();
            }
            drop(key);
            assert!(!waits.join().unwrap());
        }
    }

    #[test]
    fn whoever_is_set_and_not_let_go_sleeps_again_and_goes_later() {
        let (gate, key) = shut(std::iter::empty()).unwrap();
        key.announce();
        let set = BootInstant::now();
        let (thread, waits) = waits_at(gate);
        while BootInstant::now().since(set) < STAYS_SET {
            thread::yield_now();
        }
        until_it_sleeps(thread);
        key.turn();
        assert!(waits.join().unwrap());
    }
}
