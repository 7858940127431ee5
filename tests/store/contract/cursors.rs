//! One cursor for each job and schedule: up to where its slots are settled.

use std::time::Duration;

use solocron::claim::{Refusal, Verdict};
use solocron::ledger::{Entry, MissedRange};
use solocron::outcome::{MissedReason, Outcome};
use solocron::slot::{Slot, SlotTime};
use solocron::store::{CursorKey, MissedReport, Ownership, Store};
use solocron::table::ScheduleDigest;

use super::*;

const JOB: &str = "tick";

/// Opens the cursor of [`JOB`] at `start`; where it stands.
async fn open(store: &dyn Store, start: SlotTime) -> SlotTime {
    let stand = store.open_cursors(&[cursor_of(JOB)], start, KEEP).await.unwrap();
    assert_eq!(stand.len(), 1);
    stand[0]
}

/// The slots of [`JOB`], in seconds from now.
async fn at(store: &dyn Store, seconds: i64) -> SlotTime {
    slot_in(store, JOB, seconds).await.at
}

fn later(at: SlotTime, seconds: i64) -> SlotTime {
    SlotTime::from_unix_seconds(at.unix_seconds() + seconds)
}

/// That the `count` slots after `expected`, one a second, were missed and closed long ago.
fn report(expected: SlotTime, count: i64) -> MissedReport {
    let (from, upto) = (later(expected, 1), later(expected, count));
    MissedReport {
        cursor: cursor_of(JOB),
        expected,
        upto,
        closes_at: upto.cluster_time(),
        ranges: vec![MissedRange {
            from,
            to: upto,
            count: count as u64,
            reason: MissedReason::NoNode,
        }],
        catch_up: Vec::new(),
        in_turn: false,
        keep_record: KEEP,
        retention: KEEP_ALL,
    }
}

async fn miss(store: &dyn Store, report: &MissedReport) -> bool {
    let did = store.record_missed(&node("web-1"), std::slice::from_ref(report)).await.unwrap();
    assert_eq!(did.len(), 1);
    did[0]
}

pub(crate) async fn a_cursor_is_created_once_and_then_stands(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let start = at(&*a, -100).await;
    assert_eq!(open(&*a, start).await, start);
    assert_eq!(open(&*b, later(start, 50)).await, start);
    assert_eq!(open(&*a, later(start, -50)).await, start);
}

pub(crate) async fn of_many_that_create_a_cursor_all_see_the_same(f: &impl Fixture) {
    let start = at(&*f.store().await, -100).await;
    let mut tries = tokio::task::JoinSet::new();
    for i in 0..10 {
        let store = f.store().await;
        tries.spawn(async move { open(&*store, later(start, i)).await });
    }
    let stand = tries.join_all().await;
    assert!(stand.iter().all(|&at| at == stand[0]), "{stand:?}");
}

pub(crate) async fn cursors_of_jobs_and_of_schedules_are_independent(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    let changed = CursorKey { digest: ScheduleDigest::from_bits(2), ..cursor_of(JOB) };
    let keys = [cursor_of(JOB), changed.clone(), cursor_of("other")];
    store.open_cursors(&keys[..1], start, KEEP).await.unwrap();
    store.open_cursors(&keys[1..2], later(start, 10), KEEP).await.unwrap();
    let order = [keys[2].clone(), keys[0].clone(), keys[1].clone()];
    assert_eq!(
        store.open_cursors(&order, later(start, 20), KEEP).await.unwrap(),
        [later(start, 20), start, later(start, 10)],
        "in the order of the keys"
    );
    let mut claim = claim_of(&Slot::scheduled(job(JOB), later(start, 5)), LONG);
    claim.digest = changed.digest;
    let verdict = try_claim(&*store, &claimant("web-1"), &claim).await;
    assert_eq!(verdict, Verdict::Refused(Refusal::Past), "a claim is held against its own");
}

pub(crate) async fn a_slot_at_or_before_the_cursor_is_past(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -10).await;
    open(&*store, start).await;
    for (seconds, past) in [(-1, true), (0, true), (1, false)] {
        let slot = Slot::scheduled(job(JOB), later(start, seconds));
        let verdict = try_claim(&*store, &claimant("web-1"), &claim_of(&slot, LONG)).await;
        assert_eq!(verdict == Verdict::Refused(Refusal::Past), past, "{seconds}: {verdict:?}");
    }
}

