//! One attempt at a slot's lock: who wins, and what the others learn.

use std::collections::HashSet;
use std::time::Duration;

use solocron::claim::{Claim, Holder, Refusal, Verdict};
use solocron::ledger::Query;
use solocron::outcome::Outcome;
use solocron::slot::{Slot, SlotTime};
use solocron::store::Ownership;

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
    let verdicts = verdicts(&*store, &me, &batch).await;
    assert_eq!(verdicts.len(), batch.len());
    let mut fences = HashSet::new();
    for won in [0, 2, 5] {
        let part = store.part(&batch[won].slot.job);
        fences.insert((part, granted(verdicts[won].clone()).fence));
    }
    assert_eq!(fences.len(), 3, "every win in a part of the store has a fence of its own");
    assert_eq!(holder(verdicts[1].clone()).node.as_str(), "web-2");
    assert_eq!(done(verdicts[3].clone()).outcome, Outcome::Succeeded);
    assert_eq!(verdicts[4], Verdict::Refused(Refusal::Early));
}

pub(crate) async fn slots_of_one_job_and_jobs_of_one_instant_are_independent(f: &impl Fixture) {
    let store = f.store().await;
    let at = due(&*store, "backup").await.at;
    let before = SlotTime::from_unix_seconds(at.unix_seconds() - 1);
    let earlier = Slot::scheduled(job("backup"), before);
    let other_job = Slot::scheduled(job("report"), at);
    let here = Slot::scheduled(job("backup"), at);
    for slot in [here, earlier, other_job] {
        assert_eq!(win(&*store, &claimant("web-1"), &claim_of(&slot, LONG)).await.attempt, 1);
    }
}

/// As after an outage: slots of several instants, job by job.
pub(crate) async fn of_several_jobs_and_instants_in_a_batch_each_claim_goes_by_its_own_terms(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let at = due(&*store, "a").await.at.unix_seconds();
    let names = ["a", "b", "c"];
    let cursors: Vec<_> = names.into_iter().map(cursor_of).collect();
    store.open_cursors(&cursors, SlotTime::from_unix_seconds(at - 10), KEEP).await.unwrap();
    let mut batch = Vec::new();
    for name in names {
        for second in [at - 2, at - 1] {
            let slot = Slot::scheduled(job(name), SlotTime::from_unix_seconds(second));
            // The first of each job has no other before it that might be without a record.
            batch.push(Claim { advance: second == at - 2, ..claim_of(&slot, LONG) });
        }
    }
    let verdicts = verdicts(&*store, &claimant("web-1"), &batch).await;
    for (claim, verdict) in batch.iter().zip(verdicts) {
        assert!(matches!(verdict, Verdict::Won(_)), "{}: {verdict:?}", claim.slot);
    }
    let reached = store.open_cursors(&cursors, SlotTime::from_unix_seconds(at), KEEP).await;
    assert_eq!(reached.unwrap(), [SlotTime::from_unix_seconds(at - 2); 3]);
}

pub(crate) async fn a_batch_of_five_thousand_is_won_held_renewed_and_completed(f: &impl Fixture) {
    let store = f.store().await;
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let at = due(&*store, "j").await.at;
    let claims: Vec<_> =
        (0..5000).map(|i| claim_of(&Slot::scheduled(job(&format!("job-{i}")), at), LONG)).collect();
    let grants: Vec<_> = verdicts(&*store, &me, &claims).await.into_iter().map(granted).collect();
    let won = claims.iter().zip(&grants);
    let fences: HashSet<_> =
        won.map(|(claim, grant)| (store.part(&claim.slot.job), grant.fence)).collect();
    assert_eq!(fences.len(), claims.len(), "every win in a part has a fence of its own");

    let rivals: Vec<_> = claims.iter().map(|claim| claim_of(&claim.slot, LONG)).collect();
    for (verdict, claim) in verdicts(&*store, &other, &rivals).await.into_iter().zip(&claims) {
        assert_eq!(holder(verdict).token, claim.token);
    }
    let renewals: Vec<_> = claims.iter().map(|claim| renewal(claim, LONG)).collect();
    let renewed = store.renew(&renewals).await.unwrap();
    assert_eq!(renewed, vec![Ownership::Ours; claims.len()]);

    let end = now(&*store).await;
    let ends: Vec<_> = claims
        .iter()
        .zip(&grants)
        .map(|(claim, &grant)| completion(claim, grant, Outcome::Succeeded, end))
        .collect();
    let completed = store.complete(&me.node, &ends).await.unwrap();
    assert_eq!(completed, vec![Ownership::Ours; claims.len()]);
    assert_eq!(ledger(&*store).await.len(), claims.len());
}

pub(crate) async fn one_slot_twice_in_a_batch_is_won_once(f: &impl Fixture) {
    let store = f.store().await;
    let slot = due(&*store, "backup").await;
    let batch = [claim_of(&slot, LONG), claim_of(&slot, LONG)];
    let verdicts = verdicts(&*store, &claimant("web-1"), &batch).await;
    granted(verdicts[0].clone());
    assert_eq!(holder(verdicts[1].clone()).token, batch[0].token);
}

