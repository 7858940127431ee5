//! `solocron slot`: the story of one slot.

use serde_json::Value;

use crate::bench::{Bench, every_second};

#[test]
fn a_slot_that_ran_is_told_with_its_run_and_the_end_of_its_output() {
    let jobs =
        every_second("good", "shell = \"echo first; echo last >&2\"\ntimezone = \"Asia/Tokyo\"");
    let bench = Bench::with(&jobs);
    let mut node = bench.node();
    let told = node.wait("run.finished");
    assert_eq!(node.drain(), 0);
    let at = told["slot"].as_str().unwrap();

    let story = bench.run(&["slot", "good", at, "--format", "json"]).json();
    assert_eq!(story["job"], "good");
    assert_eq!(story["slot"], at);
    assert_eq!(story["state"], "succeeded");
    for field in ["node", "run_id", "attempt", "fence"] {
        assert_eq!(story[field], told[field], "{field}");
        assert_eq!(story["runs"][0][field], told[field], "{field}");
    }
    assert_eq!(story["runs"].as_array().unwrap().len(), 1);
    let output = story["output"].as_str().unwrap();
    assert!(output.contains("first\n") && output.contains("last\n"), "{output:?}");

    // As the log writes it, and on the clock of the job's zone.
    let name = format!("good@{at}");
    assert_eq!(bench.run(&["slot", &name, "--format", "json"]).json(), story);
    let there = at.parse::<jiff::Timestamp>().unwrap().in_tz("Asia/Tokyo").unwrap();
    let local = there.strftime("%Y-%m-%dT%H:%M:%S").to_string();
    assert_eq!(bench.run(&["slot", "good", &local, "--format", "json"]).json(), story);

    let words = bench.run(&["slot", &name]).good();
    assert!(words.starts_with(&format!("{name} succeeded on web-1\nrun ")), "{words}");
    assert!(words.contains("\nSLOT  "), "{words}");
    assert!(words.contains("\nend of its output:\n  "), "{words}");
}

#[test]
fn a_slot_that_runs_is_told_as_running() {
    let bench = Bench::with(&every_second("long", "shell = \"sleep 30\"\nkill_grace = \"100ms\""));
    let node = bench.node();
    let told = node.wait("run.started");
    let at = told["slot"].as_str().unwrap();
    let story = bench.run(&["slot", "long", at, "--format", "json"]).json();
    assert_eq!(story["state"], "running");
    assert_eq!(story["run_id"], told["run_id"]);
    assert_eq!(story["runs"], Value::Array(Vec::new()));
    assert!(story["remaining_ms"].as_u64().unwrap() <= 30_000, "{story}");
    let words = bench.run(&["slot", "long", at]).good();
    assert!(words.starts_with(&format!("long@{at} is running on web-1, ")), "{words}");
}

#[test]
fn what_is_no_slot_of_the_job_gets_an_answer_that_helps() {
    let bench = Bench::with(
        "[jobs.backup]\nschedule = \"0 3 * * *\"\nshell = \"true\"\n\
         [jobs.never]\nschedule = \"0 0 30 2 *\"\nshell = \"true\"\n",
    );
    let mut node = bench.node();
    assert_eq!(node.drain(), 0);
    for (job, at, expected) in [
        (
            "backup",
            "2026-01-01T04:00:00Z",
            "backup has no slot at 2026-01-01T04:00:00Z; its next one is 2026-01-02T03:00:00Z",
        ),
        (
            "backup",
            "2026-01-01T03:00:00Z",
            "the store knows nothing of backup@2026-01-01T03:00:00Z: ",
        ),
        ("backup", "2199-01-01T03:00:00Z", "backup@2199-01-01T03:00:00Z is due in "),
        (
            "never",
            "2026-01-01T03:00:00Z",
            "the store knows nothing of never@2026-01-01T03:00:00Z: ",
        ),
        ("bakcup", "2026-01-01T03:00:00Z", "there is no job bakcup; did you mean backup?"),
    ] {
        let answer = bench.run(&["slot", job, at, "--format", "json"]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(1), ""));
        let said = answer.stderr.lines().last().unwrap();
        assert!(said.starts_with(&format!("solocron: {expected}")), "{said}");
    }
}

#[test]
fn what_cannot_be_meant_is_a_usage_error() {
    let bench = Bench::with(&every_second("good", "shell = \"true\""));
    for arguments in [
        &["slot"][..],
        &["slot", "good"],
        &["slot", "good", "now"],
        &["slot", "good@now"],
        &["slot", "go od", "2026-01-01"],
        &["slot", "good@2026-01-01", "2026-01-01"],
        &["slot", "good", "2026-01-01", "more"],
    ] {
        bench.run(arguments).refused(2);
    }
}
