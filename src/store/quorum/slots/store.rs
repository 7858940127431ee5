//! The quorum as a [`Store`].

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::acceptor::Acceptor;
use super::draft::{Draft, Unreadable};
use super::journal::Journal;
use super::membership::Warden;
use super::poll::{Poll, Question, Vote};
use super::replica::{Candidate, Replica};
use crate::claim::{Claim, Claimant, Claimed, RunId, Verdict};
use crate::clock::{BootInstant, ClusterTime};
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::quorum::report;
use crate::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotRecord, SlotStory, Store, StoreError, Sweep, Warning, ground,
};

/// So many items are written in one change: enough to make it cheap, few enough to let other
/// nodes in between.
const AT_ONCE: usize = 256;
/// And no more than about so many bytes: a change that does not reach the servers within the
/// time of one call would be in everybody's way.
const BYTES_AT_ONCE: usize = 256 << 10;
/// So often something is read of another server when one fails.
const READS: usize = 2;

/// What is read of one server, on its way.
type Reading<'a, R> = Pin<Box<dyn Future<Output = Result<R>> + Send + 'a>>;

/// A [`Store`] on several servers, of which a majority decides.
pub struct QuorumStore {
    servers: Vec<Arc<dyn Replica>>,
    journal: Arc<Journal>,
    bound: Duration,
    /// Why too few are members, if they are.
    trouble: watch::Receiver<Option<String>>,
    health: watch::Receiver<Health>,
    closed: CancellationToken,
}

impl QuorumStore {
    /// The quorum of `servers`, three or five: with four no more may fail than with three. No
    /// call waits longer than `bound`.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and without servers.
    pub fn open(servers: Vec<Arc<dyn Replica>>, bound: Duration) -> Self {
        assert!(!servers.is_empty(), "a quorum has servers");
        let closed = CancellationToken::new();
        let health =
            report::follow(servers.iter().map(|server| server.health()).collect(), closed.clone());
        let amiss = Arc::new(Notify::new());
        let acceptors = servers.iter().map(|server| server.clone() as Arc<dyn Acceptor>).collect();
        let journal = Arc::new(Journal::new(acceptors, bound, amiss.clone()));
        let (told, trouble) = watch::channel(Some("its servers have not answered yet".to_owned()));
        let candidates =
            servers.iter().map(|server| server.clone() as Arc<dyn Candidate>).collect();
        let warden = Warden { servers: candidates, journal: journal.clone(), told, amiss };
        tokio::spawn(warden.work(closed.clone()));
        Self { servers, journal, bound, trouble, health, closed }
    }

