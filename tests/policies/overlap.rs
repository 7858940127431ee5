//! `overlap`: three replicas, and a job that is due every second and runs for two and
//! a half. Runs that overlap are found out by a lock that their processes hold.

use std::collections::BTreeSet;

use nix::sys::signal::Signal;

use crate::book::{self, Entry, Run, entries, runs, uptime, witnessed};
use crate::harness::node::Node;
use crate::harness::oracle::Scope;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::storm;

on_every_store! {
    with_skip_a_slot_that_comes_during_a_run_is_missed_and_the_next_runs
    with_allow_every_slot_runs_beside_the_others
    with_wait_the_newest_slot_runs_after_the_one_before_and_those_between_are_missed
    with_replace_a_slot_runs_when_the_run_before_is_ended_and_gone
    a_run_is_replaced_also_by_a_slot_that_another_node_takes
    a_waiting_slot_outlives_its_start_window
    a_holder_that_is_killed_wedges_no_job
}

/// A busy machine may be late by so much, in seconds: what is decided by less may be
/// either.
const LATE: f64 = 1.0;

/// What a season of one job brought.
struct Season {
    site: Site,
    nodes: [Node; 3],
    scope: Scope,
    /// All runs, also those before and after the scope.
    runs: Vec<Run>,
    missed: BTreeSet<i64>,
}

/// A job of the mode, with three replicas for some seconds.
fn season(ground: Ground, overlap: &str, work: &str, seconds: i64) -> Season {
    let keys = format!(
        "overlap = '{overlap}'\nstart_within = '15s'\nkill_grace = '300ms'\nlease_ttl = '10s'"
    );
    let jobs = every_second("job", &witnessed(work), &keys);
    let site = Site::new(ground, "drain_timeout = '10s'", &jobs);
    let nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let after = storm::begin(&nodes);
    let scope = Scope {
        jobs: vec!["job".to_owned()],
        after,
        upto: storm::pass(&nodes, seconds),
        ..Scope::default()
    };
    storm::settle(&site, &scope);
    let missed = missed(&entries(&site, "job"), &scope);
    let runs = runs(&site, "job");
    Season { site, nodes, scope, runs, missed }
}

/// The slots of `scope` that were missed, all because of `overlap`.
fn missed(entries: &[Entry], scope: &Scope) -> BTreeSet<i64> {
    let missed = entries.iter().filter(|entry| entry.is_missed());
    let slots = missed.flat_map(|entry| {
        assert_eq!(entry.reason.as_deref(), Some("overlap"), "{entry:?}");
        assert_eq!(entry.count, Some(entry.to() - entry.from() + 1), "{entry:?}");
        entry.from()..=entry.to()
    });
    slots.filter(|&at| scope.after < at && at <= scope.upto).collect()
}

impl Season {
    /// Nothing is wrong in the file, the ledger and the logs.
    fn judge(mut self) {
        let overlaps = self.site.lines("overlaps");
        assert_eq!(overlaps, [""; 0], "a run began while another of its job still lived");
        self.nodes.iter().for_each(Node::terminate);
        self.nodes.iter_mut().for_each(|node| assert!(node.drained() <= 1));
        let account = storm::judge(&self.site.evidence(&self.nodes), &self.scope);
        println!("{account:?}");
    }

    /// The runs of the scope, each with the one before it.
    fn pairs(&self) -> Vec<(&Run, &Run)> {
        let pairs = self.runs.iter().zip(&self.runs[1..]);
        let within = |run: &Run| self.scope.has(&run.line.key);
        let pairs: Vec<_> = pairs.filter(|(a, b)| within(a) && within(b)).collect();
        assert!(pairs.len() >= 2, "there is something to look at: {:?}", self.runs);
        pairs
    }

    /// The ranges in which slots between two runs were missed.
    fn ranges_between(&self, before: &Run, run: &Run) -> usize {
        let between = |entry: &&Entry| {
            entry.is_missed() && before.slot() < entry.from() && entry.to() < run.slot()
        };
        entries(&self.site, "job").iter().filter(between).count()
    }

    /// The slots between two runs were missed, and nothing else is said of them.
    fn assert_missed_between(&self, before: &Run, run: &Run) {
        assert!(before.slot() < run.slot(), "they ran in their order: {before:?}, {run:?}");
        for at in before.slot() + 1..run.slot() {
            assert!(self.missed.contains(&at), "{at} between {before:?} and {run:?}");
        }
    }
}

