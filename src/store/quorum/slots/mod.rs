//! Slots on a quorum: independent servers that know nothing of each other, of which a majority
//! decides. What is acknowledged outlives the loss of the others.
//!
//! Every server keeps everything. What is written goes through a journal (`journal`): one
//! change after the other, each made by the same rules as everywhere
//! ([`ground`](crate::store::ground)) from what stood there before (`draft`), and chosen by
//! a majority (`proposal`, `tally`) or not at all. So whatever one claim saw, the next one
//! sees: a slot is won once, what is settled stays settled, and fences grow.
//!
//! The rooms: `acceptor` is one server's part in deciding, `replica` what else it does;
//! `cells` is what is kept; `poll` asks all at once; `pace` keeps those who propose out of
//! each other's way; `membership` says who takes part; `store` is the
//! [`Store`](crate::store::Store).
//!
//! What is not kept:
//!
//! - A server that comes back with a part of what it knew (a snapshot, a log that was not
//!   synced) is not recognised: persist with `appendfsync always`.
//! - Leases go by the middle one of the servers' clocks; a majority of clocks that jump
//!   forward lapses what is held. The fence is for that.
//! - Records expire by the clock of the server that has them: one that starts with a clock that
//!   is ahead by the length of a job's history has forgotten it.
//! - Where a majority of servers comes back empty, nothing runs until enough of the others
//!   are back with their data.

mod acceptor;
mod cells;
mod clocks;
mod draft;
mod journal;
mod membership;
mod pace;
mod poll;
mod proposal;
mod replica;
mod store;
mod tally;

pub use self::acceptor::{
    Accepted, Acceptor, Ballot, Change, Glance, Pending, Position, Prepared, Promise,
};
pub use self::cells::{Cell, Content, KeptCursor, LastEntry, Write};
pub use self::replica::{Candidate, Copied, Membership, Page, Replica, Stage};
pub use self::store::QuorumStore;

#[cfg(test)]
mod tests;
