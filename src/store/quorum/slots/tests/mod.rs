//! The protocol on servers in memory: requests and replies that are lost, late and out of
//! order, servers that forget everything, and several who propose at the same time.
//!
//! The step is the smallest there is: it counts. So whatever is lost or done twice shows in a
//! number that two were told, or that nobody was.

#![expect(clippy::disallowed_methods, reason = "time is that of the paused runtime")]

use std::cell::Cell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::acceptor::{Acceptor, Position};
use super::journal::Journal;
use super::membership::Warden;
use super::pace::Pace;
use super::replica::Candidate;
use crate::clock::BootInstant;
use crate::store::ground::Ground as _;
use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

mod servers;

use self::servers::{Road, Server, servers};

/// So many histories are tried; in a long run (`tests/run --long`) a quarter of what it says.
fn seeds() -> Range<u64> {
    let sequences = std::env::var("SOLOCRON_TEST_SEQUENCES").ok();
    0..sequences.map_or(300, |text| text.parse::<u64>().unwrap() / 4)
}

/// No call takes longer.
const BOUND: Duration = Duration::from_secs(2);

thread_local! {
    /// When the history that is played here began.
    static BEGAN: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The instant in the time that passes in a history.
fn passed() -> BootInstant {
    let began = BEGAN.get().expect("a history is played");
    BootInstant::from_nanos(u64::try_from(began.elapsed().as_nanos()).unwrap())
}

/// Somebody who counts, with ways of his own to the servers.
struct Node {
    journal: Arc<Journal>,
    closed: CancellationToken,
}

impl Node {
    fn new(servers: &[Arc<Server>], bound: Duration) -> Self {
        let roads: Vec<_> = servers.iter().map(|server| Arc::new(Road(server.clone()))).collect();
        let amiss = Arc::new(Notify::new());
        let acceptors = roads.iter().map(|road| road.clone() as Arc<dyn Acceptor>).collect();
        let mut journal = Journal::new(acceptors, bound, amiss.clone());
        journal.pace = Pace::by(passed);
        let journal = Arc::new(journal);
        let closed = CancellationToken::new();
        let servers = roads.into_iter().map(|road| road as Arc<dyn Candidate>).collect();
        let (told, _) = watch::channel(None);
        let warden = Warden { servers, journal: journal.clone(), told, amiss };
        tokio::spawn(warden.work(closed.clone()));
        Self { journal, closed }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// What came of counting once.
struct Counted {
    began: Instant,
    ended: Instant,
    result: Result<u64>,
}

async fn count(journal: &Arc<Journal>, times: usize) -> Vec<Counted> {
    let mut counted = Vec::new();
    for _ in 0..times {
        let began = Instant::now();
        let result = journal.transact(|draft| draft.raise_version()).await;
        let result = result.map(|version| version.expect("it can be read"));
        counted.push(Counted { began, ended: Instant::now(), result });
        tokio::time::sleep(Duration::from_millis(fastrand::u64(0..20))).await;
    }
    counted
}

/// Servers that lose their memory, and some of them are away for a while: so many at a time that
/// there is a majority of others left.
async fn forget(servers: Vec<Arc<Server>>) {
    loop {
        tokio::time::sleep(Duration::from_millis(fastrand::u64(100..800))).await;
        let members = servers.iter().filter(|server| server.is_member()).count();
        if members > majority(servers.len()) {
            let one = fastrand::choice(&servers).unwrap();
            if !one.is_member() {
                continue;
            }
            one.empty();
            if fastrand::bool() {
                one.is_down.store(true, Ordering::Relaxed);
            }
        } else if let Some(one) = servers.iter().find(|one| one.is_down.load(Ordering::Relaxed)) {
            one.is_down.store(false, Ordering::Relaxed);
        }
    }
}

/// One history, by itself: the same seed, the same history. What is wrong with it, if
/// something is, and else how many numbers were told.
fn history(seed: u64, is_broken: bool) -> std::result::Result<usize, String> {
    played(told_in(seed, is_broken))
}

/// What comes of `play`, in a time that passes when nobody has anything to do.
fn played<T>(play: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(async {
        BEGAN.set(Some(Instant::now()));
        play.await
    })
}

async fn told_in(seed: u64, is_broken: bool) -> std::result::Result<usize, String> {
    fastrand::seed(seed);
    let count_of = if fastrand::bool() { 3 } else { 5 };
    let loss = [0.0, 0.02, 0.1][fastrand::usize(0..3)];
    let servers = servers(count_of, loss, 50..2000, is_broken);
    let nodes: Vec<_> = (0..4).map(|_| Node::new(&servers, BOUND)).collect();
    all_are_members(&servers).await?;
    let forgetting = tokio::spawn(forget(servers.clone()));
    let counting = nodes.iter().map(|node| count(&node.journal, 25));
    let mut counted: Vec<_> =
        futures_util::future::join_all(counting).await.into_iter().flatten().collect();
    forgetting.abort();

    // Whatever is still on its way arrives, and then everybody gets an answer.
    *servers[0].world.loss.lock().unwrap() = 0.0;
    tokio::time::sleep(Duration::from_secs(1)).await;
    servers.iter().for_each(|server| server.is_down.store(false, Ordering::Relaxed));
    all_are_members(&servers).await?;
    let counting = nodes.iter().map(|node| count(&node.journal, 2));
    let calm = futures_util::future::join_all(counting).await.into_iter().flatten();
    counted.extend(calm.map(answered).collect::<std::result::Result<Vec<_>, _>>()?);
    let last = nodes[0].journal.transact(|draft| draft.raise_version()).await;
    let last = last.map_err(|error| format!("{error}"))?.expect("it can be read") - 1;
    judge(&counted, last)?;
    agree(&servers)?;
    Ok(counted.iter().filter(|counted| counted.result.is_ok()).count())
}

/// Waits for that, but not for ever.
async fn all_are_members(servers: &[Arc<Server>]) -> std::result::Result<(), String> {
    let began = Instant::now();
    while !servers.iter().all(|server| server.is_member()) {
        if began.elapsed() > Duration::from_secs(60) {
            return Err("a server is not let in".to_owned());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

fn answered(counted: Counted) -> std::result::Result<Counted, String> {
    match &counted.result {
        Ok(_) => Ok(counted),
        Err(error) => Err(format!("somebody got no answer: {error}")),
    }
}

/// Nodes that propose all the time, to servers of which not one can be spared: whether each
/// gets an answer. A request, and a reply, takes `most` at most, and the nodes believe at first
/// that both together take `held`.
async fn none_to_spare(
    seed: u64,
    most: Duration,
    held: Duration,
) -> std::result::Result<(), String> {
    fastrand::seed(seed);
    let most = u64::try_from(most.as_micros()).unwrap();
    let servers = servers(5, 0.0, most / 8..most, false);
    let nodes: Vec<_> = (0..3).map(|_| Node::new(&servers, 5 * BOUND)).collect();
    all_are_members(&servers).await?;
    servers[..2].iter().for_each(|server| server.is_down.store(true, Ordering::Relaxed));
    nodes.iter().for_each(|node| node.journal.pace.took(held));
    let counting = nodes.iter().map(|node| count(&node.journal, 10));
    let counted = futures_util::future::join_all(counting).await;
    counted.into_iter().flatten().try_for_each(|counted| answered(counted).map(drop))
}

/// Whether what was told is what one counter would have told.
fn judge(counted: &[Counted], last: u64) -> std::result::Result<(), String> {
    let mut told: Vec<_> =
        counted.iter().filter_map(|one| Some((*one.result.as_ref().ok()?, one))).collect();
    told.sort_by_key(|(version, _)| *version);
    for pair in told.windows(2) {
        let [(a, first), (b, second)] = pair else { unreachable!("two are two") };
        if a == b {
            return Err(format!("{a} was told twice"));
        }
        if second.ended < first.began {
            return Err(format!("{b} was told before {a} was asked for"));
        }
    }
    let unknown = |one: &&Counted| matches!(one.result, Err(StoreError::Unknown(_)));
    let (sure, most) = (told.len(), told.len() + counted.iter().filter(unknown).count());
    if !(sure as u64..=most as u64).contains(&last) {
        return Err(format!("{sure} to {most} were counted, and the counter says {last}"));
    }
    Ok(())
}

/// Whether no two servers have different changes at one position.
fn agree(servers: &[Arc<Server>]) -> std::result::Result<(), String> {
    let mut chosen: HashMap<Position, Uuid> = HashMap::new();
    for server in servers {
        for (at, change) in &server.kept().journal {
            if *chosen.entry(*at).or_insert(change.id) != change.id {
                return Err(format!("two changes at {at}"));
            }
        }
    }
    Ok(())
}

#[test]
fn whatever_is_lost_late_or_forgotten_each_number_is_told_once() {
    let mut sure = 0;
    for seed in seeds() {
        sure += history(seed, false).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
    // Most get their number.
    assert!(sure > 80 * seeds().count(), "{sure}");
}

#[test]
fn with_no_server_to_spare_those_who_propose_at_once_get_their_turns() {
    // Where rounds have become quick again, nobody finds out before one succeeds.
    for (far, held) in [(2, 4), (2, 100), (10, 20), (30, 60), (60, 120)] {
        let (most, held) = (Duration::from_millis(far), Duration::from_millis(held));
        for seed in 0..seeds().end / 30 {
            played(none_to_spare(seed, most, held))
                .unwrap_or_else(|why| panic!("seed {seed}, {far} ms: {why}"));
        }
    }
}

#[test]
fn servers_that_accept_what_they_promised_not_to_are_found_out() {
    assert!(seeds().any(|seed| history(seed, true).is_err()), "no history shows it");
}
