//! Stores that stop, hang, forget scripts, cut connections, or come late.

use std::time::Duration;

use crate::harness::node::Node;
use crate::harness::oracle::{Account, Scope, second};
use crate::harness::proxy::{Flow, Proxy, Way};
use crate::harness::site::{Ground, Site, ticks};
use crate::storm;

const JOBS: usize = 10;

on_every_store! {
    slots_that_a_store_was_away_for_are_in_the_ledger_with_the_reason
}

/// Waits until every node has given up `seconds` slots of the first job for want of a store.
fn skipped_for_the_store(nodes: &[Node], seconds: usize) {
    for node in nodes {
        node.wait("store.down");
        crate::harness::until(&format!("{} has skipped {seconds} slots", node.name), || {
            node.count("slot.skipped", |record| {
                record["reason"] == "store_down" && record["job"] == "tick-1"
            }) >= seconds
        });
    }
}

/// Ends the storm: what became of its slots, nothing being wrong.
fn conclude(site: &Site, mut nodes: [Node; 3], after: i64) -> (Account, Scope) {
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 2));
    storm::settle(site, &scope);
    storm::drain(&mut nodes);
    let evidence = site.evidence(&nodes);
    let account = storm::judge(&evidence, &scope);
    println!("{account:?}");
    (account, scope)
}

fn slots_that_a_store_was_away_for_are_in_the_ledger_with_the_reason(ground: Ground) {
    let mut site = Site::new(ground, "", &ticks(JOBS, ""));
    let nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 3);
    site.take_store_away();
    skipped_for_the_store(&nodes, 4);
    site.bring_store_back();
    nodes.iter().for_each(|node| drop(node.wait("store.up")));
    let concluded = conclude(&site, nodes, after);
    let missed = concluded.0.missed.get("store_down").copied().unwrap_or(0);
    assert!(missed >= 3 * JOBS, "the outage has cost slots of every job: {concluded:?}");
    assert!(concluded.0.ran >= 3 * JOBS, "before and after they ran: {concluded:?}");
}

#[test]
fn flushed_scripts_and_killed_connections_cost_no_slot() {
    let site = Site::new(Ground::Redis, "", &ticks(JOBS, "start_within = '15s'"));
    let nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let rounds = storm::length().as_secs() / 3;
    for _ in 0..rounds {
        site.redis().cli(&["SCRIPT", "FLUSH"]);
        storm::pass(&nodes, 1);
        assert!(site.redis().cli_number(&["CLIENT", "KILL", "TYPE", "normal"]) > 0);
        storm::pass(&nodes, 1);
        // Both, and in the middle of a second.
        site.redis().cli(&["SCRIPT", "FLUSH"]);
        site.redis().cli(&["CLIENT", "KILL", "TYPE", "normal"]);
    }
    let (account, scope) = conclude(&site, nodes, after);
    assert_eq!(account.ran, scope.keys().count(), "{account:?}");
}

#[test]
fn a_redis_that_is_killed_has_forgotten_nothing_that_was_acknowledged() {
    let mut site = Site::new(Ground::Redis, "", &ticks(JOBS, "start_within = '15s'"));
    let nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    for round in 0..storm::length().as_secs() / 3 {
        // Sometimes when a slot is due, sometimes when runs end, sometimes between.
        storm::pass(&nodes, 1);
        std::thread::sleep(Duration::from_millis(round * 37 % 1000));
        site.redis_mut().kill9();
        site.redis_mut().restart();
    }
    let (account, scope) = conclude(&site, nodes, after);
    assert_eq!(account.ran, scope.keys().count(), "the windows were long enough: {account:?}");
}

#[test]
fn a_redis_that_hangs_and_wakes_up_runs_nothing_that_was_given_up() {
    let site = Site::new(Ground::Redis, "", &ticks(JOBS, ""));
    let nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 2);
    site.redis().pause();
    skipped_for_the_store(&nodes, 3);
    // Claims that nobody waits for any more are applied now.
    site.redis().resume();
    let concluded = conclude(&site, nodes, after);
    assert!(concluded.0.missed.contains_key("store_down"), "{concluded:?}");
}

