//! Locks that stand alone: the tables `locks` and `revoked`.

use std::time::Duration;

use async_trait::async_trait;
use rusqlite::{OptionalExtension as _, params};
use tokio::sync::watch;

use super::SqliteStore;
use super::fault::Fault;
use super::thread::Step;
use crate::clock::ClusterTime;
use crate::lease::{Fence, Token};
use crate::lock::{Holder, LockName};
use crate::store::locks::{LockStore, Release, Standing, Take, Taken, Waiter};
use crate::store::{Health, Result, Store};

#[async_trait]
impl LockStore for SqliteStore {
    fn describe(&self) -> String {
        Store::describe(self)
    }

    fn health(&self) -> watch::Receiver<Health> {
        Store::health(self)
    }

    async fn take(&self, what: &Take) -> Result<Taken> {
        let asked = what.clone();
        let taken = self.calls.write(move |step| take(step, &asked)).await?;
        Ok(self.queues.note(what, taken))
    }

    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        let names = names.to_vec();
        self.calls
            .write(move |step| {
                let until = step.now + ttl;
                each(step, &names, token, |step, name| lapse(step, name, token, until))
            })
            .await
    }

    async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        let asked = release.clone();
        let standings = self.calls.write(move |step| give_back(step, &asked)).await?;
        // Also where they are kept: who waits learns that they last shorter than it was told.
        self.queues.released(&release.names);
        Ok(standings)
    }

    async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        let name = name.clone();
        let found =
            self.calls.read(move |step| Ok(find(step, &name)?.map(|lock| lock.told(step.now))));
        found.await
    }

    async fn enter(&self) -> Waiter {
        self.queues.enter(&self.calls)
    }

    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        self.queues.leave(name, waiter);
        Ok(())
    }

    async fn close(&self) {
        Store::close(self).await;
    }
}

/// One row of `locks` that has not lapsed.
struct Lock {
    /// None when it was released.
    token: Option<String>,
    fence: Fence,
    metadata: String,
    lapses_at: ClusterTime,
}

impl Lock {
    fn is_of(&self, token: Token) -> bool {
        self.token.as_ref().is_some_and(|held| *held == token.to_string())
    }

    fn told(&self, now: ClusterTime) -> Holder {
        Holder {
            fence: self.fence,
            metadata: self.metadata.clone(),
            remaining: self.lapses_at.since(now),
            released: self.token.is_none(),
            bids: false,
        }
    }
}

fn find(step: &Step<'_>, name: &LockName) -> std::result::Result<Option<Lock>, Fault> {
    let found = step
        .tx
        .prepare_cached(
            "SELECT token, fence, metadata, lapses_at FROM locks
             WHERE cluster = ?1 AND name = ?2 AND lapses_at > ?3",
        )?
        .query_row(params![step.cluster, name.as_str(), step.now.unix_micros()], |row| {
            Ok(Lock {
                token: Some(row.get::<_, String>(0)?).filter(|token| !token.is_empty()),
                fence: Fence::new(row.get::<_, i64>(1)?.max(0) as u64),
                metadata: row.get(2)?,
                lapses_at: ClusterTime::from_unix_micros(row.get(3)?),
            })
        })
        .optional()?;
    Ok(found)
}

