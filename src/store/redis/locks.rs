//! Locks that stand alone: those of one bucket, and of a server, which has but one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use tokio::sync::watch;

use crate::clock::ClusterTime;
use crate::lease::{Fence, Token};
use crate::lock::{Holder, LockName};
use crate::store::locks::{LockStore, Place, Release, Standing, Take, Taken, Waiter};
use crate::store::redis::calls::Calls;
use crate::store::redis::combine::Combiner;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::{RedisStore, batch, reply, scripts};
use crate::store::{Health, Result};

/// The locks of one bucket.
#[derive(Debug)]
pub(super) struct Desk<S> {
    server: Arc<S>,
    keys: Keys,
    calls: Arc<Calls>,
    takes: Combiner<Take, Taken>,
    releases: Combiner<Release, Vec<Standing>>,
}

impl<S: Server + Send + Sync + 'static> Desk<S> {
    pub(super) fn new(server: Arc<S>, keys: &Keys, calls: Arc<Calls>) -> Self {
        let takes = takes(server.clone(), keys.clone(), calls.clone());
        let releases = releases(server.clone(), keys.clone(), calls.clone());
        Self { server, keys: keys.clone(), calls, takes, releases }
    }

    pub(super) async fn take(&self, take: &Take) -> Result<Taken> {
        self.takes.ask(take.clone()).await
    }

    pub(super) async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        let mut call = scripts::EXTEND_LOCKS.call_with(names.len());
        for name in names {
            call.arg(self.keys.held(name));
        }
        call.arg(token.to_string()).arg(millis(ttl)).arg(names.len());
        standings(names.len(), self.ask(Purpose::Settle, call).await?)
    }

    pub(super) async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        self.releases.ask(release.clone()).await
    }

    pub(super) async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        let call = scripts::LOCK_HOLDER.call(&[&self.keys.held(name)]);
        let answer = standings(1, self.ask(Purpose::Read, call).await?)?;
        Ok(answer.into_iter().find_map(|standing| match standing {
            Standing::HeldBy(holder) => Some(holder),
            Standing::Ours | Standing::Free => None,
        }))
    }

    pub(super) async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        let keys = &self.keys;
        let mut call = scripts::LEAVE_QUEUE.call(&[&keys.held(name), &keys.queue(name)]);
        call.arg(self.calls.address(waiter));
        self.calls.add_to(&mut call);
        self.ask(Purpose::Write, call).await.map(|_| ())
    }

    /// Sends one call; what it replies behind the time.
    async fn ask(&self, purpose: Purpose, call: Cmd) -> Result<Vec<Value>> {
        let answer = reply::list(self.server.ask(purpose, call).await?)?;
        Ok(reply::timed(answer)?.1.collect())
    }
}

#[async_trait]
impl LockStore for RedisStore {
    fn describe(&self) -> String {
        self.link.options().to_string()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.link.health()
    }

    async fn take(&self, take: &Take) -> Result<Taken> {
        self.locks.take(take).await
    }

    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        self.locks.extend(names, token, ttl).await
    }

    async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        self.locks.release(release).await
    }

    async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        self.locks.holder(name).await
    }

    async fn enter(&self) -> Waiter {
        self.calls.enter().await
    }

    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        self.locks.leave(name, waiter).await
    }

    async fn close(&self) {
        self.calls.close();
        self.link.close().await;
    }
}

fn takes<S: Server + Send + Sync + 'static>(
    server: Arc<S>,
    keys: Keys,
    calls: Arc<Calls>,
) -> Combiner<Take, Taken> {
    Combiner::new(move |takes: Vec<Take>| {
        let (server, keys, calls) = (server.clone(), keys.clone(), calls.clone());
        Box::pin(async move {
            let call = |some: &[Take]| call_to_take(&keys, &calls, some);
            let weigh = |take: &Take| weight(&take.names) + take.metadata.len();
            batch::run(&*server, &takes, call, weigh, taken).await
        })
    })
}

fn releases<S: Server + Send + Sync + 'static>(
    server: Arc<S>,
    keys: Keys,
    calls: Arc<Calls>,
) -> Combiner<Release, Vec<Standing>> {
    Combiner::new(move |releases: Vec<Release>| {
        let (server, keys, calls) = (server.clone(), keys.clone(), calls.clone());
        Box::pin(async move {
            let call = |some: &[Release]| call_to_release(&keys, &calls, some);
            let weigh = |release: &Release| weight(&release.names);
            batch::run(&*server, &releases, call, weigh, released).await
        })
    })
}

/// What an item adds to a call, about, in bytes; and no call has more keys than Lua's
/// stack has room for.
fn weight(names: &[LockName]) -> usize {
    names.len() * 2048
}

