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
use crate::store::quorum::locks::{Memory, Sight, Vote, Voter, Writing};
use crate::store::redis::calls::Calls;
use crate::store::redis::combine::Combiner;
use crate::store::redis::exchange::{self, Exchange};
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
    exchange: Exchange,
    /// What the exchange does not serve.
    takes: Combiner<Ask, Vote>,
    releases: Combiner<Release, Vec<Standing>>,
}

impl<S: Server + Send + Sync + 'static> Desk<S> {
    pub(super) fn new(server: Arc<S>, keys: &Keys, calls: Arc<Calls>) -> Self {
        let exchange = Exchange::new(server.clone(), keys.clone());
        let takes = takes(server.clone(), keys.clone(), calls.clone());
        let releases = releases(server.clone(), keys.clone(), calls.clone());
        Self { server, keys: keys.clone(), calls, exchange, takes, releases }
    }

    pub(super) async fn take(&self, take: &Take) -> Result<Taken> {
        if exchange::serves_take(take)
            && let Some(taken) = self.exchange.take(take).await?
        {
            return Ok(taken);
        }
        match self.takes.ask(Ask { take: take.clone(), proposed: None }).await? {
            Vote::Cast(taken) => Ok(taken),
            Vote::Abstained(_) => Err(reply::corrupt("the answer to a request for locks")),
        }
    }

    pub(super) async fn vote(&self, take: &Take, proposed: Fence) -> Result<Vote> {
        self.takes.ask(Ask { take: take.clone(), proposed: Some(proposed) }).await
    }

    pub(super) async fn write(&self, writing: &Writing) -> Result<Vec<Standing>> {
        let Writing { names, token, fence, ttl, metadata, where_free, won } = writing;
        let keys = &self.keys;
        let mut call = scripts::WRITE_LOCKS.call_with(3 + names.len());
        call.arg(keys.fence()).arg(keys.member()).arg(keys.revoked(*token));
        for name in names.iter() {
            call.arg(keys.held(name));
        }
        call.arg(token.to_string()).arg(fence.get()).arg(millis(*ttl)).arg(&**metadata);
        call.arg(names.len()).arg(u8::from(*where_free)).arg(u8::from(*won));
        standings(names.len(), self.ask(Purpose::Settle, call).await?)
    }

    pub(super) async fn sight(&self, name: &LockName) -> Result<Sight> {
        let call = scripts::SIGHT.call(&[&self.keys.held(name), &self.keys.member()]);
        seen(self.ask(Purpose::Read, call).await?)
    }

    pub(super) async fn memory(&self, name: Token) -> Result<Memory> {
        let mut call = scripts::MEMORY.call(&[&self.keys.member(), &self.keys.fence()]);
        call.arg(name.to_string());
        memory(self.ask(Purpose::Settle, call).await?)
    }

    pub(super) async fn admit(&self, name: &str, after: Duration, fence: Fence) -> Result<()> {
        let mut call = scripts::ADMIT.call(&[&self.keys.member(), &self.keys.fence()]);
        // Rounded up: rather too late.
        let after = after.as_nanos().div_ceil(1_000_000);
        call.arg(name).arg(after.to_string()).arg(fence.get());
        self.ask(Purpose::Settle, call).await.map(drop)
    }

    pub(super) async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        let mut call = scripts::EXTEND_LOCKS.call_with(names.len() + 1);
        for name in names {
            call.arg(self.keys.held(name));
        }
        call.arg(self.keys.member());
        call.arg(token.to_string()).arg(millis(ttl)).arg(names.len());
        standings(names.len(), self.ask(Purpose::Settle, call).await?)
    }

    pub(super) async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        if exchange::serves_release(release) {
            return Ok(vec![self.exchange.release(release).await?]);
        }
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

#[async_trait]
impl Voter for RedisStore {
    async fn vote(&self, take: &Take, proposed: Fence) -> Result<Vote> {
        self.locks.vote(take, proposed).await
    }

