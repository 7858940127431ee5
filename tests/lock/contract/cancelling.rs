//! Requests that are dropped, at every instant.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use solocron::lock::{Guard, LockError, Locks, Wait};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::waiting::only_called;
use super::*;
use crate::watched::{Fault, Kind, Said, Watched};

type Waiting = JoinHandle<Result<Guard, LockError>>;

/// Somebody who waits for `order/1`, on connections of its own.
async fn waiter(f: &impl Fixture) -> (Arc<Watched>, Waiting) {
    let store = Watched::new(f.store());
    let request = store.locks().lock("order/1").ttl(LONG);
    let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
    store.queued(1).await;
    (store, waiting)
}

pub(crate) async fn a_cancelled_wait_says_so_and_leaves_no_place(f: &impl Fixture) {
    let holder = take(&f.locks(), "order/1").await;
    let store = Watched::new(f.store());
    let cancel = CancellationToken::new();
    let request = store.locks().lock("order/1");
    let wait = only_called().cancelled_by(cancel.clone());
    let waiting = tokio::spawn(async move { request.acquire(wait).await });
    store.queued(1).await;
    cancel.cancel();
    let (took, answer) = timed(waiting).await;
    assert_eq!(answer.unwrap().unwrap_err(), LockError::Cancelled);
    assert!(took < SLACK, "{took:?}");
    eventually("its place is given up", async || f.residue().len() == 1).await;
    assert!(holder.is_held());

    // One that was cancelled before has no chance of a wait at all.
    let wait = Wait::at_most(PATIENCE).cancelled_by(cancel);
    let answer = store.locks().lock("order/1").acquire(wait).await;
    assert_eq!(answer.unwrap_err(), LockError::Cancelled);
    holder.release().await.unwrap();
    clean(f).await;
}

pub(crate) async fn a_wait_dropped_before_the_call_hands_it_on(f: &impl Fixture) {
    let holder = take(&f.locks(), "order/1").await;
    let (_first, dropped) = waiter(f).await;
    let (_second, waiting) = waiter(f).await;
    dropped.abort();
    assert!(dropped.await.unwrap_err().is_cancelled());
    let (took, released) = timed(holder.release()).await;
    released.unwrap();
    let (waited, guard) = timed(soon("the call", waiting)).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(took + waited < SLACK, "{waited:?}");
    clean(f).await;
}

pub(crate) async fn a_wait_dropped_just_after_the_call_hands_it_on(f: &impl Fixture) {
    let holder = take(&f.locks(), "order/1").await;
    let (first, dropped) = waiter(f).await;
    let (_second, waiting) = waiter(f).await;
    // It is called, and asks; and there it is dropped.
    first.fail(Kind::Take, Fault::Hangs);
    holder.release().await.unwrap();
    if !waiting.is_finished() {
        let answered = first.answered(1, |call| call.said == Said::Nothing);
        // Where there is no common queue the other may have been called just as well.
        let _ = tokio::time::timeout(SLACK, answered).await;
    }
    dropped.abort();
    let (waited, guard) = timed(soon("the call", waiting)).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(waited < SLACK, "{waited:?}");
    clean(f).await;
}

/// Polls a future so often, and drops it if it is not ready then.
async fn polled<T>(times: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    std::future::poll_fn(move |context| {
        let polled = future.as_mut().poll(context).map(Some);
        if polled.is_pending() {
            left = left.saturating_sub(1);
            if left == 0 {
                return Poll::Ready(None);
            }
        }
        polled
    })
    .await
}

/// Drops `future` at an instant that chance gives.
async fn at_random<T>(future: impl Future<Output = T>) -> Option<T> {
    match fastrand::bool() {
        true => polled(fastrand::u32(1..=8), future).await,
        false => {
            let patience = Duration::from_micros(fastrand::u64(0..=6000));
            tokio::time::timeout(patience, future).await.ok()
        }
    }
}

const NAMES: [&str; 2] = ["order/1", "order/2"];

/// Sees that no two have a lock at once.
#[derive(Default)]
struct Checker {
    taken: [AtomicBool; 2],
    granted: AtomicUsize,
    dropped: AtomicUsize,
}

impl Checker {
    async fn hold(&self, which: usize, guard: Guard) {
        assert!(!self.taken[which].swap(true, Ordering::SeqCst), "two hold {}", NAMES[which]);
        self.granted.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.taken[which].store(false, Ordering::SeqCst);
        match fastrand::u8(0..3) {
            0 => drop(guard),
            1 => drop(polled(fastrand::u32(1..=2), guard.release()).await),
            _ => guard.release().await.unwrap(),
        }
    }
}

type Attempt = Pin<Box<dyn Future<Output = Result<Guard, LockError>> + Send>>;

/// Many that ask for the same locks and drop their requests.
async fn storm(f: &impl Fixture, attempt: fn(Locks, &'static str) -> Attempt) {
    const TASKS: usize = 6;
    const ROUNDS: usize = 60;
    let handles: Vec<_> = (0..3).map(|_| f.locks()).collect();
    for locks in &handles {
        // While it connects every request would be dropped.
        let request = locks.lock(NAMES[0]).ttl(LONG);
        request.acquire(Wait::at_most(PATIENCE)).await.unwrap().release().await.unwrap();
    }
    let checker = Arc::new(Checker::default());
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (locks, checker) = (handles[task % handles.len()].clone(), checker.clone());
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                let which = fastrand::usize(0..NAMES.len());
                match at_random(attempt(locks.clone(), NAMES[which])).await {
                    Some(Ok(guard)) => checker.hold(which, guard).await,
                    Some(Err(LockError::Contended { .. } | LockError::Deadline { .. })) => {}
                    Some(Err(other)) => panic!("{other}"),
                    None => drop(checker.dropped.fetch_add(1, Ordering::SeqCst)),
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    clean(f).await;
    let [granted, dropped] =
        [&checker.granted, &checker.dropped].map(|count| count.load(Ordering::SeqCst));
    println!("of {} requests {granted} were granted, {dropped} dropped", TASKS * ROUNDS);
    assert!(granted > 0 && dropped > 0, "{granted} granted, {dropped} dropped");
    // What was dropped last may still be on its way, and is given back behind that.
    for name in NAMES {
        let request = handles[0].lock(name).ttl(LONG);
        request.acquire(Wait::at_most(PATIENCE)).await.unwrap().release().await.unwrap();
    }
    clean(f).await;
}

pub(crate) async fn attempts_dropped_at_any_instant_leave_nothing_and_never_two_holders(
    f: &impl Fixture,
) {
    storm(f, |locks, name| Box::pin(async move { locks.lock(name).ttl(LONG).try_acquire().await }))
        .await;
}

pub(crate) async fn waits_dropped_at_any_instant_leave_nothing_and_never_two_holders(
    f: &impl Fixture,
) {
    storm(f, |locks, name| {
        // Some so long that a busy quorum grants within them, too.
        let most = [20, 20, 200][fastrand::usize(..3)];
        let wait = Wait::at_most(Duration::from_millis(fastrand::u64(0..most)));
        Box::pin(async move { locks.lock(name).ttl(LONG).acquire(wait).await })
    })
    .await;
}
