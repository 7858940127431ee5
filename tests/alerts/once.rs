//! Once for the cluster, not once for each node.

use solocron::clock::wall_now;

use crate::harness::oracle::instant;
use crate::harness::receiver::Receiver;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;

on_every_store! {
    a_failing_job_on_three_replicas_alerts_once_and_its_recovery_once
    a_job_that_never_ran_is_overdue_and_that_is_told_once_also_after_a_restart
    slots_that_nobody_ran_are_told_as_missed_once
    a_slot_that_fails_and_is_tried_again_with_success_is_no_failure
}

/// `[notify.ops]` with the keys `keys`, told at `receiver`.
pub(crate) fn ops(receiver: &Receiver, keys: &str) -> String {
    format!("[notify.ops]\nwebhook = '{}'\n{keys}\n\n", receiver.url("/ops"))
}

pub(crate) const NAMES: [&str; 3] = ["web-1", "web-2", "web-3"];

/// How many entries of the ledger have the outcome `outcome`.
pub(crate) fn entries(site: &Site, outcome: &str) -> usize {
    site.ledger().iter().filter(|entry| entry.outcome == outcome).count()
}

/// Waits until every replica has looked at the ledger once more, and then some: for so
/// many further entries of a job that is due every second.
pub(crate) fn look_around(site: &Site, outcome: &str) {
    let before = entries(site, outcome);
    until("every replica has looked again", || entries(site, outcome) >= before + 8);
}

fn told(receiver: &Receiver) -> Vec<String> {
    receiver.alerts().into_iter().map(|(alert, job)| format!("{alert} {job}")).collect()
}

fn a_failing_job_on_three_replicas_alerts_once_and_its_recovery_once(ground: Ground) {
    let receiver = Receiver::friendly();
    let keys = "on_failure = ['ops']\non_recovery = ['ops']";
    let jobs = every_second("backup", "[ -e good ] || { echo no good >&2; exit 3; }", keys);
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "")));
    let mut nodes = site.start_all(NAMES);

    let failure = receiver.wait(1).remove(0).json();
    look_around(&site, "failed");
    assert_eq!(told(&receiver), ["failure backup"]);
    std::fs::write(site.folder().join("good"), "").unwrap();
    let recovery = receiver.wait(2).remove(1).json();
    look_around(&site, "succeeded");
    assert_eq!(told(&receiver), ["failure backup", "recovery backup"]);

    let ledger = site.ledger();
    let run = |notice: &serde_json::Value| {
        let run = ledger.iter().find(|run| run.run_id.as_deref() == notice["run_id"].as_str());
        run.unwrap_or_else(|| panic!("no such run: {notice}")).clone()
    };
    let first = run(&failure);
    assert_eq!((first.outcome.as_str(), &failure["exit_code"]), ("failed", &3.into()));
    let failed = ledger.iter().filter(|entry| entry.outcome == "failed");
    assert_eq!(failed.map(|entry| entry.slot.clone()).min(), Some(first.slot.clone()));
    assert_eq!(failure["slot"], first.slot);
    assert_eq!(failure["output"], "no good\n");
    assert_eq!(
        failure["message"],
        format!(
            "backup@{} failed on {}: exited with 3",
            first.slot,
            failure["node"].as_str().unwrap()
        )
    );
    assert_eq!(run(&recovery).outcome, "succeeded");
    assert_eq!(recovery["since"], failure["at"]);

    let sent: usize = nodes.iter().map(|node| node.count("notify.sent", |_| true)).sum();
    assert_eq!(sent, 2);
    for node in &mut nodes {
        assert_eq!(node.count("notify.failed", |_| true), 0);
        assert_eq!(node.drain(), 0);
    }
    assert_eq!(told(&receiver).len(), 2, "a drain tells nothing twice");
}

fn a_job_that_never_ran_is_overdue_and_that_is_told_once_also_after_a_restart(ground: Ground) {
    let receiver = Receiver::friendly();
    let jobs = format!(
        "[jobs.yearly]\nschedule = '0 0 1 1 *'\nshell = 'true'\nexpect_every = '3s'\n\
         on_failure = ['ops']\non_missed = ['ops']\non_recovery = ['ops']\n{}",
        every_second("tick", "true", "")
    );
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "")));
    let mut nodes = site.start_all(NAMES);
    let notice = receiver.wait(1).remove(0).json();
    assert_eq!((&notice["alert"], &notice["slot"]), (&"overdue".into(), &serde_json::Value::Null));
    look_around(&site, "succeeded");
    nodes.iter_mut().for_each(|node| assert_eq!(node.drain(), 0));
    let nodes = site.start_all(NAMES);
    look_around(&site, "succeeded");
    assert_eq!(told(&receiver), ["overdue yearly"]);
    site.ask(&["trigger", "yearly"]);
    receiver.wait(2);
    assert_eq!(told(&receiver), ["overdue yearly", "recovery yearly"]);
    drop(nodes);
}

fn slots_that_nobody_ran_are_told_as_missed_once(ground: Ground) {
    let receiver = Receiver::friendly();
    let jobs = every_second("tick", "true", "on_missed = ['ops']");
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "")));
    let mut nodes = site.start_all(NAMES);
    until("a run has succeeded", || entries(&site, "succeeded") > 0);
    nodes.iter_mut().for_each(|node| assert_eq!(node.drain(), 0));
    assert_eq!(receiver.received().len(), 0, "a drain misses nothing");
    let last = site.ledger().iter().map(|entry| instant(&entry.slot) as i64).max().unwrap();
    until("slots have passed", || wall_now().as_second() > last + 5);
    let _nodes = site.start_all(NAMES);
    let notice = receiver.wait(1).remove(0).json();
    assert_eq!((&notice["alert"], &notice["reason"]), (&"missed".into(), &"no_node".into()));
    assert!(notice["count"].as_u64() >= Some(3), "{notice}");
    look_around(&site, "succeeded");
    assert_eq!(told(&receiver), ["missed tick"]);
}

fn a_slot_that_fails_and_is_tried_again_with_success_is_no_failure(ground: Ground) {
    let receiver = Receiver::friendly();
    let keys = "retry = { attempts = 2, min = '0s' }\non_failure = ['ops']\noverlap = 'wait'";
    let jobs = format!(
        "{}{}",
        every_second("shaky", r#"[ "$SOLOCRON_ATTEMPT" = 2 ]"#, keys),
        every_second("broken", "false", keys)
    );
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "")));
    let _nodes = site.start_all(NAMES);
    let notice = receiver.wait(1).remove(0).json();
    assert_eq!(notice["attempt"], 2, "not before the last try");
    look_around(&site, "succeeded");
    assert_eq!(told(&receiver), ["failure broken"]);
}
