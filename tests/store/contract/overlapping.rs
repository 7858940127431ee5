//! Slots of one job meet: one is missed, waits, or takes the other's place.

use solocron::claim::{Claim, Refusal, Verdict};
use solocron::ledger::Entry;
use solocron::outcome::{MissedReason, Outcome, Ready};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::{OpenState, SlotState};

use super::*;

const MISSED: Verdict = Verdict::Missed(MissedReason::Overlap);
const ALL_BUT_ALLOW: [Overlap; 3] = [Overlap::Skip, Overlap::Wait, Overlap::Replace];

pub(crate) async fn where_it_is_allowed_slots_of_one_job_run_at_once(f: &impl Fixture) {
    let store = f.store().await;
    for second in [-2, -1, 0] {
        let slot = slot_in(&*store, "tick", second).await;
        win(&*store, &claimant("web-1"), &claim_by(Overlap::Allow, &slot, LONG)).await;
    }
}

pub(crate) async fn a_slot_that_is_due_while_another_runs_is_missed(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let start = slot_in(&*a, "tick", -60).await.at;
    a.open_cursors(&[cursor_of("tick")], start, KEEP).await.unwrap();
    let first = claim_by(Overlap::Skip, &slot_in(&*a, "tick", -2).await, LONG);
    win(&*a, &claimant("web-1"), &first).await;
    let next = slot_in(&*a, "tick", -1).await;
    let second = Claim { advance: true, ..claim_by(Overlap::Skip, &next, LONG) };
    let who = claimant("web-2");
    let missed = claimed(&*b, &who, &second).await;
    assert_eq!(missed.verdict, MISSED);
    assert_eq!(ledger(&*a).await, missed.entries);
    let [Entry::Missed(entry)] = &missed.entries[..] else { panic!("{:?}", missed.entries) };
    assert_eq!((entry.range.from, entry.range.to, entry.range.count), (next.at, next.at, 1));
    assert_eq!((entry.range.reason, &entry.node), (MissedReason::Overlap, &who.node));

    for claim in [&second, &claim_by(Overlap::Skip, &next, LONG)] {
        assert_eq!(done(try_claim(&*a, &who, claim).await).outcome, Outcome::Missed, "for good");
    }
    let stands = a.open_cursors(&[cursor_of("tick")], start, KEEP).await.unwrap();
    assert_eq!(stands, [next.at], "the cursor moves over it");
    let other = claim_by(Overlap::Skip, &due(&*a, "other").await, LONG);
    win(&*a, &who, &other).await;
}

pub(crate) async fn what_is_not_due_yet_is_early_while_another_has_the_turn_and_won_when_it_is_free(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    for (name, overlap) in
        [("skip", Overlap::Skip), ("wait", Overlap::Wait), ("replace", Overlap::Replace)]
    {
        let start = slot_in(&*store, name, -60).await.at;
        store.open_cursors(&[cursor_of(name)], start, KEEP).await.unwrap();
        let first = claim_by(overlap, &slot_in(&*store, name, -1).await, LONG);
        let grant = win(&*store, &me, &first).await;
        // Its place is not taken either, while the run in progress goes on.
        let soon = slot_in(&*store, name, 4).await;
        let ahead = Claim { advance: true, ..claim_by(overlap, &soon, LONG) };
        let answer = claimed(&*store, &other, &ahead).await;
        assert_eq!(answer, Verdict::Refused(Refusal::Early).into(), "{name}");
        assert_eq!(store.sweep(10).await.unwrap().cancels, [], "{name}");
        assert_eq!(store.slot(&soon).await.unwrap().record, None, "{name}");
        let stands = store.open_cursors(&[cursor_of(name)], start, KEEP).await.unwrap();
        assert_eq!(stands, [start], "{name}");

        finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
        win(&*store, &other, &ahead).await;
        let held = try_claim(&*store, &me, &claim_by(overlap, &soon, LONG)).await;
        assert_eq!(holder(held).token, ahead.token, "{name}");
    }
}

