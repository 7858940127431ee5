//! Chaos: five real daemons on each store, real jobs from a moment to longer than their
//! leases, and faults drawn from a seed: `kill -9` and SIGSTOP of daemons, wardens, keepers
//! and servers; links cut, delayed and blackholed, of one node, one server and one direction;
//! clocks that are stepped; reloads; rolling restarts; failovers, moves of hash slots, servers
//! that come back empty; a disk that is full. The oracle is what the jobs wrote themselves.
//!
//! No slot runs twice, none overlaps, none is lost silently, and the ledger says the rest; or
//! the run fails with the story of that slot. All stores keep what they acknowledged
//! (`appendfsync always`, `min_acks` of all replicas), and clocks are stepped on nodes only.
//!
//! - `SOLOCRON_TEST_CHAOS_SECONDS`: so long each store is attacked, 8 by default. The long
//!   form takes about an hour, with more than 100,000 slots:
//!   `SOLOCRON_TEST_CHAOS_SECONDS=1200 cargo test --release --test chaos -- --nocapture`
//! - `SOLOCRON_TEST_CHAOS_AT_ONCE`: how many stores are attacked at the same time, 2 by
//!   default: as many as two cores carry.
//! - `SOLOCRON_TEST_CHAOS_SEED`: with this seed's plan; without it one is drawn.
//! - `SOLOCRON_TEST_CHAOS_STORES`: on these only, as in `redis,quorum`. On `denied`, a Redis
//!   that forgets its last seconds when it is killed and nodes of which daemon, warden and
//!   keepers are stopped at once, what goes wrong is counted: that is not promised.
//! - `SOLOCRON_TEST_CHAOS_TABLE`: the table goes into this file, `target/tmp/chaos.md` by
//!   default, and it is printed.
//!
//! What there is to read of a store that failed is kept in `target/tmp/chaos`. The same seed
//! draws the same faults for the same nodes; what they meet is a matter of real time.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/mod.rs"]
mod harness;

mod fault;
mod jobs;
mod judge;
mod links;
mod plan;
mod play;
mod report;
mod scene;
mod strikes_on_servers;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use harness::disk::Disk;
use harness::oracle::{Evidence, Scope};
use plan::Ground;
use report::{Report, Row};
use scene::Scene;
use solocron::clock::BootInstant;

/// How long slots may take to be settled once nothing is struck any more.
const SETTLING: Duration = Duration::from_secs(240);

fn from_environment(name: &str) -> Option<String> {
    std::env::var(format!("SOLOCRON_TEST_CHAOS_{name}")).ok()
}

fn number(name: &str) -> Option<u64> {
    from_environment(name).map(|text| text.parse().expect("it is a number"))
}

fn grounds() -> Vec<Ground> {
    let Some(wanted) = from_environment("STORES") else { return Ground::PROMISED.into() };
    let named = |name: &str| Ground::ALL.into_iter().find(|ground| ground.name() == name);
    wanted.split(',').map(|name| named(name).expect("one of the stores")).collect()
}

/// Attacks one store, and judges what came of it.
fn suffer(ground: Ground, seed: u64, length: Duration, may_mount: bool) -> Row {
    let scene = Scene::set(ground, may_mount);
    let after = Scene::second() + 1;
    println!("{}: begins", ground.name());
    play::play(&scene, seed, length);
    scene.calm();
    // Slots of a time in which all is well are a part of it.
    std::thread::sleep(Duration::from_secs(3));
    let scope = jobs::scope(after, Scene::second() - 1);
    println!("{}: settles", ground.name());
    settle(&scene, &scope);
    scene.drain();

    let left = scene.site.jobs_alive();
    if !left.is_empty() {
        scene.diary().surprises.push(format!("processes of jobs outlive all nodes: {left:?}"));
    }
    let (verdict, evidence) = judge::judge(&scene.site.lives(), scene.ledger(), &scope);
    let is_kept = verdict.is_kept() && scene.diary().surprises.is_empty();
    let mut stories = String::new();
    if !is_kept && ground.is_promised() {
        let folder = report::keep(&scene, &evidence.ledger);
        stories = report::stories(&verdict, evidence, &scene.diary(), &scene.logs());
        stories += &format!("the logs are in {}\n", folder.display());
    }
    let diary = std::mem::take(&mut *scene.diary());
    Row { ground, verdict, counts: diary.counts, surprises: diary.surprises, stories }
}

/// Waits until every slot has its end in the ledger; not for ever: what has none then is
/// what the judge is for.
fn settle(scene: &Scene, scope: &Scope) {
    let begun = BootInstant::now();
    // A store that forgets has no end for some.
    let patience = if scene.ground.is_promised() { SETTLING } else { SETTLING / 8 };
    while BootInstant::now().since(begun) < patience {
        let open = Evidence { ledger: scene.ledger(), ..Evidence::default() }.open(scope);
        if open.is_empty() {
            return;
        }
        println!("{}: {} slots are open", scene.ground.name(), open.len());
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn take(waiting: &Mutex<VecDeque<Ground>>) -> Option<Ground> {
    waiting.lock().expect("nobody panics with it").pop_front()
}

#[test]
fn whatever_is_done_to_nodes_and_stores_no_slot_runs_twice_overlaps_or_is_lost_silently() {
    let seed = number("SEED").unwrap_or_else(|| fastrand::u64(..1_000_000_000));
    let length = Duration::from_secs(number("SECONDS").unwrap_or(8));
    let may_mount = Disk::may_be_mounted();
    println!(
        "seed {seed}: SOLOCRON_TEST_CHAOS_SEED={seed} SOLOCRON_TEST_CHAOS_SECONDS={} \
         cargo test --test chaos -- --nocapture plays it again",
        length.as_secs()
    );
    let at_once = number("AT_ONCE").unwrap_or(2).max(1);
    let waiting = Mutex::new(VecDeque::from(grounds()));
    let ends = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..at_once {
            scope.spawn(|| {
                while let Some(ground) = take(&waiting) {
                    // What fails beside the judge fails this store alone.
                    let suffer = || suffer(ground, seed, length, may_mount);
                    let end = catch_unwind(AssertUnwindSafe(suffer));
                    ends.lock().unwrap().push((ground, end));
                }
            });
        }
    });
    let ends = ends.into_inner().unwrap();
    let mut broken: Vec<_> =
        ends.iter().filter(|(_, end)| end.is_err()).map(|(ground, _)| ground.name()).collect();
    let mut rows: Vec<_> = ends.into_iter().filter_map(|(_, end)| end.ok()).collect();
    rows.sort_by_key(|row| row.ground as usize);
    let report = Report { seed, length, may_mount, rows };
    let table = report.markdown();
    let file = from_environment("TABLE")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos.md"), PathBuf::from);
    std::fs::write(&file, &table).expect("the table can be written");
    println!("\n{table}\nThe table is in {}", file.display());
    for row in &report.rows {
        println!("{}", row.stories);
        for surprise in &row.surprises {
            println!("{}: {surprise}", row.ground.name());
        }
        // A run in which next to nothing ran shows nothing.
        let ran = row.verdict.ran();
        let is_broken = match row.ground.is_promised() {
            true => !row.is_good() || ran * 4 < row.verdict.due,
            false => ran == 0,
        };
        if is_broken || row.faults() == 0 {
            broken.push(row.ground.name());
        }
    }
    assert!(broken.is_empty(), "the guarantee was broken, or could not be shown: {broken:?}");
}
