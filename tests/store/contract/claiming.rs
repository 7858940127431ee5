//! One attempt at a slot's lock: who wins, and what the others learn.

use std::collections::HashSet;
use std::time::Duration;

use solocron::claim::{Holder, Verdict};
use solocron::outcome::Outcome;

use super::*;

pub(crate) async fn the_first_claim_wins_and_the_second_learns_who_holds_it_and_for_how_long(
    f: &impl Fixture,
) {
    let (a, b) = (f.store().await, f.store().await);
    let slot = due(&*a, "backup").await;
    let first = claim_of(&slot, LONG);
    let before = now(&*a).await;
    let grant = win(&*a, &claimant("web-1"), &first).await;
    assert_eq!(grant.attempt, 1);
    assert!(grant.fence.get() >= before.unix_micros() as u64, "a fence is at least the time");

    let verdict = try_claim(&*b, &claimant("web-2"), &claim_of(&slot, LONG)).await;
    let Holder { node, token, remaining } = holder(verdict);
    assert_eq!(node.as_str(), "web-1");
    assert_eq!(token, first.token);
    assert!(remaining <= LONG && remaining > LONG - Duration::from_secs(30), "{remaining:?}");
}

pub(crate) async fn the_same_token_again_is_won_with_the_same_fence(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let claim = claim_of(&due(&*a, "backup").await, LONG);
    let who = claimant("web-1");
    let grant = win(&*a, &who, &claim).await;
    for store in [&a, &b, &a] {
        assert_eq!(win(&**store, &who, &claim).await, grant);
    }
}

pub(crate) async fn of_a_hundred_concurrent_claimants_one_wins(f: &impl Fixture) {
    let mut handles = Vec::new();
    for _ in 0..10 {
        handles.push(f.store().await);
    }
    let slot = due(&*handles[0], "flash-sale").await;
    let mut tries = tokio::task::JoinSet::new();
    for i in 0..100 {
        let store = handles[i % handles.len()].clone();
        let (who, claim) = (claimant(&format!("node-{i}")), claim_of(&slot, LONG));
        tries.spawn(async move { (who.node.clone(), try_claim(&*store, &who, &claim).await) });
    }
    let (mut winners, mut holders) = (Vec::new(), HashSet::new());
    while let Some(tried) = tries.join_next().await {
        match tried.unwrap() {
            (node, Verdict::Won(_)) => winners.push(node),
            (_, Verdict::Held(holder)) => {
                holders.insert(holder.node.to_string());
            }
            (_, other) => panic!("neither won nor held: {other:?}"),
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(holders, HashSet::from([winners[0].to_string()]), "all the others name the winner");
}

pub(crate) async fn verdicts_come_in_the_order_of_the_claims(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let held = claim_of(&due(&*store, "held").await, LONG);
    win(&*store, &other, &held).await;
    let (finished, _) =
        run(&*store, &other, &due(&*store, "finished").await, Outcome::Succeeded).await;

    let batch = [
        claim_of(&due(&*store, "one").await, LONG),
        claim_of(&held.slot, LONG),
        claim_of(&due(&*store, "two").await, LONG),
        claim_of(&finished.slot, LONG),
        claim_of(&slot_in(&*store, "three", 3600).await, LONG),
        claim_of(&due(&*store, "four").await, LONG),
    ];
    let verdicts = store.claim(&me, &batch).await.unwrap();
    assert_eq!(verdicts.len(), batch.len());
    let mut fences = HashSet::new();
    for won in [0, 2, 5] {
        fences.insert(granted(verdicts[won].clone()).fence);
    }
    assert_eq!(fences.len(), 3, "every win has a fence of its own");
    assert_eq!(holder(verdicts[1].clone()).node.as_str(), "web-2");
    assert_eq!(done(verdicts[3].clone()).outcome, Outcome::Succeeded);
    assert_eq!(verdicts[4], Verdict::Refused(solocron::claim::Refusal::Early));
}
