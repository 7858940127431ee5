//! Writes that count only when the replicas of their master have them.

use std::time::Duration;

use solocron::claim::{Claim, Verdict};
use solocron::outcome::Outcome;
use solocron::store::redis::{ClusterOptions, RedisCluster};
use solocron::store::{Health, Ownership, Store, StoreError};

use super::{key, options, options_for};
use crate::contract::*;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::redis_server::RedisServer;

const TIMEOUT: Duration = Duration::from_millis(2000);
/// The bucket of the job `backup`.
const BUCKET: u32 = 10;
const SHORT: &str = "0 of 1 replicas acknowledged";

fn acknowledged(cluster: &ServerCluster) -> RedisCluster {
    RedisCluster::open(ClusterOptions { min_acks: 1, timeout: TIMEOUT, ..options(cluster) })
}

/// The master of a bucket, and its replica.
fn pair(cluster: &ServerCluster, bucket: u32) -> (usize, usize) {
    let master = cluster.owner(cluster.hash_slot(&key(bucket, "open")));
    (master, cluster.replica_of(master))
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_won_or_settled_is_on_the_replica_of_its_master() {
    let cluster = ServerCluster::start(3, 1);
    let store = acknowledged(&cluster);
    let me = claimant("web-1");
    let claims = claims(&store).await;
    let won = verdicts(&store, &me, &claims).await;
    let keys = |claim: &Claim, kind: &str| {
        let bucket = store.part(&claim.slot.job);
        let (_, replica) = pair(&cluster, bucket);
        let pattern = key(bucket, &format!("{kind}:{}", claim.slot));
        cluster.server(replica).cli_list(&["KEYS", &pattern]).len()
    };
    let at = now(&store).await;
    let mut ends = Vec::new();
    for (claim, verdict) in claims.iter().zip(won) {
        assert_eq!((keys(claim, "lock"), keys(claim, "slot")), (1, 1), "{}", claim.slot);
        ends.push(completion(claim, granted(verdict), Outcome::Succeeded, at));
    }
    let ends = store.complete(&me.node, &ends).await.unwrap();
    assert!(ends.iter().all(|end| *end == Ownership::Ours));
    assert!(claims.iter().all(|claim| keys(claim, "lock") == 0), "their locks are gone there, too");
    assert_eq!(*store.health().borrow(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_replica_of_its_master_nothing_counts_it_is_said_why_and_the_others_go_on() {
    let cluster = ServerCluster::start(3, 1);
    let store = acknowledged(&cluster);
    let me = claimant("web-1");
    let held = claim_of(&due(&store, "backup").await, LONG);
    let grant = win(&store, &me, &held).await;
    let end = completion(&held, grant, Outcome::Succeeded, now(&store).await);
    let claims = claims(&store).await;
    let (master, replica) = pair(&cluster, BUCKET);
    let is_of = |claim: &Claim| pair(&cluster, store.part(&claim.slot.job)).0 == master;

    cluster.server(replica).pause();
    let answers = verdicts(&store, &me, &claims).await;
    for (claim, verdict) in claims.iter().zip(&answers) {
        match verdict {
            Verdict::Won(_) => assert!(!is_of(claim), "{} has no replica", claim.slot),
            Verdict::Unknown(why) => assert!(is_of(claim) && why.contains(SHORT), "{why}"),
            other => panic!("{}: {other:?}", claim.slot),
        }
    }
    for answer in [
        store.renew(&[renewal(&held, LONG)]).await.map(|_| ()),
        store.complete(&me.node, std::slice::from_ref(&end)).await.map(|_| ()),
        store.pause(&job("backup"), true).await.map(|_| ()),
    ] {
        let Err(StoreError::Unknown(why)) = &answer else { panic!("{answer:?}") };
        assert!(why.contains(SHORT), "{why}");
    }
    // What is read does not wait for it.
    assert!(store.recorded(&held.slot.job, &[held.slot.at]).await.is_ok());
    let partly = |health: &Health| matches!(health, Health::Partly(why) if why.contains(SHORT));
    assert!(store.health().wait_for(partly).await.is_ok());

    cluster.server(replica).resume();
    // The same requests again find what the first ones did.
    eventually("every claim is ours", async || {
        let again = verdicts(&store, &me, &claims).await;
        again.iter().all(|verdict| matches!(verdict, Verdict::Won(_)))
    })
    .await;
    assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);
    assert!(store.health().wait_for(|health| *health == Health::Up).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_follows_a_bucket_that_has_moved() {
    let cluster = ServerCluster::start(3, 1);
    let (one, other) = (acknowledged(&cluster), acknowledged(&cluster));
    let held = claim_of(&due(&one, "backup").await, LONG);
    win(&one, &claimant("web-1"), &held).await;
    let look = || Claim { looks_first: true, ..claim_of(&held.slot, LONG) };
    let seen = async |store: &RedisCluster| {
        holder(try_claim(store, &claimant("web-2"), &look()).await).token
    };
    assert_eq!(seen(&other).await, held.token);
    let (from, _) = pair(&cluster, BUCKET);
    cluster.move_slot(cluster.hash_slot(&key(BUCKET, "open")), from, (from + 1) % 3);
    // This one knows the way as it was.
    assert_eq!(seen(&other).await, held.token);
    assert_eq!(*other.health().borrow(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledgement_of_a_master_that_has_the_bucket_no_more_is_none() {
    let cluster = ServerCluster::start(3, 1);
    let (one, other) = (acknowledged(&cluster), acknowledged(&cluster));
    let me = claimant("web-1");
    let held = claim_of(&due(&one, "backup").await, LONG);
    win(&one, &me, &held).await;
    assert!(other.sweep(1).await.is_ok());
    let (from, _) = pair(&cluster, BUCKET);
    let to = (from + 1) % 3;
    cluster.move_slot(cluster.hash_slot(&key(BUCKET, "open")), from, to);
    // Where it is now no replica acknowledges; where it was one would.
    cluster.server(cluster.replica_of(to)).pause();
    for store in [&one, &other] {
        let answer = store.renew(&[renewal(&held, LONG)]).await;
        let Err(StoreError::Unknown(why)) = &answer else { panic!("{answer:?}") };
        assert!(why.contains(SHORT), "{why}");
    }
    cluster.server(cluster.replica_of(to)).resume();
    eventually("it counts", async || {
        one.renew(&[renewal(&held, LONG)]).await.is_ok_and(|owned| owned == [Ownership::Ours])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fewer_acknowledgements_than_a_master_has_replicas_are_warned_of_and_more_as_well() {
    let cluster = ServerCluster::start(3, 1);
    for (min_acks, expected) in
        [(0, Some("set min_acks = 1")), (1, None), (2, Some("nothing runs until there are 2"))]
    {
        let store = RedisCluster::open(ClusterOptions { min_acks, ..options(&cluster) });
        let warnings = store.inspect().await.unwrap();
        let about: Vec<_> = warnings.iter().filter(|w| w.0.contains("min_acks")).collect();
        assert_eq!(about.len(), usize::from(expected.is_some()), "{min_acks}: {warnings:?}");
        let ports = cluster.ports();
        let told = |text: &str| {
            about[0].0.contains(text)
                && ports.iter().all(|port| about[0].0.contains(&port.to_string()))
        };
        assert!(expected.is_none_or(told), "{about:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_who_may_not_wait_is_told_so() {
    let server = RedisServer::builder().of_cluster().user("cron on >pa55word ~* +@all -wait");
    let server = server.start();
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let store = RedisCluster::open(ClusterOptions {
        username: Some("cron".to_owned()),
        password: Some("pa55word".to_owned()),
        min_acks: 1,
        ..options_for(&[server.port()])
    });
    eventually("it serves", async || store.sweep(1).await.is_ok()).await;
    let claim = claim_of(&due(&store, "backup").await, LONG);
    let answer = store.claim(&claimant("web-1"), &[claim]).await;
    let Err(StoreError::Unknown(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("lacks a permission") && why.contains("wait"), "{why}");
}
