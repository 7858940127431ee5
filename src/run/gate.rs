//! What a child waits at until it may begin.
//!
//! A pipe: a byte in it lets the child go, and its end, which comes when whoever has the
//! key is gone, sends it away.

use std::os::fd::{OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read, write};

use super::child::move_away;

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
        loop {
            match read(&self.0, &mut [0]) {
                Err(Errno::EINTR) => {}
                passed => return passed == Ok(1),
            }
        }
    }
}

impl Key {
    /// Opens the gate. One behind which nobody waits any more stays shut.
    pub(super) fn turn(self) {
        // There is room for a byte. SIGPIPE is blocked here as every signal is.
        let _ = write(&self.0, &[1]);
    }
}
