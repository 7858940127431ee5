//! The slots of a Redis Cluster: each call goes to the buckets that it concerns.

use std::sync::PoisonError;
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
use crate::store::redis::link::Purpose;
use crate::store::redis::server::Server;
use crate::store::redis::{
    claim, control, cursors, keys, ledger, nodes, open, outputs, reply, settle, sweep, tables,
};
use crate::store::{
    Abandonment, Cancelled, Completion, CursorKey, Forfeit, Health, MissedReport, Ownership,
    Renewal, Result, SlotRecord, SlotStory, Store, Sweep, Warning,
};

use super::RedisCluster;
use super::bucket::Bucket;
use super::buckets::{bucket_of, by_bucket};
use super::inspect;
use super::merge::{first_error, merged_history, merged_sweep, of_all, of_parts};
use super::together::{Call, all};

impl RedisCluster {
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

    async fn watch_output(&self, run: RunId, keep: Duration) -> Result<Option<String>> {
        outputs::watch(self.first(), &self.first().keys, run, keep).await
    }

    async fn watched_outputs(&self) -> Result<Vec<RunId>> {
        outputs::watched(self.first(), &self.first().keys).await
    }

    async fn show_output(&self, run: RunId, output: &str, keep: Duration) -> Result<()> {
        outputs::show(self.first(), &self.first().keys, run, output, keep).await
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

    async fn recent(&self, jobs: &[JobName], each: usize) -> Result<Vec<Vec<Entry>>> {
        let answers = self.spread(
            jobs,
            |job| job,
            |bucket, some| {
                Box::pin(async move { ledger::recent(bucket, &bucket.keys, &some, each).await })
            },
        );
        of_all(answers.await?)
    }

    async fn open_slots(&self, limit: usize) -> Result<Vec<(Slot, SlotRecord)>> {
        let read = |bucket| -> Call<'_, _> {
            let bucket: &Bucket = bucket;
            Box::pin(open::open_slots(bucket, &bucket.keys, limit))
        };
        let mut open: Vec<_> =
            first_error(self.everywhere(read).await)?.into_iter().flatten().collect();
        open.truncate(limit);
        Ok(open)
    }

    async fn tail(&self, job: &JobName, run: RunId) -> Result<Option<String>> {
        let bucket = self.of_job(job);
        ledger::tail(bucket, &bucket.keys, job, run).await
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
