//! Servers that are killed, stalled, or come back empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use solocron::lock::{LockError, Locks, Wait};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::{quorum_of, residue, several};
use crate::contract::*;
use crate::harness::redis_server::RedisServer;

const TIMEOUT: Duration = Duration::from_millis(500);
/// For as long a server is silent that came back empty.
const TTL: Duration = Duration::from_millis(800);

/// Sees that no two have the lock at once, and that fences grow.
#[derive(Default)]
struct Checker {
    taken: AtomicBool,
    fence: AtomicU64,
    granted: AtomicU64,
}

impl Checker {
    /// Takes the lock and gives it back until `end`.
    async fn work(&self, locks: &Locks, end: &CancellationToken) {
        while !end.is_cancelled() {
            let request = locks.lock("order/1").ttl(TTL);
            let guard = request.acquire(Wait::at_most(PATIENCE)).await.unwrap();
            assert!(!self.taken.swap(true, Ordering::SeqCst), "two hold it");
            let before = self.fence.swap(guard.fence().get(), Ordering::SeqCst);
            assert!(before < guard.fence().get(), "{before} before {guard:?}");
            tokio::task::yield_now().await;
            self.taken.store(false, Ordering::SeqCst);
            self.granted.fetch_add(1, Ordering::SeqCst);
            // A server that is away may have been one of those who granted.
            let _ = guard.release().await;
        }
    }

    async fn goes_on(&self) {
        let until = self.granted.load(Ordering::SeqCst) + 20;
        eventually("locks are granted", async || self.granted.load(Ordering::SeqCst) >= until)
            .await;
    }
}

/// Whether a server votes.
fn votes(server: &RedisServer) -> bool {
    let member = server.try_cli(&["GET", "prod:{prod.0}:member"]);
    let Ok(member) = member.and_then(|value| Ok(redis::from_redis_value::<String>(value)?)) else {
        return false;
    };
    let from = member.rsplit(' ').next().and_then(|from| from.parse::<i64>().ok());
    let now: Vec<i64> = redis::from_redis_value(server.cli(&["TIME"])).unwrap();
    from.is_some_and(|from| from <= now[0] * 1_000_000 + now[1])
}

