//! Large job tables: what it takes to read one, to hold it, and to wait with it.
//!
//! Reading is measured in a process of its own for each time, this program once more
//! ([`child`]): one that does what a node does, and one that has serde fill the plainest
//! structs that the file fits.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use solocron::clock::{BootInstant, wall_now};
use solocron::config::{Load, ThisMachine};

use crate::figures::{RUNS, at, median, median_of, millis, sleep_until_millis};
use crate::harness::site::{Ground, Site};
use crate::harness::until_within;
use crate::memory::{kilobytes, live_heap};
use crate::quiet::{QuietNode, Told};
use crate::row::Row;
use crate::work::nothing;

/// What a process is called with that reads a table and says what that took.
const CHILD: &str = "read-a-table";

const LARGE: usize = 100_000;
const HUGE: usize = 1_000_000;
/// Of the huge table so many are due each second.
const DUE: usize = 1_000;

/// The floor: the same file in the plainest structs.
#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only held")]
struct Bare {
    jobs: BTreeMap<String, BareJob>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "it is only held")]
struct BareJob {
    schedule: String,
    command: Vec<String>,
    timeout: String,
    tags: Vec<String>,
}

/// `count` jobs that are due on leap days only, so hardly while they are measured.
fn on_leap_days(count: usize) -> String {
    (0..count).map(|n| job(n, &on_leap_day(n))).collect()
}

fn on_leap_day(n: usize) -> String {
    format!("{} {} 29 2 *", n % 60, n / 60 % 24)
}

fn job(n: usize, schedule: &str) -> String {
    format!(
        "[jobs.tenant-{n}-report]\nschedule = '{schedule}'\ncommand = ['true', '--tenant', '{n}']\n\
         timeout = '10m'\ntags = ['reports', 'shard-{}']\n\n",
        n % 16
    )
}

/// What reading a table took.
struct Reading {
    millis: f64,
    /// Of what was read, in bytes.
    heap: f64,
    /// The most that was resident, and what still was at the end, in kB.
    peak: f64,
    rest: f64,
}

impl Reading {
    /// The medians of [`RUNS`] readings each of solocron's loader and of the floor, in turn.
    fn of(file: &Path) -> [Self; 2] {
        let mut readings = [const { Vec::new() }; 2];
        for _ in 0..RUNS {
            for (how, readings) in ["load", "bare"].into_iter().zip(&mut readings) {
                readings.push(Self::once(how, file));
            }
        }
        readings.map(|readings| {
            let of = |part: fn(&Self) -> f64| median(readings.iter().map(part).collect());
            Self {
                millis: of(|one| one.millis),
                heap: of(|one| one.heap),
                peak: of(|one| one.peak),
                rest: of(|one| one.rest),
            }
        })
    }

    fn once(how: &str, file: &Path) -> Self {
        let this = std::env::current_exe().unwrap();
        let output = Command::new(this).args([CHILD, how]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        let mut figures = text.split_whitespace().map(|figure| figure.parse().unwrap());
        let mut next = || figures.next().unwrap();
        Self { millis: next(), heap: next(), peak: next(), rest: next() }
    }
}

/// Reads a table where this process was started for that.
pub(crate) fn child() -> bool {
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() != Some(CHILD) {
        return false;
    }
    let (how, file) = (words.next().unwrap(), PathBuf::from(words.next().unwrap()));
    let before = live_heap();
    let begun = BootInstant::now();
    let held: Box<dyn std::any::Any> = match how.as_str() {
        "bare" => {
            let text = std::fs::read_to_string(file).unwrap();
            Box::new(toml::from_str::<Bare>(&text).unwrap())
        }
        _ => {
            let request = Load { paths: vec![file], ..Load::default() };
            Box::new(solocron::config::load(&request, &ThisMachine).unwrap().config)
        }
    };
    let took = millis(BootInstant::now().since(begun));
    let heap = live_heap() - before;
    let resident = |name| kilobytes(std::process::id(), "status", name);
    println!("{took} {heap} {} {}", resident("VmHWM"), resident("VmRSS"));
    black_box(held);
    true
}

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = reading();
    rows.push(idle());
    rows.push(huge());
    rows
}