pub(crate) async fn slots_missed_one_after_another_are_one_entry(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let base = slot_in(&*store, "tick", -20).await;
    let slot = |second: i64| Slot {
        at: SlotTime::from_unix_seconds(base.at.unix_seconds() + second),
        ..base.clone()
    };
    let by_skip = |second| claim_by(Overlap::Skip, &slot(second), LONG);
    let first = by_skip(0);
    let grant = win(&*store, &me, &first).await;
    for second in 1..=3 {
        let who = if second == 3 { &other } else { &me };
        let missed = claimed(&*store, who, &by_skip(second)).await;
        assert_eq!(missed.verdict, MISSED);
        let [Entry::Missed(own)] = &missed.entries[..] else { panic!("{:?}", missed.entries) };
        assert_eq!((own.range.from, own.range.count), (slot(second).at, 1), "each tells its own");
    }
    let entries = ledger(&*store).await;
    let [Entry::Missed(joined)] = &entries[..] else { panic!("one entry: {entries:?}") };
    assert_eq!((joined.range.from, joined.range.to), (slot(1).at, slot(3).at));
    assert_eq!((joined.range.count, &joined.node), (3, &other.node));
    for second in 1..=3 {
        assert_eq!(store.slot(&slot(second)).await.unwrap().entries, entries);
    }
    // Another entry comes between, and a range of another time is not its continuation.
    finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
    let second = by_skip(4);
    let grant = win(&*store, &me, &second).await;
    assert_eq!(try_claim(&*store, &me, &by_skip(5)).await, MISSED);
    assert_eq!(ranges(&*store).await.len(), 2);
    assert_eq!(try_claim(&*store, &me, &by_skip(-1)).await, MISSED);
    assert_eq!(ranges(&*store).await.len(), 3, "an older slot does not lengthen it");
    finish(&*store, &me, &second, grant, Outcome::Succeeded).await;
    let counts: Vec<_> = ranges(&*store).await.iter().map(|range| range.count).collect();
    assert_eq!(counts, [1, 1, 3]);
}

pub(crate) async fn of_many_slots_claimed_at_once_one_runs(f: &impl Fixture) {
    let store = f.store().await;
    let mut tries = tokio::task::JoinSet::new();
    for second in 0..8 {
        let handle = f.store().await;
        let claim = claim_by(Overlap::Skip, &slot_in(&*store, "tick", second - 8).await, LONG);
        let who = claimant(&format!("web-{second}"));
        tries.spawn(async move { try_claim(&*handle, &who, &claim).await });
    }
    let verdicts = tries.join_all().await;
    let won = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Won(_))).count();
    assert_eq!((won, verdicts.iter().filter(|&verdict| *verdict == MISSED).count()), (1, 7));
    let missed: u64 = ranges(&*store).await.iter().map(|range| range.count).sum();
    assert_eq!(missed, 7, "each is told");
}

pub(crate) async fn slots_of_one_batch_meet_in_its_order(f: &impl Fixture) {
    let store = f.store().await;
    for (name, overlap) in [("skip", Overlap::Skip), ("wait", Overlap::Wait)] {
        let mut batch = Vec::new();
        for second in [-3, -2, -1] {
            batch.push(claim_by(overlap, &slot_in(&*store, name, second).await, LONG));
        }
        let verdicts = verdicts(&*store, &claimant("web-1"), &batch).await;
        granted(verdicts[0].clone());
        match overlap {
            Overlap::Skip => assert_eq!(verdicts[1..], [MISSED, MISSED]),
            _ => {
                let waits = Verdict::Waits(batch[0].slot.clone());
                assert_eq!(verdicts[1..], [waits.clone(), waits]);
                let replaced = store.slot(&batch[1].slot).await.unwrap().record.unwrap();
                assert_eq!(replaced.state, SlotState::Settled(Outcome::Missed));
            }
        }
    }
}

