//! Slots that were missed and are to run after all.

use solocron::claim::{Claim, Verdict};
use solocron::ledger::MissedRange;
use solocron::outcome::{MissedReason, Outcome, Ready};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::{MissedReport, OpenState, SlotState, Store};
use solocron::table::ScheduleDigest;

use super::*;

fn later(at: SlotTime, seconds: i64) -> SlotTime {
    SlotTime::from_unix_seconds(at.unix_seconds() + seconds)
}

/// Of the ten slots after `start` the first seven are missed, the last three caught up.
fn report(start: SlotTime, in_turn: bool) -> MissedReport {
    MissedReport {
        cursor: cursor_of("tick"),
        expected: start,
        upto: later(start, 10),
        closes_at: later(start, 10).cluster_time(),
        ranges: vec![MissedRange {
            from: later(start, 1),
            to: later(start, 7),
            count: 7,
            reason: MissedReason::NoNode,
        }],
        catch_up: [8, 9, 10].map(|second| later(start, second)).to_vec(),
        in_turn,
        keep_record: KEEP,
        retention: KEEP_ALL,
    }
}

/// Opens the cursor a minute ago; where it stands.
async fn start(store: &dyn Store) -> SlotTime {
    let start = slot_in(store, "tick", -60).await.at;
    store.open_cursors(&[cursor_of("tick")], start, KEEP).await.unwrap();
    start
}

async fn miss(store: &dyn Store, report: &MissedReport) -> bool {
    let did = store.record_missed(&node("web-1"), std::slice::from_ref(report)).await.unwrap();
    did == [true]
}

fn slots(report: &MissedReport) -> Vec<Slot> {
    report.catch_up.iter().map(|&at| Slot::scheduled(job("tick"), at)).collect()
}

pub(crate) async fn slots_that_are_caught_up_are_ready_for_whoever_claims_them(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let report = report(start(&*a).await, false);
    assert!(miss(&*a, &report).await);
    let open = open(&*b).await;
    for open in &open {
        assert_eq!((open.state, open.attempt), (OpenState::Ready(Ready::CatchUp), 0));
        assert_eq!((open.node.as_str(), open.takeovers), ("web-1", 0));
    }
    assert_eq!(open.into_iter().map(|open| open.slot).collect::<Vec<_>>(), slots(&report));
    let missed = ranges(&*b).await;
    assert_eq!(missed, report.ranges, "they are not missed");

    let who = claimant("web-2");
    for slot in slots(&report) {
        let mut claim = claim_of(&slot, LONG);
        claim.start_by = slot.at.cluster_time();
        assert_eq!(win(&*b, &who, &claim).await.attempt, 1, "though the cursor is past it");
    }
    assert_eq!(b.recorded(&job("tick"), &report.catch_up).await, Ok(vec![true; 3]));
}

pub(crate) async fn in_turn_they_run_oldest_first_and_one_after_another(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let report = report(start(&*store).await, true);
    assert!(miss(&*store, &report).await);
    let mut waiting: Vec<_> =
        slots(&report).iter().map(|slot| claim_by(Overlap::Skip, slot, LONG)).collect();
    while !waiting.is_empty() {
        assert_eq!(open_slot(&*store).await, waiting[0].slot);
        if let Some(last) = waiting.get(1..).and_then(<[_]>::last) {
            assert_eq!(waits_for(try_claim(&*store, &who, last).await), waiting[0].slot);
        }
        let next = waiting.remove(0);
        let grant = win(&*store, &who, &next).await;
        assert_eq!(open_slots(&*store).await, []);
        if let Some(second) = waiting.first() {
            assert_eq!(waits_for(try_claim(&*store, &who, second).await), next.slot);
        }
        finish(&*store, &who, &next, grant, Outcome::Failed).await;
    }
    assert_eq!(runs(&*store).await.len(), 3);
    assert_eq!(ranges(&*store).await.len(), 1);
}

pub(crate) async fn they_wait_for_a_slot_that_runs(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let start = start(&*store).await;
    let running = claim_by(Overlap::Skip, &slot_in(&*store, "tick", -2).await, LONG);
    let grant = win(&*store, &who, &running).await;
    let report = report(start, true);
    assert!(miss(&*store, &report).await);
    let first = claim_by(Overlap::Skip, &slots(&report)[0], LONG);
    assert_eq!(waits_for(try_claim(&*store, &who, &first).await), running.slot);
    assert_eq!(open_slots(&*store).await, []);
    finish(&*store, &who, &running, grant, Outcome::Succeeded).await;
    assert_eq!(open_slot(&*store).await, first.slot);
    win(&*store, &who, &first).await;
}

pub(crate) async fn a_slot_that_is_due_does_not_go_before_them(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let report = report(start(&*store).await, true);
    assert!(miss(&*store, &report).await);
    let due = claim_by(Overlap::Skip, &slot_in(&*store, "tick", -2).await, LONG);
    let missed = Verdict::Missed(MissedReason::Overlap);
    assert_eq!(try_claim(&*store, &who, &due).await, missed);
    let due = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -1).await, LONG);
    assert_eq!(waits_for(try_claim(&*store, &who, &due).await), slots(&report)[0]);
    for slot in slots(&report) {
        let claim = claim_by(Overlap::Wait, &slot, LONG);
        let grant = win(&*store, &who, &claim).await;
        finish(&*store, &who, &claim, grant, Outcome::Succeeded).await;
    }
    assert_eq!(open_slot(&*store).await, due.slot);
    win(&*store, &who, &due).await;
}

pub(crate) async fn one_that_has_a_record_is_left_as_it_is(f: &impl Fixture) {
    let store = f.store().await;
    let start = start(&*store).await;
    let report = report(start, true);
    let [first, second, third] = &slots(&report)[..] else { panic!("three") };
    let who = claimant("web-1");
    for slot in [first, third] {
        let early = Claim { digest: ScheduleDigest::from_bits(5), ..claim_of(slot, LONG) };
        let grant = win(&*store, &who, &early).await;
        finish(&*store, &who, &early, grant, Outcome::Succeeded).await;
    }
    assert!(miss(&*store, &report).await);
    assert_eq!(open_slot(&*store).await, *second, "and the next comes first");
    let record = store.slot(first).await.unwrap().record.unwrap();
    assert_eq!(record.state, SlotState::Settled(Outcome::Succeeded));
    let claim = claim_by(Overlap::Skip, second, LONG);
    let grant = win(&*store, &who, &claim).await;
    finish(&*store, &who, &claim, grant, Outcome::Succeeded).await;
    assert_eq!(open_slots(&*store).await, []);
}

pub(crate) async fn a_report_that_moves_no_cursor_makes_nothing_ready(f: &impl Fixture) {
    let store = f.store().await;
    let report = report(start(&*store).await, false);
    let elsewhere = MissedReport { expected: later(report.expected, 1), ..report.clone() };
    assert!(!miss(&*store, &elsewhere).await);
    assert_eq!(open_slots(&*store).await, []);
    assert!(miss(&*store, &report).await);
    let claim = claim_of(&slots(&report)[0], LONG);
    win(&*store, &claimant("web-1"), &claim).await;
    assert!(!miss(&*store, &report).await, "a copy");
    assert_eq!(open_slots(&*store).await, slots(&report)[1..]);
}
