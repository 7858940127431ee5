//! The protocol on servers in memory: requests and replies that are lost, late and out of
//! order, servers that forget everything, and several who propose at the same time.
//!
//! The step is the smallest there is: it counts. So whatever is lost or done twice shows in a
//! number that two were told, or that nobody was.

#![expect(clippy::disallowed_methods, reason = "time is that of the paused runtime")]

use std::cell::Cell as StdCell;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::acceptor::*;
use super::cells::{Cell, Content, Write};
use super::draft::Known;
use super::journal::Journal;
use super::membership::Warden;
use super::pace::Pace;
use super::replica::{Candidate, Copied, Membership, Page, Stage};
use crate::clock::{BootInstant, ClusterTime};
use crate::store::ground::Ground as _;
use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

/// So many histories are tried; in a long run (`tests/run --long`) a quarter of what it says.
fn seeds() -> Range<u64> {
    let sequences = std::env::var("SOLOCRON_TEST_SEQUENCES").ok();
    0..sequences.map_or(300, |text| text.parse::<u64>().unwrap() / 4)
}

/// No call takes longer.
const BOUND: Duration = Duration::from_secs(2);

/// One who copies and says nothing for so long is gone.
const COPIER_PATIENCE: Duration = Duration::from_secs(10);

thread_local! {
    /// When the history that is played here began.
    static BEGAN: StdCell<Option<Instant>> = const { StdCell::new(None) };
}

/// The instant in the time that passes in a history.
fn passed() -> BootInstant {
    let began = BEGAN.get().expect("a history is played");
    BootInstant::from_nanos(u64::try_from(began.elapsed().as_nanos()).unwrap())
}

/// What a server keeps.
#[derive(Default, Clone)]
struct Kept {
    /// Another after each start.
    process: u128,
    quorum: Option<Uuid>,
    server: Option<Uuid>,
    member: bool,
    copier: Option<Uuid>,
    copied: Option<Instant>,
    is_based: bool,
    position: Position,
    epoch: Position,
    promised: Option<Ballot>,
    since: Option<Instant>,
    pending: Option<Pending>,
    cells: Known,
    /// From the first that it has.
    journal: Vec<(Position, Change)>,
}

/// What all servers have in common.
struct World {
    writes: Mutex<HashMap<Uuid, Vec<Write>>>,
    began: Instant,
    /// How likely a request is lost, and as likely a reply.
    loss: Mutex<f64>,
    /// How long each takes (us).
    distance: Range<u64>,
    /// Servers accept whatever they promised: the property that the test must see broken.
    is_broken: bool,
}

struct Server {
    kept: Mutex<Kept>,
    /// Nobody listens there.
    is_down: AtomicBool,
    world: Arc<World>,
}

impl Server {
    /// Forgets everything.
    fn empty(&self) {
        let mut kept = self.kept();
        *kept = Kept { process: kept.process + 1, ..Kept::default() };
    }

    fn is_member(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed) && self.kept().member
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap()
    }

    fn clock(&self) -> ClusterTime {
        let micros = i64::try_from(self.world.began.elapsed().as_micros()).unwrap();
        ClusterTime::from_unix_micros(micros)
    }

    fn apply(&self, kept: &mut Kept, change: Change) {
        for write in &self.world.writes.lock().unwrap()[&change.id] {
            match write {
                Write::Version(version) => {
                    kept.cells.insert(Cell::Version, Content::Version(*version));
                }
                Write::Epoch => kept.epoch = kept.position + 1,
                other => panic!("{other:?}"),
            }
        }
        kept.position += 1;
        kept.journal.push((kept.position, change));
        (kept.pending, kept.since) = (None, None);
    }

    fn read(kept: &Kept, cells: &[Cell]) -> Vec<Content> {
        let content =
            |cell| kept.cells.get(cell).cloned().unwrap_or_else(|| Content::none_in(cell));
        cells.iter().map(content).collect()
    }

    fn shown(kept: &Kept) -> Membership {
        let stage = match (kept.member, kept.quorum) {
            (true, _) => Stage::Member,
            (false, Some(_)) => Stage::Marked,
            (false, None) => Stage::Outside,
        };
        let (quorum, server, position) = (kept.quorum, kept.server, kept.position);
        let begins = kept.journal.first().map_or(position + 1, |(at, _)| *at);
        let (copier, process) = (kept.copier, kept.process);
        Membership { quorum, server, stage, position, begins, copier, process }
    }
}

/// A way to a server, on which things get lost.
struct Road(Arc<Server>);

