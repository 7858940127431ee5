//! Packets between daemon, warden and keepers: a unix socket that keeps the bounds of
//! messages and carries descriptors.
//!
//! Nothing here blocks unless the caller says so: a peer may be stopped at any time.
//! A zero-length packet is never sent, so an empty one is the end.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, recvmsg,
    sendmsg, socketpair,
};

/// The longest packet.
pub(super) const LONGEST: usize = 16 * 1024;

/// The most descriptors in one packet.
pub(super) const MOST_DESCRIPTORS: usize = 16;

/// What one look at a socket found.
#[derive(Debug)]
pub(super) enum Received {
    /// So many bytes, and what came with them.
    Packet { length: usize, descriptors: Vec<OwnedFd> },
    /// Nothing yet.
    Nothing,
    /// The other end is closed, and all that it sent was read.
    End,
}

/// Both ends of a new connection.
pub(super) fn pair() -> nix::Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
}

/// Sends one packet, whole or not at all, without waiting for room.
pub(super) fn send(to: impl AsFd, bytes: &[u8], with: &[BorrowedFd<'_>]) -> nix::Result<()> {
    send_as(to, bytes, with, MsgFlags::MSG_DONTWAIT)
}

/// The same, waiting for room as long as the socket's own limit says.
pub(super) fn send_patiently(to: impl AsFd, bytes: &[u8], with: BorrowedFd<'_>) -> nix::Result<()> {
    send_as(to, bytes, &[with], MsgFlags::empty())
}

fn send_as(
    to: impl AsFd,
    bytes: &[u8],
    with: &[BorrowedFd<'_>],
    flags: MsgFlags,
) -> nix::Result<()> {
    debug_assert!((1..=LONGEST).contains(&bytes.len()) && with.len() <= MOST_DESCRIPTORS);
    let with: Vec<RawFd> = with.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&with)];
    let rights = if with.is_empty() { &[][..] } else { &rights[..] };
    let flags = flags | MsgFlags::MSG_NOSIGNAL;
    let to = to.as_fd().as_raw_fd();
    again(|| sendmsg::<()>(to, &[IoSlice::new(bytes)], rights, flags, None)).map(drop)
}

/// Takes the next packet, if there is one. Descriptors for which there was no room are
/// missing.
pub(super) fn receive(from: impl AsFd, buffer: &mut [u8]) -> nix::Result<Received> {
    let mut space = cmsg_space!([RawFd; MOST_DESCRIPTORS]);
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_CMSG_CLOEXEC;
    let from = from.as_fd().as_raw_fd();
    let mut parts = [IoSliceMut::new(buffer)];
    let message = loop {
        match recvmsg::<()>(from, &mut parts, Some(&mut space), flags) {
            Ok(message) => break message,
            Err(Errno::EAGAIN) => return Ok(Received::Nothing),
            // Told once when the other end closed without reading all; what it sent
            // is still to be read.
            Err(Errno::EINTR | Errno::ECONNRESET) => {}
            Err(errno) => return Err(errno),
        }
    };
    let length = message.bytes;
    let mut descriptors = Vec::new();
    // An error says that some were cut off: those who expect them will miss them.
    for part in message.cmsgs().into_iter().flatten() {
        if let ControlMessageOwned::ScmRights(raw) = part {
            descriptors.extend(raw.into_iter().map(|fd| {
                // SAFETY: the kernel made this descriptor for us just now.
                unsafe { OwnedFd::from_raw_fd(fd) }
            }));
        }
    }
    Ok(if length == 0 { Received::End } else { Received::Packet { length, descriptors } })
}

/// Does it again where a signal, or the news that the other end had unread packets,
/// came between.
fn again<T>(mut call: impl FnMut() -> nix::Result<T>) -> nix::Result<T> {
    loop {
        match call() {
            Err(Errno::EINTR | Errno::ECONNRESET) => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};

    use super::*;

    fn packet(from: &OwnedFd) -> Vec<u8> {
        let mut buffer = [0; 64];
        match receive(from, &mut buffer).unwrap() {
            Received::Packet { length, .. } => buffer[..length].to_vec(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_keep_their_bounds_and_end_when_the_other_end_is_closed() {
        let (a, b) = pair().unwrap();
        send(&a, b"one", &[]).unwrap();
        send(&a, b"two", &[]).unwrap();
        assert_eq!(packet(&b), b"one");
        assert_eq!(packet(&b), b"two");
        assert!(matches!(receive(&b, &mut [0; 64]), Ok(Received::Nothing)));
        send(&a, b"three", &[]).unwrap();
        drop(a);
        assert_eq!(packet(&b), b"three");
        assert!(matches!(receive(&b, &mut [0; 64]), Ok(Received::End)));
        assert_eq!(send(&b, b"x", &[]), Err(Errno::EPIPE));
    }

    #[test]
    fn what_was_sent_is_read_although_the_sender_left_something_unread() {
        let (a, b) = pair().unwrap();
        send(&b, b"never read", &[]).unwrap();
        send(&a, b"last words", &[]).unwrap();
        drop(a);
        assert_eq!(packet(&b), b"last words");
        assert!(matches!(receive(&b, &mut [0; 64]), Ok(Received::End)));
    }

    #[test]
    fn a_descriptor_comes_through_and_closes_on_exec() {
        let (a, b) = pair().unwrap();
        let (mut read, write) = pipe().unwrap();
        send(&a, b"pipe", &[write.as_fd()]).unwrap();
        drop(write);
        let Received::Packet { mut descriptors, .. } = receive(&b, &mut [0; 64]).unwrap() else {
            panic!("a packet was sent")
        };
        let write = descriptors.remove(0);
        let flags = nix::fcntl::fcntl(&write, nix::fcntl::FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, nix::libc::FD_CLOEXEC);
        let mut write = std::fs::File::from(write);
        write.write_all(b"through").unwrap();
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_peer_that_does_not_read_holds_nobody_up() {
        let (a, _b) = pair().unwrap();
        let full = (0..100_000).find_map(|_| send(&a, &[1; LONGEST], &[]).err());
        assert_eq!(full, Some(Errno::EAGAIN));
    }
}
