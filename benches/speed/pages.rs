//! What it costs to look on: answers, metrics, the board in a real Chromium, and the
//! lateness of jobs while fifty stay and watch.

use std::fs::read_to_string;
use std::time::Duration;

use solocron::clock::{BootInstant, wall_now};
use solocron::name::JobName;

use crate::browser::Browser;
use crate::client::{Seen, Stream, with_tokens};
use crate::figures::{RUNS, at, median, millis};
use crate::harness::filled::fill;
use crate::harness::site::{Ground, Site};
use crate::harness::{ended_lines, until_within};
use crate::lateness::lateness;
use crate::row::Row;
use crate::work::{first_instruction, nothing};

const JOBS: usize = 1000;
const ENTRIES_EACH: usize = 100;

/// So often an answer is asked for, each time when the last reading is too old to be told
/// again.
const ASKED: usize = 15;
const BETWEEN: Duration = Duration::from_millis(600);
const ANSWER: f64 = 50.0;

const METRICS_JOBS: usize = 10_000;
const METRICS: f64 = 20.0;

const LOADS: usize = 11;
const BOARD: f64 = 1000.0;

const WATCHERS: usize = 50;
/// Slots of one run.
const SLOTS: usize = 12;
/// How much later a job may begin while they watch: what two runs of the same differ by.
const LATER: f64 = 1.0;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = of_much();
    rows.push(metrics());
    rows
}

/// All that is measured with a thousand jobs and a hundred thousand entries.
fn of_much() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let program = first_instruction(folder.path());
    let names: Vec<JobName> = (0..JOBS).map(|n| format!("job-{n:04}").parse().unwrap()).collect();
    let rare = |name: &JobName| {
        format!("[jobs.{name}]\nschedule = '0 0 1 1 *'\nshell = 'true'\ntags = ['nightly']\n")
    };
    let one = format!(
        "[jobs.one]\nschedule = '* * * * * *'\ncommand = ['{}', 'late']\ntags = ['one']\n",
        program.display()
    );
    let jobs: String = names.iter().map(rare).collect();
    let site = Site::new(Ground::FleetingRedis, "", &format!("{}{one}{jobs}", with_tokens()));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = site.store();
        fill(&*store, &names, ENTRIES_EACH).await;
        store.close().await;
    });
    vec![answers(&site), board(&site, &runtime), watched(&site)]
}

fn answers(site: &Site) -> Row {
    let mut seen = Seen::start(site, "web-1");
    let run = seen.get("/api/v1/jobs/job-0007/runs")[0]["run_id"].as_str().unwrap().to_owned();
    let mut told = Vec::new();
    for path in [
        "cluster".to_owned(),
        "jobs".to_owned(),
        "jobs?tag=one".to_owned(),
        "jobs/job-0007".to_owned(),
        "jobs/job-0007/runs".to_owned(),
        format!("runs/{run}"),
        "slots".to_owned(),
        "slots?job=job-0007".to_owned(),
        "nodes".to_owned(),
    ] {
        let ask = |_| {
            std::thread::sleep(BETWEEN);
            took(&seen, &format!("/api/v1/{path}"))
        };
        let median = median((0..ASKED).map(ask).collect());
        let path = if path.starts_with("runs/") { "runs/ID" } else { &path };
        told.push((median, path.replace("job-0007", "JOB")));
    }
    assert_eq!(seen.node.drain(), 0);
    let slowest = told.iter().map(|(took, _)| *took).fold(0.0, f64::max);
    let each: Vec<_> = told.iter().map(|(took, path)| format!("{path} {took:.1}")).collect();
    Row {
        what: format!("answers, {JOBS} jobs, {} ledger entries: median", JOBS * ENTRIES_EACH),
        floor: load(),
        must: format!("each under {ANSWER} ms"),
        measured: format!("slowest {slowest:.1} ms ({})", each.join(", ")),
        reached: slowest < ANSWER,
    }
}

/// Milliseconds until a good answer is read.
fn took(seen: &Seen, path: &str) -> f64 {
    let begun = BootInstant::now();
    let answer = seen.ask("GET", path);
    let took = millis(BootInstant::now().since(begun));
    assert_eq!(answer.status, 200, "{path}");
    took
}

