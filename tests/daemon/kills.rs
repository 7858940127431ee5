//! Nodes that are killed while a job of theirs runs: another runs the slot again.

use std::time::Duration;

use crate::harness::figures::Figures;
use crate::harness::node::Node;
use crate::harness::site::{Ground, Site, ticks};
use crate::storm;
use crate::victims::{self, GONE_WITHIN, LATE, TTL, up};
use solocron::clock::BootInstant;

on_every_store! {
    a_killed_nodes_job_is_gone_in_time_and_runs_again_elsewhere_without_overlap
    replicas_killed_in_turn_run_every_slot_to_its_end
}

/// How often a node is killed.
fn rounds() -> usize {
    if storm::is_long() { 50 } else { 4 }
}

fn a_killed_nodes_job_is_gone_in_time_and_runs_again_elsewhere_without_overlap(ground: Ground) {
    let site = victims::site(ground, "");
    let mut nodes = Vec::from(site.start_all(["web-1", "web-2", "web-3"]));
    let (mut killed, mut after): (Vec<Node>, i64) = (Vec::new(), 0);
    let (mut gone, mut taken_over) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        let lost = victims::await_victim(&site, after);
        after = lost.key.1;
        let at = up();
        let holder = victims::holder(&mut nodes, &lost);
        holder.kill9();
        let took = victims::await_gone(&lost);
        assert!(took <= GONE_WITHIN, "its processes lived for {took:?}");
        gone.push(took);

        let next = victims::await_successor(&site, &lost);
        let took = Duration::from_secs_f64((next.begun - at).max(0.0));
        assert!(took <= TTL + LATE, "it began {took:?} after the kill: {next:?}");
        taken_over.push(took);
        let anew = site.start(&lost.node).ready();
        killed.push(std::mem::replace(victims::holder(&mut nodes, &lost), anew));
        victims::judge_takeover(&site, killed.iter().chain(&nodes), &lost, &next);
    }
    let [gone, taken_over] = [gone, taken_over].map(Figures::of);
    println!("{ground:?}: {} kills; gone after: {gone}; taken over: {taken_over}", killed.len());
}

fn replicas_killed_in_turn_run_every_slot_to_its_end(ground: Ground) {
    // Who takes a slot over may be the next that is killed.
    let keys = "lease_ttl = '2s'\nstart_within = '15s'\nmax_takeovers = 100";
    let site = Site::new(ground, "", &ticks(10, keys));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let mut killed = Vec::new();
    let begun = BootInstant::now();
    while BootInstant::now().since(begun) < storm::length() {
        storm::pass(&nodes, 1);
        // As the slots of a second are claimed, run, or written.
        std::thread::sleep(Duration::from_millis(killed.len() as u64 % 7 * 4));
        let doomed = &mut nodes[killed.len() % 3];
        doomed.kill9();
        let anew = site.start(&doomed.name).ready();
        killed.push(std::mem::replace(doomed, anew));
    }
    let scope = storm::scope(10, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(killed.iter().chain(&nodes));
    let account = evidence.account(&scope);
    storm::assert_none(&account.faults, &evidence);
    assert_eq!(account.ran, scope.keys().count(), "{account:?}");
    println!("{ground:?}: {} kills, {account:?}", killed.len());
}
