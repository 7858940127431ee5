//! Many jobs due each second: how late their claims are resolved, and whether a slot is
//! lost, beside the callbacks of tokio-cron-scheduler.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use solocron::clock::wall_now;
use tokio_cron_scheduler::{Job, JobScheduler};

use crate::figures::{RUNS, at, median, sleep_until_millis};
use crate::harness::site::{Ground, Site};
use crate::quiet::{QuietNode, Told};
use crate::row::Row;
use crate::work::nothings;

const P99: f64 = 5.0;
/// Between the start and the first second that counts: the peer's jobs need as long.
const SETTLING: i64 = 3;

/// Seconds since 1970, from and before which slots count.
#[derive(Debug, Clone, Copy)]
struct Span {
    from: i64,
    before: i64,
}

impl Span {
    /// So many seconds, soon.
    fn soon(seconds: i64) -> Self {
        let from = wall_now().as_second() + SETTLING;
        Self { from, before: from + seconds }
    }

    fn has(self, second: i64) -> bool {
        (self.from..self.before).contains(&second)
    }

    /// Sleeps until two seconds after its end: what is that late is not lost.
    fn sleep_out(self) {
        sleep_until_millis(1000 * (self.before + 2));
    }
}

pub(crate) fn lateness() -> Vec<Row> {
    const JOBS: usize = 1_000;
    const SECONDS: i64 = 4;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let (span, told) = of_node(JOBS, SECONDS);
        let resolved = told.iter().filter(|one| one.is_verdict() && span.has(second(one)));
        ours.push(at(0.99, resolved.map(Told::late_millis).collect()));
        theirs.push(at(0.99, of_peer(JOBS, SECONDS).into_iter().map(|(_, late)| late).collect()));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    vec![Row {
        what: format!("lateness, {JOBS} jobs each second: due instant to the claim's verdict"),
        floor: format!("tokio-cron-scheduler, to its callback: p99 {theirs:.0} ms"),
        must: format!("p99 at most {P99} ms"),
        measured: format!("p99 {ours:.1} ms"),
        reached: ours <= P99,
    }]
}

pub(crate) fn loss() -> Vec<Row> {
    const JOBS: usize = 10_000;
    const SECONDS: i64 = 30;
    let all = JOBS * SECONDS as usize;
    let (span, told) = of_node(JOBS, SECONDS);
    let count = |event: &str| {
        let slots = told.iter().filter(|one| one.event == event && span.has(second(one)));
        slots.map(|one| (&one.job, one.slot)).collect::<HashSet<_>>().len()
    };
    let (won, ended) = (count("slot.claimed"), count("run.finished"));
    let late = told.iter().filter(|one| one.is_verdict() && span.has(second(one)));
    let late = at(0.99, late.map(Told::late_millis).collect());
    let called = of_peer(JOBS, SECONDS).len();
    let lost = |had: usize| 100.0 * (1.0 - had as f64 / all as f64);
    vec![Row {
        what: format!("loss: {JOBS} jobs each second for {SECONDS} s, one node"),
        floor: format!("tokio-cron-scheduler lost {:.1} % of its callbacks", lost(called)),
        must: "no slot lost".to_owned(),
        measured: format!(
            "{won} of {all} slots claimed, {ended} completed; verdicts p99 {late:.0} ms late"
        ),
        reached: won == all && ended == all,
    }]
}

fn second(told: &Told) -> i64 {
    told.slot.unix_seconds()
}

/// What a node with so many jobs, all due each second, told of slots; which of them count.
fn of_node(jobs: usize, seconds: i64) -> (Span, Vec<Told>) {
    let history = "history = { keep = '1h', per_job = 10 }";
    let site = Site::new(Ground::FleetingRedis, history, &nothings(jobs, "* * * * * *"));
    let node = QuietNode::start(&site, "web-1");
    let span = Span::soon(seconds);
    span.sleep_out();
    (span, node.end())
}

/// Each callback of tokio-cron-scheduler with the second that it was for, and how many
/// milliseconds after that it came. It is given no slot: the second in which it comes.
fn of_peer(jobs: usize, seconds: i64) -> Vec<(i64, f64)> {
    let calls = Arc::new(Mutex::new(Vec::new()));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let span = runtime.block_on(async {
        let mut scheduler = JobScheduler::new().await.unwrap();
        for _ in 0..jobs {
            let calls = Arc::clone(&calls);
            let called = move |_, _: JobScheduler| {
                let now = wall_now();
                let late = f64::from(now.subsec_nanosecond()) / 1e6;
                calls.lock().unwrap().push((now.as_second(), late));
            };
            scheduler.add(Job::new("* * * * * *", called).unwrap()).await.unwrap();
        }
        scheduler.start().await.unwrap();
        let span = Span::soon(seconds);
        tokio::task::spawn_blocking(move || span.sleep_out()).await.unwrap();
        scheduler.shutdown().await.unwrap();
        span
    });
    runtime.shutdown_timeout(Duration::from_secs(5));
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    calls.into_iter().filter(|(second, _)| span.has(*second)).collect()
}
