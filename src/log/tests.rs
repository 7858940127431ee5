//! The log as people and machines read it.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tracing::dispatcher::with_default;

use super::events::{self, Finish, LeaseLoss, Run, Skip};
use super::writer::Limits;
use super::{Colour, Format, Style, open};
use crate::claim::{Fence, Holder, Settled, Token};
use crate::clock;
use crate::clock::ClusterTime;
use crate::ledger::{Entry, MissedRange, RunEntry};
use crate::log::{Noticed, Observer};
use crate::name::{ClusterName, JobName, NodeName};
use crate::node::BootId;
use crate::outcome::{CancelCause, MissedReason, Outcome};
use crate::slot::Slot;

/// A sink whose bytes can be looked at afterwards.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What `said` writes to the log of web-1 at three o'clock and 4.5 ms.
fn log_of(format: Format, filter: &str, said: impl FnOnce()) -> String {
    let sink = Sink::default();
    let style = Style { format, colour: Colour::Off, node: "web-1".to_owned() };
    let now = || "2026-11-22T03:00:00.0045Z".parse::<Timestamp>().unwrap();
    let (dispatch, guard) =
        open(style, filter, now, Limits::default(), Box::new(sink.clone()), Vec::new()).unwrap();
    with_default(&dispatch, said);
    drop(guard);
    let bytes = std::mem::take(&mut *sink.0.lock().unwrap());
    String::from_utf8(bytes).unwrap()
}

const UUID: &str = "0193504b-29c0-7000-8000-000000000001";

fn slot() -> Slot {
    "backup@2026-11-22T03:00:00Z".parse().unwrap()
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn token() -> Token {
    UUID.parse().unwrap()
}

fn run(slot: &Slot) -> Run<'_> {
    let fence = Fence::new(1_795_316_400_004_500);
    Run { slot, run_id: token().run_id(1), attempt: 1, fence }
}

fn holder() -> Holder {
    Holder { node: node("web-2"), token: token(), remaining: Duration::from_secs(30) }
}

fn settled() -> Settled {
    Settled { node: node("web-2"), token: token(), outcome: Outcome::Succeeded }
}

fn finish(outcome: Outcome) -> Finish<'static> {
    let duration = Duration::from_millis(1_250);
    Finish { outcome, exit_code: None, signal: None, duration, error: None }
}

fn missed(to: &str, count: u64, reason: MissedReason) -> MissedRange {
    MissedRange { from: slot().at, to: to.parse().unwrap(), count, reason }
}

fn lost(slot: &Slot, outcome: Outcome) -> RunEntry {
    let now = ClusterTime::from_unix_micros(1_795_316_400_000_000);
    RunEntry {
        slot: slot.clone(),
        node: node("web-2"),
        run_id: token().run_id(1),
        attempt: 1,
        fence: Fence::new(7),
        outcome,
        started_at: now,
        finished_at: now,
        exit_code: None,
        signal: None,
        error: Some("node web-2 was lost".to_owned()),
        recorded_at: now,
    }
}

