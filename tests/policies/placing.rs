//! When and where a slot runs: `jitter`, `nodes`, `max_running`.

use std::collections::BTreeSet;

use solocron::config::{Overrides, ThisMachine, load_text};
use solocron::table::JobTable;

use crate::book::{self, entries, instant, runs, witnessed};
use crate::harness::node::Node;
use crate::harness::oracle::{Scope, second};
use crate::harness::site::{FIRST, Ground, Site, TESTIFY, every_second};
use crate::harness::until;
use crate::storm;

on_every_store! {
    with_jitter_all_replicas_wait_for_the_same_instant_and_windows_count_from_it
    only_nodes_that_a_job_names_run_it
    slots_that_no_node_may_run_are_missed_unless_they_may_be_caught_up
    a_slot_is_taken_over_only_by_a_node_that_may_run_it
    full_nodes_let_slots_wait_and_never_run_more_than_they_may
    slots_for_which_no_node_had_room_are_missed_as_full
}

/// What the table says of the jobs.
fn table(site: &Site) -> JobTable {
    let text = std::fs::read_to_string(site.config()).unwrap();
    load_text(&site.config(), &text, &Overrides::default(), &ThisMachine).unwrap().config.jobs
}

fn with_jitter_all_replicas_wait_for_the_same_instant_and_windows_count_from_it(ground: Ground) {
    const JOBS: [&str; 3] = ["a", "b", "c"];
    // A delay may be longer than the window.
    let keys = "jitter = '2900ms'\nstart_within = '1500ms'";
    let jobs = JOBS.map(|name| every_second(name, &witnessed(":"), keys).replace("'* *", "'*/3 *"));
    let site = Site::new(ground, "", &jobs.concat());
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let table = table(&site);
    let due = |job: &str, at: i64| {
        let job = table.get(&job.parse().unwrap()).unwrap();
        job.due(format_slot(at).parse().unwrap()).unix_micros() as f64 / 1e6
    };
    let ready = book::now() + 3.0;
    // The slots that came when all were ready, and their delays.
    let seen = || -> Vec<(&str, i64, f64)> {
        let runs = JOBS.map(|job| runs(&site, job).into_iter().map(move |run| (job, run.slot())));
        let runs = runs.into_iter().flatten().filter(|(_, at)| *at as f64 > ready);
        runs.map(|(job, at)| (job, at, due(job, at) - at as f64)).collect()
    };
    until("there were long and short delays", || {
        let seen = seen();
        let long = seen.iter().filter(|(_, _, delay)| *delay > 1.6).count();
        long >= 2 && seen.len() >= long + 2 && seen.len() >= 9
    });
    let seen = seen();
    storm::drain(&mut nodes);
    let delays: BTreeSet<_> = seen.iter().map(|(_, _, delay)| (delay * 1000.0) as i64).collect();
    assert!(delays.len() > 4, "every slot has a delay of its own: {delays:?}");

    let ledger = JOBS.map(|job| entries(&site, job)).concat();
    assert_eq!(ledger.iter().filter(|entry| entry.is_missed()).count(), 0, "{ledger:#?}");
    for (job, at, _) in seen {
        let due = due(job, at);
        let on_time = |when: f64| (due - 0.02..due + 1.5).contains(&when);
        // Slots are claimed ahead of when they are due.
        let verdict_on_time = |when: f64| (due - 0.5..due + 1.5).contains(&when);
        let ran: Vec<_> =
            ledger.iter().filter(|entry| entry.job == job && entry.from() == at).collect();
        let [ran] = ran[..] else { panic!("{job} at {at}: {ran:?}") };
        assert!(on_time(ran.started()), "due at {due}: {ran:?}");
        for node in &nodes {
            let log = node.log();
            let verdicts: Vec<_> = log
                .iter()
                .filter(|logged| logged.text("job") == job && logged.text("slot") == ran.slot)
                .filter(|logged| ["slot.claimed", "slot.skipped"].contains(&logged.text("event")))
                .collect();
            let [verdict] = verdicts[..] else { panic!("{}: {verdicts:?}", node.name) };
            let at = instant(verdict.text("timestamp"));
            assert!(verdict_on_time(at), "due at {due}: {verdict:?}");
        }
    }
}

fn format_slot(at: i64) -> String {
    solocron::slot::SlotTime::from_unix_seconds(at).to_string()
}

