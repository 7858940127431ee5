//! One server of the quorum: beside its part in deciding, how it becomes a member, what is
//! read of it, and what it keeps for itself.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

use super::acceptor::{Acceptor, Ballot, Position};
use crate::claim::RunId;
use crate::clock::ClusterTime;
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::{Health, Result, SlotRecord, SlotStory, Sweep, Warning};

/// What a server is in the quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Membership {
    /// Which quorum it is of.
    pub quorum: Option<Uuid>,
    /// Its own name in there.
    pub server: Option<Uuid>,
    /// How far it has come.
    pub stage: Stage,
    /// How far it has applied the journal.
    pub position: Position,
    /// The first position that it has in the journal still, or will.
    pub begins: Position,
    /// Who copies the cells of the others to it.
    pub copier: Option<Uuid>,
    /// Which process it is: another start, another number.
    pub process: u128,
}

/// See [`Membership`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It knows of no quorum: it is new, or it came back empty.
    Outside,
    /// It knows of its quorum, and takes no part yet.
    Marked,
    /// It takes part.
    Member,
}

/// A key with what stands there, as only servers read it.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Its name.
    pub name: String,
    /// The rest of its life in milliseconds; zero if it is kept for ever.
    pub life: u64,
    /// What stands there.
    pub content: Vec<u8>,
}

/// Some of what a server keeps.
#[derive(Debug)]
pub struct Page {
    /// Keys.
    pub keys: Vec<Copied>,
    /// Where to go on.
    pub next: Option<String>,
}

/// A server that may become a member of the quorum.
#[async_trait]
pub trait Candidate: Acceptor {
    /// What it is in the quorum.
    async fn membership(&self) -> Result<Membership>;

    /// Tells a server that knows of no quorum of which it is, if it is this `process`.
    async fn mark(&self, quorum: Uuid, process: u128) -> Result<Membership>;

    /// Makes a server of this quorum a member, if it is this `process`.
    async fn admit(&self, quorum: Uuid, process: u128) -> Result<Membership>;

    /// Empties a server that is no member, or a member at the position `stale`, for `copier`;
    /// false where another copies to it.
    async fn begin_copy(&self, copier: Uuid, stale: Option<Position>) -> Result<bool>;

    /// Some of what it keeps, from where the last page ended.
    async fn export(&self, from: Option<String>) -> Result<Page>;

    /// Puts in what another exported; false where `copier` is not who copies to it.
    async fn import(&self, copier: Uuid, keys: Vec<Copied>) -> Result<bool>;

    /// Tells it the position of what it was given, and the instant of the change there.
    async fn end_copy(&self, copier: Uuid, position: Position, last: ClusterTime) -> Result<()>;

    /// `copier` copies no further: another may begin at once.
    async fn leave_copy(&self, copier: Uuid) -> Result<()>;

    /// Makes it a member that has promised `ballot`, once it stands at `least`; false where it
    /// did not become one.
    async fn join(
        &self,
        copier: Uuid,
        quorum: Uuid,
        ballot: Ballot,
        least: Position,
    ) -> Result<bool>;
}

/// See the module's head. What is read of a server is as old as the server's position is.
#[async_trait]
pub trait Replica: Candidate {
    /// Whether it can be reached.
    fn health(&self) -> watch::Receiver<Health>;

    /// Its clock.
    async fn time(&self) -> Result<ClusterTime>;

    /// As [`Store::inspect`](crate::store::Store::inspect), of this server.
    async fn inspect(&self) -> Result<Vec<Warning>>;

    /// As [`Store::sweep`](crate::store::Store::sweep), at `now`.
    async fn sweep(&self, now: ClusterTime, limit: usize) -> Result<Sweep>;

    /// The slot that has this run in progress.
    async fn find(&self, run: RunId) -> Result<Option<Slot>>;

    /// As [`Store::recorded`](crate::store::Store::recorded).
    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>>;

    /// As [`Store::control`](crate::store::Store::control).
    async fn control(&self) -> Result<Control>;

    /// As [`Store::history`](crate::store::Store::history).
    async fn history(&self, query: &Query) -> Result<Vec<Entry>>;

    /// As [`Store::recent`](crate::store::Store::recent).
    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>>;

    /// As [`Store::open_slots`](crate::store::Store::open_slots), at `now`.
    async fn open_slots(&self, now: ClusterTime, limit: usize) -> Result<Vec<(Slot, SlotRecord)>>;

    /// As [`Store::tail`](crate::store::Store::tail).
    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>>;

    /// As [`Store::slot`](crate::store::Store::slot), at `now`.
    async fn slot(&self, slot: &Slot, now: ClusterTime) -> Result<SlotStory>;

    /// As [`Store::publish_table`](crate::store::Store::publish_table), on this server alone.
    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()>;

    /// As [`Store::table`](crate::store::Store::table), of this server alone.
    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>>;

    /// As [`Store::watch_output`](crate::store::Store::watch_output), on this server alone.
    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>>;

    /// As [`Store::watched_outputs`](crate::store::Store::watched_outputs), of this server
    /// alone.
    async fn watched_outputs(&self) -> Result<Vec<RunId>>;

    /// As [`Store::show_output`](crate::store::Store::show_output), on this server alone.
    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()>;

    /// As [`Store::heartbeat`](crate::store::Store::heartbeat), on this server alone.
    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply>;

    /// As [`Store::nodes`](crate::store::Store::nodes), of this server alone.
    async fn nodes(&self) -> Result<Vec<Heartbeat>>;

    /// As [`Store::leave`](crate::store::Store::leave), on this server alone.
    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()>;

    /// Removes from this server, if it is a member, what has outlived its time at `now` and is
    /// read by nobody.
    async fn prune(&self, now: ClusterTime, retention: Retention) -> Result<()>;

    /// Closes connections.
    async fn close(&self);
}
