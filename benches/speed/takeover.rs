//! From the death of a node to its job's run on another.

use std::time::Duration;

use solocron::clock::BootInstant;

use crate::figures::{at, millis};
use crate::harness::node::Node;
use crate::harness::site::{Ground, Site};
use crate::row::Row;

const KILLS: usize = 25;
const TTL: Duration = Duration::from_secs(1);
const MORE: Duration = Duration::from_millis(100);

pub(crate) fn rows() -> Vec<Row> {
    let job = format!(
        "[jobs.one]\nschedule = '*/2 * * * * *'\ncommand = ['sleep', '600']\nlease_ttl = '{TTL:?}'\n\
         max_takeovers = 1000\n"
    );
    let site = Site::new(Ground::FleetingRedis, "drain_timeout = '0s'", &job);
    let mut holder = site.start("web-0").ready();
    holder.wait("run.started");
    let mut took = Vec::new();
    for kill in 1..=KILLS {
        let successor = site.start(&format!("web-{kill}")).ready();
        // Its coarse clock is at work, and it knows of the slot.
        std::thread::sleep(TTL);
        took.push(takeover(&mut holder, &successor));
        holder = successor;
    }
    let [median, p99] = [0.5, 0.99].map(|share| at(share, took.clone()));
    let most = millis(TTL + MORE);
    vec![Row {
        what: "takeover: kill -9 of a node to the run on another".to_owned(),
        floor: format!("TTL {TTL:?}"),
        must: format!("p99 at most TTL + {MORE:?}"),
        measured: format!("p99 {p99:.0} ms, p50 {median:.0}, {KILLS} kills"),
        reached: p99 <= most,
    }]
}

/// How long it took, in milliseconds.
fn takeover(holder: &mut Node, successor: &Node) -> f64 {
    let killed = BootInstant::now();
    holder.kill9();
    successor.wait("run.started");
    let started = successor.log().into_iter().find(|logged| logged.text("event") == "run.started");
    millis(started.unwrap().at.since(killed))
}
