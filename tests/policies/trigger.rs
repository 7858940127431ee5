//! `solocron trigger`: a job runs now, once, on some node that may run it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use serde_json::Value;
use solocron::clock::ClusterTime;
use solocron::slot::TriggerId;

use crate::book::{self, Entry, entries, runs, witnessed};
use crate::harness::node::Node;
use crate::harness::oracle::second;
use crate::harness::processes;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::storm;

on_every_store! {
    a_trigger_runs_once_in_the_cluster_and_is_told_everywhere
    many_triggers_each_asked_for_twice_run_once_each
    a_trigger_runs_a_job_that_is_paused_or_switched_off_or_of_one_node_only
    a_trigger_waits_for_the_run_in_progress_as_overlap_says
    a_trigger_outlives_the_absence_of_all_nodes
}

/// A job that is never due.
fn by_hand(name: &str, work: &str, keys: &str) -> String {
    every_second(name, &witnessed(work), keys).replace("'* * * * * *'", "'@yearly'")
}

/// Triggers the job; the id.
fn trigger(site: &Site, job: &str) -> String {
    let printed = site.ask(&["trigger", job]);
    let id = printed.strip_suffix('\n').expect("a line");
    id.parse::<TriggerId>().expect("it is an id");
    id.to_owned()
}

/// The entry of the trigger, once its run has ended.
fn ended(site: &Site, job: &str, id: &str) -> Entry {
    let mut found = Vec::new();
    until(&format!("{job} has run for {id}"), || {
        found = entries(site, job);
        found.retain(|entry| entry.trigger_id.as_deref() == Some(id));
        !found.is_empty()
    });
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

/// The story of the trigger's slot.
fn story(site: &Site, words: &[&str]) -> Value {
    let told = site.ask(&[&["slot"], words, &["--format", "json"]].concat());
    serde_json::from_str(&told).expect("slot prints JSON")
}

fn told(nodes: &[Node], event: &str, id: &str) -> usize {
    nodes.iter().map(|node| node.count(event, |record| record["trigger_id"] == *id)).sum()
}

fn a_trigger_runs_once_in_the_cluster_and_is_told_everywhere(ground: Ground) {
    let site = Site::new(ground, "", &by_hand("job", "echo hello", ""));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let before = book::now() as i64;
    let id = trigger(&site, "job");
    let entry = ended(&site, "job", &id);
    assert!((before..=book::now() as i64).contains(&entry.from()), "{entry:?}");
    assert_eq!((entry.outcome.as_str(), entry.attempt), ("succeeded", Some(1)));
    // The same wish again is the same slot.
    for _ in 0..2 {
        assert_eq!(site.ask(&["trigger", "job", "--id", &id]), format!("{id}\n"));
    }
    let other = trigger(&site, "job");
    ended(&site, "job", &other);
    storm::drain(&mut nodes);

    let at = id.parse::<TriggerId>().unwrap().instant();
    assert_eq!(entry.slot, at.to_string(), "the instant of the wish");
    let runs = runs(&site, "job");
    assert_eq!(runs.len(), 2, "each wish ran once: {runs:?}");
    assert_eq!(Some(&runs[0].line.run_id), entry.run_id.as_ref());
    assert_eq!(runs[0].slot(), at.unix_seconds(), "as SOLOCRON_SLOT says it");

    let told_story = story(&site, &["job", &id]);
    assert_eq!(
        (&told_story["state"], &told_story["trigger_id"]),
        (&"succeeded".into(), &id.clone().into())
    );
    assert_eq!(told_story["run_id"], *entry.run_id.as_ref().unwrap());
    assert_eq!(told_story["output"], "hello\n");
    assert_eq!(told_story["runs"].as_array().map(Vec::len), Some(1), "{told_story}");
    let slot = format!("job@{at}#{id}");
    assert_eq!(story(&site, &[&slot]), told_story, "as logs write it");
    let words = site.ask(&["slot", "job", &id]);
    assert!(
        words.starts_with(&format!("{slot} succeeded on {}\n", entry.node.unwrap())),
        "{words}"
    );

    for (event, times) in [("control.triggered", 1), ("slot.claimed", 1), ("run.finished", 1)] {
        assert_eq!(told(&nodes, event, &id), times, "{event}");
    }
}

fn many_triggers_each_asked_for_twice_run_once_each(ground: Ground) {
    let site = Site::new(ground, "", &by_hand("job", "sleep 0.02", ""));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let wish = |_| TriggerId::new(ClusterTime::from_unix_micros((book::now() * 1e6) as i64));
    let ids: Vec<_> = (0..6).map(wish).map(|id| id.to_string()).collect();
    // All at once.
    let asked: Vec<_> = ids
        .iter()
        .chain(&ids)
        .map(|id| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_solocron"));
            command.args(["trigger", "job", "--id", id, "-c"]).arg(site.config());
            command.stdout(Stdio::null());
            processes::spawn(command).expect("solocron starts")
        })
        .collect();
    for mut asked in asked {
        assert!(asked.wait().expect("it ends").success());
    }
    let entries: Vec<_> = ids.iter().map(|id| ended(&site, "job", id)).collect();
    storm::drain(&mut nodes);
    assert!(entries.iter().all(|entry| entry.outcome == "succeeded"), "{entries:#?}");
    let mut times: BTreeMap<_, u32> = BTreeMap::new();
    for run in runs(&site, "job") {
        *times.entry(run.line.run_id).or_default() += 1;
    }
    let expected = entries.iter().map(|entry| (entry.run_id.clone().unwrap(), 1)).collect();
    assert_eq!(times, expected);
    assert_eq!(site.lines("overlaps"), [""; 0], "one after another, as overlap = \"skip\" says");
}

