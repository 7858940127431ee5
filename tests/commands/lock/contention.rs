//! When another holds the lock.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use solocron::clock::BootInstant;

use super::{ALONE, Stand, on_both};
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::{processes, until};

/// Holds the lock until somebody writes `go` into the folder.
const UNTIL_TOLD: &str = "echo $$ > pid; until [ -e go ]; do sleep 0.01; done; rm go pid";

#[test]
fn a_second_one_fails_at_once_and_names_the_holder() {
    on_both(|stand| {
        let held = stand.start(&["job"], "echo $$ > pid; exec sleep 600");
        let answer = stand.lock(&["job", "--node", "web-9", "--", "touch", "ran"]);
        assert!(answer.took < Duration::from_secs(2), "{:?}", answer.took);
        let said = answer.refused(75);
        let pid = held.pid();
        let start = "solocron: job is held by ".to_owned();
        assert!(said.starts_with(&start), "{said}");
        assert!(said.contains(&format!(" (pid {pid}, `sh …`), for another ")), "{said}");
        let left = said.trim_end().strip_suffix("s at most").unwrap().rsplit(' ').next().unwrap();
        let left: f64 = left.parse().unwrap();
        assert!(left > 15.0 && left <= 30.0, "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");

        let answer = stand.lock(&["job", "--quiet", "--", "touch", "ran"]);
        assert_eq!(answer.refused(75), "");
        assert!(!stand.bench.path("ran").exists());
        // Other names are other locks.
        stand.lock(&["other", "--", "true"]).good();
        held.signal(Signal::SIGTERM);
        held.end();
    });
}

#[test]
fn on_a_redis_cluster_it_is_one_lock_as_well() {
    let (servers, stand) = (ServerCluster::start(3, 0), Stand::on_sqlite());
    let url = servers.url();
    let lock = |options: &[&str], line: &str| {
        stand.lock_shell(&[&["job", "--store", &url], options].concat(), line)
    };
    let held = stand.start(&["job", "--store", &url], "echo $$ > pid; exec sleep 600");
    let said = lock(&[], "touch ran").refused(75);
    assert!(said.starts_with("solocron: job is held by "), "{said}");
    assert!(!stand.bench.path("ran").exists());
    held.signal(Signal::SIGTERM);
    assert_eq!(held.end().code, Some(143));
    lock(&["--wait", "60s"], "exit 7").refused(7);
    assert_eq!(lock(&[], "echo mine").stdout, "mine\n");
}

#[test]
fn one_that_waits_comes_next_and_soon() {
    on_both(|stand| {
        let held = stand.start(&["job"], UNTIL_TOLD);
        let mut waiting =
            stand.command(&["job", "--wait", "60s", "--", "sh", "-c", "cat /proc/uptime > up"]);
        waiting.stdout(Stdio::null()).stderr(Stdio::piped());
        let waiting = processes::spawn(waiting).unwrap();
        wait_until_it_queues(stand, waiting.id());
        stand.bench.write("go", "");
        assert_eq!(held.end().code, Some(0));
        let freed = BootInstant::now();
        let output = waiting.wait_with_output().unwrap();
        let took = BootInstant::now().since(freed);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        println!("the next one had begun and ended after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
}

#[test]
fn one_that_waits_in_vain_says_so_in_time() {
    on_both(|stand| {
        let held = stand.start(&["job"], "echo $$ > pid; exec sleep 600");
        let answer = stand.lock(&["job", "--wait", "300ms", "--", "touch", "ran"]);
        assert!(answer.took >= Duration::from_millis(300), "{:?}", answer.took);
        assert!(answer.took < Duration::from_secs(3), "{:?}", answer.took);
        let said = answer.refused(75);
        assert!(said.starts_with("solocron: job is still held after 300ms, by "), "{said}");
        assert!(!stand.bench.path("ran").exists());
        if stand.server.is_some() {
            assert_eq!(stand.keys().len(), 1, "{:?}", stand.keys());
        }
        held.signal(Signal::SIGTERM);
        held.end();
    });
}

#[test]
fn one_that_waits_can_be_ended_and_leaves_nothing() {
    let stand = Stand::on_redis();
    let held = stand.start(&["job"], "echo $$ > pid; exec sleep 600");
    for (signal, status) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let mut waiting = stand.command(&["job", "--wait", "60s", "--", "touch", "ran"]);
        waiting.stdout(Stdio::null()).stderr(Stdio::piped());
        let waiting = processes::spawn(waiting).unwrap();
        wait_until_it_queues(&stand, waiting.id());
        kill(Pid::from_raw(waiting.id().cast_signed()), signal).unwrap();
        let output = waiting.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        until("its place in the queue is gone", || stand.keys().len() == 1);
    }
    held.signal(Signal::SIGTERM);
    held.end();
    assert_eq!(stand.keys(), [""; 0]);
    assert!(!stand.bench.path("ran").exists());
}

#[test]
fn many_take_turns_and_none_overlaps_another() {
    on_both(|stand| {
        let line = format!("{ALONE} echo $SOLOCRON_FENCE >> turns; sleep 0.02");
        let all: Vec<_> = (0..12)
            .map(|_| {
                let mut command = stand.command(&["job", "--wait", "60s", "--", "sh", "-c", &line]);
                command.stdout(Stdio::null()).stderr(Stdio::piped());
                processes::spawn(command).unwrap()
            })
            .collect();
        for one in all {
            let output = one.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
        }
        let turns = std::fs::read_to_string(stand.bench.path("turns")).unwrap();
        let fences: Vec<u64> = turns.lines().map(|fence| fence.parse().unwrap()).collect();
        assert_eq!(fences.len(), 12);
        assert!(!stand.bench.path("overlaps").exists());
        assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
    });
}

/// Waits until a process waits for the lock: on Redis it is in the queue; on SQLite it
/// has the file open, and then asks within moments.
fn wait_until_it_queues(stand: &Stand, pid: u32) {
    if stand.server.is_some() {
        until("somebody queues", || stand.keys().iter().any(|key| key.contains(":queue:")));
        return;
    }
    let store = std::fs::canonicalize(stand.bench.store()).unwrap();
    until("the store is open", || {
        let Ok(open) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
        open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .any(|file| file == store)
    });
}
