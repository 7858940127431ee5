//! Jobs that do what they should not, and those beside them.

use std::os::unix::process::CommandExt;
use std::time::Duration;

use jiff::Timestamp;
use nix::sys::resource::{Resource, setrlimit};
use serde_json::Value;

use crate::harness::node::Node;
use crate::harness::oracle::second;
use crate::harness::site::{Ground, Site, every_second, ticks};
use crate::harness::{PATIENCE, until, until_within};
use crate::storm;

on_every_store! {
    every_bad_job_ends_as_its_table_says_and_those_beside_it_are_on_time
    of_500_jobs_at_once_with_few_descriptors_each_has_its_end_and_the_one_beside_is_on_time
    of_500_jobs_at_once_none_fails_for_want_of_descriptors_when_the_node_takes_only_some
}

/// What a run of this machine's work may add to an instant that was promised.
const LATE: Duration = Duration::from_secs(2);

/// How much of its own memory a node may have had, whatever its jobs print.
const MEMORY: u64 = 150 << 20;

/// Bad jobs: name, command, further keys, and how each run of it ends.
fn bad_jobs() -> [(&'static str, String, &'static str, &'static str); 6] {
    let lines = if storm::is_long() { 1_000_000 } else { 50_000 };
    let talk = format!(
        "mkdir talked 2>/dev/null || exit 0; yes $(head -c 999 /dev/zero | tr '\\0' y) | head -n {lines}"
    );
    let deaf = "trap '' TERM; while :; do sleep 0.1; done".to_owned();
    let litter = "setsid sh -c 'trap \"\" TERM; sleep 600 & exit'; exit 0".to_owned();
    let mute = "exec >&- 2>&-; sleep 1.5; echo lived >> mute".to_owned();
    [
        ("deaf", deaf, "timeout = '500ms'\nkill_grace = '300ms'", "timed_out"),
        ("talker", talk, "", "succeeded"),
        ("mute", mute, "", "succeeded"),
        ("flash", "exit 0".to_owned(), "", "succeeded"),
        ("litter", litter, "kill_grace = '300ms'", "succeeded"),
        ("full", "exec head -c 1000000 /dev/zero > /dev/full".to_owned(), "", "failed"),
    ]
}

/// The most memory that the node has had, in bytes.
fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib = peak.trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() << 10
}

fn every_bad_job_ends_as_its_table_says_and_those_beside_it_are_on_time(ground: Ground) {
    let bad = bad_jobs();
    let table: String =
        bad.iter().map(|(name, shell, keys, _)| every_second(name, shell, keys)).collect();
    let site = Site::new(ground, "", &(table + &ticks(5, "start_within = '15s'")));
    let mut node = site.start("web-1").ready();
    let after = storm::begin([&node]);
    for (name, ..) in &bad {
        // A gigabyte takes its time where nothing is optimised.
        until_within(10 * PATIENCE, &format!("{name} has ended a few times"), || {
            node.count("run.finished", |run| run["job"] == *name) >= 3
        });
    }
    let scope = storm::scope(5, after, storm::pass([&node], 3));
    storm::settle(&site, &scope);
    let (peak, pid) = (memory(&node), node.pid());
    storm::drain([&mut node]);
    assert_eq!(site.jobs_alive(), [0; 0], "nothing is left of any job");

    for (name, _, _, outcome) in &bad {
        let runs = node.all("run.finished", |run| run["job"] == *name);
        let others: Vec<_> = runs.iter().filter(|run| run["outcome"] != *outcome).collect();
        assert!(others.is_empty(), "{name} ends otherwise: {others:?}");
    }
    let durations = |name: &str| {
        let runs = node.all("run.finished", |run| run["job"] == name);
        runs.iter().map(|run| run["duration_ms"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert!(
        durations("deaf").iter().all(|ms| (500..2_800).contains(ms)),
        "{:?}",
        durations("deaf")
    );
    assert!(durations("mute").iter().all(|ms| *ms >= 1_500), "{:?}", durations("mute"));
    assert_eq!(site.lines("mute").len(), durations("mute").len(), "it lived on to its end");
    assert!(peak < MEMORY, "{pid} had {} MiB", peak >> 20);

    let mut evidence = site.evidence([&node]);
    evidence.ledger.retain(|entry| scope.jobs.contains(&entry.job));
    storm::judge_all_ran(&evidence, &scope);
    let lateness = evidence.lateness();
    assert!(lateness.quantile(1.0) < LATE.as_secs_f64() * 1000.0, "too late: {lateness}");
    println!(
        "{ground:?}: talked {:?} ms, peak {} MiB, beside: {lateness}",
        durations("talker").iter().max(),
        peak >> 20
    );
}

const MANY: usize = 500;

/// `MANY` jobs that are due together, three times a minute.
fn many(shell: &str) -> String {
    let job = |number| {
        format!(
            "[jobs.many-{number}]\nschedule = '*/20 * * * * *'\nshell = '{shell}'\n\
             start_within = '18s'\n"
        )
    };
    (0..MANY).map(job).collect()
}

/// A node that may have few files open.
fn narrow(site: &Site) -> Node {
    let node = site.start_with("narrow", |command| {
        // SAFETY: between fork and exec there is but one system call.
        unsafe {
            command.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NOFILE, 256, 256)?));
        }
    });
    node.ready()
}

