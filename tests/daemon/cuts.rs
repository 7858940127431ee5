//! Networks that fail between nodes and Redis while a job runs.

use std::time::Duration;

use crate::harness::lives::lively;
use crate::harness::processes;
use crate::harness::proxy::{Flow, Proxy, Way};
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::storm;
use crate::victims::{self, LATE, TTL, up};

/// The holder's way to Redis fails while a job of it runs: the run is over in time,
/// another runs the slot, and what the holder says when it is back changes nothing.
fn cut_off(fail: impl FnOnce(&Proxy)) {
    let site = victims::site(Ground::Redis, "");
    let proxy = Proxy::before(site.redis().port());
    let holder = site.start_behind(&proxy, "holder").ready();
    let lost = victims::await_victim(&site, 0);
    let other = site.start("other").ready();
    fail(&proxy);
    let at = up();

    // Nothing was granted to it after that. (That it is gone before its lease can lapse
    // is for the run after it to say; this is as good as it can be seen from here.)
    let gone = victims::await_gone(&lost);
    assert!(gone <= TTL + LATE / 2, "its processes lived for {gone:?}");
    let next = victims::await_successor(&site, &lost);
    // Renewals that go out and are applied may be asked for until it gives up.
    let took = Duration::from_secs_f64((next.begun - at).max(0.0));
    assert!(took <= 2 * TTL + LATE, "it began {took:?} after the failure: {next:?}");
    let end = holder.wait_where("run.finished", |record| record["run_id"] == lost.run_id);
    assert_eq!(end["outcome"], "lease_lost", "{end}");
    let loss = holder.wait_where("lease.lost", |record| record["run_id"] == lost.run_id);
    assert_eq!(loss["reason"], "not_renewed", "{loss}");
    victims::await_entries(&site, &lost, "succeeded");
    let before = victims::slot_story(&site, &lost);

    holder.wait("store.down");
    proxy.mend();
    until("the holder is back", || holder.count("store.up", |_| true) > 1);
    storm::pass([&holder, &other], 2);
    victims::judge_takeover(&site, [&holder, &other], &lost, &next);
    assert_eq!(victims::slot_story(&site, &lost), before);
    println!("gone after {gone:?}, taken over after {took:?}");
}

#[test]
fn a_holder_whose_words_do_not_reach_redis_ends_its_run_before_another_begins() {
    cut_off(|proxy| proxy.set(Way::ToServer, Flow::Drop));
}

#[test]
fn a_holder_whom_no_word_of_redis_reaches_ends_its_run_before_another_begins() {
    cut_off(|proxy| proxy.set(Way::ToClient, Flow::Drop));
}

#[test]
fn a_holder_between_whom_and_redis_all_words_vanish_ends_its_run_before_another_begins() {
    cut_off(|proxy| proxy.set_both(Flow::Drop));
}

#[test]
fn a_holder_whose_connections_are_cut_ends_its_run_before_another_begins() {
    cut_off(Proxy::cut);
}

#[test]
fn a_holder_whose_words_come_too_late_ends_its_run_before_another_begins() {
    cut_off(|proxy| proxy.set_both(Flow::Delay(TTL)));
}

#[test]
fn a_run_survives_that_redis_is_away_for_two_fifths_of_its_lease() {
    let long = lively("while [ ! -e go ]; do sleep 0.1; done");
    let keys = "lease_ttl = '5s'\nstart_within = '15s'";
    let site = Site::new(Ground::Redis, "", &every_second("long", &long, keys));
    let proxy = Proxy::before(site.redis().port());
    let nodes = ["web-1", "web-2"].map(|name| site.start_behind(&proxy, name).ready());
    let life = victims::await_life(&site, "a run has begun", |_| true);
    let outages: [&dyn Fn(&Proxy); 4] = [
        &|proxy| proxy.set_both(Flow::Drop),
        &|proxy| proxy.set(Way::ToClient, Flow::Drop),
        &Proxy::cut,
        &|proxy| proxy.set_both(Flow::Delay(Duration::from_secs(5))),
    ];
    for (number, fail) in outages.iter().enumerate() {
        // At another time of the renewal's period each time.
        std::thread::sleep(Duration::from_millis(1500 + 300 * number as u64));
        fail(&proxy);
        // What is tested is an outage of a certain length.
        std::thread::sleep(Duration::from_secs(2));
        proxy.mend();
        assert!(!processes::of_run(&life.run_id).is_empty(), "it lives after outage {number}");
    }
    std::fs::write(site.folder().join("go"), "").expect("it can be written");

    let runs = victims::await_entries(&site, &life, "succeeded");
    assert_eq!(runs.len(), 1, "{runs:?}");
    assert_eq!(runs[0].run_id.as_ref(), Some(&life.run_id));
    victims::assert_no_overlap(&site);
    for node in &nodes {
        assert!(node.count("store.down", |_| true) > 0, "{} has noticed nothing", node.name);
        assert_eq!(node.count("lease.lost", |_| true), 0);
        assert_eq!(node.count("slot.taken_over", |_| true), 0);
    }
}
