//! Replicas that are stopped and started while the work goes on.

use crate::harness::node::Node;
use crate::harness::oracle::{Evidence, Scope, second};
use crate::harness::site::{FIRST, Ground, Site, TESTIFY, every_second, ticks};
use crate::harness::until;
use crate::storm;
use solocron::clock::BootInstant;

const JOBS: usize = 20;

on_every_store! {
    replicas_stopped_and_started_in_turn_lose_no_slot_and_run_none_twice
    runs_that_outlive_every_drain_are_handed_on_until_they_end
    a_run_that_outlives_the_drain_is_handed_over_and_never_overlaps_itself
    a_slot_handed_over_by_the_last_node_is_run_by_the_next_that_comes
}

/// A command that notes in `overlaps` if another run of its slot still lives: the
/// lock is held by the run's last process, and the kernel frees it.
fn guarded(then: &str) -> String {
    format!(
        r#"exec 9>"lock-$SOLOCRON_JOB-$SOLOCRON_SLOT"; flock -n 9 || echo "$SOLOCRON_SLOT" >> overlaps; {TESTIFY}; {then}"#
    )
}

/// Stops a node and starts it anew, then the one that `next` names, and so on for
/// as long as a storm lasts. Returns those that were stopped, with their exit codes.
fn take_turns(
    site: &Site,
    nodes: &mut [Node; 3],
    next: impl Fn(usize, &[Node; 3]) -> usize,
) -> Vec<(Node, i32)> {
    let mut stopped = Vec::new();
    let begun = BootInstant::now();
    while BootInstant::now().since(begun) < storm::length() || stopped.len() < 3 {
        storm::pass(&*nodes, 1);
        let turn = next(stopped.len(), nodes);
        let name = nodes[turn].name.clone();
        let code = nodes[turn].drain();
        let anew = site.start(&name).ready();
        stopped.push((std::mem::replace(&mut nodes[turn], anew), code));
    }
    stopped
}

/// The node with the most runs in progress, once there is one.
fn busiest(nodes: &[Node; 3]) -> usize {
    let runs = |node: &Node| {
        node.count("run.started", |_| true).saturating_sub(node.count("run.finished", |_| true))
    };
    let mut busiest = 0;
    until("a node is busy", || {
        busiest = (0..3).max_by_key(|&n| runs(&nodes[n])).unwrap_or_default();
        runs(&nodes[busiest]) > 0
    });
    busiest
}

fn replicas_stopped_and_started_in_turn_lose_no_slot_and_run_none_twice(ground: Ground) {
    let site = Site::new(ground, "", &ticks(JOBS, "start_within = '15s'"));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let stopped = take_turns(&site, &mut nodes, |turn, _| turn % 3);
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    for (node, code) in &stopped {
        assert_eq!(*code, 0, "{} had time to drain", node.name);
        assert_eq!(node.wait("node.stopped")["killed"], 0);
    }
    let evidence = site.evidence(stopped.iter().map(|(node, _)| node).chain(&nodes));
    storm::judge_all_ran(&evidence, &scope);
    let account = evidence.account(&scope);
    println!("{ground:?}: {} slots, {} turns: {account:?}", account.ran, stopped.len());
}

