//! A Redis Cluster as the store.
//!
//! Everything is as on a single server, in one of [`BUCKETS`](buckets::BUCKETS) buckets:
//! all keys of a bucket carry the same hash tag and so are on one server, whichever that
//! is. A job is in the bucket that the hash of its name says, with its slots, cursors,
//! pauses and ledger; what belongs to no job (heartbeats, tables, reloads) is in the first.
//!
//! - A batch is one call for each bucket that it touches, all at once. The items of a
//!   bucket whose master does not answer have no answer; the others have theirs.
//! - What looks at everything (`sweep`, `history`, `cancel`, …) asks all buckets and
//!   merges. Every bucket counts the commands given in it; the version of the whole is
//!   the sum.
//! - Every bucket gives out fences of its own: they grow for each job, and those of jobs in
//!   different buckets may be alike.
//! - The routing is our own (`routes` knows the way, `bucket` goes it): a client that
//!   sends again by itself turns a claim whose reply was lost into one that another has.
//!
//! **Time.** The cluster's time is that of the first bucket's master; the nodes plan by it.
//! Windows and leases of a job are checked by the clock of the master that has its bucket,
//! always the same one for all nodes, so masters whose clocks differ never make two of
//! them win: a clock that is ahead closes windows early, one that is behind opens them
//! late. `max_clock_skew` bears the latter; `inspect` warns from some tens of milliseconds
//! on. At a failover a lease goes on by the new master's clock, and lapses early by as
//! much as that is ahead: keep the servers' clocks together.
//!
//! What a Redis Cluster cannot promise: a master that fails over to a replica forgets what
//! had not reached that one. A replica of Redis 7 that follows in the middle of the move of a
//! hash slot does not know of it, and lacks what had moved; `routes` says how far that is seen.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::claim::{Claim, Claimant, Claimed, RunId, Verdict};
use crate::clock::ClusterTime;
use crate::control::Control;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::slot::{Slot, SlotTime};
use crate::store::redis::calls::Calls;
use crate::store::redis::link::Purpose;
use crate::store::redis::locks::Desk;
use crate::store::redis::server::Server;
use crate::store::redis::{
    claim, control, cursors, keys, ledger, nodes, reply, settle, sweep, tables,
};
use crate::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotStory, Store, Sweep, Warning,
};

mod bucket;
mod buckets;
mod inspect;
mod locks;
mod map;
mod merge;
mod options;
mod routes;
mod survey;
mod table;
mod together;

pub use options::{ClusterOptions, Endpoint};

use bucket::Bucket;
use buckets::{BUCKETS, bucket_of, by_bucket};
use merge::{first_error, merged_history, merged_sweep, of_all, of_parts};
use routes::Routes;
use together::{Call, all};

/// A store on a Redis Cluster.
#[derive(Debug)]
pub struct RedisCluster {
    routes: Arc<Routes>,
    buckets: Vec<Arc<Bucket>>,
    /// The locks of each.
    locks: Vec<Desk<Bucket>>,
    calls: Arc<Calls>,
    /// The last version of each bucket's commands, for when it does not answer.
    versions: Mutex<HashMap<u32, u64>>,
}

impl RedisCluster {
    /// A store that finds its servers in the background from now on, and again whenever
    /// they change, until it is closed or dropped.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(options: ClusterOptions) -> Self {
        let routes = Arc::new(Routes::open(options));
        let seeds = routes.options().seeds.iter();
        let seeds = seeds.map(|seed| routes.options().of(seed)).collect();
        let bucket = |number| Arc::new(Bucket::new(routes.clone(), number));
        let buckets: Vec<_> = (0..BUCKETS).map(bucket).collect();
        let calls = Arc::new(Calls::of_cluster(seeds, &buckets[0].keys));
        let desk = |bucket: &Arc<Bucket>| Desk::new(bucket.clone(), &bucket.keys, calls.clone());
        let locks = buckets.iter().map(desk).collect();
        Self { routes, buckets, locks, calls, versions: Mutex::default() }
    }

    fn of_job(&self, job: &JobName) -> &Bucket {
        &self.buckets[bucket_of(job) as usize]
    }

    /// What belongs to no job.
    fn first(&self) -> &Bucket {
        &self.buckets[keys::FIRST_BUCKET as usize]
    }

    /// Calls each bucket that some of the items are in, with those; what each brought, in
    /// the order of the items.
    async fn spread<'a, T, R>(
        &'a self,
        items: &'a [T],
        job: impl Fn(&T) -> &JobName,
        call: impl Fn(&'a Bucket, Vec<T>) -> Call<'a, Result<Vec<R>>>,
    ) -> Result<Vec<Result<R>>>
    where
        T: Clone,
        R: Send,
    {
        let parts = by_bucket(items, job);
        let calls = parts.iter().map(|(bucket, places)| {
            let some = places.iter().map(|&place| items[place].clone()).collect();
            call(&self.buckets[*bucket as usize], some)
        });
        let answers = all(calls.collect()).await;
        of_parts(items.len(), parts.into_iter().map(|(_, places)| places).zip(answers))
    }

    /// Asks all buckets at once; what each brought, in their order.
    async fn everywhere<'a, R: Send>(
        &'a self,
        call: impl Fn(&'a Bucket) -> Call<'a, Result<R>>,
    ) -> Vec<Result<R>> {
        all(self.buckets.iter().map(|bucket| call(bucket)).collect()).await
    }
}

