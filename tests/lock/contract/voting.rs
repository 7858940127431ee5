//! A vote of several servers, one by one.

use std::cmp::Ordering;
use std::time::Duration;

use solocron::lock::{LockError, Locks};

use super::*;
use crate::harness::redis_server::RedisServer;
use crate::quorum::{quorum_of, residue, several};
use crate::redis::key;

/// How long a lock lasts at each server, in milliseconds; less than nothing where there is
/// none.
fn ttls(servers: &[RedisServer], name: &str) -> Vec<i64> {
    servers.iter().map(|server| server.cli_number(&["PTTL", &key("held", name)])).collect()
}

pub(crate) async fn extend_on_every_node(f: &impl Fixture) {
    let locks = f.locks();
    let request = locks.lock("order/1").ttl(LONG).renew(false);
    let guard = request.try_acquire().await.unwrap();
    guard.extend(LONG * 3).await.unwrap();
    eventually("it is extended everywhere", async || {
        ttls(f.servers(), "order/1").iter().all(|left| *left > 2 * LONG.as_millis() as i64)
    })
    .await;
    guard.release().await.unwrap();
    clean(f).await;
}

/// Every way in which servers can be held by another: a majority decides, and nothing is
/// left of what was in vain.
pub(crate) async fn every_mask_of_foreign_keys(f: &impl Fixture) {
    drop(f.locks());
    let servers = several(5);
    let foreign = format!("{} 7 foreign", Token::new());
    for count in [4, 5] {
        let servers = &servers[..count];
        // Five know what four have remembered, but for the fifth: it is new then.
        servers.iter().for_each(|server| drop(server.cli(&["FLUSHALL"])));
        let quorum = quorum_of(servers, PATIENT);
        let locks = Locks::new(std::sync::Arc::new(quorum.clone()));
        for mask in 0..1_u32 << count {
            let taken = |at: usize| mask & (1 << at) != 0;
            for (at, server) in servers.iter().enumerate() {
                if taken(at) {
                    server.cli(&["SET", &key("held", "order/1"), &foreign, "PX", "60000"]);
                }
            }
            let foreign = mask.count_ones() as usize;
            // How long an even split is tried for goes by the time to live.
            let ttl = if 2 * foreign == count { SHORT } else { LONG };
            let answer = locks.lock("order/1").ttl(ttl).metadata("ours").try_acquire().await;
            match foreign.cmp(&(count - foreign)) {
                Ordering::Less => answer.unwrap().release().await.unwrap(),
                Ordering::Greater => {
                    assert_eq!(contended(answer).1.metadata, "foreign", "{mask:b}");
                }
                // Of four, which no address opens. Where one of them is slow the other may have
                // a majority with it.
                Ordering::Equal => match answer {
                    Err(LockError::Unavailable(why)) => {
                        assert!(why.contains("nobody is known to have a majority"), "{why}");
                    }
                    other => assert_eq!(contended(other).1.metadata, "foreign", "{mask:b}"),
                },
            }
            quorum.settled().await;
            for (at, server) in servers.iter().enumerate() {
                let left = server.cli_number(&["DEL", &key("held", "order/1")]);
                assert_eq!(left, i64::from(taken(at)), "{mask:b} at {at}");
            }
            assert_eq!(residue(servers), [""; 0]);
        }
    }
}

pub(crate) async fn relock_on_extend(f: &impl Fixture) {
    let servers = f.servers();
    let locks = f.locks();
    let request = locks.lock("order/1").ttl(LONG).metadata("web-1").renew(false);
    let guard = request.try_acquire().await.unwrap();
    f.settle();
    let text = |server: &RedisServer| server.cli_text(&["GET", &key("held", "order/1")]);
    let whole = text(&servers[1]);
    servers[0].cli(&["FLUSHALL"]);
    guard.extend(LONG).await.unwrap();
    f.settle();
    assert_eq!(text(&servers[0]), whole, "the same token, fence and metadata");

    // Where a majority has it no longer it is lost, and nobody is given it again.
    servers[0].cli(&["FLUSHALL"]);
    servers[1].cli(&["DEL", &key("held", "order/1")]);
    assert_eq!(not_held(guard.extend(LONG).await), None);
    f.settle();
    let left = ttls(servers, "order/1");
    assert!(left[0] < 0 && left[1] < 0, "{left:?}");
    guard.release().await.unwrap_err();
    clean(f).await;
    assert!(locks.lock("order/1").ttl(Duration::from_millis(500)).try_acquire().await.is_ok());
}
