//! A run in progress is asked to end, and its slot never runs again.

use solocron::claim::{Claim, Grant, Token};
use solocron::ledger::Entry;
use solocron::outcome::{CancelCause, Outcome};
use solocron::policy::Overlap;
use solocron::store::{Cancel, Cancelled, Ownership, SlotState, Store, Then};

use super::*;

/// `web-1` claims a slot, and somebody asks for the end of its run.
async fn marked(store: &dyn Store, overlap: Overlap) -> (Claim, Grant) {
    let claim = claim_by(overlap, &slot_in(store, "backup", -3).await, LONG);
    let grant = win(store, &claimant("web-1"), &claim).await;
    let cancelled = store.cancel(claim.token.run_id(1)).await.unwrap();
    let of = Cancelled { slot: claim.slot.clone(), node: node("web-1") };
    assert_eq!(cancelled, Some(of));
    (claim, grant)
}

pub(crate) async fn a_run_that_is_not_in_progress_is_not_cancelled(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let running = claim_of(&due(&*store, "running").await, LONG);
    win(&*store, &me, &running).await;
    let (ended, _) = run(&*store, &me, &due(&*store, "ended").await, Outcome::Succeeded).await;
    let (handed, _) = run(&*store, &me, &due(&*store, "handed").await, Outcome::HandedOver).await;
    let unknown = Token::new().run_id(1);
    let asked = trigger(&*store, "asked").await;
    let asked = Token::of_trigger(asked.trigger.unwrap());
    for run in [
        unknown,
        running.token.run_id(2),
        ended.token.run_id(1),
        handed.token.run_id(1),
        asked.run_id(1),
    ] {
        assert_eq!(store.cancel(run).await, Ok(None));
    }
    assert_eq!(store.sweep(10).await.unwrap().cancels, []);
}

pub(crate) async fn a_run_in_progress_is_marked_and_its_node_told(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let (claim, grant) = marked(&*a, Overlap::Allow).await;
    let told = Cancel { slot: claim.slot.clone(), token: claim.token, cause: CancelCause::Asked };
    assert_eq!(b.sweep(0).await.unwrap().cancels, vec![told.clone()]);
    assert!(b.cancel(claim.token.run_id(1)).await.unwrap().is_some(), "again is no harm");
    assert_eq!(renew(&*a, &renewal(&claim, LONG)).await, Ownership::Ours, "until it is gone");
    assert_eq!(win(&*a, &claimant("web-1"), &claim).await, grant);
    assert_eq!(b.sweep(10).await.unwrap().cancels, [told]);
    finish(&*a, &claimant("web-1"), &claim, grant, Outcome::Cancelled).await;
    assert_eq!(b.sweep(10).await.unwrap().cancels, []);
    let late = try_claim(&*b, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(done(late).outcome, Outcome::Cancelled);
}

pub(crate) async fn a_later_attempt_is_cancelled_by_its_own_id(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let slot = due(&*store, "backup").await;
    run(&*store, &me, &slot, Outcome::HandedOver).await;
    let claim = claim_of(&slot, LONG);
    assert_eq!(win(&*store, &me, &claim).await.attempt, 2);
    assert_eq!(store.cancel(claim.token.run_id(1)).await, Ok(None));
    assert!(store.cancel(claim.token.run_id(2)).await.unwrap().is_some());
}

pub(crate) async fn a_marked_run_may_end_as_it_will(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, grant) = marked(&*store, Overlap::Allow).await;
    finish(&*store, &claimant("web-1"), &claim, grant, Outcome::Succeeded).await;
    let record = store.slot(&claim.slot).await.unwrap().record.unwrap();
    assert_eq!(record.state, SlotState::Settled(Outcome::Succeeded), "it was faster");
}