fn board(site: &Site, runtime: &tokio::runtime::Runtime) -> Row {
    // Without tokens: nobody signs in.
    let open = site.folder().join("open.toml");
    let table = read_to_string(site.config()).unwrap().replace(&with_tokens(), "");
    std::fs::write(&open, format!("{table}\n[http]\nlisten = '127.0.0.1:0'\n")).unwrap();
    let mut seen = Seen::of(crate::harness::node::Node::start(&open, "web-1", |_| {}));
    let took = runtime.block_on(async {
        let browser = Browser::start().await;
        let page = format!("http://{}/", seen.address);
        let mut took = Vec::new();
        for _ in 0..LOADS {
            browser.goto("about:blank").await;
            browser.goto(&page).await;
            let shown = "performance.getEntriesByName('solocron.shown')[0]?.startTime";
            took.push(browser.until("the board is shown", shown).await.as_f64().unwrap());
        }
        took
    });
    assert_eq!(seen.node.drain(), 0);
    let median = median(took.clone());
    Row {
        what: format!("the board of {JOBS} jobs is painted, from the navigation on, Chromium"),
        floor: load(),
        must: format!("median under {BOARD} ms"),
        measured: format!("{median:.0} ms (worst of {LOADS}: {:.0})", at(1.0, took)),
        reached: median < BOARD,
    }
}

/// The lateness of a job while many watch, beside the same while nobody does, in turn.
fn watched(site: &Site) -> Row {
    let file = site.folder().join("late");
    let mut told = 0;
    let mut run = |watchers: usize| {
        let mut seen = Seen::start(site, "web-1");
        let streams: Vec<_> = (0..watchers).map(|_| Stream::begin(&seen, None)).collect();
        let readers: Vec<_> = streams
            .into_iter()
            .map(|mut stream| {
                std::thread::spawn(move || std::iter::from_fn(|| stream.next()).count())
            })
            .collect();
        // From here on: a node that has just started is not what is measured.
        let before = ended_lines(&file).len() + 2;
        until_within(Duration::from_secs(90), "the job has had its slots", || {
            ended_lines(&file).len() >= before + SLOTS
        });
        assert_eq!(seen.node.drain(), 0);
        let events: Vec<_> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        // What each run of the job is told as is more than one event.
        assert!(events.iter().all(|&events| events >= SLOTS), "all are told: {events:?}");
        told += events.iter().sum::<usize>();
        let late = lateness(&file);
        late[before..before + SLOTS].to_vec()
    };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        alone.extend(run(0));
        beside.extend(run(WATCHERS));
    }
    let figure = |late: &[f64]| (at(0.5, late.to_vec()), at(0.99, late.to_vec()));
    let ((usual, usual_p99), (late, late_p99)) = (figure(&alone), figure(&beside));
    Row {
        what: format!("lateness of a job, {WATCHERS} clients watch, {JOBS} jobs"),
        floor: format!("nobody watches: p50 {usual:.2} ms, p99 {usual_p99:.2}; {}", load()),
        must: format!("p50 at most {LATER} ms more, p99 at most twice that and {LATER} ms"),
        measured: format!("p50 {late:.2} ms, p99 {late_p99:.2}, {told} events told"),
        reached: late <= usual + LATER && late_p99 <= usual_p99 * 2.0 + LATER,
    }
}

/// What Prometheus scrapes where each job has runs to tell of.
fn metrics() -> Row {
    // Each once, a few seconds from now.
    let site = Site::new(Ground::FleetingRedis, "", &with_tokens());
    let due = wall_now() + Duration::from_secs(20);
    let due = due.strftime("%S %M %H * * *").to_string();
    let jobs: String = (0..METRICS_JOBS).map(|n| nothing(&format!("job-{n:05}"), &due)).collect();
    site.set_jobs(&format!("{}{jobs}", with_tokens()));
    let mut seen = Seen::start(&site, "web-1");
    until_within(Duration::from_secs(90), "each job has had a run", || {
        seen.node.count("run.finished", |_| true) >= METRICS_JOBS
    });
    let told = seen.ask("GET", "/metrics").text();
    let of_jobs = told.lines().filter(|line| line.contains("job=\"job-")).count();
    assert!(of_jobs >= METRICS_JOBS, "each job is in it: {of_jobs}");
    let ask = |_| {
        std::thread::sleep(BETWEEN);
        took(&seen, "/metrics")
    };
    let median = median((0..ASKED).map(ask).collect());
    assert_eq!(seen.node.drain(), 0);
    Row {
        what: format!("`/metrics`, {METRICS_JOBS} jobs with runs: median"),
        floor: load(),
        must: format!("under {METRICS} ms"),
        measured: format!("{median:.1} ms, {} KiB", told.len() / 1024),
        reached: median < METRICS,
    }
}

/// How busy the machine is with whatever else.
fn load() -> String {
    let average = read_to_string("/proc/loadavg").unwrap_or_default();
    let last_minute = average.split(' ').next().unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("load {last_minute} on {cores} cores")
}
