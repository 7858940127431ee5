//! Slots are claimed ahead of their instant. A job never begins before it, and what
//! comes between claim and begin is honoured.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use solocron::clock::wall_now;

use crate::harness::figures::Figures;
use crate::harness::node::Node;
use crate::harness::oracle::{Entry, second};
use crate::harness::processes::{name, parent};
use crate::harness::proxy::{Flow, Proxy, Way};
use crate::harness::site::{Ground, Site, ticks};
use crate::harness::until;
use crate::storm;

/// A job that is due every second and says when it began, by the clock that the store
/// goes by as well.
fn punctual(keys: &str) -> String {
    format!(
        "[jobs.a]\nschedule = '* * * * * *'\noverlap = 'allow'\n\
         command = ['bash', '-c', '''echo \"$SOLOCRON_SLOT $EPOCHREALTIME $SOLOCRON_RUN_ID\" >> begun''']\n\
         {keys}\n"
    )
}

/// A run that has begun.
struct Begun {
    slot: i64,
    /// How long after its slot; negative before it.
    late: f64,
    run_id: String,
}

fn begun(site: &Site) -> Vec<Begun> {
    let lines = site.lines("begun").into_iter().map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let slot = second(words[0]);
        let at: f64 = words[1].parse().unwrap();
        Begun { slot, late: (at - slot as f64) * 1000.0, run_id: words[2].to_owned() }
    });
    lines.collect()
}

/// So often it is tried to come between claim and begin.
const TRIES: usize = 20;

/// Waits until `node` has claimed a slot that it had not before, which is just now.
fn claimed(node: &Node, after: i64) -> Value {
    node.wait_where("slot.claimed", |record| second(record["slot"].as_str().unwrap()) > after)
}

fn slot_of(claim: &Value) -> i64 {
    second(claim["slot"].as_str().unwrap())
}

fn newest_claimed(node: &Node) -> i64 {
    node.events("slot.claimed").iter().map(slot_of).max().unwrap_or(0)
}

/// What the ledger says of one slot, once it says something that `is_enough`.
fn entries(site: &Site, slot: i64, is_enough: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
    let mut found = Vec::new();
    until("the ledger knows of the slot", || {
        let ledger = site.ledger().into_iter();
        found = ledger.filter(|entry| (entry.from()..=entry.to()).contains(&slot)).collect();
        is_enough(&found)
    });
    found
}

fn has_begun(site: &Site, claim: &Value) -> bool {
    let run_id = claim["run_id"].as_str().unwrap();
    begun(site).iter().any(|run| run.run_id == run_id)
}

/// How late a command comes that this process starts at every full second, for as long
/// as `goes_on`.
fn bare(goes_on: &AtomicBool) -> Figures {
    let mut late = Vec::new();
    let now = || Duration::from_micros(wall_now().as_microsecond().unsigned_abs());
    while goes_on.load(Ordering::Relaxed) || late.is_empty() {
        let at = Duration::from_secs(now().as_secs() + 1);
        std::thread::sleep(at - now());
        let said = Command::new("bash").args(["-c", "echo $EPOCHREALTIME"]).output().unwrap();
        let said: f64 = String::from_utf8(said.stdout).unwrap().trim().parse().unwrap();
        late.push(Duration::from_secs_f64((said - at.as_secs_f64()).max(0.0)));
    }
    Figures::of(late)
}

#[test]
fn a_job_begins_at_its_instant_however_far_the_store_is() {
    for way_there in [0, 60] {
        let site = Site::new(Ground::Redis, "", &punctual(""));
        let proxy = Proxy::before(site.redis().port());
        for way in [Way::ToServer, Way::ToClient] {
            proxy.set(way, Flow::Delay(Duration::from_millis(way_there)));
        }
        let mut nodes = [site.start_behind(&proxy, "web-1").ready()];
        let goes_on = AtomicBool::new(true);
        let bare = std::thread::scope(|scope| {
            let bare = scope.spawn(|| bare(&goes_on));
            // The first may come while the node learns how far its store is.
            until("ten slots have begun", || begun(&site).len() >= 11);
            goes_on.store(false, Ordering::Relaxed);
            bare.join().unwrap()
        });
        storm::drain(&mut nodes);
        let late: Vec<_> = begun(&site).into_iter().skip(1).collect();
        for run in &late {
            assert!(run.late >= 0.0, "the run of {} began {} ms early", run.slot, -run.late);
        }
        let of = |run: &Begun| Duration::from_secs_f64(run.late / 1000.0);
        let figures = Figures::of(late.iter().map(of).collect());
        println!("a store {} ms away: {figures}; started bare: {bare}", 2 * way_there);
        assert!(figures.median() < bare.median() + 60.0, "{figures}; started bare: {bare}");
    }
}

