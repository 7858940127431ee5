//! What daemon, warden and keeper say to each other.
//!
//! ```text
//!  daemon              warden                 keeper                        job
//!    │ Order + socket ──▶ │ fork ────────────────▶│
//!    │ ◀──────────────────┼───────── Here + pidfd │   no job is started before Go,
//!    │ Part … Go + descriptors ──────────────────▶│   so up to here both can be dropped
//!    │                    │                       │   (it waits for the instant to begin)
//!    │ ◀──────────────────┼────────────── Forked ─│─ fork, exec ──────────▶ │
//!    │ ◀──────────────────┼── Loaded or Stumbled ─│                         │
//!    │ Orders ────────────┼──────────────────────▶│                         │
//!    │ ◀──────────────────┼─────────────── Heard ─│ TERM, grace, KILL ────▶ │
//!    │ Signal ────────────┼──────────────────────▶│ ──────────────────────▶ │
//!    │ ◀──────────────────┼─────────────── Ended ─│◀──────────────────── exit
//!    │ ◀──────────────────┼──────────────── Gone ─│ nothing of the tree is left
//!    │ ◀───────── Cleared │ only where the keeper died before it could say Gone
//! ```
//!
//! All that concerns a run goes over that run's own socket; the warden holds a copy of
//! its far end. So the daemon hears the end of a run from whoever saw it, and when the
//! socket closes without a word, nobody is left who could.

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use super::bytes::{Reader, Writer};
use super::decide::{Cause, Exit};
use super::orders::{Stop, Trust};
use super::word::Stumble;
use crate::clock::BootInstant;

/// What the daemon tells a keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Told {
    /// The next part of the brief. May come with descriptors.
    Part(Vec<u8>),
    /// That was all of it: begin. Comes with the rest of the descriptors, in the order
    /// in which the brief numbers them.
    Go(Command),
    /// What is in force now.
    Orders(Command),
    /// The leader is to get this signal.
    Signal(Signal),
}

/// The orders in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Command {
    /// Counts the commands of a run.
    pub(super) number: u32,
    pub(super) trust: Trust,
    pub(super) stop: Option<Stop>,
    /// The command is started at that instant, not before.
    pub(super) not_before: BootInstant,
}

/// What the daemon hears of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// The warden: there is no keeper, because of this.
    NoKeeper(Errno),
    /// The keeper: I am this process. Comes with a handle on it where the kernel has such.
    Here(Pid),
    /// The job could not be forked.
    NotForked(Errno),
    /// The job's leader is this process, since then.
    Forked(Pid, BootInstant),
    /// Its program was loaded.
    Loaded,
    /// It gave up before.
    Stumbled(Stumble),
    /// How things stand.
    Heard(Heard),
    /// The leader ended so, when this cause, if any, was in force.
    Ended(Exit, Option<Cause>),
    /// Something of the killed tree does not go.
    Hangs,
    /// Something that nobody here may signal or see is left alone.
    LeftAlone,
    /// Nothing of the tree is left.
    Gone,
    /// The warden: the keeper died, and nothing of its tree is left.
    Cleared,
}

/// How far a keeper has come with what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Heard {
    /// The last command that it has heeded.
    pub(super) number: u32,
    /// Why it is ending the run, if it is.
    pub(super) cause: Option<Cause>,
    /// When it will kill.
    pub(super) kill_by: Option<BootInstant>,
    /// It has sent a KILL.
    pub(super) killed: bool,
}

impl Told {
    /// How much of a brief goes into one packet.
    pub(super) const PART: usize = super::packets::LONGEST - 1;

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::Part(part) => out.u8(0).bytes(part),
            Self::Go(command) => command.put(out.u8(1)),
            Self::Orders(command) => command.put(out.u8(2)),
            Self::Signal(signal) => out.u8(3).u32((*signal as i32).cast_unsigned()),
        };
        out.finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader::new(bytes);
        Some(match from.u8()? {
            0 => Self::Part(from.rest().to_vec()),
            1 => Self::Go(Command::get(&mut from)?),
            2 => Self::Orders(Command::get(&mut from)?),
            3 => Self::Signal(Signal::try_from(from.u32()?.cast_signed()).ok()?),
            _ => return None,
        })
    }
}

impl Command {
    fn put<'a>(&self, out: &'a mut Writer) -> &'a mut Writer {
        out.u32(self.number);
        match self.trust {
            Trust::Lost => out.u8(0),
            Trust::Until(at) => out.u8(1).instant(at),
        };
        out.option(self.stop, |out, stop| {
            out.u8(match stop {
                Stop::Drain => 0,
                Stop::Kill => 1,
                Stop::Cancel => 2,
                Stop::Withdraw => 3,
            })
        })
        .instant(self.not_before)
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            number: from.u32()?,
            trust: match from.u8()? {
                0 => Trust::Lost,
                _ => Trust::Until(from.instant()?),
            },
            stop: from.option(|from| match from.u8()? {
                0 => Some(Stop::Drain),
                1 => Some(Stop::Kill),
                2 => Some(Stop::Cancel),
                3 => Some(Stop::Withdraw),
                _ => None,
            })?,
            not_before: from.instant()?,
        })
    }
}