fn with_skip_a_slot_that_comes_during_a_run_is_missed_and_the_next_runs(ground: Ground) {
    let season = season(ground, "skip", "sleep 2.5", 11);
    let ran: BTreeSet<_> = season.runs.iter().map(Run::slot).collect();
    let mut told = 0;
    for at in season.scope.after + 1..=season.scope.upto {
        let due = uptime(at as f64);
        let earlier = || season.runs.iter().filter(|run| run.slot() < at);
        let expected = if earlier().any(|run| due + LATE <= run.end()) {
            Some(false)
        } else if earlier().next().is_some() && earlier().all(|run| run.end() + LATE <= due) {
            Some(true)
        } else {
            None
        };
        told += usize::from(expected == Some(false));
        if let Some(expected) = expected {
            assert_eq!(ran.contains(&at), expected, "{at}: {:?}", season.runs);
        }
        assert_ne!(ran.contains(&at), season.missed.contains(&at), "{at} is one of the two");
    }
    assert!(told >= 2, "slots came during runs: {:?}", season.runs);
    for (before, run) in season.pairs() {
        season.assert_missed_between(before, run);
        assert_eq!(season.ranges_between(before, run), 1, "{before:?}, {run:?}");
    }
    season.judge();
}

fn with_allow_every_slot_runs_beside_the_others(ground: Ground) {
    let mut season = season(ground, "allow", "sleep 2.5", 6);
    assert_eq!(season.missed, BTreeSet::new());
    assert!(season.site.lines("overlaps").len() >= 4, "the lock tells of runs that overlap");
    storm::drain(&mut season.nodes);
    storm::judge_all_ran(&season.site.evidence(&season.nodes), &season.scope);
}

fn with_wait_the_newest_slot_runs_after_the_one_before_and_those_between_are_missed(
    ground: Ground,
) {
    let season = season(ground, "wait", "sleep 2.5", 11);
    let mut waited = 0;
    for (before, run) in season.pairs() {
        season.assert_missed_between(before, run);
        assert!(season.ranges_between(before, run) <= 2, "{before:?}, {run:?}");
        assert!(before.end() <= run.begun(), "{before:?}, {run:?}");
        let (due, newer) = (uptime(run.slot() as f64), uptime(run.slot() as f64 + 1.0));
        assert!(run.begun() < newer + LATE, "a newer one was due: {before:?}, {run:?}");
        if due < before.end() {
            waited += 1;
            let wait = run.begun() - before.end();
            assert!(wait < LATE, "{wait} s after the end of the one before: {run:?}");
        }
    }
    assert!(waited >= 2, "slots waited: {:?}", season.runs);
    season.judge();
}

fn with_replace_a_slot_runs_when_the_run_before_is_ended_and_gone(ground: Ground) {
    // None ends by itself, and none hears TERM: KILL comes 300 ms later.
    let season = season(ground, "replace", "trap '' TERM; sleep 600", 8);
    let ledger = entries(&season.site, "job");
    for (before, run) in season.pairs() {
        season.assert_missed_between(before, run);
        let ended: Vec<_> = ledger
            .iter()
            .filter(|entry| entry.run_id.as_ref() == Some(&before.line.run_id))
            .collect();
        let [ended] = ended[..] else { panic!("{before:?} ended {ended:?}") };
        assert_eq!(ended.outcome, "cancelled", "{ended:?}");
        let gone = uptime(ended.finished());
        assert!(gone <= run.begun() + 0.02, "{before:?} was gone at {gone}, {run:?}");
        let holder = season.nodes.iter().find(|node| node.name == before.line.node);
        let told = holder.expect("a node ran it").count("control.cancelled", |record| {
            record["run_id"] == *before.line.run_id && record["cause"] == "replaced"
        });
        assert_eq!(told, 1, "its node says so: {before:?}");
        // A second until its node knows, 300 ms of grace, and what a busy machine takes.
        let took = run.begun() - uptime(run.slot() as f64);
        assert!(took < 2.5 + LATE, "{took} s after it was due: {run:?}");
    }
    season.judge();
}

