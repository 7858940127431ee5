//! `solocron status`: nodes, jobs, what runs now, and how the store is.

use serde_json::Value;

use crate::harness::site::{Ground, Site};
use crate::harness::until;

const JOBS: &str = "[jobs.long]\nschedule = '0 0 1 1 *'\n\
     shell = 'until [ -e done ]; do sleep 0.05; done'\n\
     [jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n\
     [jobs.tick]\nschedule = '* * * * * *'\nshell = 'exit 3'\n";

fn json(site: &Site) -> Value {
    let output = site.command(&["status", "--format", "json"]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn text(site: &Site) -> String {
    let output = site.command(&["status"]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn status_of_a_cluster(ground: Ground) {
    let site = Site::new(ground, "heartbeat = '1s'", JOBS);
    let mut nodes = site.start_all(["web-1", "web-2"]);
    assert!(site.command(&["trigger", "long"]).status.success());
    assert!(site.command(&["pause", "quiet"]).status.success());
    let of = |told: &Value, job: &str| {
        let jobs = told["jobs"].as_array().unwrap();
        jobs.iter().find(|of| of["name"] == job).unwrap().clone()
    };
    until("all is told", || {
        let told = json(&site);
        told["nodes"].as_array().unwrap().len() == 2
            && of(&told, "long")["open"][0]["state"] == "running"
            && of(&told, "quiet")["paused"] == true
            && of(&told, "tick")["last"]["outcome"] == "failed"
            && told["nodes"].as_array().unwrap().iter().all(|node| node["skew_ms"].is_i64())
    });
    let told = json(&site);
    let node = &told["nodes"][0];
    assert_eq!((&node["name"], &node["draining"]), (&"web-1".into(), &false.into()));
    assert_eq!(node["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(node["table"], told["nodes"][1]["table"]);
    assert_eq!(told["store"]["state"], "up");
    assert!(told["store"]["latency_us"].as_u64().unwrap() > 0);

    let said = text(&site);
    for part in ["cluster test-", "NODE", "web-1", "web-2", "JOB", "running on web-", "paused"] {
        assert!(said.contains(part), "{part}:\n{said}");
    }
    assert!(said.contains("failed on web-"), "{said}");
    std::fs::write(site.folder().join("done"), "").unwrap();
    for node in &mut nodes {
        assert_eq!(node.drain(), 0);
    }
    let said = text(&site);
    assert!(said.contains("no node is up"), "{said}");
    // Who ran something not long ago.
    assert!(said.contains(" gone "), "{said}");
}

#[test]
fn on_redis() {
    status_of_a_cluster(Ground::Redis);
}

#[test]
fn on_sqlite() {
    status_of_a_cluster(Ground::Sqlite);
}

#[test]
fn watched_by_a_script_it_is_told_again_and_again() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let site = Site::new(Ground::Sqlite, "", JOBS);
    let _node = site.start("web-1").ready();
    let mut child = Command::new(env!("CARGO_BIN_EXE_solocron"))
        .args(["status", "--watch", "--format", "json", "-c"])
        .arg(site.config())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let told: Vec<Value> =
        lines.take(2).map(|line| serde_json::from_str(&line.unwrap()).unwrap()).collect();
    assert!(told[0]["now"].as_str() < told[1]["now"].as_str(), "{told:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}