#[test]
fn a_pause_between_claim_and_begin_makes_the_slot_one_that_was_missed() {
    let site = Site::new(Ground::Redis, "", &punctual(""));
    let mut nodes = [site.start("web-1").ready()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async { site.store() });
    let job = "a".parse().unwrap();
    let pause = |pause| runtime.block_on(store.pause(&job, pause)).unwrap();
    pause(true);
    pause(false);
    let honoured = (0..TRIES).any(|_| {
        let claim = claimed(&nodes[0], newest_claimed(&nodes[0]));
        pause(true);
        let entries = entries(&site, slot_of(&claim), |entries| !entries.is_empty());
        pause(false);
        let missed = entries.iter().any(|entry| entry.reason.as_deref() == Some("paused"));
        // The pause may have come too late; but it is one or the other.
        assert_ne!(missed, has_begun(&site, &claim), "{entries:?}");
        missed
    });
    assert!(honoured, "no pause was in time");
    runtime.block_on(store.close());
    storm::drain(&mut nodes);
}

#[test]
fn a_cancel_between_claim_and_begin_ends_the_slot_without_a_run() {
    let site = Site::new(Ground::Redis, "", &punctual(""));
    let mut nodes = [site.start("web-1").ready()];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store = runtime.block_on(async { site.store() });
    runtime.block_on(store.time()).unwrap();
    let honoured = (0..TRIES).any(|_| {
        let claim = claimed(&nodes[0], newest_claimed(&nodes[0]));
        let run = claim["run_id"].as_str().unwrap().parse().unwrap();
        let marked = runtime.block_on(store.cancel(run)).unwrap().is_some();
        let entries = entries(&site, slot_of(&claim), |entries| !entries.is_empty());
        let begun = has_begun(&site, &claim);
        assert!(begun || entries[0].outcome == "cancelled", "{entries:?}");
        marked && !begun
    });
    assert!(honoured, "no cancel was in time");
    runtime.block_on(store.close());
    storm::drain(&mut nodes);
}

#[test]
fn a_drain_between_claim_and_begin_gives_the_slot_to_another_node_for_its_instant() {
    let site = Site::new(Ground::Redis, "", &punctual("start_within = '15s'"));
    let other = site.start("web-9").ready();
    let honoured = (0..TRIES).any(|_| {
        let mut node = site.start("web-1").ready();
        let claim = claimed(&node, 0);
        assert_eq!(node.drain(), 0);
        let slot = slot_of(&claim);
        let ran = |entries: &[Entry]| entries.iter().any(|entry| entry.outcome == "succeeded");
        let entries = entries(&site, slot, ran);
        let handed_over = entries.iter().any(|entry| entry.outcome == "handed_over");
        assert_ne!(handed_over, has_begun(&site, &claim), "{entries:?}");
        let runs = begun(&site).into_iter().filter(|run| run.slot == slot).collect::<Vec<_>>();
        assert_eq!(runs.len(), 1, "it ran once");
        assert!(runs[0].late >= 0.0);
        handed_over
    });
    assert!(honoured, "no drain was in time");
    storm::drain(&mut [other]);
}

#[test]
fn a_reload_between_claim_and_begin_is_what_the_slot_goes_by() {
    let site = Site::new(Ground::Redis, "", &punctual(""));
    let mut nodes = [site.start("web-1").ready()];
    let [mut other_command, mut no_job] = [false; 2];
    let quiet = punctual("").replace("jobs.a", "jobs.b").replace("* * * * * *", "@yearly");
    for turn in 0..TRIES * 2 {
        let gone = turn % 2 == 0;
        let other = punctual("").replace("begun", "otherwise");
        let claim = claimed(&nodes[0], newest_claimed(&nodes[0]));
        site.set_jobs(if gone { &quiet } else { &other });
        nodes[0].signal(Signal::SIGHUP);
        let entries = entries(&site, slot_of(&claim), |entries| !entries.is_empty());
        let is_its = |line: &String| line.contains(claim["run_id"].as_str().unwrap());
        let otherwise = site.lines("otherwise").iter().any(is_its);
        let begun = has_begun(&site, &claim);
        if gone {
            no_job |= !begun;
            assert_eq!(begun, entries[0].outcome == "succeeded", "{entries:?}");
            assert_eq!(!begun, entries[0].outcome == "cancelled", "{entries:?}");
        } else {
            other_command |= otherwise;
            assert!(begun != otherwise && entries[0].outcome == "succeeded", "{entries:?}");
        }
        if other_command && no_job {
            break;
        }
        let loads = nodes[0].count("config.loaded", |_| true);
        site.set_jobs(&punctual(""));
        nodes[0].signal(Signal::SIGHUP);
        until("the table is loaded", || nodes[0].count("config.loaded", |_| true) > loads);
    }
    assert!(other_command && no_job, "no reload was in time: {other_command} {no_job}");
    storm::drain(&mut nodes);
}