fn a_trigger_runs_a_job_that_is_paused_or_switched_off_or_of_one_node_only(ground: Ground) {
    let jobs = [
        every_second("paused", &witnessed(":"), ""),
        every_second("off", &witnessed(":"), "enabled = false"),
        by_hand("one", ":", "nodes = ['web-3']"),
    ];
    let site = Site::new(ground, "", &jobs.concat());
    site.start("web-0").ready().drain();
    site.ask(&["pause", "paused"]);
    let paused = book::now();
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    for job in ["paused", "off", "one"] {
        let id = trigger(&site, job);
        let entry = ended(&site, job, &id);
        assert_eq!(entry.outcome, "succeeded", "{entry:?}");
        assert!(job != "one" || entry.node.as_deref() == Some("web-3"), "{entry:?}");
    }
    storm::drain(&mut nodes);
    assert_eq!(["off", "one"].map(|job| runs(&site, job).len()), [1, 1]);
    // (What the first node handed over it had claimed before the pause, and that slot's instant
    // may have come after it.)
    let handed_over =
        |entry: &Entry| entry.outcome == "handed_over" && entry.node.as_deref() == Some("web-0");
    let first = |entry: &Entry| {
        entry.trigger_id.is_none() && entry.attempt == Some(1) && !handed_over(entry)
    };
    let mut ledger = entries(&site, "paused");
    ledger.retain(|entry| first(entry) && entry.started() > paused);
    assert!(ledger.is_empty(), "nothing else of it ran: {ledger:?}");
}

fn a_trigger_waits_for_the_run_in_progress_as_overlap_says(ground: Ground) {
    const MODES: [&str; 4] = ["skip", "wait", "replace", "allow"];
    let work = "mkdir $SOLOCRON_JOB 2>/dev/null && sleep 4; true";
    let jobs = MODES.map(|mode| by_hand(mode, work, &format!("overlap = '{mode}'")));
    let site = Site::new(ground, "", &jobs.concat());
    let mut nodes = site.start_all(["web-1", "web-2"]);
    let firsts = MODES.map(|mode| trigger(&site, mode));
    until("the first of each runs", || MODES.iter().all(|mode| runs(&site, mode).len() == 1));
    let begun = book::now();
    let seconds = MODES.map(|mode| trigger(&site, mode));
    for (mode, id) in MODES.iter().zip(&seconds).take(2) {
        let waits = story(&site, &[mode, id]);
        assert_eq!(waits["state"], "triggered", "{mode}: {waits}");
    }
    let firsts: Vec<_> =
        MODES.iter().zip(&firsts).map(|(mode, id)| ended(&site, mode, id)).collect();
    let seconds: Vec<_> =
        MODES.iter().zip(&seconds).map(|(mode, id)| ended(&site, mode, id)).collect();
    storm::drain(&mut nodes);

    let outcomes = firsts.iter().map(|entry| entry.outcome.as_str()).collect::<Vec<_>>();
    assert_eq!(outcomes, ["succeeded", "succeeded", "cancelled", "succeeded"]);
    for ((mode, first), second) in MODES.iter().zip(&firsts).zip(&seconds) {
        assert_eq!(second.outcome, "succeeded", "{mode}: {second:?}");
        let beside = second.started() < first.finished();
        assert_eq!(beside, *mode == "allow", "{mode}: {first:?} {second:?}");
    }
    assert!(seconds[2].started() < begun + 3.5, "it did not wait: {:?}", seconds[2]);
    let overlaps: BTreeSet<_> = site.lines("overlaps").into_iter().collect();
    assert!(overlaps.iter().all(|line| line.starts_with("allow ")), "{overlaps:?}");
}

fn a_trigger_outlives_the_absence_of_all_nodes(ground: Ground) {
    let site = Site::new(ground, "", &by_hand("job", ":", ""));
    assert_eq!(site.start("web-1").ready().drain(), 0);
    let id = trigger(&site, "job");
    assert_eq!(story(&site, &["job", &id])["state"], "triggered");
    let mut nodes = site.start_all(["web-2", "web-3"]);
    let entry = ended(&site, "job", &id);
    storm::drain(&mut nodes);
    assert_eq!((entry.outcome.as_str(), entry.from()), ("succeeded", second(&entry.slot)));
    assert_eq!(runs(&site, "job").len(), 1);
}