pub(crate) async fn a_verdict_that_tells_of_a_record_moves_the_cursor_if_it_is_asked_to(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let start = at(&*store, -10).await;
    open(&*store, start).await;
    let who = claimant("web-1");
    let mut claim = claim_of(&Slot::scheduled(job(JOB), later(start, 1)), LONG);
    win(&*store, &who, &claim).await;
    assert_eq!(open(&*store, start).await, start, "it did not ask");

    let mut rival = claim_of(&claim.slot, LONG);
    rival.advance = true;
    holder(try_claim(&*store, &claimant("web-2"), &rival).await);
    assert_eq!(open(&*store, start).await, later(start, 1), "the slot is accounted for");

    claim = claim_of(&Slot::scheduled(job(JOB), later(start, 2)), LONG);
    claim.advance = true;
    let grant = win(&*store, &who, &claim).await;
    assert_eq!(open(&*store, start).await, later(start, 2));
    assert_eq!(win(&*store, &who, &claim).await, grant, "the cursor does not bind its owner");

    let mut late = claim_of(&Slot::scheduled(job(JOB), later(start, -1)), LONG);
    late.advance = true;
    let verdict = try_claim(&*store, &who, &late).await;
    assert_eq!(verdict, Verdict::Refused(Refusal::Past));
    assert_eq!(open(&*store, start).await, later(start, 2), "a refusal tells of no record");
}

pub(crate) async fn the_cursor_never_goes_back(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -10).await;
    open(&*store, start).await;
    let who = claimant("web-1");
    let slot = |seconds| Slot::scheduled(job(JOB), later(start, seconds));
    run(&*store, &who, &slot(1), Outcome::HandedOver).await;
    let mut ahead = claim_of(&slot(5), LONG);
    ahead.advance = true;
    win(&*store, &who, &ahead).await;
    let mut behind = claim_of(&slot(1), LONG);
    behind.advance = true;
    win(&*store, &who, &behind).await;
    assert_eq!(open(&*store, start).await, later(start, 5));
}

pub(crate) async fn a_claim_creates_no_cursor(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -10).await;
    let mut claim = claim_of(&Slot::scheduled(job(JOB), later(start, 5)), LONG);
    claim.advance = true;
    win(&*store, &claimant("web-1"), &claim).await;
    assert_eq!(open(&*store, start).await, start);
}

pub(crate) async fn a_cursor_that_nobody_opens_or_moves_expires(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -10).await;
    store.open_cursors(&[cursor_of(JOB)], start, SHORT).await.unwrap();
    let opened = now(&*store).await;
    await_time(&*store, opened + SHORT + Duration::from_millis(20)).await;
    assert_eq!(open(&*store, later(start, 3)).await, later(start, 3));
}

pub(crate) async fn a_cursor_that_moves_is_kept(f: &impl Fixture) {
    let store = f.store().await;
    let keep = Duration::from_secs(2);
    let start = at(&*store, -10).await;
    let opened = now(&*store).await;
    store.open_cursors(&[cursor_of(JOB)], start, keep).await.unwrap();
    await_time(&*store, opened + keep * 6 / 10).await;
    let mut claim = claim_of(&Slot::scheduled(job(JOB), later(start, 1)), LONG);
    claim.advance = true;
    win(&*store, &claimant("web-1"), &claim).await;
    await_time(&*store, opened + keep * 12 / 10).await;
    assert_eq!(open(&*store, start).await, later(start, 1));
}

pub(crate) async fn missed_slots_are_recorded_and_past(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let start = at(&*a, -100).await;
    open(&*a, start).await;
    let report = report(start, 60);
    assert!(miss(&*a, &report).await);
    assert_eq!(open(&*b, start).await, report.upto);

    let entries = ledger(&*b).await;
    let [Entry::Missed(missed)] = &entries[..] else { panic!("one entry: {entries:?}") };
    assert_eq!(missed.range, report.ranges[0]);
    assert_eq!((missed.job.as_str(), missed.node.as_str()), (JOB, "web-1"));
    for seconds in [1, 30, 60] {
        let slot = Slot::scheduled(job(JOB), later(start, seconds));
        let verdict = try_claim(&*b, &claimant("web-2"), &claim_of(&slot, LONG)).await;
        assert_eq!(verdict, Verdict::Refused(Refusal::Past));
    }
}

pub(crate) async fn missed_slots_are_recorded_by_one_of_many(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    open(&*store, start).await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (handle, report) = (f.store().await, report(start, 60));
        tries.spawn(async move { miss(&*handle, &report).await });
    }
    let did = tries.join_all().await;
    assert_eq!(did.iter().filter(|&&did| did).count(), 1, "{did:?}");
    assert_eq!(ledger(&*store).await.len(), 1);
    assert!(!miss(&*store, &report(start, 60)).await, "nor again");
}

