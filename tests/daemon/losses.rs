//! Replicas that are killed, that share a name, that start together, or that were all away.

use std::time::Duration;

use solocron::clock::BootInstant;

use crate::harness::oracle::{Scope, second};
use crate::harness::processes::with_variable;
use crate::harness::site::{FIRST, Ground, Site, TESTIFY, every_second, ticks};
use crate::harness::until;
use crate::storm;

const JOBS: usize = 10;

on_every_store! {
    a_slot_whose_node_was_killed_is_abandoned_once_and_runs_nowhere_again
    replicas_killed_in_turn_run_no_slot_twice_and_leave_none_unsettled
    slots_that_no_node_was_up_for_are_one_missed_range_of_each_job
    two_daemons_of_one_name_say_so_and_still_run_every_slot_once
}

fn a_slot_whose_node_was_killed_is_abandoned_once_and_runs_nowhere_again(ground: Ground) {
    let long = format!("{TESTIFY}; {FIRST} && exec sleep 600; true");
    let keys = "lease_ttl = '2s'\nstart_within = '15s'\noverlap = 'allow'\non_crash = 'skip'";
    let site = Site::new(ground, "", &every_second("long", &long, keys));
    let mut doomed = site.start("web-1").ready();
    let run_id = site.first_run();
    let others = site.start_all(["web-2", "web-3"]);
    storm::begin(&others);
    let lost = doomed.wait_where("run.started", |record| record["run_id"] == *run_id);
    let run = format!("SOLOCRON_RUN_ID={run_id}");
    assert_eq!(with_variable(&run).len(), 1, "the run is one process");
    doomed.kill9();
    until("the run is gone with its node", || with_variable(&run).is_empty());

    let abandoned = |record: &serde_json::Value| record["slot"] == lost["slot"];
    until("the slot is abandoned", || {
        others.iter().map(|node| node.count("slot.abandoned", abandoned)).sum::<usize>() > 0
    });
    // It comes back under its name, and everything goes on for a while.
    let [two, three] = others;
    let mut nodes = [site.start("web-1").ready(), two, three];
    let newest = storm::pass(&nodes, 4);
    storm::drain(&mut nodes);

    let evidence = site.evidence(nodes.iter().chain([&doomed]));
    let slot = second(lost["slot"].as_str().expect("it is text"));
    let account = evidence.account(&Scope {
        jobs: vec!["long".to_owned()],
        after: slot - 1,
        upto: newest,
        ..Scope::default()
    });
    storm::assert_none(&account.faults, &evidence);
    let told = nodes.iter().map(|node| node.count("slot.abandoned", abandoned)).sum::<usize>();
    assert_eq!(told, 1, "one node says so");
    let key = ("long".to_owned(), slot);
    let runs = evidence.runs_of(&key);
    assert_eq!(runs.iter().map(|run| &*run.outcome).collect::<Vec<_>>(), ["abandoned"]);
    assert_eq!(runs[0].node.as_deref(), Some("web-1"));
    assert_eq!(runs[0].run_id.as_ref(), Some(&run_id));
    let lines = evidence.testimonies.iter().filter(|line| line.key == key);
    assert_eq!(lines.count(), 1, "it ran nowhere again");
}

fn replicas_killed_in_turn_run_no_slot_twice_and_leave_none_unsettled(ground: Ground) {
    let keys = "lease_ttl = '2s'\nstart_within = '15s'\non_crash = 'skip'";
    let site = Site::new(ground, "", &ticks(2 * JOBS, keys));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let mut killed = Vec::new();
    let begun = BootInstant::now();
    while BootInstant::now().since(begun) < storm::length() {
        let turn = killed.len();
        let next = storm::pass(&nodes, 1) + 1;
        // As the slots of the next second are claimed, run, or written.
        let claimed = |record: &serde_json::Value| {
            record["slot"].as_str().is_some_and(|slot| second(slot) > next)
        };
        let doomed = &mut nodes[turn % 3];
        until("the next slot is claimed", || {
            doomed.count("slot.claimed", claimed) + doomed.count("slot.skipped", claimed) > 0
        });
        std::thread::sleep(Duration::from_millis(turn as u64 % 5 * 3));
        doomed.kill9();
        let anew = site.start(&doomed.name).ready();
        killed.push(std::mem::replace(doomed, anew));
    }
    let scope = storm::scope(2 * JOBS, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(killed.iter().chain(&nodes));
    let account = evidence.account(&scope);
    storm::assert_none(&account.faults, &evidence);
    assert_eq!(account.ran + account.abandoned, scope.keys().count(), "{account:?}");
    let told = nodes.iter().chain(&killed).map(|node| node.count("slot.abandoned", |_| true));
    println!("{ground:?}: {} kills, {account:?}, told {}", killed.len(), told.sum::<usize>());
}

fn slots_that_no_node_was_up_for_are_one_missed_range_of_each_job(ground: Ground) {
    let site = Site::new(ground, "", &ticks(JOBS, ""));
    let mut before = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&before);
    storm::pass(&before, 2);
    storm::drain(&mut before);
    let newest = before.iter().map(storm::newest).max().expect("there are nodes");
    // What is tested is an absence of a certain length.
    std::thread::sleep(Duration::from_secs(10));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 3));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(before.iter().chain(&nodes));
    let account = storm::judge(&evidence, &scope);
    for job in &scope.jobs {
        // A slot at its very end may have come while they started: that is `late`.
        let reason = Some("no_node");
        let of_job = evidence.ledger.iter().filter(|entry| entry.job == *job);
        let ranges: Vec<_> = of_job.filter(|entry| entry.reason.as_deref() == reason).collect();
        let [range] = ranges[..] else { panic!("not one range of {job}: {ranges:?}") };
        assert!(range.from() <= newest + 2, "it begins where the nodes ended: {range:?}");
        assert!(range.count >= Some(7), "{range:?}");
    }
    let logged = nodes.iter().map(|node| node.count("slot.missed", |_| true)).sum::<usize>();
    let written = evidence.ledger.iter().filter(|entry| entry.is_missed()).count();
    assert_eq!(logged, written, "whoever wrote a range says so, and nobody else");
    println!("{ground:?}: {account:?}");
}

fn two_daemons_of_one_name_say_so_and_still_run_every_slot_once(ground: Ground) {
    let site = Site::new(ground, "heartbeat = '1s'", &ticks(JOBS, "start_within = '15s'"));
    let mut nodes = site.start_all(["twin", "twin", "other"]);
    let boots = [0, 1].map(|n| nodes[n].wait("node.started")["boot"].clone());
    let after = storm::begin(&nodes);
    assert_eq!(nodes[0].wait("node.duplicate")["other_boot"], boots[1]);
    assert_eq!(nodes[1].wait("node.duplicate")["other_boot"], boots[0]);
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 3));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    for node in &nodes[..2] {
        assert_eq!(node.count("node.duplicate", |_| true), 1, "it is said once");
    }
    assert_eq!(nodes[2].count("node.duplicate", |_| true), 0);
}

#[test]
fn replicas_that_start_together_on_a_new_file_all_come_up() {
    for _ in 0..40 {
        let site = Site::new(Ground::Sqlite, "", &ticks(1, ""));
        let nodes = site.start_all(["a", "b", "c", "d", "e", "f"]);
        for node in &nodes {
            assert_eq!(node.count("store.down", |_| true), 0, "{}", node.name);
        }
    }
}
