//! Servers that go away, freeze, forget or refuse.

use std::time::Duration;

use solocron::claim::{Token, Verdict};
use solocron::clock::BootInstant;
use solocron::outcome::Outcome;
use solocron::store::redis::{Options, RedisStore};
use solocron::store::{Health, Ownership, Store, StoreError};

use super::{key, options};
use crate::contract::*;
use crate::harness::redis_server::RedisServer;

/// Short enough to be waited for, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_millis(800);
/// What a call may take beyond its timeout, on a busy machine.
const SLACK: Duration = Duration::from_millis(400);

fn hasty(server: &RedisServer) -> Options {
    Options { timeout: TIMEOUT, ..options(server) }
}

async fn until_up(store: &RedisStore) {
    let mut health = store.health();
    tokio::time::timeout(Duration::from_secs(20), health.wait_for(|h| *h == Health::Up))
        .await
        .expect("the store comes up")
        .unwrap();
}

/// How long `call` takes, and what it brings.
async fn timed<T>(call: impl Future<Output = T>) -> (Duration, T) {
    let start = BootInstant::now();
    let answer = call.await;
    (BootInstant::now().since(start), answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_were_flushed_are_not_missed() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    for round in 0..3 {
        server.cli(&["SCRIPT", "FLUSH"]);
        let slot = due(&store, &format!("job-{round}")).await;
        let claim = claim_of(&slot, LONG);
        let grant = win(&store, &me, &claim).await;
        server.cli(&["SCRIPT", "FLUSH"]);
        assert_eq!(renew(&store, &renewal(&claim, LONG)).await, Ownership::Ours);
        server.cli(&["SCRIPT", "FLUSH"]);
        let end = completion(&claim, grant, Outcome::Succeeded, now(&store).await);
        assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_flushed_in_the_middle_of_batches_cost_no_claim() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let slot = due(&store, "job").await;
    let flushing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut flushes = 0;
            while flushing.load(std::sync::atomic::Ordering::Relaxed) {
                server.cli(&["SCRIPT", "FLUSH"]);
                flushes += 1;
            }
            assert!(flushes > 0);
        });
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                for round in 0..10 {
                    let claims: Vec<_> = (0..1000)
                        .map(|i| {
                            let mut claim = claim_of(&slot, LONG);
                            claim.slot.job = job(&format!("job-{round}-{i}"));
                            claim
                        })
                        .collect();
                    let verdicts = verdicts(&store, &claimant("web-1"), &claims).await;
                    let won = verdicts.iter().filter(|v| matches!(v, Verdict::Won(_))).count();
                    assert_eq!(won, claims.len());
                }
            });
            flushing.store(false, std::sync::atomic::Ordering::Relaxed);
        });
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_is_replaced_without_a_word() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    now(&store).await;
    let id = |list: String| list.split(' ').next().unwrap().to_owned();
    let ours = || server.cli_text(&["CLIENT", "LIST", "TYPE", "normal"]);
    assert!(ours().contains("name=solocron/prod"), "{}", ours());
    let before = id(ours());
    server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    // The loss is noticed and mended in the background, not by the next call.
    eventually("another connection is there", async || {
        ours().lines().any(|line| line.contains("name=solocron/prod") && id(line.into()) != before)
    })
    .await;
    eventually("calls succeed", async || store.time().await.is_ok()).await;
    assert_eq!(*store.health().borrow(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_shut_down_and_started_again_is_found() {
    let mut server = RedisServer::builder().durable().start();
    let store = RedisStore::open(hasty(&server));
    let me = claimant("web-1");
    let (claim, _) = run(&store, &me, &due(&store, "backup").await, Outcome::Succeeded).await;

    server.stop();
    let mut health = store.health();
    health.wait_for(|h| matches!(h, Health::Down(_))).await.unwrap();
    eventually("calls fail at once", async || {
        let (took, answer) = timed(store.time()).await;
        matches!(answer, Err(StoreError::Unavailable(_))) && took < Duration::from_millis(100)
    })
    .await;
    let Err(StoreError::Unavailable(why)) = store.time().await else { panic!("it is down") };
    assert!(why.contains(&server.url()) && why.contains("nothing listens there"), "{why}");

    server.restart();
    until_up(&store).await;
    let again = try_claim(&store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
    assert_eq!(done(again).token, claim.token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frozen_server_costs_one_timeout_and_then_nothing() {
    let server = RedisServer::start();
    let store = RedisStore::open(hasty(&server));
    let slot = due(&store, "backup").await;
    server.pause();

    let (took, answer) = timed(store.claim(&claimant("web-1"), &[claim_of(&slot, LONG)])).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    assert!(took >= TIMEOUT && took < TIMEOUT + SLACK, "{took:?}");
    for _ in 0..5 {
        let (took, answer) = timed(store.time()).await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert!(took < Duration::from_millis(100), "{took:?}");
    }
    assert!(matches!(&*store.health().borrow(), Health::Down(_)));

    server.resume();
    until_up(&store).await;
    assert!(store.time().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_batch_on_a_frozen_server_takes_no_longer() {
    let server = RedisServer::start();
    let store = RedisStore::open(hasty(&server));
    let slot = due(&store, "backup").await;
    let claims: Vec<_> = (0..20_000)
        .map(|i| {
            let mut claim = claim_of(&slot, LONG);
            claim.slot.job = job(&format!("job-{i}"));
            claim
        })
        .collect();
    server.pause();
    let (took, answer) = timed(store.claim(&claimant("web-1"), &claims)).await;
    assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    // What is left of the time is this side's work on the batch, in a debug build.
    assert!(took < TIMEOUT + 4 * SLACK, "{took:?}");
    server.resume();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn claims_that_a_frozen_server_applies_late_have_one_winner_by_token() {
    let server = RedisServer::start();
    let stores: Vec<_> = (0..4).map(|_| RedisStore::open(hasty(&server))).collect();
    let slot = due(&stores[0], "backup").await;
    for store in &stores {
        now(store).await;
    }
    let claims: Vec<_> = stores.iter().map(|_| claim_of(&slot, LONG)).collect();
    let nodes: Vec<_> = (0..4).map(|i| claimant(&format!("web-{i}"))).collect();

    server.pause();
    let mut lost = Vec::new();
    for (i, store) in stores.iter().enumerate() {
        lost.push(store.claim(&nodes[i], std::slice::from_ref(&claims[i])).await);
    }
    assert!(lost.iter().all(|l| matches!(l, Err(StoreError::Unknown(_)))), "{lost:?}");
    server.resume();

    // Each asks again with its token, in the opposite order; the late copies were
    // applied before, or are the same claims.
    let mut winners = Vec::new();
    for i in (0..stores.len()).rev() {
        until_up(&stores[i]).await;
        if let Verdict::Won(_) = try_claim(&stores[i], &nodes[i], &claims[i]).await {
            winners.push(claims[i].token);
        }
    }
    assert_eq!(winners.len(), 1, "{winners:?}");
    let record = stores[0].slot(&slot).await.unwrap().record.unwrap();
    assert_eq!(record.token, winners[0]);
    assert_eq!(record.attempt, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_lost_with_its_reply_can_be_forfeited() {
    let server = RedisServer::start();
    let store = RedisStore::open(hasty(&server));
    let slot = due(&store, "backup").await;
    let (claim, me) = (claim_of(&slot, LONG), claimant("web-1"));
    server.pause();
    let lost = store.claim(&me, std::slice::from_ref(&claim)).await;
    assert!(matches!(lost, Err(StoreError::Unknown(_))), "{lost:?}");
    server.resume();
    until_up(&store).await;
    let forfeit = solocron::store::Forfeit {
        slot: slot.clone(),
        token: claim.token,
        reason: solocron::outcome::MissedReason::StoreDown,
        keep_record: KEEP,
        retention: KEEP_ALL,
    };
    eventually("the late claim is taken back", async || {
        store.forfeit(&me.node, std::slice::from_ref(&forfeit)).await.is_ok_and(|did| did[0])
    })
    .await;
    let verdict = try_claim(&store, &claimant("web-2"), &claim_of(&slot, LONG)).await;
    assert_eq!(done(verdict).outcome, Outcome::Missed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_durable_server_acknowledged_survives_its_kill() {
    let mut server = RedisServer::builder().durable().start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    let slot = due(&store, "job").await;
    let mut acknowledged = Vec::new();
    for i in 0..100 {
        let mut claim = claim_of(&slot, LONG);
        claim.slot.job = job(&format!("job-{i}"));
        let grant = win(&store, &me, &claim).await;
        acknowledged.push((claim, grant));
    }
    server.kill9();
    server.restart();
    until_up(&store).await;
    for (claim, grant) in &acknowledged {
        assert_eq!(win(&store, &me, claim).await, *grant);
        let other = try_claim(&store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
        assert_eq!(holder(other).token, claim.token);
    }
    let (newest, _) = run(&store, &me, &due(&store, "new").await, Outcome::Succeeded).await;
    let fence = store.slot(&newest.slot).await.unwrap().record.unwrap().fence;
    assert!(acknowledged.iter().all(|(_, grant)| grant.fence < fence), "fences grow on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_still_loading_is_not_available_and_says_so() {
    let mut server = RedisServer::builder()
        .config("rdbcompression", "no")
        .config("loading-process-events-interval-bytes", "1024")
        .start();
    for i in 0..200 {
        server.cli(&["SET", &format!("ballast-{i}"), &"x".repeat(2000)]);
    }
    server.cli(&["SAVE"]);
    let store = RedisStore::open(hasty(&server));
    now(&store).await;
    server.kill9();
    // Microseconds for each key.
    server.restart_with("key-load-delay", "20000");
    eventually("it says that it is loading", async || {
        matches!(store.time().await, Err(StoreError::Unavailable(why)) if why.contains("loading"))
    })
    .await;
    until_up(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_refuses_writes_without_a_doubt() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let slot = due(&store, "backup").await;
    server.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    let claim = claim_of(&slot, LONG);
    let refused = store.claim(&claimant("web-1"), std::slice::from_ref(&claim)).await;
    let Err(StoreError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("replica"), "{why}");
    // That it can be read does not make it healthy.
    now(&store).await;
    assert!(matches!(&*store.health().borrow(), Health::Down(_)));
    let warnings = store.inspect().await.unwrap();
    assert!(warnings.iter().any(|w| w.0.contains("is a replica")), "{warnings:?}");

    server.cli(&["REPLICAOF", "NO", "ONE"]);
    win(&store, &claimant("web-1"), &claim).await;
    assert_eq!(*store.health().borrow(), Health::Up);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_out_of_memory_refuses_without_a_trace() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let (me, slot) = (claimant("web-1"), due(&store, "backup").await);
    let held = claim_of(&due(&store, "held").await, LONG);
    let grant = win(&store, &me, &held).await;
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let before = server.cli_number(&["DBSIZE"]);

    let claims: Vec<_> = (0..3).map(|_| claim_of(&slot, LONG)).collect();
    let refused = store.claim(&me, &claims).await;
    let Err(StoreError::Unavailable(why)) = refused else { panic!("{refused:?}") };
    assert!(why.contains("maxmemory"), "{why}");
    let end = completion(&held, grant, Outcome::Succeeded, now(&store).await);
    let refused = store.complete(&me.node, std::slice::from_ref(&end)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    assert_eq!(server.cli_number(&["DBSIZE"]), before, "nothing half-written");

    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);
    win(&store, &me, &claims[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_key_in_the_way_costs_only_its_own_slot() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    let claims: Vec<_> = futures(&store, &["list-lock", "text-lock", "list-record", "free"]).await;
    server.cli(&["RPUSH", &key(&format!("lock:{}", claims[0].slot)), "x"]);
    server.cli(&["SET", &key(&format!("lock:{}", claims[1].slot)), "x"]);
    server.cli(&["RPUSH", &key(&format!("slot:{}", claims[2].slot)), "x"]);
    let verdicts = verdicts(&store, &me, &claims).await;
    for verdict in &verdicts[..3] {
        let Verdict::Unknown(why) = verdict else { panic!("{verdict:?}") };
        assert!(why.contains("did not write"), "{why}");
    }
    let grant = granted(verdicts[3].clone());
    for claim in &claims[..3] {
        let lock = key(&format!("lock:{}", claim.slot));
        let ours = server.cli_text(&["TYPE", &lock]) == "string"
            && server.cli_text(&["GET", &lock]) == claim.token.to_string();
        assert!(!ours, "no lock is left behind");
    }

    // A ledger of another type: the run is not settled, and told so.
    server.cli(&["SET", &key("ledger:free"), "x"]);
    let end = completion(&claims[3], grant, Outcome::Succeeded, now(&store).await);
    let refused = store.complete(&me.node, std::slice::from_ref(&end)).await;
    assert!(matches!(refused, Err(StoreError::Corrupt(_))), "{refused:?}");
    server.cli(&["DEL", &key("ledger:free")]);
    assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);

    // A shared key of another type: nothing is claimed at all.
    server.cli(&["DEL", &key("open")]);
    server.cli(&["SET", &key("open"), "x"]);
    let late = claim_of(&due(&store, "late").await, LONG);
    let verdict = try_claim(&store, &me, &late).await;
    assert!(matches!(verdict, Verdict::Unknown(_)), "{verdict:?}");
    assert_eq!(server.cli_number(&["EXISTS", &key(&format!("lock:{}", late.slot))]), 0);
}

/// A claim for each of these jobs.
async fn futures(store: &RedisStore, jobs: &[&str]) -> Vec<solocron::claim::Claim> {
    let slot = due(store, "job").await;
    let claim = |name: &&str| {
        let mut claim = claim_of(&slot, LONG);
        claim.slot.job = job(name);
        claim
    };
    jobs.iter().map(claim).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_another_has_taken_by_hand_is_not_deleted() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    let claim = claim_of(&due(&store, "backup").await, LONG);
    let grant = win(&store, &me, &claim).await;
    let lock = key(&format!("lock:{}", claim.slot));
    let other = Token::new().to_string();
    server.cli(&["SET", &lock, &other]);
    let end = completion(&claim, grant, Outcome::Succeeded, now(&store).await);
    assert_eq!(complete(&store, &me, &end).await, Ownership::Ours);
    assert_eq!(server.cli_text(&["GET", &lock]), other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fences_grow_also_where_the_clock_has_gone_back() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    // The last that was given out when the clock was an hour ahead.
    let ahead = now(&store).await + Duration::from_secs(3_600);
    let last = u64::try_from(ahead.unix_micros()).unwrap();
    server.cli(&["SET", &key("fence"), &last.to_string()]);
    let claims = futures(&store, &["a", "b"]).await;
    let verdicts = verdicts(&store, &claimant("web-1"), &claims).await;
    let fences: Vec<_> = verdicts.into_iter().map(|won| granted(won).fence.get()).collect();
    assert_eq!(fences, [last + 1, last + 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_race_for_many_slots_win_each_once() {
    const NODES: usize = 5;
    const SLOTS: usize = 300;
    let server = RedisServer::start();
    let first = RedisStore::open(options(&server));
    let slot = due(&first, "job").await;
    let mut tasks = tokio::task::JoinSet::new();
    for node in 0..NODES {
        let (store, slot) = (RedisStore::open(options(&server)), slot.clone());
        tasks.spawn(async move {
            let me = claimant(&format!("web-{node}"));
            let claims: Vec<_> = (0..SLOTS)
                .map(|i| {
                    let mut claim = claim_of(&slot, LONG);
                    claim.slot.job = job(&format!("job-{}", (i + node * 61) % SLOTS));
                    claim
                })
                .collect();
            let mut won = Vec::new();
            for batch in claims.chunks(7) {
                for (claim, verdict) in batch.iter().zip(verdicts(&store, &me, batch).await) {
                    match verdict {
                        Verdict::Won(grant) => won.push((claim.slot.clone(), grant.fence)),
                        Verdict::Held(_) => {}
                        other => panic!("{other:?}"),
                    }
                }
            }
            won
        });
    }
    let mut won: Vec<_> = tasks.join_all().await.into_iter().flatten().collect();
    assert_eq!(won.len(), SLOTS);
    won.sort();
    won.dedup_by(|a, b| a.0 == b.0);
    assert_eq!(won.len(), SLOTS, "every slot once");
    won.sort_by_key(|(_, fence)| *fence);
    won.dedup_by(|a, b| a.1 == b.1);
    assert_eq!(won.len(), SLOTS, "every fence once");
}