pub(crate) async fn a_marked_run_that_is_handed_over_is_cancelled(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let (claim, grant) = marked(&*store, Overlap::Wait).await;
    let next = claim_by(Overlap::Wait, &slot_in(&*store, "backup", -1).await, LONG);
    waits_for(try_claim(&*store, &me, &next).await);
    let end = completion(&claim, grant, Outcome::HandedOver, now(&*store).await);
    for _ in 0..2 {
        assert_eq!(complete(&*store, &me, &end).await, Ownership::Ours);
    }
    let [run] = &runs(&*store).await[..] else { panic!("one run") };
    assert_eq!(run.outcome, Outcome::Cancelled, "the ledger says what became of it");
    let late = try_claim(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(done(late).outcome, Outcome::Cancelled);
    assert_eq!(open_slot(&*store).await, next.slot, "and its turn goes on");
    win(&*store, &me, &next).await;
}

pub(crate) async fn a_marked_run_that_is_lost_is_cancelled_by_who_would_take_it_over(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let (lost, grant) = marked(&*store, Overlap::Wait).await;
    let next = claim_by(Overlap::Wait, &slot_in(&*store, "backup", -1).await, LONG);
    let who = claimant("web-2");
    waits_for(try_claim(&*store, &who, &next).await);
    lapse(&*store, &lost).await;
    assert_eq!(store.sweep(10).await.unwrap().cancels, [], "there is nobody to tell");
    for max_takeovers in [0, 3] {
        let taker = Claim { max_takeovers, ..takeover_of(&lost) };
        let answer = claimed(&*store, &who, &taker).await;
        assert_eq!(done(answer.verdict).outcome, Outcome::Cancelled);
        assert_eq!(answer.entries.len(), usize::from(max_takeovers == 0), "told once");
    }
    let [run] = &runs(&*store).await[..] else { panic!("one run") };
    assert_eq!((run.outcome, run.run_id), (Outcome::Cancelled, lost.token.run_id(1)));
    assert_eq!((run.node.as_str(), run.fence), ("web-1", grant.fence));
    assert_eq!(open_slot(&*store).await, next.slot, "its turn goes on");
    win(&*store, &who, &next).await;
}

pub(crate) async fn a_marked_run_that_is_lost_is_cancelled_by_who_abandons_it(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, _) = marked(&*store, Overlap::Skip).await;
    lapse(&*store, &lost).await;
    assert!(abandon(&*store, &claimant("web-2"), &abandonment(&lost)).await);
    let [run] = &runs(&*store).await[..] else { panic!("one run") };
    assert_eq!(run.outcome, Outcome::Cancelled);
    let late = try_claim(&*store, &claimant("web-2"), &takeover_of(&lost)).await;
    assert_eq!(done(late).outcome, Outcome::Cancelled);
}

pub(crate) async fn a_marked_run_that_is_lost_is_cancelled_by_who_takes_its_turn(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, _) = marked(&*store, Overlap::Skip).await;
    lapse(&*store, &lost).await;
    let next = claim_by(Overlap::Skip, &slot_in(&*store, "backup", -1).await, LONG);
    let answer = claimed(&*store, &claimant("web-2"), &next).await;
    granted(answer.verdict);
    let [Entry::Run(run)] = &answer.entries[..] else { panic!("{:?}", answer.entries) };
    assert_eq!((&run.slot, run.outcome), (&lost.slot, Outcome::Cancelled));
    let late = try_claim(&*store, &claimant("web-2"), &takeover_of(&lost)).await;
    assert_eq!(done(late).outcome, Outcome::Cancelled);
}

pub(crate) async fn what_was_asked_for_stays_so_when_a_newer_slot_replaces_it(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, _) = marked(&*store, Overlap::Replace).await;
    let next = claim_by(Overlap::Replace, &slot_in(&*store, "backup", -1).await, LONG);
    assert_eq!(waits_for(try_claim(&*store, &claimant("web-2"), &next).await), claim.slot);
    let cancels = store.sweep(10).await.unwrap().cancels;
    assert_eq!(cancels.len(), 1);
    assert_eq!(cancels[0].cause, CancelCause::Asked);
}

pub(crate) async fn the_mark_stays_through_a_retry(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let (claim, grant) = marked(&*store, Overlap::Allow).await;
    let mut end = completion(&claim, grant, Outcome::Failed, now(&*store).await);
    end.then = Then::Retry;
    assert_eq!(complete(&*store, &me, &end).await, Ownership::Ours);
    assert_eq!(store.sweep(10).await.unwrap().cancels.len(), 1);
}
