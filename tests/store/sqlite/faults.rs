//! A file that is held, deleted or damaged: bounded errors, no late effects.

use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::store::{Health, StoreError};

use super::*;

/// How long the impatient wait for the file.
const BOUND: Duration = Duration::from_millis(400);

fn impatient() -> Options {
    Options { bound: BOUND, ..Options::default() }
}

/// A process that is frozen inside a write transaction.
fn freeze(f: &SqliteFixture) -> rusqlite::Connection {
    let other = f.shell();
    other.execute_batch("BEGIN IMMEDIATE; UPDATE clock SET last_fence = last_fence").unwrap();
    other
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_frozen_in_a_transaction_is_a_store_that_is_down() {
    let f = SqliteFixture::start().await;
    let store = open(&f.path(), impatient()).unwrap();
    let (free, late) = (due(&*store, "free").await, due(&*store, "late").await);
    let who = claimant("web-1");
    win(&*store, &who, &claim_of(&free, LONG)).await;
    assert_eq!(*store.health().borrow(), Health::Up);

    let frozen = freeze(&f);
    let start = BootInstant::now();
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..5 {
        let (store, who, claim) = (store.clone(), who.clone(), claim_of(&late, LONG));
        tries.spawn(async move { store.claim(&who, &[claim]).await });
    }
    for answer in tries.join_all().await {
        match answer {
            Err(StoreError::Unavailable(_)) => {}
            wrong => panic!("certainly not applied: {wrong:?}"),
        }
    }
    let took = BootInstant::now().since(start);
    assert!(took < BOUND + Duration::from_secs(3), "{took:?}");
    match &*store.health().borrow() {
        Health::Down(_) => {}
        wrong => panic!("{wrong:?}"),
    }
    now(&*store).await;
    assert_ne!(*store.health().borrow(), Health::Up, "that reading works makes it no better");

    frozen.execute_batch("ROLLBACK").unwrap();
    // What was refused must not be done now: whatever is still queued comes before this.
    win(&*store, &who, &claim_of(&due(&*store, "next").await, LONG)).await;
    assert_eq!(store.slot(&late).await.unwrap().record, None);
    assert_eq!(*store.health().borrow(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_error_says_what_holds_the_file() {
    let f = SqliteFixture::start().await;
    let store = open(&f.path(), impatient()).unwrap();
    let claim = claim_of(&due(&*store, "backup").await, LONG);
    let _frozen = freeze(&f);
    let error = store.claim(&claimant("web-1"), &[claim]).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("another process has held the file's write lock"), "{text}");
    assert!(text.contains("solocron.db"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_writer_does_not_keep_another_from_opening_the_file() {
    let f = SqliteFixture::start().await;
    f.store().await.close().await;
    let _frozen = freeze(&f);
    let store = open(&f.path(), impatient()).unwrap();
    now(&*store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_whose_caller_went_away_is_not_executed() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let slot = due(&*store, "backup").await;
    let frozen = freeze(&f);
    let claim = [claim_of(&slot, LONG)];
    let who = claimant("web-1");
    let call = store.claim(&who, &claim);
    tokio::time::timeout(Duration::from_millis(100), call).await.unwrap_err();
    frozen.execute_batch("ROLLBACK").unwrap();
    win(&*store, &who, &claim_of(&due(&*store, "next").await, LONG)).await;
    assert_eq!(store.slot(&slot).await.unwrap().record, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_file_is_noticed_and_the_next_call_makes_a_new_one() {
    let f = SqliteFixture::start().await;
    let (a, b) = (f.store().await, f.store().await);
    let slot = due(&*a, "backup").await;
    let who = claimant("web-1");
    win(&*a, &who, &claim_of(&slot, LONG)).await;
    for name in ["solocron.db", "solocron.db-wal", "solocron.db-shm"] {
        std::fs::remove_file(f.dir.path().join(name)).unwrap();
    }
    for store in [&a, &b] {
        match store.claim(&who, &[claim_of(&slot, LONG)]).await {
            Err(StoreError::Unavailable(text)) => assert!(text.contains("deleted"), "{text}"),
            wrong => panic!("it would write where nobody sees it: {wrong:?}"),
        }
        assert!(matches!(*store.health().borrow(), Health::Down(_)));
    }
    let claim = claim_of(&slot, LONG);
    win(&*a, &who, &claim).await;
    assert_eq!(*a.health().borrow(), Health::Up);
    assert_eq!(holder(try_claim(&*b, &who, &claim_of(&slot, LONG)).await).token, claim.token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_told_and_a_sound_one_in_its_place_is_taken() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    run(
        &*store,
        &claimant("web-1"),
        &due(&*store, "backup").await,
        solocron::outcome::Outcome::Succeeded,
    )
    .await;
    store.close().await;
    let mut bytes = std::fs::read(f.path()).unwrap();
    bytes[100..].fill(0x5a);
    std::fs::write(f.path(), bytes).unwrap();
    let error = refusal(&f.path());
    assert!(matches!(&error, StoreError::Corrupt(text) if text.contains("damaged")), "{error}");

    std::fs::remove_file(f.path()).unwrap();
    now(&*f.store().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_cannot_be_read_fails_no_other_claim() {
    let f = SqliteFixture::start().await;
    let store = f.store().await;
    let (odd, good) = (due(&*store, "odd").await, due(&*store, "good").await);
    let who = claimant("web-1");
    win(&*store, &who, &claim_of(&odd, LONG)).await;
    f.shell().execute("UPDATE slots SET token = 'scribble'", []).unwrap();
    let batch = [claim_of(&odd, LONG), claim_of(&good, LONG)];
    let verdicts = verdicts(&*store, &who, &batch).await;
    match &verdicts[0] {
        solocron::claim::Verdict::Unknown(why) => assert!(why.contains("scribble"), "{why}"),
        wrong => panic!("{wrong:?}"),
    }
    granted(verdicts[1].clone());
}