async fn all_vote(servers: &[RedisServer]) {
    eventually("all vote", async || servers.iter().all(votes)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_may_be_away_and_may_forget() {
    let mut servers = several(5);
    let checker = Arc::new(Checker::default());
    let end = CancellationToken::new();
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let (checker, end) = (checker.clone(), end.clone());
        let locks = Locks::new(Arc::new(quorum_of(&servers, TIMEOUT)));
        tasks.spawn(async move { checker.work(&locks, &end).await });
    }
    checker.goes_on().await;
    for server in &servers[..2] {
        server.pause();
    }
    checker.goes_on().await;
    for server in &servers[..2] {
        server.resume();
    }
    checker.goes_on().await;
    for pair in [[1, 2], [3, 4]] {
        for at in pair {
            servers[at].kill9();
        }
        checker.goes_on().await;
        for at in pair {
            servers[at].restart();
        }
        checker.goes_on().await;
        all_vote(&servers).await;
    }
    // Those that never were away are now: the others have to know the fence.
    for server in [&servers[0], &servers[1]] {
        server.pause();
    }
    checker.goes_on().await;
    for server in [&servers[0], &servers[1]] {
        server.resume();
    }
    for at in [0, 4] {
        servers[at].kill9();
        servers[at].restart();
    }
    checker.goes_on().await;
    all_vote(&servers).await;
    end.cancel();
    while let Some(ended) = soon("the end of the tasks", tasks.join_next()).await {
        ended.unwrap();
    }
    println!("{} locks were granted", checker.granted.load(Ordering::SeqCst));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_three_of_five_away_nothing_is_granted_and_it_is_said_who() {
    let mut servers = several(5);
    let locks = Locks::new(Arc::new(quorum_of(&servers, TIMEOUT)));
    take(&locks, "order/1").await.release().await.unwrap();
    let held = take(&locks, "held").await;
    servers[0].kill9();
    servers[1].pause();
    servers[2].pause();
    for _ in 0..3 {
        let (took, answer) = timed(locks.lock("order/1").ttl(LONG).try_acquire()).await;
        let Err(error @ (LockError::Unavailable(_) | LockError::Unknown(_))) = answer else {
            panic!("{answer:?}")
        };
        let told = error.to_string();
        assert!(told.contains("3 of 5 servers"), "{told}");
        for (at, server) in servers.iter().enumerate() {
            assert_eq!(told.contains(&format!(":{}/0", server.port())), at < 3, "{told}");
        }
        assert!(took < TIMEOUT * 5 / 4 + SLACK, "{took:?}");
    }
    let (took, answer) = timed(held.extend(LONG)).await;
    assert!(answer.is_err() && took < TIMEOUT * 5 / 4 + SLACK, "{answer:?} {took:?}");
    let up = [servers.pop().unwrap(), servers.pop().unwrap()];
    eventually("what two granted is given back", async || residue(&up).len() == 1).await;
    servers[1].resume();
    servers[2].resume();
    let wait = Wait::at_most(PATIENCE);
    let guard = locks.lock("order/1").ttl(LONG).acquire(wait).await.unwrap();
    guard.release().await.unwrap();
    held.release().await.unwrap();
    eventually("nothing is left", async || {
        residue(&up).is_empty() && residue(&servers[1..]).is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_came_back_empty_does_not_vote_while_a_lock_may_last_that_it_forgot() {
    let mut servers = several(2);
    servers.push(RedisServer::builder().durable().start());
    let (here, there) = (quorum_of(&servers, TIMEOUT), quorum_of(&servers, TIMEOUT));
    let (here, there) = (Locks::new(Arc::new(here)), Locks::new(Arc::new(there)));
    let first = here.lock("order/1").ttl(TTL).try_acquire().await.unwrap();
    first.release().await.unwrap();
    // Held by the first two alone; the third remembers what it knew.
    servers[2].kill9();
    let request = here.lock("order/2").ttl(TTL).renew(false);
    let guard = request.try_acquire().await.unwrap();
    let until = guard.valid_until();
    servers[1].kill9();
    servers[1].restart();
    servers[2].restart();
    // Most say "free", but one of these came back empty: the holder is told all the same.
    let mut held_by = None;
    eventually("a majority answers", async || match there.holder("order/2").await {
        Ok(holder) => {
            held_by = holder.map(|holder| holder.fence);
            true
        }
        Err(_) => false,
    })
    .await;
    if solocron::clock::BootInstant::now() < until {
        assert_eq!(held_by, Some(guard.fence()));
    }
    // A majority is free now, and yet it is not to be had before the first has lost it.
    let wait = Wait::at_most(PATIENCE);
    let next = there.lock("order/2").ttl(TTL).acquire(wait).await.unwrap();
    assert!(solocron::clock::BootInstant::now() >= until, "two hold it");
    assert!(next.fence() > guard.fence());
    all_vote(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_is_told_of_a_release_no_longer_than_the_lock_may_last() {
    let mut servers = several(3);
    let quorum = quorum_of(&servers, TIMEOUT);
    let locks = Locks::new(Arc::new(quorum.clone()));
    let guard = locks.lock("order/1").ttl(TTL).try_acquire().await.unwrap();
    soon("the rest of the votes", quorum.settled()).await;
    servers[2].kill9();
    guard.release().await.unwrap();
    let (took, ()) = timed(soon("the end of what is under way", quorum.settled())).await;
    // A call that takes its time is added at either end.
    assert!(took < TTL + TIMEOUT * 4 + SLACK, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_use_needs_all_and_says_so() {
    let mut servers = several(3);
    servers[1].kill9();
    let locks = Locks::new(Arc::new(quorum_of(&servers, TIMEOUT)));
    let answer = locks.lock("order/1").try_acquire().await;
    let Err(LockError::Unavailable(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("0 of 3 servers remember"), "{why}");
    servers[1].restart();
    let guard = locks.lock("order/1").acquire(Wait::at_most(PATIENCE)).await.unwrap();
    guard.release().await.unwrap();
}
