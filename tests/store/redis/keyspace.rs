//! What is in the server: names, ends, sizes.

use std::time::Duration;

use solocron::claim::Verdict;
use solocron::ledger::{MissedRange, Retention};
use solocron::node::{BootId, Heartbeat};
use solocron::outcome::{MissedReason, Outcome};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime, TriggerId};
use solocron::store::redis::RedisStore;
use solocron::store::{MissedReport, Store};

use super::{key, options};
use crate::contract::*;
use crate::harness::redis_server::RedisServer;

/// Everything that a store can write.
pub(crate) async fn workout(store: &dyn Store) {
    let me = claimant("web-1");
    let start = slot_in(store, "cursor", -7200).await.at;
    store.open_cursors(&[cursor_of("backup"), cursor_of("gone")], start, KEEP).await.unwrap();
    for outcome in [Outcome::Succeeded, Outcome::Failed] {
        run(store, &me, &due(store, outcome.as_str()).await, outcome).await;
    }
    let handed = claim_of(&due(store, "handed").await, LONG);
    let grant = win(store, &me, &handed).await;
    let end = completion(&handed, grant, Outcome::HandedOver, now(store).await);
    complete(store, &me, &end).await;
    let mut running = claim_of(&due(store, "backup").await, LONG);
    running.advance = true;
    win(store, &me, &running).await;
    let lost = claim_of(&due(store, "lost").await, SHORT);
    win(store, &me, &lost).await;
    await_lapse(store, &lost.slot).await;
    assert!(abandon(store, &claimant("web-2"), &abandonment(&lost)).await);
    let report = MissedReport {
        cursor: cursor_of("gone"),
        expected: start,
        upto: SlotTime::from_unix_seconds(start.unix_seconds() + 60),
        closes_at: start.cluster_time() + Duration::from_secs(120),
        ranges: vec![MissedRange {
            from: start,
            to: start,
            count: 1,
            reason: MissedReason::NoNode,
        }],
        catch_up: Vec::new(),
        in_turn: false,
        keep_record: KEEP,
        retention: KEEP_ALL,
    };
    assert_eq!(store.record_missed(&me.node, &[report]).await.unwrap(), [true]);
    let heartbeat = Heartbeat {
        node: me.node.clone(),
        boot: BootId::random(),
        started_at: now(store).await,
        version: "0.1.0".to_owned(),
        table: "0123456789abcdef".to_owned(),
        draining: false,
        running: Some(3),
        skew_ms: Some(-12),
        keep: Duration::from_secs(15),
        heard_at: now(store).await,
    };
    store.heartbeat(&heartbeat).await.unwrap();
    wishes(store).await;
    store.publish_table("0123456789abcdef", &[(job("backup"), 7)], KEEP).await.unwrap();
    let run = running.token.run_id(1);
    assert_eq!(store.watch_output(run, KEEP).await, Ok(None));
    store.show_output(run, "begun", KEEP).await.unwrap();
    store.prune(KEEP_ALL).await.unwrap();
}

/// Slots in turn, and what people ask for.
async fn wishes(store: &dyn Store) {
    let me = claimant("web-1");
    let in_turn = |slot: &Slot| {
        let mut claim = claim_of(slot, LONG);
        claim.overlap = Overlap::Replace;
        claim
    };
    let first = in_turn(&slot_in(store, "turns", -9).await);
    win(store, &me, &first).await;
    // The newest takes the place of those before, and the ledger joins what they missed.
    for second in -8..-4 {
        let waits = in_turn(&slot_in(store, "turns", second).await);
        assert!(matches!(try_claim(store, &me, &waits).await, Verdict::Waits(_)));
    }
    let lost = claim_of(&due(store, "taken").await, SHORT);
    win(store, &me, &lost).await;
    await_lapse(store, &lost.slot).await;
    let mut taker = claim_of(&lost.slot, LONG);
    taker.takes_over = Some(lost.token);
    let grant = win(store, &claimant("web-2"), &taker).await;
    let asked = taker.token.run_id(grant.attempt);
    assert!(store.cancel(asked).await.unwrap().is_some());
    let wish = Slot::triggered(job("wished"), TriggerId::new(now(store).await));
    assert!(store.trigger(&me.node, &wish, KEEP).await.unwrap());
    assert!(store.pause(&job("paused"), true).await.unwrap());
    store.request_reload(None).await.unwrap();
    store.request_reload(Some(&me.node)).await.unwrap();
    let control = store.control().await.unwrap();
    assert_eq!(store.sweep(100).await.unwrap().control, control.version);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_key_has_the_clusters_name_the_hash_tag_and_an_end() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    workout(&store).await;
    let keys = server.cli_list(&["KEYS", "*"]);
    let mut kinds: Vec<&str> = Vec::new();
    for name in &keys {
        let rest = name.strip_prefix("prod:{prod.0}:").expect("cluster and hash tag");
        kinds.push(rest.split(':').next().unwrap());
        let left = server.cli_number(&["PTTL", name]);
        if rest == "fence" {
            assert_eq!(left, -1, "the fence counter is kept for ever");
        } else {
            assert!(left > 0, "{name} ends");
        }
    }
    kinds.sort_unstable();
    kinds.dedup();
    let all = [
        "cancels", "control", "cursors", "fence", "ledger", "ledgers", "lock", "nodes", "open",
        "output", "paused", "slot", "table", "tails", "turns", "watched",
    ];
    assert_eq!(kinds, all);
    // They can be read as they are.
    let record = server.cli_text(&["GET", &key(&format!("slot:{}", due_of(&keys, "backup")))]);
    assert!(record.starts_with("running ") && record.contains(" web-1 "), "{record}");
}