impl Said {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Self::NoKeeper(errno) => put_errno(out.u8(0), errno),
            Self::Here(pid) => put_pid(out.u8(1), pid),
            Self::NotForked(errno) => put_errno(out.u8(2), errno),
            Self::Forked(pid, at) => put_pid(out.u8(3), pid).instant(at),
            Self::Loaded => out.u8(4),
            Self::Stumbled(stumble) => out.u8(5).u64(u64::from_le_bytes(stumble.to_bytes())),
            Self::Heard(Heard { number, cause, kill_by, killed }) => out
                .u8(6)
                .u32(number)
                .option(cause, put_cause)
                .option(kill_by, Writer::instant)
                .u8(killed.into()),
            Self::Ended(exit, cause) => {
                match exit {
                    Exit::Code(code) => out.u8(7).u8(0).u32(code.cast_unsigned()),
                    Exit::Signal(signal) => out.u8(7).u8(1).u32(signal.cast_unsigned()),
                    Exit::Unknown => out.u8(7).u8(2).u32(0),
                };
                out.option(cause, put_cause)
            }
            Self::Hangs => out.u8(8),
            Self::LeftAlone => out.u8(9),
            Self::Gone => out.u8(10),
            Self::Cleared => out.u8(11),
        };
        out.finish()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let from = &mut Reader::new(bytes);
        Some(match from.u8()? {
            0 => Self::NoKeeper(errno(from)?),
            1 => Self::Here(pid(from)?),
            2 => Self::NotForked(errno(from)?),
            3 => Self::Forked(pid(from)?, from.instant()?),
            4 => Self::Loaded,
            5 => Self::Stumbled(Stumble::from_bytes(from.u64()?.to_le_bytes())),
            6 => Self::Heard(Heard {
                number: from.u32()?,
                cause: from.option(cause)?,
                kill_by: from.option(Reader::instant)?,
                killed: from.u8()? != 0,
            }),
            7 => {
                let (kind, value) = (from.u8()?, from.u32()?.cast_signed());
                let exit = match kind {
                    0 => Exit::Code(value),
                    1 => Exit::Signal(value),
                    _ => Exit::Unknown,
                };
                Self::Ended(exit, from.option(cause)?)
            }
            8 => Self::Hangs,
            9 => Self::LeftAlone,
            10 => Self::Gone,
            11 => Self::Cleared,
            _ => return None,
        })
    }
}

fn put_errno(out: &mut Writer, errno: Errno) -> &mut Writer {
    out.u32((errno as i32).cast_unsigned())
}

fn errno(from: &mut Reader<'_>) -> Option<Errno> {
    from.u32().map(|raw| Errno::from_raw(raw.cast_signed()))
}

fn put_pid(out: &mut Writer, pid: Pid) -> &mut Writer {
    out.u32(pid.as_raw().cast_unsigned())
}

fn pid(from: &mut Reader<'_>) -> Option<Pid> {
    from.u32().map(|raw| Pid::from_raw(raw.cast_signed()))
}

const CAUSES: [Cause; 6] = [
    Cause::Timeout,
    Cause::Drain,
    Cause::Cancel,
    Cause::LeaseExpired,
    Cause::LeaseLost,
    Cause::Withdrawn,
];

fn put_cause(out: &mut Writer, cause: Cause) -> &mut Writer {
    // `a_message_survives_the_way` holds every cause to its place.
    out.u8(CAUSES.iter().position(|&one| one == cause).unwrap_or_default() as u8)
}

fn cause(from: &mut Reader<'_>) -> Option<Cause> {
    CAUSES.get(usize::from(from.u8()?)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_and_nothing_comes_of_a_part_of_it() {
        let at = BootInstant::from_nanos(12_345);
        let pid = Pid::from_raw(4_194_303);
        let mut said = vec![
            Said::NoKeeper(Errno::EAGAIN),
            Said::Here(pid),
            Said::NotForked(Errno::EMFILE),
            Said::Forked(pid, at),
            Said::Loaded,
            Said::Stumbled(Stumble::Exec(7, Errno::ENOENT)),
            Said::Heard(Heard::default()),
            Said::Ended(Exit::Code(255), None),
            Said::Ended(Exit::Signal(64), Some(Cause::Drain)),
            Said::Ended(Exit::Unknown, None),
            Said::Hangs,
            Said::LeftAlone,
            Said::Gone,
            Said::Cleared,
        ];
        let each = [
            Cause::Timeout,
            Cause::Drain,
            Cause::Cancel,
            Cause::LeaseExpired,
            Cause::LeaseLost,
            Cause::Withdrawn,
        ];
        said.extend(each.map(|cause| {
            Said::Heard(Heard { number: 9, cause: Some(cause), kill_by: Some(at), killed: true })
        }));
        for said in said {
            let bytes = said.to_bytes();
            assert_eq!(Said::from_bytes(&bytes), Some(said));
            assert_eq!(Said::from_bytes(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn so_does_what_the_daemon_says() {
        let trusts = [Trust::Lost, Trust::Until(BootInstant::from_nanos(5))];
        let stops =
            [None, Some(Stop::Drain), Some(Stop::Kill), Some(Stop::Cancel), Some(Stop::Withdraw)];
        for trust in trusts {
            for stop in stops {
                let not_before = BootInstant::from_nanos(11);
                let command = Command { number: 3, trust, stop, not_before };
                for told in [Told::Go(command), Told::Orders(command)] {
                    assert_eq!(Told::from_bytes(&told.to_bytes()), Some(told));
                }
            }
        }
        let signal = Told::Signal(Signal::SIGWINCH);
        assert_eq!(Told::from_bytes(&signal.to_bytes()), Some(signal));
        let part = Told::Part(vec![7; Told::PART]);
        assert!(part.to_bytes().len() <= super::super::packets::LONGEST);
        assert_eq!(Told::from_bytes(&part.to_bytes()), Some(part));
    }
}
