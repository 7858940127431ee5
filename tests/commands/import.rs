//! `solocron import crontab`: what comes out can be used as it is.

use std::io::Write;
use std::process::Stdio;

use crate::bench::Bench;
use crate::harness::processes;

const CRONTAB: &str = "\
# of the shop
MAILTO=\"\"
SHELL=/bin/bash
GREETING = \"  it's ${HOME} \"

# twice a day
0 5,17 * * * echo \"<$GREETING>\" > greeting
30 2 * * * cat > input%one%two
";

#[test]
fn what_is_printed_is_good_and_means_the_same_slots() {
    let bench = Bench::empty();
    bench.write("crontab", CRONTAB);
    let answer = bench.run(&["import", "crontab", "crontab", "--tz", "Europe/Berlin"]);
    assert_eq!(answer.code, Some(0), "{}", answer.stderr);
    assert!(
        answer.stderr.starts_with("crontab:8:23: warning: this `%` ends the command"),
        "{}",
        answer.stderr
    );
    assert!(answer.stdout.contains("\n# of the shop\nenv.MAILTO = "), "{}", answer.stdout);
    bench.write("jobs.toml", &answer.stdout);

    let said = bench.run(&["check", "-c", "jobs.toml"]).good();
    assert!(said.starts_with("jobs.toml is good: 2 jobs, table "), "{said}");
    let next =
        ["next", "-c", "jobs.toml", "--count", "2", "--from", "2026-03-28", "--format", "json"];
    let slots = bench.run(&next).json();
    let expected = serde_json::json!([
        { "job": "cat", "slots": ["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00"] },
        { "job": "echo", "slots": ["2026-03-28T05:00:00+01:00", "2026-03-28T17:00:00+01:00"] },
    ]);
    assert_eq!(slots, expected);
}

#[test]
fn the_commands_do_what_they_did_under_cron() {
    let bench = Bench::empty();
    bench.write("crontab", CRONTAB);
    let answer = bench.run(&["import", "crontab", "crontab", "--tz", "UTC"]);
    let here = bench.dir().display().to_string();
    let table = answer.stdout.replace("[defaults]\n", &format!("[defaults]\ncwd = \"{here}\"\n"));
    bench.write("solocron.toml", table);
    let _node = bench.node();
    for job in ["echo", "cat"] {
        bench.run(&["trigger", job]).good();
    }
    assert_eq!(bench.wait_for_file("greeting"), "<  it's ${HOME} >\n");
    assert_eq!(bench.wait_for_file("input"), "one\ntwo\n");
}

#[test]
fn a_crontab_is_read_from_standard_input() {
    let bench = Bench::empty();
    let mut command = bench.command();
    command.args(["import", "crontab", "-", "--system", "--tz", "UTC"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = processes::spawn(command).unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"@daily www /srv/app/clean.sh\n@reboot root x\n").unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let (out, told) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.contains("[jobs.clean]\nschedule = \"@daily\"\nuser = \"www\"\n"), "{out}");
    assert!(
        told.starts_with("-:2:1: warning: this is left out: a cluster has no reboot\n"),
        "{told}"
    );
}

#[test]
fn a_crontab_with_a_mistake_gives_no_table() {
    let bench = Bench::empty();
    bench.write("crontab", "0 5 * * * good\n61 5 * * * bad\n0 5 * * bad\n");
    let said = bench.run(&["import", "crontab", "crontab"]).refused(78);
    assert!(said.contains("crontab:2:1: error: minute must be 0-59, not 61\n"), "{said}");
    assert!(said.contains("crontab:3:9: error: `bad` is not a value of day-of-week\n"), "{said}");
    assert!(said.ends_with("2 errors in 1 file\n"), "{said}");

    bench.write("latin1", b"# caf\xe9\n0 5 * * * a\n");
    let said = bench.run(&["import", "crontab", "latin1"]).refused(78);
    assert!(said.starts_with("latin1:1:6: error: this byte, 0xe9, is not UTF-8\n"), "{said}");
    let said = bench.run(&["import", "crontab", "nowhere"]).refused(78);
    assert!(
        said.starts_with("nowhere:1:1: error: this file cannot be read: it does not exist\n"),
        "{said}"
    );
    let said = bench.run(&["import", "crontab", "crontab", "--tz", "Berlin"]).refused(2);
    assert!(said.contains("did you mean \"Europe/Berlin\"?"), "{said}");
    bench.run(&["import", "crontab"]).refused(2);
    bench.run(&["import"]).refused(2);
}
