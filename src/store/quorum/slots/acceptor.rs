//! One server's part in deciding: what it is asked, and what it may answer.
//!
//! A server keeps: how far it has applied the journal (its position), the latest ballot it
//! promised, and the change it has accepted behind its position, with the ballot of that.
//! Each question is answered in one atomic step, by these rules:
//!
//! - It promises a ballot of a later round than the one promised last, and no other.
//! - It accepts a change for the position behind its own, under the ballot that it promised
//!   last or one of a later round.
//! - With a promise it tells its epoch: the position at which a server was let in last, as
//!   far as it has applied the journal (`membership`).
//! - It applies a change once it is told that a majority has accepted it: by the ballot under
//!   which it accepted it itself, or by the change.
//! - One that is no member, because it was never made one or came back empty, takes no part.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::cells::{Cell, Content, Write};
use crate::clock::ClusterTime;
use crate::store::Result;

/// A place in the journal; the first change has 1.
pub type Position = u64;

/// Numbers an attempt to have a change accepted. Of each round at most one ballot is ever
/// promised by a majority, so rounds alone say which is later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Ballot {
    /// Larger than that of every ballot the proposer has seen.
    pub round: u64,
    /// Who proposes.
    pub proposer: Uuid,
}

/// `ROUND:PROPOSER`.
impl fmt::Display for Ballot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.round, self.proposer.simple())
    }
}

impl Ballot {
    /// Reads what `Display` wrote.
    pub fn read(text: &str) -> Option<Self> {
        let (round, proposer) = text.split_once(':')?;
        Some(Self { round: round.parse().ok()?, proposer: proposer.parse().ok()? })
    }
}

/// What is written in one step, as a server keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct Change {
    /// Tells it from every other, whatever ballot it is proposed under.
    pub id: Uuid,
    /// Its writes.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Change({}, {} bytes)", self.id, self.bytes.len())
    }
}

/// A change that a server accepted and has not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// The ballot under which it did.
    pub ballot: Ballot,
    /// The change.
    pub change: Change,
}

/// The answer to a ballot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// It is promised.
    Promised(Promise),
    /// A ballot of this or a later round was promised before.
    Refused(Ballot),
    /// Another's proposal was promised a moment ago and is on its way; nothing was promised.
    Busy(Ballot),
    /// The server is no member.
    Outside,
}

/// What comes with a promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Promise {
    /// How far the server has applied the journal.
    pub position: Position,
    /// Its epoch.
    pub epoch: Position,
    /// What it has accepted for the position behind that.
    pub pending: Option<Pending>,
    /// Its clock.
    pub clock: ClusterTime,
    /// The instant of the change at its position.
    pub last: ClusterTime,
    /// What stands in the cells asked for, in their order.
    pub contents: Vec<Content>,
}

/// The answer to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is accepted.
    Yes,
    /// The server has applied less than what comes before.
    Behind(Position),
    /// It has applied a change at this position already.
    Past(Position),
    /// It promised another ballot.
    Refused(Ballot),
    /// The server is no member.
    Outside,
}

/// What a server says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Glance {
    /// How far it has applied the journal.
    pub position: Position,
    /// Whether it has accepted a change behind that.
    pub is_pending: bool,
    /// Its clock.
    pub clock: ClusterTime,
    /// The instant of the change at its position.
    pub last: ClusterTime,
}

/// See the module's head. An error means no answer; what was asked may have been done.
#[async_trait]
pub trait Acceptor: Send + Sync + 'static {
    /// What and where it is, without any secret: for messages.
    fn describe(&self) -> String;

    /// Asks for a promise, and for what stands in `cells`. Another's proposal is left alone
    /// for `patience` after the promise to it.
    async fn prepare(&self, ballot: Ballot, patience: Duration, cells: &[Cell])
    -> Result<Prepared>;

    /// Tells it that nothing will be proposed under `ballot`.
    async fn release(&self, ballot: Ballot) -> Result<()>;

    /// Asks it to accept `change` for `at`.
    async fn accept(&self, ballot: Ballot, at: Position, change: &Change) -> Result<Accepted>;

    /// Tells it that a majority accepted its change for `at` under `ballot`; its position
    /// after that, none if it is no member.
    async fn commit(&self, ballot: Ballot, at: Position) -> Result<Option<Position>>;

    /// Tells it what stands in the journal behind `after`; its position after that, none if
    /// it is no member.
    async fn learn(&self, after: Position, changes: &[Change]) -> Result<Option<Position>>;

    /// What it has of the journal behind `after`, some of it; none where that is gone, or
    /// where it is no member.
    async fn journal(&self, after: Position) -> Result<Option<Vec<Change>>>;

    /// What stands in `cells`, and at which position.
    async fn read(&self, cells: &[Cell]) -> Result<(Position, Vec<Content>)>;

    /// What it says of itself; none if it is no member.
    async fn glance(&self) -> Result<Option<Glance>>;

    /// `writes`, made at `now`, as the change at `at`.
    fn change(&self, at: Position, now: ClusterTime, writes: &[Write]) -> Change;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ballot_reads_back_as_it_was_written() {
        let ballot = Ballot { round: 17, proposer: Uuid::new_v4() };
        assert_eq!(Ballot::read(&ballot.to_string()), Some(ballot));
        for bad in ["", "17", "x:y", "17:"] {
            assert_eq!(Ballot::read(bad), None, "{bad}");
        }
    }
}
