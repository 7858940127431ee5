//! Masters that die, freeze, forget scripts, or answer nonsense.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use solocron::claim::{Claim, Verdict};
use solocron::clock::BootInstant;
use solocron::outcome::Outcome;
use solocron::store::redis::{ClusterOptions, RedisCluster};
use solocron::store::{Health, Ownership, Store, StoreError};

use super::{key, options, options_for};
use crate::contract::*;
use crate::harness::proxy::{Flow, Proxy, Way};
use crate::harness::redis_cluster::ServerCluster;

/// Short enough to be waited for, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_millis(800);
/// What a call may take beyond its timeout, on a busy machine.
const SLACK: Duration = Duration::from_millis(600);

fn hasty(cluster: &ServerCluster) -> RedisCluster {
    RedisCluster::open(ClusterOptions { timeout: TIMEOUT, ..options(cluster) })
}

/// Claims of a slot of each of 64 jobs: some in every bucket.
async fn claims(store: &dyn Store) -> Vec<Claim> {
    let slot = due(store, "job").await;
    let claim = |n: usize| {
        let mut claim = claim_of(&slot, LONG);
        claim.slot.job = job(&format!("job-{n}"));
        claim
    };
    (0..64).map(claim).collect()
}

fn won(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Won(_))).count()
}

fn unknown(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Unknown(_))).count()
}

async fn until_health(store: &RedisCluster, what: &str, is: impl Fn(&Health) -> bool) {
    let mut health = store.health();
    let found = tokio::time::timeout(Duration::from_secs(30), health.wait_for(|h| is(h))).await;
    assert!(found.is_ok_and(|found| found.is_ok()), "{what}: {:?}", store.health().borrow());
}

