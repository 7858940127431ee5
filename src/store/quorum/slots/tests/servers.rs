//! The servers: each accepts, keeps and forgets in memory, at the end of a road on which
//! requests and replies are lost and late.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use crate::clock::ClusterTime;
use crate::store::quorum::slots::acceptor::*;
use crate::store::quorum::slots::cells::{Cell, Content, Write};
use crate::store::quorum::slots::draft::Known;
use crate::store::quorum::slots::replica::{Candidate, Copied, Membership, Page, Stage};
use crate::store::{Result, StoreError};

/// One who copies and says nothing for so long is gone.
const COPIER_PATIENCE: Duration = Duration::from_secs(10);

/// What a server keeps.
#[derive(Default, Clone)]
pub(super) struct Kept {
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
    pub(super) journal: Vec<(Position, Change)>,
}

/// What all servers have in common.
pub(super) struct World {
    writes: Mutex<HashMap<Uuid, Vec<Write>>>,
    began: Instant,
    /// How likely a request is lost, and as likely a reply.
    pub(super) loss: Mutex<f64>,
    /// How long each takes (us).
    distance: Range<u64>,
    /// Servers accept whatever they promised: the property that the test must see broken.
    is_broken: bool,
}

pub(super) struct Server {
    kept: Mutex<Kept>,
    /// Nobody listens there.
    pub(super) is_down: AtomicBool,
    pub(super) world: Arc<World>,
}

impl Server {
    /// Forgets everything.
    pub(super) fn empty(&self) {
        let mut kept = self.kept();
        *kept = Kept { process: kept.process + 1, ..Kept::default() };
    }

    pub(super) fn is_member(&self) -> bool {
        !self.is_down.load(Ordering::Relaxed) && self.kept().member
    }

    pub(super) fn kept(&self) -> MutexGuard<'_, Kept> {
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
pub(super) struct Road(pub(super) Arc<Server>);

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

/// So many servers in a new world.
pub(super) fn servers(
    count: u128,
    loss: f64,
    distance: Range<u64>,
    is_broken: bool,
) -> Vec<Arc<Server>> {
    let (writes, began, loss) = (Mutex::default(), Instant::now(), Mutex::new(loss));
    let world = Arc::new(World { writes, began, loss, distance, is_broken });
    let server = |number: u128| {
        let kept = Mutex::new(Kept { process: number << 32, ..Kept::default() });
        Arc::new(Server { kept, is_down: AtomicBool::new(false), world: world.clone() })
    };
    (0..count).map(server).collect()
}
