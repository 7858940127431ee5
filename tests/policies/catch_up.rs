//! `catch_up`: slots that came while no node was up, while the store was away, or while
//! the nodes slept. What becomes of them is what the pure function says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use solocron::clock::ClusterTime;
use solocron::config::{Overrides, ThisMachine, load_text};
use solocron::ledger::missed::closed_slots;
use solocron::policy::Overlap;
use solocron::policy::catch_up::Backlog;
use solocron::slot::SlotTime;
use solocron::table::Job;

use crate::book::{self, Entry, entries, instant, runs, witnessed};
use crate::harness::node::Node;
use crate::harness::site::{Ground, Site};
use crate::harness::until;

on_every_store! {
    slots_that_no_node_was_up_for_are_caught_up_as_the_job_says
    slots_that_the_store_was_away_for_are_caught_up_as_the_job_says
    slots_that_the_nodes_slept_through_are_caught_up_as_the_job_says
}

/// Between two slots, in seconds. Windows are of one second, so there is time to
/// begin again between two slots.
const EVERY: i64 = 2;

/// So many slots are missed.
const MISSED: i64 = 5;

/// The jobs, what they say of catching up, and how many of the five slots
/// that is.
const JOBS: [(&str, &str, usize); 9] = [
    ("none", "catch_up = 'none'", 0),
    ("latest", "catch_up = 'latest'\ncatch_up_window = '1h'", 1),
    ("latest-if-young", "catch_up = 'latest'\ncatch_up_window = '1s'", 0),
    // Its windows are as long as from slot to slot: the fifth still runs by itself.
    ("latest-runs", "catch_up = 'latest'\ncatch_up_window = '1h'\nstart_within = '2s'", 0),
    ("all", "catch_up = 'all'\ncatch_up_window = '1h'", 5),
    ("all-in-turn", "catch_up = 'all'\ncatch_up_window = '1h'\noverlap = 'wait'", 5),
    ("all-beside", "catch_up = 'all'\ncatch_up_window = '1h'\noverlap = 'allow'", 5),
    ("all-young", "catch_up = 'all'\ncatch_up_window = '5s'", 2),
    ("all-two", "catch_up = 'all'\ncatch_up_window = '1h'\ncatch_up_limit = 2", 2),
];

/// A cluster whose jobs have missed slots, and have gone on.
struct Absence {
    site: Site,
    nodes: Vec<Node>,
    /// The last slot of before.
    last: i64,
    /// When somebody could begin to look at what was missed, in seconds since 1970.
    back: f64,
    reason: &'static str,
}

fn site(ground: Ground) -> Site {
    let job = |(name, keys, _): (&str, &str, usize)| {
        let work = witnessed("sleep 0.3");
        let window = if keys.contains("start_within") { "" } else { "start_within = '1s'" };
        format!(
            "[jobs.{name}]\nschedule = '*/{EVERY} * * * * *'\n{window}\n\
             shell = '''{work}'''\n{keys}\n"
        )
    };
    Site::new(ground, "", &JOBS.map(job).concat())
}

/// Waits until every job has run a slot, the same for all, that came after `after`, and
/// none of them runs any more; that slot.
fn quiet_after(site: &Site, after: f64) -> i64 {
    let mut last = 0;
    until("every job has run, and rests", || {
        let newest = JOBS.map(|(name, ..)| {
            let ended = runs(site, name).into_iter().filter(|run| run.ended.is_some());
            ended.map(|run| run.slot()).max().unwrap_or(0)
        });
        last = newest[0];
        // The end of the runs is in the ledger, and the next slot is not close.
        let since = book::now() - last as f64;
        newest.iter().all(|&at| at == last) && last as f64 > after && since > 1.3 && since < 1.9
    });
    last
}

/// What is tested is an absence of a certain length: until a moment after the start
/// window of the fifth slot after `last` has closed.
fn sleep_for_five_slots(last: i64) {
    let until = (last + MISSED * EVERY) as f64 + 1.3;
    std::thread::sleep(Duration::from_secs_f64((until - book::now()).max(0.0)));
}

