//! To wait for a lock, and to be called.

use std::time::Duration;

use nix::sys::signal::Signal;
use solocron::clock::BootInstant;
use solocron::lock::{Backoff, LockError, Wait};
use tokio::task::JoinSet;

use super::*;
use crate::children::{Child, Deed};
use crate::harness::figures::Figures;
use crate::watched::{Kind, Watched};

/// For a wait in which nobody asks uncalled.
pub(crate) fn only_called() -> Wait {
    Wait::at_most(PATIENCE).backoff(Backoff::constant(LONG))
}

pub(crate) async fn retry_limit(f: &impl Fixture) {
    const PAUSE: Duration = Duration::from_millis(30);
    let _holder = take(&f.locks(), "order/1").await;
    for limit in [0, 1, 2, 4] {
        let store = Watched::new(f.store());
        let wait = Wait::at_most(PATIENCE).backoff(Backoff::constant(PAUSE).limit(limit));
        let (took, answer) = timed(store.locks().lock("order/1").acquire(wait)).await;
        contended(answer);
        let asked = store.calls(Kind::Take).len();
        // A place in the queue is asked for beside the first attempt.
        let attempts = limit.max(1) as usize;
        assert!((attempts..=attempts + 1).contains(&asked), "{limit}: {asked}");
        assert!(took >= PAUSE * limit.saturating_sub(1), "{took:?}");
    }
    eventually("no place in the queue is left", async || f.residue().len() == 1).await;
}

pub(crate) async fn deadline_on_time_with_its_cause(f: &impl Fixture) {
    let holder = take(&f.locks(), "order/1").await;
    let locks = f.locks();
    for longest in [Duration::ZERO, SHORT] {
        let request = locks.lock("order/1");
        let (took, answer) = timed(request.acquire(Wait::at_most(longest))).await;
        let Err(LockError::Deadline { name, holder: Some(told), waited }) = answer else {
            panic!("{answer:?}")
        };
        assert_eq!((name, told.fence), (lock_name("order/1"), holder.fence()));
        assert!(took >= longest && took < longest + SLACK, "{took:?}");
        assert!(longest.is_zero() || (waited >= longest && waited <= took), "{waited:?}");
    }
    holder.release().await.unwrap();
    clean(f).await;
}

pub(crate) async fn deadline_while_the_store_is_away(f: &impl Fixture) {
    const BOUND: Duration = Duration::from_millis(200);
    let locks = f.hasty_locks(BOUND);
    eventually("it is connected", async || locks.holder("order/1").await.is_ok()).await;
    f.freeze();
    let (took, answer) = timed(locks.lock("order/1").acquire(Wait::at_most(BOUND * 4))).await;
    f.thaw();
    assert!(
        matches!(answer, Err(LockError::Unavailable(_) | LockError::Unknown(_))),
        "not that somebody holds it: {answer:?}"
    );
    assert!(took >= BOUND * 4 && took < BOUND * 4 + SLACK, "{took:?}");
    clean(f).await;

    // One that comes back in time is none.
    f.freeze();
    let waiting = tokio::spawn(async move {
        locks.lock("order/1").ttl(LONG).acquire(Wait::at_most(PATIENCE)).await
    });
    tokio::time::sleep(BOUND * 2).await;
    f.thaw();
    soon("the lock", waiting).await.unwrap().unwrap().release().await.unwrap();
    clean(f).await;
}

pub(crate) async fn the_backoff_sequence(f: &impl Fixture) {
    let _holder = take(&f.locks(), "order/1").await;
    let ms = Duration::from_millis;
    for (backoff, delays) in [
        (Backoff::constant(ms(40)), [40, 40, 40, 40]),
        (Backoff::linear(ms(20), ms(60)), [20, 40, 60, 60]),
        (Backoff::exponential(ms(20), ms(100)), [20, 40, 80, 100]),
    ] {
        let store = Watched::new(f.store());
        let wait = Wait::at_most(PATIENCE).backoff(backoff.limit(5));
        contended(store.locks().lock("order/1").acquire(wait).await);
        let sent: Vec<_> = store.calls(Kind::Take).iter().map(|call| call.sent).collect();
        // The first attempt is made without a place, and again at once with one.
        let gaps: Vec<_> = sent.windows(2).skip(1).map(|pair| pair[1].since(pair[0])).collect();
        assert_eq!(gaps.len(), delays.len(), "{backoff:?}");
        for (gap, delay) in gaps.iter().zip(delays.map(ms)) {
            assert!(*gap >= delay && *gap < delay + SLACK, "{backoff:?}: {gaps:?}");
        }
    }
}

pub(crate) async fn woken_in_order_of_arrival(f: &impl Fixture) {
    const WAITERS: usize = 8;
    let common = offers(f).contains(&Need::CommonQueue);
    let shared = Watched::new(f.store());
    let holder = take(&shared.locks(), "order/1").await;
    let (granted, mut order) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..WAITERS {
        let own = if common { Watched::new(f.store()) } else { shared.clone() };
        let (locks, granted) = (own.locks(), granted.clone());
        tokio::spawn(async move {
            let guard = locks.lock("order/1").ttl(LONG).acquire(only_called()).await.unwrap();
            granted.send(number).unwrap();
            guard.release().await.unwrap();
        });
        own.queued(if common { 1 } else { number + 1 }).await;
    }
    holder.release().await.unwrap();
    let mut woken = Vec::new();
    for _ in 0..WAITERS {
        woken.extend(soon("the next", order.recv()).await);
    }
    if !offers(f).contains(&Need::StrictQueue) {
        woken.sort_unstable();
    }
    assert_eq!(woken, (0..WAITERS).collect::<Vec<_>>());
    clean(f).await;
}

