//! Keepers that are killed or stopped, alone and with their daemon: the job does not
//! outlive its lease, and the ledger knows.

use nix::sys::signal::Signal::{self, SIGKILL, SIGSTOP};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::harness::lives::Life;
use crate::harness::processes;
use crate::harness::site::{Ground, Site};
use crate::harness::until;
use crate::victims::{self, GONE_WITHIN, LATE, TTL};

on_every_store! {
    a_run_whose_keeper_is_killed_fails_and_its_node_goes_on
    a_run_whose_keeper_is_stopped_fails_within_its_lease_and_its_node_goes_on
    a_run_whose_keeper_and_daemon_are_killed_is_taken_over_without_overlap
    a_run_whose_keeper_is_stopped_and_daemon_killed_is_taken_over_without_overlap
    a_run_whose_keeper_is_killed_and_daemon_stopped_is_taken_over_without_overlap
}

/// The keeper of a run: the parent of its processes that have none in the tree.
fn keeper(life: &Life) -> i32 {
    let parents = processes::of_run(&life.run_id).into_iter().filter_map(processes::parent);
    let mut keepers: Vec<_> =
        parents.filter(|pid| processes::name(*pid) == "solocron-keeper").collect();
    keepers.dedup();
    let [keeper] = keepers[..] else { panic!("not one keeper of {life:?}: {keepers:?}") };
    keeper
}

fn strike(keeper: i32, signal: Signal) {
    kill(Pid::from_raw(keeper), signal).expect("it lives");
}

/// The run failed for its keeper: it is in the ledger, is over for good, and the next
/// slots run.
fn judge_failure(site: &Site, life: &Life) {
    let runs = victims::await_entries(site, life, "failed");
    assert_eq!(runs.len(), 1, "a failure is no crash: {runs:?}");
    assert_eq!(runs[0].run_id.as_ref(), Some(&life.run_id));
    let error = runs[0].error.as_deref().unwrap_or_default();
    assert!(error.contains("keeper"), "{error}");
    victims::await_victim(site, life.key.1);
    victims::assert_no_overlap(site);
    assert_eq!(site.lives().iter().filter(|other| other.key == life.key).count(), 1);
}

fn a_run_whose_keeper_is_killed_fails_and_its_node_goes_on(ground: Ground) {
    let site = victims::site(ground, "");
    let _nodes = site.start_all(["web-1", "web-2"]);
    let life = victims::await_victim(&site, 0);
    strike(keeper(&life), SIGKILL);
    let took = victims::await_gone(&life);
    assert!(took <= GONE_WITHIN, "its processes lived for {took:?}");
    judge_failure(&site, &life);
}

fn a_run_whose_keeper_is_stopped_fails_within_its_lease_and_its_node_goes_on(ground: Ground) {
    let site = victims::site(ground, "");
    let _nodes = site.start_all(["web-1", "web-2"]);
    let life = victims::await_victim(&site, 0);
    let stopped = keeper(&life);
    strike(stopped, SIGSTOP);
    let took = victims::await_gone(&life);
    assert!(took <= TTL + LATE, "its processes lived for {took:?}");
    until("the stopped keeper is gone", || processes::name(stopped).is_empty());
    judge_failure(&site, &life);
    println!("{ground:?}: gone {took:?} after the keeper was stopped");
}

/// The keeper and the daemon are struck: the run is gone before another begins.
fn taken_over_after(ground: Ground, keeper_gets: Signal, daemon_gets: Signal) {
    let site = victims::site(ground, "");
    let mut nodes = site.start_all(["web-1", "web-2"]);
    let lost = victims::await_victim(&site, 0);
    let keeper = keeper(&lost);
    let daemon = victims::holder(&mut nodes, &lost);
    match (keeper_gets, daemon_gets) {
        // It must not hold the store while it is stopped.
        (_, SIGSTOP) => {
            site.freeze(daemon);
            strike(keeper, keeper_gets);
        }
        // A daemon that lives for a moment more writes that the run has failed.
        (SIGKILL, _) => {
            daemon.signal(daemon_gets);
            strike(keeper, keeper_gets);
        }
        _ => {
            strike(keeper, keeper_gets);
            daemon.signal(daemon_gets);
        }
    }
    let took = victims::await_gone(&lost);
    assert!(took <= GONE_WITHIN, "its processes lived for {took:?}");
    let next = victims::await_successor(&site, &lost);
    victims::judge_takeover(&site, &nodes, &lost, &next);
    until("the keeper is gone", || processes::name(keeper).is_empty());
}

fn a_run_whose_keeper_and_daemon_are_killed_is_taken_over_without_overlap(ground: Ground) {
    taken_over_after(ground, SIGKILL, SIGKILL);
}

fn a_run_whose_keeper_is_stopped_and_daemon_killed_is_taken_over_without_overlap(ground: Ground) {
    taken_over_after(ground, SIGSTOP, SIGKILL);
}

fn a_run_whose_keeper_is_killed_and_daemon_stopped_is_taken_over_without_overlap(ground: Ground) {
    taken_over_after(ground, SIGKILL, SIGSTOP);
}