pub(crate) async fn a_slot_that_waits_is_woken_when_the_one_before_is_settled(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let first = claim_by(Overlap::Wait, &slot_in(&*a, "tick", -2).await, LONG);
    let grant = win(&*a, &me, &first).await;
    let next = claim_by(Overlap::Wait, &slot_in(&*a, "tick", -1).await, LONG);
    for _ in 0..2 {
        let waits = claimed(&*b, &other, &next).await;
        assert_eq!(waits_for(waits.verdict), first.slot);
        assert_eq!(waits.entries, []);
    }
    let record = a.slot(&next.slot).await.unwrap().record.unwrap();
    assert_eq!((record.state, record.attempt), (SlotState::Ready(Ready::Waiting), 0));
    assert_eq!(open_slots(&*a).await, [], "nobody need look at it");

    finish(&*a, &me, &first, grant, Outcome::Failed).await;
    let open = open(&*b).await;
    assert_eq!(open.len(), 1, "it is woken at once: {open:?}");
    assert_eq!((&open[0].slot, open[0].state), (&next.slot, OpenState::Ready(Ready::Waiting)));
    let mut late = claim_by(Overlap::Wait, &next.slot, LONG);
    late.start_by = next.slot.at.cluster_time() - WINDOW;
    assert_eq!(win(&*b, &other, &late).await.attempt, 1, "its window does not bind it any more");
    assert_eq!(ranges(&*a).await, []);
}

pub(crate) async fn the_newest_that_waits_replaces_the_one_before_which_is_missed(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let me = claimant("web-1");
    for (name, overlap) in [("wait", Overlap::Wait), ("replace", Overlap::Replace)] {
        let first = claim_by(overlap, &slot_in(&*store, name, -5).await, LONG);
        let grant = win(&*store, &me, &first).await;
        let mut waiting = Vec::new();
        for second in [-4, -3, -2] {
            let next = claim_by(overlap, &slot_in(&*store, name, second).await, LONG);
            let answer = claimed(&*store, &me, &next).await;
            assert_eq!(waits_for(answer.verdict), first.slot);
            assert_eq!(answer.entries.len(), usize::from(!waiting.is_empty()), "of the one before");
            waiting.push(next);
        }
        let newest = waiting.pop().unwrap();
        for replaced in &waiting {
            let story = store.slot(&replaced.slot).await.unwrap();
            assert_eq!(story.record.unwrap().state, SlotState::Settled(Outcome::Missed));
            assert_eq!(story.entries.len(), 1);
            let again = try_claim(&*store, &me, replaced).await;
            assert_eq!(done(again).outcome, Outcome::Missed);
        }
        finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
        assert_eq!(open_slot(&*store).await, newest.slot);
        let grant = win(&*store, &me, &newest).await;
        finish(&*store, &me, &newest, grant, Outcome::Succeeded).await;
    }
    let [replace, wait] = &ranges(&*store).await[..] else { panic!("one range of each job") };
    assert_eq!((replace.count, wait.count), (2, 2));
    assert_eq!((replace.reason, wait.reason), (MissedReason::Overlap, MissedReason::Overlap));
}

pub(crate) async fn an_older_slot_does_not_take_the_place_of_a_newer_that_waits(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let first = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -60).await, LONG);
    let grant = win(&*store, &me, &first).await;
    let newer = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -20).await, LONG);
    waits_for(try_claim(&*store, &me, &newer).await);
    let older = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -50).await, LONG);
    assert_eq!(try_claim(&*store, &me, &older).await, MISSED);
    finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
    let older = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -40).await, LONG);
    assert_eq!(try_claim(&*store, &me, &older).await, MISSED, "nor when the turn is free");
    win(&*store, &me, &newer).await;
}

pub(crate) async fn one_that_is_due_when_the_turn_is_free_replaces_the_one_that_waited(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let me = claimant("web-1");
    let first = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -3).await, LONG);
    let grant = win(&*store, &me, &first).await;
    let waiting = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -2).await, LONG);
    waits_for(try_claim(&*store, &me, &waiting).await);
    finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
    let newest = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -1).await, LONG);
    let answer = claimed(&*store, &me, &newest).await;
    granted(answer.verdict);
    let [Entry::Missed(missed)] = &answer.entries[..] else { panic!("{:?}", answer.entries) };
    assert_eq!(missed.range.from, waiting.slot.at);
    assert_eq!(done(try_claim(&*store, &me, &waiting).await).outcome, Outcome::Missed);
}

