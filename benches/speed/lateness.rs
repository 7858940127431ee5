//! How late a job begins: from its due instant to its first instruction.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use solocron::clock::wall_now;
use solocron::slot::SlotTime;

use crate::figures::{RUNS, at};
use crate::harness::proxy::{Flow, Proxy};
use crate::harness::site::{Ground, Site};
use crate::harness::{ended_lines, until_within};
use crate::row::Row;
use crate::work::first_instruction;

/// Slots of one run.
const SLOTS: usize = 12;
/// Half of the way to the far store and back.
const ONE_WAY: Duration = Duration::from_millis(15);
const MEDIAN: f64 = 1.0;
const P99: f64 = 4.0;

/// Where the store is.
#[derive(Debug, Clone, Copy)]
enum Distance {
    Near,
    Far,
}

pub(crate) fn rows() -> Vec<Row> {
    let folder = tempfile::tempdir().unwrap();
    let program = first_instruction(folder.path());
    let (mut bare, mut near, mut far) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        bare.extend(of_floor(&program, folder.path()));
        near.extend(of_node(&program, Distance::Near));
        far.extend(of_node(&program, Distance::Far));
    }
    let row = |distance: &str, late: &[f64]| Row {
        what: format!("lateness of one job: due instant to first instruction, store {distance}"),
        floor: format!("sleep and spawn, bare: {}", told(&bare)),
        must: format!("p50 at most {MEDIAN} ms, p99 at most {P99} ms, never before"),
        measured: told(late),
        reached: at(0.5, late.to_vec()) <= MEDIAN
            && at(0.99, late.to_vec()) <= P99
            && at(0.0, late.to_vec()) >= 0.0,
    };
    vec![row("0.1 ms away", &near), row("30 ms away", &far)]
}

fn told(late: &[f64]) -> String {
    let figure = |share| at(share, late.to_vec());
    let earliest = figure(0.0);
    let before = if earliest < 0.0 { format!(", earliest {earliest:.2}") } else { String::new() };
    format!("p50 {:.2} ms, p99 {:.2}{before}", figure(0.5), figure(0.99))
}

/// Milliseconds from the due instant, of each line that the job wrote.
pub(crate) fn lateness(file: &Path) -> Vec<f64> {
    let read = |line: &String| {
        let (slot, nanos) = line.split_once(' ').unwrap();
        let due = i128::from(slot.parse::<SlotTime>().unwrap().unix_seconds()) * 1_000_000_000;
        (nanos.parse::<i128>().unwrap() - due) as f64 / 1e6
    };
    ended_lines(file).iter().map(read).collect()
}

fn of_node(program: &Path, distance: Distance) -> Vec<f64> {
    let job = format!(
        "[jobs.one]\nschedule = '* * * * * *'\ncommand = ['{}', 'late']\n",
        program.display()
    );
    let site = Site::new(Ground::FleetingRedis, "", &job);
    let proxy = Proxy::before(site.redis().port());
    let mut node = match distance {
        Distance::Near => site.start("web-1"),
        Distance::Far => {
            proxy.set_both(Flow::Delay(ONE_WAY));
            site.start_behind(&proxy, "web-1")
        }
    }
    .ready();
    let file = site.folder().join("late");
    until_within(Duration::from_secs(90), "the job has had its slots", || {
        ended_lines(&file).len() >= SLOTS
    });
    node.drain();
    lateness(&file)
}

/// The same program, spawned by a thread that sleeps until the next second.
fn of_floor(program: &Path, folder: &Path) -> Vec<f64> {
    let file = folder.join("bare");
    let _none_yet = std::fs::remove_file(&file);
    for _ in 0..SLOTS {
        let now = wall_now();
        let due = now.as_second() + 1;
        let left = due * 1_000_000_000 - i64::try_from(now.as_nanosecond()).unwrap();
        let slot = SlotTime::from_unix_seconds(due).to_string();
        let mut command = Command::new(program);
        command.arg(&file).env_clear().env("SOLOCRON_SLOT", slot);
        std::thread::sleep(Duration::from_nanos(left.unsigned_abs()));
        assert!(command.spawn().unwrap().wait().unwrap().success());
    }
    lateness(&file)
}