#[test]
fn a_node_killed_between_claim_and_begin_has_its_slot_taken_over() {
    let site = Site::new(Ground::Redis, "", &punctual("lease_ttl = '1s'\nkill_grace = '100ms'"));
    let other = site.start("web-9").ready();
    let between = (0..TRIES).any(|_| {
        let mut node = site.start("web-1").ready();
        let claim = claimed(&node, 0);
        node.kill9();
        let slot = slot_of(&claim);
        let ended = |entries: &[Entry]| entries.iter().any(|entry| entry.outcome == "succeeded");
        let entries = entries(&site, slot, ended);
        let runs = begun(&site).into_iter().filter(|run| run.slot == slot);
        let others = runs.filter(|run| Some(&*run.run_id) != claim["run_id"].as_str());
        let lost = entries.iter().any(|entry| entry.outcome == "lease_lost");
        assert_eq!(others.count(), usize::from(lost), "{entries:?}");
        lost && !has_begun(&site, &claim)
    });
    assert!(between, "no node was killed in time");
    storm::drain(&mut [other]);
}

/// The keepers of a node.
fn keepers(node: &Node) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let daemon = parent(pid).and_then(parent).map(i32::cast_unsigned);
        (name(pid) == "solocron-keeper" && daemon == Some(node.pid())).then_some(pid)
    });
    pids.collect()
}

/// Whether a keeper was told to begin, and waits for the instant: it has its timer.
fn waits(keeper: i32) -> bool {
    let Ok(open) = std::fs::read_dir(format!("/proc/{keeper}/fd")) else { return false };
    let links = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    links.into_iter().any(|link| link.to_string_lossy().contains("timerfd"))
}

#[test]
fn a_keeper_that_is_frozen_until_its_lease_is_over_starts_nothing_when_it_thaws() {
    let site = Site::new(Ground::Redis, "", &punctual("lease_ttl = '1s'\nkill_grace = '100ms'"));
    let between = (0..TRIES).any(|_| {
        let node = site.start("web-1").ready();
        let claim = claimed(&node, 0);
        let mut keepers = Vec::new();
        while keepers.is_empty() && !has_begun(&site, &claim) {
            keepers = self::keepers(&node).into_iter().filter(|&pid| waits(pid)).collect();
        }
        for &keeper in &keepers {
            let _gone = kill(Pid::from_raw(keeper), Signal::SIGSTOP);
        }
        // The node would end one that is stopped.
        node.signal(Signal::SIGSTOP);
        let taken = site.start("web-9").ready();
        let is_its = |record: &Value| record["slot"] == claim["slot"];
        let (lost, begun_before) = (!keepers.is_empty(), has_begun(&site, &claim));
        if lost && !begun_before {
            taken.wait_where("slot.taken_over", is_its);
        }
        for &keeper in &keepers {
            let _gone = kill(Pid::from_raw(keeper), Signal::SIGCONT);
        }
        until("its keepers are gone", || keepers.iter().all(|&pid| name(pid) != "solocron-keeper"));
        drop(node);
        storm::drain(&mut [taken]);
        if lost && !begun_before {
            assert!(!has_begun(&site, &claim), "it began when its lease was another's");
        }
        lost && !begun_before
    });
    assert!(between, "no keeper was frozen in time");
}

#[test]
fn three_equal_nodes_share_the_slots_evenly() {
    let jobs = ticks(20, "");
    let site = Site::new(Ground::Redis, "heartbeat = '1s'", &jobs);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    // Each has heard of the others.
    storm::pass(&nodes, 3);
    let after = storm::begin(&nodes);
    // Long enough that a moment in which the machine is busy with other tests, and two of
    // them are late, does not count for much.
    let upto = storm::pass(&nodes, 45);
    let scope = storm::scope(20, after, upto);
    storm::settle(&site, &scope);
    storm::drain(&mut nodes);
    let evidence = site.evidence(&nodes);
    storm::judge_all_ran(&evidence, &scope);
    let mut shares: BTreeMap<&str, usize> = BTreeMap::new();
    let all = scope.keys().count();
    for line in &evidence.testimonies {
        if (after + 1..=upto).contains(&line.key.1) {
            *shares.entry(&line.node).or_default() += 1;
        }
    }
    println!("of {all} slots: {shares:?}");
    for (node, &share) in &shares {
        assert!(share * 100 <= all * 45, "{node} took {share} of {all}");
    }
}
