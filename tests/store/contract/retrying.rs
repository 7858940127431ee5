//! A run that failed is tried again: by its holder, or later by whoever claims it.

use std::time::Duration;

use solocron::claim::{Claim, Grant, Refusal, Verdict};
use solocron::outcome::{Outcome, Ready};
use solocron::policy::Overlap;
use solocron::store::{Completion, OpenState, Ownership, SlotState, Store, Then};

use super::*;

/// The end of an attempt that is to be tried again.
async fn retry(store: &dyn Store, claim: &Claim, grant: Grant) -> Completion {
    let end = completion(claim, grant, Outcome::Failed, now(store).await);
    Completion { then: Then::Retry, ..end }
}

/// `web-1` claims a slot, fails, and is to try again; its claim and what it won, and
/// what it said.
async fn fail_once(store: &dyn Store) -> (Claim, Grant, Completion) {
    let claim = claim_by(Overlap::Skip, &slot_in(store, "backup", -3).await, LONG);
    let grant = win(store, &claimant("web-1"), &claim).await;
    let end = retry(store, &claim, grant).await;
    assert_eq!(complete(store, &claimant("web-1"), &end).await, Ownership::Ours);
    (claim, grant, end)
}

pub(crate) async fn a_slot_that_is_tried_again_stays_with_its_holder(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let me = claimant("web-1");
    let (claim, grant, _) = fail_once(&*a).await;
    let [run] = &runs(&*b).await[..] else { panic!("one run") };
    assert_eq!((run.outcome, run.attempt), (Outcome::Failed, 1));
    assert_eq!(run.run_id, claim.token.run_id(1));
    let record = b.slot(&claim.slot).await.unwrap().record.unwrap();
    assert!(matches!(record.state, SlotState::Running { .. }));
    assert_eq!((record.attempt, record.fence, record.token), (2, grant.fence, claim.token));
    assert_eq!(open_slots(&*b).await, []);
    let other = try_claim(&*b, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(holder(other).token, claim.token);
    assert_eq!(renew(&*a, &renewal(&claim, LONG)).await, Ownership::Ours);
    let again = win(&*a, &me, &claim).await;
    assert_eq!(again, Grant { attempt: 2, failures: 1, ..grant });

    let next = claim_by(Overlap::Skip, &slot_in(&*a, "backup", -1).await, LONG);
    assert!(matches!(try_claim(&*b, &me, &next).await, Verdict::Missed(_)), "and keeps its turn");
    finish(&*a, &me, &claim, again, Outcome::Succeeded).await;
    let told: Vec<_> = runs(&*b).await.iter().map(|run| (run.run_id, run.outcome)).collect();
    let second = (claim.token.run_id(2), Outcome::Succeeded);
    assert_eq!(told, [second, (claim.token.run_id(1), Outcome::Failed)]);
    let next = claim_by(Overlap::Skip, &due(&*a, "backup").await, LONG);
    win(&*b, &me, &next).await;
}

pub(crate) async fn a_copy_of_it_is_ours_and_writes_nothing_whatever_came_after(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let (claim, grant, first) = fail_once(&*store).await;
    assert_eq!(complete(&*store, &me, &first).await, Ownership::Ours);
    let second = retry(&*store, &claim, Grant { attempt: 2, ..grant }).await;
    assert_eq!(complete(&*store, &me, &second).await, Ownership::Ours);
    for copy in [&first, &second] {
        assert_eq!(complete(&*store, &me, copy).await, Ownership::Ours);
    }
    assert_eq!(win(&*store, &me, &claim).await.failures, 2, "each failure counts once");
    let third = Grant { attempt: 3, ..grant };
    finish(&*store, &me, &claim, third, Outcome::HandedOver).await;
    let late = [&first, &second];
    for copy in late {
        assert_eq!(complete(&*store, &me, copy).await, Ownership::Ours, "handed over");
    }
    let record = store.slot(&claim.slot).await.unwrap().record.unwrap();
    assert_eq!(record.state, SlotState::Ready(Ready::HandedOver));

    let next = claim_of(&claim.slot, LONG);
    let grant = win(&*store, &me, &next).await;
    let fourth = retry(&*store, &next, grant).await;
    assert_eq!(complete(&*store, &me, &fourth).await, Ownership::Ours);
    finish(&*store, &me, &next, Grant { attempt: 5, ..grant }, Outcome::Succeeded).await;
    assert_eq!(complete(&*store, &me, &fourth).await, Ownership::Ours, "settled");
    let told: Vec<_> = runs(&*store).await.iter().map(|run| run.attempt).collect();
    assert_eq!(told, [5, 4, 3, 2, 1]);
}

pub(crate) async fn what_failed_is_counted_through_hand_over_and_takeover(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, grant, _) = fail_once(&*store).await;
    let second = Grant { attempt: 2, ..grant };
    finish(&*store, &claimant("web-1"), &claim, second, Outcome::HandedOver).await;
    let (other, next) = (claimant("web-2"), claim_of(&claim.slot, LONG));
    let grant = win(&*store, &other, &next).await;
    assert_eq!((grant.attempt, grant.failures), (3, 1), "a hand-over is no failure");
    let end = retry(&*store, &next, grant).await;
    assert_eq!(complete(&*store, &other, &end).await, Ownership::Ours);
    lapse(&*store, &next).await;
    let grant = win(&*store, &claimant("web-3"), &takeover_of(&next)).await;
    assert_eq!((grant.attempt, grant.failures), (5, 2), "nor is a takeover");
}

