//! What claims cost a Redis in time and in memory.
//!
//! The peer for time is `redis-benchmark -P 512` with `SET NX PX`, the lock alone: with
//! keys and values as long as those of slots' locks, on the same server, in turn. All is
//! asked for on one connection, as a node does with slots that are due together.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use solocron::claim::{Claim, Claimant, Fence, Token, Verdict};
use solocron::clock::{BootInstant, ClusterTime};
use solocron::ledger::Retention;
use solocron::name::{JobName, NodeName};
use solocron::node::BootId;
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::redis::{Address, Options, RedisStore};
use solocron::store::{Completion, CursorKey, Store, Then};
use solocron::table::ScheduleDigest;

use crate::figures::{RUNS, median};
use crate::harness::redis_server::RedisServer;
use crate::row::Row;

/// So many slots are claimed each time, ...
const SLOTS: usize = 50_000;
/// ... in batches as large as those of a node, ...
const TOGETHER: usize = 2_000;
/// ... of which so many are under way.
const UNDER_WAY: usize = 4;
/// So many records and ledger entries are weighed, of so many jobs.
const WEIGHED: usize = 10_000;
const JOBS: usize = 100;

const CLUSTER: &str = "production";
const TTL: Duration = Duration::from_secs(30);
const KEEP: Duration = Duration::from_secs(30 * 86_400);
const RETENTION: Retention = Retention { keep: KEEP, per_job: 1_000 };

pub(crate) fn rows() -> Vec<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut rows = speed().await;
        rows.extend(weight().await);
        rows
    })
}

fn open(server: &RedisServer) -> RedisStore {
    RedisStore::open(Options {
        address: Address::Tcp { host: "127.0.0.1".to_owned(), port: server.port(), tls: None },
        database: 0,
        username: None,
        password: None,
        cluster: CLUSTER.parse().unwrap(),
        node: None,
        timeout: Duration::from_secs(30),
        min_acks: 0,
    })
}

fn claimant(name: &str) -> Claimant {
    Claimant {
        node: NodeName::new(name).unwrap(),
        boot: BootId::random(),
        max_early: Duration::from_secs(5),
    }
}

/// The slot of job number `n` that is due now.
fn slot(n: usize, at: SlotTime) -> Slot {
    Slot::scheduled(JobName::new(&format!("job-{n:06}")).unwrap(), at)
}

const fn digest(n: usize) -> ScheduleDigest {
    ScheduleDigest::from_bits(0x5eed_0000_0000_0000 + n as u64)
}

fn claim(n: usize, at: SlotTime, overlap: Overlap) -> Claim {
    Claim {
        slot: slot(n, at),
        token: Token::new(),
        ttl: TTL,
        due: at.cluster_time(),
        start_by: at.cluster_time() + Duration::from_secs(60),
        overlap,
        max_takeovers: 3,
        takes_over: None,
        keep_record: KEEP,
        keep_settled: Duration::from_secs(370),
        retention: RETENTION,
        digest: digest(n),
        advance: true,
        looks_first: false,
    }
}

async fn second_of(store: &RedisStore) -> SlotTime {
    let now = store.time().await.unwrap();
    SlotTime::from_unix_seconds(now.unix_micros().div_euclid(1_000_000))
}

/// Makes the claims; how many each second.
async fn rate(store: &Arc<RedisStore>, who: &Claimant, claims: &[Claim], won: bool) -> f64 {
    let begun = BootInstant::now();
    let batches = claims.chunks(TOGETHER).map(|some| store.claim(who, some));
    let claimed: Vec<_> = stream::iter(batches).buffered(UNDER_WAY).collect().await;
    let took = BootInstant::now().since(begun);
    for claimed in claimed.into_iter().flat_map(Result::unwrap) {
        let as_expected = match claimed.verdict {
            Verdict::Won(_) => won,
            Verdict::Held(_) => !won,
            _ => false,
        };
        assert!(as_expected, "{claimed:?}");
    }
    claims.len() as f64 / took.as_secs_f64()
}

/// `SET NX PX` by redis-benchmark, each second. The keys are of a space so large: all are
/// new in a vast one, and none in one that is filled.
fn bare_rate(server: &RedisServer, space: usize) -> f64 {
    let output = Command::new("redis-benchmark")
        .args(["-p", &server.port().to_string()])
        .args(["-c", "1", "-P", "512", "--csv", "-n", &SLOTS.to_string()])
        .args(["-r", &space.to_string()])
        .args(["SET", &bare_key("__rand_int__"), &Token::new().to_string()])
        .args(["NX", "PX", &TTL.as_millis().to_string()])
        .output()
        .expect("redis-benchmark comes with the server");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = text.lines().last().unwrap();
    line.split("\",\"")
        .nth(1)
        .and_then(|rate| rate.parse().ok())
        .unwrap_or_else(|| panic!("{text}"))
}

/// As long as the key of a slot's lock, with 12 digits in it.
fn bare_key(number: &str) -> String {
    format!("{CLUSTER}:{{{CLUSTER}.0}}:lock:jo-{number}22T03:00:00Z")
}