    async fn write(&self, writing: &Writing) -> Result<Vec<Standing>> {
        self.locks.write(writing).await
    }

    async fn sight(&self, name: &LockName) -> Result<Sight> {
        self.locks.sight(name).await
    }

    async fn memory(&self, name: Token) -> Result<Memory> {
        self.locks.memory(name).await
    }

    async fn admit(&self, name: &str, after: Duration, fence: Fence) -> Result<()> {
        self.locks.admit(name, after, fence).await
    }
}

/// A request for locks, and the fence that a quorum proposes if it comes from one.
#[derive(Debug, Clone)]
struct Ask {
    take: Take,
    proposed: Option<Fence>,
}

fn takes<S: Server + Send + Sync + 'static>(
    server: Arc<S>,
    keys: Keys,
    calls: Arc<Calls>,
) -> Combiner<Ask, Vote> {
    Combiner::new(move |takes: Vec<Ask>| {
        let (server, keys, calls) = (server.clone(), keys.clone(), calls.clone());
        Box::pin(async move {
            let call = |some: &[Ask]| call_to_take(&keys, &calls, some);
            let weigh = |ask: &Ask| weight(&ask.take.names) + ask.take.metadata.len();
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
            batch::run_untimed(&*server, &releases, call, weigh, released).await
        })
    })
}

/// What an item adds to a call, about, in bytes; and no call has more keys than Lua's
/// stack has room for.
pub(super) fn weight(names: &[LockName]) -> usize {
    names.len() * 2048
}

fn call_to_take(keys: &Keys, calls: &Calls, asks: &[Ask]) -> Cmd {
    let count: usize = asks.iter().map(|ask| 1 + 2 * ask.take.names.len()).sum();
    let mut call = scripts::TAKE_LOCKS.call_with(3 + count);
    call.arg(keys.fence()).arg(keys.member()).arg(keys.beside());
    for Ask { take, .. } in asks {
        call.arg(keys.revoked(take.token));
        for name in &*take.names {
            call.arg(keys.held(name)).arg(keys.queue(name));
        }
    }
    calls.add_to(&mut call);
    for Ask { take, proposed } in asks {
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
        call.arg(proposed.map_or_else(String::new, |fence| fence.to_string()));
    }
    call
}

fn call_to_release(keys: &Keys, calls: &Calls, releases: &[Release]) -> Cmd {
    let names = || releases.iter().flat_map(|release| &*release.names);
    let revoked = || releases.iter().filter(|release| release.revoke_for.is_some());
    let count = names().count();
    let mut call = scripts::RELEASE_LOCKS.call_with(1 + 2 * count + revoked().count());
    call.arg(keys.beside());
    for name in names() {
        call.arg(keys.held(name));
    }
    for name in names() {
        call.arg(keys.queue(name));
    }
    for release in revoked() {
        call.arg(keys.revoked(release.token));
    }
    call.arg(count);
    calls.add_to(&mut call);
    for Release { names, token, hold, revoke_for } in releases {
        let hold = if hold.is_zero() { 0 } else { millis(*hold) };
        let revoked = revoke_for.map_or(0, millis);
        call.arg(format!("{token} {} {hold} {revoked}", names.len()));
    }
    call
}

fn taken(ask: &Ask, _now: ClusterTime, value: Value) -> Result<Vote> {
    let corrupt = || reply::corrupt("the answer to a request for locks");
    let Value::Array(parts) = value else {
        let word = reply::item(value)?;
        if word == "revoked" {
            return Ok(Vote::Cast(Taken::Revoked));
        }
        if let Some(millis) = word.strip_prefix("abstains ") {
            let until: i64 = millis.parse().map_err(|_| corrupt())?;
            return Ok(Vote::Abstained(duration(until)));
        }
        let fence = word.strip_prefix("granted ").and_then(|fence| fence.parse().ok());
        return fence
            .map(|fence| Vote::Cast(Taken::Granted(Fence::new(fence))))
            .ok_or_else(corrupt);
    };
    let [number, told, since] = parts.try_into().map_err(|_| corrupt())?;
    let number = usize::try_from(reply::integer(number)?).map_err(|_| corrupt())?;
    let name = number.checked_sub(1).and_then(|at| ask.take.names.get(at)).ok_or_else(corrupt)?;
    let Standing::HeldBy(holder) = standing(told)? else { return Err(corrupt()) };
    let since = reply::text(since)?.parse().ok().map(ClusterTime::from_unix_micros);
    Ok(Vote::Cast(Taken::Held { name: name.clone(), holder, since }))
}