#[test]
fn a_store_that_is_down_at_the_start_leaves_one_range_of_missed_slots() {
    let mut site = Site::new(Ground::Redis, "", &ticks(JOBS, ""));
    site.take_store_away();
    let nodes = ["web-1", "web-2", "web-3"].map(|name| site.start(name));
    skipped_for_the_store(&nodes, 4);
    // The first that a node comes to may have been due before it started, and a
    // job that the store has never seen begins with the start.
    let first_skips = nodes.iter().map(|node| {
        let skipped = node.wait("slot.skipped");
        assert_eq!(node.events("node.started").len(), 0, "{} cannot be ready", node.name);
        second(skipped["slot"].as_str().expect("it is text"))
    });
    let after = first_skips.max().expect("there are nodes");
    site.bring_store_back();
    let nodes = nodes.map(Node::ready);
    nodes.iter().for_each(|node| drop(node.wait("store.up")));
    let ledger = site.ledger();
    assert!(ledger.iter().all(|entry| entry.is_missed() || entry.from() > after), "{ledger:?}");
    storm::pass(&nodes, 3);
    let concluded = conclude(&site, nodes, after);
    let ledger = site.ledger();
    for job in &concluded.1.jobs {
        let reason = Some("store_down");
        let ranges: Vec<_> = ledger
            .iter()
            .filter(|entry| entry.job == *job && entry.reason.as_deref() == reason)
            .collect();
        let [range] = ranges[..] else { panic!("not one range of {job}: {ranges:?}") };
        assert!(range.from() <= after + 1 && range.to() >= after + 3, "{range:?}");
    }
}

#[test]
fn claims_whose_answer_was_lost_are_taken_back_and_missed() {
    let site = Site::new(Ground::Redis, "", &ticks(JOBS, ""));
    let proxy = Proxy::before(site.redis().port());
    let mut nodes = [site.start_behind(&proxy, "deaf").ready()];
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 2);
    // A claim that goes out on a connection that is known to be deaf is not made;
    // that of the first slot mostly goes out before.
    let mut lost = None;
    for round in 1.. {
        assert!(round <= 5, "no claim went out before the deaf connection was given up");
        let known = nodes[0].count("slot.skipped", |record| record["job"] == "tick-1");
        let down = nodes[0].count("store.down", |_| true);
        proxy.set(Way::ToClient, Flow::Drop);
        crate::harness::until("three more slots are skipped", || {
            nodes[0].count("slot.skipped", |record| record["job"] == "tick-1") >= known + 3
        });
        let skipped = nodes[0].events("slot.skipped");
        let first = skipped.iter().filter(|record| record["job"] == "tick-1").nth(known);
        let slot = first.and_then(|record| record["slot"].as_str()).expect("it is text");
        let story = site.try_ask(&["slot", "tick-1", slot, "--format", "json"]);
        lost = story.ok().map(|story| (slot.to_owned(), story));
        proxy.mend();
        crate::harness::until("the store is back", || {
            nodes[0].count("store.up", |_| true) > down + 1
        });
        if lost.is_some() {
            break;
        }
    }
    // It has been applied, and nobody runs the slot.
    let (lost, story) = lost.expect("the loop has found it");
    let story: serde_json::Value = serde_json::from_str(&story).expect("slot prints JSON");
    assert_eq!((&story["state"], &story["node"]), (&"running".into(), &"deaf".into()), "{story}");
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 3));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    let evidence = site.evidence(&nodes);
    let account = storm::judge(&evidence, &scope);
    assert!(account.missed.get("store_down") >= Some(&(3 * JOBS)), "{account:?}");
    assert_eq!(account.abandoned, 0, "{}", evidence.story(&("tick-1".to_owned(), second(&lost))));
}
