//! What a store decides, as functions from values to values: no clock, no I/O.
//!
//! A backend reads what it holds, asks here, and writes what it is told, all in
//! one atomic step. (The Redis scripts are the same tables in Lua; the contract
//! suite holds them to these.)
//!
//! - `claim`: who gets a slot, by its record, the job's pause and its turn; `step`:
//!   what it depends on, and what comes of it.
//! - `ending`: what the holder of a token may do, and how open slots are settled.
//! - `turn`: which slot of a job may run where `overlap` forbids two.
//!
//! A record, once settled, never changes again.

mod claim;
mod ending;
mod step;
mod turn;

use std::time::Duration;

pub use self::claim::claim;
pub use self::ending::{
    CompleteStep, RenewStep, abandon, cancel, caught_up, complete, forfeit, record_missed, renew,
    triggered,
};
pub use self::step::{ClaimStep, Kept, LedgerWrite, Put, View};
pub use self::turn::Turn;

use crate::claim::{Fence, Holder, Settled, Token};
use crate::clock::ClusterTime;
use crate::ledger::RunEntry;
use crate::name::NodeName;
use crate::node::BootId;
use crate::outcome::{CancelCause, Outcome, Ready};
use crate::slot::Slot;
use crate::store::{SlotRecord, SlotState};

/// The record of a slot, and with it its lock. A record whose time has run out
/// is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The node that holds or held the slot last, or that made it ready.
    pub node: NodeName,
    /// Which start of that node.
    pub boot: BootId,
    /// The token under which the slot is or was held last, or was made ready.
    pub token: Token,
    /// How many runs the slot has had, the one in progress included.
    pub attempt: u32,
    /// The fence of the last run; zero before the first.
    pub fence: Fence,
    /// When it was claimed, or made ready.
    pub claimed_at: ClusterTime,
    /// When its lock lapses or lapsed. A backend with a key for the lock takes
    /// the end of that key while it has this token, and `now` otherwise.
    /// Of a slot that is ready: when it is to be looked at.
    pub lapses_at: ClusterTime,
    /// How often it was taken over.
    pub takeovers: u32,
    /// How many of its runs failed and are to be tried again.
    pub failures: u32,
    /// Why its run is to be cancelled, if it is.
    pub cancel: Option<CancelCause>,
    /// The tokens that handed the slot over, the latest last, at most
    /// [`HAND_OVERS_KEPT`]: none of them wins it again.
    pub handed_over_by: Vec<Token>,
    /// Where the slot stands.
    pub state: RecordState,
}

/// So many hand-overs back a late copy of a claim is known for what it is.
pub const HAND_OVERS_KEPT: usize = 32;

/// How long a ready slot that is not its turn is left alone, where nothing tells when
/// its turn may come.
pub const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Where the slot of a [`Record`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// Held, or lapsed and not settled yet.
    Running,
    /// Held by nobody.
    Ready(Ready),
    /// Settled, for good.
    Settled(Outcome),
}

impl Record {
    /// A slot that `by` makes ready for the first time.
    fn ready(by: &NodeName, boot: BootId, token: Token, why: Ready, now: ClusterTime) -> Self {
        Self {
            node: by.clone(),
            boot,
            token,
            attempt: 0,
            fence: Fence::new(0),
            claimed_at: now,
            lapses_at: now,
            takeovers: 0,
            failures: 0,
            cancel: None,
            handed_over_by: Vec::new(),
            state: RecordState::Ready(why),
        }
    }

    /// Whether it is held, lapsed or not.
    pub fn is_running(&self) -> bool {
        self.state == RecordState::Running
    }

    /// Whether its lease has lapsed and nobody has settled it.
    pub fn is_lost(&self, now: ClusterTime) -> bool {
        self.is_running() && self.lapses_at <= now
    }

    /// Whether the slot is not settled.
    pub fn is_open(&self) -> bool {
        !matches!(self.state, RecordState::Settled(_))
    }

    /// What others are told of it.
    pub fn shown(&self, now: ClusterTime) -> SlotRecord {
        SlotRecord {
            node: self.node.clone(),
            token: self.token,
            attempt: self.attempt,
            fence: self.fence,
            claimed_at: self.claimed_at,
            takeovers: self.takeovers,
            state: match self.state {
                RecordState::Running => SlotState::Running { remaining: self.lapses_at.since(now) },
                RecordState::Ready(why) => SlotState::Ready(why),
                RecordState::Settled(outcome) => SlotState::Settled(outcome),
            },
        }
    }

    fn holder(&self, now: ClusterTime) -> Holder {
        Holder { node: self.node.clone(), token: self.token, remaining: self.lapses_at.since(now) }
    }

    fn settled(&self, outcome: Outcome) -> Settled {
        Settled { node: self.node.clone(), token: self.token, outcome }
    }

    fn prolonged(&self, now: ClusterTime, ttl: Duration) -> Self {
        Self { lapses_at: now + ttl, ..self.clone() }
    }

    fn settled_as(&self, now: ClusterTime, outcome: Outcome) -> Self {
        Self { lapses_at: now, state: RecordState::Settled(outcome), ..self.clone() }
    }

    /// The same, to be looked at now; none where it is so anyway.
    pub(super) fn woken(&self, now: ClusterTime) -> Option<Self> {
        let sleeps = matches!(self.state, RecordState::Ready(_)) && self.lapses_at > now;
        sleeps.then(|| Self { lapses_at: now, ..self.clone() })
    }

    fn handed_over(&self, now: ClusterTime, not_before: Option<ClusterTime>) -> Self {
        let mut record = Self {
            lapses_at: not_before.map_or(now, |at| at.max(now)),
            state: RecordState::Ready(Ready::HandedOver),
            ..self.clone()
        };
        record.handed_over_by.push(self.token);
        let surplus = record.handed_over_by.len().saturating_sub(HAND_OVERS_KEPT);
        record.handed_over_by.drain(..surplus);
        record
    }

    /// The ledger's entry of its last run, of which nobody will say how it ended.
    fn lost_run(&self, now: ClusterTime, slot: &Slot, outcome: Outcome, error: String) -> RunEntry {
        RunEntry {
            slot: slot.clone(),
            node: self.node.clone(),
            run_id: self.token.run_id(self.attempt),
            attempt: self.attempt,
            fence: self.fence,
            outcome,
            started_at: self.claimed_at,
            finished_at: now,
            exit_code: None,
            signal: None,
            error: Some(error),
            recorded_at: now,
        }
    }
}

/// The fence after `last`, given out at `now`.
pub fn fence(now: ClusterTime, last: Fence) -> Fence {
    let time = u64::try_from(now.unix_micros()).unwrap_or(0);
    Fence::new(time.max(last.get().saturating_add(1)))
}

#[cfg(test)]
mod tests;