/// Waits until the first slot of every one of the many jobs has an end; the slot, and
/// how each ended.
fn await_many(site: &Site, node: &Node) -> (String, Vec<String>) {
    let of_many = |run: &Value| run["job"].as_str().is_some_and(|job| job.starts_with("many"));
    let first = node.wait_where("run.started", of_many);
    let slot = first["slot"].as_str().unwrap().to_owned();
    until("each of the many has ended", || {
        node.count("run.finished", |run| of_many(run) && run["slot"] == slot) >= MANY
    });
    let mut ends = Vec::new();
    until("the ledger knows", || {
        let entries = site.ledger().into_iter();
        ends = entries.filter(|run| run.job.starts_with("many") && run.slot == slot).collect();
        ends.len() >= MANY
    });
    let mut jobs: Vec<_> = ends.iter().map(|run| run.job.clone()).collect();
    jobs.sort();
    jobs.dedup();
    assert_eq!((jobs.len(), ends.len()), (MANY, MANY), "each has one end");
    (slot, ends.into_iter().map(|run| run.outcome).collect())
}

fn of_500_jobs_at_once_with_few_descriptors_each_has_its_end_and_the_one_beside_is_on_time(
    ground: Ground,
) {
    let beside = every_second("beside", "true", "overlap = 'allow'\nstart_within = '15s'");
    let site = Site::new(ground, "", &(many("sleep 2") + &beside));
    let mut node = narrow(&site);
    let after = storm::begin([&node]);
    let (slot, ends) = await_many(&site, &node);
    let count = |outcome: &str| ends.iter().filter(|end| *end == outcome).count();
    let (succeeded, failed) = (count("succeeded"), count("failed"));
    assert_eq!(succeeded + failed, MANY, "{ends:?}");
    assert!(succeeded > 20 && failed > 20, "{succeeded} succeeded, {failed} failed");
    let last = storm::pass([&node], 3);

    let mut latest = 0.0_f64;
    for at in after + 1..last {
        let of_slot =
            |run: &Value| run["job"] == "beside" && second(run["slot"].as_str().unwrap()) == at;
        let end = node.wait_where("run.finished", of_slot);
        let when: Timestamp = end["timestamp"].as_str().unwrap().parse().unwrap();
        latest = latest.max(when.as_millisecond() as f64 / 1000.0 - at as f64);
    }
    // The disk has the ends of all the others to write as well.
    assert!(latest < LATE.as_secs_f64() + 1.0, "it ended {latest} s after its slot");
    let healthy = node.all("run.finished", |run| {
        run["job"] == "beside" && second(run["slot"].as_str().unwrap()) > second(&slot) + 5
    });
    assert!(healthy.iter().all(|run| run["outcome"] == "succeeded"), "{healthy:?}");
    assert_eq!(node.count("slot.missed", |_| true), 0);
    storm::drain([&mut node]);
    println!("{ground:?}: {succeeded} succeeded, {failed} failed; beside: {latest:.2} s at most");
}

fn of_500_jobs_at_once_none_fails_for_want_of_descriptors_when_the_node_takes_only_some(
    ground: Ground,
) {
    let site = Site::new(ground, "max_running = 20", &many("sleep 0.1"));
    let mut node = narrow(&site);
    let (_, ends) = await_many(&site, &node);
    let others: Vec<_> = ends.iter().filter(|end| *end != "succeeded").collect();
    assert!(others.is_empty(), "{others:?}");
    storm::drain([&mut node]);
}
