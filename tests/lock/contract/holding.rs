//! To have a lock, and not to have it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::lock::{LockError, Loss, Wait};
use solocron::store::locks::Taken;
use tokio::task::JoinSet;

use super::*;

pub(crate) async fn create_and_release(f: &impl Fixture) {
    let locks = f.locks();
    let before = BootInstant::now();
    let guard = take(&locks, "order/1").await;
    assert!(guard.is_held());
    assert_eq!(guard.names(), [lock_name("order/1")]);
    assert!(guard.valid_until() > before + LONG / 2);
    assert!(guard.valid_until() < BootInstant::now() + LONG, "less than the store keeps it");
    let holder = locks.holder("order/1").await.unwrap().unwrap();
    assert_eq!((holder.fence, holder.released), (guard.fence(), false));
    let left = locks.ttl("order/1").await.unwrap().unwrap();
    assert!(left <= LONG && left > LONG / 2, "{left:?}");

    let ended = guard.cancellation_token();
    guard.release().await.unwrap();
    assert!(ended.is_cancelled(), "and the work under it is told");
    assert_eq!(locks.holder("order/1").await.unwrap(), None);
    clean(f).await;

    drop(take(&locks, "order/1").await);
    clean(f).await;
}

pub(crate) async fn a_second_try_learns_the_holder(f: &impl Fixture) {
    let (here, there) = (f.locks(), f.locks());
    let first = here.lock("order/1").ttl(LONG).metadata("web-1").try_acquire().await.unwrap();
    for locks in [&here, &there] {
        let (name, holder) = contended(locks.lock("order/1").try_acquire().await);
        assert_eq!(name, lock_name("order/1"));
        assert_eq!((&*holder.metadata, holder.fence), ("web-1", first.fence()));
        assert!(holder.remaining <= LONG && holder.remaining > LONG / 2, "{holder:?}");
        assert!(!holder.released);
    }
    assert!(first.is_held());
}

pub(crate) async fn independent_names(f: &impl Fixture) {
    let locks = f.locks();
    let long = "x".repeat(512);
    let names = ["a", "A", "a ", " a", "a/b", "a:b", "a*", "{a}", "ä", "%", "'", "\"", "\\", &long];
    let mut held = Vec::new();
    for name in names {
        held.push(take(&locks, name).await);
    }
    for (name, guard) in names.iter().zip(&held) {
        let (_, holder) = contended(locks.lock(name).try_acquire().await);
        assert_eq!(holder.fence, guard.fence(), "{name:?}");
    }
    for guard in held {
        guard.release().await.unwrap();
    }
    clean(f).await;
}

/// What many ask for at once may go to the store together.
pub(crate) async fn many_at_once_have_each_what_they_asked_for(f: &impl Fixture) {
    const MANY: usize = 40;
    let (here, there) = (f.locks(), f.locks());
    let ttl = |of: usize| LONG + Duration::from_secs(60 * (of % 3) as u64);
    let metadata = |of: usize| format!("who wants {}", of / 2);
    let all_of = |kind: &'static str| {
        let mut asked = JoinSet::new();
        for of in 0..MANY {
            let request = here.lock(format!("{kind}/{of}")).ttl(ttl(of)).metadata(metadata(of));
            asked.spawn(async move { (of, request.try_acquire().await.unwrap()) });
        }
        asked
    };
    let mut held: Vec<_> = all_of("first").join_all().await;
    // What nobody holds any more is given back among those that are held.
    let (gone, lapsed) = held.pop().unwrap();
    let name = format!("first/{gone}");
    let take = take_of(&[&name], Token::new(), LONG);
    f.lapse(&name);
    assert!(matches!(f.store().take(&take).await, Ok(Taken::Granted(_))));
    let (others, mut given) = (all_of("second"), JoinSet::new());
    given.spawn(async move { (gone, lapsed.release().await) });
    for (of, guard) in held {
        given.spawn(async move { (of, guard.release().await) });
    }
    for (of, released) in given.join_all().await {
        match of == gone {
            true => assert_eq!(
                not_held(released).map(|by| by.metadata),
                Some(take.metadata.to_string())
            ),
            false => released.unwrap(),
        }
    }
    for (of, guard) in others.join_all().await {
        let name = format!("second/{of}");
        let holder = there.holder(&name).await.unwrap().unwrap();
        assert_eq!((holder.fence, holder.metadata), (guard.fence(), metadata(of)), "{name}");
        let left = holder.remaining;
        assert!(left <= ttl(of) && left > ttl(of) - LONG / 2, "{name} {left:?}");
        guard.release().await.unwrap();
    }
    f.store().release(&release_of(&take, Duration::ZERO)).await.unwrap();
    clean(f).await;
}

