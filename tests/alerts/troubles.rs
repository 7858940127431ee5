//! Whoever is to be told hangs, fails or is away: it is tried again, and nothing waits.

use std::time::Duration;

use solocron::clock::BootInstant;

use crate::harness::oracle::instant;
use crate::harness::receiver::{Manner, Receiver};
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::once::{entries, ops};

on_every_store! {
    a_webhook_that_hangs_and_then_answers_500_is_tried_again_and_delays_no_job
    a_drain_waits_for_a_hanging_webhook_no_longer_than_it_may
    an_alert_that_nobody_takes_is_given_up_and_that_is_logged
}

fn a_webhook_that_hangs_and_then_answers_500_is_tried_again_and_delays_no_job(ground: Ground) {
    let manners = [
        Manner::Hang,
        Manner::Answer(500, b"out of\n order".to_vec()),
        Manner::Answer(200, Vec::new()),
    ];
    let receiver = Receiver::start(&manners);
    let jobs = format!(
        "{}{}",
        every_second("backup", "false", "on_failure = ['ops']"),
        every_second("tick", "true", "")
    );
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "timeout = '2s'")));
    let node = site.start("web-1").ready();
    let received = receiver.wait(3);
    let sent = node.wait("notify.sent");
    assert_eq!((&sent["attempts"], &sent["job"]), (&3.into(), &"backup".into()));
    let failed = node.events("notify.failed");
    let errors: Vec<_> = failed.iter().map(|record| record["error"].as_str().unwrap()).collect();
    let server = format!("127.0.0.1:{}", receiver.port());
    let expected = [
        "no answer within 2s".to_owned(),
        format!("{server} answered 500 Internal Server Error: out of order"),
    ];
    assert_eq!(errors, expected);
    assert!(failed.iter().all(|record| record["level"] == "warn" && record["wait_ms"].is_u64()));
    assert!(received[2].at.since(received[0].at) >= Duration::from_secs(4), "2 s and 2 waits");

    let slots: Vec<_> = site
        .ledger()
        .into_iter()
        .filter(|entry| entry.job == "tick")
        .map(|entry| (instant(&entry.slot), entry.outcome))
        .collect();
    assert!(slots.len() >= 4, "{slots:?}");
    assert!(slots.iter().all(|(_, outcome)| outcome == "succeeded"), "{slots:?}");
    assert!(slots.windows(2).all(|two| two[0].0 - two[1].0 == 1.0), "none is left out: {slots:?}");
}

fn a_drain_waits_for_a_hanging_webhook_no_longer_than_it_may(ground: Ground) {
    let receiver = Receiver::start(&[Manner::Hang]);
    let jobs = every_second("backup", "false", "on_failure = ['ops']");
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, "timeout = '5m'")));
    let mut node = site.start("web-1").ready();
    receiver.wait(1);
    let begun = BootInstant::now();
    assert_eq!(node.drain(), 0);
    let took = BootInstant::now().since(begun);
    assert!(took < Duration::from_secs(9), "{took:?}: five seconds for it, and some to leave");
    // What it did not get rid of, the next does, without waiting for a lease.
    receiver.behave(&[Manner::Answer(200, Vec::new())]);
    let _next = site.start("web-2").ready();
    let received = receiver.wait(2);
    assert_eq!(received[0].header("webhook-id"), received[1].header("webhook-id"));
}

fn an_alert_that_nobody_takes_is_given_up_and_that_is_logged(ground: Ground) {
    let receiver = Receiver::start(&[Manner::Answer(404, Vec::new())]);
    let keys = "attempts = 2\nheaders = { Authorization = 'Bearer hunter2' }";
    let jobs = every_second("backup", "false", "on_failure = ['ops']");
    let site = Site::new(ground, "", &format!("{}{jobs}", ops(&receiver, keys)));
    let node = site.start("web-1").ready();
    let last = node.wait_where("notify.failed", |record| record["level"] == "error");
    assert_eq!((&last["attempts"], &last["wait_ms"]), (&2.into(), &serde_json::Value::Null));
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(receiver.received()[0].header("authorization"), "Bearer hunter2");
    let before = entries(&site, "failed");
    until("more has failed", || entries(&site, "failed") > before + 2);
    assert_eq!(receiver.received().len(), 2, "it is given up");
    let printed: String = node.log().iter().map(|logged| logged.record.to_string()).collect();
    assert!(!printed.contains("hunter2") && !printed.contains("/ops"), "{printed}");
}
