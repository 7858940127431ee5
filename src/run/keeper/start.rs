//! The start of a run's command: forked ahead, let go at its instant.
//!
//! A fork, and what a child has to do before it can load a program, take a part of a
//! millisecond. Where the command is to begin at a certain instant, that is done by then:
//! the child waits at a [gate](crate::run::gate) with everything but the program. It has begun nothing
//! there: every signal but KILL is blocked, and it ends when its keeper does.

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork};

use crate::run::child::Image;
use crate::run::gate::{self, Key};

/// A command that was not begun.
pub(super) struct Start<'a> {
    image: Image<'a>,
    waiting: Option<(Pid, Key)>,
    is_set: bool,
}

impl<'a> Start<'a> {
    pub(super) fn new(image: Image<'a>) -> Self {
        Self { image, waiting: None, is_set: false }
    }

    /// Forks a child that waits until it may begin. Where that cannot be done, it is tried
    /// once more at the instant.
    pub(super) fn get_ready(self) -> Self {
        let Self { image, .. } = self;
        let Ok((gate, key)) = gate::shut(image.numbers()) else { return Self::new(image) };
        // SAFETY: as in `begin`.
        let waiting = match unsafe { fork() } {
            Ok(ForkResult::Child) => {
                drop(key);
                image.become_the_command(Some(gate))
            }
            Ok(ForkResult::Parent { child }) => Some((child, key)),
            Err(_) => None,
        };
        Self { image, waiting, is_set: false }
    }

    /// Whether a child waits.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting.is_some()
    }

    /// It begins in a moment: the child is woken up.
    pub(super) fn get_set(&mut self) {
        if let (Some((_, key)), false) = (&self.waiting, self.is_set) {
            key.announce();
            self.is_set = true;
        }
    }

    /// It does not begin in a moment after all; a child that was woken up sleeps soon.
    pub(super) fn stand_easy(&mut self) {
        self.is_set = false;
    }

    /// Lets the command begin, now.
    pub(super) fn begin(self) -> nix::Result<Pid> {
        if let Some((child, key)) = self.waiting {
            // Whatever ended a child that waits is found when it is reaped.
            key.turn();
            return Ok(child);
        }
        // SAFETY: this process has one thread; and the child calls
        // `Image::become_the_command` and nothing else, which never returns.
        match unsafe { fork() }? {
            ForkResult::Child => self.image.become_the_command(None),
            ForkResult::Parent { child } => Ok(child),
        }
    }

    /// It is not to begin.
    pub(super) fn call_off(self) {
        if let Some((child, _key)) = self.waiting {
            // Our child, and not reaped: nobody else can have its number.
            let _ = kill(child, Signal::SIGKILL);
            let _ = waitpid(child, None);
        }
    }
}