/// Every event once, and those with several faces with each of them.
fn everything() {
    let slot = slot();
    let run = run(&slot);
    let boot: BootId = UUID.parse().unwrap();
    let redis = "redis://127.0.0.1:6379/0";
    events::config_loaded("/etc/solocron", 2, "00000000deadbeef");
    events::store_up(redis, None);
    events::store_warning(redis, "maxmemory-policy is allkeys-lru: set it to noeviction");
    events::clock_skew(-12_345);
    events::node_started(&"prod".parse::<ClusterName>().unwrap(), boot, redis, 2);
    events::node_duplicate(boot);
    events::slot_claimed(run);
    events::slot_skipped(&slot, Skip::Held(&holder()));
    events::slot_skipped(&slot, Skip::Done(&settled()));
    events::slot_skipped(&slot, Skip::Late);
    events::slot_skipped(&slot, Skip::Early);
    events::slot_skipped(&slot, Skip::StoreDown);
    events::slot_skipped(&slot, Skip::Draining);
    events::slot_skipped(&slot, Skip::Full);
    events::slot_skipped(&slot, Skip::Paused);
    events::slot_skipped(&slot, Skip::Overlap(None));
    let earlier = "backup@2026-11-22T02:00:00Z".parse().unwrap();
    events::slot_skipped(&slot, Skip::Overlap(Some(&earlier)));
    for &reason in MissedReason::ALL {
        events::slot_missed(&slot.job, &missed("2026-11-22T03:00:00Z", 1, reason));
    }
    for outcome in [Outcome::LeaseLost, Outcome::Abandoned, Outcome::Cancelled] {
        events::beside_a_claim(&slot, &[Entry::Run(lost(&slot, outcome))]);
    }
    events::slot_missed(&slot.job, &missed("2026-11-22T03:00:00Z", 1, MissedReason::Late));
    events::slot_missed(&slot.job, &missed("2026-11-22T04:00:00Z", 61, MissedReason::NoNode));
    events::slot_abandoned(&slot, &node("web-2"), run.run_id, "nobody may run it");
    events::run_started(run, Some(4242), None);
    events::run_output(run, "stderr", "\x1b[31mdisk \"full\"\n");
    events::run_finished(run, &Finish { exit_code: Some(0), ..finish(Outcome::Succeeded) });
    events::run_finished(run, &Finish { exit_code: Some(3), ..finish(Outcome::Failed) });
    events::run_finished(run, &Finish { signal: Some(9), ..finish(Outcome::TimedOut) });
    let error = Some("/usr/bin/bakcup: no such file");
    events::run_finished(run, &Finish { error, ..finish(Outcome::Failed) });
    events::run_finished(run, &Finish { signal: Some(15), ..finish(Outcome::HandedOver) });
    events::lease_lost(run, LeaseLoss::NotRenewed);
    events::lease_lost(run, LeaseLoss::Held(&holder()));
    events::lease_lost(run, LeaseLoss::Done(&settled()));
    events::lease_lost(run, LeaseLoss::Forgotten);
    events::store_down(redis, "connection refused");
    events::store_up(redis, Some(Duration::from_secs(75)));
    events::config_rejected("/etc/solocron", 3, "a.toml:7:1: error: unknown key \"scedule\"");
    let jobs: Vec<JobName> = (0..21).map(|n| format!("job-{n}").parse().unwrap()).collect();
    for jobs in [None, Some(&jobs[..0]), Some(&jobs[..2]), Some(&jobs[..])] {
        events::cluster_drift(&node("web-2"), "00000000deadbeef", jobs);
    }
    events::control_paused(&slot.job);
    events::control_resumed(&slot.job);
    let triggered = Slot::triggered(slot.job.clone(), UUID.parse().unwrap());
    events::control_triggered(Run { slot: &triggered, ..run });
    for &cause in CancelCause::ALL {
        events::control_cancelled(run, cause);
    }
    events::run_retrying(Run { attempt: 2, ..run }, 1, Duration::from_millis(5_500));
    events::node_draining("SIGTERM", 1, Duration::from_secs(30));
    events::node_stopped(0);
    events::node_stopped(2);
}

#[test]
fn text_is_for_people() {
    insta::assert_snapshot!("text", log_of(Format::Text, "info", everything));
}

#[test]
fn json_is_for_machines() {
    insta::assert_snapshot!("json", log_of(Format::Json, "info", everything));
}

#[test]
fn every_event_names_itself_its_node_and_its_time_first() {
    for line in log_of(Format::Json, "info", everything).lines() {
        let read: Value = serde_json::from_str(line).unwrap();
        assert!(line.starts_with(&format!(
            r#"{{"timestamp":"2026-11-22T03:00:00.004500Z","level":{},"event":{},"node":"web-1","#,
            read["level"], read["event"]
        )));
        assert!(read["message"].is_string(), "{line}");
        for number in ["attempt", "fence", "exit_code", "signal", "duration_ms", "count"] {
            assert!(matches!(read[number], Value::Null | Value::Number(_)), "{line}");
        }
    }
}

#[test]
fn grep_for_a_slot_finds_all_that_was_said_of_it_in_both_formats() {
    for format in [Format::Text, Format::Json] {
        let log = log_of(format, "info", everything);
        let of_slots = log.lines().filter(|line| {
            ["slot.", "run.", "lease."].iter().any(|kind| {
                line.contains(&format!(" {kind}")) || line.contains(&format!("\"{kind}"))
            })
        });
        let mut count = 0;
        for line in of_slots {
            assert!(line.contains("backup@2026-11-22T03:00:00Z"), "{line}");
            count += 1;
        }
        assert_eq!(count, 34);
    }
}