pub(crate) async fn a_lapsed_lease_that_nobody_settled_is_still_tried_again(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    let grant = win(&*store, &me, &claim).await;
    await_lapse(&*store, &claim.slot).await;
    let end = retry(&*store, &claim, grant).await;
    assert_eq!(complete(&*store, &me, &end).await, Ownership::Ours);
    assert_eq!(open_slot(&*store).await, claim.slot, "it has lapsed all the same");
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::Ours);
    assert_eq!(open_slots(&*store).await, []);
}

pub(crate) async fn a_lost_holder_cannot_have_it_tried_again(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, grant, _) = fail_once(&*store).await;
    lapse(&*store, &claim).await;
    let taker = takeover_of(&claim);
    win(&*store, &claimant("web-2"), &taker).await;
    let end = retry(&*store, &claim, Grant { attempt: 2, ..grant }).await;
    match complete(&*store, &claimant("web-1"), &end).await {
        Ownership::HeldBy(holder) => assert_eq!(holder.token, taker.token),
        wrong => panic!("another holds it: {wrong:?}"),
    }
    let told: Vec<_> = runs(&*store).await.iter().map(|run| (run.attempt, run.outcome)).collect();
    assert_eq!(told, [(2, Outcome::LeaseLost), (1, Outcome::Failed)]);
}

pub(crate) async fn a_slot_that_is_handed_over_for_later_is_left_alone_until_then(
    f: &impl Fixture,
) {
    let (a, b) = (f.store().await, f.store().await);
    let claim = claim_of(&due(&*a, "backup").await, LONG);
    let grant = win(&*a, &claimant("web-1"), &claim).await;
    let later = now(&*a).await + Duration::from_millis(1500);
    let mut end = completion(&claim, grant, Outcome::HandedOver, now(&*a).await);
    end.then = Then::HandOver(Some(later));
    assert_eq!(complete(&*a, &claimant("web-1"), &end).await, Ownership::Ours);

    let (who, next) = (claimant("web-2"), claim_of(&claim.slot, LONG));
    let early = try_claim(&*b, &who, &next).await;
    let sweep = b.sweep(10).await.unwrap();
    if now(&*b).await < later {
        assert_eq!(early, Verdict::Refused(Refusal::Early));
        assert_eq!(sweep.open, []);
        let told = sweep.next.unwrap();
        assert!(told >= later - Duration::from_millis(1) && told <= later + SHORT, "{told}");
    }
    await_lapse(&*b, &claim.slot).await;
    assert!(now(&*b).await >= later);
    let open = open(&*b).await;
    assert_eq!(open[0].state, OpenState::Ready(Ready::HandedOver));
    assert_eq!(win(&*b, &who, &next).await.attempt, 2);
}
