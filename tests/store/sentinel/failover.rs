//! Masters that go away, and others in their place.

use std::time::Duration;

use solocron::outcome::Outcome;
use solocron::store::redis::{Address, Options, Pem, RedisStore, TlsOptions};
use solocron::store::{Health, Ownership, Store, StoreError};

use super::{options, options_for};
use crate::contract::*;
use crate::harness::redis_server::RedisServer;
use crate::harness::sentinel::{Group, MASTER, Plan};
use crate::sentinel::impostors::{Says, Sentinel};

/// Short enough to be waited for.
const TIMEOUT: Duration = Duration::from_millis(800);

fn watched() -> Plan {
    Group::plan().replicas(1).down_after(Duration::from_millis(700))
}

fn hasty(group: &Group) -> Options {
    Options { timeout: TIMEOUT, ..options(group) }
}

async fn until_it_answers(store: &RedisStore) {
    eventually("the store answers", async || store.time().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_master_is_followed_to_the_replica_that_takes_its_place() {
    let mut group = watched().start();
    group.until_watched();
    let store = RedisStore::open(hasty(&group));
    let me = claimant("web-1");
    let (done_before, _) = run(&store, &me, &due(&store, "backup").await, Outcome::Succeeded).await;
    let running = claim_of(&due(&store, "report").await, LONG);
    let grant = win(&store, &me, &running).await;
    group.until_in_step(0);

    group.servers[0].kill9();
    group.until_master(1);
    until_it_answers(&store).await;
    // What was replicated holds: leases, records, fences.
    let again = try_claim(&store, &claimant("web-2"), &claim_of(&done_before.slot, LONG)).await;
    assert_eq!(done(again).token, done_before.token);
    assert_eq!(renew(&store, &renewal(&running, LONG)).await, Ownership::Ours);
    let end = completion(&running, grant, Outcome::Succeeded, now(&store).await);
    assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);
    assert_eq!(*store.health().borrow(), Health::Up);

    // The old one comes back as a replica; nobody who begins goes to it.
    group.servers[0].restart();
    let late = RedisStore::open(hasty(&group));
    assert!(late.slot(&running.slot).await.unwrap().record.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_master_is_left_for_the_one_that_takes_its_place() {
    let group = watched().start();
    group.until_watched();
    let store = RedisStore::open(hasty(&group));
    let slot = due(&store, "backup").await;
    group.until_in_step(0);
    group.servers[0].pause();
    let lost = store.claim(&claimant("web-1"), &[claim_of(&slot, LONG)]).await;
    assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
    group.until_master(1);
    until_it_answers(&store).await;
    win(&store, &claimant("web-2"), &claim_of(&slot, LONG)).await;
    group.servers[0].resume();
    // The claim that lay in the frozen one's socket is nowhere any more.
    let found = try_claim(&store, &claimant("web-3"), &claim_of(&slot, LONG)).await;
    assert_eq!(holder(found).node.as_str(), "web-2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_demoted_while_connected_is_left_when_it_refuses_a_write() {
    // No sentinel closes its connections, as it would where it demotes one itself.
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let sentinel = Sentinel::start(Says::Master(old.port()));
    let store = RedisStore::open(Options { timeout: TIMEOUT, ..options_for(sentinel.address()) });
    let slot = due(&store, "backup").await;
    old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    sentinel.says(Says::Master(new.port()));
    let mut refused = None;
    eventually("the new master is found", async || {
        match store.claim(&claimant("web-1"), &[claim_of(&slot, LONG)]).await {
            Err(StoreError::Unavailable(why)) => {
                refused.get_or_insert(why);
                false
            }
            Err(error) => panic!("{error}"),
            Ok(_) => true,
        }
    })
    .await;
    if let Some(why) = refused {
        assert!(why.contains("replica") || why.contains("the master in place of"), "{why}");
    }
    assert!(new.cli_number(&["DBSIZE"]) > 0, "the claim is there");
    eventually("its health says so", async || *store.health().borrow() == Health::Up).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_was_replaced_and_does_not_know_it_is_left() {
    let (old, new) = (RedisServer::start(), RedisServer::start());
    let sentinel = Sentinel::start(Says::Master(old.port()));
    let store = RedisStore::open(Options { timeout: TIMEOUT, ..options_for(sentinel.address()) });
    let (claim, _) =
        run(&store, &claimant("web-1"), &due(&store, "backup").await, Outcome::Succeeded).await;
    // It is cut off from its sentinels, and not from us.
    sentinel.says(Says::Master(new.port()));
    eventually("the new master is found", async || {
        store.slot(&claim.slot).await.is_ok_and(|story| story.record.is_none())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_of_servers_and_sentinels_are_their_own() {
    let group = Group::plan().replicas(1).passwords("of-servers", "of-sentinels").start();
    let with = |server: &str, sentinel: Option<&str>| {
        let mut options = Options { password: Some(server.to_owned()), ..options(&group) };
        if let Address::Sentinel(of) = &mut options.address {
            of.password = sentinel.map(str::to_owned);
        }
        options
    };
    let store = RedisStore::open(with("of-servers", Some("of-sentinels")));
    run(&store, &claimant("web-1"), &due(&store, "backup").await, Outcome::Succeeded).await;

    for (server, sentinel, expected) in [
        ("of-servers", Some("wr0ng"), "check `sentinel_username` and `sentinel_password`"),
        ("of-servers", None, "check `sentinel_username` and `sentinel_password`"),
        ("wr0ng", Some("of-sentinels"), "check `username` and `password`"),
    ] {
        let store = RedisStore::open(with(server, sentinel));
        let error = store.time().await.unwrap_err();
        let StoreError::Unavailable(why) = &error else { panic!("{error:?}") };
        assert!(why.contains(expected), "{why}");
        for secret in ["wr0ng", "of-servers", "of-sentinels"] {
            assert!(!format!("{error} {store:?} {:?}", store.health()).contains(secret), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_goes_to_the_sentinels_and_to_the_master() {
    let master = RedisServer::builder().tls().start();
    let watched = format!("{MASTER} 127.0.0.1 {} 1", master.port());
    let sentinel = RedisServer::builder()
        .sentinel()
        .tls_of(&master)
        .config("tls-replication", "yes")
        .config("sentinel monitor", &watched)
        .start();
    let with = |tls: Option<TlsOptions>| {
        let mut options = options_for(vec![("127.0.0.1".to_owned(), sentinel.port())]);
        if let Address::Sentinel(of) = &mut options.address {
            of.tls = tls;
        }
        options
    };
    let file = |name: &str| Some(Pem::File(master.file(name)));
    let tls = |ca: &str| {
        Some(TlsOptions { ca: file(ca), cert: file("client.pem"), key: file("client.key") })
    };
    let store = RedisStore::open(with(tls("ca.pem")));
    run(&store, &claimant("web-1"), &due(&store, "backup").await, Outcome::Succeeded).await;
    assert!(store.describe().starts_with("rediss+sentinel://"), "{}", store.describe());

    for (tls, expected) in [(tls("other-ca.pem"), "the TLS handshake failed"), (None, "closed")] {
        let Err(StoreError::Unavailable(why)) = RedisStore::open(with(tls)).time().await else {
            panic!("it cannot be reached")
        };
        assert!(why.contains("no sentinel answers") && why.contains(expected), "{why}");
    }
}