#[async_trait]
impl Store for RedisCluster {
    fn describe(&self) -> String {
        self.routes.options().to_string()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.routes.health()
    }

    fn part(&self, job: &JobName) -> u32 {
        bucket_of(job)
    }

    async fn inspect(&self) -> Result<Vec<Warning>> {
        inspect::inspect(&self.routes).await
    }

    async fn time(&self) -> Result<ClusterTime> {
        reply::time(self.first().ask(Purpose::Read, redis::cmd("TIME")).await?)
    }

    async fn claim(&self, claimant: &Claimant, claims: &[Claim]) -> Result<Vec<Claimed>> {
        let answers = self
            .spread(
                claims,
                |claim| &claim.slot.job,
                |bucket, some| {
                    Box::pin(
                        async move { claim::claim(bucket, &bucket.keys, claimant, &some).await },
                    )
                },
            )
            .await?;
        let or_unknown = |claimed: Result<Claimed>| {
            claimed.unwrap_or_else(|error| Verdict::Unknown(error.to_string()).into())
        };
        Ok(answers.into_iter().map(or_unknown).collect())
    }

    async fn forfeit(&self, by: &NodeName, forfeits: &[Forfeit]) -> Result<Vec<bool>> {
        let answers = self.spread(
            forfeits,
            |forfeit| &forfeit.slot.job,
            |bucket, some| {
                Box::pin(async move { settle::forfeit(bucket, &bucket.keys, by, &some).await })
            },
        );
        of_all(answers.await?)
    }

    async fn renew(&self, renewals: &[Renewal]) -> Result<Vec<Ownership>> {
        let answers = self.spread(
            renewals,
            |renewal| &renewal.slot.job,
            |bucket, some| Box::pin(async move { claim::renew(bucket, &bucket.keys, &some).await }),
        );
        of_all(answers.await?)
    }

    async fn complete(
        &self,
        node: &NodeName,
        completions: &[Completion],
    ) -> Result<Vec<Ownership>> {
        let answers = self.spread(
            completions,
            |run| &run.slot.job,
            |bucket, some| {
                Box::pin(async move { settle::complete(bucket, &bucket.keys, node, &some).await })
            },
        );
        of_all(answers.await?)
    }