impl Road {
    /// Has the server do something.
    async fn travel<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Server) -> R + Send + 'static,
    ) -> Result<R> {
        let world = &self.0.world;
        let delay = || Duration::from_micros(fastrand::u64(world.distance.clone()));
        let loss = *world.loss.lock().unwrap();
        let refused = || Err(StoreError::Unavailable("nobody listens there".to_owned()));
        if fastrand::f64() < loss {
            let server = self.0.clone();
            // It may still arrive, much later.
            if fastrand::bool() {
                let late = Duration::from_millis(fastrand::u64(1..400));
                tokio::spawn(async move {
                    tokio::time::sleep(late).await;
                    if !server.is_down.load(Ordering::Relaxed) {
                        work(&server);
                    }
                });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(StoreError::Unknown("no answer".to_owned()));
        }
        tokio::time::sleep(delay()).await;
        if self.0.is_down.load(Ordering::Relaxed) {
            tokio::time::sleep(delay()).await;
            return refused();
        }
        let answer = work(&self.0);
        if fastrand::f64() < loss {
            tokio::time::sleep(Duration::from_millis(100)).await;
            return Err(StoreError::Unknown("no answer".to_owned()));
        }
        tokio::time::sleep(delay()).await;
        Ok(answer)
    }
}

#[async_trait]
impl Acceptor for Road {
    fn describe(&self) -> String {
        "a server".to_owned()
    }

    async fn prepare(
        &self,
        ballot: Ballot,
        patience: Duration,
        cells: &[Cell],
    ) -> Result<Prepared> {
        let cells = cells.to_vec();
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if !kept.member {
                return Prepared::Outside;
            }
            match kept.promised {
                Some(promised) if promised.round >= ballot.round => {
                    return Prepared::Refused(promised);
                }
                Some(promised)
                    if promised.proposer != ballot.proposer
                        && kept.since.is_some_and(|since| since.elapsed() < patience) =>
                {
                    return Prepared::Busy(promised);
                }
                _ => {}
            }
            (kept.promised, kept.since) = (Some(ballot), Some(Instant::now()));
            Prepared::Promised(Promise {
                position: kept.position,
                epoch: kept.epoch,
                pending: kept.pending.clone(),
                clock: server.clock(),
                last: ClusterTime::from_unix_micros(0),
                contents: Server::read(&kept, &cells),
            })
        };
        self.travel(work).await
    }

    async fn release(&self, ballot: Ballot) -> Result<()> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            let is_accepted = kept.pending.as_ref().is_some_and(|pending| pending.ballot == ballot);
            if kept.promised == Some(ballot) && !is_accepted {
                kept.since = None;
            }
        };
        self.travel(work).await
    }

    async fn accept(&self, ballot: Ballot, at: Position, change: &Change) -> Result<Accepted> {
        let change = change.clone();
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if !kept.member {
                return Accepted::Outside;
            }
            if kept.position >= at {
                return Accepted::Past(kept.position);
            }
            if kept.position < at - 1 {
                return Accepted::Behind(kept.position);
            }
            match kept.promised {
                Some(other)
                    if other != ballot
                        && other.round >= ballot.round
                        && !server.world.is_broken =>
                {
                    Accepted::Refused(other)
                }
                _ => {
                    (kept.promised, kept.since) = (Some(ballot), Some(Instant::now()));
                    kept.pending = Some(Pending { ballot, change });
                    Accepted::Yes
                }
            }
        };
        self.travel(work).await
    }

    async fn commit(&self, ballot: Ballot, at: Position) -> Result<Option<Position>> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            let ours = kept.pending.clone().filter(|pending| pending.ballot == ballot);
            if let Some(pending) = ours.filter(|_| kept.member && kept.position + 1 == at) {
                server.apply(&mut kept, pending.change);
            }
            kept.member.then_some(kept.position)
        };
        self.travel(work).await
    }

    async fn learn(&self, after: Position, changes: &[Change]) -> Result<Option<Position>> {
        let changes = changes.to_vec();
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if !kept.member && !kept.is_based {
                return None;
            }
            for (at, change) in (after + 1..).zip(changes) {
                if kept.position + 1 == at {
                    server.apply(&mut kept, change);
                }
            }
            Some(kept.position)
        };
        self.travel(work).await
    }

    async fn journal(&self, after: Position) -> Result<Option<Vec<Change>>> {
        let work = move |server: &Server| {
            let kept = server.kept();
            let rest = kept.journal.iter().filter(|(at, _)| *at > after);
            let rest: Vec<_> = rest.take(8).cloned().collect();
            let begins = rest.first().map_or(kept.position, |(at, _)| at - 1);
            (kept.member && begins <= after)
                .then(|| rest.into_iter().map(|(_, change)| change).collect())
        };
        self.travel(work).await
    }

    async fn read(&self, cells: &[Cell]) -> Result<(Position, Vec<Content>)> {
        let cells = cells.to_vec();
        let work = move |server: &Server| {
            let kept = server.kept();
            (kept.position, Server::read(&kept, &cells))
        };
        self.travel(work).await
    }

    async fn glance(&self) -> Result<Option<Glance>> {
        let work = move |server: &Server| {
            let kept = server.kept();
            let (clock, last) = (server.clock(), ClusterTime::from_unix_micros(0));
            let is_pending = kept.pending.is_some();
            kept.member.then_some(Glance { position: kept.position, is_pending, clock, last })
        };
        self.travel(work).await
    }

    fn change(&self, _: Position, _: ClusterTime, writes: &[Write]) -> Change {
        let id = Uuid::new_v4();
        self.0.world.writes.lock().unwrap().insert(id, writes.to_vec());
        Change { id, bytes: Vec::new() }
    }
}

