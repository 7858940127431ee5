//! Jobs that cannot be started, or end badly: each says why, and the others go on.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::bench::{Bench, every_second};

#[test]
fn a_command_that_cannot_be_started_fails_its_run_with_the_reason_and_nothing_else() {
    let cases = [
        ("missing", "command = [\"/no/such/program\"]", "cannot start \"/no/such/program\": "),
        ("not-found", "command = [\"no-such-program\"]", "not found in /usr/local/sbin:"),
        (
            "not-executable",
            "command = [\"./plain\"]",
            "cannot start \"./plain\": it is not executable",
        ),
        ("directory", "command = [\"/tmp\"]", "cannot start \"/tmp\": it is a directory"),
        ("interpreter", "command = [\"./lost\"]", "its interpreter \"/no/such/sh\" does not exist"),
        ("user", "command = [\"true\"]\nuser = \"nosuchuser\"", "there is no user \"nosuchuser\""),
        (
            "group",
            "command = [\"true\"]\ngroup = \"nosuchgroup\"",
            "there is no group \"nosuchgroup\"",
        ),
        (
            "cwd",
            "command = [\"true\"]\ncwd = \"/no/such/place\"",
            "cannot enter \"/no/such/place\": ",
        ),
        ("too-long", "shell = \"true\"\nenv = { A = \"LONG\" }", "too long"),
    ];
    let mut table: String = cases.iter().map(|(job, rest, _)| every_second(job, rest)).collect();
    table += &every_second("good", "shell = \"true\"");
    let bench = Bench::with(&table.replace("LONG", &"x".repeat(200_000)));
    bench.write("plain", "#!/bin/sh\n");
    let lost = bench.write("lost", "#!/no/such/sh\n");
    std::fs::set_permissions(&lost, PermissionsExt::from_mode(0o755)).unwrap();
    let mut node = bench.node();
    for (job, _, reason) in cases {
        let run = node.wait_where("run.finished", |run| run["job"] == job);
        assert_eq!(run["outcome"], "failed", "{run}");
        assert_eq!(run["level"], "error", "{run}");
        assert_eq!(run.get("exit_code"), None, "{run}");
        assert!(run["error"].as_str().is_some_and(|error| error.contains(reason)), "{run}");
        assert!(run["message"].as_str().unwrap().contains(reason), "{run}");
        // It was not started, so no record says that it was.
        let started = node.all("run.started", |started| started["run_id"] == run["run_id"]);
        assert_eq!(started, [] as [Value; 0], "{job}");
    }
    let slots =
        || node.count("run.finished", |run| run["job"] == "good" && run["outcome"] == "succeeded");
    crate::harness::until("the good job goes on", || slots() >= 3);
    assert_eq!(node.drain(), 0);
    assert_eq!(node.strays(), [] as [&str; 0]);

    // Every run of them, not only the first.
    for run in node.all("run.finished", |run| run["job"] != "good") {
        assert_eq!(
            (&run["outcome"], run.get("exit_code")),
            (&Value::from("failed"), None),
            "{run}"
        );
    }
    for entry in bench.history(&["missing"]) {
        assert_eq!(entry["exit_code"], Value::Null, "{entry}");
        assert!(entry["error"].as_str().unwrap().contains("/no/such/program"), "{entry}");
    }
}

#[test]
fn an_exit_code_a_signal_and_a_timeout_are_told_apart() {
    let bench = Bench::with(
        &[
            every_second("code", "shell = \"exit 3\""),
            every_second("allowed", "shell = \"exit 3\"\nsuccess_codes = [0, 3]"),
            every_second("signal", "shell = \"kill -SEGV $$\""),
            every_second("slow", "shell = \"sleep 30\"\ntimeout = \"200ms\""),
        ]
        .concat(),
    );
    let mut node = bench.node();
    let ended = |job: &str| node.wait_where("run.finished", |run| run["job"] == job);
    let code = ended("code");
    assert_eq!((&code["outcome"], &code["exit_code"]), (&"failed".into(), &3.into()));
    let allowed = ended("allowed");
    assert_eq!((&allowed["outcome"], &allowed["exit_code"]), (&"succeeded".into(), &3.into()));
    assert_eq!(allowed["level"], "info");
    let signal = ended("signal");
    assert_eq!((&signal["outcome"], &signal["signal"]), (&"failed".into(), &11.into()));
    assert!(signal["message"].as_str().unwrap().contains("SIGSEGV"), "{signal}");
    let slow = ended("slow");
    assert_eq!(slow["outcome"], "timed_out");
    assert!((200..5_000).contains(&slow["duration_ms"].as_u64().unwrap()), "{slow}");
    assert!(slow["error"].as_str().unwrap().contains("timeout of 200ms"), "{slow}");
    assert_eq!(node.drain(), 0);
}

#[test]
fn a_timeout_ends_what_ignores_it_and_all_that_it_started() {
    let bench = Bench::with(&every_second(
        "stubborn",
        "shell = \"trap '' TERM; mkdir once || exit 0; sleep 300 & echo $! $$ > pids; while :; do sleep 1; done\"\n\
         timeout = \"200ms\"\nkill_grace = \"300ms\"",
    ));
    let mut node = bench.node();
    let pids = bench.wait_for_file("pids");
    let run = node.wait_where("run.finished", |run| run["outcome"] == "timed_out");
    assert!(run["duration_ms"].as_u64().unwrap() >= 500, "{run}");
    for pid in pids.split_whitespace() {
        assert!(!crate::bench::lives(pid), "{pid} of {pids}");
    }
    assert_eq!(node.drain(), 0);
}