async fn speed() -> Vec<Row> {
    let server = RedisServer::start();
    let store = Arc::new(open(&server));
    let (first, second) = (claimant("web-1"), claimant("web-2"));
    let mut figures = [const { Vec::new() }; 5];
    for _ in 0..RUNS {
        let mut round = Vec::new();
        for overlap in [Overlap::Allow, Overlap::Skip] {
            server.cli(&["FLUSHALL"]);
            let at = second_of(&store).await;
            let cursors: Vec<_> =
                (0..SLOTS).map(|n| CursorKey { job: slot(n, at).job, digest: digest(n) }).collect();
            let before = SlotTime::from_unix_seconds(at.unix_seconds() - 60);
            store.open_cursors(&cursors, before, KEEP).await.unwrap();
            let own: Vec<_> = (0..SLOTS).map(|n| claim(n, at, overlap)).collect();
            round.push(rate(&store, &first, &own, true).await);
            if overlap == Overlap::Allow {
                // As the nodes do that come after the first.
                let look = |n| Claim { looks_first: true, ..claim(n, at, overlap) };
                let other: Vec<_> = (0..SLOTS).map(look).collect();
                round.push(rate(&store, &second, &other, false).await);
            }
        }
        server.cli(&["FLUSHALL"]);
        round.push(bare_rate(&server, 2_000_000_000));
        server.cli(&["FLUSHALL"]);
        fill(&server);
        round.push(bare_rate(&server, SLOTS));
        assert_eq!(server.cli_number(&["DBSIZE"]), SLOTS as i64, "all lost");
        for (figures, figure) in figures.iter_mut().zip(round) {
            figures.push(figure);
        }
    }
    let [won, lost, in_turn, bare_won, bare_lost] = figures.map(median);
    let row = |what: &str, ours: f64, bare: f64, least: f64| Row {
        what: format!("claims per second, one connection: {what}"),
        floor: format!("bare `SET NX PX`, pipelined: {bare:.0}"),
        must: format!("at least {least:.1} times"),
        measured: format!("{ours:.0}, {:.2} times", ours / bare),
        reached: ours >= least * bare,
    };
    vec![
        row("won, with record, index, fence and cursor", won, bare_won, 0.6),
        row("the same with the job's turn (`overlap = \"skip\"`)", in_turn, bare_won, 0.6),
        row("lost, with the holder told", lost, bare_lost, 1.0),
    ]
}

/// Sets every key that redis-benchmark may draw.
fn fill(server: &RedisServer) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut connection = client.get_connection().unwrap();
    let mut pipeline = redis::pipe();
    for number in 0..SLOTS {
        pipeline.set(bare_key(&format!("{number:012}")), Token::new().to_string()).ignore();
    }
    pipeline.query::<()>(&mut connection).unwrap();
}

/// Claims and completes slots, and sees what stays of each.
async fn weight() -> Vec<Row> {
    let server = RedisServer::start();
    let store = open(&server);
    let who = claimant("web-1");
    // Scripts and buffers are there, and all that is kept once.
    settle(&store, &who, JOBS, 0).await;
    let (mut records, mut entries) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        server.cli(&["FLUSHALL"]);
        settle(&store, &who, JOBS, 0).await;
        let before = used(&server);
        settle(&store, &who, WEIGHED, JOBS).await;
        drop_keys(&server, "tails");
        let both = used(&server);
        drop_keys(&server, "ledger");
        let without = used(&server);
        let each = |bytes: i64| bytes as f64 / WEIGHED as f64;
        entries.push(each(both - without));
        records.push(each(without - before));
    }
    let row = |what: &str, bytes: f64, most: f64| Row {
        what: format!("store memory: {what}"),
        floor: String::new(),
        must: format!("at most {most} bytes"),
        measured: format!("{bytes:.0} bytes"),
        reached: bytes <= most,
    };
    vec![
        row("a settled slot's record", median(records), 300.0),
        row("a run's ledger entry, its tail apart", median(entries), 150.0),
    ]
}

/// Runs `count` slots of [`JOBS`] jobs, from the `from`-th on.
async fn settle(store: &RedisStore, who: &Claimant, count: usize, from: usize) {
    let now = second_of(store).await;
    let numbers: Vec<_> = (from..from + count).collect();
    for some in numbers.chunks(TOGETHER) {
        let claims: Vec<_> = some
            .iter()
            .map(|n| {
                let at = SlotTime::from_unix_seconds(now.unix_seconds() - (n / JOBS) as i64);
                let start_by = now.cluster_time() + Duration::from_secs(60);
                Claim { start_by, advance: false, ..claim(n % JOBS, at, Overlap::Allow) }
            })
            .collect();
        let claimed = store.claim(who, &claims).await.unwrap();
        let fences = claimed.into_iter().map(|claimed| match claimed.verdict {
            Verdict::Won(grant) => grant.fence,
            other => panic!("{other:?}"),
        });
        let completions: Vec<_> =
            claims.iter().zip(fences).map(|(claim, fence)| completion(claim, fence)).collect();
        store.complete(&who.node, &completions).await.unwrap();
    }
}

/// That of a run of 2.4 s that began 3 ms after its slot.
fn completion(claim: &Claim, fence: Fence) -> Completion {
    let began = claim.slot.at.cluster_time().unix_micros() + 3_217;
    Completion {
        slot: claim.slot.clone(),
        token: claim.token,
        attempt: 1,
        fence,
        outcome: Outcome::Succeeded,
        then: Then::Settle,
        started_at: ClusterTime::from_unix_micros(began),
        finished_at: ClusterTime::from_unix_micros(began + 2_412_345),
        exit_code: Some(0),
        signal: None,
        error: None,
        tail: String::new(),
        keep_record: claim.keep_settled,
        retention: claim.retention,
    }
}

fn used(server: &RedisServer) -> i64 {
    let info = server.cli_text(&["INFO", "memory"]);
    let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap();
    line.trim().parse().unwrap()
}

/// Deletes all keys of a kind.
fn drop_keys(server: &RedisServer, kind: &str) {
    for key in server.cli_list(&["KEYS", &format!("{CLUSTER}:{{{CLUSTER}.0}}:{kind}:*")]) {
        server.cli(&["DEL", &key]);
    }
}
