//! Replicas that are frozen or cut off for longer than their leases, and go on.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::harness::node::Node;
use crate::harness::oracle::second;
use crate::harness::processes::with_variable;
use crate::harness::proxy::Proxy;
use crate::harness::site::{FIRST, Ground, Site, TESTIFY, every_second, ticks};
use crate::harness::until;
use crate::storm;

on_every_store! {
    a_run_of_a_frozen_node_is_gone_before_its_slot_is_abandoned
    a_run_that_ended_while_its_node_was_frozen_changes_nothing_in_the_ledger
    a_replica_that_comes_late_is_told_what_is_done_and_runs_nothing_again
    slots_that_the_only_node_slept_through_are_missed_as_late
}

/// A frozen node whose slot another has settled meanwhile.
struct Frozen {
    site: Site,
    frozen: Node,
    other: Node,
    /// The `run.started` of the run that it holds.
    lost: Value,
}

/// The first run does `work`, all others nothing; its node is frozen, then comes
/// `meanwhile`, and it stays so until its slot is abandoned.
fn frozen(ground: Ground, work: &str, meanwhile: impl FnOnce(&Site)) -> Frozen {
    let long = format!("{TESTIFY}; {FIRST} && {work}; true");
    let keys = "lease_ttl = '4s'\nstart_within = '15s'\noverlap = 'allow'\non_crash = 'skip'";
    let site = Site::new(ground, "", &every_second("long", &long, keys));
    let frozen = site.start("frozen").ready();
    let run_id = site.first_run();
    let other = site.start("other").ready();
    storm::begin([&frozen, &other]);
    let lost = frozen.wait_where("run.started", |record| record["run_id"] == *run_id);
    site.freeze(&frozen);
    meanwhile(&site);
    let abandoned = other.wait_where("slot.abandoned", |record| record["slot"] == lost["slot"]);
    assert_eq!(abandoned["run_id"], lost["run_id"]);
    assert_eq!(abandoned["from"], "frozen");
    Frozen { site, frozen, other, lost }
}

impl Frozen {
    fn run(&self) -> String {
        format!("SOLOCRON_RUN_ID={}", self.lost["run_id"].as_str().expect("it is text"))
    }

    /// The node goes on and learns of its loss.
    fn wake_and_judge(self) {
        self.frozen.signal(Signal::SIGCONT);
        let run_id = self.lost["run_id"].clone();
        self.frozen.wait_where("run.finished", |record| record["run_id"] == run_id);
        let lost = self.frozen.wait_where("lease.lost", |record| record["run_id"] == run_id);
        assert!(["done", "not_renewed"].contains(&lost["reason"].as_str().unwrap()), "{lost}");
        assert_eq!(with_variable(&self.run()), [0; 0], "its processes are gone");
        self.judge();
    }

    /// Nothing comes of the run any more.
    fn judge(mut self) {
        storm::pass([&self.frozen, &self.other], 3);
        storm::drain([&mut self.frozen, &mut self.other]);

        let evidence = self.site.evidence([&self.frozen, &self.other]);
        let key = ("long".to_owned(), second(self.lost["slot"].as_str().expect("it is text")));
        let runs = evidence.runs_of(&key);
        assert_eq!(
            runs.iter().map(|run| &*run.outcome).collect::<Vec<_>>(),
            ["abandoned"],
            "{}",
            evidence.story(&key)
        );
        let lines = evidence.testimonies.iter().filter(|line| line.key == key);
        assert_eq!(lines.count(), 1, "it ran nowhere again");
        let told = [&self.frozen, &self.other]
            .map(|node| node.count("slot.abandoned", |record| record["slot"] == self.lost["slot"]));
        assert_eq!(told, [0, 1], "one node says so");
    }
}

fn a_run_of_a_frozen_node_is_gone_before_its_slot_is_abandoned(ground: Ground) {
    let frozen = frozen(ground, "trap '' TERM && sleep 600", |_| {});
    assert_eq!(with_variable(&frozen.run()), [0; 0], "its keeper ends it, whoever is frozen");
    frozen.wake_and_judge();
}

