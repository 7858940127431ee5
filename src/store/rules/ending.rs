//! What the holder of a token may do, and how open slots are settled.
//!
//! | the slot's record | `renew` | `complete` |
//! |---|---|---|
//! | running, our token, lapsed or not | `Ours`, prolonged | `Ours`: settled, handed over, or an attempt more; ledger entry |
//! | running, another token | `HeldBy` | `HeldBy` |
//! | ready | `Forgotten` | `Forgotten` |
//! | settled | `SettledAs` | with our token and outcome: `Ours`, nothing written; else `SettledAs` |
//! | none | `Forgotten` | `Forgotten` |
//! | any, our token is its last, that attempt has ended | | `Ours`, nothing written |
//! | any, our token has handed it over | | a hand-over: `Ours`, nothing written |
//!
//! `abandon` settles a running record whose lease has lapsed, or one that is ready;
//! `forfeit` a running one; each only under the token it names.

use std::time::Duration;

use super::claim::lost_in_words;
use super::{Record, RecordState};
use crate::claim::{RunId, Token};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, MissedEntry, MissedRange, RunEntry};
use crate::name::NodeName;
use crate::node::BootId;
use crate::outcome::{CancelCause, Outcome, Ready};
use crate::slot::{Slot, SlotTime};
use crate::store::{Abandonment, Completion, Forfeit, MissedReport, Ownership, Renewal, Then};

/// So long slots that are caught up one after another are left alone, should nobody
/// wake them.
const LEFT_ALONE: Duration = Duration::from_secs(60);

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
            RecordState::Ready(_) => not_ours(Ownership::Forgotten),
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
    // A copy, whatever has become of the slot since.
    if matches!(completion.then, Then::HandOver(_))
        && held.handed_over_by.contains(&completion.token)
    {
        return nothing(Ownership::Ours);
    }
    match held.state {
        // A copy: that attempt has ended.
        _ if ours && completion.attempt < held.attempt => nothing(Ownership::Ours),
        RecordState::Running if ours => {
            let mut entry = entry_of(now, node, completion);
            let record = match completion.then {
                Then::Settle => held.settled_as(now, completion.outcome),
                Then::HandOver(_) if held.cancel.is_some() => {
                    entry.outcome = Outcome::Cancelled;
                    held.settled_as(now, Outcome::Cancelled)
                }
                Then::HandOver(not_before) => held.handed_over(now, not_before),
                Then::Retry => Record {
                    attempt: completion.attempt.saturating_add(1),
                    failures: held.failures.saturating_add(1),
                    ..held.clone()
                },
            };
            CompleteStep { answer: Ownership::Ours, write: Some((record, entry)) }
        }
        RecordState::Running => nothing(Ownership::HeldBy(held.holder(now))),
        RecordState::Ready(_) => nothing(Ownership::Forgotten),
        RecordState::Settled(outcome) => {
            let cancelled =
                outcome == Outcome::Cancelled && matches!(completion.then, Then::HandOver(_));
            let copy = ours && (outcome == completion.outcome || cancelled);
            nothing(if copy {
                Ownership::Ours
            } else {
                Ownership::SettledAs(held.settled(outcome))
            })
        }
    }
}

fn entry_of(now: ClusterTime, node: &NodeName, completion: &Completion) -> RunEntry {
    RunEntry {
        slot: completion.slot.clone(),
        node: node.clone(),
        run_id: completion.run_id(),
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

/// Decides whether `by` may settle a slot that nobody may run any more: the slot's
/// record from now on, and the ledger's entry of its last run.
pub fn abandon(
    now: ClusterTime,
    by: &NodeName,
    abandonment: &Abandonment,
    record: Option<&Record>,
) -> Option<(Record, RunEntry)> {
    let held = record.filter(|held| held.token == abandonment.token)?;
    let outcome = match held.cancel {
        Some(_) => Outcome::Cancelled,
        None => Outcome::Abandoned,
    };
    let error = match held.state {
        RecordState::Running if held.is_lost(now) => {
            lost_in_words(&held.node, by, &abandonment.why)
        }
        RecordState::Ready(_) if abandonment.was_lost => return None,
        RecordState::Ready(Ready::HandedOver) => format!(
            "node {} handed it over and no node took it: {}; settled by node {by}",
            held.node, abandonment.why
        ),
        RecordState::Ready(_) => {
            format!("it was ready and no node took it: {}; settled by node {by}", abandonment.why)
        }
        RecordState::Running | RecordState::Settled(_) => return None,
    };
    let entry = held.lost_run(now, &abandonment.slot, outcome, error);
    Some((held.settled_as(now, outcome), entry))
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

/// The record of the slot at `at`, to be caught up; those behind the first wait for it
/// where they are to run `in_turn`, and whoever settles it wakes them. `place` is its
/// place among them.
pub fn caught_up(now: ClusterTime, by: &NodeName, place: usize, in_turn: bool) -> Record {
    let ready = Record::ready(by, BootId::random(), Token::new(), Ready::CatchUp, now);
    let wait = if in_turn && place > 0 { LEFT_ALONE } else { Duration::ZERO };
    Record { lapses_at: now + wait, ..ready }
}

/// The record of a slot that somebody asked `by` for; none when there is one already.
pub fn triggered(
    now: ClusterTime,
    by: &NodeName,
    slot: &Slot,
    record: Option<&Record>,
) -> Option<Record> {
    let trigger = slot.trigger.filter(|_| record.is_none())?;
    let token = Token::of_trigger(trigger);
    Some(Record::ready(by, BootId::random(), token, Ready::Triggered, now))
}

/// Whether `record` is that of a run in progress with this id, and then marked to be
/// cancelled. One that is marked already stays as it is.
pub fn cancel(run: RunId, record: &Record) -> Option<Record> {
    let running =
        record.state == RecordState::Running && record.token.run_id(record.attempt) == run;
    running.then(|| Record {
        cancel: Some(record.cancel.unwrap_or(CancelCause::Asked)),
        ..record.clone()
    })
}
