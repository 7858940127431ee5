//! Nothing in the file grows without bound.

use std::time::Duration;

use solocron::ledger::Retention;
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime, TriggerId};

use super::*;

fn count(f: &SqliteFixture, table: &str) -> i64 {
    f.shell().query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn records_ledger_and_output_of_a_busy_job_stay_few() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let who = claimant("web-1");
    let start = slot_in(&*store, "tick", -3000).await.at.unix_seconds();
    let retention = Retention { keep: Duration::from_secs(60), per_job: 50 };
    for i in 0..300 {
        let slot = Slot::scheduled(job("tick"), SlotTime::from_unix_seconds(start + i));
        let mut claim = claim_of(&slot, SHORT);
        claim.keep_record = Duration::from_millis(5);
        let grant = win(&*store, &who, &claim).await;
        let outcome = if i % 2 == 0 { Outcome::Succeeded } else { Outcome::Failed };
        let mut end = completion(&claim, grant, outcome, now(&*store).await);
        (end.keep_record, end.retention) = (claim.keep_record, retention);
        complete(&*store, &who, &end).await;
    }
    assert_eq!(count(&f, "ledger"), 50);
    assert_eq!(count(&f, "tails"), 20);
    let records = count(&f, "slots");
    assert!(records < 100, "{records} records");
}

#[tokio::test]
async fn what_nobody_touches_again_is_pruned() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let who = claimant("web-1");
    let slot = due(&*store, "backup").await;
    let mut claim = claim_of(&slot, SHORT);
    claim.keep_record = SHORT;
    let grant = win(&*store, &who, &claim).await;
    let mut end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    end.keep_record = SHORT;
    complete(&*store, &who, &end).await;
    store.open_cursors(&[cursor_of("backup")], slot.at, SHORT).await.unwrap();
    let mut turn = claim_by(Overlap::Wait, &due(&*store, "in-turn").await, SHORT);
    turn.keep_record = SHORT;
    win(&*store, &who, &turn).await;
    let asked = Slot::triggered(job("asked"), TriggerId::new(now(&*store).await));
    assert_eq!(store.trigger(&who.node, &asked, SHORT).await, Ok(true));
    store.publish_table("00c0ffee00000001", &[(job("backup"), 7)], SHORT).await.unwrap();
    store.watch_output(claim.token.run_id(1), SHORT).await.unwrap();
    let old = now(&*store).await;
    await_time(&*store, old + SHORT * 2).await;
    assert_eq!(count(&f, "outputs"), 1);
    assert_eq!((count(&f, "slots"), count(&f, "cursors"), count(&f, "ledger")), (3, 1, 1));
    assert_eq!((count(&f, "turns"), count(&f, "published")), (1, 1));
    store.prune(Retention { keep: SHORT, per_job: 10 }).await.unwrap();
    for table in ["slots", "turns", "cursors", "ledger", "tails", "nodes", "published", "outputs"] {
        assert_eq!(count(&f, table), 0, "{table}");
    }
}

#[tokio::test]
async fn a_turn_goes_when_nobody_has_it_or_waits() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let who = claimant("web-1");
    let first = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -2).await, LONG);
    let grant = win(&*store, &who, &first).await;
    let next = claim_by(Overlap::Wait, &slot_in(&*store, "tick", -1).await, LONG);
    waits_for(try_claim(&*store, &who, &next).await);
    store.prune(KEEP_ALL).await.unwrap();
    assert_eq!(count(&f, "turns"), 1, "it is needed");
    finish(&*store, &who, &first, grant, Outcome::Succeeded).await;
    let grant = win(&*store, &who, &next).await;
    finish(&*store, &who, &next, grant, Outcome::Succeeded).await;
    assert_eq!(count(&f, "turns"), 0);
}

#[tokio::test]
async fn pauses_and_reloads_that_do_not_matter_any_more_are_pruned() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    for name in ["over", "lasting"] {
        assert_eq!(store.pause(&job(name), true).await, Ok(true));
    }
    assert_eq!(store.pause(&job("over"), false).await, Ok(true));
    store.request_reload(Some(&node("web-1"))).await.unwrap();
    store.prune(KEEP_ALL).await.unwrap();
    assert_eq!((count(&f, "pauses"), count(&f, "reloads")), (2, 1));
    let aged = "UPDATE clock SET last_time = last_time + 9 * 86400000000";
    f.shell().execute_batch(aged).unwrap();
    store.prune(KEEP_ALL).await.unwrap();
    assert_eq!((count(&f, "pauses"), count(&f, "reloads")), (1, 0));
    let control = store.control().await.unwrap();
    assert!(control.is_paused(&job("lasting")) && control.reload_of.is_empty());
    assert_eq!(control.version, 4, "the version stays");
}

/// More than is pruned in one transaction.
#[tokio::test]
async fn a_large_ledger_is_pruned_whole() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let who = claimant("web-1");
    let start = slot_in(&*store, "tick", -9000).await.at.unix_seconds();
    let claims: Vec<_> = (0..4500)
        .map(|i| Slot::scheduled(job("tick"), SlotTime::from_unix_seconds(start + i)))
        .map(|slot| {
            let mut claim = claim_of(&slot, LONG);
            claim.start_by = claim.start_by + WINDOW * 3;
            claim
        })
        .collect();
    let grants: Vec<_> = verdicts(&*store, &who, &claims).await.into_iter().map(granted).collect();
    let at = now(&*store).await;
    let large = Retention { per_job: 100_000, ..KEEP_ALL };
    let ends: Vec<_> = claims
        .iter()
        .zip(grants)
        .map(|(claim, grant)| completion(claim, grant, Outcome::Succeeded, at))
        .map(|end| solocron::store::Completion { retention: large, ..end })
        .collect();
    store.complete(&who.node, &ends).await.unwrap();
    assert_eq!(count(&f, "ledger"), 4500);
    store.prune(Retention { per_job: 100, ..KEEP_ALL }).await.unwrap();
    assert_eq!(count(&f, "ledger"), 100);
    let newest = ledger(&*store).await;
    assert_eq!(newest.len(), 100);
}
