//! What a node asks of its store: round trips for its slots, and what it does when
//! there is nothing to do.

use std::time::Duration;

use solocron::clock::wall_now;

use crate::figures::{RUNS, median, median_of, sleep_until_millis};
use crate::harness::monitor::{Kind, Monitor};
use crate::harness::node::Node;
use crate::harness::processes::wake_ups;
use crate::harness::site::{Ground, Site};
use crate::harness::until_within;
use crate::row::Row;
use crate::work::nothings;

/// Slots due together; one call of a script takes so many.
const TOGETHER: usize = 100;
/// What ends while a batch of completions is under way is the next: runs that begin
/// together do not end at one instant.
const BATCHES: f64 = 3.0;

pub(crate) fn trips() -> Vec<Row> {
    let (claims, completions) = for_slots();
    let renewals = for_leases();
    vec![
        Row {
            what: format!("round trips: {TOGETHER} slots due together, one node"),
            floor: String::new(),
            must: format!("1 to claim; 1 per completion batch, {BATCHES} of them at most"),
            measured: format!("{claims:.1} to claim, {completions:.1} to complete"),
            reached: claims <= 1.0 && completions <= BATCHES,
        },
        Row {
            what: format!("round trips: {TOGETHER} leases, one node"),
            floor: String::new(),
            must: "1 renewal per quarter of the TTL".to_owned(),
            measured: format!("{renewals:.2}"),
            // The node renews a moment before a quarter is over, so as not to be late.
            reached: renewals <= 1.1,
        },
    ]
}

/// Calls for each second's slots: claims and completions.
fn for_slots() -> (f64, f64) {
    const SECONDS: i64 = 5;
    let site = Site::new(Ground::FleetingRedis, "", &nothings(TOGETHER, "* * * * * *"));
    let _node = site.start("web-1").ready();
    let (mut claims, mut completions) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        // In the middle of a second nothing is under way.
        let begin = wall_now().as_millisecond() / 1000 * 1000 + 1500;
        sleep_until_millis(begin);
        let monitor = Monitor::of(site.redis());
        sleep_until_millis(begin + 1000 * SECONDS);
        let calls = monitor.end();
        let each = |kind| calls.get(&kind).copied().unwrap_or(0) as f64 / SECONDS as f64;
        claims.push(each(Kind::Claim));
        completions.push(each(Kind::Completion));
    }
    (median(claims), median(completions))
}

/// Renewals of many leases in each quarter of their TTL.
fn for_leases() -> f64 {
    const TTL: f64 = 4.0;
    let job = |n| {
        format!(
            "[jobs.long-{n}]\nschedule = '*/5 * * * * *'\ncommand = ['sleep', '600']\n\
             lease_ttl = '{TTL}s'\n"
        )
    };
    let jobs: String = (0..TOGETHER).map(job).collect();
    let site = Site::new(Ground::FleetingRedis, "drain_timeout = '0s'", &jobs);
    let node = site.start("web-1").ready();
    until_within(Duration::from_secs(60), "all run", || {
        node.count("run.started", |_| true) == TOGETHER
    });
    let quarters = 5;
    let count = || {
        let monitor = Monitor::of(site.redis());
        std::thread::sleep(Duration::from_secs_f64(TTL / 4.0 * f64::from(quarters)));
        let renewals = monitor.end().get(&Kind::Renewal).copied().unwrap_or(0);
        renewals as f64 / f64::from(quarters)
    };
    median_of(count)
}

pub(crate) fn idle() -> Vec<Row> {
    const JOBS: usize = 100;
    const COMMANDS: f64 = 2.0;
    const WAKE_UPS: f64 = 20.0;
    let site = Site::new(Ground::FleetingRedis, "", &nothings(JOBS, "0 3 1 1 *"));
    let node = site.start("web-1").ready();
    // What is told and asked only at the start is over.
    std::thread::sleep(Duration::from_secs(3));
    let seen: Vec<_> = std::iter::repeat_with(|| idleness(&site, &node)).take(RUNS).collect();
    let commands = median(seen.iter().map(|one| one.0).collect());
    let wake_ups = median(seen.iter().map(|one| one.1).collect());
    let row = |what: &str, most: f64, measured: f64| Row {
        what: format!("idle node, {JOBS} jobs: {what}"),
        floor: String::new(),
        must: format!("under {most} a second"),
        measured: format!("{measured:.1}"),
        reached: measured < most,
    };
    vec![row("store commands", COMMANDS, commands), row("wake-ups", WAKE_UPS, wake_ups)]
}

/// Commands and wake-ups in a second.
fn idleness(site: &Site, node: &Node) -> (f64, f64) {
    const SECONDS: u64 = 5;
    let monitor = Monitor::of(site.redis());
    let before = wake_ups(node.pid());
    std::thread::sleep(Duration::from_secs(SECONDS));
    let woken = wake_ups(node.pid()) - before;
    let commands: usize = monitor.end().values().sum();
    (commands as f64 / SECONDS as f64, woken as f64 / SECONDS as f64)
}