fn only_nodes_that_a_job_names_run_it(ground: Ground) {
    let job = |(name, nodes): (&str, &str)| {
        every_second(name, TESTIFY, &format!("nodes = [{nodes}]\nstart_within = '15s'"))
    };
    let jobs = [("web", "'web-*'"), ("db", "'db-?'"), ("some", "'web-1', 'db-1'")].map(job);
    let site = Site::new(ground, "", &jobs.concat());
    let mut nodes = site.start_all(["web-1", "web-2", "db-1"]);
    let after = storm::begin(&nodes);
    let jobs = ["web", "db", "some"].map(str::to_owned).to_vec();
    let scope = Scope { jobs, after, upto: storm::pass(&nodes, 5), ..Scope::default() };
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);

    storm::judge_all_ran(&site.evidence(&nodes), &scope);
    for (job, allowed) in
        [("web", &["web-1", "web-2"][..]), ("db", &["db-1"]), ("some", &["web-1", "db-1"])]
    {
        for run in runs(&site, job) {
            assert!(allowed.contains(&&*run.line.node), "{run:?}");
        }
        for node in nodes.iter().filter(|node| !allowed.contains(&&*node.name)) {
            let told: Vec<_> =
                node.log().into_iter().filter(|logged| logged.text("job") == job).collect();
            assert!(told.is_empty(), "{} has nothing to do with {job}: {told:?}", node.name);
        }
    }
}

fn slots_that_no_node_may_run_are_missed_unless_they_may_be_caught_up(ground: Ground) {
    let job = |(name, keys): (&str, &str)| {
        let keys = format!("nodes = ['web-*']\nstart_within = '1s'\n{keys}");
        every_second(name, &witnessed(":"), &keys).replace("'* *", "'*/2 *")
    };
    let keep = "catch_up = 'all'\ncatch_up_window = '1h'\noverlap = 'allow'";
    let jobs = [("dropped", ""), ("kept", keep)].map(job);
    let site = Site::new(ground, "", &jobs.concat());
    let last_of = |name: &str| runs(&site, name).last().map_or(0, |run| run.slot());
    let mut web = site.start("web-1").ready();
    until("both have run", || ["dropped", "kept"].iter().all(|name| last_of(name) > 0));
    assert_eq!(web.drain(), 0);
    let [dropped, kept] = ["dropped", "kept"].map(last_of);
    until("three slots have passed", || book::now() > dropped.max(kept) as f64 + 7.5);
    let mut db = site.start("db-1").ready();
    let missed = db.wait("slot.missed");
    assert_eq!((&missed["job"], &missed["reason"]), (&"dropped".into(), &"no_node".into()));
    assert_eq!(second(missed["slot"].as_str().unwrap()), dropped + 2, "{missed}");
    assert!(missed["count"].as_i64() >= Some(3), "{missed}");

    let mut web = site.start("web-1").ready();
    let back = book::now();
    until("they go on", || ["dropped", "kept"].iter().all(|name| last_of(name) as f64 > back));
    let every: BTreeSet<_> = (kept + 2..=back as i64).filter(|at| at % 2 == 0).collect();
    until("all are caught up", || {
        let ran: BTreeSet<_> = runs(&site, "kept").iter().map(|run| run.slot()).collect();
        ran.is_superset(&every)
    });
    for node in [&mut web, &mut db] {
        assert_eq!(node.drain(), 0);
    }
    assert_eq!(entries(&site, "kept").iter().filter(|entry| entry.is_missed()).count(), 0);
    let missed = second(missed["slot_to"].as_str().unwrap());
    for run in runs(&site, "dropped").iter().chain(&runs(&site, "kept")) {
        assert_eq!(run.line.node, "web-1");
        let was_missed = (dropped + 1..=missed).contains(&run.slot());
        assert!(run.line.key.0 == "kept" || !was_missed, "{run:?}");
    }
}

