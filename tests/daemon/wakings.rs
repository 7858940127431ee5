//! A node that is frozen for longer than its lease, and wakes up when another has run
//! its slot.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::harness::processes;
use crate::harness::site::Ground;
use crate::harness::until;
use crate::storm;
use crate::victims::{self, LATE, TTL, up};

on_every_store! {
    a_frozen_nodes_run_is_gone_before_another_begins_and_its_waking_changes_nothing
}

fn a_frozen_nodes_run_is_gone_before_another_begins_and_its_waking_changes_nothing(ground: Ground) {
    let site = victims::site(ground, "");
    let mut nodes = site.start_all(["web-1", "web-2"]);
    let lost = victims::await_victim(&site, 0);
    let frozen = victims::holder(&mut nodes, &lost);
    site.freeze(frozen);
    let at = up();

    let next = victims::await_successor(&site, &lost);
    assert_eq!(processes::of_run(&lost.run_id), [0; 0], "its keeper ended it meanwhile");
    let took = Duration::from_secs_f64((next.begun - at).max(0.0));
    assert!(took <= TTL + LATE, "it began {took:?} after the freeze: {next:?}");
    victims::await_entries(&site, &lost, "succeeded");
    let before = victims::slot_story(&site, &lost);
    until("it was frozen for longer than its lease", || up() - at > TTL.as_secs_f64() + 0.5);

    frozen.signal(Signal::SIGCONT);
    let loss = frozen.wait_where("lease.lost", |record| record["run_id"] == lost.run_id);
    assert_eq!(loss["slot"], lost.slot, "{loss}");
    let end = frozen.wait_where("run.finished", |record| record["run_id"] == lost.run_id);
    assert_eq!(end["outcome"], "lease_lost", "{end}");
    // It lives with the others again.
    storm::pass(&nodes, 2);
    victims::judge_takeover(&site, &nodes, &lost, &next);
    assert_eq!(victims::slot_story(&site, &lost), before);
    println!("{ground:?}: taken over {took:?} after the freeze");
}