pub(crate) async fn nothing_is_missed_from_where_the_cursor_does_not_stand(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    assert!(!miss(&*store, &report(start, 60)).await, "there is no cursor");
    open(&*store, start).await;
    assert!(!miss(&*store, &report(later(start, -1), 60)).await);
    assert!(!miss(&*store, &report(later(start, 1), 60)).await);
    let back = MissedReport { upto: later(start, -1), ..report(start, 60) };
    assert!(!miss(&*store, &back).await, "the cursor never goes back");
    let nowhere = MissedReport { upto: start, ..report(start, 60) };
    assert!(!miss(&*store, &nowhere).await, "nor stays, or a copy would write again");
    assert_eq!(open(&*store, start).await, start);
    assert_eq!(ledger(&*store).await, []);
}

pub(crate) async fn nothing_is_missed_while_its_window_is_open(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    open(&*store, start).await;
    let closes_at = now(&*store).await + Duration::from_millis(1500);
    let report = MissedReport { closes_at, ..report(start, 60) };
    assert!(!miss(&*store, &report).await);
    assert_eq!(ledger(&*store).await, []);
    await_time(&*store, closes_at).await;
    assert!(miss(&*store, &report).await);
}

pub(crate) async fn each_range_is_one_entry(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    open(&*store, start).await;
    let range = |from, to, reason| MissedRange {
        from: later(start, from),
        to: later(start, to),
        count: (to - from + 1) as u64,
        reason,
    };
    let ranges = vec![
        range(1, 20, MissedReason::NoNode),
        range(21, 21, MissedReason::Late),
        range(25, 60, MissedReason::StoreDown),
    ];
    let report = MissedReport { ranges: ranges.clone(), ..report(start, 60) };
    assert!(miss(&*store, &report).await);
    let written: Vec<_> = ledger(&*store)
        .await
        .into_iter()
        .rev()
        .map(|entry| match entry {
            Entry::Missed(missed) => missed.range,
            run => panic!("{run:?}"),
        })
        .collect();
    assert_eq!(written, ranges, "the last is the newest");
}

pub(crate) async fn without_ranges_only_the_cursor_moves(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    open(&*store, start).await;
    let report = MissedReport { ranges: Vec::new(), ..report(start, 60) };
    assert!(miss(&*store, &report).await);
    assert_eq!(open(&*store, start).await, later(start, 60));
    assert_eq!(ledger(&*store).await, []);
}

pub(crate) async fn answers_come_in_the_order_of_the_reports(f: &impl Fixture) {
    let store = f.store().await;
    let start = at(&*store, -100).await;
    let other = MissedReport { cursor: cursor_of("other"), ..report(start, 10) };
    let keys = [cursor_of(JOB), cursor_of("other")];
    store.open_cursors(&keys, start, KEEP).await.unwrap();
    let reports = [report(later(start, 5), 10), other, report(start, 10)];
    let did = store.record_missed(&node("web-1"), &reports).await.unwrap();
    assert_eq!(did, [false, true, true]);
}

pub(crate) async fn what_is_recorded_has_a_record_or_a_run_in_the_ledger(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let start = at(&*store, -100).await;
    let slot = |seconds| Slot::scheduled(job(JOB), later(start, seconds));
    open(&*store, start).await;
    assert!(miss(&*store, &report(start, 10)).await);
    win(&*store, &who, &claim_of(&slot(20), LONG)).await;
    run(&*store, &who, &slot(30), Outcome::Failed).await;
    let short = claim_of(&slot(40), LONG);
    let grant = win(&*store, &who, &short).await;
    let mut end = completion(&short, grant, Outcome::Succeeded, now(&*store).await);
    end.keep_record = SHORT;
    assert_eq!(complete(&*store, &who, &end).await, Ownership::Ours);
    eventually("the record expires", async || {
        store.slot(&short.slot).await.unwrap().record.is_none()
    })
    .await;
    let asked = [1, 5, 10, 20, 25, 30, 40, 50].map(|s| later(start, s));
    let found = store.recorded(&job(JOB), &asked).await.unwrap();
    assert_eq!(found, [false, false, false, true, false, true, true, false]);
    let elsewhere = store.recorded(&job("other"), &asked).await.unwrap();
    assert_eq!(elsewhere, [false; 8], "of its own job only");
}