pub(crate) async fn a_slot_that_is_handed_over_keeps_its_turn(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    for (name, overlap) in [("skip", Overlap::Skip), ("wait", Overlap::Wait)] {
        let first = claim_by(overlap, &slot_in(&*store, name, -3).await, LONG);
        let grant = win(&*store, &me, &first).await;
        let next = claim_by(overlap, &slot_in(&*store, name, -2).await, LONG);
        if overlap == Overlap::Wait {
            waits_for(try_claim(&*store, &other, &next).await);
        }
        finish(&*store, &me, &first, grant, Outcome::HandedOver).await;
        assert_eq!(open_slot(&*store).await, first.slot, "it comes first");
        match try_claim(&*store, &other, &next).await {
            Verdict::Waits(of) => assert_eq!((of, overlap), (first.slot.clone(), Overlap::Wait)),
            verdict => assert_eq!((verdict, overlap), (MISSED, Overlap::Skip)),
        }
        let again = claim_by(overlap, &first.slot, LONG);
        let grant = win(&*store, &other, &again).await;
        assert_eq!(grant.attempt, 2);
        finish(&*store, &other, &again, grant, Outcome::Succeeded).await;
        if overlap == Overlap::Wait {
            win(&*store, &other, &next).await;
        }
    }
}

pub(crate) async fn a_dead_node_s_turn_goes_to_the_next_where_its_slot_may_not_run_again(
    f: &impl Fixture,
) {
    let (a, b) = (f.store().await, f.store().await);
    for (i, overlap) in ALL_BUT_ALLOW.into_iter().enumerate() {
        let name = format!("job-{i}");
        let dead =
            Claim { max_takeovers: 0, ..claim_by(overlap, &slot_in(&*a, &name, -3).await, SHORT) };
        let lost = win(&*a, &claimant("web-1"), &dead).await;
        await_lapse(&*a, &dead.slot).await;
        let next = slot_in(&*a, &name, -1).await;
        let next = Claim { max_takeovers: 0, ..claim_by(overlap, &next, LONG) };
        let answer = claimed(&*b, &claimant("web-2"), &next).await;
        assert!(granted(answer.verdict).fence > lost.fence);
        let [Entry::Run(run)] = &answer.entries[..] else { panic!("{:?}", answer.entries) };
        assert_eq!((&run.slot, run.outcome), (&dead.slot, Outcome::Abandoned));
        assert_eq!((run.run_id, run.node.as_str()), (dead.token.run_id(1), "web-1"));
        let error = run.error.as_deref().unwrap_or_default();
        assert!(error.contains("web-1") && error.contains(&next.slot.to_string()), "{error}");
        let taker = Claim { max_takeovers: 9, ..takeover_of(&dead) };
        let late = try_claim(&*a, &claimant("web-3"), &taker).await;
        assert_eq!(done(late).outcome, Outcome::Abandoned, "for good");
    }
    assert_eq!(open_slots(&*a).await, []);
}

pub(crate) async fn who_settles_a_dead_node_s_slot_does_not_go_before_those_that_wait(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let who = claimant("web-2");
    for (i, overlap) in ALL_BUT_ALLOW.into_iter().enumerate() {
        let name = format!("job-{i}");
        let once = |slot: &Slot, ttl| Claim { max_takeovers: 0, ..claim_by(overlap, slot, ttl) };
        let dead = once(&slot_in(&*store, &name, -3).await, LONG);
        win(&*store, &claimant("web-1"), &dead).await;
        let asked = once(&trigger(&*store, &name).await, LONG);
        waits_for(try_claim(&*store, &who, &asked).await);
        lapse(&*store, &dead).await;
        let next = once(&slot_in(&*store, &name, -1).await, LONG);
        let answer = claimed(&*store, &who, &next).await;
        match overlap {
            Overlap::Skip => assert_eq!(answer.verdict, MISSED),
            _ => assert_eq!(waits_for(answer.verdict), asked.slot),
        }
        let run = answer.entries.iter().find_map(|entry| match entry {
            Entry::Run(run) => Some(run.slot.clone()),
            Entry::Missed(_) => None,
        });
        let settled = try_claim(&*store, &who, &dead).await;
        match done(settled).outcome {
            // It was marked when the wish came, and then its node died.
            Outcome::Cancelled => assert_eq!(overlap, Overlap::Replace),
            outcome => assert_eq!(outcome, Outcome::Abandoned),
        }
        assert_eq!(run, Some(dead.slot), "who settles it is told");
        assert!(open_slots(&*store).await.contains(&asked.slot), "the first is woken");
        win(&*store, &who, &asked).await;
    }
}