pub(crate) async fn ten_relocks_in_a_row(f: &impl Fixture) {
    let handles = [f.locks(), f.locks()];
    let mut fences = Vec::new();
    for round in 0..10 {
        let guard = take(&handles[round % 2], "order/1").await;
        fences.push(guard.fence());
        guard.release().await.unwrap();
    }
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
}

pub(crate) async fn expiry(f: &impl Fixture) {
    let locks = f.locks();
    let before = BootInstant::now();
    let guard = locks.lock("order/1").ttl(SHORT).renew(false).try_acquire().await.unwrap();
    let ended = guard.cancellation_token();
    let until = guard.valid_until();
    assert_eq!(soon("the loss", guard.lost()).await, Loss::Lapsed { why: None });
    let lost_at = BootInstant::now();
    assert!(lost_at >= until && lost_at < until + SLACK, "on time");
    assert!(until < before + SHORT + SLACK);
    assert!(ended.is_cancelled() && !guard.is_held() && guard.valid_until() <= lost_at);
    eventually("the store says so", async || locks.holder("order/1").await.unwrap().is_none())
        .await;
    assert!(BootInstant::now() >= until, "not before its holder knows");
}

pub(crate) async fn a_hundred_callers_one_winner(f: &impl Fixture) {
    let handles: Vec<_> = (0..4).map(|_| f.locks()).collect();
    let mut callers = JoinSet::new();
    for caller in 0..100 {
        let request = handles[caller % 4].lock("order/1").ttl(LONG);
        callers.spawn(async move { request.try_acquire().await });
    }
    let (won, lost): (Vec<_>, Vec<_>) =
        callers.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lost.len()), (1, 99));
    let winner = won.into_iter().flatten().next().unwrap();
    for answer in lost {
        assert_eq!(contended(answer).1.fence, winner.fence());
    }
}