fn a_run_that_ended_while_its_node_was_frozen_changes_nothing_in_the_ledger(ground: Ground) {
    let work = "{ while [ ! -e go ]; do sleep 0.1; done; echo done > ended; }";
    let frozen = frozen(ground, work, |site| {
        std::fs::write(site.folder().join("go"), "").expect("it can be written");
        until("the run has ended by itself", || site.lines("ended") == ["done"]);
    });
    frozen.wake_and_judge();
}

fn a_replica_that_comes_late_is_told_what_is_done_and_runs_nothing_again(ground: Ground) {
    let site = Site::new(ground, "", &ticks(5, "start_within = '15s'"));
    let mut nodes = site.start_all(["late", "other"]);
    let after = storm::begin(&nodes);
    let done = |record: &Value| record["reason"] == "done" && record["holder"] == "other";
    for _ in 0..3 {
        let before = nodes[0].count("slot.skipped", done);
        site.freeze(&nodes[0]);
        storm::pass(&nodes[1..], 3);
        // Its windows are open still, and the jobs have ended long ago.
        nodes[0].signal(Signal::SIGCONT);
        until("it is told that slots are done", || nodes[0].count("slot.skipped", done) > before);
        storm::pass(&nodes, 1);
    }
    let scope = storm::scope(5, after, storm::pass(&nodes, 1));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    storm::judge_all_ran(&site.evidence(&nodes), &scope);
}

fn slots_that_the_only_node_slept_through_are_missed_as_late(ground: Ground) {
    let site = Site::new(ground, "", &ticks(5, ""));
    let mut node = site.start("sleepy").ready();
    let after = storm::begin([&node]);
    storm::pass([&node], 2);
    site.freeze(&node);
    // What is tested is a sleep of a certain length.
    std::thread::sleep(Duration::from_secs(5));
    node.signal(Signal::SIGCONT);
    let missed = node.wait("slot.missed");
    let last = second(missed["slot_to"].as_str().expect("it is text"));
    node.wait_where("slot.claimed", |record| {
        record["slot"].as_str().is_some_and(|slot| second(slot) > last)
    });
    let scope = storm::scope(5, after, storm::pass([&node], 3));
    storm::settle(&site, &scope);
    storm::drain([&mut node]);
    let account = storm::judge(&site.evidence([&node]), &scope);
    assert!(account.missed.get("late") >= Some(&(3 * 5)), "{account:?}");
    assert_eq!(account.missed.get("no_node"), None, "{account:?}");
}

#[test]
fn a_node_that_is_cut_off_has_ended_its_run_when_the_slot_is_abandoned() {
    let long = format!("{TESTIFY}; {FIRST} && exec sleep 600; true");
    let keys = "lease_ttl = '4s'\nstart_within = '15s'\noverlap = 'allow'\non_crash = 'skip'";
    let site = Site::new(Ground::Redis, "", &every_second("long", &long, keys));
    let proxy = Proxy::before(site.redis().port());
    let cut = site.start_behind(&proxy, "cut").ready();
    let run_id = site.first_run();
    let other = site.start("other").ready();
    storm::begin([&cut, &other]);
    let lost = cut.wait_where("run.started", |record| record["run_id"] == *run_id);
    proxy.cut();
    other.wait_where("slot.abandoned", |record| record["run_id"] == *run_id);
    let when = |node: &Node, event: &str| {
        let log = node.log();
        let found = log
            .iter()
            .find(|logged| logged.text("event") == event && logged.text("run_id") == run_id);
        found.unwrap_or_else(|| panic!("{} logged no {event} of the run", node.name)).at
    };
    assert!(when(&cut, "run.finished") < when(&other, "slot.abandoned"));
    assert_eq!(cut.wait("lease.lost")["reason"], "not_renewed");
    assert_eq!(with_variable(&format!("SOLOCRON_RUN_ID={run_id}")), [0; 0]);

    proxy.mend();
    cut.wait("store.up");
    Frozen { site, frozen: cut, other, lost }.judge();
}
