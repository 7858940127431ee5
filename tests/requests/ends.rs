//! What ends a request before it is answered, and that it ends at once.

use std::time::Duration;

use solocron::clock::BootInstant;

use crate::answers::{call, entry};
use crate::harness::receiver::{Manner, Receiver};
use crate::harness::site::{Ground, Site};
use crate::harness::until;

on_every_store! {
    a_server_that_is_too_slow_is_given_up_at_the_timeout
    a_request_that_is_cancelled_is_given_up_at_once
    a_request_whose_lease_is_lost_is_given_up_before_another_may_begin
    a_request_that_outlives_a_drain_is_handed_over
}

fn slow() -> (Receiver, String) {
    let receiver = Receiver::start(&[Manner::Hang]);
    let http = format!("url = '{}'", receiver.url("/slow"));
    (receiver, http)
}

/// Waits until the first request is given up; how long after it came.
fn given_up(receiver: &Receiver) -> Duration {
    until("the request is given up", || !receiver.given_up().is_empty());
    receiver.given_up()[0].1.since(receiver.received()[0].at)
}

fn a_server_that_is_too_slow_is_given_up_at_the_timeout(ground: Ground) {
    let (receiver, http) = slow();
    let site = Site::new(ground, "", &call(&http, "timeout = '1500ms'"));
    let _node = site.start("web-1").ready();
    let run = entry(&site, "timed_out");
    assert_eq!(run.error.as_deref(), Some("ended: it ran longer than its timeout of 1.5s"));
    let took = given_up(&receiver);
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

fn a_request_that_is_cancelled_is_given_up_at_once(ground: Ground) {
    let (receiver, http) = slow();
    let site = Site::new(ground, "", &call(&http, ""));
    let node = site.start("web-1").ready();
    receiver.wait(1);
    let run_id = node.wait("run.started")["run_id"].as_str().unwrap().to_owned();
    site.ask(&["cancel", &run_id]);
    let run = entry(&site, "cancelled");
    assert_eq!(run.run_id, Some(run_id));
    given_up(&receiver);
}

fn a_request_whose_lease_is_lost_is_given_up_before_another_may_begin(ground: Ground) {
    let (receiver, http) = slow();
    let mut site = Site::new(ground, "", &call(&http, "lease_ttl = '2s'"));
    let node = site.start("web-1").ready();
    receiver.wait(1);
    site.take_store_away();
    let begun = BootInstant::now();
    node.wait("lease.lost");
    until("the request is given up", || !receiver.given_up().is_empty());
    let took = receiver.given_up()[0].1.since(begun);
    assert!(took < Duration::from_secs(4), "{took:?}: two for the lease, and a busy machine");
    let finished = node.wait("run.finished");
    assert_eq!(finished["outcome"], "lease_lost");
    site.bring_store_back();
}

fn a_request_that_outlives_a_drain_is_handed_over(ground: Ground) {
    let (receiver, http) = slow();
    let site = Site::new(ground, "drain_timeout = '1s'", &call(&http, "kill_grace = '1m'"));
    let mut node = site.start("web-1").ready();
    receiver.wait(1);
    let begun = BootInstant::now();
    assert_eq!(node.drain(), 1, "it was cut short");
    let took = BootInstant::now().since(begun);
    assert!(took < Duration::from_secs(10), "{took:?}: a request has no grace");
    assert_eq!(entry(&site, "handed_over").error.as_deref(), Some("ended: the node is draining"));
    given_up(&receiver);
}
