//! How a run ends: completed once, and done for good.

use std::time::Duration;

use solocron::claim::{Holder, Settled, Token};
use solocron::outcome::Outcome;
use solocron::store::Ownership;

use super::*;

pub(crate) async fn done_outlives_the_lock_and_names_who_ran_it_and_how_it_ended(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let (first, second) = (claimant("web-1"), claimant("web-2"));
    let claim = claim_of(&due(&*a, "ten-milliseconds").await, SHORT);
    let claimed = now(&*a).await;
    let grant = win(&*a, &first, &claim).await;
    let end = completion(&claim, grant, Outcome::Failed, now(&*a).await);
    assert_eq!(complete(&*a, &first, &end).await, Ownership::Ours);

    let settled =
        Settled { node: first.node.clone(), token: claim.token, outcome: Outcome::Failed };
    let late = claim_of(&claim.slot, LONG);
    assert_eq!(done(try_claim(&*b, &second, &late).await), settled);
    await_time(&*b, claimed + SHORT + Duration::from_millis(50)).await;
    assert_eq!(done(try_claim(&*b, &second, &late).await), settled, "also when the lease is over");
    assert_eq!(done(try_claim(&*a, &first, &claim).await), settled, "also by its own token");
    assert_eq!(b.sweep(10).await.unwrap().open, [], "a settled slot never lapses");
}

pub(crate) async fn every_outcome_but_a_hand_over_settles_the_slot(f: &impl Fixture) {
    let store = f.store().await;
    for &outcome in Outcome::ALL.iter().filter(|&&outcome| outcome != Outcome::HandedOver) {
        let slot = due(&*store, outcome.as_str()).await;
        let (claim, _) = run(&*store, &claimant("web-1"), &slot, outcome).await;
        let settled = done(try_claim(&*store, &claimant("web-2"), &claim_of(&slot, LONG)).await);
        assert_eq!((settled.outcome, settled.token), (outcome, claim.token));
    }
}

pub(crate) async fn a_copy_of_a_completion_is_ours_and_writes_nothing(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let who = claimant("web-1");
    for outcome in [Outcome::Succeeded, Outcome::Failed] {
        let claim = claim_of(&due(&*a, outcome.as_str()).await, LONG);
        let grant = win(&*a, &who, &claim).await;
        let end = completion(&claim, grant, outcome, now(&*a).await);
        assert_eq!(complete(&*a, &who, &end).await, Ownership::Ours);
        let written = ledger(&*a).await;
        assert_eq!(complete(&*b, &who, &end).await, Ownership::Ours);
        assert_eq!(complete(&*a, &who, &end).await, Ownership::Ours);
        assert_eq!(ledger(&*a).await, written);
    }
}

pub(crate) async fn a_second_completion_with_another_outcome_learns_the_first(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let (claim, grant) =
        run(&*store, &who, &due(&*store, "backup").await, Outcome::Succeeded).await;
    let other = completion(&claim, grant, Outcome::Failed, now(&*store).await);
    let settled =
        Settled { node: who.node.clone(), token: claim.token, outcome: Outcome::Succeeded };
    assert_eq!(complete(&*store, &who, &other).await, Ownership::SettledAs(settled));
    assert_eq!(ledger(&*store).await.len(), 1);
}

pub(crate) async fn a_completion_with_a_foreign_token_learns_the_holder(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let claim = claim_of(&due(&*store, "backup").await, LONG);
    let grant = win(&*store, &me, &claim).await;
    let mut foreign = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    foreign.token = Token::new();
    match complete(&*store, &other, &foreign).await {
        Ownership::HeldBy(Holder { node, token, remaining }) => {
            assert_eq!((node, token), (me.node.clone(), claim.token));
            assert!(remaining > Duration::ZERO);
        }
        wrong => panic!("it is held: {wrong:?}"),
    }
    assert_eq!(ledger(&*store).await, [], "nothing is written");
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::Ours);
}

pub(crate) async fn a_completion_of_what_was_never_claimed_is_forgotten(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let won = claim_of(&due(&*store, "known").await, LONG);
    let grant = win(&*store, &who, &won).await;
    let unknown = claim_of(&due(&*store, "unknown").await, LONG);
    let end = completion(&unknown, grant, Outcome::Succeeded, now(&*store).await);
    assert_eq!(complete(&*store, &who, &end).await, Ownership::Forgotten);
    assert_eq!(ledger(&*store).await, []);
    assert_eq!(store.slot(&unknown.slot).await.unwrap().record, None);
}

pub(crate) async fn a_lapsed_lease_that_nobody_settled_is_still_completed(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    let grant = win(&*store, &who, &claim).await;
    await_lapse(&*store, &claim.slot).await;
    let end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    assert_eq!(complete(&*store, &who, &end).await, Ownership::Ours);
    assert_eq!(store.sweep(10).await.unwrap().open, []);
    assert_eq!(ledger(&*store).await.len(), 1);
}

pub(crate) async fn answers_come_in_the_order_of_the_completions(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let mine = claim_of(&due(&*store, "mine").await, LONG);
    let grant = win(&*store, &me, &mine).await;
    let theirs = claim_of(&due(&*store, "theirs").await, LONG);
    win(&*store, &other, &theirs).await;
    let (settled, _) = run(&*store, &other, &due(&*store, "done").await, Outcome::TimedOut).await;
    let nobodys = claim_of(&due(&*store, "nobodys").await, LONG);
    let at = now(&*store).await;
    let ends: Vec<_> = [&theirs, &nobodys, &mine, &settled]
        .map(|of| claim_of(&of.slot, LONG))
        .iter()
        .map(|copy| completion(copy, grant, Outcome::Succeeded, at))
        .map(|end| match end.slot == mine.slot {
            true => completion(&mine, grant, Outcome::Succeeded, at),
            false => end,
        })
        .collect();
    let answers = store.complete(&me.node, &ends).await.unwrap();
    assert!(matches!(&answers[0], Ownership::HeldBy(holder) if holder.token == theirs.token));
    assert_eq!(answers[1], Ownership::Forgotten);
    assert_eq!(answers[2], Ownership::Ours);
    assert!(matches!(&answers[3], Ownership::SettledAs(s) if s.outcome == Outcome::TimedOut));
}

pub(crate) async fn ten_runs_in_a_row_of_one_job_each_have_their_slot(f: &impl Fixture) {
    let store = f.store().await;
    let mut last = 0;
    for i in 0..10 {
        let slot = slot_in(&*store, "tick", i - 20).await;
        let (_, grant) = run(&*store, &claimant("web-1"), &slot, Outcome::Succeeded).await;
        assert!(grant.fence.get() > last);
        assert_eq!(grant.attempt, 1);
        last = grant.fence.get();
    }
    assert_eq!(ledger(&*store).await.len(), 10);
}
