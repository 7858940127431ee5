//! Nothing in the file grows without bound.

use std::time::Duration;

use solocron::ledger::Retention;
use solocron::outcome::Outcome;
use solocron::slot::{Slot, SlotTime};

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
        let slot = Slot { job: job("tick"), at: SlotTime::from_unix_seconds(start + i) };
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
    let old = now(&*store).await;
    await_time(&*store, old + SHORT * 2).await;
    assert_eq!((count(&f, "slots"), count(&f, "cursors"), count(&f, "ledger")), (1, 1, 1));
    store.prune(Retention { keep: SHORT, per_job: 10 }).await.unwrap();
    for table in ["slots", "cursors", "ledger", "tails", "nodes"] {
        assert_eq!(count(&f, table), 0, "{table}");
    }
}

/// More than is pruned in one transaction.
#[tokio::test]
async fn a_large_ledger_is_pruned_whole() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let who = claimant("web-1");
    let start = slot_in(&*store, "tick", -9000).await.at.unix_seconds();
    let claims: Vec<_> = (0..4500)
        .map(|i| Slot { job: job("tick"), at: SlotTime::from_unix_seconds(start + i) })
        .map(|slot| {
            let mut claim = claim_of(&slot, LONG);
            claim.start_by = claim.start_by + WINDOW * 3;
            claim
        })
        .collect();
    let grants: Vec<_> =
        store.claim(&who, &claims).await.unwrap().into_iter().map(granted).collect();
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
