//! Requests that cannot be met, whoever holds what.

use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::lock::{LockError, Request, Wait};

use super::*;
use crate::watched::{Kind, Watched};

/// Both ways of asking say what is wrong, and send nothing.
async fn refused(store: &Watched, request: Request, expected: &str) {
    for answer in [request.try_acquire().await, request.acquire(Wait::at_most(PATIENCE)).await] {
        let Err(LockError::Invalid(why)) = answer else { panic!("{expected}: {answer:?}") };
        assert!(why.contains(expected), "{why}");
    }
    assert_eq!(store.calls(Kind::Take).len(), 0, "nothing was sent");
}

pub(crate) async fn names_that_are_none(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let locks = store.locks();
    let long = "x".repeat(10_000);
    for (name, expected) in [
        ("", "cannot be empty"),
        (&*long, "at most 512 bytes"),
        ("a\nb", "control character '\\n'"),
        ("a\0", "control character '\\0'"),
        ("\u{7f}", "control character"),
        ("\u{9b}31m", "control character"),
    ] {
        refused(&store, locks.lock(name), expected).await;
        refused(&store, locks.lock_all(["good", name]), expected).await;
        for answer in [locks.holder(name).await.map(drop), locks.ttl(name).await.map(drop)] {
            assert!(matches!(answer, Err(LockError::Invalid(_))), "{answer:?}");
        }
    }
    refused(&store, locks.lock_all::<&str>([]), "not 0").await;
    let many: Vec<_> = (0..129).map(|number| format!("{{order}}{number}")).collect();
    refused(&store, locks.lock_all(&many), "not 129").await;
    let most = locks.lock_all(&many[1..]).ttl(LONG).try_acquire().await.unwrap();
    most.release().await.unwrap();
    clean(f).await;
}

pub(crate) async fn requests_that_make_no_sense(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let request = || store.locks().lock("order/1");
    let year = Duration::from_secs(366 * 86_400);
    for ttl in [Duration::ZERO, Duration::from_micros(999), year + SHORT, Duration::MAX] {
        refused(&store, request().ttl(ttl), "a TTL is at least 1 ms and at most a year").await;
    }
    let held_for_longer = request().ttl(SHORT).min_hold(SHORT * 2);
    refused(&store, held_for_longer, "no longer than the TTL").await;
    refused(&store, request().metadata("x".repeat(65_537)), "at most 64 KiB").await;
    let longest = request().ttl(year).try_acquire().await.unwrap();
    assert!(longest.is_held());
    longest.release().await.unwrap();
}

pub(crate) async fn a_ttl_shorter_than_a_round_trip(f: &impl Fixture) {
    let locks = f.locks();
    // Margin and round trip leave nothing of it, or little; but never too much.
    for ttl in [2, 3, 4].map(Duration::from_millis) {
        for _ in 0..5 {
            let before = BootInstant::now();
            match locks.lock("order/1").ttl(ttl).try_acquire().await {
                Ok(guard) => assert!(guard.valid_until() < before + ttl + SLACK),
                Err(LockError::TooLate { took, .. }) => assert!(took < SLACK, "{took:?}"),
                Err(LockError::Contended { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }
    clean(f).await;
}

pub(crate) async fn a_wait_shorter_than_a_round_trip(f: &impl Fixture) {
    let locks = f.locks();
    for wait in [1, 10, 100, 1000].map(Duration::from_nanos) {
        let request = locks.lock("order/1").ttl(LONG);
        let (took, answer) = timed(request.acquire(Wait::at_most(wait))).await;
        match answer {
            Ok(guard) => guard.release().await.unwrap(),
            Err(LockError::Deadline { .. }) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(took < SLACK, "{took:?}");
    }
    clean(f).await;
}