fn a_slot_is_taken_over_only_by_a_node_that_may_run_it(ground: Ground) {
    let shell = format!("{TESTIFY}; {FIRST} && exec sleep 600; true");
    let keys = "nodes = ['web-*']\nlease_ttl = '1s'\noverlap = 'allow'";
    let site = Site::new(ground, "", &every_second("job", &shell, keys));
    let mut doomed = site.start("web-1").ready();
    let run_id = site.first_run();
    let lost = doomed.wait_where("run.started", |record| record["run_id"] == *run_id);
    let mut db = site.start("db-1").ready();
    doomed.kill9();
    let slot = lost["slot"].as_str().unwrap();
    until("its lease has lapsed", || {
        site.ask(&["slot", "job", slot, "--format", "json"]).contains("\"lapsed\"")
    });
    // Time to sweep.
    let since = book::now();
    until("three seconds have passed", || book::now() > since + 3.0);
    assert_eq!(db.count("slot.taken_over", |_| true) + db.count("slot.claimed", |_| true), 0);
    let mut web = site.start("web-2").ready();
    let taken = web.wait_where("slot.taken_over", |record| record["slot"] == *slot);
    assert_eq!(taken["from"], "web-1");
    let again = web.wait_where("run.finished", |record| record["slot"] == *slot);
    assert_eq!((&again["attempt"], &again["outcome"]), (&2.into(), &"succeeded".into()));
    for node in [&mut web, &mut db] {
        assert_eq!(node.drain(), 0);
    }
}

/// Six jobs, all due at one second that is about to come, on three nodes that run one
/// each.
fn crowd(ground: Ground, keys: &str, work: &str) -> (Site, [Node; 3]) {
    // The lock is of the node: who finds it taken is one too many.
    let shell = format!(
        r#"exec 8>"lock-$SOLOCRON_NODE"; flock -n 8 || echo "$SOLOCRON_JOB" >> crowded; {}"#,
        witnessed(work)
    );
    let due = format!("'{} *", (book::now() as i64 + 5) % 60);
    let jobs = CROWD.map(|name| every_second(name, &shell, keys).replace("'* *", &due));
    let site = Site::new(ground, "max_running = 1", &jobs.concat());
    let nodes = site.start_all(["web-1", "web-2", "web-3"]);
    (site, nodes)
}

const CROWD: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn full_nodes_let_slots_wait_and_never_run_more_than_they_may(ground: Ground) {
    let (site, mut nodes) = crowd(ground, "start_within = '9s'", "sleep 1");
    until("all have run", || {
        CROWD.iter().all(|job| runs(&site, job).iter().any(|r| r.ended.is_some()))
    });
    storm::drain(&mut nodes);
    assert_eq!(site.lines("crowded"), [""; 0], "a node ran two at once");
    let runs = CROWD.map(|job| runs(&site, job)).concat();
    let first = runs.iter().map(|run| run.slot()).min();
    let by: BTreeSet<_> = runs.iter().map(|run| run.line.node.as_str()).collect();
    assert_eq!(by.len(), 3, "all have taken part: {by:?}");
    for job in CROWD {
        let ledger = entries(&site, job);
        assert!(ledger.iter().any(|entry| Some(entry.from()) == first), "{ledger:?}");
        assert!(ledger.iter().all(|entry| entry.outcome == "succeeded"), "{ledger:?}");
    }
}

fn slots_for_which_no_node_had_room_are_missed_as_full(ground: Ground) {
    let (site, mut nodes) = crowd(ground, "start_within = '2s'", "sleep 5");
    until("three have run, and the others were missed", || {
        let ledger = CROWD.map(|job| entries(&site, job)).concat();
        ledger.iter().filter(|entry| entry.is_missed()).count() >= 3
    });
    storm::drain(&mut nodes);
    assert_eq!(site.lines("crowded"), [""; 0], "a node ran two at once");
    let runs = CROWD.map(|job| runs(&site, job)).concat();
    assert_eq!(runs.len(), 3, "{runs:?}");
    for job in CROWD {
        let ledger = entries(&site, job);
        let [entry] = &ledger[..] else { panic!("not one entry: {ledger:?}") };
        let ran = runs.iter().any(|run| run.line.key.0 == job);
        let expected = if ran { ("succeeded", None) } else { ("missed", Some("full")) };
        assert_eq!((entry.outcome.as_str(), entry.reason.as_deref()), expected);
        for node in nodes.iter().filter(|_| !ran) {
            let told = node.all("slot.skipped", |record| record["job"] == job);
            assert_eq!(told.len(), 1, "{}: {told:?}", node.name);
            assert_eq!(
                (&told[0]["reason"], &told[0]["slot"]),
                (&"full".into(), &entry.slot.clone().into())
            );
        }
    }
}
