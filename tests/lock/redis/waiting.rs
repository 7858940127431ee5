//! Who waits for a lock of a server: how often it asks, and what it survives.

use std::sync::Arc;
use std::time::Duration;

use redis::Value;
use solocron::clock::BootInstant;
use solocron::lock::{Guard, LockError, Wait};
use solocron::store::redis::{Options, RedisStore};
use tokio::task::{JoinHandle, JoinSet};

use super::{Server, hasty, key, options};
use crate::contract::waiting::only_called;
use crate::contract::*;
use crate::harness::redis_server::RedisServer;
use crate::watched::Watched;

/// How many calls of scripts the server has answered since its last CONFIG RESETSTAT.
fn scripts_called(server: &RedisServer) -> u64 {
    let stats = server.cli_text(&["INFO", "commandstats"]);
    let of = |line: &str| line.split_once("calls=")?.1.split(',').next()?.parse::<u64>().ok();
    let lines = stats.lines().filter(|line| line.starts_with("cmdstat_eval"));
    lines.filter_map(of).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_waiters_ask_a_few_times_a_second_each() {
    const WAITERS: usize = 100;
    const HELD: Duration = Duration::from_secs(3);
    let f = Server::start();
    let holder = f.locks().lock("order/1").ttl(LONG).renew(false).try_acquire().await.unwrap();
    let store = Watched::new(f.store());
    let mut waiters = JoinSet::new();
    for _ in 0..WAITERS {
        let request = store.locks().lock("order/1").ttl(LONG);
        waiters.spawn(async move { request.acquire(Wait::at_most(PATIENCE)).await });
    }
    store.queued(WAITERS).await;
    f.0.cli(&["CONFIG", "RESETSTAT"]);
    tokio::time::sleep(HELD).await;
    let each = scripts_called(&f.0) as f64 / WAITERS as f64 / HELD.as_secs_f64();
    println!("{WAITERS} waiters send {each:.2} commands a second each");
    assert!(each < 4.0, "{each}");

    // They all get their turn, each by one call.
    f.0.cli(&["CONFIG", "RESETSTAT"]);
    let begun = BootInstant::now();
    holder.release().await.unwrap();
    while let Some(granted) = waiters.join_next().await {
        granted.unwrap().unwrap().release().await.unwrap();
    }
    let (took, calls) = (BootInstant::now().since(begun), scripts_called(&f.0));
    println!("they have it one after another within {took:?}, by {calls} commands");
    clean(&f).await;
}

/// Somebody who waits for `order/1`, and asks only when it is called.
async fn waiter(store: Arc<Watched>) -> JoinHandle<Result<Guard, LockError>> {
    let request = store.locks().lock("order/1").ttl(LONG);
    let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
    store.queued(1).await;
    waiting
}

fn listeners(server: &RedisServer) -> usize {
    server.cli_text(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscription_that_was_lost_is_made_again() {
    let f = Server::start();
    let holder = take(&f.locks(), "order/1").await;
    let waiting = waiter(Watched::new(f.store())).await;
    f.0.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("it listens again", async || listeners(&f.0) == 1).await;
    let (took, released) = timed(holder.release()).await;
    released.unwrap();
    let (waited, guard) = timed(soon("the call", waiting)).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(took + waited < SLACK, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_was_lost_with_the_subscription_is_made_good() {
    let f = Server::start();
    let holder = take(&f.locks(), "order/1").await;
    let waiting = waiter(Watched::new(f.store())).await;
    // Nobody can be heard at the moment of the release.
    let released = tokio::spawn(holder.release());
    f.0.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    released.await.unwrap().unwrap();
    let (waited, guard) = timed(soon("the lock", waiting)).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(waited < SLACK, "{waited:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_survives_a_restart_of_the_server() {
    let mut f = Server::start();
    let holder = take(&f.locks(), "order/1").await;
    let store = Watched::new(Arc::new(hasty(&f.0, Duration::from_millis(500))));
    // However long its backoff is.
    let waiting = waiter(store).await;
    f.0.kill9();
    f.0.restart();
    // It has forgotten the lock, which its holder learns; and who waited gets it.
    let (waited, guard) = timed(soon("the lock", waiting)).await;
    let guard = guard.unwrap().unwrap();
    assert!(waited < SLACK * 2, "{waited:?}");
    assert!(guard.fence() > holder.fence(), "fences grow all the same");
    assert_eq!(not_held(holder.release().await).unwrap().fence, guard.fence());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_without_channels_gets_its_lock_by_timer() {
    let server =
        RedisServer::builder().user("deaf on >pa55word ~prod:* resetchannels +@all").start();
    let f = Server(server);
    let deaf = |timeout| {
        Arc::new(RedisStore::open(Options {
            username: Some("deaf".to_owned()),
            password: Some("pa55word".to_owned()),
            timeout,
            ..options(f.0.port())
        }))
    };
    let holder = take(&f.locks(), "order/1").await;
    let store = Watched::new(deaf(PATIENT));
    let request = store.locks().lock("order/1").ttl(LONG);
    let begun = BootInstant::now();
    let waiting = tokio::spawn(async move { request.acquire(Wait::at_most(PATIENCE)).await });
    store.queued(1).await;
    assert!(BootInstant::now().since(begun) < SLACK, "it does not wait for a subscription");
    holder.release().await.unwrap();
    let (waited, guard) = timed(soon("the lock", waiting)).await;
    let guard = guard.unwrap().unwrap();
    assert!(waited < Duration::from_secs(1) + SLACK, "{waited:?}");

    // Nor may it call others: they have timers as well, and its release is none the worse.
    let hearing = Watched::new(f.store());
    let request = hearing.locks().lock("order/1").ttl(LONG);
    let waiting = tokio::spawn(async move { request.acquire(Wait::at_most(PATIENCE)).await });
    hearing.queued(1).await;
    guard.release().await.unwrap();
    let (waited, guard) = timed(soon("the lock", waiting)).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(waited < Duration::from_secs(1) + SLACK, "{waited:?}");
    clean(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_with_a_server_that_is_gone_is_on_time_and_says_so() {
    let mut f = Server::start();
    let locks = f.locks();
    take(&locks, "order/1").await.release().await.unwrap();
    f.0.kill9();
    let (took, answer) = timed(locks.lock("order/1").acquire(Wait::at_most(SHORT))).await;
    let Err(LockError::Unavailable(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("nothing listens there") || why.contains("closed"), "{why}");
    assert!(took >= SHORT && took < SHORT + SLACK, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_locks_leave_expires() {
    let f = Server::start();
    let holder = f.locks().lock("order/1").ttl(LONG).min_hold(SHORT).try_acquire().await.unwrap();
    let waiting = waiter(Watched::new(f.store())).await;
    for kept in ["held", "queue"] {
        let left = f.0.cli_number(&["PTTL", &key(kept, "order/1")]);
        assert!(left > 0, "{kept}: {left}");
    }
    waiting.abort();
    holder.release().await.unwrap();
    // A token that was revoked stays so for a while, and the fence for ever.
    clean(&f).await;
    let keys = f.0.cli_list(&["KEYS", "*"]);
    for name in &keys {
        let expires = f.0.cli(&["PTTL", name]) != Value::Int(-1);
        assert_eq!(expires, *name != "prod:{prod.0}:fence", "{name}");
    }
}
