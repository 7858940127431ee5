//! The README: what it shows works as it is written.

use std::path::Path;

use crate::bench::Bench;
use crate::harness::redis_server::RedisServer;
use crate::harness::{ended_lines, until};

/// The code blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let fence = format!("```{language}\n");
    let parts = readme.split(&fence).skip(1);
    parts.map(|part| part.split_once("```").expect("it is closed").0.to_owned()).collect()
}

#[test]
fn three_replicas_are_started_asked_and_stopped_as_it_says() {
    let server = RedisServer::start();
    let start = blocks("sh").into_iter().find(|block| block.contains("jobs.toml")).unwrap();
    // The reader's Redis is on its usual port, ours is not.
    let usual = "redis://127.0.0.1:6379/0";
    assert!(start.contains(usual));
    let start = start.replace(usual, &server.url());

    let bench = Bench::empty();
    let mut shell = bench.shell_command(&format!(
        "{start}\nread -r _; kill %1; wait %1; echo \"$?\" > drained; read -r _; kill %2 %3; wait"
    ));
    shell.stdin(std::process::Stdio::piped());
    // Not by the harness: should this process be killed, the shell finds its input
    // closed and stops the nodes.
    let mut shell = shell.spawn().unwrap();
    let mut orders = shell.stdin.take().unwrap();
    let mut order = || std::io::Write::write_all(&mut orders, b"\n").unwrap();
    let log = |n: u32| ended_lines(&bench.path(&format!("web-{n}.log"))).join("\n") + "\n";
    let logs = || (1..=3).map(log).collect::<String>();
    until("a slot is told by all three", || {
        slots(&logs()).iter().any(|slot| (1..=3).all(|n| log(n).contains(slot)))
    });
    let all = logs();
    let slots = slots(&all);
    let slot = slots.iter().find(|slot| (1..=3).all(|n| log(n).contains(**slot))).unwrap();
    let instant = slot.split_once('@').unwrap().1;
    assert_eq!(all.matches(&format!("{slot} won")).count(), 1, "{all}");
    assert!(all.contains(&format!("stdout: slot {instant} on web-")), "{all}");

    let commands: Vec<String> = blocks("console")
        .iter()
        .flat_map(|block| block.lines())
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| line.replace("2026-11-22T12:00:05Z", instant))
        .collect();
    assert!(commands.len() >= 5, "{commands:?}");
    for command in &commands {
        let answer = bench.shell(command);
        assert_eq!(answer.code, Some(0), "{command}: {}", answer.stderr);
        assert!(!answer.stdout.is_empty(), "{command}");
        assert_eq!(answer.stderr, "", "{command}");
    }

    order();
    assert_eq!(bench.wait_for_file("drained"), "0\n");
    assert!(log(1).contains("node.stopped"), "{}", log(1));
    order();
    assert_eq!(shell.wait().unwrap().code(), Some(0));
}

/// The slots that a log says something about and that are won and done.
fn slots(log: &str) -> Vec<&str> {
    let done = log.lines().filter(|line| line.contains(" run.finished "));
    done.filter_map(|line| line.split_ascii_whitespace().find(|word| word.starts_with("hello@")))
        .collect()
}

#[test]
fn the_schedules_of_the_table_are_schedules() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let rows = readme.lines().skip_while(|line| *line != "| written | meaning |").skip(2);
    let cells =
        rows.take_while(|line| line.starts_with('|')).map(|line| line.split('|').nth(1).unwrap());
    let schedules: Vec<_> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|schedule| !schedule.contains('…'))
        .collect();
    assert!(schedules.len() >= 10, "{schedules:?}");
    for schedule in schedules {
        let said = Bench::empty().run(&["next", "--job", "a", "--schedule", schedule]).good();
        assert_eq!(said.lines().count(), 6, "{schedule}: {said}");
    }
}

#[test]
fn a_command_is_run_under_a_lock_as_it_says() {
    let block = blocks("sh").into_iter().find(|block| block.contains("solocron lock")).unwrap();
    let bench = Bench::empty();
    for name in ["pg_dump", "deploy.sh", "report", "mail"] {
        let script = bench.write(name, "#!/bin/sh\necho \"${0##*/} $*\" >> ran\n");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(script, executable).unwrap();
    }
    let answer = bench.shell(&format!("set -e; PATH=$PWD:$PATH\n{block}"));
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(0), ""));
    let mut ran = ended_lines(&bench.path("ran"));
    ran.sort();
    assert_eq!(
        ran,
        ["deploy.sh ", "mail -s report ops@example.com", "pg_dump -f app.dump app", "report "]
    );
}
