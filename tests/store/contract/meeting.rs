//! Nodes see each other and one clock.

use std::time::Duration;

use solocron::claim::Claimant;
use solocron::clock::{ClusterTime, wall_now};
use solocron::node::Heartbeat;

use super::*;

fn beat_of(who: &Claimant, started_at: ClusterTime) -> Heartbeat {
    Heartbeat {
        node: who.node.clone(),
        boot: who.boot,
        started_at,
        version: "0.1.0".to_owned(),
        table: "00c0ffee00000001".to_owned(),
        draining: false,
        running: Some(3),
        skew_ms: Some(-12),
        keep: LONG,
        heard_at: started_at,
    }
}

/// The heartbeats that have not run out, as they were sent.
async fn sent(store: &dyn Store) -> Vec<Heartbeat> {
    let seen = store.nodes().await.unwrap();
    seen.into_iter().map(|beat| Heartbeat { heard_at: beat.started_at, ..beat }).collect()
}

pub(crate) async fn a_heartbeat_is_dated_by_the_store(f: &impl Fixture) {
    let store = f.store().await;
    let mut beat = beat_of(&claimant("web-1"), ClusterTime::from_unix_micros(1));
    let mut last = ClusterTime::from_unix_micros(0);
    for draining in [false, true] {
        beat.draining = draining;
        let before = now(&*store).await;
        store.heartbeat(&beat).await.unwrap();
        let after = now(&*store).await;
        let heard_at = store.nodes().await.unwrap()[0].heard_at;
        // Servers may keep whole milliseconds.
        let early = before - Duration::from_millis(1);
        assert!(heard_at >= early && heard_at <= after, "{before} {heard_at} {after}");
        assert!(heard_at >= last);
        last = heard_at;
    }
}

pub(crate) async fn a_heartbeat_is_seen_by_all_until_the_next_replaces_it(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    assert_eq!(a.nodes().await, Ok(vec![]));
    let started = now(&*a).await;
    let mut first = beat_of(&claimant("web-1"), started);
    let second = beat_of(&claimant("web-10"), started);
    let reply = a.heartbeat(&first).await.unwrap();
    assert_eq!(reply.replaced, None);
    assert!(reply.now >= started && reply.now <= now(&*a).await);
    b.heartbeat(&second).await.unwrap();
    first.draining = true;
    first.table = "00c0ffee00000002".to_owned();
    assert_eq!(a.heartbeat(&first).await.unwrap().replaced, None, "its own is not another's");
    let mut seen = sent(&*b).await;
    seen.sort_by_key(|beat| beat.node.clone());
    assert_eq!(seen, [first, second]);
}

pub(crate) async fn a_second_start_under_one_name_is_noticed_by_both(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let started = now(&*a).await;
    let (one, two) = (beat_of(&claimant("web-1"), started), beat_of(&claimant("web-1"), started));
    a.heartbeat(&one).await.unwrap();
    assert_eq!(b.heartbeat(&two).await.unwrap().replaced, Some(one.boot));
    assert_eq!(b.heartbeat(&two).await.unwrap().replaced, None);
    assert_eq!(a.heartbeat(&one).await.unwrap().replaced, Some(two.boot));
    // A server of a quorum may hear of one later than of what came next: then once more.
    for _ in 0..50 {
        if sent(&*a).await == [one.clone()] {
            break;
        }
        a.heartbeat(&one).await.unwrap();
    }
    assert_eq!(sent(&*a).await, [one], "a name stands once");
}

pub(crate) async fn a_silent_node_is_gone_and_its_heartbeat_replaces_none(f: &impl Fixture) {
    let store = f.store().await;
    let mut silent = beat_of(&claimant("web-1"), now(&*store).await);
    silent.keep = SHORT;
    store.heartbeat(&silent).await.unwrap();
    eventually("the heartbeat runs out", async || store.nodes().await.unwrap().is_empty()).await;
    let back = beat_of(&claimant("web-1"), now(&*store).await);
    assert_eq!(store.heartbeat(&back).await.unwrap().replaced, None);
}

pub(crate) async fn a_node_that_leaves_takes_only_its_own_heartbeat(f: &impl Fixture) {
    let store = f.store().await;
    let (old, new) = (claimant("web-1"), claimant("web-1"));
    let started = now(&*store).await;
    let beat = beat_of(&new, started);
    store.heartbeat(&beat).await.unwrap();
    store.leave(&old.node, old.boot).await.unwrap();
    assert_eq!(sent(&*store).await, std::slice::from_ref(&beat), "of this start, not of another");
    store.leave(&new.node, new.boot).await.unwrap();
    assert_eq!(store.nodes().await, Ok(vec![]));
    store.leave(&new.node, new.boot).await.unwrap();
}

/// So often a store is closed.
const CLOSINGS: usize = 20;

pub(crate) async fn time_goes_forward_and_is_the_same_for_all(f: &impl Fixture) {
    let handles = [f.store().await, f.store().await];
    let mut last = now(&*handles[0]).await;
    for i in 0..100 {
        let read = now(&*handles[i % 2]).await;
        assert!(read >= last, "{read} after {last}");
        last = read;
    }
    let wall = ClusterTime::from_unix_micros(wall_now().as_microsecond());
    let apart = wall.since(last).max(last.since(wall));
    assert!(apart < Duration::from_secs(60), "{apart:?} from the wall clock");
}

pub(crate) async fn a_store_that_answers_is_up_and_inspected_and_a_closed_one_refuses(
    f: &impl Fixture,
) {
    use solocron::store::{Health, StoreError};

    let store = f.store().await;
    now(&*store).await;
    // One that has another connection for what replicas acknowledge is up with that.
    let mut health = store.health();
    let up = health.wait_for(|health| *health == Health::Up);
    tokio::time::timeout(Duration::from_secs(20), up).await.unwrap().unwrap();
    assert!(!store.describe().is_empty());
    store.inspect().await.unwrap();
    store.close().await;
    assert!(matches!(store.time().await, Err(StoreError::Unavailable(_))));
    let who = claimant("web-1");
    let slot = due(&*f.store().await, "backup").await;
    let claim = claim_of(&slot, LONG);
    assert!(matches!(store.claim(&who, &[claim]).await, Err(StoreError::Unavailable(_))));
}

/// A node that leaves may have calls under way; it must not wait for ever.
pub(crate) async fn a_store_closes_in_the_middle_of_calls(f: &impl Fixture) {
    for round in 0..CLOSINGS {
        let store = f.store().await;
        now(&*store).await;
        let callers: Vec<_> = (0..16)
            .map(|n| {
                let (store, nobody) = (store.clone(), claimant(&format!("nobody-{n}")));
                tokio::spawn(async move {
                    while store.leave(&nobody.node, nobody.boot).await.is_ok() {}
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let closed = tokio::time::timeout(Duration::from_secs(20), store.close()).await;
        assert!(closed.is_ok(), "closing ends (round {round})");
        for caller in callers {
            let refused = tokio::time::timeout(Duration::from_secs(20), caller).await;
            assert!(refused.is_ok(), "every call ends (round {round})");
        }
    }
}
