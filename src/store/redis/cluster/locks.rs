//! Locks that stand alone, on a Redis Cluster: each is in the bucket of its name.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::RedisCluster;
use super::bucket::Bucket;
use super::buckets::bucket_of_lock;
use crate::lease::Token;
use crate::lock::{Holder, LockName};
use crate::store::locks::{LockStore, Release, Standing, Take, Taken, Waiter};
use crate::store::redis::locks::Desk;
use crate::store::{Health, Result, StoreError};

#[async_trait]
impl LockStore for RedisCluster {
    fn describe(&self) -> String {
        self.routes.options().to_string()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.routes.health()
    }

    fn can_be_taken_together(&self, names: &[LockName]) -> std::result::Result<(), String> {
        let mut buckets = names.iter().map(bucket_of_lock);
        let first = buckets.next();
        match buckets.all(|bucket| Some(bucket) == first) {
            true => Ok(()),
            false => Err("in a Redis Cluster, locks that are taken together must be on one \
                          server: give their names a part in braces that is the same, such as \
                          {order/1}stock and {order/1}money"
                .to_owned()),
        }
    }

    async fn take(&self, take: &Take) -> Result<Taken> {
        self.desk(&take.names)?.take(take).await
    }

    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        self.desk(names)?.extend(names, token, ttl).await
    }

    async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        self.desk(&release.names)?.release(release).await
    }

    async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        self.desk(std::slice::from_ref(name))?.holder(name).await
    }

    async fn enter(&self) -> Waiter {
        self.calls.enter().await
    }

    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        self.desk(std::slice::from_ref(name))?.leave(name, waiter).await
    }

    async fn close(&self) {
        self.calls.close();
        self.routes.close().await;
    }
}

impl RedisCluster {
    /// The locks of the bucket that these are in.
    fn desk(&self, names: &[LockName]) -> Result<&Desk<Bucket>> {
        self.can_be_taken_together(names).map_err(StoreError::Unavailable)?;
        let bucket = names.first().map_or(0, bucket_of_lock);
        Ok(&self.locks[bucket as usize])
    }
}
