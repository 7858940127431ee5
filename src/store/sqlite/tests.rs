//! What only the inside of the backend can bring about: a full disk, a disk that hangs.

use std::time::Duration;

use rusqlite::params;

use super::*;
use crate::claim::{Token, Verdict};
use crate::policy::Overlap;
use crate::store::{Health, StoreError};
use crate::table::ScheduleDigest;

fn store(dir: &tempfile::TempDir, bound: Duration) -> SqliteStore {
    let options = Options { bound, ..Options::default() };
    let cluster = ClusterName::new("test").unwrap();
    SqliteStore::open(&dir.path().join("solocron.db"), &cluster, options).unwrap()
}

fn claimant() -> Claimant {
    Claimant {
        node: NodeName::new("web-1").unwrap(),
        boot: BootId::random(),
        max_early: Duration::from_secs(5),
    }
}

fn claims(count: usize, now: ClusterTime) -> Vec<Claim> {
    let at = SlotTime::from_unix_seconds(now.unix_millis() / 1000);
    (0..count)
        .map(|i| Claim {
            slot: Slot::scheduled(JobName::new(&format!("job-{i}")).unwrap(), at),
            token: Token::new(),
            ttl: Duration::from_secs(30),
            due: at.cluster_time(),
            start_by: at.cluster_time() + Duration::from_secs(60),
            overlap: Overlap::Skip,
            max_takeovers: 3,
            takes_over: None,
            keep_record: Duration::from_secs(600),
            keep_settled: Duration::from_secs(600),
            retention: Retention { keep: Duration::from_secs(600), per_job: 10 },
            digest: ScheduleDigest::from_bits(1),
            advance: false,
            looks_first: false,
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_the_whole_batch_and_passes() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, Duration::from_secs(15));
    let claims = claims(500, store.time().await.unwrap());
    let pages = |sql: &'static str| {
        store
            .calls
            .examine(move |link, _| Ok(link.db.query_row(sql, [], |row| row.get::<_, i64>(0))?))
    };
    // SQLite then says what it says of a full disk.
    pages("PRAGMA max_page_count = 1").await.unwrap();
    match store.claim(&claimant(), &claims).await {
        Err(StoreError::Unavailable(text)) => assert!(text.contains("make room"), "{text}"),
        wrong => panic!("{wrong:?}"),
    }
    assert!(matches!(&*store.health().borrow(), Health::Down(_)));
    assert_eq!(store.slot(&claims[0].slot).await.unwrap().record, None, "not even the first");

    pages("PRAGMA max_page_count = 1000000").await.unwrap();
    let claimed = store.claim(&claimant(), &claims).await.unwrap();
    assert!(claimed.iter().all(|claimed| matches!(claimed.verdict, Verdict::Won(_))));
    assert_eq!(*store.health().borrow(), Health::Up);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_hangs_is_unknown_to_who_was_writing_and_unavailable_to_who_waits() {
    // Opening has the same bound, and the disk of a busy machine takes its time.
    const BOUND: Duration = Duration::from_secs(1);
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, BOUND);
    let claims = claims(1, store.time().await.unwrap());
    let hanging = store.calls.write(|step| {
        std::thread::sleep(BOUND * 2);
        step.tx.execute("UPDATE clock SET last_fence = last_fence + ?1", params![7])?;
        Ok(())
    });
    let waiting = async {
        tokio::time::sleep(BOUND / 4).await;
        store.claim(&claimant(), &claims).await
    };
    let (hung, waited) = tokio::join!(hanging, waiting);
    assert!(matches!(hung, Err(StoreError::Unknown(_))), "it was written: {hung:?}");
    assert!(matches!(waited, Err(StoreError::Unavailable(_))), "it was not: {waited:?}");
    assert!(matches!(&*store.health().borrow(), Health::Down(_)));

    tokio::time::sleep(BOUND * 3).await;
    assert_eq!(store.slot(&claims[0].slot).await.unwrap().record, None, "nor is it later");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_of_the_daily_round_has_its_index() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(&dir, Duration::from_secs(15));
    let questions = [
        (open::WANTING, "slots_open"),
        (open::NEXT, "slots_open"),
        (open::TO_CANCEL, "slots_to_cancel"),
        (open::RUNS_LIKE, "slots_open"),
        (open::ALL, "slots_open"),
        (records::EXPIRE, "slots_by_end"),
        (ledger::OF_JOB, "ledger_by_job"),
        (ledger::OF_NODE, "ledger_by_node"),
        (ledger::OF_ALL, "ledger_by_time"),
        (ledger::OF_SLOT, "ledger_by_slot"),
        (ledger::RECORDED, "ledger_by_slot"),
    ];
    for (sql, index) in questions {
        let plan: Vec<String> = store
            .calls
            .examine(move |link, _| {
                let mut statement = link.db.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                let steps = statement.raw_query().mapped(|row| row.get(3));
                Ok(steps.collect::<rusqlite::Result<_>>()?)
            })
            .await
            .unwrap();
        let plan = plan.join("; ");
        assert!(plan.contains(index), "{sql}: {plan}");
        assert!(sql == ledger::OF_SLOT || !plan.contains("TEMP B-TREE"), "it sorts: {plan}");
        assert!(!plan.contains("SCAN ledger") && !plan.contains("SCAN slots"), "{sql}: {plan}");
    }
    store.close().await;
}
