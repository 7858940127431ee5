//! In whose session a warden, its keepers and their commands live.

use std::ffi::{OsStr, OsString};

use nix::unistd::{Pid, getpgrp};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Session {
    /// Each in one of its own: what a terminal or a service manager sends to a group
    /// reaches none of them, and no command has a terminal.
    Own,
    /// In that of whoever called: the warden in a group of its own, which what is sent to
    /// the caller's does not reach; the commands in this one, the caller's. A keeper
    /// leaves it when it has forked its command.
    Callers(Pid),
}

impl Session {
    /// That of this process.
    pub(super) fn here() -> Self {
        Self::Callers(getpgrp())
    }

    /// How a warden is told, if it has to be.
    pub(super) fn to_argument(self) -> Option<OsString> {
        match self {
            Self::Own => None,
            Self::Callers(group) => Some(group.to_string().into()),
        }
    }

    pub(super) fn from_argument(argument: Option<&OsStr>) -> Self {
        let group = argument.and_then(|group| group.to_str()?.parse().ok());
        group.map_or(Self::Own, |group| Self::Callers(Pid::from_raw(group)))
    }

    /// The group in which others live beside the commands: a signal to the whole of it
    /// would reach them too.
    pub(super) fn shared_group(self) -> Option<Pid> {
        match self {
            Self::Own => None,
            Self::Callers(group) => Some(group),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_survives_the_way_to_a_warden() {
        for session in [Session::Own, Session::Callers(Pid::from_raw(4711)), Session::here()] {
            let argument = session.to_argument();
            assert_eq!(Session::from_argument(argument.as_deref()), session);
        }
    }
}
