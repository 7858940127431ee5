//! What the cases are played with.

use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::lock::{Guard, Holder, LockError, LockName, Locks};
use solocron::store::locks::{LockStore, Release, Standing, Take, Taken};

pub(crate) use solocron::claim::Token;

use super::Fixture;

/// For a lock that must live.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// For a lock that must lapse soon, and yet may be talked about before.
pub(crate) const SHORT: Duration = Duration::from_millis(400);
/// By how much a busy machine may be late.
pub(crate) const SLACK: Duration = Duration::from_millis(1500);
/// The longest that a state is waited for. Only a broken library needs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How long `call` takes, and what it brings.
pub(crate) async fn timed<T>(call: impl Future<Output = T>) -> (Duration, T) {
    let start = BootInstant::now();
    let answer = call.await;
    (BootInstant::now().since(start), answer)
}

/// Waits until `holds`.
#[track_caller]
pub(crate) fn eventually<'a>(
    what: &'a str,
    mut holds: impl AsyncFnMut() -> bool + 'a,
) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let start = BootInstant::now();
        while !holds().await {
            let waited = BootInstant::now().since(start);
            assert!(waited < PATIENCE, "{caller}: waited in vain until {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// `call` with an end, should it never come.
pub(crate) async fn soon<T>(what: &str, call: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, call).await {
        Ok(answer) => answer,
        Err(_) => panic!("waited in vain for {what}"),
    }
}

/// The lock `name`, long and by one attempt.
pub(crate) async fn take(locks: &Locks, name: &str) -> Guard {
    locks.lock(name).ttl(LONG).try_acquire().await.unwrap()
}

/// By whom it is held.
#[track_caller]
pub(crate) fn contended(answer: Result<Guard, LockError>) -> (LockName, Holder) {
    match answer {
        Err(LockError::Contended { name, holder }) => (name, holder),
        other => panic!("somebody should hold it: {other:?}"),
    }
}

/// Who has what is no longer ours.
#[track_caller]
pub(crate) fn not_held(answer: Result<(), LockError>) -> Option<Holder> {
    match answer {
        Err(LockError::NotHeld { by, .. }) => by,
        other => panic!("it should be no longer ours: {other:?}"),
    }
}

/// Waits until no lock is left, nor any queue.
pub(crate) async fn clean(f: &impl Fixture) {
    let begun = BootInstant::now();
    loop {
        let left = f.residue();
        if left.is_empty() {
            return;
        }
        assert!(BootInstant::now().since(begun) < PATIENCE, "left behind: {left:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub(crate) fn lock_name(name: &str) -> LockName {
    LockName::new(name).unwrap()
}

/// An attempt at the store itself.
pub(crate) fn take_of(names: &[&str], token: Token, ttl: Duration) -> Take {
    let mut names: Vec<_> = names.iter().map(|name| lock_name(name)).collect();
    names.sort();
    Take { names: names.into(), token, ttl, metadata: "somebody".into(), queue: None }
}

pub(crate) fn release_of(take: &Take, hold: Duration) -> Release {
    Release { names: take.names.clone(), token: take.token, hold, revoke_for: None }
}

/// The answer to a release or an extension of one lock.
pub(crate) fn one(standings: Vec<Standing>) -> Standing {
    let [standing] = <[Standing; 1]>::try_from(standings).unwrap();
    standing
}

pub(crate) async fn granted(store: &dyn LockStore, take: &Take) -> solocron::lock::Fence {
    match store.take(take).await.unwrap() {
        Taken::Granted(fence) => fence,
        other => panic!("it should have been granted: {other:?}"),
    }
}
