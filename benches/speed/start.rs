//! How long a node takes from its exec to `node.started`.

use solocron::clock::BootInstant;

use crate::figures::{median, millis};
use crate::harness::site::{Ground, Site};
use crate::row::Row;

const JOBS: usize = 100;
const STARTS: usize = 15;
const MOST: f64 = 30.0;

pub(crate) fn rows() -> Vec<Row> {
    let job = |n| format!("[jobs.job-{n}]\nschedule = '0 3 * * *'\ncommand = ['true']\n");
    let site = Site::new(Ground::FleetingRedis, "", &(0..JOBS).map(job).collect::<String>());
    let start = |_| {
        let begun = BootInstant::now();
        let mut node = site.start("web-1").ready();
        let ready = BootInstant::now();
        assert_eq!(node.drain(), 0);
        millis(ready.since(begun))
    };
    let took = median((0..STARTS).map(start).collect());
    vec![Row {
        what: format!("start: exec to `node.started`, {JOBS} jobs"),
        floor: String::new(),
        must: format!("median under {MOST} ms"),
        measured: format!("{took:.1} ms"),
        reached: took < MOST,
    }]
}
