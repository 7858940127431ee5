//! A newer slot takes the place of the run in progress.

use solocron::ledger::Entry;
use solocron::outcome::{CancelCause, Outcome};
use solocron::policy::Overlap;
use solocron::store::{Cancel, Ownership};

use super::*;

pub(crate) async fn one_that_replaces_has_the_run_in_progress_cancelled_and_waits(
    f: &impl Fixture,
) {
    let (a, b) = (f.store().await, f.store().await);
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let first = claim_by(Overlap::Replace, &slot_in(&*a, "tick", -2).await, LONG);
    let grant = win(&*a, &me, &first).await;
    let next = claim_by(Overlap::Replace, &slot_in(&*a, "tick", -1).await, LONG);
    for _ in 0..2 {
        assert_eq!(waits_for(try_claim(&*b, &other, &next).await), first.slot);
    }
    let sweep = a.sweep(10).await.unwrap();
    let marked =
        Cancel { slot: first.slot.clone(), token: first.token, cause: CancelCause::Replaced };
    assert_eq!((sweep.cancels, sweep.open), (vec![marked], vec![]));
    assert_eq!(renew(&*a, &renewal(&first, LONG)).await, Ownership::Ours, "until it is gone");
    assert_eq!(a.sweep(10).await.unwrap().cancels.len(), 1, "and stays marked");
    finish(&*a, &me, &first, grant, Outcome::Cancelled).await;
    assert_eq!(a.sweep(10).await.unwrap().cancels, []);
    assert_eq!(open_slot(&*a).await, next.slot);
    win(&*b, &other, &next).await;
}

pub(crate) async fn one_that_replaces_takes_the_turn_of_a_slot_that_nobody_runs(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let handed = claim_by(Overlap::Replace, &slot_in(&*store, "handed", -2).await, LONG);
    let grant = win(&*store, &me, &handed).await;
    finish(&*store, &me, &handed, grant, Outcome::HandedOver).await;
    let lost = claim_by(Overlap::Replace, &slot_in(&*store, "lost", -2).await, SHORT);
    win(&*store, &me, &lost).await;
    await_lapse(&*store, &lost.slot).await;
    for (claim, outcome) in [(&handed, Outcome::Cancelled), (&lost, Outcome::Abandoned)] {
        let slot = slot_in(&*store, claim.slot.job.as_str(), -1).await;
        let answer = claimed(&*store, &other, &claim_by(Overlap::Replace, &slot, LONG)).await;
        granted(answer.verdict);
        let [Entry::Run(run)] = &answer.entries[..] else { panic!("{:?}", answer.entries) };
        assert_eq!((&run.slot, run.outcome), (&claim.slot, outcome));
        assert_eq!(run.run_id, claim.token.run_id(1));
        let settled = try_claim(&*store, &me, &claim_of(&claim.slot, LONG)).await;
        assert_eq!(done(settled).outcome, outcome);
    }
    assert_eq!(open_slots(&*store).await, []);
}

pub(crate) async fn what_waits_does_not_have_a_run_cancelled_that_went_before_it(f: &impl Fixture) {
    let store = f.store().await;
    let me = claimant("web-1");
    let first = claim_by(Overlap::Replace, &slot_in(&*store, "tick", -3).await, LONG);
    let grant = win(&*store, &me, &first).await;
    let asked = claim_by(Overlap::Replace, &trigger(&*store, "tick").await, LONG);
    waits_for(try_claim(&*store, &me, &asked).await);
    let next = claim_by(Overlap::Replace, &slot_in(&*store, "tick", -1).await, LONG);
    waits_for(try_claim(&*store, &me, &next).await);
    finish(&*store, &me, &first, grant, Outcome::Cancelled).await;
    win(&*store, &me, &asked).await;
    assert_eq!(waits_for(try_claim(&*store, &me, &next).await), asked.slot);
    assert_eq!(store.sweep(10).await.unwrap().cancels, [], "only the one that it met");
}