fn slots_that_no_node_was_up_for_are_caught_up_as_the_job_says(ground: Ground) {
    let site = site(ground);
    let mut before = site.start_all(["web-1", "web-2", "web-3"]);
    let last = quiet_after(&site, 0.0);
    before.iter_mut().for_each(|node| assert_eq!(node.drain(), 0));
    sleep_for_five_slots(last);
    let back = book::now();
    let nodes = site.start_all(["web-1", "web-2"]).into();
    Absence { site, nodes, last, back, reason: "no_node" }.judge();
}

fn slots_that_the_store_was_away_for_are_caught_up_as_the_job_says(ground: Ground) {
    let mut site = site(ground);
    let nodes = site.start_all(["web-1", "web-2"]);
    let last = quiet_after(&site, 0.0);
    site.take_store_away();
    sleep_for_five_slots(last);
    let back = book::now();
    site.bring_store_back();
    Absence { site, nodes: nodes.into(), last, back, reason: "store_down" }.judge();
}

fn slots_that_the_nodes_slept_through_are_caught_up_as_the_job_says(ground: Ground) {
    let site = site(ground);
    let nodes = site.start_all(["web-1", "web-2"]);
    let last = quiet_after(&site, 0.0);
    nodes.iter().for_each(|node| site.freeze(node));
    sleep_for_five_slots(last);
    let back = book::now();
    nodes.iter().for_each(|node| node.signal(Signal::SIGCONT));
    Absence { site, nodes: nodes.into(), last, back, reason: "late" }.judge();
}

/// What became of the slots that were missed: those that ran, and the others.
#[derive(Debug, PartialEq, Eq)]
struct Fate {
    ran: Vec<i64>,
    missed: Vec<i64>,
}

impl Absence {
    fn judge(mut self) {
        let gone_on = quiet_after(&self.site, (self.last + (MISSED + 1) * EVERY) as f64);
        self.nodes.iter_mut().for_each(|node| assert_eq!(node.drain(), 0));
        let config = std::fs::read_to_string(self.site.config()).unwrap();
        let loaded =
            load_text(&self.site.config(), &config, &Overrides::default(), &ThisMachine).unwrap();
        for (name, _, usual) in JOBS {
            let job = loaded.config.jobs.get(&name.parse().unwrap()).unwrap();
            self.judge_job(job, usual, gone_on);
        }
        let overlaps = self.site.lines("overlaps");
        let beside = overlaps.iter().filter(|line| line.starts_with("all-beside ")).count();
        assert_eq!(beside, overlaps.len(), "one after another: {overlaps:?}");
        assert!(beside >= 2, "where overlap = \"allow\" they run beside each other");
    }

    fn judge_job(&self, job: &Arc<Job>, usual: usize, gone_on: i64) {
        let name = job.name.as_str();
        let ledger = entries(&self.site, name);
        let mut fates: Vec<_> = self.moments(name, &ledger).map(|at| self.fate(job, at)).collect();
        fates.dedup();
        let slots: Vec<_> = fates[0].missed.iter().chain(&fates[0].ran).copied().collect();
        assert!(slots.len() >= MISSED as usize - 1, "{name}: {fates:?}");

        let ran = |at: i64| {
            let runs = ledger.iter().filter(|entry| !entry.is_missed() && entry.from() == at);
            runs.filter(|run| run.outcome == "succeeded" && run.attempt == Some(1)).count()
        };
        let missed = |at: i64| {
            let ranges = ledger.iter().filter(|entry| entry.is_missed());
            ranges.filter(|range| (range.from()..=range.to()).contains(&at)).count()
        };
        let mut at = self.last + EVERY;
        while at <= gone_on {
            assert_eq!(ran(at) + missed(at), 1, "{name} at {at} once: {ledger:#?}");
            at += EVERY;
        }
        let found = |fate: &Fate| Fate {
            ran: fate.all().filter(|&at| ran(at) == 1).collect(),
            missed: fate.all().filter(|&at| missed(at) == 1).collect(),
        };
        // Settled in two steps, it is as at the later one.
        let fate = fates.iter().rev().find(|fate| found(fate) == **fate);
        let fate = fate.unwrap_or_else(|| panic!("{name}: none of {fates:?}: {ledger:#?}"));
        assert!(fates.len() > 1 || fate.ran.len() == usual, "{name}: {fate:?}");
        self.judge_missed(name, fate, &ledger);
        self.judge_ran(job, fate);
    }