    /// Waits until enough servers are members.
    async fn ready(&self) -> Result<()> {
        let mut trouble = self.trouble.clone();
        let well = trouble.wait_for(Option::is_none);
        match tokio::time::timeout(self.bound, well).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(StoreError::Unavailable("it was closed".to_owned())),
            Err(_) => {
                let why = self.trouble.borrow().clone().unwrap_or_default();
                Err(StoreError::Unavailable(why))
            }
        }
    }

    async fn transact<T: Send>(
        &self,
        step: impl Fn(&mut Draft<'_>) -> T + Send + Sync,
    ) -> Result<T> {
        self.ready().await?;
        self.journal.transact(step).await
    }

    /// Makes a part of a step for each of `items`, some in each change.
    async fn each<T: Sync, R: Send>(
        &self,
        items: &[T],
        weigh: impl Fn(&T) -> usize,
        part: impl Fn(&mut Draft<'_>, &T) -> std::result::Result<R, Unreadable> + Send + Sync,
    ) -> Result<Vec<std::result::Result<R, Unreadable>>> {
        let mut answers = Vec::with_capacity(items.len());
        for some in pieces(items, weigh) {
            let step = |draft: &mut Draft<'_>| -> Vec<_> {
                some.iter().map(|item| draft.attempt(|draft| part(draft, item))).collect()
            };
            match self.transact(step).await {
                Ok(made) => answers.extend(made),
                // What was written before stays.
                Err(StoreError::Unavailable(why)) if !answers.is_empty() => {
                    return Err(StoreError::Unknown(why));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    /// The same, where one that cannot be answered fails all.
    async fn all<T: Sync, R: Send>(
        &self,
        items: &[T],
        part: impl Fn(&mut Draft<'_>, &T) -> std::result::Result<R, Unreadable> + Send + Sync,
    ) -> Result<Vec<R>> {
        self.all_weighed(items, |_| 0, part).await
    }

    /// The same of items that weigh so much.
    async fn all_weighed<T: Sync, R: Send>(
        &self,
        items: &[T],
        weigh: impl Fn(&T) -> usize,
        part: impl Fn(&mut Draft<'_>, &T) -> std::result::Result<R, Unreadable> + Send + Sync,
    ) -> Result<Vec<R>> {
        self.each(items, weigh, part).await?.into_iter().map(readable).collect()
    }

    /// One part alone.
    async fn one<R: Send>(
        &self,
        part: impl Fn(&mut Draft<'_>) -> std::result::Result<R, Unreadable> + Send + Sync,
    ) -> Result<R> {
        readable(self.transact(part).await?)
    }

    /// Reads of a server that has all that was decided, at an instant.
    async fn read<'a, R>(
        &'a self,
        read: impl Fn(&'a dyn Replica, ClusterTime) -> Reading<'a, R> + Send + Sync,
    ) -> Result<R> {
        self.ready().await?;
        let mut last = None;
        for _ in 0..READS {
            let end = self.journal.end().await?;
            match read(&*self.servers[end.server], end.now).await {
                Err(error) => last = Some(error),
                answer => return answer,
            }
        }
        Err(last.unwrap_or_else(|| StoreError::Unavailable("no server was asked".to_owned())))
    }

    /// Asks every server; the answers of a majority at least.
    async fn everywhere<R: Send + 'static>(
        &self,
        ask: impl Fn(Arc<dyn Replica>) -> Question<R>,
    ) -> Result<Vec<R>> {
        let mut answers = Vec::new();
        let mut poll = Poll::of(&self.servers, |_, server| ask(server));
        poll.majority(|_, answer| {
            answers.push(answer);
            Vote::Counts
        })
        .await?;
        Ok(answers)
    }
}

/// `items` in pieces of at most [`AT_ONCE`] and, but for the last of each, at most
/// [`BYTES_AT_ONCE`].
fn pieces<T>(items: &[T], weigh: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let mut pieces = Vec::new();
    let mut rest = items;
    while !rest.is_empty() {
        let mut weight = 0;
        let fits = |item: &&T| {
            let fits = weight < BYTES_AT_ONCE;
            weight += weigh(item);
            fits
        };
        let count = rest.iter().take(AT_ONCE).take_while(fits).count();
        let (piece, others) = rest.split_at(count);
        pieces.push(piece);
        rest = others;
    }
    pieces
}

fn readable<R>(made: std::result::Result<R, Unreadable>) -> Result<R> {
    made.map_err(|Unreadable(why)| StoreError::Corrupt(why))
}

#[async_trait]
impl Store for QuorumStore {
    fn describe(&self) -> String {
        let servers = self.servers.iter().map(|server| server.describe());
        servers.collect::<Vec<_>>().join(",")
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for server in &self.servers {
            // One that is down is told of elsewhere.
            let warnings = server.inspect().await;
            for Warning(text) in warnings.into_iter().flatten() {
                said.entry(text).or_default().push(server.describe());
            }
        }
        self.ready().await?;
        let joined = said.into_iter().map(|(text, of)| match of.len() == self.servers.len() {
            true => Warning(text),
            false => Warning(format!("{}: {text}", of.join(", "))),
        });
        Ok(joined.collect())
    }

    async fn time(&self) -> Result<ClusterTime> {
        let sent = BootInstant::now();
        let mut poll =
            Poll::of(&self.servers, |_, server| Box::pin(async move { server.time().await }));
        let mut read = Vec::new();
        let seen = poll.majority(|number, clock| {
            self.journal.clocks.saw(number, sent, clock);
            read.push(clock);
            Vote::Counts
        });
        seen.await?;
        // The earliest of a majority is not after the middle one of all, and what was read
        // just now is not before what anybody else was told before.
        let least = read.into_iter().min().unwrap_or(ClusterTime::from_unix_micros(0));
        Ok(self.journal.clocks.now(least))
    }

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>> {
        let claimed =
            self.each(claims, |_| 0, |draft, claim| ground::claim(draft, claimant, claim));
        let or_unknown = |claimed: std::result::Result<Claimed, Unreadable>| {
            claimed.unwrap_or_else(|Unreadable(why)| Verdict::Unknown(why).into())
        };
        Ok(claimed.await?.into_iter().map(or_unknown).collect())
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        self.all(forfeits, |draft, forfeit| ground::forfeit(draft, by, forfeit)).await
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        self.all(renewals, |draft, renewal| ground::renew(draft, renewal)).await
    }

    async fn complete(
        &self,
        node: &NodeName,
        completions: &[Completion],
    ) -> Result<Vec<Ownership>> {
        let weigh = |run: &Completion| run.tail.len();
        self.all_weighed(completions, weigh, |draft, run| ground::complete(draft, node, run)).await
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep> {
        self.read(|server, now| server.sweep(now, limit)).await
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        self.all(abandonments, |draft, lost| ground::abandon(draft, by, lost)).await
    }

    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>> {
        let open = |draft: &mut Draft<'_>, key: &CursorKey| {
            let at = draft.kept_cursor(key)?.map_or(start, |kept| kept.at);
            draft.keep_cursor(key, at, keep);
            Ok(at)
        };
        self.all(cursors, open).await
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        if slots.is_empty() {
            return Ok(Vec::new());
        }
        self.read(|server, _| server.recorded(job, slots)).await
    }

    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>> {
        self.all(reports, |draft, report| ground::record_missed(draft, by, report)).await
    }

    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool> {
        self.one(|draft| ground::trigger(draft, by, slot, keep)).await
    }

    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>> {
        match self.read(|server, _| server.find(run)).await? {
            Some(slot) => self.one(|draft| ground::cancel(draft, run, &slot)).await,
            None => Ok(None),
        }
    }

    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool> {
        self.one(|draft| ground::pause(draft, job, pause)).await
    }

    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()> {
        self.one(|draft| draft.request_reload(node)).await
    }

    async fn control(&self) -> Result<Control> {
        self.read(|server, _| server.control()).await
    }

    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()> {
        let (digest, jobs): (Arc<str>, Arc<[_]>) = (digest.into(), jobs.into());
        let publish = |server: Arc<dyn Replica>| -> Question<()> {
            let (digest, jobs) = (digest.clone(), jobs.clone());
            Box::pin(async move { server.publish_table(&digest, &jobs, keep).await })
        };
        self.everywhere(publish).await.map(drop)
    }

    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>> {
        let digest: Arc<str> = digest.into();
        let read = |server: Arc<dyn Replica>| -> Question<_> {
            let digest = digest.clone();
            Box::pin(async move { server.table(&digest).await })
        };
        Ok(self.everywhere(read).await?.into_iter().flatten().next())
    }

    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>> {
        let watch = |server: Arc<dyn Replica>| -> Question<_> {
            Box::pin(async move { server.watch_output(run, keep).await })
        };
        // One that was away shows what it was told before.
        let shown = self.everywhere(watch).await?.into_iter().flatten();
        let dated = shown.filter_map(|text| {
            let (at, output) = text.split_once(' ')?;
            Some((at.parse::<i64>().ok()?, output.to_owned()))
        });
        Ok(dated.max_by_key(|(at, _)| *at).map(|(_, output)| output))
    }

    async fn watched_outputs(&self) -> Result<Vec<RunId>> {
        let read = |server: Arc<dyn Replica>| -> Question<_> {
            Box::pin(async move { server.watched_outputs().await })
        };
        let watched: HashSet<_> = self.everywhere(read).await?.into_iter().flatten().collect();
        Ok(watched.into_iter().collect())
    }

    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()> {
        // What was shown later is known by its time.
        let output: Arc<str> = format!("{} {output}", self.time().await?.unix_micros()).into();
        let show = |server: Arc<dyn Replica>| -> Question<()> {
            let output = output.clone();
            Box::pin(async move { server.show_output(run, &output, keep).await })
        };
        self.everywhere(show).await.map(drop)
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        let heartbeat = Arc::new(heartbeat.clone());
        let sent = BootInstant::now();
        let mut poll = Poll::of(&self.servers, |_, server| {
            let heartbeat = heartbeat.clone();
            Box::pin(async move { server.heartbeat(&heartbeat).await })
        });
        let mut replies = Vec::new();
        let beaten = poll.majority(|number, reply: HeartbeatReply| {
            self.journal.clocks.saw(number, sent, reply.now);
            replies.push(reply);
            Vote::Counts
        });
        beaten.await?;
        let replaced = replies.iter().find_map(|reply| reply.replaced);
        let differing: BTreeMap<_, _> =
            replies.into_iter().flat_map(|reply| reply.differing).collect();
        Ok(HeartbeatReply {
            now: self.journal.clocks.now(ClusterTime::from_unix_micros(0)),
            replaced,
            differing: differing.into_iter().collect(),
        })
    }

    async fn nodes(&self) -> Result<Vec<Heartbeat>> {
        let lists = self.everywhere(|server| Box::pin(async move { server.nodes().await })).await?;
        let mut latest: BTreeMap<NodeName, Heartbeat> = BTreeMap::new();
        for heartbeat in lists.into_iter().flatten() {
            let held = latest.entry(heartbeat.node.clone()).or_insert_with(|| heartbeat.clone());
            let age = |beat: &Heartbeat| (beat.started_at, beat.draining, beat.heard_at);
            if age(&heartbeat) > age(held) {
                *held = heartbeat;
            }
        }
        Ok(latest.into_values().collect())
    }

    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()> {
        let leave = |server: Arc<dyn Replica>| -> Question<()> {
            let node = node.clone();
            Box::pin(async move { server.leave(&node, boot).await })
        };
        self.everywhere(leave).await.map(drop)
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        self.read(|server, _| server.history(query)).await
    }

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        self.read(|server, _| server.recent(jobs, each)).await
    }

    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        self.read(|server, now| server.open_slots(now, limit)).await
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        self.read(|server, _| server.tail(job, run)).await
    }

    async fn slot(&self, slot: &Slot) -> Result<SlotStory> {
        self.read(|server, now| server.slot(slot, now)).await
    }

    async fn prune(&self, retention: Retention) -> Result<()> {
        let now = self.time().await?;
        let mut poll = Poll::of(&self.servers, |_, server| {
            Box::pin(async move { server.prune(now, retention).await })
        });
        // What is too old on any may be read there. One that is away does it another time.
        let (mut pruned, mut failure) = (false, None);
        while let Some((_, answer)) = poll.next().await {
            match answer {
                Ok(()) => pruned = true,
                Err(error) => failure = Some(error),
            }
        }
        failure.filter(|_| !pruned).map_or(Ok(()), Err)
    }

    async fn close(&self) {
        self.closed.cancel();
        futures_util::future::join_all(self.servers.iter().map(|server| server.close())).await;
        let mut health = self.health();
        let _ = health.wait_for(|health| matches!(health, Health::Down(_))).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_neither_long_nor_heavy_and_none_is_left_out() {
        let lengths = |items: &[usize]| -> Vec<usize> {
            let pieces = pieces(items, |weight| *weight);
            assert_eq!(pieces.concat(), items);
            pieces.iter().map(|piece| piece.len()).collect()
        };
        assert!(lengths(&[]).is_empty());
        assert_eq!(lengths(&[0; 600]), [256, 256, 88]);
        assert_eq!(lengths(&[1 << 20; 3]), [1, 1, 1]);
        assert_eq!(lengths(&[100 << 10; 5]), [3, 2]);
    }
}
