//! A paused job: nothing new starts, and what was due meanwhile never does.

use std::time::Duration;

use solocron::claim::{Claim, Refusal, Verdict};
use solocron::control::Control;
use solocron::ledger::Entry;
use solocron::outcome::{MissedReason, Outcome};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::{Ownership, Store};

use super::*;

const MISSED: Verdict = Verdict::Missed(MissedReason::Paused);

async fn pause(store: &dyn Store) {
    assert_eq!(store.pause(&job("backup"), true).await, Ok(true));
}

async fn resume(store: &dyn Store) {
    assert_eq!(store.pause(&job("backup"), false).await, Ok(true));
}

pub(crate) async fn slots_of_a_paused_job_are_missed(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let who = claimant("web-1");
    let start = slot_in(&*a, "backup", -60).await.at;
    a.open_cursors(&[cursor_of("backup")], start, KEEP).await.unwrap();
    pause(&*a).await;
    let claim = Claim { advance: true, ..claim_of(&due(&*b, "backup").await, LONG) };
    let answer = claimed(&*b, &who, &claim).await;
    assert_eq!(answer.verdict, MISSED);
    assert_eq!(ledger(&*a).await, answer.entries);
    let [Entry::Missed(entry)] = &answer.entries[..] else { panic!("{:?}", answer.entries) };
    assert_eq!((entry.range.from, entry.range.reason), (claim.slot.at, MissedReason::Paused));
    let stands = a.open_cursors(&[cursor_of("backup")], start, KEEP).await.unwrap();
    assert_eq!(stands, [claim.slot.at], "the cursor moves over it");
    win(&*b, &who, &claim_of(&due(&*b, "other").await, LONG)).await;

    resume(&*b).await;
    assert_eq!(done(try_claim(&*a, &who, &claim).await).outcome, Outcome::Missed, "for good");
    let later = claim_of(&slot_in(&*a, "backup", 2).await, LONG);
    win(&*a, &who, &later).await;
}

pub(crate) async fn a_slot_that_is_not_due_yet_is_not_missed_for_a_pause_that_may_end(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let who = claimant("web-1");
    pause(&*store).await;
    for overlap in [Overlap::Allow, Overlap::Skip] {
        let claim = claim_by(overlap, &slot_in(&*store, "backup", 4).await, LONG);
        let answer = claimed(&*store, &who, &claim).await;
        assert_eq!(answer, Verdict::Refused(Refusal::Early).into());
    }
    let past = claim_of(&slot_in(&*store, "backup", -1).await, LONG);
    assert_eq!(try_claim(&*store, &who, &past).await, MISSED, "what is due is missed");
    resume(&*store).await;
    win(&*store, &who, &claim_of(&slot_in(&*store, "backup", 4).await, LONG)).await;
}

pub(crate) async fn a_pause_begins_once_and_ends_once(f: &impl Fixture) {
    let store = f.store().await;
    let backup = job("backup");
    assert_eq!(store.pause(&backup, false).await, Ok(false), "it is not paused");
    pause(&*store).await;
    assert_eq!(store.pause(&backup, true).await, Ok(false), "once is enough");
    resume(&*store).await;
    assert_eq!(store.pause(&backup, false).await, Ok(false));
    pause(&*store).await;
}

pub(crate) async fn a_pause_stops_nothing_that_runs_or_was_asked_for(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let by_wait = |slot: &Slot| claim_by(Overlap::Wait, slot, LONG);
    let before = by_wait(&slot_in(&*store, "backup", -9).await);
    let turn = win(&*store, &me, &before).await;
    let waiting = slot_in(&*store, "backup", -7).await;
    waits_for(try_claim(&*store, &me, &by_wait(&waiting)).await);
    let running = claim_of(&slot_in(&*store, "backup", -5).await, LONG);
    let grant = win(&*store, &me, &running).await;
    let handed = slot_in(&*store, "backup", -3).await;
    run(&*store, &me, &handed, Outcome::HandedOver).await;
    let lost = claim_of(&slot_in(&*store, "backup", -1).await, SHORT);
    win(&*store, &me, &lost).await;
    await_lapse(&*store, &lost.slot).await;

    pause(&*store).await;
    assert_eq!(win(&*store, &me, &running).await, grant);
    assert_eq!(renew(&*store, &renewal(&running, LONG)).await, Ownership::Ours);
    assert_eq!(win(&*store, &other, &claim_of(&handed, LONG)).await.attempt, 2);
    assert_eq!(win(&*store, &other, &takeover_of(&lost)).await.attempt, 2);
    let asked = trigger(&*store, "backup").await;
    win(&*store, &other, &claim_of(&asked, LONG)).await;
    finish(&*store, &me, &before, turn, Outcome::Succeeded).await;
    win(&*store, &me, &by_wait(&waiting)).await;
    finish(&*store, &me, &running, grant, Outcome::Succeeded).await;
    assert_eq!(ranges(&*store).await, []);
}

