//! Real daemons on a quorum of five servers, of which two at a time are stalled, killed, and
//! come back empty; and then three are gone.

use crate::harness::redis_server::RedisServer;
use crate::harness::site::{Site, ticks};
use crate::harness::until;
use crate::storm;

const JOBS: usize = 10;

/// Leases outlive every stall; what nobody ran meanwhile is caught up, so that a lost record
/// shows as a second run.
const KEYS: &str = "lease_ttl = '20s'\nstart_within = '60s'\ncatch_up = 'all'\n\
                    catch_up_limit = 1000";

fn servers() -> Vec<RedisServer> {
    (0..5).map(|_| RedisServer::start()).collect()
}

fn site(servers: &[RedisServer]) -> Site {
    let addresses: Vec<_> = servers.iter().map(RedisServer::url).collect();
    Site::at(&addresses.join(","), "", &ticks(JOBS, KEYS))
}

/// Waits until the server is a member of the quorum.
fn until_member(server: &RedisServer) {
    until("the server is a member again", || server.is_member());
}

#[test]
fn every_slot_runs_once_while_two_of_five_servers_are_stalled_killed_and_emptied_in_turn() {
    let mut servers = servers();
    let site = site(&servers);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let rounds = if storm::is_long() { 5 } else { 2 };
    for round in 0..rounds {
        let (a, b) = (round % 5, (round + 2) % 5);
        [a, b].iter().for_each(|&n| servers[n].pause());
        storm::pass(&nodes, 2);
        [a, b].iter().for_each(|&n| servers[n].resume());
        storm::pass(&nodes, 1);
        [a, b].iter().for_each(|&n| servers[n].kill9());
        storm::pass(&nodes, 2);
        // One comes back empty while the other is still away; and a node is lost meanwhile.
        servers[a].restart();
        if round == 0 {
            nodes[2].kill9();
            nodes[2] = site.start("web-3").ready();
        }
        until_member(&servers[a]);
        servers[b].restart();
        until_member(&servers[b]);
    }
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    let evidence = site.evidence(&nodes);
    let account = evidence.account(&scope);
    storm::assert_none(&account.faults, &evidence);
    assert_eq!(account.ran, scope.keys().count(), "{account:?}");
    println!("{} slots in {} s", scope.keys().count(), scope.seconds());
}

#[test]
fn with_three_of_five_servers_down_nothing_runs_and_the_log_says_why() {
    let mut servers = servers();
    let site = site(&servers);
    let mut node = site.start("web-1").ready();
    storm::pass([&node], 2);
    servers[0].pause();
    node.wait_where("store.warning", |warned| {
        warned["warning"].as_str().is_some_and(|why| why.contains("4 of 5 servers are up"))
    });
    // Both may be found out at once.
    servers[1..3].iter().for_each(RedisServer::pause);
    let down = node.wait("store.down");
    let why = down["error"].as_str().expect("it says why");
    assert!(why.contains("2 of 5 servers are up"), "{why}");
    let port = servers[0].port().to_string();
    assert!(why.contains(&port), "{why}");
    let claimed = node.count("slot.claimed", |_| true);
    let status = site.try_ask(&["history"]).expect_err("nothing can be read");
    assert!(status.contains("of 5 servers"), "{status}");
    assert_eq!(node.count("slot.claimed", |_| true), claimed, "nothing runs");

    servers[..3].iter().for_each(RedisServer::resume);
    node.wait("store.up");
    storm::pass([&node], 2);
    assert_eq!(node.drain(), 0);
    servers.clear();
}