pub(crate) async fn a_slot_that_a_claim_settles_is_kept_as_that_says(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let first = claim_by(Overlap::Skip, &slot_in(&*store, "tick", -3).await, LONG);
    win(&*store, &me, &first).await;
    let next = claim_by(Overlap::Skip, &slot_in(&*store, "tick", -1).await, LONG);
    let next = Claim { keep_settled: SHORT, ..next };
    assert_eq!(try_claim(&*store, &me, &next).await, MISSED);
    eventually("its record expires", async || {
        store.slot(&next.slot).await.unwrap().record.is_none()
    })
    .await;
    assert!(store.slot(&first.slot).await.unwrap().record.is_some());
}

pub(crate) async fn a_dead_node_s_turn_stays_with_its_slot_where_that_may_run_again(
    f: &impl Fixture,
) {
    let store = f.store().await;
    for (name, overlap) in [("skip", Overlap::Skip), ("wait", Overlap::Wait)] {
        let dead = claim_by(overlap, &slot_in(&*store, name, -3).await, SHORT);
        win(&*store, &claimant("web-1"), &dead).await;
        await_lapse(&*store, &dead.slot).await;
        let (who, next) = (claimant("web-2"), slot_in(&*store, name, -1).await);
        let next = claim_by(overlap, &next, LONG);
        match try_claim(&*store, &who, &next).await {
            Verdict::Waits(of) => assert_eq!((of, overlap), (dead.slot.clone(), Overlap::Wait)),
            verdict => assert_eq!((verdict, overlap), (MISSED, Overlap::Skip)),
        }
        let taker = takeover_of(&dead);
        let grant = win(&*store, &who, &taker).await;
        finish(&*store, &who, &taker, grant, Outcome::Succeeded).await;
        if overlap == Overlap::Wait {
            assert_eq!(open_slot(&*store).await, next.slot);
            win(&*store, &who, &next).await;
        }
    }
}

pub(crate) async fn whoever_settles_a_lost_slot_wakes_the_one_that_waits(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-2");
    for name in ["abandoned", "forfeited"] {
        let lost = claim_by(Overlap::Wait, &slot_in(&*store, name, -3).await, SHORT);
        win(&*store, &claimant("web-1"), &lost).await;
        let next = claim_by(Overlap::Wait, &slot_in(&*store, name, -1).await, LONG);
        waits_for(try_claim(&*store, &who, &next).await);
        await_lapse(&*store, &lost.slot).await;
        if name == "abandoned" {
            assert!(abandon(&*store, &who, &abandonment(&lost)).await);
        } else {
            assert_eq!(store.forfeit(&who.node, &[forfeit_of(&lost)]).await, Ok(vec![true]));
        }
        assert_eq!(open_slot(&*store).await, next.slot);
        win(&*store, &who, &next).await;
    }
}

pub(crate) async fn what_waits_and_is_abandoned_leaves_its_place_to_the_next(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let first = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -3).await, LONG);
    let grant = win(&*store, &me, &first).await;
    let next = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -1).await, LONG);
    waits_for(try_claim(&*store, &me, &next).await);
    let asked = trigger(&*store, "tick").await;
    let last = claim_by(Overlap::Wait, &asked, LONG);
    waits_for(try_claim(&*store, &me, &last).await);
    finish(&*store, &me, &first, grant, Outcome::Succeeded).await;
    assert_eq!(open_slot(&*store).await, next.slot);
    assert!(abandon(&*store, &me, &abandonment(&next)).await);
    assert_eq!(open_slot(&*store).await, asked);
    win(&*store, &me, &last).await;
}
