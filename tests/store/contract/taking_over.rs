//! A lease that lapsed is taken over: by one, with a larger fence, and only so often.

use solocron::claim::{Claim, Grant, Refusal, Verdict};
use solocron::ledger::Entry;
use solocron::outcome::Outcome;
use solocron::store::{OpenState, Ownership, SlotState, Store};

use super::*;

/// `web-1` claims a slot and stops renewing; its claim, and what it won.
async fn lose(store: &dyn Store, max_takeovers: u32) -> (Claim, Grant) {
    let claim = Claim { max_takeovers, ..claim_of(&due(store, "backup").await, SHORT) };
    let grant = win(store, &claimant("web-1"), &claim).await;
    await_lapse(store, &claim.slot).await;
    (claim, grant)
}

pub(crate) async fn a_lapsed_lease_is_taken_over_with_a_larger_fence_and_its_run_is_told(
    f: &impl Fixture,
) {
    let (a, b) = (f.store().await, f.store().await);
    let (lost, first) = lose(&*a, 3).await;
    let taker = Claim { ttl: SHORT, ..takeover_of(&lost) };
    let claimed = claimed(&*b, &claimant("web-2"), &taker).await;
    let second = granted(claimed.verdict);
    assert_eq!((second.attempt, second.failures), (2, 0));
    assert!(second.fence > first.fence);

    assert_eq!(ledger(&*a).await, claimed.entries, "the winner is told what was written");
    let [Entry::Run(run)] = &claimed.entries[..] else { panic!("{:?}", claimed.entries) };
    assert_eq!((&run.slot, run.outcome), (&lost.slot, Outcome::LeaseLost));
    assert_eq!((run.run_id, run.attempt), (lost.token.run_id(1), 1));
    assert_eq!((run.node.as_str(), run.fence), ("web-1", first.fence));
    assert!(run.finished_at.since(run.started_at) >= SHORT);
    let error = run.error.as_deref().unwrap_or_default();
    assert!(error.contains("web-1") && error.contains("web-2"), "{error}");

    let record = a.slot(&lost.slot).await.unwrap().record.unwrap();
    assert_eq!((record.node.as_str(), record.token), ("web-2", taker.token));
    assert_eq!((record.attempt, record.fence), (2, second.fence));
    await_lapse(&*a, &lost.slot).await;
    let open = &open(&*a).await[0];
    assert_eq!((open.attempt, open.takeovers, open.state), (2, 1, OpenState::Lost));
    assert_eq!((open.node.as_str(), open.token), ("web-2", taker.token));
}

pub(crate) async fn of_many_that_take_over_one_wins_and_the_lost_run_is_told_once(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let (lost, _) = lose(&*store, 3).await;
    let mut tries = tokio::task::JoinSet::new();
    for i in 0..8 {
        let (handle, who) = (f.store().await, claimant(&format!("taker-{i}")));
        let taker = takeover_of(&lost);
        tries.spawn(async move { try_claim(&*handle, &who, &taker).await });
    }
    let verdicts = tries.join_all().await;
    let won = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Won(_))).count();
    let held = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Held(_))).count();
    assert_eq!((won, held), (1, 7), "{verdicts:?}");
    assert_eq!(ledger(&*store).await.len(), 1);
}

pub(crate) async fn the_same_takeover_again_is_won_with_the_same_fence(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, _) = lose(&*store, 1).await;
    let (who, taker) = (claimant("web-2"), takeover_of(&lost));
    let grant = win(&*store, &who, &taker).await;
    let again = claimed(&*store, &who, &taker).await;
    assert_eq!(granted(again.verdict), grant);
    assert_eq!(again.entries, [], "nothing new is told");
    assert_eq!(ledger(&*store).await.len(), 1);
}

pub(crate) async fn only_the_token_that_lost_its_lease_is_taken_over(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-2");
    let alive = claim_of(&due(&*store, "alive").await, LONG);
    win(&*store, &claimant("web-1"), &alive).await;
    assert_eq!(holder(try_claim(&*store, &who, &takeover_of(&alive)).await).token, alive.token);

    let (lost, _) = lose(&*store, 3).await;
    let stranger = claim_of(&lost.slot, LONG);
    let wrong = takeover_of(&stranger);
    assert_eq!(holder(try_claim(&*store, &who, &wrong).await).token, lost.token);
    assert_eq!(holder(try_claim(&*store, &who, &stranger).await).token, lost.token);

    let second = takeover_of(&lost);
    win(&*store, &who, &second).await;
    let late = try_claim(&*store, &claimant("web-3"), &takeover_of(&lost)).await;
    assert_eq!(holder(late).token, second.token, "another was faster");
    assert_eq!(ledger(&*store).await.len(), 1);
}

pub(crate) async fn a_takeover_is_bound_by_no_window_and_no_cursor(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, _) = lose(&*store, 3).await;
    store.open_cursors(&[cursor_of("backup")], lost.slot.at, KEEP).await.unwrap();
    let start_by = lost.slot.at.cluster_time() - WINDOW;
    let taker = Claim { start_by, ..takeover_of(&lost) };
    assert_eq!(win(&*store, &claimant("web-2"), &taker).await.attempt, 2);
}