#[async_trait]
impl Candidate for Road {
    async fn membership(&self) -> Result<Membership> {
        self.travel(|server| Server::shown(&server.kept())).await
    }

    async fn mark(&self, quorum: Uuid, process: u128) -> Result<Membership> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if kept.quorum.is_none() && kept.copier.is_none() && kept.process == process {
                (kept.quorum, kept.server) = (Some(quorum), Some(Uuid::new_v4()));
            }
            Server::shown(&kept)
        };
        self.travel(work).await
    }

    async fn admit(&self, quorum: Uuid, process: u128) -> Result<Membership> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            kept.member |=
                kept.quorum == Some(quorum) && kept.copier.is_none() && kept.process == process;
            Server::shown(&kept)
        };
        self.travel(work).await
    }

    async fn begin_copy(&self, copier: Uuid, stale: Option<Position>) -> Result<bool> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            let is_gone = kept.copied.is_none_or(|copied| copied.elapsed() > COPIER_PATIENCE);
            if !is_gone || (kept.member && stale != Some(kept.position)) {
                return false;
            }
            let (process, copied) = (kept.process, Some(Instant::now()));
            *kept = Kept { copier: Some(copier), copied, process, ..Kept::default() };
            true
        };
        self.travel(work).await
    }

    async fn export(&self, _: Option<String>) -> Result<Page> {
        let work = move |server: &Server| {
            let content = match server.kept().cells.get(&Cell::Version) {
                Some(Content::Version(version)) => version.to_be_bytes().to_vec(),
                _ => Vec::new(),
            };
            Page { keys: vec![Copied { name: String::new(), life: 0, content }], next: None }
        };
        self.travel(work).await
    }

    async fn import(&self, copier: Uuid, keys: Vec<Copied>) -> Result<bool> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if kept.copier != Some(copier) {
                return false;
            }
            for key in keys {
                if let Ok(version) = <[u8; 8]>::try_from(key.content) {
                    let version = Content::Version(u64::from_be_bytes(version));
                    kept.cells.insert(Cell::Version, version);
                }
            }
            kept.copied = Some(Instant::now());
            true
        };
        self.travel(work).await
    }

    async fn end_copy(&self, copier: Uuid, position: Position, _: ClusterTime) -> Result<()> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if kept.copier == Some(copier) {
                (kept.position, kept.is_based) = (position, true);
                kept.copied = Some(Instant::now());
                kept.journal.clear();
            }
        };
        self.travel(work).await
    }

    async fn leave_copy(&self, copier: Uuid) -> Result<()> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if kept.copier == Some(copier) {
                kept.copied = None;
            }
        };
        self.travel(work).await
    }

    async fn join(
        &self,
        copier: Uuid,
        quorum: Uuid,
        ballot: Ballot,
        least: Position,
    ) -> Result<bool> {
        let work = move |server: &Server| {
            let mut kept = server.kept();
            if kept.copier != Some(copier) || kept.position < least {
                return false;
            }
            (kept.copier, kept.copied, kept.is_based) = (None, None, false);
            (kept.member, kept.promised) = (true, Some(ballot));
            (kept.quorum, kept.server) = (Some(quorum), Some(Uuid::new_v4()));
            true
        };
        self.travel(work).await
    }
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

/// So many servers in a new world.
fn servers(count: u128, loss: f64, distance: Range<u64>, is_broken: bool) -> Vec<Arc<Server>> {
    let (writes, began, loss) = (Mutex::default(), Instant::now(), Mutex::new(loss));
    let world = Arc::new(World { writes, began, loss, distance, is_broken });
    let server = |number: u128| {
        let kept = Mutex::new(Kept { process: number << 32, ..Kept::default() });
        Arc::new(Server { kept, is_down: AtomicBool::new(false), world: world.clone() })
    };
    (0..count).map(server).collect()
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