fn call_to_take(keys: &Keys, calls: &Calls, takes: &[Take]) -> Cmd {
    let count: usize = takes.iter().map(|take| 1 + 2 * take.names.len()).sum();
    let mut call = scripts::TAKE_LOCKS.call_with(1 + count);
    call.arg(keys.fence());
    for take in takes {
        add_keys(&mut call, keys, take.token, &take.names);
    }
    for take in takes {
        call.arg(take.names.len())
            .arg(take.token.to_string())
            .arg(millis(take.ttl))
            .arg(&*take.metadata);
        match &take.queue {
            None => call.arg("").arg("").arg(""),
            Some(place) => call
                .arg(calls.address(place.waiter))
                .arg(place.since.map_or_else(String::new, |at| at.unix_micros().to_string()))
                .arg(millis(stay(place))),
        };
    }
    call
}

fn call_to_release(keys: &Keys, calls: &Calls, releases: &[Release]) -> Cmd {
    let count = releases.iter().map(|release| 1 + 2 * release.names.len()).sum();
    let mut call = scripts::RELEASE_LOCKS.call_with(count);
    for release in releases {
        add_keys(&mut call, keys, release.token, &release.names);
    }
    calls.add_to(&mut call);
    for release in releases {
        call.arg(release.names.len())
            .arg(release.token.to_string())
            .arg(if release.hold.is_zero() { 0 } else { millis(release.hold) })
            .arg(release.revoke_for.map_or(0, millis));
    }
    call
}

/// Adds the keys of one item: that of its token, then of each lock and its queue.
fn add_keys(call: &mut Cmd, keys: &Keys, token: Token, names: &[LockName]) {
    call.arg(keys.revoked(token));
    for name in names {
        call.arg(keys.held(name)).arg(keys.queue(name));
    }
}

fn taken(take: &Take, _now: ClusterTime, value: Value) -> Result<Taken> {
    let corrupt = || reply::corrupt("the answer to a request for locks");
    let Value::Array(parts) = value else {
        let word = reply::item(value)?;
        if word == "revoked" {
            return Ok(Taken::Revoked);
        }
        let fence = word.strip_prefix("granted ").and_then(|fence| fence.parse().ok());
        return fence.map(|fence| Taken::Granted(Fence::new(fence))).ok_or_else(corrupt);
    };
    let [number, told, since] = parts.try_into().map_err(|_| corrupt())?;
    let number = usize::try_from(reply::integer(number)?).map_err(|_| corrupt())?;
    let name = number.checked_sub(1).and_then(|at| take.names.get(at)).ok_or_else(corrupt)?;
    let Standing::HeldBy(holder) = standing(told)? else { return Err(corrupt()) };
    let since = reply::text(since)?.parse().ok().map(ClusterTime::from_unix_micros);
    Ok(Taken::Held { name: name.clone(), holder, since })
}

fn released(release: &Release, _now: ClusterTime, value: Value) -> Result<Vec<Standing>> {
    match value {
        Value::Array(parts) => standings(release.names.len(), parts),
        other => {
            Err(reply::item(other).err().unwrap_or_else(|| reply::corrupt("what became of locks")))
        }
    }
}

/// How long a place in a queue is kept: until the waiter has asked again, and somewhat
/// longer, because it may be busy.
fn stay(place: &Place) -> Duration {
    place.asks_within.saturating_add(Duration::from_secs(5))
}

fn standings(count: usize, answer: Vec<Value>) -> Result<Vec<Standing>> {
    let standings: Vec<_> = answer.into_iter().map(standing).collect::<Result<_>>()?;
    match standings.len() == count {
        true => Ok(standings),
        false => Err(reply::corrupt("one answer for each lock")),
    }
}

fn standing(value: Value) -> Result<Standing> {
    let told = bytes(value)?;
    match &*told {
        b"ours" => Ok(Standing::Ours),
        b"free" => Ok(Standing::Free),
        told => match holder(told) {
            Some(holder) => Ok(Standing::HeldBy(holder)),
            // An error, or what nobody knows.
            None => Err(reply::item(Value::BulkString(told.to_vec()))
                .err()
                .unwrap_or_else(|| reply::corrupt("what became of a lock"))),
        },
    }
}

fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => reply::text(other).map(String::into_bytes),
    }
}

/// `held MILLIS FENCE METADATA`, or `released …`. Another program may have written the
/// metadata: what is no text is shown as far as it is.
fn holder(told: &[u8]) -> Option<Holder> {
    let text = String::from_utf8_lossy(told);
    let mut words = text.splitn(4, ' ');
    let released = match words.next()? {
        "held" => false,
        "released" => true,
        _ => return None,
    };
    let remaining = Duration::from_millis(words.next()?.parse().ok()?);
    let fence = Fence::new(words.next()?.parse().ok()?);
    Some(Holder { fence, metadata: words.next()?.to_owned(), remaining, released })
}
