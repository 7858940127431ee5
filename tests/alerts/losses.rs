//! Nodes that are lost: the alert of it, and alerts that were theirs to send.

use nix::sys::signal::Signal;

use crate::harness::receiver::{Manner, Receiver};
use crate::harness::site::{FIRST, Ground, Site, every_second};
use crate::once::{entries, look_around, ops};

on_every_store! {
    a_slot_that_is_taken_over_is_told_once
    an_alert_whose_sender_is_killed_before_it_was_sent_is_sent_by_another
    a_failure_whose_node_is_killed_before_it_could_tell_is_told_by_another
}

fn a_slot_that_is_taken_over_is_told_once(ground: Ground) {
    let receiver = Receiver::friendly();
    let work = format!("if {FIRST}; then sleep 600; fi");
    let jobs = every_second("long", &work, "lease_ttl = '2s'\non_takeover = ['ops']");
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "")));
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let run_id = site.first_run();
    let started = |node: &crate::harness::node::Node| {
        node.count("run.started", |record| record["run_id"] == run_id.as_str()) > 0
    };
    crate::harness::until("its node has said so", || nodes.iter().any(started));
    let holder = nodes.iter_mut().find(|node| started(node)).unwrap();
    holder.kill9();
    let name = holder.name.clone();
    let notice = receiver.wait(1).remove(0).json();
    assert_eq!((&notice["alert"], &notice["node"]), (&"takeover".into(), &name.into()));
    assert_eq!(notice["run_id"], run_id);
    look_around(&site, "succeeded");
    assert_eq!(receiver.received().len(), 1);
}

fn an_alert_whose_sender_is_killed_before_it_was_sent_is_sent_by_another(ground: Ground) {
    let receiver = Receiver::start(&[Manner::Hang, Manner::Answer(200, Vec::new())]);
    let jobs = format!(
        "{}{}",
        every_second("backup", "false", "on_failure = ['ops']"),
        every_second("tick", "true", "")
    );
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "timeout = '60s'")));
    let mut first = site.start("web-1").ready();
    let claimed = receiver.wait(1).remove(0);
    first.kill9();
    let _others = ["web-2", "web-3"].map(|name| site.start(name)).map(|node| node.ready());
    let sent = receiver.wait(2).remove(1);
    assert_eq!(sent.header("webhook-id"), claimed.header("webhook-id"), "it is the same alert");
    assert_eq!(sent.body, claimed.body);
    look_around(&site, "succeeded");
    assert_eq!(receiver.received().len(), 2);
}

/// The node writes the end of the run, and is gone before it reads the ledger.
fn a_failure_whose_node_is_killed_before_it_could_tell_is_told_by_another(ground: Ground) {
    let receiver = Receiver::friendly();
    // The first that failed is told at once: it is another job that is news then.
    let jobs = format!(
        "{}{}",
        every_second("backup", "false", "on_failure = ['ops']"),
        every_second("tick", "true", "")
    );
    let site = Site::new(ground, "", &jobs.replace("on_failure = ['ops']", ""));
    let mut mute = site.start("web-1").ready();
    crate::harness::until("a run has failed", || entries(&site, "failed") > 0);
    mute.signal(Signal::SIGKILL);
    mute.wait_exit();
    site.set_jobs(&format!("{}{jobs}", ops(&receiver, "")));
    let _others = ["web-2", "web-3"].map(|name| site.start(name)).map(|node| node.ready());
    let notice = receiver.wait(1).remove(0).json();
    assert_eq!(notice["node"], "web-1", "{notice}");
    look_around(&site, "succeeded");
    assert_eq!(receiver.received().len(), 1);
}
