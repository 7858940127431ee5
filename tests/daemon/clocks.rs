//! Wall clocks that are wrong, or set while a node runs by them.

use crate::harness::clock::WallClock;
use crate::harness::oracle::second;
use crate::harness::site::{FIRST, Ground, Site, TESTIFY, every_second, ticks};
use crate::storm;

const JOBS: usize = 10;

on_every_store! {
    replicas_whose_clocks_differ_tick_together_and_run_every_slot_once
    a_wall_clock_that_is_set_while_a_node_runs_loses_and_repeats_nothing
    a_node_whose_clock_was_set_back_goes_on_with_what_recurs
}

fn replicas_whose_clocks_differ_tick_together_and_run_every_slot_once(ground: Ground) {
    let site = Site::new(ground, "max_clock_skew = '1s'", &ticks(JOBS, "start_within = '15s'"));
    // The first node that opens a SQLite file sets the cluster's clock.
    let right = site.start("right").ready();
    let [behind, ahead] = [("behind", -2), ("ahead", 2)].map(|(name, seconds)| {
        let clock = WallClock::new(site.folder(), name, seconds);
        site.start_with(name, |command| clock.rule(command)).ready()
    });
    for (node, skew) in [(&behind, -2000), (&ahead, 2000)] {
        let warned = node.wait("clock.skew")["skew_ms"].as_i64().expect("it is a number");
        assert!((warned - skew).abs() < 500, "{} is off by {warned} ms, not {skew}", node.name);
    }
    let mut nodes = [right, behind, ahead];
    let after = storm::begin(&nodes);
    std::thread::sleep(storm::length());
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 1));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    let (skips, _) = evidence.logs_against_file(&scope);
    assert_eq!(skips, 2 * scope.keys().count(), "both others skip every slot");
    let spread = evidence.spread(&scope);
    println!("{ground:?}: {} slots, spread between nodes: {spread}", spread.len());
    assert!(spread.median() < 500.0, "the nodes do not tick together: {spread}");
    assert_eq!(nodes[0].count("clock.skew", |_| true), 0, "only wrong clocks are warned of");
}

fn a_wall_clock_that_is_set_while_a_node_runs_loses_and_repeats_nothing(ground: Ground) {
    let site = Site::new(ground, "", &ticks(JOBS, "start_within = '15s'"));
    let right = site.start("right").ready();
    let clock = WallClock::new(site.folder(), "astray", 0);
    let astray = site.start_with("astray", |command| clock.rule(command)).ready();
    let mut nodes = [right, astray];
    let after = storm::begin(&nodes);
    for ahead in [3600, -3600, 90, 0] {
        clock.set(ahead);
        storm::pass(&nodes, 4);
    }
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 1));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    let (skips, _) = evidence.logs_against_file(&scope);
    assert_eq!(skips, scope.keys().count(), "the other skips every slot");
    let spread = evidence.spread(&scope);
    assert!(spread.median() < 500.0, "the nodes do not tick together: {spread}");
}

fn a_node_whose_clock_was_set_back_goes_on_with_what_recurs(ground: Ground) {
    let long = format!("{TESTIFY}; {FIRST} && exec sleep 600; true");
    let keys = "lease_ttl = '2s'\noverlap = 'allow'\non_crash = 'skip'";
    let site = Site::new(ground, "", &every_second("long", &long, keys));
    let mut doomed = site.start("doomed").ready();
    site.first_run();
    let clock = WallClock::new(site.folder(), "astray", 0);
    let mut astray = site.start_with("astray", |command| clock.rule(command)).ready();
    storm::begin([&doomed, &astray]);

    clock.set(-3600);
    // Looked at every ten seconds; that goes by the coarse clock.
    let warned = astray.wait("clock.skew")["skew_ms"].as_i64().expect("it is a number");
    assert!((warned + 3_600_000).abs() < 1_000, "{warned}");
    // So does looking for what others have lost.
    doomed.kill9();
    let abandoned = astray.wait("slot.abandoned");
    assert_eq!(abandoned["from"], "doomed");
    let slot = second(abandoned["slot"].as_str().expect("it is text"));
    storm::pass([&astray], 2);
    storm::drain([&mut astray]);
    let evidence = site.evidence([&doomed, &astray]);
    let runs = evidence.runs_of(&("long".to_owned(), slot));
    assert_eq!(runs.iter().map(|run| &*run.outcome).collect::<Vec<_>>(), ["abandoned"]);
}
