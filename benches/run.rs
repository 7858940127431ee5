//! What a run costs beside its command: `cargo bench --bench run`.
//!
//! Three figures: how long it takes from `execute` to a loaded program, and to the
//! report of one that ends at once; the same for a command started by the standard
//! library alone; and how much memory a keeper and the warden have for themselves.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench may")]

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use solocron::claim::{Fence, Token};
use solocron::clock::BootInstant;
use solocron::name::{ClusterName, NodeName};
use solocron::run::{Identity, Orders, OutputSink, Report, Stop, Stream, Task, Trust, execute};
use solocron::table::Work;
use tokio::sync::{oneshot, watch};

const RUNS: usize = 300;

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
    }
}

async fn run(
    task: Task,
    stop: watch::Receiver<Option<Stop>>,
    started: impl FnOnce(u32) + Send,
) -> Report {
    let until = BootInstant::now() + Duration::from_secs(3600);
    let (_trust, trust) = watch::channel(Trust::Until(until));
    let orders = Orders { trust, stop };
    execute(&task, &identity(), orders, Duration::from_secs(1), started, Arc::new(Silence)).await
}

/// The median and the one that 19 of 20 stay below.
fn figures(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    format!("{:?}, 95 % within {:?}", times[times.len() / 2], times[times.len() * 19 / 20])
}

/// Kilobytes that only this process has and has changed.
fn private_dirty(pid: u32) -> u64 {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}

fn parent(pid: u32) -> u32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.split(' ').nth(1).unwrap().parse().unwrap()
}

fn main() {
    solocron::run::serve_if_warden();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_stop, stops) = watch::channel(None);
        let first = BootInstant::now();
        run(task(&["/bin/true"]), stops.clone(), |_| {}).await;
        println!(
            "the first run, with the start of the warden: {:?}",
            BootInstant::now().since(first)
        );

        let (mut to_started, mut to_report) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let begun = BootInstant::now();
            let loaded = Mutex::new(None);
            run(task(&["/bin/true"]), stops.clone(), |_| {
                *loaded.lock().unwrap() = Some(BootInstant::now());
            })
            .await;
            to_report.push(BootInstant::now().since(begun));
            to_started.push(loaded.into_inner().unwrap().unwrap().since(begun));
        }
        println!("a run of `true`, to its start: {}", figures(to_started));
        println!("a run of `true`, to its report: {}", figures(to_report));

        let (mut to_started, mut to_end) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let begun = BootInstant::now();
            let mut child = Command::new("/bin/true").env_clear().spawn().unwrap();
            to_started.push(BootInstant::now().since(begun));
            child.wait().unwrap();
            to_end.push(BootInstant::now().since(begun));
        }
        println!("`true` by the standard library, to its start: {}", figures(to_started));
        println!("`true` by the standard library, to its end: {}", figures(to_end));

        let (stop, stops) = watch::channel(None);
        let mut keepers = Vec::new();
        let mut runs = Vec::new();
        for _ in 0..10 {
            let (started, pid) = oneshot::channel();
            let stops = stops.clone();
            runs.push(tokio::spawn(run(task(&["/bin/sleep", "1000"]), stops, |pid| {
                started.send(pid).unwrap();
            })));
            keepers.push(parent(pid.await.unwrap()));
        }
        let of_keepers: Vec<u64> = keepers.iter().map(|&pid| private_dirty(pid)).collect();
        println!("private dirty memory of ten keepers: {of_keepers:?} kB");
        println!("private dirty memory of the warden: {} kB", private_dirty(parent(keepers[0])));
        stop.send_replace(Some(Stop::Kill));
        for run in runs {
            run.await.unwrap();
        }
    });
}
