//! `solocron pause` and `resume`.

use crate::book::{self, entries, runs, witnessed};
use crate::harness::node::Node;
use crate::harness::oracle::Scope;
use crate::harness::site::{Ground, Site, TESTIFY, every_second};
use crate::harness::until;
use crate::storm;

on_every_store! {
    a_pause_stops_new_slots_at_once_outlives_restarts_and_is_never_caught_up
    a_run_in_progress_goes_on_when_its_job_is_paused
}

const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];

/// Every node says so of the job.
fn all_say(nodes: &[Node], event: &str, job: &str) {
    for node in nodes {
        node.wait_where(event, |record| record["job"] == job);
    }
}

fn a_pause_stops_new_slots_at_once_outlives_restarts_and_is_never_caught_up(ground: Ground) {
    // (A slot that is caught up would be in the way of the next.)
    let keys = "overlap = 'allow'\ncatch_up = 'all'\ncatch_up_window = '1h'";
    let jobs = [every_second("job", TESTIFY, keys), every_second("other", TESTIFY, keys)];
    let site = Site::new(ground, "", &jobs.concat());
    let mut nodes = site.start_all(NAMES);
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 2);
    assert_eq!(site.ask(&["pause", "job"]), "job is paused\n");
    let paused = book::now();
    assert_eq!(site.ask(&["pause", "job"]), "job was paused already\n");
    all_say(&nodes, "control.paused", "job");
    storm::pass(&nodes, 3);
    // No node is there for a while, and others come.
    storm::drain(&mut nodes);
    let away = book::now();
    until("two slots have passed", || book::now() > away + 2.5);
    let mut nodes = site.start_all(NAMES);
    storm::pass(&nodes, 3);
    let resuming = book::now();
    assert_eq!(site.ask(&["resume", "job"]), "job is resumed\n");
    let resumed = book::now();
    assert_eq!(site.ask(&["resume", "job"]), "job was not paused\n");
    all_say(&nodes, "control.resumed", "job");
    let upto = storm::pass(&nodes, 4);
    let scope = |job: &str| Scope { jobs: vec![job.to_owned()], after, upto, ..Scope::default() };
    for job in ["job", "other"] {
        storm::settle(&site, &scope(job));
    }
    storm::drain(&mut nodes);

    let ledger = entries(&site, "job");
    let mut paused_for = 0;
    for at in after + 1..=upto {
        let of_slot = ledger.iter().filter(|entry| (entry.from()..=entry.to()).contains(&at));
        let fates: Vec<_> = of_slot
            .map(|entry| entry.reason.as_deref().unwrap_or(entry.outcome.as_str()))
            .collect();
        let due = at as f64;
        if due > paused && due < resuming {
            assert!(
                !fates.is_empty() && fates.iter().all(|fate| *fate == "paused"),
                "{at}: {fates:?}"
            );
        } else if due >= resumed {
            assert_eq!(fates, ["succeeded"], "it goes on with the next: {at}");
        } else if due < paused - 1.0 {
            assert_eq!(fates, ["succeeded"], "{at}");
        }
        paused_for += i64::from(fates.first() == Some(&"paused"));
    }
    let missed: Vec<_> = ledger.iter().filter(|entry| entry.is_missed()).collect();
    assert_eq!(
        missed.iter().filter_map(|entry| entry.count).sum::<i64>(),
        paused_for,
        "{missed:?}"
    );
    assert!(missed.len() <= 4, "they are ranges: {missed:?}");
    let within = |at: i64| paused < at as f64 && (at as f64) < resuming;
    let ran = runs(&site, "job").into_iter().filter(|run| within(run.slot()));
    assert_eq!(ran.count(), 0);
    for run in runs(&site, "other") {
        assert!(run.begun() - book::uptime(run.slot() as f64) < 10.0, "{run:?}");
    }
    let others = entries(&site, "other").iter().filter(|entry| entry.is_missed()).count();
    assert_eq!(others, 0, "its slots were caught up");
}

fn a_run_in_progress_goes_on_when_its_job_is_paused(ground: Ground) {
    let site = Site::new(ground, "", &every_second("job", &witnessed("sleep 3"), ""));
    let mut nodes = site.start_all(NAMES);
    until("it runs", || !runs(&site, "job").is_empty());
    site.ask(&["pause", "job"]);
    let begun = runs(&site, "job");
    until("it has ended by itself", || runs(&site, "job").iter().all(|run| run.ended.is_some()));
    all_say(&nodes, "control.paused", "job");
    let since = book::now();
    until("two seconds have passed", || book::now() > since + 2.0);
    storm::drain(&mut nodes);
    assert_eq!(runs(&site, "job").len(), begun.len());
    let ran: Vec<_> = entries(&site, "job").into_iter().filter(|e| !e.is_missed()).collect();
    assert!(ran.iter().all(|entry| entry.outcome == "succeeded"), "{ran:?}");
}