pub(crate) async fn counter_under_eight_tasks_on_two_locks(f: &impl Fixture) {
    const TASKS: u64 = 8;
    const EACH: u64 = 100;
    let handles: Vec<_> = (0..2).map(|_| f.locks()).collect();
    let counters: Arc<[AtomicU64; 2]> = Arc::default();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS as usize {
        let (locks, counters) = (handles[task % 2].clone(), counters.clone());
        tasks.spawn(async move {
            for round in 0..EACH as usize {
                let which = (task + round) % 2;
                let request = locks.lock(format!("counter/{which}")).ttl(LONG);
                let guard = request.acquire(Wait::at_most(PATIENCE)).await.unwrap();
                // Torn on purpose: two at once would lose a step.
                let seen = counters[which].load(Ordering::SeqCst);
                tokio::task::yield_now().await;
                counters[which].store(seen + 1, Ordering::SeqCst);
                guard.release().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    let sum: u64 = counters.iter().map(|counter| counter.load(Ordering::SeqCst)).sum();
    assert_eq!(sum, TASKS * EACH);
    clean(f).await;
}

pub(crate) async fn acquire_after_expiry(f: &impl Fixture) {
    let (here, there) = (f.locks(), f.locks());
    let old = here.lock("order/1").ttl(SHORT).renew(false).try_acquire().await.unwrap();
    let wait = Wait::at_most(PATIENCE);
    let (took, new) = timed(there.lock("order/1").ttl(LONG).acquire(wait)).await;
    let new = new.unwrap();
    assert!(took < SHORT + SLACK, "{took:?}");
    assert!(!old.is_held() && new.fence() > old.fence());
}

pub(crate) async fn metadata_round_trip(f: &impl Fixture) {
    let locks = f.locks();
    let all = " two  lines\n\"ü\" 'x' 🦀 \\ \u{0} 7 ".to_owned();
    for metadata in [String::new(), " ".to_owned(), "web-1".to_owned(), all, "x".repeat(65_536)] {
        let request = locks.lock("order/1").ttl(LONG).metadata(metadata.clone());
        let guard = request.try_acquire().await.unwrap();
        assert_eq!(guard.metadata(), metadata);
        assert_eq!(locks.holder("order/1").await.unwrap().unwrap().metadata, metadata);
        assert_eq!(contended(locks.lock("order/1").try_acquire().await).1.metadata, metadata);
        guard.release().await.unwrap();
    }
    let told = take(&locks, "order/1").await.metadata().to_owned();
    assert_eq!(told, format!("process {}", std::process::id()));
}

pub(crate) async fn same_token_again_is_held(f: &impl Fixture) {
    let store = f.store();
    let ask = take_of(&["order/1"], Token::new(), LONG);
    let fence = granted(&*store, &ask).await;
    f.settle();
    assert_eq!(granted(&*f.store(), &ask).await, fence, "the same lock, not another");
    let other = take_of(&["order/1"], Token::new(), LONG);
    assert!(matches!(store.take(&other).await.unwrap(), Taken::Held { .. }));

    // What it prolongs, it prolongs from now.
    let longer = take_of(&["order/1"], ask.token, LONG * 2);
    assert_eq!(granted(&*store, &longer).await, fence);
    let left = store.holder(&ask.names[0]).await.unwrap().unwrap().remaining;
    assert!(left > LONG && left <= LONG * 2, "{left:?}");
}

pub(crate) async fn several_keys_all_or_nothing(f: &impl Fixture) {
    let (here, there) = (f.locks(), f.locks());
    let middle = take(&here, "{order}b").await;
    let all = there.lock_all(["{order}c", "{order}a", "{order}b", "{order}a"]).ttl(LONG);
    let (name, holder) = contended(all.try_acquire().await);
    assert_eq!((name, holder.fence), (lock_name("{order}b"), middle.fence()));
    for free in ["{order}a", "{order}c"] {
        assert_eq!(here.holder(free).await.unwrap(), None, "nothing was taken");
    }
    middle.release().await.unwrap();

    let guard = all.try_acquire().await.unwrap();
    assert_eq!(
        guard.names(),
        ["{order}a", "{order}b", "{order}c"].map(lock_name),
        "in order, each once"
    );
    for name in ["{order}a", "{order}b", "{order}c"] {
        assert_eq!(here.holder(name).await.unwrap().unwrap().fence, guard.fence());
        contended(here.lock(name).try_acquire().await);
    }
    // One of them lost is all of them lost, and the rest is given back.
    f.lapse("{order}b");
    let thief = take(&here, "{order}b").await;
    let by = not_held(guard.release().await);
    assert_eq!(by.unwrap().fence, thief.fence());
    assert_eq!(here.holder("{order}a").await.unwrap(), None);
    assert_eq!(here.holder("{order}c").await.unwrap(), None);
    assert!(here.holder("{order}b").await.unwrap().is_some(), "but for what is another's");
}

pub(crate) async fn several_keys_in_any_order_never_wait_for_each_other(f: &impl Fixture) {
    let mut tasks = JoinSet::new();
    for names in [
        ["{order}a", "{order}b", "{order}c"],
        ["{order}c", "{order}b", "{order}a"],
        ["{order}b", "{order}c", "{order}d"],
    ] {
        let locks = f.locks();
        tasks.spawn(async move {
            for _ in 0..20 {
                let request = locks.lock_all(names).ttl(LONG);
                request.acquire(Wait::at_most(PATIENCE)).await.unwrap().release().await.unwrap();
            }
        });
    }
    soon("all of them", tasks.join_all()).await;
    clean(f).await;
}

pub(crate) async fn a_ttl_of_one_millisecond_leaves_no_key(f: &impl Fixture) {
    let locks = f.locks();
    for ttl in [Duration::from_millis(1), Duration::from_micros(1999)] {
        let answer = locks.lock("order/1").ttl(ttl).try_acquire().await;
        // It lapsed before anybody could know of it, and is never taken for held.
        let Err(LockError::TooLate { ttl, .. }) = answer else { panic!("{answer:?}") };
        assert_eq!(ttl, Duration::from_millis(1), "whole milliseconds");
        clean(f).await;
    }
    take(&locks, "order/1").await.release().await.unwrap();
}

pub(crate) async fn a_minimum_hold_time_is_kept_after_release(f: &impl Fixture) {
    let (here, there) = (f.locks(), f.locks());
    let before = BootInstant::now();
    let request = here.lock("order/1").ttl(LONG).min_hold(SHORT).metadata("web-1");
    let first = request.try_acquire().await.unwrap();
    let fence = first.fence();
    first.release().await.unwrap();
    for locks in [&here, &there] {
        if BootInstant::now() > before + SHORT {
            continue;
        }
        let (_, holder) = contended(locks.lock("order/1").try_acquire().await);
        assert_eq!((holder.released, holder.fence, &*holder.metadata), (true, fence, "web-1"));
        assert!(holder.remaining <= SHORT, "{holder:?}");
    }
    let wait = Wait::at_most(PATIENCE);
    let (_, second) = timed(there.lock("order/1").ttl(LONG).acquire(wait)).await;
    let took = BootInstant::now().since(before);
    assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
    assert!(second.unwrap().fence() > fence);

    // One that was held for longer is free at once, also when it is only dropped.
    let request = here.lock("order/2").ttl(LONG).min_hold(Duration::from_millis(1));
    let guard = request.try_acquire().await.unwrap();
    tokio::time::sleep(Duration::from_millis(2)).await;
    guard.release().await.unwrap();
    take(&there, "order/2").await.release().await.unwrap();
}
