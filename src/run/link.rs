//! The daemon's end of a run's socket, and its handle on the keeper.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::family;
use super::orders::{Stop, Trust};
use super::orphanage::Known;
use super::packets::{self, Received};
use super::pidfd;
use super::wire::{Command, Said, Told};
use crate::clock::BootInstant;

/// What one look at the socket found.
#[derive(Debug)]
pub(super) enum News {
    /// This was said; with a handle on the keeper, when it says that it is there.
    Said(Said, Option<OwnedFd>),
    /// Nobody is left who could say anything.
    Closed,
}

/// The socket of one run. Dropping it kills the run.
#[derive(Debug)]
pub(super) struct Link(AsyncFd<OwnedFd>);

impl Link {
    /// The near end, and the far one for the keeper.
    pub(super) fn pair() -> io::Result<(Self, OwnedFd)> {
        let (near, far) = packets::pair()?;
        // SAFETY: an `OwnedFd` is open, always the same, and lives until the
        // registration is dropped.
        let near = unsafe { AsyncFd::register(near)? };
        Ok((Self(near), far))
    }

    /// Takes what comes next. May be dropped and called again.
    pub(super) async fn next(&self) -> News {
        let read = self.0.async_io(Interest::READABLE, |socket| {
            read(socket)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
        });
        read.await.unwrap_or(News::Closed)
    }

    /// Takes what is there already. Asks the kernel, not the runtime, which may not
    /// have heard of it yet.
    pub(super) fn read_now(&self) -> Option<News> {
        read(self.0.get_ref()).unwrap_or(Some(News::Closed))
    }

    /// Tells the keeper; false if there is no room.
    pub(super) fn tell(&self, told: &Told) -> bool {
        let sent = packets::send(self.0.get_ref(), &told.to_bytes(), &[]);
        // One that is gone needs to be told nothing.
        sent != Err(Errno::EAGAIN)
    }

    /// Tells the keeper all it needs before it begins, waiting for room.
    pub(super) async fn brief(&self, brief: &[u8]) -> io::Result<()> {
        for part in brief.chunks(Told::PART) {
            self.send(&Told::Part(part.to_vec()), &[]).await?;
        }
        Ok(())
    }

    /// Tells it to begin, with the descriptors that the brief numbers.
    pub(super) async fn go(
        &self,
        command: Command,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut chunks = descriptors.chunks(packets::MOST_DESCRIPTORS);
        let last = chunks.next_back().unwrap_or_default();
        for chunk in chunks {
            self.send(&Told::Part(Vec::new()), chunk).await?;
        }
        self.send(&Told::Go(command), last).await
    }

    async fn send(&self, told: &Told, with: &[BorrowedFd<'_>]) -> io::Result<()> {
        let bytes = told.to_bytes();
        let send =
            self.0.async_io(Interest::WRITABLE, |socket| Ok(packets::send(socket, &bytes, with)?));
        send.await
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let kill = Command {
            number: u32::MAX,
            trust: Trust::Lost,
            stop: Some(Stop::Kill),
            not_before: BootInstant::from_nanos(0),
        };
        self.tell(&Told::Orders(kill));
    }
}

fn read(socket: &OwnedFd) -> io::Result<Option<News>> {
    let mut buffer = [0; 64];
    Ok(match packets::receive(socket, &mut buffer)? {
        Received::Nothing => None,
        Received::End => Some(News::Closed),
        Received::Packet { length, descriptors } => {
            // Both ends are the same program.
            let said = Said::from_bytes(&buffer[..length]).ok_or(io::ErrorKind::InvalidData)?;
            Some(News::Said(said, descriptors.into_iter().next()))
        }
    })
}

/// A keeper, by its number and, where the kernel has such, by a handle.
#[derive(Debug)]
pub(super) struct Keeper {
    known: Known,
    handle: Option<AsyncFd<OwnedFd>>,
}

impl Keeper {
    /// The keeper `pid`, which waits for the word to begin, with the handle that it sent.
    pub(super) fn new(pid: Pid, handle: Option<OwnedFd>) -> io::Result<Self> {
        let known = Known::new(pid);
        let handle = match handle.map_or_else(|| pidfd::open(pid), Ok) {
            Ok(fd) => {
                // SAFETY: an `OwnedFd` is open, always the same, and lives until the
                // registration is dropped.
                Some(unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE)? })
            }
            // There was no room for it.
            Err(errno @ (Errno::EMFILE | Errno::ENFILE)) => return Err(errno.into()),
            Err(_) => None,
        };
        Ok(Self { known, handle })
    }

    pub(super) fn is_stopped(&self) -> bool {
        family::is_stopped(self.known.pid())
    }

    pub(super) fn kill(&self) {
        let _gone_already = match &self.handle {
            Some(handle) => pidfd::signal(handle.get_ref(), Signal::SIGKILL),
            // While it is our run's, hardly anybody else can have got its number.
            None => kill(self.known.pid(), Signal::SIGKILL),
        };
    }

    /// Returns when it has ended, if the kernel can tell. May be dropped and called again.
    pub(super) async fn died(&self) {
        match &self.handle {
            // The handle stays ready.
            Some(handle) => drop(handle.readable().await),
            None => std::future::pending().await,
        }
    }

    /// Waits for its end and takes note of it, if it has become a child of ours.
    pub(super) async fn bury(self) {
        if let Some(handle) = &self.handle {
            self.died().await;
            pidfd::reap(handle.get_ref().as_fd());
        }
    }
}
