//! Another job table comes into force while the nodes work.

use std::time::Duration;

use nix::sys::signal::Signal;
use solocron::clock::BootInstant;

use crate::book::{self, entries, runs, witnessed};
use crate::harness::node::Node;
use crate::harness::site::{Ground, Site, TESTIFY, every_second, ticks};
use crate::harness::until;
use crate::storm;

on_every_store! {
    tables_loaded_in_a_storm_lose_no_slot_and_run_none_twice
    a_bad_table_changes_nothing_and_says_what_is_wrong
    the_run_of_a_job_that_is_removed_or_changed_ends_as_it_began
    a_changed_schedule_starts_no_burst_and_neither_does_one_that_is_changed_back
    a_new_job_begins_now
    a_reload_reaches_all_nodes_or_the_one_that_is_named
    nodes_that_go_by_other_tables_are_named_with_their_jobs_until_all_have_loaded_one
}

const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];

/// How often the node has loaded a table, the first time included.
fn loads(node: &Node) -> usize {
    node.count("config.loaded", |_| true)
}

/// Has every node load the table, and waits until it has.
fn reload(nodes: &[Node]) {
    let before: Vec<_> = nodes.iter().map(loads).collect();
    nodes.iter().for_each(|node| node.signal(Signal::SIGHUP));
    for (node, before) in nodes.iter().zip(before) {
        until(&format!("{} has the new table", node.name), || loads(node) > before);
    }
}

/// How long a storm lasts.
fn length() -> Duration {
    let seconds = std::env::var("SOLOCRON_TEST_STORM_SECONDS").ok();
    Duration::from_secs(seconds.map_or(20, |text| text.parse().expect("a number of seconds")))
}

