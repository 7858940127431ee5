//! What a cluster must show: many claims by several replicas at once while a bucket moves
//! back and forth and masters fail over, and no slot is won twice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use solocron::claim::{Claim, Token, Verdict};
use solocron::slot::{Slot, SlotTime};
use solocron::store::redis::{ClusterOptions, RedisCluster};
use solocron::store::{Health, Store};

use super::{key, options};
use crate::contract::*;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::until;

const JOBS: i64 = 200;
const SLOTS_OF_EACH: i64 = 25;
/// So many claims go in one call.
const AT_ONCE: usize = 100;
/// The bucket that is moved.
const MOVING: u32 = 3;

/// The slots, as every replica plans them.
async fn slots(store: &dyn Store) -> Vec<Slot> {
    let last = now(store).await.unix_millis().div_euclid(1000);
    let slot = |n: i64| {
        let at = SlotTime::from_unix_seconds(last - n / JOBS);
        Slot::scheduled(job(&format!("job-{}", n % JOBS)), at)
    };
    (0..JOBS * SLOTS_OF_EACH).map(slot).collect()
}

/// One replica claims all slots and asks again with the same token until it has a
/// verdict on each; the tokens that won.
async fn replica(
    options: ClusterOptions,
    name: &str,
    slots: Vec<Slot>,
    done: Arc<AtomicUsize>,
) -> Vec<(Slot, Token)> {
    let timeout = Duration::from_secs(2);
    let store = RedisCluster::open(ClusterOptions { timeout, ..options });
    let me = claimant(name);
    let mut won = Vec::new();
    for (number, some) in slots.chunks(AT_ONCE).enumerate() {
        // Every other time it looks first who has them.
        let claim = |slot| Claim { looks_first: number % 2 == 1, ..claim_of(slot, LONG * 10) };
        let mut open: Vec<Claim> = some.iter().map(claim).collect();
        while !open.is_empty() {
            // Without an answer none of them has a verdict.
            let Ok(claimed) = store.claim(&me, &open).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let mut again = Vec::new();
            for (claim, claimed) in open.into_iter().zip(claimed) {
                match claimed.verdict {
                    Verdict::Won(_) => won.push((claim.slot, claim.token)),
                    Verdict::Unknown(_) => again.push(claim),
                    Verdict::Held(_) => {}
                    other => panic!("{}: {other:?}", claim.slot),
                }
            }
            open = again;
        }
        done.fetch_add(some.len(), Ordering::Relaxed);
    }
    won
}

/// Moves the bucket back and forth until `over`, each time when some more slots have
/// their verdicts; how often.
fn move_about(cluster: &ServerCluster, done: &AtomicUsize, over: &AtomicBool) -> usize {
    let hash_slot = cluster.hash_slot(&key(MOVING, "open"));
    let (mut from, mut moves) = (cluster.owner(hash_slot), 0);
    let home = from;
    while !over.load(Ordering::Relaxed) {
        // Not the one that fails over.
        let to = if from == home { (home + 1) % 3 } else { home };
        cluster.move_slot(hash_slot, from, to);
        (from, moves) = (to, moves + 1);
        let goal = done.load(Ordering::Relaxed) + 3 * AT_ONCE;
        until("claims go on", || {
            over.load(Ordering::Relaxed) || done.load(Ordering::Relaxed) >= goal
        });
    }
    moves
}

/// What became of claims in the middle of which a master was killed.
struct Kill {
    slots: usize,
    /// How often each slot was won, and whether the killed master had it.
    wins: Vec<(usize, bool)>,
}

impl Kill {
    fn won_twice(&self) -> usize {
        self.wins.iter().filter(|(count, _)| *count > 1).count()
    }
}

/// Three replicas of solocron claim, a master is cut off from its replica and killed, that
/// one follows, and the killed one comes back as its replica.
async fn kill_a_master(min_acks: u32) -> Kill {
    let mut cluster = ServerCluster::start(3, 1);
    let doomed = cluster.owner(cluster.hash_slot(&key(MOVING, "open")));
    let replica_of_it = cluster.replica_of(doomed);
    let mut its_own = HashSet::new();
    for bucket in 0..16 {
        if cluster.owner(cluster.hash_slot(&key(bucket, "open"))) == doomed {
            its_own.insert(bucket);
        }
    }
    let with = ClusterOptions { min_acks, ..options(&cluster) };
    let look = RedisCluster::open(with.clone());
    let all = slots(&look).await;
    let done = Arc::new(AtomicUsize::new(0));
    let replicas = ["web-1", "web-2", "web-3"].map(|name| {
        let (with, all, done) = (with.clone(), all.clone(), done.clone());
        tokio::spawn(async move { replica(with, name, all, done).await })
    });
    eventually("claims are under way", async || done.load(Ordering::Relaxed) > 1000).await;
    tokio::task::block_in_place(|| {
        cut_off(&cluster, doomed, replica_of_it);
        cluster.server_mut(doomed).kill9();
        cluster.server(replica_of_it).resume();
        cluster.until_master(replica_of_it);
        cluster.server_mut(doomed).restart();
    });
    let mut wins: HashMap<Slot, usize> = HashMap::new();
    for replica in replicas {
        for (slot, _) in replica.await.unwrap() {
            *wins.entry(slot).or_default() += 1;
        }
    }
    assert_eq!(wins.len(), all.len(), "every slot was won");
    let of_it = |slot: &Slot| its_own.contains(&look.part(&slot.job));
    let wins = wins.iter().map(|(slot, count)| (*count, of_it(slot))).collect();
    Kill { slots: all.len(), wins }
}

