//! A collector that is away, slow or full is nobody's trouble but its own.

use std::collections::HashSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use solocron::clock::BootInstant;

use crate::collector::Collector;
use crate::harness::node::Node;
use crate::harness::receiver::Manner;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;

/// Slots of each node that are looked at.
const SLOTS: usize = 10;

/// How late runs began, in milliseconds: the middle one.
fn lateness(node: &Node) -> u64 {
    until("it had its slots", || node.count("run.started", |_| true) >= SLOTS);
    let mut late: Vec<_> =
        node.events("run.started").iter().filter_map(|run| run["late_ms"].as_u64()).collect();
    late.sort_unstable();
    late[late.len() / 2]
}

#[test]
fn a_collector_that_hangs_delays_no_run_and_holds_up_no_ending() {
    let site = || Site::new(Ground::Redis, "", &every_second("tick", "true", "overlap = 'allow'"));
    let (watched, alone) = (site(), site());
    let collector = Collector::start(&[Manner::Hang]);
    let mut node = watched
        .start_with("web-1", |command| {
            collector.told_by(command);
            command.env("OTEL_BSP_MAX_QUEUE_SIZE", "8");
        })
        .ready();
    let other = alone.start("web-1").ready();
    node.wait("traces.down");
    let (late, usual) = (lateness(&node), lateness(&other));
    assert!(late <= usual + 50, "{late} ms late, beside {usual} ms without a collector");
    assert_eq!(node.count("run.finished", |run| run["outcome"] != "succeeded"), 0);
    assert!(!collector.receiver.received().is_empty(), "the collector was asked");

    let begun = BootInstant::now();
    assert_eq!(node.drain(), 0);
    let took = BootInstant::now().since(begun);
    assert!(took < Duration::from_secs(6), "it took {took:?} to end");
    // Of those that found no room it is told once, and of all that were lost at the end.
    let down = node.events("traces.down");
    assert!(down.len() <= 2, "{down:?}");
    let lost = node.events("traces.lost");
    let [lost] = &*lost else { panic!("{lost:?}") };
    assert!(lost["lost"].as_u64() >= Some(SLOTS as u64 * 4), "{lost}");
}

#[test]
fn who_wants_an_end_at_once_waits_for_no_collector() {
    let job = every_second("tick", "true", "overlap = 'allow'");
    let site = Site::new(Ground::Redis, "", &job);
    let collector = Collector::start(&[Manner::Hang]);
    let mut node = site.start_with("web-1", |command| collector.told_by(command)).ready();
    collector.receiver.wait(1);
    site.set_jobs("[jobs.long]\nschedule = '0 0 29 2 *'\nshell = 'touch begun; exec sleep 600'\n");
    node.signal(Signal::SIGHUP);
    node.wait_where("config.loaded", |loaded| loaded["jobs"] == 1 && loaded["source"] != "");
    site.ask(&["trigger", "long"]);
    until("it has begun", || site.folder().join("begun").exists());
    node.terminate();
    node.wait("node.draining");
    let begun = BootInstant::now();
    node.terminate();
    assert_eq!(node.drained(), 1);
    let took = BootInstant::now().since(begun);
    assert!(took < Duration::from_millis(1900), "it took {took:?} to end");
}

#[test]
fn a_collector_that_comes_back_gets_what_comes_then_and_the_log_tells_once_what_it_missed() {
    let job = every_second("tick", "true", "overlap = 'allow'");
    let site = Site::new(Ground::Redis, "", &job);
    // Not to be tried again, as its status says.
    let collector = Collector::start(&[Manner::Answer(400, Vec::new())]);
    let mut node = site.start_with("web-1", |command| collector.told_by(command)).ready();
    node.wait("traces.down");
    collector.receiver.wait(3);
    collector.receiver.behave(&[Manner::Answer(200, Vec::new())]);
    let up = node.wait("traces.up");
    assert!(up["lost"].as_u64() > Some(0), "{up}");
    assert_eq!(node.count("traces.down", |_| true), 1);
    assert_eq!(node.drain(), 0);
    let lost = node.wait("traces.lost");
    assert!(lost["lost"].as_u64() >= up["lost"].as_u64(), "{lost}");
}

#[test]
fn what_was_not_sent_yet_goes_at_the_end() {
    let job = every_second("tick", "true", "overlap = 'allow'");
    let site = Site::new(Ground::Redis, "", &job);
    let collector = Collector::friendly();
    let mut node = site
        .start_with("web-1", |command| {
            collector.told_by(command);
            command.env("OTEL_BSP_SCHEDULE_DELAY", "600000");
        })
        .ready();
    until("it had some slots", || node.count("run.finished", |_| true) >= 3);
    assert_eq!(collector.spans(), []);
    assert_eq!(node.drain(), 0);
    let all = collector.spans();
    let ended: HashSet<_> =
        all.iter().filter(|span| span.name == "tick").map(|root| root.text("slot")).collect();
    let finished = node.events("run.finished");
    assert_eq!(ended, finished.iter().map(|run| run["slot"].as_str().unwrap()).collect());
    assert_eq!(node.count("traces.lost", |_| true), 0);
}

#[test]
fn of_a_share_of_all_traces_the_nodes_keep_the_same_and_jobs_are_told_which() {
    let shell = r#"echo "$SOLOCRON_NODE $TRACEPARENT" >> told"#;
    let jobs: String =
        (0..8).map(|n| every_second(&format!("tick-{n}"), shell, "overlap = 'allow'")).collect();
    let site = Site::new(Ground::Redis, "", &jobs);
    let collector = Collector::friendly();
    let start = |name| {
        let change = |command: &mut std::process::Command| {
            collector.told_by(command);
            command
                .env("OTEL_TRACES_SAMPLER", "traceidratio")
                .env("OTEL_TRACES_SAMPLER_ARG", "0.5");
        };
        site.start_with(name, change).ready()
    };
    let nodes = [start("web-1"), start("web-2")];
    until("there is enough to see", || site.lines("told").len() >= 60);
    for mut node in nodes {
        assert_eq!(node.drain(), 0);
    }
    let kept: HashSet<_> = collector.spans().into_iter().map(|span| span.trace).collect();
    let (mut sampled, mut not) = (0, 0);
    for line in site.lines("told") {
        let (_, parent) = line.split_once(' ').unwrap();
        let words: Vec<_> = parent.split('-').collect();
        let is_sampled = words[3] == "01";
        assert_eq!(kept.contains(words[1]), is_sampled, "{line}");
        *(if is_sampled { &mut sampled } else { &mut not }) += 1;
    }
    assert!(sampled > 10 && not > 10, "{sampled} kept, {not} not");
}