    /// One range, and the reason.
    fn judge_missed(&self, name: &str, fate: &Fate, ledger: &[Entry]) {
        let Some(first) = fate.missed.first() else { return };
        let ranges: Vec<_> = ledger
            .iter()
            .filter(|entry| entry.is_missed() && entry.to() >= *first)
            .filter(|entry| fate.missed.contains(&entry.from()))
            .collect();
        let [range] = ranges[..] else { panic!("{name}: not one range: {ranges:?}") };
        assert_eq!(range.reason.as_deref(), Some(self.reason), "{name}: {range:?}");
        assert_eq!(range.count, Some(fate.missed.len() as i64), "{name}: {range:?}");
    }

    /// Oldest first, each once.
    fn judge_ran(&self, job: &Job, fate: &Fate) {
        let runs = runs(&self.site, job.name.as_str());
        let caught_up = runs.iter().map(|run| run.slot()).filter(|at| fate.ran.contains(at));
        let mut caught_up: Vec<_> = caught_up.collect();
        if job.policies.overlap == Overlap::Allow {
            // They begin together.
            caught_up.sort_unstable();
        }
        assert_eq!(caught_up, fate.ran, "{}: {runs:?}", job.name);
    }

    /// When somebody may have looked at what was missed: from when that was possible to
    /// when there was a sign of it.
    fn moments(&self, job: &str, ledger: &[Entry]) -> impl Iterator<Item = f64> + use<> {
        let logs = self.nodes.iter().flat_map(Node::log);
        let signs = logs.filter(|logged| logged.text("job") == job).filter(|logged| {
            let caught_up = logged.text("message").contains("are caught up");
            logged.text("event") == "slot.missed" || caught_up
        });
        let told = signs.map(|logged| instant(logged.text("timestamp")));
        let begun = ledger.iter().filter(|entry| !entry.is_missed() && entry.from() > self.last);
        let first = told.filter(|&at| at > self.back).chain(begun.map(Entry::started));
        let (from, to) = (self.back, first.fold(f64::INFINITY, f64::min));
        assert!(from < to && to < from + 20.0, "{job} was settled from {from} to {to}");
        (0..).map(move |n| from + 0.1 * f64::from(n)).take_while(move |at| *at < to).chain([to])
    }

    /// What becomes of the slots that nobody ran by `at`.
    fn fate(&self, job: &Job, at: f64) -> Fate {
        let now = ClusterTime::from_unix_micros((at * 1e6) as i64);
        let slots = closed_slots(job, SlotTime::from_unix_seconds(self.last), now);
        let newest = *slots.last().expect("some have closed");
        let next = job.schedule.next_after(newest).expect("it goes on");
        let backlog = Backlog { slots: &slots, newer: job.due(next) <= now };
        let plan = job.policies.catch_up.plan(backlog, now, |at| job.due(at));
        let seconds = |slots: &[SlotTime]| slots.iter().map(|at| at.unix_seconds()).collect();
        Fate { ran: seconds(plan.run), missed: seconds(plan.missed) }
    }
}

impl Fate {
    fn all(&self) -> impl Iterator<Item = i64> {
        let all: BTreeSet<_> = self.missed.iter().chain(&self.ran).copied().collect();
        all.into_iter()
    }
}
