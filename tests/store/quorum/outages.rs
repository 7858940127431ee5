//! Servers that are killed, stalled, and come back empty, two of five at a time; and what
//! happens when it is three.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use solocron::claim::{Claim, Grant, Token, Verdict};
use solocron::clock::BootInstant;
use solocron::ledger::Retention;
use solocron::name::ClusterName;
use solocron::outcome::Outcome;
use solocron::slot::{Slot, SlotTime};
use solocron::store::quorum::slots::QuorumStore;
use solocron::store::{Completion, Health, Store, StoreError};

use super::{quorum_at, quorum_of, several};
use crate::contract::*;
use crate::harness::redis_server::RedisServer;
use crate::harness::until;

const JOBS: i64 = 10;
/// So many claims go in one call.
const AT_ONCE: usize = 10;
/// No call takes longer.
const BOUND: Duration = Duration::from_secs(2);
/// The longest that claims may stand still while two servers are away: calls to those that
/// hang take their time once, then they are known to be down.
const STANDSTILL: Duration = Duration::from_secs(6);

fn prod() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

/// A slot, by a number.
fn slot(last: i64, n: usize) -> Slot {
    let n = i64::try_from(n).unwrap();
    Slot::scheduled(job(&format!("job-{}", n % JOBS)), SlotTime::from_unix_seconds(last - n / JOBS))
}

/// What goes on beside the servers' troubles.
struct Work {
    last: i64,
    /// So many slots have their verdict from somebody.
    done: AtomicUsize,
    over: AtomicBool,
}

/// One replica claims slot after slot until all is over, asks again with the same token until
/// it has a verdict on each, and ends what it won; the tokens that won.
async fn replica(store: QuorumStore, name: &str, work: &Work) -> Vec<(Slot, Token, Grant)> {
    let (me, mut won, mut next) = (claimant(name), Vec::new(), 0);
    while !work.over.load(Ordering::Relaxed) {
        let slots = (next..next + AT_ONCE).map(|n| slot(work.last, n));
        let mut open: Vec<Claim> = slots.map(|slot| claim_of(&slot, LONG)).collect();
        next += AT_ONCE;
        while !open.is_empty() {
            // Without an answer none of them has a verdict.
            let Ok(claimed) = store.claim(&me, &open).await else {
                tokio::task::yield_now().await;
                continue;
            };
            for (claim, claimed) in std::mem::take(&mut open).into_iter().zip(claimed) {
                match claimed.verdict {
                    Verdict::Won(grant) => won.push((claim, grant)),
                    Verdict::Held(_) | Verdict::Done(_) => {}
                    other => panic!("{}: {other:?}", claim.slot),
                }
            }
        }
        work.done.fetch_max(next, Ordering::Relaxed);
        let from = won.len().saturating_sub(AT_ONCE);
        for (claim, grant) in &won[from..] {
            // All that a job ran is kept in the ledger.
            let retention = Retention { per_job: 1 << 20, ..KEEP_ALL };
            let end = Completion {
                retention,
                ..completion(claim, *grant, Outcome::Succeeded, claim.due)
            };
            while store.complete(&me.node, std::slice::from_ref(&end)).await.is_err() {
                tokio::task::yield_now().await;
            }
        }
    }
    won.into_iter().map(|(claim, grant)| (claim.slot, claim.token, grant)).collect()
}

/// Waits until so many slots more have their verdicts.
fn pass(work: &Work, more: usize) {
    let goal = work.done.load(Ordering::Relaxed) + more;
    let began = BootInstant::now();
    until("claims go on", || work.done.load(Ordering::Relaxed) >= goal);
    let took = BootInstant::now().since(began);
    assert!(took < STANDSTILL, "claims stood still for {took:?}");
}

/// Waits until all servers are members.
fn until_members(servers: &[RedisServer]) {
    until("all are members", || {
        servers.iter().all(|server| {
            let member = server.cli(&["HGET", &key("state"), "member"]);
            matches!(member, redis::Value::BulkString(_))
        })
    });
}