fn a_run_is_replaced_also_by_a_slot_that_another_node_takes(ground: Ground) {
    let job = |node: &str| {
        let keys = format!("overlap = 'replace'\nnodes = ['{node}']");
        every_second("job", &witnessed("exec sleep 600"), &keys)
    };
    let site = Site::new(ground, "drain_timeout = '100ms'", &job("old"));
    let mut old = site.start("old").ready();
    old.wait("run.started");
    // From now on it takes no slot of the job, and what runs goes on.
    site.set_jobs(&job("new"));
    old.signal(Signal::SIGHUP);
    until("it has the other table", || old.count("config.loaded", |_| true) == 2);
    let mut new = site.start("new").ready();
    let started = new.wait("run.started");
    let replaced =
        old.log().into_iter().rfind(|logged| logged.text("event") == "control.cancelled");
    let replaced = replaced.expect("it was told").record;
    assert_eq!(replaced["cause"], "replaced");
    let ended = old.wait_where("run.finished", |record| record["run_id"] == replaced["run_id"]);
    assert_eq!(ended["outcome"], "cancelled");
    let fences = [&ended, &started].map(|record| record["fence"].as_u64());
    assert!(fences[0] < fences[1], "{ended} {started}");
    assert_eq!(old.drain(), 0, "it holds nothing any more");
    assert_eq!(new.drain(), 1, "its run had to be ended");
    assert_eq!(site.lines("overlaps"), [""; 0]);
}

fn a_waiting_slot_outlives_its_start_window(ground: Ground) {
    let keys = "overlap = 'wait'\nstart_within = '1s'";
    let job = every_second("job", &witnessed("sleep 5"), keys).replace("'* *", "'*/3 *");
    let site = Site::new(ground, "", &job);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    until("two slots have waited", || {
        let runs = runs(&site, "job");
        let waited = runs.iter().filter(|run| run.begun() > uptime(run.slot() as f64) + 1.2);
        waited.count() >= 2
    });
    storm::drain(&mut nodes);
    assert_eq!(site.lines("overlaps"), [""; 0]);
    for entry in entries(&site, "job") {
        match entry.is_missed() {
            true => assert_eq!(entry.reason.as_deref(), Some("overlap"), "{entry:?}"),
            false => assert_eq!(entry.outcome, "succeeded", "{entry:?}"),
        }
    }
}

fn a_holder_that_is_killed_wedges_no_job(ground: Ground) {
    const MODES: [&str; 5] = ["skip", "abandon", "allow", "wait", "replace"];
    let work = witnessed("[ $SOLOCRON_NODE = doomed ] && exec sleep 600; true");
    let jobs = MODES.map(|mode| {
        let keys = match mode {
            "abandon" => "on_crash = 'skip'".to_owned(),
            mode => format!("overlap = '{mode}'"),
        };
        every_second(mode, &work, &format!("{keys}\nlease_ttl = '2s'\nstart_within = '15s'"))
    });
    let site = Site::new(ground, "", &jobs.concat());
    let mut doomed = site.start("doomed").ready();
    for mode in MODES {
        doomed.wait_where("run.started", |record| record["job"] == mode);
    }
    let mut others = site.start_all(["web-2", "web-3"]);
    storm::pass(&others, 2);
    doomed.kill9();
    let killed = book::now();
    for mode in MODES {
        until(&format!("{mode} goes on"), || {
            runs(&site, mode).iter().any(|run| run.ended.is_some() && run.slot() as f64 > killed)
        });
    }
    let upto = storm::pass(&others, 1);
    let scope = Scope {
        jobs: MODES.map(str::to_owned).to_vec(),
        after: killed as i64,
        upto,
        ..Scope::default()
    };
    storm::settle(&site, &scope);
    storm::drain(&mut others);

    let overlaps = site.lines("overlaps");
    let wrong: Vec<_> = overlaps.iter().filter(|line| !line.starts_with("allow ")).collect();
    assert_eq!(wrong, [""; 0], "a run began while another of its job still lived");
    for mode in MODES {
        let ledger = entries(&site, mode);
        let of_doomed: Vec<_> =
            ledger.iter().filter(|entry| entry.node.as_deref() == Some("doomed")).collect();
        let lost = match mode {
            "abandon" => "abandoned",
            // Told to end it by the slot that takes its place, or just begun.
            "replace" => "cancelled",
            _ => "lease_lost",
        };
        let last = of_doomed.last().expect("it held a slot");
        if mode != "replace" || last.outcome != "lease_lost" {
            assert_eq!(last.outcome, lost, "{mode}: {last:?}");
        }
        for entry in of_doomed.iter().filter(|entry| entry.outcome == "lease_lost") {
            let again: Vec<_> = ledger
                .iter()
                .filter(|other| other.slot == entry.slot && other.attempt > entry.attempt)
                .map(|other| other.outcome.as_str())
                .collect();
            assert_eq!(again, ["succeeded"], "{mode}: {entry:?} was taken over");
        }
        for at in scope.after + 1..=scope.upto {
            let ends = ledger.iter().filter(|entry| {
                (entry.from()..=entry.to()).contains(&at)
                    && !["lease_lost", "handed_over"].contains(&&*entry.outcome)
            });
            assert_eq!(ends.count(), 1, "{mode} at {at}");
        }
    }
}
