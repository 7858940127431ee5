//! A Redis Cluster on which everything is encrypted, the talk of its servers as well, and
//! which is entered by a user of its own.

use std::time::Duration;

use solocron::outcome::Outcome;
use solocron::store::redis::{ClusterOptions, Pem, RedisCluster, TlsOptions};
use solocron::store::{Health, Ownership, Store, StoreError};

use super::{key, options};
use crate::contract::*;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::redis_server::{Builder, RedisServer};

/// The bucket of the job `backup`.
const BUCKET: u32 = 10;

/// Servers that speak nothing but TLS.
fn plan() -> Builder {
    RedisServer::builder()
        .tls()
        .config("tls-cluster", "yes")
        .config("tls-replication", "yes")
        .password("of-servers")
        .config("masterauth", "of-servers")
        .user("cron on >pa55word ~prod:* &prod:* +@all")
}

fn tls(cluster: &ServerCluster, ca: &str) -> TlsOptions {
    let file = |name: &str| Some(Pem::File(cluster.server(0).file(name)));
    TlsOptions { ca: file(ca), cert: file("client.pem"), key: file("client.key") }
}

fn by_cron(cluster: &ServerCluster) -> ClusterOptions {
    ClusterOptions {
        tls: Some(tls(cluster, "ca.pem")),
        username: Some("cron".to_owned()),
        password: Some("pa55word".to_owned()),
        min_acks: 1,
        ..options(cluster)
    }
}

/// Runs a slot of each of some jobs: in many buckets, at all masters.
async fn work(store: &dyn Store, name: &str) {
    let me = claimant("web-1");
    for n in 0..12 {
        let slot = due(store, &format!("{name}-{n}")).await;
        run(store, &me, &slot, Outcome::Succeeded).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_are_routed_moved_and_failed_over_with_tls_throughout() {
    let cluster = ServerCluster::of(plan(), 3, 1);
    // By one server, so that the others are found by what it tells of them.
    let mut one = by_cron(&cluster);
    one.seeds.truncate(1);
    let store = RedisCluster::open(one);
    assert!(store.describe().starts_with("rediss+cluster://127.0.0.1:"), "{}", store.describe());
    work(&store, "first").await;
    assert_eq!(*store.health().borrow(), Health::Up);

    let me = claimant("web-1");
    let held = claim_of(&due(&store, "backup").await, LONG);
    win(&store, &me, &held).await;
    let hash_slot = cluster.hash_slot(&key(BUCKET, "open"));
    let from = cluster.owner(hash_slot);
    let to = (from + 1) % 3;
    cluster.move_slot(hash_slot, from, to);
    assert_eq!(renew(&store, &renewal(&held, LONG)).await, Ownership::Ours, "MOVED is followed");

    let replica = cluster.replica_of(to);
    cluster.until_in_step(to, replica);
    let with = &cluster;
    tokio::task::block_in_place(|| with.fail_over_to(replica));
    tokio::task::block_in_place(|| with.until_whole());
    eventually("the new master is found", async || {
        store.renew(&[renewal(&held, LONG)]).await.is_ok_and(|owned| owned == [Ownership::Ours])
    })
    .await;
    work(&store, "last").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_announce_names_are_asked_by_those() {
    let plan = plan()
        .config("cluster-announce-hostname", "localhost")
        .config("cluster-preferred-endpoint-type", "hostname");
    let cluster = ServerCluster::of(plan, 3, 1);
    let store = RedisCluster::open(by_cron(&cluster));
    eventually("the names are known to all", async || {
        (0..6).all(|n| {
            cluster.server(n).cli_text(&["CLUSTER", "NODES"]).matches(",localhost").count() == 6
        })
    })
    .await;
    work(&store, "job").await;
    let held = claim_of(&due(&store, "backup").await, LONG);
    win(&store, &claimant("web-1"), &held).await;
    let hash_slot = cluster.hash_slot(&key(BUCKET, "open"));
    let from = cluster.owner(hash_slot);
    cluster.move_slot(hash_slot, from, (from + 1) % 3);
    assert_eq!(renew(&store, &renewal(&held, LONG)).await, Ownership::Ours);
    // Not all of them are, as each is known by the name of the seed as well.
    let clients = cluster.server((from + 1) % 3).cli_text(&["CLIENT", "LIST"]);
    assert!(clients.contains("user=cron"), "{clients}");
}

/// What is said when the cluster cannot be reached in this way.
async fn refusal(options: ClusterOptions) -> String {
    let timeout = Duration::from_millis(1500);
    let store = RedisCluster::open(ClusterOptions { timeout, ..options });
    let answer = store.time().await;
    let Err(StoreError::Unavailable(why)) = answer else { panic!("{answer:?}") };
    assert!(!why.contains("pa55word") && !why.contains("wr0ng"), "{why}");
    why
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_root_a_missing_certificate_and_a_wrong_password_are_refused_with_the_remedy() {
    let cluster = ServerCluster::of(plan(), 3, 0);
    let right = by_cron(&cluster);
    let with = |tls: Option<TlsOptions>| ClusterOptions { tls, ..right.clone() };
    let foreign = refusal(with(Some(tls(&cluster, "other-ca.pem")))).await;
    let anonymous = TlsOptions { cert: None, key: None, ..tls(&cluster, "ca.pem") };
    let anonymous = refusal(with(Some(anonymous))).await;
    let plain = refusal(with(None)).await;
    let wrong = refusal(ClusterOptions { password: Some("wr0ng".into()), ..right.clone() }).await;
    assert!(foreign.contains("the TLS handshake failed"), "{foreign}");
    assert!(foreign.contains("give the one that it does as `ca`"), "{foreign}");
    assert!(anonymous.contains("certificate"), "{anonymous}");
    assert!(plain.contains("does the server want TLS (rediss)?"), "{plain}");
    assert!(wrong.contains("refuses the user name or password"), "{wrong}");
}
