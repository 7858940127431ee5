//! Locks whose hash slot moves from one master to another and back. Cases that go on
//! beside it on the same servers have other hash slots, and do not move them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use solocron::lock::Guard;
use tokio::task::{JoinHandle, JoinSet};

use super::*;

/// So long a call may take: half of it is spent on a hash slot that moves.
const HASTY: Duration = Duration::from_millis(600);
/// For a lock that has to be extended while its hash slot moves.
const KEPT: Duration = Duration::from_secs(3);

/// Servers lose keys when two moves overlap: who moves has this.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// The way on which the hash slot of `order/1` can be moved, and back.
struct Way {
    hash_slot: u16,
    ends: [usize; 2],
    _turn: tokio::sync::MutexGuard<'static, ()>,
}

impl Way {
    async fn of(f: &Shared) -> Self {
        let turn = TURN.lock().await;
        let (hash_slot, owner) = f.place("order/1");
        Self { hash_slot, ends: [owner, (owner + 1) % MASTERS], _turn: turn }
    }

    /// Moves everything there, or back.
    fn go(&self, f: &Shared, back: bool) {
        let [from, to] = self.direction(back);
        f.servers().move_slot(self.hash_slot, from, to);
    }

    fn begin(&self, f: &Shared, back: bool) {
        let [from, to] = self.direction(back);
        f.servers().begin_move(self.hash_slot, from, to);
    }

    fn end(&self, f: &Shared, back: bool) {
        let [from, to] = self.direction(back);
        f.servers().move_rest(self.hash_slot, from, to);
        f.servers().end_move(self.hash_slot, from, to);
    }

    fn direction(&self, back: bool) -> [usize; 2] {
        let [one, other] = self.ends;
        if back { [other, one] } else { [one, other] }
    }
}

/// Somebody who waits for `order/1`, and asks only when it is called.
async fn waiter(f: &Shared) -> JoinHandle<Result<Guard, LockError>> {
    let store = Watched::new(f.store());
    let request = store.locks().lock("order/1").ttl(LONG);
    let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
    store.queued(1).await;
    waiting
}

/// Waits until the lock of a watched store was extended once more, by a request from now.
async fn extended(store: &Watched) {
    let before = BootInstant::now();
    store
        .answered(1, |call| {
            call.kind == Kind::Extend && call.sent > before && call.said == Said::Done
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_moves_and_comes_back_is_held_extended_waited_for_and_released() {
    let f = Shared::start();
    let way = Way::of(&f).await;
    let store = Watched::new(f.store());
    let holder = store.locks().lock("order/1").ttl(KEPT).try_acquire().await.unwrap();
    let waiting = waiter(&f).await;
    let others = [f.locks(), f.locks()];
    for back in [false, true] {
        way.go(&f, back);
        match back {
            false => extended(&store).await,
            true => holder.extend(KEPT).await.unwrap(),
        }
        assert!(holder.is_held());
        for other in &others {
            // One knows the way as it was.
            let (_, told) = contended(other.lock("order/1").try_acquire().await);
            assert_eq!(told.fence, holder.fence());
        }
    }
    way.go(&f, false);
    let fence = holder.fence();
    let (took, released) = timed(holder.release()).await;
    released.unwrap();
    let (waited, next) = timed(soon("the call", waiting)).await;
    let next = next.unwrap().unwrap();
    assert!(took + waited < SLACK, "by the call: {waited:?}");
    assert!(next.fence() > fence);
    way.go(&f, true);
    let last = next.fence();
    next.release().await.unwrap();
    assert!(take(&others[0], "order/1").await.fence() > last);
}

/// How often the owner has put a call off.
fn put_off(f: &Shared, server: usize) -> u64 {
    let stats = f.servers().server(server).cli_text(&["INFO", "errorstats"]);
    let count = |kind: &str| {
        let count = stats.split(kind).nth(1).and_then(|rest| rest.split("\r\n").next());
        count.map_or(0, |count| count.parse::<u64>().unwrap())
    };
    ["errorstat_TRYAGAIN:count=", "errorstat_ASK:count="].map(count).iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_middle_of_a_move_nothing_is_granted_or_taken_for_lost() {
    let f = Shared::start();
    let way = Way::of(&f).await;
    let [from, to] = way.ends;
    let request = f.hasty_locks(HASTY).lock("order/1").ttl(LONG);
    let holder = request.try_acquire().await.unwrap();
    let waiting = waiter(&f).await;
    let other = f.hasty_locks(HASTY);
    assert!(other.holder("order/1").await.unwrap().is_some());
    way.begin(&f, false);
    let moved: [&[String]; 3] = [&[], &[f.key("held", "order/1")], &[f.key("queue", "order/1")]];
    for keys in moved {
        if !keys.is_empty() {
            f.servers().move_keys(from, to, keys);
        }
        let request = other.lock("order/1").ttl(LONG);
        let (answer, extended) = tokio::join!(request.try_acquire(), holder.extend(LONG));
        let Err(LockError::Unavailable(why)) = answer else { panic!("{keys:?}: {answer:?}") };
        assert!(why.contains("is being moved"), "{why}");
        assert!(matches!(extended, Err(LockError::Unavailable(_))));
        assert!(holder.is_held(), "an extension that was put off is no loss");
    }
    // A release that meets it is made when the move is over.
    let patient = f.locks();
    let second = take(&patient, "order/other").await;
    assert!(second.is_held(), "locks of other buckets go on");
    let begun = put_off(&f, from);
    let releasing = tokio::spawn(holder.release());
    eventually("the release is put off", async || put_off(&f, from) > begun + 1).await;
    assert!(!waiting.is_finished());
    way.end(&f, false);
    // One of little patience may have been given up; then it is repeated in the background.
    drop(releasing.await.unwrap());
    let next = soon("the lock", waiting).await.unwrap().unwrap();
    assert_eq!(other.holder("order/1").await.unwrap().unwrap().fence, next.fence());
    next.release().await.unwrap();
    second.release().await.unwrap();
    clean(&f).await;
}

/// Who has the lock, and the fence of the last who had.
#[derive(Default)]
struct Checker {
    taken: AtomicBool,
    last: AtomicU64,
    granted: AtomicU64,
}

impl Checker {
    async fn turn(&self, locks: &Locks) {
        let request = locks.lock("order/1").ttl(LONG);
        let guard = request.acquire(Wait::at_most(PATIENCE)).await.unwrap();
        assert!(!self.taken.swap(true, Ordering::SeqCst), "two have it");
        let fence = guard.fence().get();
        assert!(self.last.swap(fence, Ordering::SeqCst) < fence, "fences grow");
        self.granted.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        assert!(guard.is_held());
        self.taken.store(false, Ordering::SeqCst);
        guard.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_a_lock_goes_to_and_fro_no_two_have_it_and_fences_grow() {
    const ROUNDS: usize = 4;
    let f = Shared::start();
    let way = Way::of(&f).await;
    let checker = Arc::new(Checker::default());
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (locks, checker, over) = (f.locks(), checker.clone(), over.clone());
        tasks.spawn(async move {
            while !over.load(Ordering::SeqCst) {
                checker.turn(&locks).await;
            }
        });
    }
    let granted = || checker.granted.load(Ordering::SeqCst);
    for round in 0..2 * ROUNDS {
        let before = granted();
        eventually("it goes from hand to hand", async || granted() > before + 5).await;
        tokio::task::block_in_place(|| way.go(&f, round % 2 == 1));
    }
    over.store(true, Ordering::SeqCst);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    println!("it was granted {} times on {} moves", granted(), 2 * ROUNDS);
    clean(&f).await;
}