/// The name of the slot of `job` that has a record.
fn due_of(keys: &[String], job: &str) -> String {
    let prefix = key(&format!("slot:{job}@"));
    let found = keys.iter().find(|k| k.starts_with(&prefix)).unwrap();
    found.strip_prefix(&key("slot:")).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_on_one_server_do_not_see_each_other() {
    let server = RedisServer::start();
    let prod = RedisStore::open(options(&server));
    let mut other = options(&server);
    other.cluster = solocron::name::ClusterName::new("prod.0").unwrap();
    let other = RedisStore::open(other);
    let slot = due(&prod, "backup").await;
    win(&prod, &claimant("web-1"), &claim_of(&slot, LONG)).await;
    win(&other, &claimant("web-1"), &claim_of(&slot, LONG)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_settled_slot_takes_at_most_300_bytes_and_an_entry_150() {
    const RUNS: i64 = 2000;
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    let first = due(&store, "nightly-backup").await;
    let mut claims = Vec::new();
    for i in 0..RUNS {
        let mut claim = claim_of(&first, LONG);
        claim.slot.at = SlotTime::from_unix_seconds(first.at.unix_seconds() - i);
        claims.push(claim);
    }
    let grants = verdicts(&store, &me, &claims).await;
    let at = now(&store).await;
    let ends: Vec<_> = claims
        .iter()
        .zip(grants)
        .map(|(claim, verdict)| {
            let mut end = completion(claim, granted(verdict), Outcome::Succeeded, at);
            end.retention = Retention { keep: KEEP_ALL.keep, per_job: 5000 };
            end
        })
        .collect();
    store.complete(&me.node, &ends).await.unwrap();

    let usage = |name: &str| server.cli_number(&["MEMORY", "USAGE", name, "SAMPLES", "0"]);
    // MEMORY USAGE counts neither the entry of the hash of ends nor the two tables.
    let overhead = 24 + 2 * 8;
    let record = usage(&key(&format!("slot:{}", first))) + overhead;
    let entry = usage(&key("ledger:nightly-backup")) as f64 / RUNS as f64;
    println!("a settled slot takes {record} bytes, a ledger entry {entry:.1}");
    assert!(record <= 300, "{record}");
    assert!(entry <= 150.0, "{entry}");
    assert_eq!(server.cli_number(&["ZCARD", &key("open")]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_keeps_no_more_than_it_may() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    let first = due(&store, "backup").await;
    for i in 0..30 {
        let mut claim = claim_of(&first, LONG);
        claim.slot.at = SlotTime::from_unix_seconds(first.at.unix_seconds() - i);
        let grant = win(&store, &me, &claim).await;
        let mut end = completion(&claim, grant, Outcome::Failed, now(&store).await);
        end.retention.per_job = 12;
        complete(&store, &me, &end).await;
    }
    assert_eq!(server.cli_number(&["XLEN", &key("ledger:backup")]), 12);
    assert_eq!(server.cli_number(&["LLEN", &key("tails:backup:failed")]), 10);
    store.prune(Retention { per_job: 5, ..KEEP_ALL }).await.unwrap();
    assert_eq!(server.cli_number(&["XLEN", &key("ledger:backup")]), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_over_leaves_nothing_in_turns_indexes_and_pauses() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let me = claimant("web-1");
    let size = |count: &str, name: &str| server.cli_number(&[count, &key(name)]);
    let mut first = claim_of(&slot_in(&store, "backup", -1).await, LONG);
    first.overlap = Overlap::Wait;
    let grant = win(&store, &me, &first).await;
    let mut second = claim_of(&due(&store, "backup").await, LONG);
    second.overlap = Overlap::Wait;
    assert!(matches!(try_claim(&store, &me, &second).await, Verdict::Waits(_)));
    assert!(store.cancel(first.token.run_id(1)).await.unwrap().is_some());
    assert_eq!((size("HLEN", "turns"), size("ZCARD", "cancels")), (1, 1));
    let end = completion(&first, grant, Outcome::Cancelled, now(&store).await);
    complete(&store, &me, &end).await;
    assert_eq!((size("ZCARD", "cancels"), size("ZCARD", "open")), (0, 1), "marks go with the run");
    let grant = win(&store, &me, &second).await;
    let end = completion(&second, grant, Outcome::Succeeded, now(&store).await);
    complete(&store, &me, &end).await;
    assert_eq!((size("HLEN", "turns"), size("ZCARD", "open")), (0, 0));

    // Should a record be lost, its name goes when somebody prunes.
    let mut lost = claim_of(&due(&store, "lost").await, LONG);
    lost.overlap = Overlap::Wait;
    win(&store, &me, &lost).await;
    store.cancel(lost.token.run_id(1)).await.unwrap();
    server.cli(&["DEL", &key(&format!("slot:{}", lost.slot))]);
    let over = now(&store).await.unix_micros() - 9 * 86_400_000_000;
    let pauses = format!("{}-{}", over - 5, over);
    server.cli(&["HSET", &key("paused"), "backup", &pauses]);
    store.prune(KEEP_ALL).await.unwrap();
    for (count, name) in [("HLEN", "turns"), ("ZCARD", "cancels"), ("HLEN", "paused")] {
        assert_eq!(size(count, name), 0, "{name}");
    }
}
