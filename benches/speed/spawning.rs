//! Processes: many runs that are due together, and what a keeper adds to one.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use solocron::claim::{Fence, Token};
use solocron::clock::{BootInstant, wall_now};
use solocron::name::{ClusterName, NodeName};
use solocron::run::{Identity, Orders, OutputSink, Report, Stop, Stream, Task, Trust, execute};
use solocron::table::Work;
use tokio::sync::{oneshot, watch};

use crate::figures::{RUNS, median, millis, sleep_until_millis};
use crate::harness::site::{Ground, Site};
use crate::memory::kilobytes;
use crate::quiet::QuietNode;
use crate::row::Row;

/// So many runs are due together, ...
const TOGETHER: usize = 1_000;
/// ... every so many seconds: time enough for them and for the peers in between.
const EVERY: i64 = 20;

/// So often a single start is measured, and so many keepers are weighed.
const STARTS: usize = 300;
const KEEPERS: usize = 10;

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = together();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    rows.extend(runtime.block_on(keeper()));
    rows
}

fn together() -> Vec<Row> {
    let job = |n| {
        format!(
            "[jobs.job-{n:04}]\nschedule = '*/{EVERY} * * * * *'\ncommand = ['true']\n\
             start_within = '10s'\n"
        )
    };
    let site = Site::new(Ground::Redis, "", &(0..TOGETHER).map(job).collect::<String>());
    let node = QuietNode::start(&site, "web-1");
    let first = wall_now().as_second().div_euclid(EVERY) * EVERY + EVERY;
    let (mut bare, mut kept) = (Vec::new(), Vec::new());
    for round in 0..RUNS as i64 {
        // The peers take turns with the node, half a round later.
        sleep_until_millis((first + round * EVERY + EVERY / 2) * 1000);
        bare.push(by_xargs(&["true"]));
        kept.push(by_xargs(&["timeout", "3600", "true"]));
    }
    let told = node.end();
    let of_round = |round: i64| {
        let of_it = |second: i64| second == first + round * EVERY;
        let ended = told.iter().filter(|one| one.event == "run.finished");
        let ended: Vec<_> = ended.filter(|one| of_it(one.slot.unix_seconds())).collect();
        assert_eq!(ended.len(), TOGETHER, "every run ended");
        ended.iter().map(|one| one.late).max().unwrap() as f64 / 1000.0
    };
    let ours = median((0..RUNS as i64).map(of_round).collect());
    let row = |peer: &str, theirs: f64, most: f64| Row {
        what: format!("{TOGETHER} runs of `true` due together, from their slot to the last end"),
        floor: format!("{peer}: {theirs:.0} ms"),
        must: format!("within {most} times"),
        measured: format!("{ours:.0} ms, {:.2} times", ours / theirs),
        reached: ours <= most * theirs,
    };
    vec![
        row("`xargs`", median(bare), 3.0),
        row("`xargs` under a bare keeper, `timeout`", median(kept), 1.5),
    ]
}

/// How long `xargs` takes to start as many and to see their ends (ms). More at once than
/// this make it no faster.
fn by_xargs(command: &[&str]) -> f64 {
    let lines = "x\n".repeat(TOGETHER);
    let begun = BootInstant::now();
    let mut xargs = Command::new("xargs")
        .args(["-P", "8", "-I", "{}"])
        .args(command)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    xargs.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(xargs.wait().unwrap().success());
    millis(BootInstant::now().since(begun))
}

async fn keeper() -> Vec<Row> {
    let (_stop, stops) = watch::channel(None);
    // The first run also starts the warden.
    run(task(&["/bin/true"]), stops.clone(), |_| {}).await;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let begun = BootInstant::now();
        let loaded = Mutex::new(None);
        let started = |_| *loaded.lock().unwrap() = Some(BootInstant::now());
        run(task(&["/bin/true"]), stops.clone(), started).await;
        ours.push(millis(loaded.into_inner().unwrap().unwrap().since(begun)));

        let begun = BootInstant::now();
        let mut child = Command::new("/bin/true").env_clear().spawn().unwrap();
        bare.push(millis(BootInstant::now().since(begun)));
        child.wait().unwrap();
    }
    let (ours, bare) = (median(ours), median(bare));
    let memory = memory_of_keepers().await;
    vec![
        Row {
            what: "keeper: added to a start".to_owned(),
            floor: format!("the standard library, bare: {bare:.2} ms"),
            must: "under 2 ms".to_owned(),
            measured: format!("{:.2} ms", ours - bare),
            reached: ours - bare < 2.0,
        },
        Row {
            what: format!("keeper: private dirty memory, the most of {KEEPERS}"),
            floor: String::new(),
            must: "under 512 kB".to_owned(),
            measured: format!("{memory} kB"),
            reached: memory < 512,
        },
    ]
}

async fn memory_of_keepers() -> u64 {
    let (stop, stops) = watch::channel(None);
    let (mut keepers, mut runs) = (Vec::new(), Vec::new());
    for _ in 0..KEEPERS {
        let (started, pid) = oneshot::channel();
        let stops = stops.clone();
        runs.push(tokio::spawn(run(task(&["/bin/sleep", "1000"]), stops, |pid| {
            started.send(pid).unwrap();
        })));
        let pid = i32::try_from(pid.await.unwrap()).unwrap();
        keepers.push(crate::harness::processes::parent(pid).unwrap());
    }
    let dirty = |keeper: &i32| kilobytes(keeper.unsigned_abs(), "smaps_rollup", "Private_Dirty");
    let most = keepers.iter().map(dirty).max().unwrap();
    stop.send_replace(Some(Stop::Kill));
    for run in runs {
        run.await.unwrap();
    }
    most
}

struct Silence;

impl OutputSink for Silence {
    fn line(&self, _: Stream, _: &str) {}
}

fn task(words: &[&str]) -> Task {
    Task {
        work: Work::Command(words.iter().map(|&word| word.into()).collect()),
        cwd: None,
        env: [].into(),
        user: None,
        group: None,
        umask: None,
        timezone: "UTC".into(),
        timeout: None,
        kill_grace: Duration::from_secs(1),
        success_codes: [0].into(),
        output_limit: 1024,
    }
}

fn identity() -> Identity {
    Identity {
        cluster: ClusterName::new("bench").unwrap(),
        node: NodeName::new("bench").unwrap(),
        slot: "bench@2026-11-22T03:00:00Z".parse().unwrap(),
        run_id: Token::new().run_id(1),
        attempt: 1,
        fence: Fence::new(1),
        trace: None,
    }
}

async fn run(
    task: Task,
    stop: watch::Receiver<Option<Stop>>,
    started: impl FnOnce(u32) + Send,
) -> Report {
    let until = BootInstant::now() + Duration::from_secs(3600);
    let (_trust, trust) = watch::channel(Trust::Until(until));
    let orders = Orders::at_once(trust, stop);
    execute(&task, &identity(), orders, Duration::from_secs(1), started, Arc::new(Silence)).await
}
