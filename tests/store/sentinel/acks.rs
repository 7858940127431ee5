//! Writes that count only when replicas have them.

use std::time::Duration;

use solocron::claim::{Claim, Verdict};
use solocron::clock::BootInstant;
use solocron::outcome::Outcome;
use solocron::store::redis::{Address, Options, RedisStore};
use solocron::store::{Health, Ownership, Store, StoreError};

use super::options;
use crate::contract::*;
use crate::harness::redis_server::RedisServer;
use crate::harness::sentinel::Group;

const TIMEOUT: Duration = Duration::from_millis(800);

/// One connection to the master for what counts at once, one for what is acknowledged.
fn acknowledged(group: &Group, min_acks: u32) -> Options {
    Options { min_acks, timeout: TIMEOUT, ..options(group) }
}

/// The same, without the sentinels.
fn direct(group: &Group, min_acks: u32) -> Options {
    let (host, port) = ("127.0.0.1".to_owned(), group.servers[0].port());
    let address = Address::Tcp { host, port, tls: None };
    Options { address, ..acknowledged(group, min_acks) }
}

fn keys(server: &RedisServer, pattern: &str) -> usize {
    server.cli_list(&["KEYS", &format!("prod:{{prod.0}}:{pattern}")]).len()
}

/// Asserts that it is unknown, and for the lack of a replica.
fn assert_short<T: std::fmt::Debug>(answer: Result<T, StoreError>) {
    let Err(StoreError::Unknown(why)) = &answer else { panic!("{answer:?}") };
    assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_won_or_settled_is_on_the_replica() {
    let group = Group::plan().replicas(1).start();
    for (direct, options) in [acknowledged(&group, 1), direct(&group, 1)].into_iter().enumerate() {
        let store = RedisStore::open(options);
        let me = claimant("web-1");
        for round in 0..20 {
            let claim = claim_of(&due(&store, &format!("job-{direct}-{round}")).await, LONG);
            if round == 10 {
                // So that the scripts go out in full, and are acknowledged then.
                group.servers[0].cli(&["SCRIPT", "FLUSH"]);
            }
            let grant = win(&store, &me, &claim).await;
            let lock = format!("lock:{}", claim.slot);
            assert_eq!(keys(&group.servers[1], &lock), 1, "{round}");
            let end = completion(&claim, grant, Outcome::Succeeded, now(&store).await);
            assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);
            assert_eq!(keys(&group.servers[1], &lock), 0, "{round}");
        }
        assert_eq!(*store.health().borrow(), Health::Up);
    }
    assert_eq!(keys(&group.servers[0], "mark"), 1);
    assert!(group.servers[0].cli_number(&["PTTL", "prod:{prod.0}:mark"]) > 0, "it ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_replica_nothing_counts_and_the_rest_is_not_held_up() {
    let group = Group::plan().replicas(1).start();
    let store = RedisStore::open(acknowledged(&group, 1));
    let me = claimant("web-1");
    let runs = claim_of(&due(&store, "runs").await, LONG);
    let grant = win(&store, &me, &runs).await;
    let end = completion(&runs, grant, Outcome::Succeeded, now(&store).await);

    group.servers[1].pause();
    let claim = claim_of(&due(&store, "backup").await, LONG);
    let (claims, renewals) = ([claim.clone()], [renewal(&runs, LONG)]);
    let waiting = async {
        assert_short(store.claim(&me, &claims).await);
        assert_short(store.renew(&renewals).await);
        assert_short(store.complete(&me.node, std::slice::from_ref(&end)).await);
        assert_short(store.pause(&job("backup"), true).await);
    };
    // What is read meanwhile does not wait for the replica.
    let reading = async {
        for _ in 0..20 {
            let start = BootInstant::now();
            assert!(store.time().await.is_ok());
            let took = BootInstant::now().since(start);
            assert!(took < Duration::from_millis(300), "{took:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(waiting, reading);
    eventually("its health says so", async || {
        matches!(&*store.health().borrow(), Health::Down(why) if why.contains("0 of 1 replicas"))
    })
    .await;

    group.servers[1].resume();
    // The same requests again find what the first ones did.
    eventually("the completion counts", async || {
        let again = store.complete(&me.node, std::slice::from_ref(&end)).await;
        again.is_ok_and(|owned| owned == [Ownership::Ours])
    })
    .await;
    win(&store, &me, &claim).await;
    assert!(matches!(store.renew(&renewals).await.unwrap()[..], [Ownership::SettledAs(_)]));
    eventually("its health says so", async || *store.health().borrow() == Health::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_look_sees_and_no_replica_has_is_not_relied_on() {
    let group = Group::plan().replicas(1).start();
    let store = RedisStore::open(acknowledged(&group, 1));
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let held = claim_of(&due(&store, "backup").await, LONG);
    win(&store, &me, &held).await;
    let look = [Claim { looks_first: true, ..claim_of(&held.slot, LONG) }];
    let seen = store.claim(&other, &look).await.unwrap();
    assert_eq!(holder(seen[0].verdict.clone()).token, held.token);
    group.servers[1].pause();
    // Nothing was asked for that could have been applied.
    let answer = store.claim(&other, &look).await;
    let Err(StoreError::Unavailable(why)) = &answer else { panic!("{answer:?}") };
    assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
    let mut health = store.health();
    assert!(health.wait_for(|health| matches!(health, Health::Down(_))).await.is_ok());
    group.servers[1].resume();
    // That it counts again is seen by looks alone.
    eventually("the look counts", async || store.claim(&other, &look).await.is_ok()).await;
    assert!(health.wait_for(|health| *health == Health::Up).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_writes_nothing_on_another_connection_does_not_count_sooner() {
    let group = Group::plan().replicas(1).start();
    let store = RedisStore::open(acknowledged(&group, 1));
    let me = claimant("web-1");
    let claim = claim_of(&due(&store, "backup").await, LONG);
    let grant = win(&store, &me, &claim).await;
    let end = completion(&claim, grant, Outcome::Succeeded, now(&store).await);
    group.servers[1].pause();
    assert_short(store.complete(&me.node, std::slice::from_ref(&end)).await);
    for _ in 0..3 {
        group.servers[0].cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
        let mut answers = 0;
        eventually("it is answered on another connection", async || {
            match store.complete(&me.node, std::slice::from_ref(&end)).await {
                Err(StoreError::Unknown(why)) => answers += usize::from(why.contains("0 of 1")),
                Err(StoreError::Unavailable(_)) => {}
                counted => panic!("{counted:?}"),
            }
            answers > 0
        })
        .await;
    }
    // Another one is told of the end, and must not rely on it either.
    let claim = claim_of(&claim.slot, LONG);
    assert_short(RedisStore::open(direct(&group, 1)).claim(&claimant("web-2"), &[claim]).await);
    group.servers[1].resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_acknowledgements_as_there_are_replicas_are_safe_and_others_are_warned_of() {
    let group = Group::plan().replicas(2).start();
    for (min_acks, expected) in [
        (0, Some("a failover can forget")),
        (1, Some("set min_acks = 2")),
        (2, None),
        (3, Some("nothing runs until there are 3")),
    ] {
        let store = RedisStore::open(acknowledged(&group, min_acks));
        let warnings = store.inspect().await.unwrap();
        let about: Vec<_> = warnings.iter().filter(|w| w.0.contains("min_acks")).collect();
        assert_eq!(about.len(), usize::from(expected.is_some()), "{min_acks}: {warnings:?}");
        assert!(expected.is_none_or(|text| about[0].0.contains(text)), "{about:?}");

        let claim = claim_of(&due(&store, &format!("job-{min_acks}")).await, LONG);
        let answer = store.claim(&claimant("web-1"), &[claim]).await;
        match answer.map(|claimed| claimed.into_iter().next().unwrap().verdict) {
            Ok(Verdict::Won(_)) if min_acks <= 2 => {}
            Err(StoreError::Unknown(why)) if min_acks == 3 => {
                assert!(why.contains("2 of 3 replicas"), "{why}");
            }
            other => panic!("{min_acks}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_wait_and_role_more() {
    let rules = "~prod:* -@all +eval +evalsha +script|load +ping +time +info +client|setname \
                 +config|get +get +set +del +mget +exists +pexpire +pttl +zadd +zrem +zcard \
                 +zrange +zscore +zrevrange +zrangebyscore +zremrangebyscore +hget +hset +hdel \
                 +hmget +hgetall +xadd +xdel +xtrim +xrange +xrevrange +lpush +ltrim +lrange";
    let server = RedisServer::builder()
        .user(&format!("cron on >pa55word {rules} +role +wait"))
        .user(&format!("no-wait on >pa55word {rules} +role"))
        .user(&format!("no-role on >pa55word {rules} +wait"));
    let group = Group::plan().replicas(1).server(server).start();
    let store = |user: &str| {
        let credentials = (Some(user.to_owned()), Some("pa55word".to_owned()));
        let (username, password) = credentials;
        RedisStore::open(Options { username, password, ..acknowledged(&group, 1) })
    };
    let cron = store("cron");
    run(&cron, &claimant("web-1"), &due(&cron, "backup").await, Outcome::Succeeded).await;

    let no_wait = store("no-wait");
    let claim = claim_of(&due(&no_wait, "report").await, LONG);
    let answer = no_wait.claim(&claimant("web-1"), &[claim]).await;
    let Err(StoreError::Unknown(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("lacks a permission") && why.contains("wait"), "{why}");

    let answer = store("no-role").time().await;
    let Err(StoreError::Unavailable(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("lacks a permission") && why.contains("role"), "{why}");
}
