//! A claim: one fail-fast attempt at a slot's lock, and its verdict.
//!
//! Invariants:
//!
//! - A slot has at most one holder. Only [`Verdict::Won`] allows a run, and
//!   [`Verdict::Unknown`] never does.
//! - A claim is idempotent by its token: asking again finds itself the owner,
//!   so a lost reply is resolved by asking again.
//! - The start window is checked by the store's clock and binds the first claim
//!   of a slot only; a slot that is open already (handed over, triggered, waiting
//!   for its turn, to be caught up) may start at any time.
//! - A token that handed its slot over never wins it again, however late a copy
//!   of its request is applied.
//! - A lapsed lease is taken over only by a claim that names the token that lost it.
//! - A pause and the job's `overlap` are decided in the same atomic step, and never
//!   before the slot is due: a claim ahead of that finds nothing in its way and wins,
//!   or is to be made again.

pub mod attempt;
pub mod desk;
pub mod peers;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::Uuid;

use crate::clock::ClusterTime;
pub use crate::lease::{Fence, Token};
use crate::ledger::{Entry, Retention};
use crate::name::NodeName;
use crate::node::BootId;
use crate::outcome::{MissedReason, Outcome};
use crate::policy::Overlap;
use crate::slot::Slot;
use crate::table::ScheduleDigest;

impl Token {
    /// The id of the slot's run number `attempt` (from 1) under this token: the token,
    /// its last 32 bits counted up by one for each attempt before. So it is a UUIDv7
    /// of its own, and whoever knows token and attempt knows the run.
    pub fn run_id(self, attempt: u32) -> RunId {
        let bits = self.uuid().as_u128();
        let low = (bits as u32).wrapping_add(attempt.saturating_sub(1));
        RunId(Uuid::from_u128(bits >> 32 << 32 | u128::from(low)))
    }

    /// The token that belongs to a wish to run a job: the same wish, the same token.
    pub fn of_trigger(trigger: crate::slot::TriggerId) -> Self {
        Self::from_uuid(trigger.uuid())
    }
}

/// Where a node's tokens come from.
#[derive(Debug, Clone, Default)]
pub enum Tokens {
    /// The machine's randomness.
    #[default]
    Random,
    /// A seed: the same tokens each time, for a simulation that can be repeated.
    Seeded(fastrand::Rng),
}

impl Tokens {
    /// The next one.
    pub fn draw(&mut self) -> Token {
        match self {
            Self::Random => Token::new(),
            Self::Seeded(rng) => {
                let bytes = rng.u128(..).to_be_bytes();
                let (head, tail) = bytes.split_at(6);
                let millis = head.iter().fold(0, |millis, &byte| millis << 8 | u64::from(byte));
                let tail = tail.try_into().unwrap_or_default();
                Token::from_uuid(
                    uuid::Builder::from_unix_timestamp_millis(millis, &tail).into_uuid(),
                )
            }
        }
    }
}

/// Identifies one run of a slot: a UUIDv7.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(Uuid);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl RunId {
    /// When its slot was first claimed with its token, by the clock of who did; none where
    /// it was made otherwise.
    pub fn claimed_at(self) -> Option<ClusterTime> {
        let (seconds, nanos) = self.0.get_timestamp()?.to_unix();
        let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
        Some(ClusterTime::from_unix_micros(micros + i64::from(nanos / 1000)))
    }

    /// The last sixteen of its digits.
    pub(crate) fn low_bits(self) -> u64 {
        self.0.as_u64_pair().1
    }

    /// The token under which it is the run number `attempt`: what
    /// [`run_id`](Token::run_id) was given.
    pub fn token(self, attempt: u32) -> Token {
        let bits = self.0.as_u128();
        let low = (bits as u32).wrapping_sub(attempt.saturating_sub(1));
        Token::from_uuid(Uuid::from_u128(bits >> 32 << 32 | u128::from(low)))
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
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
    /// When the slot is due: its nominal instant and the job's jitter. The start window begins here.
    pub due: ClusterTime,
    /// The end of the start window: a first claim after it is refused.
    pub start_by: ClusterTime,
    /// What to do while another slot of the job is not settled.
    pub overlap: Overlap,
    /// How often a slot of the job may be taken over; zero where `on_crash` is `skip`.
    pub max_takeovers: u32,
    /// The token whose lapsed lease this claim takes over; none for any other claim.
    pub takes_over: Option<Token>,
    /// How long the slot's record outlives this claim; never less than the lease.
    pub keep_record: Duration,
    /// How long the record of a slot is kept that this claim settles.
    pub keep_settled: Duration,
    /// How long and how much of the job's history is kept.
    pub retention: Retention,
    /// The schedule whose cursor this claim is held against: a slot at or before
    /// the cursor that has no record is settled, and refused.
    pub digest: ScheduleDigest,
    /// Whether a verdict that tells of a record (won, held or done) moves the
    /// cursor to this slot, never backwards. Only a node that knows every earlier
    /// slot of this schedule to have a record may ask for it. A cursor that does
    /// not exist is not created: a claim does not know how long to keep it.
    pub advance: bool,
    /// Others have tried the slot before, so that it most likely has a record. The store
    /// may look for that first, where it is cheaper than a claim: two steps in place of
    /// one where there is none. No verdict depends on it.
    pub looks_first: bool,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The answer.
    pub verdict: Verdict,
    /// What was written into the ledger in the same step, because of this claim: of
    /// the run that it takes over, of a slot that it settles, or of its own slot.
    pub entries: Vec<Entry>,
}

impl From<Verdict> for Claimed {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, entries: Vec::new() }
    }
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
    /// It waits in the store until that slot of the job is settled.
    Waits(Slot),
    /// It may not run, and this claim settled it as missed.
    Missed(MissedReason),
    /// It may not start.
    Refused(Refusal),
    /// The store did not say. The claim may have been applied, or be applied later.
    Unknown(String),
}

impl Verdict {
    /// The word for it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Won(_) => "won",
            Self::Held(_) => "held",
            Self::Done(_) => "done",
            Self::Waits(_) => "waits",
            Self::Missed(_) => "missed",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// What the winner of a claim got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Larger than that of every earlier holder of the slot.
    pub fence: Fence,
    /// Counts the slot's runs from 1.
    pub attempt: u32,
    /// How many runs of the slot have failed so far: what `retry` counts.
    pub failures: u32,
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
    /// The slot lies further ahead than `max_early`; or it is not due yet and
    /// something keeps it from running that may be over by then; or it was handed over
    /// to be tried again later.
    Early,
    /// The cursor is past it: it is in the ledger as missed, or ran so long ago
    /// that its record has expired.
    Past,
    /// This token has handed the slot over.
    HandedOver,
}