pub(crate) async fn who_waits_is_called_after_a_minimum_hold_time(f: &impl Fixture) {
    let request = f.locks().lock("order/1").ttl(LONG).min_hold(SHORT);
    let holder = request.try_acquire().await.unwrap();
    let store = Watched::new(f.store());
    let locks = store.locks();
    let waiting =
        tokio::spawn(async move { locks.lock("order/1").ttl(LONG).acquire(only_called()).await });
    store.queued(1).await;
    holder.release().await.unwrap();
    // It learns that the lock lasts shorter than it was told.
    let (took, guard) = timed(waiting).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(took < SHORT + SLACK, "{took:?}");
}

/// What a hand-over may take at the median on a machine that is busy. What it takes on
/// one that is not is printed.
const PROMPT: f64 = 25.0;
const HAND_OVERS: usize = 60;

fn tell(what: &str, f: &impl Fixture, figures: &Figures) {
    let [half, most, last] = [0.5, 0.95, 1.0].map(|share| figures.quantile(share));
    println!(
        "{what}, {} of them, {}: median {half:.2} ms, 95 % {most:.2} ms, longest {last:.2} ms",
        figures.len(),
        f.address().split(':').next().unwrap_or_default(),
    );
}

pub(crate) async fn hand_overs_within_a_process_are_prompt(f: &impl Fixture) {
    let (here, store) = (f.locks(), Watched::new(f.store()));
    let locks = store.locks();
    let mut took = Vec::new();
    for round in 1..=HAND_OVERS {
        let holder = take(&here, "order/1").await;
        let request = locks.lock("order/1").ttl(LONG);
        let waiting = tokio::spawn(async move {
            let guard = request.acquire(only_called()).await.unwrap();
            (BootInstant::now(), guard)
        });
        store.queued(round).await;
        let released = BootInstant::now();
        holder.release().await.unwrap();
        let (granted, guard) = soon("the call", waiting).await.unwrap();
        took.push(granted.since(released));
        guard.release().await.unwrap();
    }
    let figures = Figures::of(took);
    tell("hand-overs between two connections", f, &figures);
    assert!(figures.median() < PROMPT, "{figures}");
}

pub(crate) async fn hand_overs_between_processes_are_prompt(f: &impl Fixture) {
    let locks = f.locks();
    let mut child = Child::start(f, Deed::TakeTurns);
    let mut took = Vec::new();
    for _ in 0..HAND_OVERS {
        let holder = take(&locks, "order/1").await;
        child.tell("go");
        assert_eq!(child.says(), "queued");
        let released = BootInstant::now();
        holder.release().await.unwrap();
        let granted = child.says();
        let granted = granted.strip_prefix("granted ").unwrap().parse().unwrap();
        took.push(BootInstant::from_nanos(granted).since(released));
        assert_eq!(child.says(), "released");
    }
    let figures = Figures::of(took);
    tell("hand-overs to another process", f, &figures);
    assert!(figures.median() < PROMPT, "{figures}");
}

/// A waiter behind one in another process, whom `signal` then befalls.
async fn behind_one_that_gets(f: &impl Fixture, signal: Signal) -> Duration {
    let holder = take(&f.locks(), "order/1").await;
    let mut child = Child::start(f, Deed::TakeTurns);
    child.tell("go");
    assert_eq!(child.says(), "queued");
    let store = Watched::new(f.store());
    let locks = store.locks();
    let waiting = tokio::spawn(async move {
        locks.lock("order/1").ttl(LONG).acquire(Wait::at_most(PATIENCE)).await
    });
    store.queued(1).await;
    child.signal(signal);
    holder.release().await.unwrap();
    let (took, guard) = timed(waiting).await;
    guard.unwrap().unwrap().release().await.unwrap();
    took
}

pub(crate) async fn a_killed_waiter_holds_up_nobody(f: &impl Fixture) {
    let took = behind_one_that_gets(f, Signal::SIGKILL).await;
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
}

pub(crate) async fn a_stopped_waiter_holds_others_up_for_a_second_at_most(f: &impl Fixture) {
    let took = behind_one_that_gets(f, Signal::SIGSTOP).await;
    assert!(took < Duration::from_secs(1) + SLACK, "{took:?}");
}

pub(crate) async fn processes_share_locks(f: &impl Fixture) {
    const EACH: u64 = 60;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("counter");
    std::fs::write(&file, "0").unwrap();
    let children: Vec<_> =
        (0..2).map(|_| Child::start(f, Deed::Count { file: &file, times: EACH })).collect();
    let mut here = JoinSet::new();
    let locks = f.locks();
    for _ in 0..2 {
        let (locks, file) = (locks.clone(), file.clone());
        here.spawn(async move { crate::children::count(&locks, &file, EACH / 2).await });
    }
    here.join_all().await;
    for mut child in children {
        assert_eq!(child.says(), "done");
    }
    let counted: u64 = std::fs::read_to_string(&file).unwrap().parse().unwrap();
    assert_eq!(counted, 3 * EACH);
}

fn offers<F: Fixture>(_: &F) -> &'static [Need] {
    F::OFFERS
}