pub(crate) async fn what_was_due_in_a_pause_stays_missed_after_it(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let before = now(&*store).await;
    await_time(&*store, before + Duration::from_millis(2)).await;
    pause(&*store).await;
    await_time(&*store, now(&*store).await + Duration::from_millis(2)).await;
    let meanwhile = now(&*store).await;
    await_time(&*store, meanwhile + Duration::from_millis(2)).await;
    resume(&*store).await;
    let after = now(&*store).await;
    // With jitter a slot is due at any instant.
    for (i, (due, missed)) in
        [(before, false), (meanwhile, true), (after, false)].iter().enumerate()
    {
        let slot = slot_in(&*store, "backup", i as i64 - 3).await;
        let verdict = try_claim(&*store, &who, &Claim { due: *due, ..claim_of(&slot, LONG) }).await;
        assert_eq!(verdict == MISSED, *missed, "{i}: {verdict:?}");
    }
}

pub(crate) async fn slots_missed_in_one_pause_are_one_entry(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let before = slot_in(&*store, "backup", -5).await;
    pause(&*store).await;
    assert_eq!(try_claim(&*store, &who, &claim_of(&before, LONG)).await, MISSED);
    let first = due(&*store, "backup").await.at.unix_seconds();
    let slot = |second| Slot::scheduled(job("backup"), SlotTime::from_unix_seconds(first + second));
    for second in 0..4 {
        let claim = Claim { due: slot(0).at.cluster_time(), ..claim_of(&slot(second), LONG) };
        assert_eq!(try_claim(&*store, &who, &claim).await, MISSED);
    }
    let [range, late] = ranges(&*store).await[..] else { panic!("two ranges") };
    assert_eq!((late.from, late.to), (before.at, before.at), "it was due before the pause");
    assert_eq!((range.from, range.to, range.count), (slot(0).at, slot(3).at, 4));
    assert_eq!(range.reason, MissedReason::Paused);

    resume(&*store).await;
    let slot = |second| claim_by(Overlap::Skip, &slot(second), LONG);
    let running = Claim { due: before.at.cluster_time(), ..slot(-4) };
    win(&*store, &who, &running).await;
    let overlaps = Claim { due: before.at.cluster_time(), ..slot(4) };
    let missed = Verdict::Missed(MissedReason::Overlap);
    assert_eq!(try_claim(&*store, &who, &overlaps).await, missed);
    let reasons: Vec<_> = ranges(&*store).await.iter().map(|range| range.reason).collect();
    let paused = MissedReason::Paused;
    assert_eq!(reasons, [MissedReason::Overlap, paused, paused], "each reason has its own");
}

pub(crate) async fn everybody_learns_which_jobs_are_and_were_paused(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    assert_eq!(b.control().await, Ok(Control::default()));
    let backup = job("backup");
    let before = now(&*a).await;
    pause(&*a).await;
    let paused = b.control().await.unwrap();
    assert!(paused.is_paused(&backup) && !paused.is_paused(&job("other")));
    let since = paused.pauses[&backup].current().unwrap().since;
    assert!(since >= before && since <= now(&*a).await);

    resume(&*b).await;
    let resumed = a.control().await.unwrap();
    assert!(!resumed.is_paused(&backup));
    assert!(resumed.pauses[&backup].forbids(since).is_some(), "it is remembered");
    assert!(resumed.pauses[&backup].forbids(now(&*a).await).is_none());
    assert!(resumed.version > paused.version && paused.version > 0);
    a.prune(KEEP_ALL).await.unwrap();
    assert_eq!(a.control().await, Ok(resumed.clone()), "pruning leaves what matters");
    assert_eq!(b.sweep(10).await.unwrap().control, resumed.version);
}