pub(crate) async fn fences_grow_over_slots_and_handles(f: &impl Fixture) {
    let handles = [f.store().await, f.store().await, f.store().await];
    let mut last = 0;
    for i in 0..30 {
        let store = &handles[i % handles.len()];
        let slot = slot_in(&**store, "tick", i as i64 - 100).await;
        let fence = win(&**store, &claimant("web-1"), &claim_of(&slot, LONG)).await.fence.get();
        assert!(fence > last, "{fence} after {last}");
        assert!(fence < 1 << 53);
        last = fence;
    }
}

pub(crate) async fn a_lapsed_slot_is_still_held_by_its_holder_with_nothing_remaining(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let claim = claim_of(&due(&*store, "backup").await, SHORT);
    win(&*store, &claimant("web-1"), &claim).await;
    await_lapse(&*store, &claim.slot).await;
    let verdict = try_claim(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    let Holder { node, token, remaining } = holder(verdict);
    assert_eq!((node.as_str(), token, remaining), ("web-1", claim.token, Duration::ZERO));
}

pub(crate) async fn the_same_token_again_revives_a_lapsed_lease_that_nobody_settled(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let who = claimant("web-1");
    let mut claim = claim_of(&due(&*store, "backup").await, SHORT);
    let grant = win(&*store, &who, &claim).await;
    await_lapse(&*store, &claim.slot).await;
    claim.ttl = LONG;
    assert_eq!(win(&*store, &who, &claim).await, grant);
    assert_eq!(store.sweep(10).await.unwrap().open, []);
    let verdict = try_claim(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert!(holder(verdict).remaining > SHORT);
}

pub(crate) async fn a_first_claim_after_its_window_is_late(f: &impl Fixture) {
    let store = f.store().await;
    let mut claim = claim_of(&due(&*store, "backup").await, LONG);
    claim.start_by = now(&*store).await - Duration::from_millis(2);
    let verdict = try_claim(&*store, &claimant("web-1"), &claim).await;
    assert_eq!(verdict, Verdict::Refused(Refusal::Late));
    assert_eq!(store.slot(&claim.slot).await.unwrap().record, None, "nothing is written");
    assert_eq!(store.sweep(10).await.unwrap().open, []);
}

pub(crate) async fn the_window_binds_first_claims_only(f: &impl Fixture) {
    let store = f.store().await;
    let (a, b) = (claimant("web-1"), claimant("web-2"));
    let mut claim = claim_of(&due(&*store, "backup").await, LONG);
    let grant = win(&*store, &a, &claim).await;
    claim.start_by = now(&*store).await - Duration::from_secs(10);
    assert_eq!(win(&*store, &a, &claim).await, grant, "a late copy finds itself the owner");
    let mut late = claim_of(&claim.slot, LONG);
    late.start_by = claim.start_by;
    assert_eq!(holder(try_claim(&*store, &b, &late).await).token, claim.token);
}

pub(crate) async fn a_claim_may_be_early_by_the_tolerated_skew_and_no_more(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let soon = claim_of(&slot_in(&*store, "soon", 3).await, LONG);
    granted(try_claim(&*store, &who, &soon).await);
    let far = claim_of(&slot_in(&*store, "far", 30).await, LONG);
    assert_eq!(try_claim(&*store, &who, &far).await, Verdict::Refused(Refusal::Early));
    assert_eq!(store.slot(&far.slot).await.unwrap().record, None, "nothing is written");
}

pub(crate) async fn every_name_that_is_allowed_is_a_name_of_its_own(f: &impl Fixture) {
    let store = f.store().await;
    let all: String = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain("._-".chars()).collect();
    let longest = format!("{all}{}", &all[..128 - all.len()]);
    let almost = format!("{}_", &longest[..127]);
    let names = [&longest, &almost, "backup", "Backup", "backup.", "backup-1", "backup-10", "b.-_"];
    let at = due(&*store, "any").await.at;
    let who = claimant(&longest);
    for name in names {
        let slot = Slot::scheduled(job(name), at);
        let (claim, _) = run(&*store, &who, &slot, Outcome::Failed).await;
        let settled = done(try_claim(&*store, &who, &claim_of(&slot, LONG)).await);
        assert_eq!((settled.node, settled.token), (who.node.clone(), claim.token));
        let entries = store
            .history(&Query { job: Some(job(name)), limit: 10, ..Query::default() })
            .await
            .unwrap();
        assert_eq!(entries.len(), 1, "{name}");
        assert_eq!(entries[0].job().as_str(), name);
    }
}

pub(crate) async fn empty_batches_have_empty_answers(f: &impl Fixture) {
    let store = f.store().await;
    let (who, start) = (claimant("web-1"), due(&*store, "j").await.at);
    assert_eq!(store.claim(&who, &[]).await, Ok(vec![]));
    assert_eq!(store.renew(&[]).await, Ok(vec![]));
    assert_eq!(store.complete(&who.node, &[]).await, Ok(vec![]));
    assert_eq!(store.abandon(&who.node, &[]).await, Ok(vec![]));
    assert_eq!(store.forfeit(&who.node, &[]).await, Ok(vec![]));
    assert_eq!(store.record_missed(&who.node, &[]).await, Ok(vec![]));
    assert_eq!(store.open_cursors(&[], start, KEEP).await, Ok(vec![]));
    assert_eq!(store.recorded(&job("j"), &[]).await, Ok(vec![]));
    assert_eq!(open(&*store).await, []);
    assert_eq!(store.history(&Query::default()).await, Ok(vec![]));
}