#[test]
fn a_filter_silences_kinds_of_events() {
    let events_under = |filter| -> Vec<String> {
        let log = log_of(Format::Json, filter, || {
            let slot = slot();
            events::slot_skipped(&slot, Skip::Draining);
            events::run_started(run(&slot), None, None);
            events::run_output(run(&slot), "stdout", "hello");
            events::lease_lost(run(&slot), LeaseLoss::Forgotten);
        });
        let name = |line| serde_json::from_str::<Value>(line).unwrap()["event"].clone();
        log.lines().map(|line| name(line).as_str().unwrap().to_owned()).collect()
    };
    let (skip, start, line, lost) = ("slot.skipped", "run.started", "run.output", "lease.lost");
    assert_eq!(events_under(""), [skip, start, line, lost]);
    assert_eq!(events_under("solocron::run::output=off"), [skip, start, lost]);
    assert_eq!(events_under("solocron::run=off"), [skip]);
    assert_eq!(events_under("solocron::slot=warn"), [start, line, lost]);
    assert_eq!(events_under("error"), [lost]);
    assert_eq!(events_under("error,solocron::run::output=info"), [line, lost]);
}

#[test]
fn what_is_no_event_is_told_with_its_target() {
    let log = log_of(Format::Text, "debug", || tracing::debug!(slots = 3, "planned"));
    assert_eq!(log, "2026-11-22T03:00:00.004Z DEBUG web-1 solocron::log::tests: planned slots=3\n");
}

/// What the test below runs in a process of its own: the log of a process can be
/// installed only once.
#[test]
#[ignore = "a part of the test below"]
fn child_with_a_log() {
    let guard = super::install(Format::Json, "info", &node("web-1"), Vec::new()).unwrap();
    events::node_stopped(0);
    let mut line = String::new();
    io::stdin().read_line(&mut line).unwrap();
    // The reader is gone by now.
    for _ in 0..10_000 {
        events::run_output(run(&slot()), "stdout", "nobody hears this");
    }
    assert!(super::install(Format::Json, "info", &node("web-1"), Vec::new()).is_err());
    drop(guard);
    eprintln!("alive");
    std::process::exit(0);
}

#[test]
fn the_log_goes_to_standard_output_and_the_daemon_outlives_its_reader() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "log::tests::child_with_a_log", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let stopped = lines.find(|line| line.as_ref().is_ok_and(|line| line.starts_with('{')));
    assert!(stopped.unwrap().unwrap().contains(r#""event":"node.stopped","node":"web-1""#));
    drop(lines);
    child.stdin.take().unwrap().write_all(b"go on\n").unwrap();
    let child = child.wait_with_output().unwrap();
    assert!(child.status.success());
    assert!(String::from_utf8_lossy(&child.stderr).contains("alive"));
}

/// Keeps what it is told.
#[derive(Default)]
struct Keeper(std::sync::Mutex<Vec<String>>);

impl Observer for Keeper {
    fn notice(&self, noticed: Noticed<'_>) {
        let told = [noticed.event(), noticed.text("job"), noticed.text("outcome")];
        let told = format!("{told:?} {:?}", noticed.number("attempt"));
        self.0.lock().unwrap().push(told);
    }
}

#[test]
fn an_observer_is_told_what_the_filter_keeps_out_but_no_output() {
    let keeper = Arc::new(Keeper::default());
    let style = Style { format: Format::Json, colour: Colour::Off, node: "web-1".to_owned() };
    let sink = Box::new(std::io::sink());
    let limits = Limits::default();
    let observers = vec![Arc::clone(&keeper) as Arc<dyn Observer>];
    let (dispatch, _guard) =
        open(style, "error,solocron::store=debug", clock::wall_now, limits, sink, observers)
            .unwrap();
    let slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        events::run_started(run(&slot), Some(1), None);
        events::run_output(run(&slot), "stdout", "a line");
        tracing::debug!(target: "solocron::store", event = "x", "too much");
        tracing::info!(target: "other", event = "run.started", "not ours");
    });
    let attempt = run(&slot).attempt;
    let started = format!("[Some(\"run.started\"), Some(\"backup\"), None] Some({attempt})");
    assert_eq!(*keeper.0.lock().unwrap(), [started]);
}
