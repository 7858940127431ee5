//! Leases that lapse are found and settled, once, also by nodes that never saw them.

use std::time::Duration;

use solocron::claim::Token;
use solocron::clock::ClusterTime;
use solocron::ledger::Entry;
use solocron::outcome::{MissedReason, Outcome};
use solocron::store::{Abandonment, Open, OpenState, Ownership};

use super::*;

pub(crate) async fn lapsed_slots_are_listed_longest_ago_first(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let who = claimant("web-1");
    let later = claim_of(&due(&*a, "later").await, Duration::from_millis(200));
    let sooner = claim_of(&due(&*a, "sooner").await, Duration::from_millis(50));
    let alive = claim_of(&due(&*a, "alive").await, LONG);
    a.claim(&who, &[later.clone(), alive, sooner.clone()]).await.unwrap();
    run(&*a, &who, &due(&*a, "finished").await, Outcome::Succeeded).await;

    await_lapse(&*b, &later.slot).await;
    let lost = |claim: &solocron::claim::Claim| Open {
        slot: claim.slot.clone(),
        token: claim.token,
        node: who.node.clone(),
        attempt: 1,
        takeovers: 0,
        state: OpenState::Lost,
    };
    assert_eq!(b.sweep(10).await.unwrap().open, [lost(&sooner), lost(&later)]);
    assert_eq!(b.sweep(1).await.unwrap().open, [lost(&sooner)]);
}

pub(crate) async fn a_lapsed_slot_is_abandoned_by_one_of_many(f: &impl Fixture) {
    let store = f.store().await;
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    let grant = win(&*store, &claimant("web-1"), &claim).await;
    await_lapse(&*store, &claim.slot).await;

    let mut tries = tokio::task::JoinSet::new();
    for i in 0..8 {
        let (handle, what) = (f.store().await, abandonment(&claim));
        let by = claimant(&format!("settler-{i}"));
        tries.spawn(async move { (by.node.clone(), abandon(&*handle, &by, &what).await) });
    }
    let did: Vec<_> = tries.join_all().await.into_iter().filter(|(_, did)| *did).collect();
    assert_eq!(did.len(), 1, "{did:?}");

    let entries = ledger(&*store).await;
    let [Entry::Run(lost)] = &entries[..] else { panic!("one entry: {entries:?}") };
    assert_eq!((lost.node.as_str(), lost.outcome), ("web-1", Outcome::Abandoned));
    assert_eq!((lost.run_id, lost.attempt), (claim.token.run_id(1), grant.attempt));
    assert_eq!(lost.fence, grant.fence);
    assert!(lost.finished_at.since(lost.started_at) >= SHORT);
    let error = lost.error.as_deref().unwrap_or_default();
    assert!(error.contains("web-1") && error.contains(did[0].0.as_str()), "{error}");

    let settled = done(try_claim(&*store, &claimant("web-3"), &claim_of(&claim.slot, LONG)).await);
    assert_eq!((settled.node.as_str(), settled.outcome), ("web-1", Outcome::Abandoned));
    assert_eq!(store.sweep(10).await.unwrap().open, []);
}

pub(crate) async fn a_holder_that_comes_back_after_that_learns_it(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    let grant = win(&*store, &who, &claim).await;
    await_lapse(&*store, &claim.slot).await;
    assert!(abandon(&*store, &claimant("web-2"), &abandonment(&claim)).await);

    let end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    for answer in
        [renew(&*store, &renewal(&claim, LONG)).await, complete(&*store, &who, &end).await]
    {
        match answer {
            Ownership::SettledAs(settled) => assert_eq!(settled.outcome, Outcome::Abandoned),
            wrong => panic!("it is settled: {wrong:?}"),
        }
    }
    assert_eq!(done(try_claim(&*store, &who, &claim).await).outcome, Outcome::Abandoned);
    assert_eq!(ledger(&*store).await.len(), 1, "only that it was abandoned");
}

pub(crate) async fn what_lives_is_settled_or_was_another_s_is_not_abandoned(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let alive = claim_of(&due(&*store, "alive").await, LONG);
    win(&*store, &me, &alive).await;
    let (finished, _) =
        run(&*store, &me, &due(&*store, "finished").await, Outcome::Succeeded).await;
    let taken = due(&*store, "taken").await;
    let (handed, _) = run(&*store, &me, &taken, Outcome::HandedOver).await;
    win(&*store, &other, &claim_of(&taken, LONG)).await;
    let lapsed = claim_of(&due(&*store, "lapsed").await, SHORT);
    win(&*store, &me, &lapsed).await;
    await_lapse(&*store, &lapsed.slot).await;
    let unknown = claim_of(&due(&*store, "unknown").await, LONG);
    let mut wrong_token = abandonment(&lapsed);
    wrong_token.token = Token::new();
    let batch = [
        abandonment(&alive),
        abandonment(&finished),
        abandonment(&handed),
        wrong_token,
        abandonment(&unknown),
        abandonment(&lapsed),
    ];
    let before = ledger(&*store).await.len();
    let did = store.abandon(&other.node, &batch).await.unwrap();
    assert_eq!(did, [false, false, false, false, false, true]);
    assert_eq!(ledger(&*store).await.len(), before + 1);
    assert_eq!(renew(&*store, &renewal(&alive, LONG)).await, Ownership::Ours);
}

