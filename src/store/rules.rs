//! What a store decides, as functions from values to values: no clock, no I/O.
//!
//! A backend reads what it holds, asks here, and writes what it is told, all in
//! one atomic step. (The Redis script is the same table in Lua; the contract
//! suite holds it to this one.)
//!
//! A claim:
//!
//! | the slot's record | and | verdict | written |
//! |---|---|---|---|
//! | none | the cursor is at or past the slot | `Refused(Past)` | – |
//! | none | `now > start_by` | `Refused(Late)` | – |
//! | none | `now + max_early < slot` | `Refused(Early)` | – |
//! | none | otherwise | `Won`, attempt 1, new fence | running until `now + ttl` |
//! | running | our token | `Won`, same attempt and fence | running until `now + ttl` |
//! | running | another token, lapsed or not | `Held` | – |
//! | handed over | our token handed it over, now or at an earlier hand-over | `Refused(HandedOver)` | – |
//! | handed over | otherwise | `Won`, attempt + 1, new fence | running until `now + ttl` |
//! | settled | | `Done` | – |
//!
//! A claim that asks to advance also moves the cursor, never backwards, unless it
//! is refused. A lapsed
//! lease is not taken by a claim: settling it is a step of its own.
//!
//! What the holder of a token asks:
//!
//! | the slot's record | `renew` | `complete` |
//! |---|---|---|
//! | running, our token, lapsed or not | `Ours`, prolonged | `Ours`, settled or handed over, ledger entry |
//! | running, another token | `HeldBy` | `HeldBy` |
//! | handed over | `Forgotten` | a hand-over of our token: `Ours`, nothing written; else `Forgotten` |
//! | settled | `SettledAs` | with our token and outcome: `Ours`, nothing written; else `SettledAs` |
//! | none | `Forgotten` | `Forgotten` |
//!
//! `abandon` settles a running record whose lease has lapsed, `forfeit` a running
//! one, each only under the token it names. A settled record never changes again.

use std::time::Duration;

use crate::claim::{Claim, Claimant, Fence, Grant, Holder, Refusal, Settled, Token, Verdict};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, MissedEntry, MissedRange, RunEntry};
use crate::name::NodeName;
use crate::node::BootId;
use crate::outcome::Outcome;
use crate::slot::SlotTime;
use crate::store::{
    Abandonment, Completion, Forfeit, MissedReport, Ownership, Renewal, SlotRecord, SlotState,
};

/// The record of a slot, and with it its lock. A record whose time has run out
/// is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The node that holds or held the slot last.
    pub node: NodeName,
    /// Which start of that node.
    pub boot: BootId,
    /// The token under which the slot is or was held last.
    pub token: Token,
    /// Which run of the slot that is, from 1.
    pub attempt: u32,
    /// The fence of that run.
    pub fence: Fence,
    /// When it was claimed.
    pub claimed_at: ClusterTime,
    /// When its lock lapses or lapsed. A backend with a key for the lock takes
    /// the end of that key while it has this token, and `now` otherwise.
    pub lapses_at: ClusterTime,
    /// The tokens that handed the slot over, the latest last, at most
    /// [`HAND_OVERS_KEPT`]: none of them wins it again.
    pub handed_over_by: Vec<Token>,
    /// Where the slot stands.
    pub state: RecordState,
}

/// So many hand-overs back a late copy of a claim is known for what it is.
pub const HAND_OVERS_KEPT: usize = 32;

/// Where the slot of a [`Record`] stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordState {
    /// Held, or lapsed and not settled yet.
    Running,
    /// Given to the next that claims it.
    HandedOver,
    /// Settled, for good.
    Settled(Outcome),
}

impl Record {
    /// Whether the slot waits to be settled or claimed anew.
    pub fn is_lapsed(&self, now: ClusterTime) -> bool {
        match self.state {
            RecordState::Running => self.lapses_at <= now,
            RecordState::HandedOver => true,
            RecordState::Settled(_) => false,
        }
    }