/// Lets a master go on without its replica until it has made some claims that this one lacks.
fn cut_off(cluster: &ServerCluster, master: usize, replica: usize) {
    let claimed = || {
        let stats = cluster.server(master).cli_text(&["INFO", "commandstats"]);
        let calls = stats.split("cmdstat_evalsha:calls=").nth(1).and_then(|s| s.split(',').next());
        calls.map_or(0, |calls| calls.parse::<u64>().unwrap())
    };
    // Asleep, it does not come back to a master that has closed the connection.
    cluster.server(replica).pause();
    cluster.server(master).cli(&["CLIENT", "KILL", "TYPE", "replica"]);
    let before = claimed();
    until("it has claimed on its own", || claimed() >= before + 10);
}

/// What a master had acknowledged and not passed on is lost with it, as asynchronous
/// replication has it. Counted, and only claims that were made before it was killed may be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_master_forgets_is_counted_and_only_of_its_own_buckets() {
    let kill = kill_a_master(0).await;
    assert!(kill.wins.iter().all(|(count, of_it)| *count == 1 || (*count == 2 && *of_it)));
    println!("min_acks = 0: {} of {} slots were won twice", kill.won_twice(), kill.slots);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_all_replicas_acknowledging_a_killed_master_forgets_nothing_that_counted() {
    let kill = kill_a_master(1).await;
    println!("min_acks = 1: {} of {} slots were won twice", kill.won_twice(), kill.slots);
    assert_eq!(kill.won_twice(), 0);
}

/// Each slot was won by one token.
fn winners(won: Vec<(Slot, Token)>) -> HashMap<Slot, Token> {
    let mut winners = HashMap::new();
    for (slot, token) in won {
        if let Some(other) = winners.insert(slot.clone(), token) {
            panic!("{slot} was won by {other} and by {token}");
        }
    }
    winners
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_slot_is_won_twice_while_a_bucket_moves_and_a_master_fails_over() {
    let cluster = Arc::new(ServerCluster::start(3, 1));
    let look = RedisCluster::open(options(&cluster));
    let all = slots(&look).await;
    let home = cluster.owner(cluster.hash_slot(&key(MOVING, "open")));
    let failing = (home + 2) % 3;

    let done = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let mover = {
        let (cluster, done, over) = (cluster.clone(), done.clone(), over.clone());
        tokio::task::spawn_blocking(move || move_about(&cluster, &done, &over))
    };
    let replicas = ["web-1", "web-2", "web-3"].map(|name| {
        let (with, all, done) = (options(&cluster), all.clone(), done.clone());
        tokio::spawn(async move { replica(with, name, all, done).await })
    });
    eventually("claims are under way", async || done.load(Ordering::Relaxed) > 1000).await;
    let with = cluster.clone();
    tokio::task::spawn_blocking(move || with.fail_over_to(with.replica_of(failing))).await.unwrap();
    let when_failed_over = done.load(Ordering::Relaxed);
    let mut won = Vec::new();
    for replica in replicas {
        won.extend(replica.await.unwrap());
    }
    over.store(true, Ordering::Relaxed);
    let moves = mover.await.unwrap();
    let winners = winners(won);
    assert_eq!(winners.len(), all.len(), "every slot was won");
    assert!(moves >= 2, "it moved {moves} times");
    println!("{moves} moves; failed over after {when_failed_over} of {} verdicts", 3 * all.len());

    // Whoever comes later learns the same from the store.
    cluster.until_whole();
    let mut health = look.health();
    assert!(health.wait_for(|health| *health == Health::Up).await.is_ok());
    let late: Vec<_> = all.iter().map(|slot| claim_of(slot, LONG)).collect();
    for verdict in verdicts(&look, &claimant("late"), &late).await.into_iter().zip(&late) {
        assert_eq!(holder(verdict.0).token, winners[&verdict.1.slot]);
    }
}
