//! A wish to run a job now: one slot of its own, at once and never dropped.

use solocron::claim::{Token, Verdict};
use solocron::ledger::{Entry, MissedRange};
use solocron::outcome::{CancelCause, MissedReason, Outcome, Ready};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime, TriggerId};
use solocron::store::{MissedReport, Open, OpenState, SlotState};

use super::*;

pub(crate) async fn a_triggered_slot_is_ready_at_once_for_whoever_claims_it(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let slot = trigger(&*a, "backup").await;
    let ready = Open {
        slot: slot.clone(),
        token: Token::of_trigger(slot.trigger.unwrap()),
        node: node("asker"),
        attempt: 0,
        takeovers: 0,
        state: OpenState::Ready(Ready::Triggered),
    };
    assert_eq!(open(&*b).await, [ready]);
    let record = b.slot(&slot).await.unwrap().record.unwrap();
    assert_eq!((record.state, record.attempt), (SlotState::Ready(Ready::Triggered), 0));

    b.open_cursors(&[cursor_of("backup")], slot.at, KEEP).await.unwrap();
    let mut claim = claim_of(&slot, LONG);
    claim.start_by = slot.at.cluster_time() - WINDOW;
    let who = claimant("web-1");
    let grant = win(&*b, &who, &claim).await;
    assert_eq!(grant.attempt, 1, "no window and no cursor binds it");
    assert_eq!(open(&*a).await, []);
    finish(&*b, &who, &claim, grant, Outcome::Succeeded).await;
    let [run] = &runs(&*a).await[..] else { panic!("one run") };
    assert_eq!((&run.slot, run.run_id), (&slot, claim.token.run_id(1)));
    let late = try_claim(&*a, &claimant("web-2"), &claim_of(&slot, LONG)).await;
    assert_eq!(done(late).outcome, Outcome::Succeeded);
}

pub(crate) async fn the_same_wish_again_is_the_same_slot(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let slot = trigger(&*a, "backup").await;
    assert_eq!(b.trigger(&node("other"), &slot, KEEP).await, Ok(false), "while it waits");
    let claim = claim_of(&slot, LONG);
    let grant = win(&*a, &claimant("web-1"), &claim).await;
    assert_eq!(b.trigger(&node("other"), &slot, KEEP).await, Ok(false), "while it runs");
    finish(&*a, &claimant("web-1"), &claim, grant, Outcome::Failed).await;
    assert_eq!(b.trigger(&node("other"), &slot, KEEP).await, Ok(false), "and when it has run");
    assert_eq!(open(&*b).await, []);
    assert_eq!(runs(&*b).await.len(), 1);
}

pub(crate) async fn many_that_send_the_same_wish_make_one_slot(f: &impl Fixture) {
    let store = f.store().await;
    let slot = Slot::triggered(job("backup"), TriggerId::new(now(&*store).await));
    let mut tries = tokio::task::JoinSet::new();
    for i in 0..8 {
        let (handle, slot) = (f.store().await, slot.clone());
        tries.spawn(async move { handle.trigger(&node(&format!("n-{i}")), &slot, KEEP).await });
    }
    let new = tries.join_all().await.into_iter().filter(|new| *new == Ok(true)).count();
    assert_eq!(new, 1);
    assert_eq!(open_slot(&*store).await, slot);
}

pub(crate) async fn only_a_triggered_slot_is_triggered(f: &impl Fixture) {
    let store = f.store().await;
    let scheduled = due(&*store, "backup").await;
    assert_eq!(store.trigger(&node("asker"), &scheduled, KEEP).await, Ok(false));
    assert_eq!(store.slot(&scheduled).await.unwrap().record, None);
}

pub(crate) async fn wishes_of_one_second_and_the_scheduled_slot_are_slots_of_their_own(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let who = claimant("web-1");
    let at = now(&*store).await;
    let slots = [0, 0, 0].map(|_| Slot::triggered(job("backup"), TriggerId::new(at)));
    for slot in &slots {
        assert_eq!(store.trigger(&who.node, slot, KEEP).await, Ok(true));
    }
    let scheduled = Slot::scheduled(job("backup"), slots[0].at);
    let (claim, _) = run(&*store, &who, &slots[0], Outcome::Failed).await;
    run(&*store, &who, &scheduled, Outcome::Succeeded).await;
    let ready = slots[1..].iter().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(
        open_slots(&*store).await.into_iter().collect::<std::collections::BTreeSet<_>>(),
        ready
    );

    let story = store.slot(&slots[0]).await.unwrap();
    let [Entry::Run(run)] = &story.entries[..] else { panic!("{:?}", story.entries) };
    assert_eq!((&run.slot, run.outcome), (&slots[0], Outcome::Failed));
    assert_eq!(story.record.unwrap().token, claim.token);
    assert!(story.tail.is_some());
    let story = store.slot(&scheduled).await.unwrap();
    let [Entry::Run(run)] = &story.entries[..] else { panic!("{:?}", story.entries) };
    assert_eq!((&run.slot, run.outcome), (&scheduled, Outcome::Succeeded));
    let story = store.slot(&slots[1]).await.unwrap();
    assert_eq!((story.entries, story.tail), (vec![], None));
}

