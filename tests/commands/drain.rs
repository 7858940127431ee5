//! The end of a node: it drains, or it is made to hurry.

use std::time::Duration;

use nix::sys::signal::Signal;
use solocron::clock::BootInstant;

use crate::bench::{Bench, every_second, lives};
use crate::harness::node::Node;

/// Ends the node with `signal`; how long it took, and the exit code.
fn end(node: &mut Node, signal: Signal) -> (Duration, i32) {
    let begun = BootInstant::now();
    node.signal(signal);
    let code = node.drained();
    (BootInstant::now().since(begun), code)
}

/// How every run that was started ended.
fn outcomes(node: &Node) -> Vec<String> {
    let started = node.count("run.started", |_| true);
    let finished = node.events("run.finished");
    assert_eq!(finished.len(), started, "a run has no end");
    finished.iter().map(|run| run["outcome"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn with_nothing_to_do_a_node_leaves_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let bench =
            Bench::with(&every_second("y", "shell = \"true\"").replace("* * * * * *", "@yearly"));
        let mut node = bench.node();
        let (took, code) = end(&mut node, signal);
        assert_eq!(code, 0);
        assert!(took < Duration::from_secs(3), "{took:?}");
        let draining = node.wait("node.draining");
        assert_eq!(draining["cause"], signal.as_str());
        assert_eq!(draining["running"], 0);
        assert_eq!(node.log().last().unwrap().record["event"], "node.stopped");
        assert_eq!(node.wait("node.stopped")["killed"], 0);
    }
}

#[test]
fn a_run_that_finishes_in_time_is_let_finish() {
    let bench = Bench::with(&every_second("job", "shell = \"sleep 1; echo done\""));
    let mut node = bench.node();
    node.wait("run.started");
    let (_, code) = end(&mut node, Signal::SIGTERM);
    assert_eq!(code, 0);
    let outcomes = outcomes(&node);
    assert!(!outcomes.is_empty() && outcomes.iter().all(|outcome| outcome == "succeeded"));
    // Nothing was begun after the drain was.
    let log = node.log();
    let draining = log.iter().position(|logged| logged.text("event") == "node.draining").unwrap();
    let later = &log[draining..];
    assert!(later.iter().all(|logged| logged.text("event") != "slot.claimed"));
    assert!(later.iter().any(|logged| logged.text("event") == "run.output"));
    assert!(bench.history(&[]).iter().all(|run| run["outcome"] == "succeeded"));
}

#[test]
fn a_run_that_does_not_is_ended_first_by_term_then_by_kill_and_handed_over() {
    let bench = Bench::with(&format!(
        "[cluster]\ndrain_timeout = \"300ms\"\n[defaults]\nkill_grace = \"400ms\"\n{}{}",
        every_second(
            "gentle",
            "shell = \"trap 'echo bye; exit 1' TERM; while :; do sleep 0.05; done\""
        ),
        every_second(
            "stubborn",
            "shell = \"trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done\""
        ),
    ));
    let mut node = bench.node();
    let pid = bench.wait_for_file("pid");
    node.wait_where("run.started", |run| run["job"] == "gentle");
    let (took, code) = end(&mut node, Signal::SIGTERM);
    assert_eq!(code, 1);
    assert!(took >= Duration::from_millis(700), "{took:?}");
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert!(outcomes(&node).iter().all(|outcome| outcome == "handed_over"));
    assert!(node.count("run.output", |record| record["line"] == "bye") > 0, "TERM came first");
    assert!(node.wait("node.stopped")["killed"].as_u64().unwrap() >= 2);
    assert!(!lives(&pid), "{pid}");
    let told = bench.history(&[]);
    assert_eq!(told.len(), node.events("run.finished").len());
    for run in &told {
        assert_eq!(run["outcome"], "handed_over", "{run}");
        assert_eq!(run["node"], "web-1", "{run}");
    }
    let slot = format!(
        "stubborn@{}",
        told.iter().find(|run| run["job"] == "stubborn").unwrap()["slot"].as_str().unwrap()
    );
    assert_eq!(bench.run(&["slot", &slot, "--format", "json"]).json()["state"], "handed_over");
}

#[test]
fn a_slot_that_was_handed_over_is_run_again_by_the_next_node() {
    let bench = Bench::with(&format!(
        "[cluster]\ndrain_timeout = \"500ms\"\n{}",
        every_second(
            "job",
            "shell = \"mkdir once && sleep 30 || true\"\nkill_grace = \"100ms\"\nstart_within = \"60s\""
        )
    ));
    let mut node = bench.node();
    node.wait_where("run.started", |_| bench.path("once").exists());
    let (_, code) = end(&mut node, Signal::SIGTERM);
    assert_eq!(code, 1);
    let handed = node.wait_where("run.finished", |run| run["outcome"] == "handed_over");

    let mut next = bench.node();
    let again = next.wait_where("run.finished", |run| run["slot"] == handed["slot"]);
    assert_eq!(again["outcome"], "succeeded");
    assert!(again["fence"].as_u64() > handed["fence"].as_u64());
    assert_ne!(again["run_id"], handed["run_id"]);
    assert_eq!(next.drain(), 0);
}

#[test]
fn a_second_signal_kills_now() {
    for second in [Signal::SIGTERM, Signal::SIGINT] {
        let bench = Bench::with(&every_second(
            "stubborn",
            "shell = \"trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done\"\nkill_grace = \"60s\"",
        ));
        let mut node = bench.node();
        let pid = bench.wait_for_file("pid");
        node.signal(Signal::SIGTERM);
        node.wait("node.draining");
        let (took, code) = end(&mut node, second);
        assert_eq!(code, 1);
        assert!(took < Duration::from_secs(2), "{took:?}");
        assert!(!lives(&pid), "{pid}");
        assert!(
            outcomes(&node)
                .iter()
                .all(|outcome| outcome == "handed_over" || outcome == "cancelled")
        );
    }
}

#[test]
fn a_hangup_loads_the_table_anew_and_does_not_end_a_node() {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    let mut node = bench.node();
    node.wait("run.finished");
    let first = node.events("config.loaded").remove(0);
    let last = node.events("slot.claimed").last().unwrap()["slot"].clone();
    node.signal(Signal::SIGHUP);
    node.signal(Signal::SIGHUP);
    node.wait_where("run.finished", |run| run["slot"].as_str() > last.as_str());
    // Two that come together may be one signal.
    node.wait_where("config.loaded", |loaded| *loaded != first);
    assert_eq!(node.drain(), 0);
}

#[test]
fn a_reader_of_the_log_that_goes_away_does_not_end_a_node() {
    let bench = Bench::with(&every_second("job", "shell = \"echo $SOLOCRON_SLOT >> slots\""));
    let mut command = bench.command();
    command.arg("run").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut child = crate::harness::processes::spawn(command).unwrap();
    bench.wait_for_file("slots");
    drop(child.stdout.take());
    let before = bench.wait_for_file("slots").lines().count();
    crate::harness::until("the job runs on", || {
        bench.wait_for_file("slots").lines().count() >= before + 3
    });
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let ran = bench.wait_for_file("slots").lines().count();
    let told = bench.history(&["--limit", "1000"]);
    assert_eq!(told.len(), ran);
    assert!(told.iter().all(|run| run["outcome"] == "succeeded"));
}