/// So many milliseconds; none where that is less than nothing.
fn duration(millis: i64) -> Option<Duration> {
    u64::try_from(millis).ok().map(Duration::from_millis)
}

fn memory(answer: Vec<Value>) -> Result<Memory> {
    let corrupt = || reply::corrupt("what a server of a quorum remembers");
    let [name, horizon, silence, fence] = answer.try_into().map_err(|_| corrupt())?;
    let number = |value| reply::text(value)?.parse::<i64>().map_err(|_| corrupt());
    Ok(Memory {
        name: reply::text(name)?,
        horizon: duration(number(horizon)?),
        silence: duration(number(silence)?).unwrap_or_default(),
        fence: Fence::new(number(fence)?.try_into().map_err(|_| corrupt())?),
    })
}

fn seen(answer: Vec<Value>) -> Result<Sight> {
    let corrupt = || reply::corrupt("what a server of a quorum sees");
    let [told, word] = answer.try_into().map_err(|_| corrupt())?;
    let holder = match standing(told)? {
        Standing::HeldBy(holder) => Some(holder),
        Standing::Free => None,
        Standing::Ours => return Err(corrupt()),
    };
    Ok(Sight { holder, votes: reply::text(word)? == "votes" })
}

fn released(release: &Release, value: Value) -> Result<Vec<Standing>> {
    match value {
        Value::Array(parts) => standings(release.names.len(), parts),
        one => {
            Err(reply::item(one).err().unwrap_or_else(|| reply::corrupt("what became of locks")))
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

pub(super) fn standing(value: Value) -> Result<Standing> {
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

pub(super) fn bytes(value: Value) -> Result<Vec<u8>> {
    match value {
        Value::BulkString(bytes) => Ok(bytes),
        other => reply::text(other).map(String::into_bytes),
    }
}

/// `held MILLIS FENCE METADATA`, `bids …` or `released …`. Another program may have written the
/// metadata: what is no text is shown as far as it is.
fn holder(told: &[u8]) -> Option<Holder> {
    let text = String::from_utf8_lossy(told);
    let mut words = text.splitn(4, ' ');
    let (released, bids) = match words.next()? {
        "held" => (false, false),
        "bids" => (false, true),
        "released" => (true, false),
        _ => return None,
    };
    let remaining = Duration::from_millis(words.next()?.parse().ok()?);
    let fence = Fence::new(words.next()?.parse().ok()?);
    Some(Holder { fence, metadata: words.next()?.to_owned(), remaining, released, bids })
}

/// Reads `values` as every answer about locks that a server may give, for `crate::fuzzing`.
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(super) fn read_all(values: &[Value]) {
    let names: Arc<[LockName]> =
        ["order/1", "order/2"].map(|name| name.parse().expect("a name")).into();
    let token = Token::new();
    let take = Take {
        names: names.clone(),
        token,
        ttl: Duration::from_secs(1),
        metadata: "".into(),
        queue: None,
    };
    let ask = Ask { take: take.clone(), proposed: None };
    let release = Release { names, token, hold: Duration::ZERO, revoke_for: None };
    let _all_or_corrupt = (memory(values.to_vec()), seen(values.to_vec()));
    for value in values {
        let _all_or_corrupt = (
            exchange::read_both(&take, value),
            taken(&ask, ClusterTime::from_unix_micros(0), value.clone()),
            released(&release, value.clone()),
        );
    }
}
