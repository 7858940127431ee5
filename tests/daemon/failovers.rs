//! Redis masters that are lost while replicas of solocron are at work, and sentinels that
//! make another.

use std::time::Duration;

use crate::harness::node::Node;
use crate::harness::oracle::Scope;
use crate::harness::redis_server::RedisServer;
use crate::harness::sentinel::Group;
use crate::harness::site::{Site, ticks};
use crate::storm;

const JOBS: usize = 20;

/// How long the replica is without its master before that is killed: what the master
/// acknowledges in that time is lost with it.
const CUT_OFF: Duration = Duration::from_millis(2500);

/// As long as sentinels need for both failovers, several times over. What nobody ran
/// meanwhile is caught up, so that a lost record shows as a second run.
const KEYS: &str = "lease_ttl = '20s'\nstart_within = '60s'\ncatch_up = 'all'\n\
                    catch_up_limit = 1000";

/// A site whose Redis was lost twice under its nodes.
struct Storm {
    site: Site,
    killed: Vec<Node>,
    nodes: Vec<Node>,
    scope: Scope,
    _group: Group,
}

/// Kills the master in the midst of claims, then, when that one is a replica again and
/// in step, the one that took its place.
fn storm(min_acks: u32) -> Storm {
    let mut group = Group::plan()
        .replicas(1)
        .down_after(Duration::from_millis(1000))
        .server(RedisServer::builder().durable())
        .start();
    group.until_watched();
    let cluster = format!("min_acks = {min_acks}");
    let site = Site::at(&group.url(), &cluster, &ticks(JOBS, KEYS));
    let mut nodes = Vec::from(site.start_all(["web-1", "web-2", "web-3"]));
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 2);

    // It is cut off for a moment, as by a network. Then a whole rack is lost: who starts
    // anew has seen nothing and goes by what the store says.
    group.servers[1].cli(&["REPLICAOF", "NO", "ONE"]);
    std::thread::sleep(CUT_OFF);
    nodes.iter_mut().for_each(Node::kill9);
    fail_over(&mut group, 0, 1);
    let anew = Vec::from(site.start_all(["web-4", "web-5", "web-6"]));
    storm::pass(&anew, 3);
    // This time the nodes live through it, in the midst of claims.
    fail_over(&mut group, 1, 0);
    let scope = storm::scope(JOBS, after, storm::pass(&anew, 3));
    Storm { site, killed: nodes, nodes: anew, scope, _group: group }
}

/// Kills the master `from`, waits for `to` in its place, and until both are in step.
fn fail_over(group: &mut Group, from: usize, to: usize) {
    group.servers[from].kill9();
    group.until_master(to);
    group.servers[from].restart();
    group.until_whole();
}

#[test]
fn with_all_replicas_acknowledging_no_slot_runs_twice_through_two_failovers() {
    let Storm { site, killed, mut nodes, scope, _group } = storm(1);
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    let evidence = site.evidence(killed.iter().chain(&nodes));
    let account = evidence.account(&scope);
    storm::assert_none(&account.faults, &evidence);
    assert_eq!(account.ran, scope.keys().count(), "{account:?}");
    println!("min_acks = 1: {} s, {account:?}", scope.seconds());
}

/// What asynchronous replication costs. README says that it is not promised, so it is
/// counted only: what was acknowledged and forgotten has no end, and may have two.
#[test]
fn without_acknowledgements_what_a_failover_forgets_is_counted() {
    let Storm { site, killed, mut nodes, scope, _group } = storm(0);
    nodes.iter().for_each(Node::terminate);
    for node in &mut nodes {
        node.wait_exit();
    }
    let mut account = site.evidence(killed.iter().chain(&nodes)).account(&scope);
    let faults = std::mem::take(&mut account.faults);
    let count = |kind: &str| faults.iter().filter(|(_, text)| text.starts_with(kind)).count();
    println!(
        "min_acks = 0: {} s, {} ran twice, {} ran unknown to the ledger, {} faults in all; {account:?}",
        scope.seconds(),
        count("ran twice"),
        count("ran, but the ledger"),
        faults.len()
    );
}
