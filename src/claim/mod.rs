//! A claim: one fail-fast attempt at a slot's lock, and its verdict.
//!
//! Invariants:
//!
//! - A slot has at most one holder. Only [`Verdict::Won`] allows a run, and
//!   [`Verdict::Unknown`] never does.
//! - A claim is idempotent by its token: asking again finds itself the owner,
//!   so a lost reply is resolved by asking again.
//! - The start window is checked by the store's clock and binds the first claim
//!   of a slot only; a slot that was handed over may start at any time.
//! - A token that handed its slot over never wins it again, however late a copy
//!   of its request is applied.

pub mod desk;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::ClusterTime;
use crate::name::NodeName;
use crate::node::BootId;
use crate::outcome::Outcome;
use crate::slot::Slot;
use crate::table::ScheduleDigest;

/// The owner token of a claim: the value of the lock key. It is also the run id
/// of the claim's first run, a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token(Uuid);

impl Token {
    /// A new one.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The token as a run id.
    pub fn run_id(self) -> RunId {
        RunId(self.0)
    }
}

impl Default for Token {
    fn default() -> Self {
        Self::new()
    }
}

/// Identifies one run of a slot: a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(Uuid);

macro_rules! uuid_text {
    ($type:ident) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $type {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}
uuid_text!(Token);
uuid_text!(RunId);

/// A number that only grows: a later holder of a slot has a larger one.
///
/// It is `max(last + 1, the store's time in microseconds)`, so that it grows
/// also when the store lost its last writes. It stays below 2^53 until the year
/// 2255, so every language can hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fence(u64);

impl Fence {
    /// The fence `number`.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The fence as a number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// The node.
    pub node: NodeName,
    /// Which start of it.
    pub boot: BootId,
    /// How far ahead of its slot a claim may come, by the store's clock
    /// (`max_clock_skew`).
    pub max_early: Duration,
}

/// One attempt at a slot's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// What is claimed.
    pub slot: Slot,
    /// Whose it is if it is won. The same for every attempt to resolve this claim.
    pub token: Token,
    /// How long the lock lasts without renewal, whole milliseconds.
    pub ttl: Duration,
    /// The end of the start window: a first claim after it is refused.
    pub start_by: ClusterTime,
    /// How long the slot's record outlives this claim; never less than the lease.
    pub keep_record: Duration,
    /// The schedule whose cursor this claim is held against: a slot at or before
    /// the cursor that has no record is settled, and refused.
    pub digest: ScheduleDigest,
    /// Whether a verdict that tells of a record (won, held or done) moves the
    /// cursor to this slot, never backwards. Only a node that knows every earlier
    /// slot of this schedule to have a record may ask for it. A cursor that does
    /// not exist is not created: a claim does not know how long to keep it.
    pub advance: bool,
}

/// The answer to a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The slot is ours.
    Won(Grant),
    /// Another has it.
    Held(Holder),
    /// It is settled.
    Done(Settled),
    /// It may not start.
    Refused(Refusal),
    /// The store did not say. The claim may have been applied, or be applied later.
    Unknown(String),
}

/// What the winner of a claim got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Larger than that of every earlier holder of the slot.
    pub fence: Fence,
    /// Counts the slot's runs from 1.
    pub attempt: u32,
}

/// Who holds a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The node.
    pub node: NodeName,
    /// Its token.
    pub token: Token,
    /// How long its lock still lasts without renewal; zero when it lapsed and
    /// nobody settled it yet.
    pub remaining: Duration,
}

/// How a slot was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The node that ran it last.
    pub node: NodeName,
    /// The token under which it was held last.
    pub token: Token,
    /// How it ended.
    pub outcome: Outcome,
}

/// Why a slot may not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The start window had closed.
    Late,
    /// The slot lies further ahead than `max_early`.
    Early,
    /// The cursor is past it: it is in the ledger as missed, or ran so long ago
    /// that its record has expired.
    Past,
    /// This token has handed the slot over.
    HandedOver,
}