/// Who found it lost may say so when its holder, who drains, has had the answer to its claim
/// after all.
pub(crate) async fn a_slot_that_was_handed_over_after_all_is_not_abandoned_as_lost(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let slot = due(&*store, "late").await;
    let claim = claim_of(&slot, SHORT);
    let grant = win(&*store, &me, &claim).await;
    await_lapse(&*store, &slot).await;
    finish(&*store, &me, &claim, grant, Outcome::HandedOver).await;
    let lost = Abandonment { was_lost: true, ..abandonment(&claim) };
    assert!(!abandon(&*store, &other, &lost).await);
    win(&*store, &other, &claim_of(&slot, LONG)).await;
}

pub(crate) async fn a_slot_that_was_handed_to_nobody_is_abandoned(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let slot = due(&*store, "handed").await;
    let (claim, _) = run(&*store, &me, &slot, Outcome::HandedOver).await;
    assert!(abandon(&*store, &claimant("web-2"), &abandonment(&claim)).await);
    assert!(!abandon(&*store, &claimant("web-3"), &abandonment(&claim)).await, "once");

    let entries = ledger(&*store).await;
    let [Entry::Run(last), Entry::Run(first)] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(
        (first.outcome, last.outcome),
        (Outcome::HandedOver, Outcome::Abandoned),
        "both are told"
    );
    assert_eq!((last.run_id, last.fence), (first.run_id, first.fence));
    let error = last.error.as_deref().unwrap_or_default();
    assert!(error.contains("web-1") && error.contains("web-2"), "{error}");
    let late = try_claim(&*store, &me, &claim_of(&slot, LONG)).await;
    assert_eq!(done(late).outcome, Outcome::Abandoned);
    assert!(store.sweep(1000).await.unwrap().open.is_empty());
}

pub(crate) async fn a_forfeited_claim_is_missed_and_never_runs(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let claim = claim_of(&due(&*store, "backup").await, LONG);
    let grant = win(&*store, &who, &claim).await;
    let forfeit = forfeit_of(&claim);
    assert_eq!(store.forfeit(&who.node, std::slice::from_ref(&forfeit)).await, Ok(vec![true]));
    assert_eq!(store.forfeit(&who.node, &[forfeit]).await, Ok(vec![false]), "once");

    let entries = ledger(&*store).await;
    let [Entry::Missed(missed)] = &entries[..] else { panic!("one entry: {entries:?}") };
    assert_eq!((missed.range.from, missed.range.to), (claim.slot.at, claim.slot.at));
    assert_eq!((missed.range.count, missed.range.reason), (1, MissedReason::StoreDown));
    assert_eq!((&missed.job, &missed.node), (&claim.slot.job, &who.node));

    assert_eq!(done(try_claim(&*store, &who, &claim).await).outcome, Outcome::Missed);
    let other = try_claim(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(done(other).outcome, Outcome::Missed);
    let end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    assert!(matches!(complete(&*store, &who, &end).await, Ownership::SettledAs(_)));
    assert_eq!(store.sweep(10).await.unwrap().open, []);
    assert_eq!(ledger(&*store).await.len(), 1);
}

pub(crate) async fn only_what_runs_under_its_token_is_forfeited(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let theirs = claim_of(&due(&*store, "theirs").await, LONG);
    win(&*store, &other, &theirs).await;
    let mut foreign = forfeit_of(&theirs);
    foreign.token = Token::new();
    let (finished, _) =
        run(&*store, &me, &due(&*store, "finished").await, Outcome::Succeeded).await;
    let unknown = claim_of(&due(&*store, "unknown").await, LONG);
    let before = ledger(&*store).await;
    let batch = [foreign, forfeit_of(&finished), forfeit_of(&unknown)];
    assert_eq!(store.forfeit(&me.node, &batch).await, Ok(vec![false, false, false]));
    assert_eq!(ledger(&*store).await, before);
    assert_eq!(store.slot(&unknown.slot).await.unwrap().record, None);
    assert_eq!(renew(&*store, &renewal(&theirs, LONG)).await, Ownership::Ours);
}

pub(crate) async fn the_next_that_may_lapse_is_told(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    assert_eq!(store.sweep(10).await.unwrap().next, None);
    let before = now(&*store).await;
    let later = claim_of(&due(&*store, "later").await, LONG * 2);
    let sooner = claim_of(&due(&*store, "sooner").await, LONG);
    let lapsed = claim_of(&due(&*store, "lapsed").await, SHORT);
    let batch = [later.clone(), sooner.clone(), lapsed.clone()];
    store.claim(&who, &batch).await.unwrap();
    run(&*store, &who, &due(&*store, "finished").await, Outcome::Succeeded).await;
    let after = now(&*store).await;
    await_lapse(&*store, &lapsed.slot).await;
    let near = |next: ClusterTime, ttl: Duration| {
        let slack = Duration::from_millis(2);
        next + slack >= before + ttl && next <= after + ttl + slack
    };
    let next = store.sweep(10).await.unwrap().next.unwrap();
    assert!(near(next, LONG), "{next}");
    let grant = win(&*store, &who, &sooner).await;
    finish(&*store, &who, &sooner, grant, Outcome::Succeeded).await;
    let next = store.sweep(10).await.unwrap().next.unwrap();
    assert!(near(next, LONG * 2), "{next}");
}