fn take(step: &mut Step<'_>, take: &Take) -> std::result::Result<Taken, Fault> {
    expire(step)?;
    let token = take.token.to_string();
    let revoked = step
        .tx
        .prepare_cached("SELECT 1 FROM revoked WHERE token = ?1 AND keep_until > ?2")?
        .exists(params![token, step.now.unix_micros()])?;
    if revoked {
        return Ok(Taken::Revoked);
    }
    let mut ours = Vec::new();
    for name in take.names.iter() {
        match find(step, name)? {
            Some(lock) if lock.is_of(take.token) => ours.push(lock.fence),
            Some(lock) => {
                let since = take.queue.map(|place| place.since.unwrap_or(step.now));
                let holder = lock.told(step.now);
                return Ok(Taken::Held { name: name.clone(), holder, since });
            }
            None => {}
        }
    }
    // What was free may have had another holder since: only where all are ours is it the
    // same grant.
    let same = ours.iter().max().filter(|_| ours.len() == take.names.len());
    let fence = same.copied().unwrap_or_else(|| {
        let micros = step.now.unix_micros().max(0) as u64;
        step.last_fence = Fence::new(micros.max(step.last_fence.get() + 1));
        step.last_fence
    });
    let mut put = step.tx.prepare_cached(
        "INSERT OR REPLACE INTO locks (cluster, name, token, fence, metadata, lapses_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    for name in take.names.iter() {
        let until = (step.now + take.ttl).unix_micros();
        let fence = fence.get() as i64;
        put.execute(params![step.cluster, name.as_str(), token, fence, &*take.metadata, until])?;
    }
    Ok(Taken::Granted(fence))
}

/// Does `write` to each of those that are held under `token`.
fn each(
    step: &Step<'_>,
    names: &[LockName],
    token: Token,
    write: impl Fn(&Step<'_>, &LockName) -> std::result::Result<(), Fault>,
) -> std::result::Result<Vec<Standing>, Fault> {
    let standing = |name: &LockName| {
        Ok(match find(step, name)? {
            Some(lock) if lock.is_of(token) => {
                write(step, name)?;
                Standing::Ours
            }
            Some(lock) => Standing::HeldBy(lock.told(step.now)),
            None => Standing::Free,
        })
    };
    names.iter().map(standing).collect()
}

/// Lets a lock last until then.
fn lapse(
    step: &Step<'_>,
    name: &LockName,
    token: Token,
    until: ClusterTime,
) -> std::result::Result<(), Fault> {
    step.tx
        .prepare_cached(
            "UPDATE locks SET lapses_at = ?4 WHERE cluster = ?1 AND name = ?2 AND token = ?3",
        )?
        .execute(params![step.cluster, name.as_str(), token.to_string(), until.unix_micros()])?;
    Ok(())
}

fn give_back(step: &mut Step<'_>, release: &Release) -> std::result::Result<Vec<Standing>, Fault> {
    if let Some(keep) = release.revoke_for {
        step.tx
            .prepare_cached("INSERT OR REPLACE INTO revoked (token, keep_until) VALUES (?1, ?2)")?
            .execute(params![release.token.to_string(), (step.now + keep).unix_micros()])?;
    }
    each(step, &release.names, release.token, |step, name| {
        if release.hold.is_zero() {
            step.tx
                .prepare_cached("DELETE FROM locks WHERE cluster = ?1 AND name = ?2")?
                .execute(params![step.cluster, name.as_str()])?;
            return Ok(());
        }
        lapse(step, name, release.token, step.now + release.hold)?;
        step.tx
            .prepare_cached("UPDATE locks SET token = '' WHERE cluster = ?1 AND name = ?2")?
            .execute(params![step.cluster, name.as_str()])?;
        Ok(())
    })
}

/// Which of `names` nobody holds.
pub(super) fn free(
    step: &Step<'_>,
    names: Vec<LockName>,
) -> std::result::Result<Vec<LockName>, Fault> {
    let mut free = Vec::new();
    for name in names {
        if find(step, &name)?.is_none() {
            free.push(name);
        }
    }
    Ok(free)
}

/// Removes what has lapsed.
pub(super) fn expire(step: &Step<'_>) -> std::result::Result<(), Fault> {
    let now = [step.now.unix_micros()];
    step.tx.prepare_cached("DELETE FROM locks WHERE lapses_at <= ?1")?.execute(now)?;
    step.tx.prepare_cached("DELETE FROM revoked WHERE keep_until <= ?1")?.execute(now)?;
    Ok(())
}