    /// What others are told of it.
    pub fn shown(&self, now: ClusterTime) -> SlotRecord {
        SlotRecord {
            node: self.node.clone(),
            token: self.token,
            attempt: self.attempt,
            fence: self.fence,
            claimed_at: self.claimed_at,
            state: match self.state {
                RecordState::Running => SlotState::Running { remaining: self.lapses_at.since(now) },
                RecordState::HandedOver => SlotState::HandedOver,
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

    fn handed_over(&self, now: ClusterTime) -> Self {
        let mut record = Self { lapses_at: now, state: RecordState::HandedOver, ..self.clone() };
        record.handed_over_by.push(self.token);
        let surplus = record.handed_over_by.len().saturating_sub(HAND_OVERS_KEPT);
        record.handed_over_by.drain(..surplus);
        record
    }
}

/// The fence after `last`, given out at `now`.
pub fn fence(now: ClusterTime, last: Fence) -> Fence {
    let time = u64::try_from(now.unix_micros()).unwrap_or(0);
    Fence::new(time.max(last.get().saturating_add(1)))
}

/// What to answer to a claim, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimStep {
    /// The answer.
    pub verdict: Verdict,
    /// The slot's record from now on, where it changes.
    pub record: Option<Record>,
    /// Where the cursor stands from now on, where it moves.
    pub cursor: Option<SlotTime>,
}

/// Decides a claim. `cursor` is where the cursor of the claim's schedule stands,
/// `last` the last fence given out.
pub fn claim(
    now: ClusterTime,
    claimant: &Claimant,
    claim: &Claim,
    record: Option<&Record>,
    cursor: Option<SlotTime>,
    last: Fence,
) -> ClaimStep {
    let won = |record: Record| ClaimStep {
        verdict: Verdict::Won(Grant { fence: record.fence, attempt: record.attempt }),
        record: Some(record),
        cursor: cursor.filter(|&at| claim.advance && at < claim.slot.at).map(|_| claim.slot.at),
    };
    // There is a record, so the slot is accounted for whoever made it.
    let taken = |verdict| ClaimStep {
        verdict,
        record: None,
        cursor: cursor.filter(|&at| claim.advance && at < claim.slot.at).map(|_| claim.slot.at),
    };
    let refused =
        |refusal| ClaimStep { verdict: Verdict::Refused(refusal), record: None, cursor: None };
    let hold = |attempt, handed_over_by| Record {
        node: claimant.node.clone(),
        boot: claimant.boot,
        token: claim.token,
        attempt,
        fence: fence(now, last),
        claimed_at: now,
        lapses_at: now + claim.ttl,
        handed_over_by,
        state: RecordState::Running,
    };
    match record {
        None => match refusal(now, claimant, claim, cursor) {
            Some(refusal) => refused(refusal),
            None => won(hold(1, Vec::new())),
        },
        Some(held) => match held.state {
            RecordState::Running if held.token == claim.token => {
                won(held.prolonged(now, claim.ttl))
            }
            RecordState::Running => taken(Verdict::Held(held.holder(now))),
            RecordState::HandedOver if held.handed_over_by.contains(&claim.token) => {
                refused(Refusal::HandedOver)
            }
            RecordState::HandedOver => {
                won(hold(held.attempt.saturating_add(1), held.handed_over_by.clone()))
            }
            RecordState::Settled(outcome) => taken(Verdict::Done(held.settled(outcome))),
        },
    }
}

/// Why the first claim of a slot may not win, if it may not.
fn refusal(
    now: ClusterTime,
    claimant: &Claimant,
    claim: &Claim,
    cursor: Option<SlotTime>,
) -> Option<Refusal> {
    if cursor.is_some_and(|at| at >= claim.slot.at) {
        Some(Refusal::Past)
    } else if now > claim.start_by {
        Some(Refusal::Late)
    } else if now + claimant.max_early < claim.slot.at.cluster_time() {
        Some(Refusal::Early)
    } else {
        None
    }
}

/// What to answer to a renewal, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewStep {
    /// The answer.
    pub answer: Ownership,
    /// The slot's record from now on, where it changes.
    pub record: Option<Record>,
}

/// Decides a renewal.
pub fn renew(now: ClusterTime, renewal: &Renewal, record: Option<&Record>) -> RenewStep {
    let not_ours = |answer| RenewStep { answer, record: None };
    match record {
        None => not_ours(Ownership::Forgotten),
        Some(held) => match held.state {
            RecordState::Running if held.token == renewal.token => RenewStep {
                answer: Ownership::Ours,
                record: Some(held.prolonged(now, renewal.ttl)),
            },
            RecordState::Running => not_ours(Ownership::HeldBy(held.holder(now))),
            RecordState::HandedOver => not_ours(Ownership::Forgotten),
            RecordState::Settled(outcome) => not_ours(Ownership::SettledAs(held.settled(outcome))),
        },
    }
}

/// What to answer to a completion, and what to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompleteStep {
    /// The answer.
    pub answer: Ownership,
    /// The slot's record from now on and the ledger's entry, where this completion
    /// is what ends the run; the output's tail is kept with it.
    pub write: Option<(Record, RunEntry)>,
}

