//! Ways to the servers: users, and what they need to be allowed.

use std::sync::Arc;
use std::time::Duration;

use solocron::outcome::Outcome;
use solocron::store::Store;
use solocron::store::quorum::slots::{QuorumStore, Replica};
use solocron::store::redis::{Options, RedisReplica};

use crate::contract::*;
use crate::harness::redis_server::RedisServer;
use crate::harness::until;
use crate::redis::options;

/// What README tells to allow.
const USER: &str = "cron on >pa55word ~prod:* -@all +eval +evalsha +script|load +ping +time +info \
                    +client|setname +config|get +get +set +del +mget +exists +pexpire +pttl +zadd \
                    +zrem +zcard +zrange +zrevrange +zrangebyscore +zremrangebyscore +zscore +hget \
                    +hset +hdel +hmget +hgetall +xadd +xdel +xtrim +xrange +xrevrange +lpush +ltrim \
                    +lrange +scan +dump +restore +hexists +hincrby +lrem +xlen";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_needs_only_its_own_keys_and_commands() {
    let mut servers: Vec<_> = (0..3).map(|_| RedisServer::builder().user(USER).start()).collect();
    let replica = |server: &RedisServer| -> Arc<dyn Replica> {
        Arc::new(RedisReplica::open(Options {
            username: Some("cron".to_owned()),
            password: Some("pa55word".to_owned()),
            timeout: Duration::from_secs(2),
            ..options(server)
        }))
    };
    let store = QuorumStore::open(servers.iter().map(replica).collect(), Duration::from_secs(2));
    let who = claimant("web-1");
    let slot = due(&store, "backup").await;
    run(&store, &who, &slot, Outcome::Failed).await;
    store.prune(KEEP_ALL).await.unwrap();
    assert_eq!(store.slot(&slot).await.unwrap().entries.len(), 1);
    let warnings = store.inspect().await.unwrap();
    assert!(warnings.iter().all(|warning| !warning.0.contains("allow")), "{warnings:?}");

    // Also to copy to one that came back empty.
    servers[0].kill9();
    servers[0].restart();
    until("it is a member again", || {
        let member = servers[0].cli(&["HGET", "prod:{prod.quorum}:state", "member"]);
        matches!(member, redis::Value::BulkString(_))
    });
    let copied = servers[0].cli_text(&["GET", &format!("prod:{{prod.quorum}}:slot:{slot}")]);
    assert!(copied.starts_with("failed "), "{copied}");
}
