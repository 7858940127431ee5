//! `solocron cancel`: it reaches the node that holds the run.

use crate::book::{entries, runs, witnessed};
use crate::harness::processes::with_variable;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::storm;

on_every_store! {
    a_cancel_ends_the_run_wherever_it_is_first_by_term_then_by_kill
    a_cancel_ends_the_wait_for_the_next_try
}

fn a_cancel_ends_the_run_wherever_it_is_first_by_term_then_by_kill(ground: Ground) {
    let job = |name: &str, work: &str| {
        let keys = "kill_grace = '1s'\nretry = { attempts = 3, min = '100ms' }";
        every_second(name, &witnessed(work), keys).replace("'* * * * * *'", "'@yearly'")
    };
    let jobs = [
        job("meek", "trap 'echo bye; exit 0' TERM; while :; do sleep 0.05; done"),
        job("deaf", "trap '' TERM; sleep 600"),
    ];
    let site = Site::new(ground, "", &jobs.concat());
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    for (job, signal) in [("meek", None), ("deaf", Some(9))] {
        site.ask(&["trigger", job]);
        until(&format!("{job} runs"), || !runs(&site, job).is_empty());
        let run = runs(&site, job).remove(0);
        let (run_id, holder) = (run.line.run_id.clone(), run.line.node.clone());
        let printed = site.ask(&["cancel", &run_id]);
        let expected = format!("{holder} is asked to end {job}@{}#", run.slot_text());
        assert!(printed.starts_with(&expected), "{printed}, not {expected}");
        assert!(printed.ends_with(&format!("(run {run_id})\n")), "{printed}");
        let node = nodes.iter().find(|node| node.name == holder).expect("it is one of them");
        let told = node.wait_where("control.cancelled", |record| record["run_id"] == *run_id);
        assert_eq!(told["cause"], "asked");
        let ended = node.wait_where("run.finished", |record| record["run_id"] == *run_id);
        assert_eq!(ended["outcome"], "cancelled");
        assert_eq!(with_variable(&format!("SOLOCRON_RUN_ID={run_id}")), [0; 0]);
        let took = super::book::instant(ended["timestamp"].as_str().unwrap())
            - super::book::instant(told["timestamp"].as_str().unwrap());
        match signal {
            None => assert!(node.count("run.output", |record| record["line"] == "bye") == 1),
            Some(_) => assert!((0.95..2.5).contains(&took), "{took} s from TERM to KILL"),
        }
        until("it is written", || !entries(&site, job).is_empty());
        let ledger = entries(&site, job);
        let [entry] = &ledger[..] else { panic!("it is not tried again: {ledger:?}") };
        assert_eq!((entry.outcome.as_str(), entry.signal), ("cancelled", signal), "{entry:?}");
        let again = site.command(&["cancel", &run_id]);
        assert_eq!(again.status.code(), Some(1));
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(said.contains(&format!("there is no run {run_id} in progress")), "{said}");
    }
    storm::drain(&mut nodes);
    assert_eq!(runs(&site, "meek").len() + runs(&site, "deaf").len(), 2);
    for node in &nodes {
        let mine = |record: &serde_json::Value| {
            runs(&site, "meek")
                .iter()
                .chain(&runs(&site, "deaf"))
                .any(|run| run.line.node == node.name && record["run_id"] == *run.line.run_id)
        };
        assert_eq!(node.count("control.cancelled", |record| !mine(record)), 0);
    }
}

fn a_cancel_ends_the_wait_for_the_next_try(ground: Ground) {
    let keys = "retry = { attempts = 3, backoff = 'constant', min = '1h' }";
    let site = Site::new(ground, "", &every_second("job", &witnessed("exit 1"), keys));
    let mut nodes = site.start_all(["web-1", "web-2"]);
    let mut resting = None;
    until("a run has failed and waits", || {
        resting = nodes.iter().find_map(|node| node.events("run.retrying").into_iter().next());
        resting.is_some()
    });
    let resting = resting.expect("it is there");
    let slot = resting["slot"].as_str().unwrap();
    // The run that is still to come has its id already.
    let next = resting["run_id"].as_str().unwrap();
    let story = site.ask(&["slot", "job", slot, "--format", "json"]);
    assert!(story.contains(next), "{story}");
    site.ask(&["cancel", next]);
    let state = || {
        let story = site.ask(&["slot", "job", slot, "--format", "json"]);
        let story: serde_json::Value = serde_json::from_str(&story).expect("slot prints JSON");
        story["state"].as_str().map(str::to_owned)
    };
    until("it is settled", || state().as_deref() == Some("cancelled"));
    until("the turn is free again", || {
        let later = |record: &serde_json::Value| record["slot"].as_str() > Some(slot);
        nodes.iter().any(|node| node.count("run.started", later) > 0)
    });
    storm::drain(&mut nodes);
    let ledger = entries(&site, "job");
    let told: Vec<_> = ledger
        .iter()
        .filter(|entry| entry.slot == slot)
        .map(|entry| (entry.outcome.as_str(), entry.attempt))
        .collect();
    assert_eq!(told, [("failed", Some(1)), ("cancelled", Some(2))], "{ledger:#?}");
    let seen = runs(&site, "job").into_iter().filter(|run| run.slot_text() == slot);
    assert_eq!(seen.count(), 1, "the second never began");
}
