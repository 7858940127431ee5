//! Three replicas, twenty jobs due every second.

use crate::harness::site::{Ground, Site, ticks};
use crate::storm;

const JOBS: usize = 20;

on_every_store! {
    every_slot_runs_once_and_every_loser_names_the_true_holder
}

fn every_slot_runs_once_and_every_loser_names_the_true_holder(ground: Ground) {
    // A busy machine may be late: what counts here is that every slot runs, and once.
    let site = Site::new(ground, "", &ticks(JOBS, "start_within = '15s'"));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    std::thread::sleep(storm::length());
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 1));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    let (skips, _) = evidence.logs_against_file(&scope);
    assert_eq!(skips, 2 * scope.keys().count(), "both others skip every slot");
    println!(
        "{ground:?}: {} slots in {} s; spread between nodes: {}; later than the earliest: {}",
        scope.keys().count(),
        scope.seconds(),
        evidence.spread(&scope),
        evidence.lateness()
    );
}
