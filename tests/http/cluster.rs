//! Any node answers for the whole cluster, also of nodes that are gone.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;
use solocron::clock::BootInstant;

use crate::client::{Seen, Stream, site};
use crate::harness::site::{Ground, Site};
use crate::harness::until;

const TICK: &str = "[jobs.tick]\nschedule = '* * * * * *'\nshell = 'true'\ntags = ['fast', 'db']\n\
     timezone = 'Europe/Berlin'\noverlap = 'allow'\n\
     [jobs.quiet]\nschedule = ['0 3 * * *', '@every 1d']\nshell = 'true'\n";

fn node<'a>(nodes: &'a Value, name: &str) -> &'a Value {
    let nodes = nodes["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).unwrap_or(&Value::Null)
}

#[test]
fn jobs_are_told_with_their_schedule_in_words_and_what_is_next() {
    let site = site(TICK);
    let seen = Seen::start(&site, "web-1");
    until("it ran", || !seen.get("/api/v1/jobs?tag=fast")["jobs"][0]["last"].is_null());
    let jobs = seen.get("/api/v1/jobs");
    let [quiet, tick] = jobs["jobs"].as_array().unwrap().as_slice() else { panic!("{jobs}") };
    assert_eq!((&quiet["name"], &tick["name"]), (&"quiet".into(), &"tick".into()));
    assert_eq!(tick["tags"], serde_json::json!(["db", "fast"]));
    assert_eq!(tick["schedules"][0]["zone"], "Europe/Berlin");
    assert_eq!(tick["schedules"][0]["words"], "every second");
    assert_eq!(quiet["schedules"][0]["words"], "at 03:00 every day");
    assert_eq!(quiet["schedules"][1]["words"], "every day");
    assert_eq!(tick["last"]["outcome"], "succeeded");
    let detail = seen.get("/api/v1/jobs/tick");
    assert_eq!(detail["coming"].as_array().unwrap().len(), 10);
    let local = detail["coming"][0]["local"].as_str().unwrap();
    assert!(local.ends_with("+01:00") || local.ends_with("+02:00"), "{local}");
    assert_eq!(detail["may_run_on"], serde_json::json!(["web-1"]));
    let only = seen.get("/api/v1/jobs?tag=fast");
    assert_eq!(only["jobs"].as_array().unwrap().len(), 1);
    let cluster = seen.get("/api/v1/cluster");
    assert!(cluster["store"].as_str().unwrap().starts_with("redis://"), "{cluster}");
    assert_eq!((&cluster["jobs"], &cluster["node"]), (&2.into(), &"web-1".into()));
}

#[test]
fn the_board_shows_each_slot_once_with_its_node() {
    let site = site(TICK);
    let seen = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    let cells = |seen: &Seen| {
        let board = seen.get("/api/v1/slots?job=tick&limit=32");
        board["lanes"][0]["cells"].as_array().unwrap().clone()
    };
    until("some slots ran", || {
        cells(&seen[0]).iter().filter(|cell| cell["state"] == "succeeded").count() >= 5
    });
    for seen in &seen {
        let cells = cells(seen);
        let slots: Vec<_> = cells.iter().map(|cell| cell["slot"].as_str().unwrap()).collect();
        assert!(slots.is_sorted_by(|a, b| a > b), "newest first, each once: {slots:?}");
        for cell in cells.iter().filter(|cell| cell["state"] == "succeeded") {
            assert!(cell["node"].as_str().unwrap().starts_with("web-"), "{cell}");
        }
    }
}

#[test]
fn of_two_nodes_one_that_stops_is_gone_and_its_history_stays() {
    let site = site(TICK);
    let [one, mut two] = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    until("both are seen", || {
        let nodes = one.get("/api/v1/nodes");
        node(&nodes, "web-1")["alive"] == true && node(&nodes, "web-2")["alive"] == true
    });
    assert_eq!(node(&one.get("/api/v1/nodes"), "web-1")["this"], true);
    let ran = |name: &str| {
        let runs = one.get(&format!("/api/v1/jobs/tick/runs?node={name}&limit=1000"));
        runs.as_array().unwrap().len()
    };
    until("the other ran something", || ran("web-2") > 0);
    let begun = BootInstant::now();
    assert_eq!(two.node.drain(), 0);
    let gone = || node(&one.get("/api/v1/nodes"), "web-2")["alive"] == false;
    until("it is gone", gone);
    // It said so itself; two heartbeats and the drain are time enough, also on a busy machine.
    assert!(BootInstant::now().since(begun) < Duration::from_secs(10));
    assert!(ran("web-2") > 0);
    let nodes = one.get("/api/v1/nodes");
    assert!(node(&nodes, "web-2")["recent_runs"].as_u64().unwrap() > 0, "{nodes}");
    assert_eq!(node(&nodes, "web-2")["version"], Value::Null, "it does not live: {nodes}");
}

