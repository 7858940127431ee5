//! Three replicas that race for the slots of many jobs due together, and how equally
//! they share them when they are idle.

use std::collections::BTreeMap;

use solocron::clock::wall_now;

use crate::figures::{RUNS, median, sleep_until_millis};
use crate::harness::site::{Ground, Site};
use crate::quiet::{QuietNode, Told};
use crate::row::Row;
use crate::work::nothings;

const REPLICAS: usize = 3;
const WON: f64 = 1.5;
const RESOLVED: f64 = 3.0;
const SHARE: f64 = 45.0;

/// How long it took from the due instant, or from the first verdict where that came
/// before, in milliseconds.
#[derive(Debug, Clone, Copy)]
struct Race {
    all_won: f64,
    all_resolved: f64,
}

pub(crate) fn rows() -> Vec<Row> {
    const JOBS: usize = 10_000;
    let alone = races(1, JOBS);
    let three = races(REPLICAS, JOBS);
    let whole = alone.len().min(three.len());
    if whole < RUNS {
        // The machine had no time for it: a replica left slots without a verdict.
        eprintln!("only {whole} races were whole, and {RUNS} are needed");
    }
    let figure = |races: &[Race], of: fn(&Race) -> f64| match races {
        [] => f64::NAN,
        races => median(races.iter().map(of).collect()),
    };
    let [alone_won, won] = [&alone, &three].map(|races| figure(races, |race| race.all_won));
    let resolved = figure(&three, |race| race.all_resolved);
    vec![Row {
        what: format!("{REPLICAS} replicas racing for {JOBS} slots due together"),
        floor: format!("one replica alone won all in {alone_won:.0} ms"),
        must: format!("all won within {WON} times, all resolved within {RESOLVED} times"),
        measured: format!(
            "won {:.2} times ({won:.0} ms), resolved {:.2} times ({resolved:.0} ms)",
            won / alone_won,
            resolved / alone_won
        ),
        reached: whole >= RUNS && won <= WON * alone_won && resolved <= RESOLVED * alone_won,
    }]
}

/// The slots of so many replicas that all have `jobs`, due every ten seconds.
fn races(replicas: usize, jobs: usize) -> Vec<Race> {
    const EVERY: i64 = 10;
    // Some to spare: the first may come while the replicas start, the last while they end.
    let seconds = EVERY * (RUNS as i64 + 2);
    let told = contest(replicas, &nothings(jobs, "*/10 * * * * *"), seconds);
    let mut of_slots: BTreeMap<_, Vec<&Told>> = BTreeMap::new();
    for one in told.iter().flatten().filter(|one| one.is_verdict()) {
        of_slots.entry(one.slot).or_default().push(one);
    }
    of_slots.retain(|_, told| told.len() == replicas * jobs);
    of_slots.values().map(|told| race(told)).collect()
}

fn race(told: &[&Told]) -> Race {
    let first = told.iter().map(|one| one.late_millis()).fold(0.0, f64::min);
    let last = |told: &mut dyn Iterator<Item = &&Told>| {
        told.map(|one| one.late_millis() - first).fold(0.0, f64::max)
    };
    Race {
        all_won: last(&mut told.iter().filter(|one| one.is_win())),
        all_resolved: last(&mut told.iter()),
    }
}

pub(crate) fn spread() -> Vec<Row> {
    const JOBS: usize = 100;
    const SECONDS: i64 = 30;
    let told = contest(REPLICAS, &nothings(JOBS, "* * * * * *"), SECONDS);
    let wins: Vec<_> =
        told.iter().map(|told| told.iter().filter(|one| one.is_win()).count()).collect();
    let all: usize = wins.iter().sum();
    let most = 100.0 * *wins.iter().max().unwrap() as f64 / all as f64;
    vec![Row {
        what: format!("spread: {REPLICAS} equal idle replicas, {all} slots"),
        floor: String::new(),
        must: format!("none takes more than {SHARE} %"),
        measured: format!("the first takes {most:.1} %, each {wins:?}"),
        reached: all >= JOBS * SECONDS as usize && most <= SHARE,
    }]
}

/// What each of so many replicas told in at least so many seconds.
fn contest(replicas: usize, jobs: &str, seconds: i64) -> Vec<Vec<Told>> {
    let history = "history = { keep = '1h', per_job = 10 }";
    let site = Site::new(Ground::FleetingRedis, history, jobs);
    let start = |n| QuietNode::start(&site, &format!("web-{n}"));
    let nodes: Vec<_> = (1..=replicas).map(start).collect();
    sleep_until_millis(wall_now().as_millisecond() + 1000 * (seconds + 2));
    nodes.into_iter().map(QuietNode::end).collect()
}
