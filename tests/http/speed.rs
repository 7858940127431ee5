//! What answers cost where there is much to tell, beside what they cost where there is
//! little. The milliseconds that are wanted `cargo bench --bench speed -- pages` shows: what
//! the tests run is not optimised, and shares the machine.

use std::time::Duration;

use redis::Value;
use solocron::clock::{BootInstant, wall_now};
use solocron::name::JobName;

use crate::client::{Seen, with_tokens};
use crate::harness::filled::fill;
use crate::harness::site::{Ground, Site};
use crate::harness::until;

const JOBS: usize = 300;

/// The ledger's entries of each job: as many as a node holds of it, and much more.
const FEW: usize = 32;
const MANY: usize = 128;

/// What is asked for, so often of each.
const ASKED: usize = 15;

/// By so much an answer may be longer in coming where the ledger has four times as much, and
/// so many milliseconds, which two measurements differ by.
const TIMES: f64 = 2.0;
const MORE: f64 = 10.0;

/// A node with so many entries of each job, on a site of its own.
fn filled(each: usize) -> (Seen, Site) {
    let jobs: String = (0..JOBS)
        .map(|n| {
            format!(
                "[jobs.job-{n}]\nschedule = '0 0 1 1 *'\nshell = 'true'\ntags = ['t{}']\n",
                n % 10
            )
        })
        .collect();
    // What is measured is not its disk's.
    let head = with_tokens();
    let site = Site::new(Ground::FleetingRedis, "heartbeat = '1s'", &format!("{head}{jobs}"));
    let names: Vec<JobName> = (0..JOBS).map(|n| format!("job-{n}").parse().unwrap()).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = site.store();
        fill(&*store, &names, each).await;
        store.close().await;
    });
    let count = site.redis().cli(&["XLEN", &site.key(0, "ledger:job-7")]);
    assert_eq!(count, Value::Int(each as i64), "at {}", wall_now());
    let seen = Seen::start(&site, "web-1");
    until("it answers", || seen.ask("GET", "/api/v1/jobs").status == 200);
    (seen, site)
}

fn middle(mut took: Vec<Duration>) -> f64 {
    took.sort();
    took[took.len() / 2].as_secs_f64() * 1000.0
}

#[test]
fn an_answer_costs_the_same_however_much_the_ledger_holds() {
    let (few, _few) = filled(FEW);
    let (many, _many) = filled(MANY);
    let run = |seen: &Seen| {
        let runs = seen.get("/api/v1/jobs/job-7/runs?limit=1");
        runs[0]["run_id"].as_str().unwrap().to_owned()
    };
    let runs = [run(&few), run(&many)];
    for path in [
        "/api/v1/cluster",
        "/api/v1/jobs",
        "/api/v1/jobs?tag=t3",
        "/api/v1/jobs/job-7",
        "/api/v1/jobs/job-7/runs?limit=10",
        "/api/v1/runs/ID",
        "/api/v1/slots?limit=10",
        "/api/v1/slots?job=job-7&limit=10",
        "/api/v1/nodes",
        "/metrics",
    ] {
        let ask = |seen: &Seen, run: &str| {
            let path = path.replace("ID", run);
            let begun = BootInstant::now();
            let answer = seen.ask("GET", &path);
            assert_eq!(answer.status, 200, "{path}");
            BootInstant::now().since(begun)
        };
        // In turn: whoever shares the machine is in the way of both.
        let (little, much): (Vec<_>, Vec<_>) =
            (0..ASKED).map(|_| (ask(&few, &runs[0]), ask(&many, &runs[1]))).unzip();
        let (little, much) = (middle(little), middle(much));
        println!("{path}: {little:.1} ms where there is little, {much:.1} ms where there is much");
        assert!(much < little * TIMES + MORE, "{path}: {little:.1} ms, {much:.1} ms");
    }
}
