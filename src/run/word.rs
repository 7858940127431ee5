//! What a child says of its own start: nothing, and the pipe closes as the program
//! is loaded, or the step at which it gave up.

use nix::errno::Errno;

/// The step at which a child gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stumble {
    Session(Errno),
    Stdio(Errno),
    Account(Errno),
    /// The keeper was gone before the child could ask to die with it.
    Orphan,
    Cwd(Errno),
    /// At the candidate with this index.
    Exec(u16, Errno),
}

impl Stumble {
    /// A pipe takes so few bytes whole or not at all.
    pub(super) const LEN: usize = 8;

    pub(super) fn to_bytes(self) -> [u8; Self::LEN] {
        let (kind, candidate, errno) = match self {
            Self::Session(errno) => (0, 0, errno),
            Self::Stdio(errno) => (1, 0, errno),
            Self::Account(errno) => (2, 0, errno),
            Self::Orphan => (3, 0, Errno::UnknownErrno),
            Self::Cwd(errno) => (4, 0, errno),
            Self::Exec(candidate, errno) => (5, candidate, errno),
        };
        let [c0, c1] = u16::to_le_bytes(candidate);
        let [e0, e1, e2, e3] = i32::to_le_bytes(errno as i32);
        [kind, 0, c0, c1, e0, e1, e2, e3]
    }

    pub(super) fn from_bytes([kind, _, c0, c1, e0, e1, e2, e3]: [u8; Self::LEN]) -> Self {
        let errno = Errno::from_raw(i32::from_le_bytes([e0, e1, e2, e3]));
        match kind {
            0 => Self::Session(errno),
            1 => Self::Stdio(errno),
            2 => Self::Account(errno),
            3 => Self::Orphan,
            4 => Self::Cwd(errno),
            _ => Self::Exec(u16::from_le_bytes([c0, c1]), errno),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stumble_survives_the_pipe() {
        for stumble in [
            Stumble::Session(Errno::EPERM),
            Stumble::Stdio(Errno::EIO),
            Stumble::Account(Errno::EPERM),
            Stumble::Orphan,
            Stumble::Cwd(Errno::ENOENT),
            Stumble::Exec(7, Errno::E2BIG),
        ] {
            assert_eq!(Stumble::from_bytes(stumble.to_bytes()), stumble);
        }
    }
}
