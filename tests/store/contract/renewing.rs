//! A lease lives as long as it is renewed, by its own token only.

use std::time::Duration;

use solocron::claim::{Settled, Token};
use solocron::clock::BootInstant;
use solocron::outcome::Outcome;
use solocron::store::Ownership;

use super::*;

pub(crate) async fn a_renewed_lease_outlives_several_times_its_length(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let ttl = Duration::from_millis(900);
    let claim = claim_of(&due(&*a, "backup").await, ttl);
    win(&*a, &claimant("web-1"), &claim).await;
    let start = BootInstant::now();
    while BootInstant::now().since(start) < ttl * 3 {
        assert_eq!(renew(&*a, &renewal(&claim, ttl)).await, Ownership::Ours);
        assert_eq!(b.sweep(10).await.unwrap().open, []);
        tokio::time::sleep(ttl / 10).await;
    }
    let verdict = try_claim(&*b, &claimant("web-2"), &claim_of(&claim.slot, ttl)).await;
    assert!(holder(verdict).remaining > Duration::ZERO);
    await_lapse(&*b, &claim.slot).await;
}

pub(crate) async fn a_renewal_of_what_was_never_claimed_is_forgotten(f: &impl Fixture) {
    let store = f.store().await;
    let claim = claim_of(&due(&*store, "backup").await, LONG);
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::Forgotten);
    assert_eq!(store.slot(&claim.slot).await.unwrap().record, None, "and makes no lock");
}

pub(crate) async fn a_renewal_with_a_foreign_token_learns_the_holder_and_prolongs_nothing(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    win(&*store, &claimant("web-1"), &claim).await;
    let mut foreign = renewal(&claim, LONG);
    foreign.token = Token::new();
    match renew(&*store, &foreign).await {
        Ownership::HeldBy(holder) => {
            assert_eq!((holder.node.as_str(), holder.token), ("web-1", claim.token));
        }
        wrong => panic!("it is held: {wrong:?}"),
    }
    await_lapse(&*store, &claim.slot).await;
}

pub(crate) async fn a_renewal_of_a_settled_slot_learns_how_it_was_settled(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let (claim, _) = run(&*store, &who, &due(&*store, "backup").await, Outcome::Cancelled).await;
    let settled =
        Settled { node: who.node.clone(), token: claim.token, outcome: Outcome::Cancelled };
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::SettledAs(settled));
    assert_eq!(store.sweep(10).await.unwrap().open, []);
}

pub(crate) async fn a_lapsed_lease_that_nobody_settled_is_revived(f: &impl Fixture) {
    let store = f.store().await;
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    win(&*store, &claimant("web-1"), &claim).await;
    await_lapse(&*store, &claim.slot).await;
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::Ours);
    assert_eq!(store.sweep(10).await.unwrap().open, []);
    assert!(!abandon(&*store, &claimant("web-2"), &abandonment(&claim)).await);
}

pub(crate) async fn answers_come_in_the_order_of_the_renewals(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let one = claim_of(&due(&*store, "one").await, LONG);
    let two = claim_of(&due(&*store, "two").await, LONG);
    store.claim(&who, &[one.clone(), two.clone()]).await.unwrap();
    let nobodys = claim_of(&due(&*store, "nobodys").await, LONG);
    let renewals = [&one, &nobodys, &two].map(|claim| renewal(claim, LONG));
    assert_eq!(
        store.renew(&renewals).await.unwrap(),
        [Ownership::Ours, Ownership::Forgotten, Ownership::Ours]
    );
}