fn key(rest: &str) -> String {
    format!("prod:{{prod.quorum}}:{rest}")
}

/// Two servers at a time are stalled, killed, and restarted empty, in turn.
fn troubles(servers: &mut [RedisServer], work: &Work) {
    let seconds = std::env::var("SOLOCRON_TEST_STORM_SECONDS").ok();
    let is_long = seconds.is_some_and(|text| text.parse::<u64>().unwrap() >= 120);
    let rounds = if is_long { servers.len() } else { 2 };
    for round in 0..rounds {
        let (a, b) = (round, (round + 2) % servers.len());
        pass(work, 2 * AT_ONCE);
        [a, b].iter().for_each(|&n| servers[n].pause());
        pass(work, 3 * AT_ONCE);
        [a, b].iter().for_each(|&n| servers[n].resume());
        pass(work, 2 * AT_ONCE);
        [a, b].iter().for_each(|&n| servers[n].kill9());
        pass(work, 3 * AT_ONCE);
        // They come back empty, one while the other is still away.
        servers[a].restart();
        pass(work, 3 * AT_ONCE);
        servers[b].restart();
        until_members(servers);
    }
}

/// What a server keeps of slots, in whatever way: of each key a digest.
fn kept(server: &RedisServer) -> Vec<String> {
    const DIGESTS: &str = "
        local read = {
            string = function(key) return redis.call('GET', key) end,
            hash = function(key)
                local fields = redis.call('HKEYS', key)
                table.sort(fields)
                return { fields, redis.call('HMGET', key, unpack(fields)) }
            end,
            zset = function(key) return redis.call('ZRANGE', key, 0, -1, 'WITHSCORES') end,
            list = function(key) return redis.call('LRANGE', key, 0, -1) end,
            stream = function(key) return redis.call('XRANGE', key, '-', '+') end,
        }
        local digests = {}
        for _, key in ipairs(redis.call('KEYS', ARGV[1])) do
            local content = read[redis.call('TYPE', key).ok](key)
            digests[#digests + 1] = key .. ' ' .. redis.sha1hex(cmsgpack.pack(content))
        end
        return digests";
    let mut kept = server.cli_list(&["EVAL", DIGESTS, "0", &key("*")]);
    let own = [key("state"), key("journal")];
    kept.retain(|line| own.iter().all(|own| !line.starts_with(own)));
    kept.sort();
    kept
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_servers_are_killed_stalled_and_emptied_in_turn_and_no_slot_is_won_twice() {
    let mut servers = several(5);
    let stores =
        ["web-1", "web-2", "web-3"].map(|name| (quorum_of(&servers, &prod(), BOUND), name));
    let last = now(&stores[0].0).await.unix_millis().div_euclid(1000);
    let work = Arc::new(Work { last, done: AtomicUsize::new(0), over: AtomicBool::new(false) });
    let replicas: Vec<_> = stores
        .into_iter()
        .map(|(store, name)| {
            let work = work.clone();
            tokio::spawn(async move { replica(store, name, &work).await })
        })
        .collect();
    let servers = {
        let work = work.clone();
        let troubled = tokio::task::spawn_blocking(move || {
            let troubles = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                troubles(&mut servers, &work)
            }));
            work.over.store(true, Ordering::Relaxed);
            troubles.map(|()| servers)
        });
        troubled.await.unwrap().unwrap_or_else(|why| std::panic::resume_unwind(why))
    };
    let mut won: HashMap<Slot, (Token, Grant)> = HashMap::new();
    for replica in replicas {
        for (slot, token, grant) in replica.await.unwrap() {
            let other = won.insert(slot.clone(), (token, grant));
            assert_eq!(other, None, "{slot} was won twice");
        }
    }
    let done = work.done.load(Ordering::Relaxed);
    let mut fences: Vec<_> = won.values().map(|(_, grant)| grant.fence).collect();
    fences.sort();
    fences.dedup();
    assert_eq!(fences.len(), won.len(), "no two have the same fence");
    let missing: Vec<_> =
        (0..done).map(|n| slot(last, n)).filter(|slot| !won.contains_key(slot)).collect();
    assert_eq!(missing, [], "every slot was won");
    println!("{done} slots");

    // Those who were copied to have what the others have.
    let store = quorum_of(&servers, &prod(), BOUND);
    trigger(&store, "last").await;
    until("all servers keep the same", || {
        let first = kept(&servers[0]);
        servers.iter().all(|server| kept(server) == first)
    });
    assert_eq!(runs(&store).await.len(), won.len(), "each has its entry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_three_of_five_down_nothing_is_claimed_and_it_says_why() {
    let mut servers = several(5);
    let store = quorum_of(&servers, &prod(), BOUND);
    let (me, first) = (claimant("web-1"), due(&store, "first").await);
    win(&store, &me, &claim_of(&first, LONG)).await;
    for server in &mut servers[2..] {
        server.kill9();
    }
    let mut health = store.health();
    let down = health.wait_for(|health| matches!(health, Health::Down(_))).await.unwrap().clone();
    let Health::Down(why) = down else { unreachable!("waited for") };
    assert!(why.starts_with("2 of 5 servers are up; "), "{why}");
    let began = BootInstant::now();
    let claim = claim_of(&slot(0, 0), LONG);
    let error = store.claim(&me, std::slice::from_ref(&claim)).await.unwrap_err();
    assert!(BootInstant::now().since(began) < 2 * BOUND);
    let why = error.to_string();
    assert!(matches!(error, StoreError::Unavailable(_)), "{why}");
    let port = servers[3].port().to_string();
    assert!(why.contains("3 of 5 servers are needed") && why.contains(&port), "{why}");

    // They come back empty: what was decided is on two alone, and nobody can tell what else.
    servers[2..].iter_mut().for_each(RedisServer::restart);
    let said = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match store.slot(&first).await {
                Err(error) if error.to_string().contains("3 came back empty") => break,
                Err(_) => tokio::task::yield_now().await,
                Ok(story) => panic!("{story:?}"),
            }
        }
    });
    said.await.expect("it says that they are empty");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_were_away_with_their_data_go_on_where_they_stood() {
    let servers = several(3);
    let store = quorum_of(&servers, &prod(), BOUND);
    let (me, slot) = (claimant("web-1"), due(&store, "backup").await);
    let claim = claim_of(&slot, LONG);
    win(&store, &me, &claim).await;
    servers[1].pause();
    servers[2].pause();
    let other = claim_of(&slot, LONG);
    assert!(store.claim(&claimant("web-2"), std::slice::from_ref(&other)).await.is_err());
    servers[1].resume();
    servers[2].resume();
    let holder = async {
        loop {
            if let Ok(claimed) = store.claim(&claimant("web-2"), std::slice::from_ref(&other)).await
            {
                break claimed[0].verdict.clone();
            }
            tokio::task::yield_now().await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(20), holder).await.unwrap() {
        Verdict::Held(holder) => assert_eq!(holder.token, claim.token),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_begins_only_when_all_its_servers_are_there() {
    let servers = several(3);
    servers[2].pause();
    let store = quorum_of(&servers, &prod(), Duration::from_millis(500));
    let slot = slot(0, 0);
    let error = loop {
        match store.slot(&slot).await.unwrap_err() {
            error if error.to_string().contains("have not answered yet") => {}
            error => break error.to_string(),
        }
    };
    assert!(error.contains("a quorum begins when all its servers are there"), "{error}");
    servers[2].resume();
    tokio::time::timeout(Duration::from_secs(20), async {
        while store.slot(&slot).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it begins");
    until_members(&servers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_named_twice_is_found_out() {
    let servers = several(2);
    let store = quorum_at(&[&servers[0], &servers[1], &servers[0]], &prod(), BOUND);
    let error = store.slot(&slot(0, 0)).await.unwrap_err().to_string();
    assert!(error.contains("servers 1 and 3 of the list are the same one"), "{error}");
}
