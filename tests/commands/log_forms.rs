//! The log as people and as machines read it.

use serde_json::Value;

use crate::bench::{Bench, every_second};
use crate::harness::node::Node;
use crate::harness::{processes, until};

/// Runs a node with its log in the file `log` until that has `word`, drains it,
/// and gives the log back.
fn log_until(bench: &Bench, word: &str, change: impl FnOnce(&mut std::process::Command)) -> String {
    let mut command = bench.command();
    command.args(["run", "--node", "web-1"]);
    command.stdout(std::fs::File::create(bench.path("log")).unwrap());
    change(&mut command);
    let mut child = processes::spawn(command).unwrap();
    let read = || std::fs::read_to_string(bench.path("log")).unwrap();
    until(&format!("the log has {word}"), || read().contains(word));
    let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", read());
    read()
}

#[test]
fn people_get_a_line_of_words_for_each_event() {
    let bench = Bench::with(&every_second("job", "shell = \"echo hello\""));
    let log = log_until(&bench, "run.finished", |_| {});
    let lines: Vec<_> = log.lines().collect();
    for line in &lines {
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.parse::<jiff::Timestamp>().is_ok() && time.ends_with('Z'), "{line}");
        assert!(rest.starts_with("INFO  web-1 "), "{line}");
    }
    let events: Vec<_> =
        lines.iter().map(|line| line.split_ascii_whitespace().nth(3).unwrap()).collect();
    assert_eq!(events[..3], ["config.loaded", "store.up", "node.started"], "{log}");
    assert!(events.ends_with(&["node.stopped"]), "{log}");
    for event in ["slot.claimed", "run.started", "run.output", "run.finished", "node.draining"] {
        assert!(events.contains(&event), "{event}: {log}");
    }
    // One grep for the slot tells its story.
    let claimed = lines.iter().find(|line| line.contains("slot.claimed")).unwrap();
    let slot = claimed.split_ascii_whitespace().nth(4).unwrap();
    assert!(slot.starts_with("job@"), "{claimed}");
    assert_eq!(lines.iter().filter(|line| line.contains(slot)).count(), 4, "{log}");
    assert!(log.contains(&format!("{slot} stdout: hello\n")), "{log}");
    assert!(!log.contains('\x1b'), "no terminal, no colour");
}

#[test]
fn machines_get_an_object_a_line_with_the_promised_keys_in_order() {
    let config = format!("[log]\nformat = \"json\"\n{}", every_second("job", "shell = \"exit 3\""));
    let bench = Bench::with(&config);
    let log = log_until(&bench, "run.finished", |_| {});
    let line = log.lines().find(|line| line.contains("run.finished")).unwrap();
    let record: Value = serde_json::from_str(line).unwrap();
    let keys = [
        "timestamp",
        "level",
        "event",
        "node",
        "job",
        "slot",
        "run_id",
        "attempt",
        "fence",
        "outcome",
        "exit_code",
        "duration_ms",
        "error",
        "message",
    ];
    let mut places = keys
        .map(|key| line.find(&format!("\"{key}\":")).unwrap_or_else(|| panic!("{key}: {line}")));
    assert!(places.is_sorted(), "{line}");
    places.sort_unstable();
    assert_eq!(record.as_object().unwrap().len(), keys.len(), "{line}");
    assert!(
        record["message"]
            .as_str()
            .unwrap()
            .contains(&format!("job@{}", record["slot"].as_str().unwrap()))
    );
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(record["event"].is_string(), "only events at info: {line}");
    }
}

#[test]
fn the_flag_and_the_variable_go_over_the_file() {
    let config = format!(
        "[log]\nformat = \"text\"\nfilter = \"error\"\n{}",
        every_second("job", "shell = \"exit 3\"")
    );
    let bench = Bench::with(&config);
    let events = |log: &str| {
        let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records
            .map(|record| record["event"].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    let log = log_until(&bench, "run.finished", |command| {
        command.args(["--log-format", "json"]);
    });
    assert!(events(&log).iter().all(|event| event == "run.finished"), "{log}");
    let log = log_until(&bench, "run.finished", |command| {
        command.args(["--log-format", "json"]).env("SOLOCRON_LOG", "warn,solocron::node=info");
    });
    let events = events(&log);
    assert!(events.contains(&"node.started".to_owned()), "{log}");
    assert!(!events.contains(&"slot.claimed".to_owned()), "{log}");
}

#[test]
fn a_library_that_chatters_is_heard_only_when_it_is_named() {
    let bench = Bench::with(&every_second("job", "shell = \"true\""));
    let chatter = |node: &Node| {
        let of_it = |target: &str| target.starts_with("tokio_cron_scheduler");
        node.log().iter().filter(|logged| of_it(logged.text("target"))).count()
    };
    for (filter, heard) in [("info", false), ("debug", false), ("tokio_cron_scheduler=info", true)]
    {
        let mut node = bench.node_with(|command| {
            command.env("SOLOCRON_LOG", filter);
        });
        node.wait("node.started");
        assert_eq!(node.drain(), 0);
        assert_eq!(chatter(&node) > 0, heard, "{filter}");
    }
}
