//! What is said of a cluster that can break the guarantee, or is none.

use std::time::Duration;

use solocron::store::redis::{ClusterOptions, RedisCluster};
use solocron::store::{Store, StoreError};

use super::{options, options_for};
use crate::contract::eventually;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::redis_server::RedisServer;
use crate::redis::keyspace::workout;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_break_the_guarantee_is_said_once_with_the_servers_that_it_is_about() {
    let cluster = ServerCluster::start(3, 0);
    cluster.server(0).cli(&["CONFIG", "SET", "cluster-require-full-coverage", "yes"]);
    for number in [0, 1] {
        cluster.server(number).cli(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    }
    let store = RedisCluster::open(options(&cluster));
    let warnings: Vec<_> = store.inspect().await.unwrap().into_iter().map(|w| w.0).collect();
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    let ports = cluster.ports();
    let of = |what: &str| warnings.iter().find(|warning| warning.contains(what)).unwrap();
    let policy = of("set maxmemory-policy noeviction");
    assert!(policy.contains(&ports[0].to_string()) && policy.contains(&ports[1].to_string()));
    assert!(!policy.contains(&ports[2].to_string()), "{policy}");
    of("cluster-require-full-coverage is yes");
    let bare = of("masters without a replica");
    assert!(ports.iter().all(|port| bare.contains(&port.to_string())), "{bare}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_single_server_is_not_taken_for_a_cluster() {
    let server = RedisServer::start();
    let store = RedisCluster::open(options_for(&[server.port()]));
    let Err(StoreError::Unavailable(why)) = store.time().await else { panic!("it is none") };
    assert!(why.contains("no server of a Redis Cluster") && why.contains("redis://"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_with_a_password_is_entered_with_it_and_the_password_is_in_no_message() {
    let server = RedisServer::builder().of_cluster().password("hunter2").start();
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let right =
        ClusterOptions { password: Some("hunter2".into()), ..options_for(&[server.port()]) };
    let store = RedisCluster::open(right);
    eventually("it serves", async || store.sweep(1).await.is_ok()).await;
    let timeout = Duration::from_millis(800);
    let wrong = ClusterOptions {
        password: Some("hunter3".into()),
        timeout,
        ..options_for(&[server.port()])
    };
    let Err(why) = RedisCluster::open(wrong).time().await else { panic!("it is wrong") };
    let why = why.to_string();
    assert!(why.contains("refuses the user name or password") && !why.contains("hunter"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_only_its_own_keys_and_commands_and_every_key_has_its_bucket_and_an_end() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rules = readme.split("ACL SETUSER ").nth(1).unwrap().split("```").next().unwrap();
    let more = readme.split('`').find(|part| part.contains("+cluster|info")).unwrap();
    let words: Vec<_> = rules.split_whitespace().chain(more.split_whitespace()).collect();
    let server = RedisServer::builder().of_cluster().user(&words.join(" ")).start();
    server.cli(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]);
    let store = RedisCluster::open(ClusterOptions {
        username: Some("cron".to_owned()),
        password: Some("PASSWORD".to_owned()),
        ..options_for(&[server.port()])
    });
    eventually("it serves", async || store.sweep(1).await.is_ok()).await;
    workout(&store).await;
    assert!(store.inspect().await.is_ok());
    let denied = server.cli_list(&["ACL", "LOG"]);
    assert!(denied.is_empty(), "{denied:?}");

    let keys = server.cli_list(&["KEYS", "*"]);
    let mut buckets: Vec<u32> = Vec::new();
    for name in &keys {
        let (bucket, rest) = name.strip_prefix("prod:{prod.").unwrap().split_once("}:").unwrap();
        buckets.push(bucket.parse().unwrap());
        assert!(!rest.starts_with("nowhere"), "{name} is never written");
        let left = server.cli_number(&["PTTL", name]);
        assert!(if rest == "fence" { left == -1 } else { left > 0 }, "{name} ends: {left}");
    }
    buckets.sort_unstable();
    buckets.dedup();
    assert!(buckets.len() > 4 && buckets.iter().all(|bucket| *bucket < 16), "{buckets:?}");
}
