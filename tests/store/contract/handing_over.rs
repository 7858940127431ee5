//! A draining node gives its slots to whoever claims them next, at once.

use std::time::Duration;

use solocron::claim::{Claim, Grant, Refusal, Verdict};
use solocron::ledger::Entry;
use solocron::outcome::{Outcome, Ready};
use solocron::store::{Completion, Open, OpenState, Ownership, SlotState, Store};

use super::*;

/// `web-1` claims and hands over; its claim, and what it says at the hand-over.
async fn hand_over(store: &dyn Store) -> (Claim, Grant, Completion) {
    let claim = claim_of(&due(store, "backup").await, LONG);
    let grant = win(store, &claimant("web-1"), &claim).await;
    let end = completion(&claim, grant, Outcome::HandedOver, now(store).await);
    assert_eq!(complete(store, &claimant("web-1"), &end).await, Ownership::Ours);
    (claim, grant, end)
}

pub(crate) async fn the_next_claim_wins_at_once_whatever_its_window(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let (claim, grant, _) = hand_over(&*a).await;
    let mut next = claim_of(&claim.slot, LONG);
    next.start_by = claim.slot.at.cluster_time() - Duration::from_secs(60);
    let taken = win(&*b, &claimant("web-2"), &next).await;
    assert_eq!(taken.attempt, 2);
    assert!(taken.fence > grant.fence);

    let third = try_claim(&*b, &claimant("web-3"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(holder(third).node.as_str(), "web-2");
    let record = b.slot(&claim.slot).await.unwrap().record.unwrap();
    assert_eq!((record.node.as_str(), record.attempt), ("web-2", 2));
}

pub(crate) async fn of_many_claims_one_takes_it(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, ..) = hand_over(&*store).await;
    let mut tries = tokio::task::JoinSet::new();
    for i in 0..10 {
        let (handle, who) = (f.store().await, claimant(&format!("node-{i}")));
        let next = claim_of(&claim.slot, LONG);
        tries.spawn(async move { try_claim(&*handle, &who, &next).await });
    }
    let won = tries.join_all().await.into_iter().filter(|v| matches!(v, Verdict::Won(_))).count();
    assert_eq!(won, 1);
}

pub(crate) async fn it_stands_among_the_lapsed_until_it_is_taken(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let (claim, grant, _) = hand_over(&*a).await;
    let open = Open {
        slot: claim.slot.clone(),
        token: claim.token,
        node: node("web-1"),
        attempt: 1,
        takeovers: 0,
        state: OpenState::Ready(Ready::HandedOver),
    };
    assert_eq!(b.sweep(10).await.unwrap().open, [open], "at once, not after the lease");
    let story = b.slot(&claim.slot).await.unwrap();
    let record = story.record.unwrap();
    assert_eq!(
        (record.state, record.attempt),
        (SlotState::Ready(Ready::HandedOver), grant.attempt)
    );
    let [Entry::Run(run)] = &story.entries[..] else { panic!("one run: {:?}", story.entries) };
    assert_eq!(run.outcome, Outcome::HandedOver);

    win(&*b, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(b.sweep(10).await.unwrap().open, []);
}

pub(crate) async fn the_token_that_handed_over_never_wins_again(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, ..) = hand_over(&*store).await;
    let first = claimant("web-1");
    let refused = Verdict::Refused(Refusal::HandedOver);
    assert_eq!(try_claim(&*store, &first, &claim).await, refused);

    let next = claim_of(&claim.slot, LONG);
    let second = claimant("web-2");
    let grant = win(&*store, &second, &next).await;
    let late = try_claim(&*store, &first, &claim).await;
    assert_eq!(holder(late).token, next.token, "a late copy learns who took it");

    let end = completion(&next, grant, Outcome::HandedOver, now(&*store).await);
    assert_eq!(complete(&*store, &second, &end).await, Ownership::Ours);
    assert_eq!(try_claim(&*store, &first, &claim).await, refused, "also after the next hand-over");
    assert_eq!(try_claim(&*store, &second, &next).await, refused);

    let third = win(&*store, &claimant("web-1"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(third.attempt, 3, "the same node may, by a new claim");
    assert!(third.fence > grant.fence);
}

pub(crate) async fn a_copy_of_it_is_ours_and_writes_nothing_whatever_has_become_of_the_slot(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let first = claimant("web-1");
    let (claim, _, end) = hand_over(&*store).await;
    assert_eq!(complete(&*store, &first, &end).await, Ownership::Ours);
    assert_eq!(ledger(&*store).await.len(), 1);

    let next = claim_of(&claim.slot, LONG);
    let grant = win(&*store, &claimant("web-2"), &next).await;
    assert_eq!(complete(&*store, &first, &end).await, Ownership::Ours);
    assert_eq!(renew(&*store, &renewal(&next, LONG)).await, Ownership::Ours, "it is still held");

    let done = completion(&next, grant, Outcome::Succeeded, now(&*store).await);
    assert_eq!(complete(&*store, &claimant("web-2"), &done).await, Ownership::Ours);
    assert_eq!(complete(&*store, &first, &end).await, Ownership::Ours);
    assert_eq!(ledger(&*store).await.len(), 2);
}

pub(crate) async fn its_old_lease_is_not_renewed(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, ..) = hand_over(&*store).await;
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::Forgotten);
    let next = claim_of(&claim.slot, LONG);
    win(&*store, &claimant("web-2"), &next).await;
    match renew(&*store, &renewal(&claim, LONG)).await {
        Ownership::HeldBy(holder) => assert_eq!(holder.token, next.token),
        wrong => panic!("another holds it: {wrong:?}"),
    }
}

pub(crate) async fn another_end_after_it_writes_nothing(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, grant, _) = hand_over(&*store).await;
    let end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    assert_eq!(complete(&*store, &claimant("web-1"), &end).await, Ownership::Forgotten);
    assert_eq!(ledger(&*store).await.len(), 1);
    win(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
}

pub(crate) async fn the_cursor_does_not_bind_it(f: &impl Fixture) {
    let store = f.store().await;
    let (claim, ..) = hand_over(&*store).await;
    let passed = store.open_cursors(&[cursor_of("backup")], claim.slot.at, KEEP).await.unwrap();
    assert_eq!(passed, [claim.slot.at]);
    assert_eq!(win(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await.attempt, 2);
}