fn reading() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("solocron.toml");
    std::fs::write(&file, on_leap_days(LARGE)).unwrap();
    let [ours, bare] = Reading::of(&file);
    let what = |what| format!("table of {LARGE} jobs: {what}");
    let mib = |kilobytes: f64| kilobytes / 1024.0;
    vec![
        Row {
            what: what("time to load"),
            floor: format!("`serde` and `toml`, bare: {:.0} ms", bare.millis),
            must: "within 3 times".to_owned(),
            measured: format!("{:.0} ms, {:.2} times", ours.millis, ours.millis / bare.millis),
            reached: ours.millis <= 3.0 * bare.millis,
        },
        Row {
            what: what("live heap"),
            floor: format!("bare structs: {:.0} bytes per job", bare.heap / LARGE as f64),
            must: "at most 1 kB per job".to_owned(),
            measured: format!("{:.0} bytes per job", ours.heap / LARGE as f64),
            reached: ours.heap <= 1000.0 * LARGE as f64,
        },
        Row {
            what: what("resident, at most and afterwards"),
            floor: format!("bare: {:.0} and {:.0} MiB", mib(bare.peak), mib(bare.rest)),
            must: "no more".to_owned(),
            measured: format!("{:.0} and {:.0} MiB", mib(ours.peak), mib(ours.rest)),
            reached: ours.peak <= bare.peak && ours.rest <= bare.rest,
        },
    ]
}

/// A node with a large table and nothing to do.
fn idle() -> Row {
    const SPAN: Duration = Duration::from_secs(6);
    let site = Site::new(Ground::Redis, "", &on_leap_days(LARGE));
    let mut node = site.start("web-1").ready();
    await_cursors(&site, LARGE);
    std::thread::sleep(SPAN);
    let share = median_of(|| {
        let (begun, before) = (BootInstant::now(), cpu(node.pid()));
        std::thread::sleep(SPAN);
        let took = BootInstant::now().since(begun);
        (cpu(node.pid()) - before).as_secs_f64() / took.as_secs_f64() * 100.0
    });
    let resident = kilobytes(node.pid(), "status", "VmRSS");
    node.kill9();
    Row {
        what: format!("table of {LARGE} jobs: a node with no slot due"),
        floor: String::new(),
        must: "under 0.5% of a core".to_owned(),
        measured: format!("{share:.2}%, {} MiB resident", resident / 1024),
        reached: share < 0.5,
    }
}

/// What the threads of a process have had of the processors.
fn cpu(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let nanos = tasks.map(|task| {
        // One that has just ended counts no more.
        let text = std::fs::read_to_string(task.unwrap().path().join("schedstat"));
        text.map_or(0, |text| text.split(' ').next().unwrap().parse::<u64>().unwrap())
    });
    Duration::from_nanos(nanos.sum())
}

/// A node with a huge table, of which [`DUE`] jobs are due each second: what lies between
/// a slot and the verdict of its claim, as the node logs it.
fn huge() -> Row {
    const SPAN: i64 = 4;
    let jobs = (0..HUGE).map(|n| match n % (HUGE / DUE) {
        0 => nothing(&format!("tenant-{n}-tick"), "* * * * * *"),
        _ => job(n, &on_leap_day(n)),
    });
    let site = Site::new(Ground::Redis, "", &jobs.collect::<String>());
    let begun = BootInstant::now();
    let node = QuietNode::start(&site, "web-1");
    let started = BootInstant::now().since(begun).as_secs_f64();
    await_cursors(&site, HUGE);
    let from = wall_now().as_second() + 3;
    sleep_until_millis((from + RUNS as i64 * SPAN + 1) * 1000);
    let resident = kilobytes(node.pid(), "status", "VmHWM") / 1024;
    let told = node.end();
    let of_span = |span: i64| {
        let seconds = from + span * SPAN..from + (span + 1) * SPAN;
        let verdicts = told.iter().filter(|one| one.is_verdict());
        let of_it = verdicts.filter(|one| seconds.contains(&one.slot.unix_seconds()));
        let late: Vec<_> = of_it.map(Told::late_millis).collect();
        assert_eq!(late.len(), DUE * SPAN as usize, "every slot has a verdict");
        at(0.99, late)
    };
    let late = median((0..RUNS as i64).map(of_span).collect());
    Row {
        what: format!("table of {HUGE} jobs, {DUE} due each second: slot to verdict"),
        floor: String::new(),
        must: "loads, plans; p99 under 20 ms".to_owned(),
        measured: format!(
            "p99 {late:.1} ms; started in {started:.1} s, at most {resident} MiB resident"
        ),
        reached: late < 20.0,
    }
}

/// Waits until the node has begun to plan: its cursors are in the store.
fn await_cursors(site: &Site, count: usize) {
    let cursors = site.key(0, "cursors");
    until_within(Duration::from_secs(300), "every job has a cursor", || {
        site.redis().cli_number(&["HLEN", &cursors]) == count as i64
    });
}