pub(crate) async fn a_triggered_run_is_no_record_of_the_schedule_s_slot(f: &impl Fixture) {
    let store = f.store().await;
    let slot = trigger(&*store, "backup").await;
    run(&*store, &claimant("web-1"), &slot, Outcome::Succeeded).await;
    assert_eq!(store.recorded(&slot.job, &[slot.at]).await, Ok(vec![false]));

    let second = |s| SlotTime::from_unix_seconds(slot.at.unix_seconds() + s);
    store.open_cursors(&[cursor_of("backup")], second(-9), KEEP).await.unwrap();
    let report = MissedReport {
        cursor: cursor_of("backup"),
        expected: second(-9),
        upto: second(0),
        closes_at: second(-1).cluster_time(),
        ranges: vec![MissedRange {
            from: second(-8),
            to: second(0),
            count: 9,
            reason: MissedReason::Late,
        }],
        catch_up: Vec::new(),
        in_turn: false,
        keep_record: KEEP,
        retention: KEEP_ALL,
    };
    assert_eq!(store.record_missed(&node("web-1"), &[report]).await, Ok(vec![true]));
    let entries = store.slot(&slot).await.unwrap().entries;
    assert!(matches!(entries[..], [Entry::Run(_)]), "the range is none of its own: {entries:?}");
    let scheduled = Slot::scheduled(slot.job, slot.at);
    let entries = store.slot(&scheduled).await.unwrap().entries;
    assert!(matches!(entries[..], [Entry::Missed(_)]), "{entries:?}");
}

pub(crate) async fn wishes_wait_for_their_turn_in_order_and_none_is_dropped(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    for (i, overlap) in [Overlap::Skip, Overlap::Wait].into_iter().enumerate() {
        let name = format!("job-{i}");
        let first = claim_by(overlap, &slot_in(&*store, &name, -5).await, LONG);
        let mut grant = win(&*store, &me, &first).await;
        let mut before = first;
        let mut waiting = Vec::new();
        for _ in 0..3 {
            let asked = claim_by(overlap, &trigger(&*store, &name).await, LONG);
            assert_eq!(waits_for(try_claim(&*store, &me, &asked).await), before.slot);
            waiting.push(asked);
        }
        assert_eq!(open_slots(&*store).await, []);
        while !waiting.is_empty() {
            finish(&*store, &me, &before, grant, Outcome::Failed).await;
            let next = waiting.remove(0);
            assert_eq!(open_slot(&*store).await, next.slot, "woken, and only it");
            if let Some(last) = waiting.last() {
                let early = waits_for(try_claim(&*store, &me, last).await);
                assert_eq!(early, next.slot, "nobody goes before it");
            }
            grant = win(&*store, &me, &next).await;
            before = next;
        }
        finish(&*store, &me, &before, grant, Outcome::Succeeded).await;
    }
    assert_eq!(runs(&*store).await.len(), 8);
    assert_eq!(ranges(&*store).await, []);
}

pub(crate) async fn a_slot_that_is_due_does_not_go_before_a_wish_that_waits(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    for (name, overlap) in
        [("skip", Overlap::Skip), ("wait", Overlap::Wait), ("rep", Overlap::Replace)]
    {
        let first = claim_by(overlap, &slot_in(&*store, name, -5).await, LONG);
        let grant = win(&*store, &me, &first).await;
        let asked = claim_by(overlap, &trigger(&*store, name).await, LONG);
        waits_for(try_claim(&*store, &me, &asked).await);
        finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
        let due = claim_by(overlap, &slot_in(&*store, name, -1).await, LONG);
        match try_claim(&*store, &me, &due).await {
            Verdict::Waits(of) => assert_eq!(of, asked.slot),
            verdict => {
                assert_eq!(verdict, Verdict::Missed(MissedReason::Overlap));
                assert_eq!(overlap, Overlap::Skip);
            }
        }
        let grant = win(&*store, &me, &asked).await;
        finish(&*store, &me, &asked, grant, Outcome::Succeeded).await;
        if overlap != Overlap::Skip {
            win(&*store, &me, &due).await;
        }
    }
}

pub(crate) async fn a_wish_replaces_the_run_in_progress_where_the_job_says_so(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let first = claim_by(Overlap::Replace, &slot_in(&*store, "tick", -5).await, LONG);
    let grant = win(&*store, &me, &first).await;
    let asked = claim_by(Overlap::Replace, &trigger(&*store, "tick").await, LONG);
    waits_for(try_claim(&*store, &me, &asked).await);
    let cancels = store.sweep(10).await.unwrap().cancels;
    assert_eq!(cancels.len(), 1);
    assert_eq!((&cancels[0].slot, cancels[0].cause), (&first.slot, CancelCause::Replaced));
    finish(&*store, &me, &first, grant, Outcome::Cancelled).await;
    win(&*store, &me, &asked).await;
}