pub(crate) async fn a_slot_is_taken_over_no_more_often_than_its_job_allows(f: &impl Fixture) {
    let store = f.store().await;
    let (mut lost, _) = lose(&*store, 2).await;
    for takeovers in 1..=2 {
        let taker = Claim { ttl: SHORT, ..takeover_of(&lost) };
        let grant = win(&*store, &claimant("web-2"), &taker).await;
        assert_eq!(grant.attempt, takeovers + 1);
        await_lapse(&*store, &lost.slot).await;
        lost = taker;
    }
    let third = try_claim(&*store, &claimant("web-3"), &takeover_of(&lost)).await;
    assert_eq!(holder(third).token, lost.token);
    assert!(abandon(&*store, &claimant("web-3"), &abandonment(&lost)).await);
    let told: Vec<_> = runs(&*store).await.iter().map(|run| (run.attempt, run.outcome)).collect();
    let lost_twice = [(2, Outcome::LeaseLost), (1, Outcome::LeaseLost)];
    assert_eq!(told, [&[(3, Outcome::Abandoned)], &lost_twice[..]].concat());
}

pub(crate) async fn a_slot_that_must_not_run_again_is_abandoned_with_the_reason(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, grant) = lose(&*store, 0).await;
    let who = claimant("web-2");
    assert_eq!(holder(try_claim(&*store, &who, &takeover_of(&lost)).await).token, lost.token);
    assert_eq!(ledger(&*store).await, []);
    let mut why = abandonment(&lost);
    why.why = "on_crash = \"skip\"".to_owned();
    assert!(abandon(&*store, &who, &why).await);
    let [run] = &runs(&*store).await[..] else { panic!("one run") };
    assert_eq!((run.outcome, run.attempt, run.fence), (Outcome::Abandoned, 1, grant.fence));
    let error = run.error.as_deref().unwrap_or_default();
    assert!(error.contains("on_crash = \"skip\"") && error.contains("web-1"), "{error}");
    let late = try_claim(&*store, &who, &takeover_of(&lost)).await;
    assert_eq!(done(late).outcome, Outcome::Abandoned);
}

pub(crate) async fn a_holder_that_comes_back_after_a_takeover_learns_it(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, grant) = lose(&*store, 3).await;
    let taker = takeover_of(&lost);
    win(&*store, &claimant("web-2"), &taker).await;
    let first = claimant("web-1");
    let end = completion(&lost, grant, Outcome::Succeeded, now(&*store).await);
    for answer in
        [renew(&*store, &renewal(&lost, LONG)).await, complete(&*store, &first, &end).await]
    {
        match answer {
            Ownership::HeldBy(holder) => assert_eq!(holder.token, taker.token),
            wrong => panic!("another holds it: {wrong:?}"),
        }
    }
    assert_eq!(holder(try_claim(&*store, &first, &lost).await).token, taker.token);
    assert_eq!(ledger(&*store).await.len(), 1, "only that its lease was lost");
}

pub(crate) async fn a_holder_that_comes_back_before_it_keeps_its_slot(f: &impl Fixture) {
    let store = f.store().await;
    let (lost, _) = lose(&*store, 3).await;
    assert_eq!(renew(&*store, &renewal(&lost, LONG)).await, Ownership::Ours);
    let late = try_claim(&*store, &claimant("web-2"), &takeover_of(&lost)).await;
    assert_eq!(holder(late).token, lost.token);
    assert_eq!(ledger(&*store).await, []);
}

pub(crate) async fn a_slot_that_was_taken_over_is_handed_over_and_ends_as_any_other(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let (lost, _) = lose(&*store, 3).await;
    let (second, taker) = (claimant("web-2"), takeover_of(&lost));
    let grant = win(&*store, &second, &taker).await;
    let end = completion(&taker, grant, Outcome::HandedOver, now(&*store).await);
    assert_eq!(complete(&*store, &second, &end).await, Ownership::Ours);
    let open = &open(&*store).await[0];
    assert_eq!((open.attempt, open.takeovers), (2, 1), "a hand-over is no takeover");
    let refused = Verdict::Refused(Refusal::HandedOver);
    assert_eq!(try_claim(&*store, &second, &taker).await, refused);

    let third = claim_of(&lost.slot, LONG);
    let grant = win(&*store, &claimant("web-3"), &third).await;
    assert_eq!(grant.attempt, 3);
    finish(&*store, &claimant("web-3"), &third, grant, Outcome::Succeeded).await;
    let record = store.slot(&lost.slot).await.unwrap().record.unwrap();
    assert_eq!(record.state, SlotState::Settled(Outcome::Succeeded));
    let told: Vec<_> = runs(&*store).await.iter().map(|run| (run.attempt, run.outcome)).collect();
    let expected = [(3, Outcome::Succeeded), (2, Outcome::HandedOver), (1, Outcome::LeaseLost)];
    assert_eq!(told, expected);
    assert_eq!(open_slots(&*store).await, []);
}