/// Between two heartbeats of the nodes that are lost.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// What an answer may be old, and a busy machine late.
const SLACK: Duration = Duration::from_millis(1500);

/// A node that does not drain is shown as silent, and as gone within two heartbeats, to who
/// asks and to who stays; and while it lives it is neither.
fn is_gone_in_time(lose: impl FnOnce(&mut Seen), back: Option<Signal>) {
    let head = crate::client::with_tokens();
    let site = Site::new(Ground::Redis, "heartbeat = '2s'", &format!("{head}{TICK}"));
    let [one, mut two] = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    let standing = || {
        let nodes = one.get("/api/v1/nodes");
        let two = node(&nodes, "web-2");
        (two["alive"] == true, two["silent"] == true)
    };
    until("it is seen", || standing() == (true, false));
    let seen = BootInstant::now();
    while BootInstant::now().since(seen) < HEARTBEAT * 3 {
        assert!(standing().0, "it lives");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut stream = Stream::begin(&one, None);
    until("its heartbeats come", || standing() == (true, false));
    let lost = BootInstant::now();
    lose(&mut two);
    let mut was_silent = false;
    until("it is gone", || {
        let (alive, silent) = standing();
        was_silent |= alive && silent;
        !alive
    });
    let took = BootInstant::now().since(lost);
    assert!(took <= HEARTBEAT * 2 + SLACK, "it was gone after {took:?}");
    assert!(was_silent, "it was shown as silent before");
    stream.wait("nodes", |nodes| {
        let two = nodes.as_array().unwrap().iter().find(|node| node["name"] == "web-2");
        two.is_none_or(|two| two["alive"] == false)
    });
    let took = BootInstant::now().since(lost);
    assert!(took <= HEARTBEAT * 2 + SLACK * 2, "who stays was told after {took:?}");
    let status: Value = serde_json::from_str(&site.ask(&["status", "--format", "json"])).unwrap();
    assert_eq!(node(&status, "web-2"), &Value::Null, "{status}");
    if let Some(signal) = back {
        two.node.signal(signal);
        until("it is back", || standing() == (true, false));
    }
}

#[test]
fn a_node_that_is_killed_is_gone_within_two_heartbeats() {
    is_gone_in_time(|two| two.node.kill9(), None);
}

#[test]
fn a_node_that_is_frozen_is_gone_within_two_heartbeats_and_back_when_it_wakes() {
    is_gone_in_time(|two| two.node.freeze(), Some(Signal::SIGCONT));
}

#[test]
fn a_store_that_is_down_is_told_as_such_and_the_node_is_not_ready() {
    let mut site = site(TICK);
    let seen = Seen::start(&site, "web-1");
    assert_eq!(seen.ask("GET", "/readyz").status, 200);
    site.redis_mut().stop();
    until("it is not ready", || seen.ask("GET", "/readyz").status == 503);
    seen.ask("GET", "/readyz").refuses(503);
    seen.ask("GET", "/api/v1/jobs").refuses(503);
    assert_eq!(seen.ask("GET", "/healthz").status, 200);
    site.redis_mut().restart();
    until("it is ready again", || seen.ask("GET", "/readyz").status == 200);
    until("it answers again", || seen.ask("GET", "/api/v1/jobs").status == 200);
}

#[test]
fn while_a_node_drains_it_answers_and_is_not_ready() {
    let site = site(
        "[jobs.long]\nschedule = '0 0 1 1 *'\nshell = 'until [ -e done ]; do sleep 0.05; done'\n",
    );
    let mut seen = Seen::start(&site, "web-1");
    assert_eq!(seen.ask("POST", "/api/v1/jobs/long/trigger").status, 202);
    seen.node.wait("run.started");
    seen.node.terminate();
    until("it is not ready", || seen.ask("GET", "/readyz").status == 503);
    assert_eq!(seen.get("/api/v1/jobs/long")["open"][0]["state"], "running");
    std::fs::write(site.folder().join("done"), "").unwrap();
    assert_eq!(seen.node.drained(), 0);
}
