//! Locks that stand alone, on one server.

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use tokio::sync::watch;

use crate::clock::ClusterTime;
use crate::lease::{Fence, Token};
use crate::lock::{Holder, LockName};
use crate::store::locks::{LockStore, Place, Release, Standing, Take, Taken, Waiter};
use crate::store::redis::claim::millis;
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::{RedisStore, reply, scripts};
use crate::store::{Health, Result, Store};

#[async_trait]
impl LockStore for RedisStore {
    fn describe(&self) -> String {
        Store::describe(self)
    }

    fn health(&self) -> watch::Receiver<Health> {
        Store::health(self)
    }

    async fn take(&self, take: &Take) -> Result<Taken> {
        let names = &take.names;
        let mut call = scripts::TAKE_LOCKS.call_with(2 + 2 * names.len());
        call.arg(self.keys.fence()).arg(self.keys.revoked(take.token));
        self.add_with_queues(&mut call, names);
        call.arg(take.token.to_string()).arg(millis(take.ttl)).arg(&*take.metadata);
        match &take.queue {
            None => call.arg("").arg("").arg(""),
            Some(place) => call
                .arg(self.calls.address(place.waiter))
                .arg(place.since.map_or_else(String::new, |at| at.unix_micros().to_string()))
                .arg(millis(stay(place))),
        };
        let mut answer = ask(&self.link, Purpose::Write, call).await?.into_iter();
        let corrupt = || reply::corrupt("the answer to a request for locks");
        let word = reply::item(answer.next().ok_or_else(corrupt)?)?;
        if let Some(fence) = word.strip_prefix("granted ") {
            return fence
                .parse()
                .map(|fence| Taken::Granted(Fence::new(fence)))
                .map_err(|_| corrupt());
        }
        if word == "revoked" {
            return Ok(Taken::Revoked);
        }
        let number: usize = word.parse().map_err(|_| corrupt())?;
        let name = number.checked_sub(1).and_then(|at| names.get(at)).ok_or_else(corrupt)?.clone();
        let holder = holder(&bytes(answer.next().ok_or_else(corrupt)?)?).ok_or_else(corrupt)?;
        let since = reply::text(answer.next().ok_or_else(corrupt)?)?;
        let since = since.parse().ok().map(ClusterTime::from_unix_micros);
        Ok(Taken::Held { name, holder, since })
    }

    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        let mut call = scripts::EXTEND_LOCKS.call_with(names.len());
        for name in names {
            call.arg(self.keys.held(name));
        }
        call.arg(token.to_string()).arg(millis(ttl));
        standings(names.len(), ask(&self.link, Purpose::Write, call).await?)
    }

    async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        let names = &release.names;
        let mut call = scripts::RELEASE_LOCKS.call_with(1 + 2 * names.len());
        call.arg(self.keys.revoked(release.token));
        self.add_with_queues(&mut call, names);
        call.arg(release.token.to_string())
            .arg(if release.hold.is_zero() { 0 } else { millis(release.hold) })
            .arg(release.revoke_for.map_or(0, millis))
            .arg(self.keys.calls());
        standings(names.len(), ask(&self.link, Purpose::Write, call).await?)
    }

    async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        let call = scripts::LOCK_HOLDER.call(&[&self.keys.held(name)]);
        let answer = standings(1, ask(&self.link, Purpose::Read, call).await?)?;
        Ok(answer.into_iter().find_map(|standing| match standing {
            Standing::HeldBy(holder) => Some(holder),
            Standing::Ours | Standing::Free => None,
        }))
    }

    async fn enter(&self) -> Waiter {
        self.calls.enter().await
    }

    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        let mut call = scripts::LEAVE_QUEUE.call(&[&self.keys.held(name), &self.keys.queue(name)]);
        call.arg(self.calls.address(waiter)).arg(self.keys.calls());
        ask(&self.link, Purpose::Write, call).await.map(|_| ())
    }

    async fn close(&self) {
        Store::close(self).await;
    }
}

impl RedisStore {
    /// Adds the keys of each lock and its queue.
    fn add_with_queues(&self, call: &mut Cmd, names: &[LockName]) {
        for name in names {
            call.arg(self.keys.held(name)).arg(self.keys.queue(name));
        }
    }
}

/// How long a place in a queue is kept: until the waiter has asked again, and somewhat
/// longer, because it may be busy.
fn stay(place: &Place) -> Duration {
    place.asks_within.saturating_add(Duration::from_secs(5))
}

/// Sends one call; what it replies behind the time.
async fn ask(link: &Link, purpose: Purpose, call: Cmd) -> Result<Vec<Value>> {
    let (_, answer) = reply::timed(reply::list(link.ask(purpose, call).await?)?)?;
    Ok(answer.collect())
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
