//! What people ask of the whole cluster, and what the nodes tell each other of their tables.

use solocron::clock::ClusterTime;
use solocron::node::Heartbeat;

use super::*;

pub(crate) async fn a_reload_is_asked_of_all_or_of_one(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let (one, two) = (node("web-1"), node("web-2"));
    let before = b.control().await.unwrap();
    assert_eq!((before.version, before.reload_for(&one)), (0, 0));
    a.request_reload(None).await.unwrap();
    let all = b.control().await.unwrap();
    assert_eq!((all.version, all.reload_for(&one), all.reload_for(&two)), (1, 1, 1));
    a.request_reload(Some(&one)).await.unwrap();
    let single = b.control().await.unwrap();
    assert_eq!((single.version, single.reload_for(&one), single.reload_for(&two)), (2, 2, 1));
    a.request_reload(Some(&one)).await.unwrap();
    a.request_reload(None).await.unwrap();
    let again = b.control().await.unwrap();
    assert_eq!((again.version, again.reload_for(&one), again.reload_for(&two)), (4, 4, 4));
    a.prune(KEEP_ALL).await.unwrap();
    assert_eq!(b.control().await, Ok(again));
}

pub(crate) async fn every_command_shows_in_the_sweep(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let mut seen = b.sweep(0).await.unwrap().control;
    assert_eq!(seen, 0);
    for command in 0..4 {
        match command {
            0 => assert_eq!(a.pause(&job("backup"), true).await, Ok(true)),
            1 => assert_eq!(a.pause(&job("backup"), false).await, Ok(true)),
            2 => a.request_reload(None).await.unwrap(),
            _ => a.request_reload(Some(&node("web-1"))).await.unwrap(),
        }
        let now = b.sweep(0).await.unwrap().control;
        assert!(now > seen, "{command}: {now}");
        assert_eq!(b.control().await.unwrap().version, now);
        seen = now;
    }
    assert_eq!(a.pause(&job("backup"), false).await, Ok(false));
    assert_eq!(b.sweep(0).await.unwrap().control, seen, "nothing was changed");
}

pub(crate) async fn a_published_table_is_seen_by_all_in_order_of_name(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    assert_eq!(b.table("00c0ffee00000001").await, Ok(None));
    let jobs = [(job("report"), 7), (job("backup"), u64::MAX), (job("b.-_"), 0)];
    a.publish_table("00c0ffee00000001", &jobs, KEEP).await.unwrap();
    a.publish_table("00c0ffee00000002", &[], KEEP).await.unwrap();
    let ordered = vec![(job("b.-_"), 0), (job("backup"), u64::MAX), (job("report"), 7)];
    assert_eq!(b.table("00c0ffee00000001").await, Ok(Some(ordered)));
    assert_eq!(b.table("00c0ffee00000002").await, Ok(Some(vec![])));
    assert_eq!(b.table("00c0ffee00000003").await, Ok(None));
}

pub(crate) async fn a_table_that_nobody_publishes_any_more_is_forgotten(f: &impl Fixture) {
    let store = f.store().await;
    let jobs = [(job("backup"), 7)];
    store.publish_table("00c0ffee00000001", &jobs, SHORT).await.unwrap();
    store.publish_table("00c0ffee00000002", &jobs, KEEP).await.unwrap();
    eventually("it is forgotten", async || {
        store.table("00c0ffee00000001").await.unwrap().is_none()
    })
    .await;
    assert!(store.table("00c0ffee00000002").await.unwrap().is_some());
    store.publish_table("00c0ffee00000002", &jobs, SHORT).await.unwrap();
    eventually("it is kept as the last said", async || {
        store.table("00c0ffee00000002").await.unwrap().is_none()
    })
    .await;
}

pub(crate) async fn a_heartbeat_brings_back_who_goes_by_another_table(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let beat = |name: &str, table: &str| {
        let who = claimant(name);
        Heartbeat {
            node: who.node,
            boot: who.boot,
            started_at: ClusterTime::from_unix_micros(1),
            version: "0.1.0".to_owned(),
            table: table.to_owned(),
            draining: false,
            running: Some(3),
            skew_ms: Some(-12),
            keep: KEEP,
            heard_at: ClusterTime::from_unix_micros(1),
        }
    };
    let (one, same) = (beat("web-1", "00c0ffee00000001"), beat("web-2", "00c0ffee00000001"));
    assert_eq!(a.heartbeat(&one).await.unwrap().differing, []);
    assert_eq!(b.heartbeat(&same).await.unwrap().differing, []);
    let other = beat("web-3", "00c0ffee00000002");
    let differing = b.heartbeat(&other).await.unwrap().differing;
    assert_eq!(differing.len(), 2, "{differing:?}");
    let gone = Heartbeat { keep: SHORT, ..beat("web-4", "00c0ffee00000003") };
    b.heartbeat(&gone).await.unwrap();
    eventually("a silent one is left out", async || a.nodes().await.unwrap().len() == 3).await;
    let third = [(other.node.clone(), other.table.clone())];
    // (One of several servers may have heard it last, and forget it last.)
    eventually("it is left out of answers as well", async || {
        a.heartbeat(&one).await.unwrap().differing == third
    })
    .await;
    let changed = Heartbeat { table: one.table.clone(), ..other };
    assert_eq!(b.heartbeat(&changed).await.unwrap().differing, []);
}