fn tables_loaded_in_a_storm_lose_no_slot_and_run_none_twice(ground: Ground) {
    const JOBS: usize = 5;
    let keys = "start_within = '15s'";
    let site = Site::new(ground, "", &ticks(JOBS, keys));
    let mut nodes = site.start_all(NAMES);
    let after = storm::begin(&nodes);
    let begun = BootInstant::now();
    let mut rounds = 0;
    while BootInstant::now().since(begun) < length() {
        // The same slots, but never the same table: jobs change, come and go.
        let changed = format!("{keys}\nenv = {{ ROUND = '{rounds}' }}");
        let guest = match rounds % 3 {
            0 => String::new(),
            n => every_second(&format!("guest-{n}"), TESTIFY, keys),
        };
        site.set_jobs(&format!("{}{guest}", ticks(JOBS, &changed)));
        nodes.iter().for_each(|node| node.signal(Signal::SIGHUP));
        rounds += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    let scope = storm::scope(JOBS, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    storm::judge_all_ran(&site.evidence(&nodes), &scope);
    for node in &nodes {
        // One that comes while the one before is taken in may be one with that.
        assert!(loads(node) > rounds / 2, "{} loaded {} tables", node.name, loads(node));
        assert_eq!(node.count("config.rejected", |_| true), 0);
    }
    println!("{ground:?}: {rounds} tables, {} slots", scope.keys().count());
}

fn a_bad_table_changes_nothing_and_says_what_is_wrong(ground: Ground) {
    let site = Site::new(ground, "", &ticks(2, "start_within = '15s'"));
    let mut nodes = site.start_all(NAMES);
    let after = storm::begin(&nodes);
    site.set_jobs(&format!("{}overlpa = 'skip'\ntimeout = 5\n", ticks(2, "")));
    nodes.iter().for_each(|node| node.signal(Signal::SIGHUP));
    let check = site.command(&["check"]);
    assert_eq!(check.status.code(), Some(78));
    let said = String::from_utf8(check.stderr).unwrap();
    let first = said.lines().next().unwrap().replacen(" error: ", " ", 1);
    for node in &nodes {
        let rejected = node.wait("config.rejected");
        assert_eq!((&rejected["errors"], &rejected["error"]), (&2.into(), &first.clone().into()));
        assert_eq!(rejected["source"], *site.config().to_str().unwrap(), "{rejected}");
    }
    storm::pass(&nodes, 3);
    // The file is gone altogether, and comes back with another job.
    std::fs::remove_file(site.config()).unwrap();
    nodes.iter().for_each(|node| node.signal(Signal::SIGHUP));
    for node in &nodes {
        until("it says so again", || node.count("config.rejected", |_| true) == 2);
        assert_eq!(loads(node), 1);
    }
    storm::pass(&nodes, 2);
    site.set_jobs(&ticks(3, "start_within = '15s'"));
    reload(&nodes);
    let scope = storm::scope(2, after, storm::pass(&nodes, 2));
    storm::settle(&site, &scope);
    until("the third job runs", || !runs(&site, "tick-3").is_empty());
    storm::drain(&mut nodes);
    storm::judge_all_ran(&site.evidence(&nodes), &scope);
}

fn the_run_of_a_job_that_is_removed_or_changed_ends_as_it_began(ground: Ground) {
    let job = |name: &str, work: &str| every_second(name, &witnessed(work), "");
    let site = Site::new(ground, "", &[job("gone", "sleep 4"), job("changed", "sleep 4")].concat());
    let mut nodes = site.start_all(NAMES);
    until("both run", || ["gone", "changed"].iter().all(|name| !runs(&site, name).is_empty()));
    site.set_jobs(&[job("changed", "echo new"), job("other", ":")].concat());
    reload(&nodes);
    let reloaded = book::now();
    let old: Vec<_> = ["gone", "changed"].iter().flat_map(|name| runs(&site, name)).collect();
    until("the other job runs", || !runs(&site, "other").is_empty());
    until("the old runs have ended", || {
        ["gone", "changed"]
            .iter()
            .flat_map(|name| entries(&site, name))
            .filter(|e| !e.is_missed())
            .count()
            >= old.len()
    });
    until("the changed job runs anew", || {
        runs(&site, "changed")
            .iter()
            .any(|run| run.slot() as f64 > reloaded + 1.0 && run.ended.is_some())
    });
    storm::drain(&mut nodes);
    for run in &old {
        let ledger = entries(&site, &run.line.key.0);
        let entry = ledger.iter().find(|entry| entry.run_id.as_ref() == Some(&run.line.run_id));
        let entry = entry.unwrap_or_else(|| panic!("{run:?} has no end: {ledger:?}"));
        assert_eq!(entry.outcome, "succeeded", "{entry:?}");
        assert!(entry.finished() - entry.started() > 3.9, "{entry:?}");
    }
    let late: Vec<_> =
        runs(&site, "gone").into_iter().filter(|run| run.slot() as f64 > reloaded).collect();
    assert!(late.is_empty(), "{late:?}");
    for run in runs(&site, "changed").iter().filter(|run| run.slot() as f64 > reloaded) {
        assert!(run.end() - run.begun() < 3.0, "{run:?}");
    }
    assert_eq!(site.lines("overlaps"), [""; 0]);
}

fn a_changed_schedule_starts_no_burst_and_neither_does_one_that_is_changed_back(ground: Ground) {
    let table = |seconds: &str| {
        let keys = "catch_up = 'all'\ncatch_up_window = '1h'\noverlap = 'allow'";
        every_second("job", TESTIFY, keys).replace("'* *", &format!("'{seconds} *"))
    };
    let (even, odd) = (table("*/2"), table("1-59/2"));
    let site = Site::new(ground, "", &even);
    let mut nodes = site.start_all(NAMES);
    let newest = |parity: i64| {
        let runs = runs(&site, "job");
        runs.iter().map(|run| run.slot()).filter(|at| at % 2 == parity).max().unwrap_or(0)
    };
    until("it runs at even seconds", || newest(0) > 0);
    let mut phases = vec![(0, book::now())];
    for (parity, table) in [(1, &odd), (0, &even), (1, &odd)] {
        let last = phases.last().expect("there is one").1;
        until("some slots have run", || newest(1 - parity) as f64 > last + 3.0);
        phases.last_mut().expect("there is one").1 = last;
        site.set_jobs(table);
        let before = book::now();
        reload(&nodes);
        phases.push((parity, before));
        let since = book::now();
        until("the new schedule is in force", || newest(parity) as f64 > since);
    }
    let last = phases.last().expect("there is one").1;
    until("some slots have run", || newest(1) as f64 > last + 4.0);
    let upto = book::now();
    storm::drain(&mut nodes);

    let ledger = entries(&site, "job");
    assert!(ledger.iter().all(|entry| !entry.is_missed()), "nothing was missed: {ledger:#?}");
    let runs = runs(&site, "job");
    for run in &runs {
        // Slots of a schedule that was not in force would come in a burst, and late.
        let late = run.begun() - book::uptime(run.slot() as f64);
        assert!(late < 1.9, "{late} s late: {run:?}");
        assert_eq!(runs.iter().filter(|other| other.slot() == run.slot()).count(), 1, "{run:?}");
    }
    let ends = phases[1..].iter().map(|(_, begun)| *begun).chain([upto]);
    for ((parity, begun), ended) in phases.iter().zip(ends) {
        let inside = (*begun as i64 + 2..ended as i64).filter(|at| at.rem_euclid(2) == *parity);
        for at in inside {
            assert!(runs.iter().any(|run| run.slot() == at), "{at} was due, {phases:?}: {runs:#?}");
        }
    }
}

fn a_new_job_begins_now(ground: Ground) {
    let keys = "catch_up = 'all'\ncatch_up_window = '1h'\nstart_within = '15s'\noverlap = 'allow'";
    let site = Site::new(ground, "", &every_second("old", TESTIFY, keys));
    let mut nodes = site.start_all(NAMES);
    storm::begin(&nodes);
    storm::pass(&nodes, 2);
    let jobs = ["old", "new"].map(|name| every_second(name, TESTIFY, keys));
    let added = book::now();
    site.set_jobs(&jobs.concat());
    reload(&nodes);
    let known = book::now();
    until("it has run a while", || {
        runs(&site, "new").iter().map(|run| run.slot()).max().unwrap_or(0) as f64 > known + 3.0
    });
    let upto = storm::pass(&nodes, 1);
    let scope = |job: &str, after| crate::harness::oracle::Scope {
        jobs: vec![job.to_owned()],
        after,
        upto,
        ..crate::harness::oracle::Scope::default()
    };
    let (new, old) = (scope("new", known.ceil() as i64), scope("old", added as i64 - 2));
    [&new, &old].into_iter().for_each(|scope| storm::settle(&site, scope));
    storm::drain(&mut nodes);
    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &new);
    storm::judge_all_ran(&evidence, &old);
    let ledger = entries(&site, "new");
    assert!(ledger.iter().all(|entry| !entry.is_missed()), "{ledger:?}");
    let first = ledger.iter().map(|entry| entry.from()).min().expect("it ran");
    assert!(first as f64 > added - 1.0, "{first} was before it was there, {added}");
}

fn a_reload_reaches_all_nodes_or_the_one_that_is_named(ground: Ground) {
    let site = Site::new(ground, "", &ticks(1, ""));
    let mut nodes = site.start_all(NAMES);
    let loaded = |nodes: &[Node; 3]| -> Vec<usize> { nodes.iter().map(loads).collect() };
    assert_eq!(loaded(&nodes), [1, 1, 1]);
    let said = site.ask(&["reload"]);
    assert_eq!(said, "asked to load their job tables anew: web-1, web-2, web-3\n");
    until("all have loaded", || loaded(&nodes) == [2, 2, 2]);
    let said = site.ask(&["reload", "--node", "web-2"]);
    assert_eq!(said, "web-2 is asked to load its job table anew\n");
    until("the one has loaded", || loaded(&nodes) == [2, 3, 2]);
    // Had it reached the others, they would have loaded before they do this.
    site.ask(&["reload"]);
    until("all have loaded again", || loaded(&nodes) == [3, 4, 3]);
    let refused = site.command(&["reload", "--node", "web-9"]);
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8(refused.stderr).unwrap();
    let expected = "there is no node web-9; these are up: web-1, web-2, web-3";
    assert!(said.contains(expected), "{said}");
    storm::drain(&mut nodes);
    assert_eq!(loaded(&nodes), [3, 4, 3]);

    // Who comes later has loaded its table already.
    let mut later = site.start("web-1").ready();
    storm::pass([&later], 3);
    assert_eq!(later.drain(), 0);
    assert_eq!(loads(&later), 1);
}

fn nodes_that_go_by_other_tables_are_named_with_their_jobs_until_all_have_loaded_one(
    ground: Ground,
) {
    let job = |name: &str, shell: &str| every_second(name, shell, "start_within = '15s'");
    let common = [job("a", TESTIFY), job("b", "true"), job("c", "true")].concat();
    let other = [job("a", TESTIFY), job("b", "echo"), job("d", "true")].concat();
    let site = Site::new(ground, "heartbeat = '1s'", &common);
    let table = site.write_table("other.toml", &other);
    let mut nodes = [
        site.start("web-1").ready(),
        site.start("web-2").ready(),
        Node::start(&table, "odd", |_| {}).ready(),
    ];
    let drift = |node: &Node, other: &str| node.all("cluster.drift", |r| r["other"] == other);
    for (node, other) in [(0, "odd"), (1, "odd"), (2, "web-1"), (2, "web-2")] {
        let told = nodes[node].wait_where("cluster.drift", |record| record["other"] == other);
        assert_eq!(told["jobs"], "b, c, d", "{told}");
        let known = nodes.iter().find(|node| node.name == other).unwrap().wait("config.loaded");
        assert_eq!(told["digest"], known["digest"], "{told}");
    }
    storm::pass(&nodes, 4);
    assert_eq!(drift(&nodes[0], "odd").len(), 1, "it is told once");
    for pair in [(0, "web-2"), (1, "web-1")] {
        assert_eq!(drift(&nodes[pair.0], pair.1).len(), 0, "{} is no other", pair.1);
    }

    // All have the same, and nothing is told any more.
    site.write_table("other.toml", &common);
    site.ask(&["reload"]);
    until("all have loaded", || nodes.iter().all(|node| loads(node) == 2));
    let told = nodes.each_ref().map(|node| node.count("cluster.drift", |_| true));
    storm::pass(&nodes, 5);
    assert_eq!(nodes.each_ref().map(|node| node.count("cluster.drift", |_| true)), told);
    // Another difference is told anew.
    site.write_table("other.toml", &[common.as_str(), &job("e", "true")].concat());
    reload(&nodes[2..]);
    for node in &nodes[..2] {
        let told = node.wait_where("cluster.drift", |record| record["jobs"] == "e");
        assert_eq!(told["other"], "odd", "{told}");
    }
    storm::drain(&mut nodes);
}