/// A slot of each job is done or held, and so it stays.
async fn assert_known(store: &dyn Store, claims: &[Claim]) {
    let again: Vec<_> = claims.iter().map(|claim| claim_of(&claim.slot, LONG)).collect();
    for (claim, verdict) in claims.iter().zip(verdicts(store, &claimant("late"), &again).await) {
        match verdict {
            Verdict::Held(holder) => assert_eq!(holder.token, claim.token),
            Verdict::Done(settled) => assert_eq!(settled.token, claim.token),
            other => panic!("{}: {other:?}", claim.slot),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_master_costs_its_own_jobs_until_its_replica_follows_and_no_slot() {
    let mut cluster = ServerCluster::start(3, 1);
    let store = hasty(&cluster);
    let me = claimant("web-1");
    let first = claims(&store).await;
    assert_eq!(won(&verdicts(&store, &me, &first).await), first.len());
    let ends: Vec<_> = {
        let at = now(&store).await;
        let again = verdicts(&store, &me, &first).await;
        let halves = first.iter().zip(again).take(32);
        halves.map(|(claim, v)| completion(claim, granted(v), Outcome::Succeeded, at)).collect()
    };
    store.complete(&me.node, &ends).await.unwrap();
    let doomed = cluster.owner(cluster.hash_slot(&key(0, "open")));
    let replica = cluster.replica_of(doomed);
    cluster.until_in_step(doomed, replica);
    cluster.server_mut(doomed).kill9();

    // The others answer meanwhile.
    let second: Vec<_> = first.iter().map(|claim| claim_of(&claim.slot, LONG)).collect();
    let answers = verdicts(&store, &me, &second).await;
    let (lost, known) = (unknown(&answers), answers.len() - unknown(&answers));
    assert!(lost > 0 && known > 0 && won(&answers) == 0, "{answers:?}");
    until_health(&store, "a part is down", |health| matches!(health, Health::Partly(_))).await;

    cluster.until_master(replica);
    until_health(&store, "all answer", |health| *health == Health::Up).await;
    assert_known(&store, &first).await;
    // So does who comes now, by the master that is gone and the others.
    assert_known(&hasty(&cluster), &first).await;
    for claim in &first[32..] {
        assert_eq!(renew(&store, &renewal(claim, LONG)).await, Ownership::Ours);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_master_costs_its_own_jobs_one_timeout_and_the_others_nothing() {
    let cluster = ServerCluster::start(3, 0);
    let store = hasty(&cluster);
    let me = claimant("web-1");
    let claims = claims(&store).await;
    store.sweep(10).await.unwrap();
    let frozen = cluster.owner(cluster.hash_slot(&key(3, "open")));
    cluster.server(frozen).pause();

    let begun = BootInstant::now();
    let answers = verdicts(&store, &me, &claims).await;
    let took = BootInstant::now().since(begun);
    assert!(took >= TIMEOUT && took < TIMEOUT + SLACK, "{took:?}");
    let count = won(&answers);
    assert!(count > 0 && unknown(&answers) == claims.len() - count, "{answers:?}");
    assert!(store.sweep(10).await.is_ok(), "the others are looked after");
    until_health(&store, "a part is down", |health| match health {
        Health::Partly(why) => why.contains("buckets") && why.contains("of 16 do not answer"),
        _ => false,
    })
    .await;
    let renewals: Vec<_> = claims.iter().map(|claim| renewal(claim, LONG)).collect();
    let answer = store.renew(&renewals).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "some were renewed: {answer:?}");

    cluster.server(frozen).resume();
    until_health(&store, "all answer", |health| *health == Health::Up).await;
    // What was sent to it was done when it woke, or is done now: by the same token.
    eventually("every claim is ours", async || {
        won(&verdicts(&store, &me, &claims).await) == claims.len()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_flushed_are_not_missed() {
    let cluster = ServerCluster::start(3, 0);
    let store = RedisCluster::open(options(&cluster));
    let flush = || (0..3).for_each(|n| drop(cluster.server(n).cli(&["SCRIPT", "FLUSH"])));
    let claims = claims(&store).await;
    flush();
    assert_eq!(won(&verdicts(&store, &claimant("web-1"), &claims).await), claims.len());
    flush();
    let renewals: Vec<_> = claims.iter().map(|claim| renewal(claim, LONG)).collect();
    let answers = store.renew(&renewals).await.unwrap();
    assert!(answers.iter().all(|answer| *answer == Ownership::Ours));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_whose_reply_was_lost_finds_itself_the_owner() {
    let cluster = ServerCluster::start(3, 0);
    // The servers tell its port as that of the master behind it.
    let master = cluster.owner(cluster.hash_slot(&key(10, "open")));
    let proxy = Proxy::before(cluster.server(master).port());
    let port = proxy.port().to_string();
    cluster.server(master).cli(&["CONFIG", "SET", "cluster-announce-port", &port]);
    let store =
        RedisCluster::open(ClusterOptions { timeout: TIMEOUT, ..options_for(&[proxy.port()]) });
    let claim = claim_of(&due(&store, "backup").await, LONG);
    store.sweep(1).await.unwrap();
    proxy.set(Way::ToClient, Flow::Drop);
    let me = claimant("web-1");
    let answer = store.claim(&me, std::slice::from_ref(&claim)).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    proxy.mend();
    let record = key(10, &format!("slot:{}", claim.slot));
    assert_eq!(cluster.server(master).cli_number(&["EXISTS", &record]), 1, "it was made");
    eventually("the store is back", async || store.sweep(1).await.is_ok()).await;
    eventually("all of it is", async || {
        store.recorded(&claim.slot.job, &[claim.slot.at]).await.is_ok()
    })
    .await;
    granted(try_claim(&store, &me, &claim).await);
    let other = try_claim(&store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(holder(other).token, claim.token);
}

/// A port on which something listens that speaks no Redis.
fn nonsense() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_that_talks_nonsense_is_passed_over() {
    let cluster = ServerCluster::start(3, 0);
    let bad = nonsense();
    let store = RedisCluster::open(options_for(&[bad, cluster.ports()[1]]));
    run(&store, &claimant("web-1"), &due(&store, "backup").await, Outcome::Succeeded).await;
    let store = RedisCluster::open(options_for(&[bad]));
    let Err(StoreError::Unavailable(why)) = store.time().await else { panic!("it is none") };
    assert!(why.contains("does not speak the Redis protocol"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_is_gone_is_down_and_a_closed_store_says_so() {
    let mut cluster = ServerCluster::start(3, 0);
    let store = hasty(&cluster);
    store.sweep(1).await.unwrap();
    (0..3).for_each(|number| cluster.server_mut(number).kill9());
    until_health(&store, "all is down", |health| matches!(health, Health::Down(_))).await;
    let claims = some_claims();
    let answer = store.claim(&claimant("web-1"), &claims).await;
    assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
    store.close().await;
    let Err(StoreError::Unavailable(why)) = store.time().await else { panic!("it is closed") };
    assert!(why.contains("closed"), "{why}");
}

/// Claims for a store that cannot be asked what time it is.
fn some_claims() -> Vec<Claim> {
    let slot: solocron::slot::Slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
    ["a", "b", "c", "d"]
        .map(|name| {
            let mut claim = claim_of(&slot, LONG);
            claim.slot.job = job(name);
            claim
        })
        .to_vec()
}