    async fn sweep(&self, limit: usize) -> Result<Sweep> {
        let look = |bucket| -> Call<'_, _> {
            let bucket: &Bucket = bucket;
            Box::pin(sweep::look(bucket, &bucket.keys, limit))
        };
        let found = self.everywhere(look).await;
        let mut versions = self.versions.lock().unwrap_or_else(PoisonError::into_inner);
        merged_sweep(found, limit, &mut versions)
    }

    async fn abandon(&self, by: &NodeName, abandonments: &[Abandonment]) -> Result<Vec<bool>> {
        let answers = self.spread(
            abandonments,
            |lost| &lost.slot.job,
            |bucket, some| {
                Box::pin(async move { settle::abandon(bucket, &bucket.keys, by, &some).await })
            },
        );
        of_all(answers.await?)
    }

    async fn open_cursors(
        &self,
        cursors: &[CursorKey],
        start: SlotTime,
        keep: Duration,
    ) -> Result<Vec<SlotTime>> {
        let answers = self.spread(
            cursors,
            |cursor| &cursor.job,
            |bucket, some| {
                Box::pin(
                    async move { cursors::open(bucket, &bucket.keys, &some, start, keep).await },
                )
            },
        );
        of_all(answers.await?)
    }

    async fn recorded(&self, job: &JobName, slots: &[SlotTime]) -> Result<Vec<bool>> {
        let bucket = self.of_job(job);
        ledger::recorded(bucket, &bucket.keys, job, slots).await
    }

    async fn record_missed(&self, by: &NodeName, reports: &[MissedReport]) -> Result<Vec<bool>> {
        let answers = self.spread(
            reports,
            |report| &report.cursor.job,
            |bucket, some| {
                Box::pin(
                    async move { cursors::record_missed(bucket, &bucket.keys, by, &some).await },
                )
            },
        );
        of_all(answers.await?)
    }

    async fn trigger(&self, by: &NodeName, slot: &Slot, keep: Duration) -> Result<bool> {
        let bucket = self.of_job(&slot.job);
        control::trigger(bucket, &bucket.keys, by, slot, keep).await
    }

    async fn cancel(&self, run: RunId) -> Result<Option<Cancelled>> {
        // Its id does not tell of which job it is.
        let cancel = |bucket| -> Call<'_, _> {
            let bucket: &Bucket = bucket;
            Box::pin(control::cancel(bucket, &bucket.keys, run))
        };
        let answers = self.everywhere(cancel).await;
        let found = answers.iter().find_map(|answer| answer.as_ref().ok()?.clone());
        match found {
            Some(cancelled) => Ok(Some(cancelled)),
            None => first_error(answers).map(|_| None),
        }
    }

    async fn pause(&self, job: &JobName, pause: bool) -> Result<bool> {
        let bucket = self.of_job(job);
        control::pause(bucket, &bucket.keys, job, pause).await
    }

    async fn request_reload(&self, node: Option<&NodeName>) -> Result<()> {
        control::request_reload(self.first(), &self.first().keys, node).await
    }

    async fn control(&self) -> Result<Control> {
        let read = |bucket| -> Call<'_, _> {
            let bucket: &Bucket = bucket;
            Box::pin(control::control(bucket, &bucket.keys))
        };
        let mut whole = Control::default();
        // Reloads are asked for in the first alone.
        for control in first_error(self.everywhere(read).await)?.into_iter().rev() {
            let version = whole.version + control.version;
            whole.pauses.extend(control.pauses);
            whole = Control { version, pauses: whole.pauses, ..control };
        }
        Ok(whole)
    }

    async fn publish_table(
        &self,
        digest: &str,
        jobs: &[(JobName, u64)],
        keep: Duration,
    ) -> Result<()> {
        tables::publish(self.first(), &self.first().keys, digest, jobs, keep).await
    }

    async fn table(&self, digest: &str) -> Result<Option<Vec<(JobName, u64)>>> {
        tables::table(self.first(), &self.first().keys, digest).await
    }

    async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<HeartbeatReply> {
        nodes::heartbeat(self.first(), &self.first().keys, heartbeat).await
    }

    async fn nodes(&self) -> Result<Vec<Heartbeat>> {
        nodes::nodes(self.first(), &self.first().keys).await
    }

    async fn leave(&self, node: &NodeName, boot: BootId) -> Result<()> {
        nodes::leave(self.first(), &self.first().keys, node, boot).await
    }

    async fn history(&self, query: &Query) -> Result<Vec<Entry>> {
        if let Some(job) = &query.job {
            let bucket = self.of_job(job);
            return ledger::history(bucket, &bucket.keys, query).await;
        }
        let read = |bucket| -> Call<'_, _> {
            let bucket: &Bucket = bucket;
            Box::pin(ledger::history(bucket, &bucket.keys, query))
        };
        let entries = first_error(self.everywhere(read).await)?;
        Ok(merged_history(entries, query.limit))
    }

    async fn slot(&self, slot: &Slot) -> Result<SlotStory> {
        let bucket = self.of_job(&slot.job);
        ledger::story(bucket, &bucket.keys, slot).await
    }

    async fn prune(&self, retention: Retention) -> Result<()> {
        let prune = |bucket| -> Call<'_, _> {
            let bucket: &Bucket = bucket;
            Box::pin(ledger::prune(bucket, &bucket.keys, retention))
        };
        first_error(self.everywhere(prune).await).map(drop)
    }

    async fn close(&self) {
        self.calls.close();
        self.routes.close().await;
    }
}