/// Decides the end of a run on `node`.
pub fn complete(
    now: ClusterTime,
    node: &NodeName,
    completion: &Completion,
    record: Option<&Record>,
) -> CompleteStep {
    let nothing = |answer| CompleteStep { answer, write: None };
    let Some(held) = record else { return nothing(Ownership::Forgotten) };
    let ours = held.token == completion.token;
    match held.state {
        RecordState::Running if ours => {
            let mut record = match completion.outcome {
                Outcome::HandedOver => held.handed_over(now),
                outcome => held.settled_as(now, outcome),
            };
            // A claim can see several runs, by retries; the record tells of the last.
            record.attempt = record.attempt.max(completion.attempt);
            CompleteStep {
                answer: Ownership::Ours,
                write: Some((record, entry_of(now, node, completion))),
            }
        }
        RecordState::Running => nothing(Ownership::HeldBy(held.holder(now))),
        RecordState::HandedOver => {
            let copy = completion.outcome == Outcome::HandedOver
                && held.handed_over_by.contains(&completion.token);
            nothing(if copy { Ownership::Ours } else { Ownership::Forgotten })
        }
        RecordState::Settled(outcome) if ours && outcome == completion.outcome => {
            nothing(Ownership::Ours)
        }
        RecordState::Settled(outcome) => nothing(Ownership::SettledAs(held.settled(outcome))),
    }
}

fn entry_of(now: ClusterTime, node: &NodeName, completion: &Completion) -> RunEntry {
    RunEntry {
        slot: completion.slot.clone(),
        node: node.clone(),
        run_id: completion.run_id,
        attempt: completion.attempt,
        fence: completion.fence,
        outcome: completion.outcome,
        started_at: completion.started_at,
        finished_at: completion.finished_at,
        exit_code: completion.exit_code,
        signal: completion.signal,
        error: completion.error.clone(),
        recorded_at: now,
    }
}

/// Decides whether `by` may settle a lapsed slot: the slot's record from now on,
/// and the ledger's entry of the lost run.
pub fn abandon(
    now: ClusterTime,
    by: &NodeName,
    abandonment: &Abandonment,
    record: Option<&Record>,
) -> Option<(Record, RunEntry)> {
    let held = running_under(abandonment.token, record).filter(|held| held.is_lapsed(now))?;
    let entry = RunEntry {
        slot: abandonment.slot.clone(),
        node: held.node.clone(),
        run_id: held.token.run_id(),
        attempt: held.attempt,
        fence: held.fence,
        outcome: Outcome::Abandoned,
        started_at: held.claimed_at,
        finished_at: now,
        exit_code: None,
        signal: None,
        error: Some(format!(
            "node {} was lost: it had not renewed its lease when that lapsed at {}; \
             settled by node {by}",
            held.node, held.lapses_at
        )),
        recorded_at: now,
    };
    Some((held.settled_as(now, Outcome::Abandoned), entry))
}

/// Decides whether `by` may take back a claim that nobody ran: the slot's record
/// from now on, and the ledger's entry of the missed slot.
pub fn forfeit(
    now: ClusterTime,
    by: &NodeName,
    forfeit: &Forfeit,
    record: Option<&Record>,
) -> Option<(Record, MissedEntry)> {
    let held = running_under(forfeit.token, record)?;
    let at = forfeit.slot.at;
    let entry = MissedEntry {
        job: forfeit.slot.job.clone(),
        range: MissedRange { from: at, to: at, count: 1, reason: forfeit.reason },
        node: by.clone(),
        recorded_at: now,
    };
    Some((held.settled_as(now, Outcome::Missed), entry))
}

fn running_under(token: Token, record: Option<&Record>) -> Option<&Record> {
    record.filter(|held| held.state == RecordState::Running && held.token == token)
}

/// Decides whether `by` may move the cursor, which stands at `cursor`, over slots
/// that nobody ran: the ledger's entries of them, or nothing is written.
pub fn record_missed(
    now: ClusterTime,
    by: &NodeName,
    report: &MissedReport,
    cursor: Option<SlotTime>,
) -> Option<Vec<Entry>> {
    let moves =
        cursor == Some(report.expected) && report.upto > report.expected && now > report.closes_at;
    moves.then(|| {
        let entry = |&range| {
            Entry::Missed(MissedEntry {
                job: report.cursor.job.clone(),
                range,
                node: by.clone(),
                recorded_at: now,
            })
        };
        report.ranges.iter().map(entry).collect()
    })
}

#[cfg(test)]
mod tests;
