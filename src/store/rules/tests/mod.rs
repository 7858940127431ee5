//! What the rules decide, one decision at a time. (What holds over whole histories is
//! tested on the store in memory: `tests/store/memory`.)

use super::*;
use crate::claim::{Claim, Claimant, Refusal, Verdict};
use crate::control::Pauses;
use crate::ledger::{Entry, MissedRange, Retention};
use crate::name::JobName;
use crate::outcome::MissedReason;
use crate::policy::Overlap;
use crate::slot::{SlotTime, TriggerId};
use crate::store::{
    Abandonment, Completion, CursorKey, Forfeit, MissedReport, Ownership, Renewal, Then,
};
use crate::table::ScheduleDigest;

mod claims;
mod endings;

const KEEP: Duration = Duration::from_secs(3600);
const TTL: Duration = Duration::from_millis(100);
const DIGEST: ScheduleDigest = ScheduleDigest::from_bits(7);
const RETENTION: Retention = Retention { keep: KEEP, per_job: 100 };
const NONE_GIVEN: Fence = Fence::new(0);
/// When the slot of these tests is due.
const DUE: i64 = 1_795_316_400;

fn at(millis_after_due: i64) -> ClusterTime {
    ClusterTime::from_unix_millis(DUE * 1000 + millis_after_due)
}

/// The slot `seconds` after the one of these tests.
fn after(seconds: i64) -> Slot {
    Slot::scheduled(JobName::new("backup").unwrap(), SlotTime::from_unix_seconds(DUE + seconds))
}

fn slot() -> Slot {
    after(0)
}

fn who(name: &str) -> Claimant {
    Claimant {
        node: NodeName::new(name).unwrap(),
        boot: BootId::random(),
        max_early: Duration::from_secs(5),
    }
}

fn claim_with(token: Token) -> Claim {
    Claim {
        slot: slot(),
        token,
        ttl: TTL,
        due: at(0),
        start_by: at(60_000),
        overlap: Overlap::Skip,
        max_takeovers: 3,
        takes_over: None,
        keep_record: KEEP,
        keep_settled: KEEP,
        retention: RETENTION,
        digest: DIGEST,
        advance: true,
        looks_first: false,
    }
}

fn new_claim() -> Claim {
    claim_with(Token::new())
}

/// The store where nothing is but this record.
fn with(record: &Record) -> View {
    View { record: Some(record.clone()), ..View::default() }
}

fn completion_of(token: Token, outcome: Outcome) -> Completion {
    Completion {
        slot: slot(),
        token,
        attempt: 1,
        fence: Fence::new(1),
        outcome,
        then: match outcome {
            Outcome::HandedOver => Then::HandOver(None),
            _ => Then::Settle,
        },
        started_at: at(0),
        finished_at: at(1),
        exit_code: None,
        signal: None,
        error: None,
        tail: String::new(),
        keep_record: KEEP,
        retention: RETENTION,
    }
}

fn first(now: ClusterTime, claim: &Claim) -> ClaimStep {
    super::claim(now, &who("web-1"), claim, &View::default(), NONE_GIVEN)
}

/// The record of the claim's slot after the step.
#[track_caller]
fn written(step: &ClaimStep, slot: &Slot) -> Record {
    let put = step.records.iter().find(|put| put.slot == *slot);
    put.expect("its record is written").record.clone()
}

/// A record that `claim` has just won.
fn held(claim: &Claim) -> Record {
    written(&first(at(0), claim), &claim.slot)
}