fn runs_that_outlive_every_drain_are_handed_on_until_they_end(ground: Ground) {
    let jobs: String = (1..=3)
        .map(|n| {
            every_second(
                &format!("tick-{n}"),
                &guarded("sleep 2.6"),
                "start_within = '30s'\noverlap = 'allow'",
            )
        })
        .collect();
    // In a long storm a slot is handed on again and again: all of that is evidence.
    let cluster = "drain_timeout = '100ms'\nhistory.per_job = 1000000";
    let site = Site::new(ground, cluster, &jobs);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let stopped = take_turns(&site, &mut nodes, |_, nodes| busiest(nodes));
    let scope = storm::scope(3, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    nodes.iter().for_each(Node::terminate);
    nodes.iter_mut().for_each(|node| assert!(node.drained() <= 1));

    for (node, code) in &stopped {
        let killed = node.wait("node.stopped")["killed"].as_u64();
        assert_eq!(*code, i32::from(killed != Some(0)), "{} ended {killed:?} runs", node.name);
    }
    let evidence = site.evidence(stopped.iter().map(|(node, _)| node).chain(&nodes));
    let account = storm::judge(&evidence, &scope);
    assert_eq!(account.ran, scope.keys().count(), "{account:?}");
    assert_eq!(site.lines("overlaps"), [""; 0], "a run began while one of its slot still lived");
    assert!(account.handed_over > 0, "no drain met a run: {account:?}");
    hand_overs_are_told(&evidence, &scope);
    println!("{ground:?}: {} turns: {account:?}", stopped.len());
}

/// Whoever ended a run for its drain says so, in the log as in the ledger.
fn hand_overs_are_told(evidence: &Evidence, scope: &Scope) {
    let handed_over = scope.keys().flat_map(|key| evidence.runs_of(&key).into_iter().cloned());
    for run in handed_over.filter(|run| run.outcome == "handed_over") {
        let logs = evidence.logs.iter().filter(|(node, _)| run.node.as_ref() == Some(node));
        let told = logs.flat_map(|(_, log)| log).any(|logged| {
            logged.text("outcome") == "handed_over"
                && run.run_id.as_deref() == Some(logged.text("run_id"))
        });
        let started = run.error.as_deref().is_none_or(|error| !error.contains("did not start"));
        assert!(told || !started, "no log tells of {run:?}");
    }
}

fn a_run_that_outlives_the_drain_is_handed_over_and_never_overlaps_itself(ground: Ground) {
    // The first run hears no TERM, nor does its child; every other ends at once.
    let stubborn = guarded(&format!("{FIRST} && {{ trap '' TERM; sleep 600; exit 1; }}; true"));
    let keys = "kill_grace = '1s'\nstart_within = '15s'\noverlap = 'allow'";
    let site =
        Site::new(ground, "drain_timeout = '1s'", &every_second("stubborn", &stubborn, keys));
    let mut first = site.start("first").ready();
    let run_id = site.first_run();
    let mut second_node = site.start("second").ready();
    assert_eq!(first.drain(), 1, "a run had to be ended");
    assert_eq!(first.wait("node.stopped")["killed"], 1);
    let ended = first.wait_where("run.finished", |record| record["run_id"] == *run_id);
    assert_eq!(ended["outcome"], "handed_over");
    let key = ("stubborn".to_owned(), second(ended["slot"].as_str().expect("it is text")));
    let again = second_node.wait_where("run.finished", |record| record["slot"] == ended["slot"]);
    assert_eq!(again["attempt"], 2);
    storm::pass([&second_node], 2);
    storm::drain([&mut second_node]);

    let evidence = site.evidence([&first, &second_node]);
    let scope =
        Scope { jobs: vec![key.0.clone()], after: key.1 - 1, upto: key.1, ..Scope::default() };
    let account = storm::judge(&evidence, &scope);
    assert_eq!((account.ran, account.handed_over), (1, 1), "{account:?}");
    let runs = evidence.runs_of(&key);
    let told = runs.iter().map(|run| (run.node.as_deref(), &*run.outcome, run.attempt));
    assert_eq!(
        told.collect::<Vec<_>>(),
        [(Some("first"), "handed_over", Some(1)), (Some("second"), "succeeded", Some(2))]
    );
    assert!(runs[0].fence < runs[1].fence, "{runs:?}");
    assert_eq!(site.lines("overlaps"), [""; 0], "the second began while the first still lived");
}

fn a_slot_handed_over_by_the_last_node_is_run_by_the_next_that_comes(ground: Ground) {
    let long = guarded(&format!("{FIRST} && exec sleep 600; true"));
    let site = Site::new(
        ground,
        "drain_timeout = '100ms'",
        &every_second("long", &long, "overlap = 'allow'"),
    );
    let mut last = site.start("last").ready();
    let run_id = site.first_run();
    let begun = last.wait_where("run.started", |record| record["run_id"] == *run_id);
    let key = ("long".to_owned(), second(begun["slot"].as_str().expect("it is text")));
    assert_eq!(last.drain(), 1, "a run had to be ended");
    let left = site.ask(&["slot", "long", begun["slot"].as_str().expect("it is text")]);
    assert!(left.contains("waits for another node"), "{left}");

    // By now its start window may have closed; that binds first claims only.
    let mut next = site.start("next").ready();
    let again = next.wait_where("run.finished", |record| record["slot"] == begun["slot"]);
    assert_eq!((&again["attempt"], &again["outcome"]), (&2.into(), &"succeeded".into()));
    let scope =
        Scope { jobs: vec![key.0.clone()], after: key.1 - 1, upto: key.1, ..Scope::default() };
    storm::settle(&site, &scope);
    storm::drain([&mut next]);
    let account = storm::judge(&site.evidence([&last, &next]), &scope);
    assert_eq!((account.ran, account.handed_over), (1, 1), "{account:?}");
}
