//! A Redis Cluster under real daemons, whose hash slots move and whose masters fail over.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::oracle::Evidence;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::site::{Ground, Site, every_second, ticks};
use crate::harness::until;
use crate::storm;

const JOBS: usize = 12;
/// The bucket of `tick-1`.
const BUCKET: u32 = 8;

/// A cluster with jobs, and further lines of `[cluster]`.
fn site(cluster: &str) -> Site {
    Site::new(Ground::Cluster, cluster, &ticks(JOBS, "start_within = '20s'"))
}

/// Kills the master that has the bucket, and waits until its replica is one; which it was.
fn kill_a_master(site: &mut Site) -> usize {
    let key = site.key(BUCKET, "open");
    let servers = site.servers();
    let doomed = servers.owner(servers.hash_slot(&key));
    let replica = servers.replica_of(doomed);
    servers.server_mut(doomed).kill9();
    servers.until_master(replica);
    doomed
}

#[test]
fn every_slot_runs_once_while_buckets_move_and_a_master_hands_over_to_its_replica() {
    let mut site = site("");
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 1);
    let key = site.key(BUCKET, "open");
    let servers = site.servers();
    let hash_slot = servers.hash_slot(&key);
    let from = servers.owner(hash_slot);
    let (to, failing) = ((from + 1) % 3, (from + 2) % 3);
    servers.move_slot(hash_slot, from, to);
    storm::pass(&nodes, 1);
    let servers = site.servers();
    servers.fail_over_to(servers.replica_of(failing));
    storm::pass(&nodes, 1);
    site.servers().move_slot(hash_slot, to, from);
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    println!("{} slots in {} s", scope.keys().count(), scope.seconds());
}

/// What a master acknowledged and had not passed on when it was killed is lost: the
/// cluster promises no more. All the same every slot runs, and what ran twice is counted.
#[test]
fn every_slot_runs_when_a_master_is_killed_and_what_that_forgot_is_counted() {
    let mut site = site("");
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 1);
    kill_a_master(&mut site);
    let upto = storm::pass(&nodes, 3);
    let scope = storm::scope(JOBS, after, upto);
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(&nodes);
    let runs = runs_of(&evidence);
    let never: BTreeSet<_> = scope.keys().filter(|key| !runs.contains_key(key)).collect();
    assert!(never.is_empty(), "never ran: {never:?}");
    let twice = scope.keys().filter(|key| runs.get(key).is_some_and(|count| *count > 1)).count();
    let account = evidence.account(&scope);
    println!(
        "{} slots; {twice} ran twice; {} faults in the ledger",
        scope.keys().count(),
        account.faults.len()
    );
}

#[test]
fn with_all_replicas_acknowledging_every_slot_runs_once_when_a_master_is_killed() {
    let mut site = site("min_acks = 1");
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    storm::pass(&nodes, 1);
    let doomed = kill_a_master(&mut site);
    // Until it is back nothing of its jobs counts.
    site.servers().server_mut(doomed).restart();
    let upto = storm::pass(&nodes, 3);
    let scope = storm::scope(JOBS, after, upto);
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    println!("min_acks = 1: {} slots in {} s", scope.keys().count(), scope.seconds());
}

/// The renewals of one node are for jobs of all masters.
#[test]
fn a_frozen_master_costs_no_run_of_the_others_its_lease() {
    let jobs: String = (1..=JOBS)
        .map(|n| every_second(&format!("long-{n}"), "sleep 5", "lease_ttl = '2s'"))
        .collect();
    let mut site = Site::new(Ground::Cluster, "", &jobs);
    let mut node = site.start("web-1").ready();
    until("all jobs run", || node.count("run.started", |_| true) >= JOBS);
    let bucket_of = |servers: &ServerCluster, job: &str| u32::from(servers.hash_slot(job) % 16);
    let owner_of = |site: &mut Site, job: &str| {
        let bucket = bucket_of(site.servers(), job);
        let key = site.key(bucket, "open");
        let servers = site.servers();
        servers.owner(servers.hash_slot(&key))
    };
    let owners: Vec<_> = (1..=JOBS)
        .map(|n| format!("long-{n}"))
        .map(|job| (owner_of(&mut site, &job), job))
        .collect();
    let frozen = owners[0].0;
    let others: BTreeSet<_> =
        owners.iter().filter(|(owner, _)| *owner != frozen).map(|(_, job)| job.as_str()).collect();
    assert!(!others.is_empty(), "{owners:?}");
    site.servers().server(frozen).pause();
    let ended =
        |record: &serde_json::Value| record["job"].as_str().is_some_and(|job| others.contains(job));
    until("the others have ended", || node.count("run.finished", ended) >= others.len());
    site.servers().server(frozen).resume();
    let lost: Vec<_> = node.events("lease.lost").into_iter().filter(ended).collect();
    assert!(lost.is_empty(), "{lost:?}");
    let bad = |record: &serde_json::Value| ended(record) && record["outcome"] != "succeeded";
    assert_eq!(node.count("run.finished", bad), 0);
    node.kill9();
}

/// How many runs each slot had.
fn runs_of(evidence: &Evidence) -> BTreeMap<crate::harness::oracle::Key, usize> {
    let mut runs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for testimony in &evidence.testimonies {
        runs.entry(testimony.key.clone()).or_default().insert(testimony.run_id.clone());
    }
    runs.into_iter().map(|(key, runs)| (key, runs.len())).collect()
}
