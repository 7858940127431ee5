//! How fast claims are, against plain `SET NX PX` on the same machine.
//!
//! `cargo test --release --test store speed -- --ignored --nocapture`

use std::process::Command;
use std::time::Duration;

use solocron::claim::Verdict;
use solocron::clock::BootInstant;
use solocron::policy::Overlap;
use solocron::store::Store;
use solocron::store::redis::RedisStore;

use super::options;
use crate::contract::*;
use crate::harness::redis_server::RedisServer;

const CLAIMS: usize = 200_000;
const BATCH: usize = 5_000;
const ROUNDS: usize = 3;

/// Plain pipelined `SET` of keys and values as long as ours, by `redis-benchmark`.
fn plain(server: &RedisServer) -> f64 {
    let key = format!("prod:{{prod.0}}:lock:job-__rand_int__@{}", "2026-11-22T03:00:00Z");
    let output = Command::new("redis-benchmark")
        .args(["-p", &server.port().to_string(), "-c", "1", "-P", "512", "-q", "--csv"])
        .args(["-n", &CLAIMS.to_string(), "-r", "1000000000", "SET", &key])
        .args(["0193f7a1-7b1c-7000-8000-0123456789ab", "NX", "PX", "60000"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    let rate = last.split("\",\"").nth(1).unwrap().trim_matches('"');
    rate.parse().unwrap()
}

/// What the server has used of the CPU, which a busy machine does not blur.
fn cpu_micros(server: &RedisServer) -> f64 {
    let info = server.cli_text(&["INFO", "cpu"]);
    let used = |name: &str| -> f64 {
        let line = info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse().unwrap()
    };
    (used("used_cpu_user:") + used("used_cpu_sys:")) * 1e6
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn claims_a_second() {
    for round in 0..ROUNDS {
        for overlap in [Overlap::Allow, Overlap::Skip] {
            println!("round {round}, {overlap:?}: {}", measure(overlap).await);
        }
    }
}

async fn measure(overlap: Overlap) -> String {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let spent = cpu_micros(&server);
    let plain = plain(&server);
    let plain_cost = (cpu_micros(&server) - spent) / CLAIMS as f64;
    server.cli(&["FLUSHALL"]);

    let slot = due(&store, "job-000000000000").await;
    let claims: Vec<_> = (0..CLAIMS)
        .map(|i| {
            let mut claim = claim_of(&slot, LONG);
            claim.slot.job = job(&format!("job-{i:012}"));
            claim.advance = true;
            claim.overlap = overlap;
            claim
        })
        .collect();
    let cursors: Vec<_> = claims.iter().map(|c| cursor_of(c.slot.job.as_str())).collect();
    let start = solocron::slot::SlotTime::from_unix_seconds(slot.at.unix_seconds() - 60);
    store.open_cursors(&cursors, start, Duration::from_secs(86_400)).await.unwrap();

    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    for (who, wins, looks_first) in
        [(&me, true, false), (&other, false, false), (&other, false, true)]
    {
        let mut claims = claims.clone();
        if !wins {
            claims.iter_mut().for_each(|c| c.token = solocron::claim::Token::new());
        }
        claims.iter_mut().for_each(|c| c.looks_first = looks_first);
        let spent = cpu_micros(&server);
        let start = BootInstant::now();
        for batch in claims.chunks(BATCH) {
            for verdict in verdicts(&store, who, batch).await {
                assert_eq!(matches!(verdict, Verdict::Won(_)), wins, "{verdict:?}");
            }
        }
        rates.push(CLAIMS as f64 / BootInstant::now().since(start).as_secs_f64());
        costs.push((cpu_micros(&server) - spent) / CLAIMS as f64);
    }
    format!(
        "plain {plain:.0}/s, wins, losses and losses that are looked at {rates:.0?}/s
         of the server's CPU: plain {plain_cost:.2} us, the others {costs:.2?} us"
    )
}
