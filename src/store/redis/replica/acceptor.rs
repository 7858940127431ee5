//! What a server is asked by those who propose, as calls of scripts.

use std::time::Duration;

use async_trait::async_trait;
use redis::{Cmd, Value};
use uuid::Uuid;

use super::{RedisReplica, changes, contents};
use crate::clock::ClusterTime;
use crate::store::Result;
use crate::store::quorum::slots::{
    Accepted, Acceptor, Ballot, Cell, Change, Content, Glance, Pending, Position, Prepared,
    Promise, Write,
};
use crate::store::redis::link::Purpose;
use crate::store::redis::reply;
use crate::store::redis::scripts::{self, Script, millis};
use crate::store::redis::server::Server;

/// So much of the journal is read at once; a change may have some MiB.
const AT_ONCE: usize = 8;

impl RedisReplica {
    /// A call about the server's part in the quorum.
    pub(super) fn call(&self, script: &Script, more: &[&str]) -> Cmd {
        let (state, journal) = (self.keys.key("state"), self.keys.key("journal"));
        let mut keys = vec![state.as_str(), journal.as_str()];
        keys.extend_from_slice(more);
        script.call(&keys)
    }

    pub(super) async fn answer(&self, purpose: Purpose, call: Cmd) -> Result<Parts> {
        Ok(Parts(reply::list(self.link.ask(purpose, call).await?)?.into_iter()))
    }
}

/// The parts of an answer, in order.
pub(super) struct Parts(std::vec::IntoIter<Value>);

impl Parts {
    pub(super) fn next(&mut self) -> Result<Value> {
        self.0.next().ok_or_else(|| reply::corrupt("a whole answer"))
    }

    pub(super) fn text(&mut self) -> Result<String> {
        reply::text(self.next()?)
    }

    pub(super) fn position(&mut self) -> Result<Position> {
        u64::try_from(reply::integer(self.next()?)?).map_err(|_| reply::corrupt("a position"))
    }

    pub(super) fn time(&mut self) -> Result<ClusterTime> {
        reply::integer(self.next()?).map(ClusterTime::from_unix_micros)
    }

    fn ballot(&mut self) -> Result<Ballot> {
        Ballot::read(&self.text()?).ok_or_else(|| reply::corrupt("a ballot"))
    }

    /// `at` and a position, or `outside`.
    fn place(&mut self) -> Result<Option<Position>> {
        match self.text()?.as_str() {
            "at" => self.position().map(Some),
            "outside" => Ok(None),
            _ => Err(reply::corrupt("a place in the journal")),
        }
    }

    fn pending(&mut self) -> Result<Option<Pending>> {
        let (ballot, id, change) = (self.text()?, self.text()?, self.next()?);
        if ballot.is_empty() {
            return Ok(None);
        }
        let ballot = Ballot::read(&ballot).ok_or_else(|| reply::corrupt("a ballot"))?;
        Ok(Some(Pending { ballot, change: change_of(&id, change)? }))
    }
}

fn change_of(id: &str, bytes: Value) -> Result<Change> {
    match (id.parse::<Uuid>(), bytes) {
        (Ok(id), Value::BulkString(bytes)) => Ok(Change { id, bytes }),
        _ => Err(reply::corrupt("a change")),
    }
}

#[async_trait]
impl Acceptor for RedisReplica {
    fn describe(&self) -> String {
        self.link.options().to_string()
    }

    async fn prepare(
        &self,
        ballot: Ballot,
        patience: Duration,
        cells: &[Cell],
    ) -> Result<Prepared> {
        let mut call = self.call(&scripts::PREPARE, &[&self.keys.open()]);
        call.arg(ballot.to_string()).arg(millis(patience));
        contents::ask(&mut call, &self.keys, cells);
        prepared(cells, self.answer(Purpose::Write, call).await?)
    }

    async fn release(&self, ballot: Ballot) -> Result<()> {
        let mut call = self.call(&scripts::RELEASE_PROMISE, &[]);
        call.arg(ballot.to_string());
        self.link.ask(Purpose::Write, call).await.map(drop)
    }

    async fn accept(&self, ballot: Ballot, at: Position, change: &Change) -> Result<Accepted> {
        let mut call = self.call(&scripts::ACCEPT, &[]);
        call.arg(ballot.to_string()).arg(at).arg(change.id.to_string()).arg(&change.bytes);
        accepted(self.answer(Purpose::Settle, call).await?)
    }

    async fn commit(&self, ballot: Ballot, at: Position) -> Result<Option<Position>> {
        let mut call = self.call(&scripts::COMMIT, &[]);
        call.arg(ballot.to_string()).arg(at);
        self.answer(Purpose::Write, call).await?.place()
    }

    async fn learn(&self, after: Position, changes: &[Change]) -> Result<Option<Position>> {
        let mut call = self.call(&scripts::LEARN, &[]);
        call.arg(after);
        for change in changes {
            call.arg(change.id.to_string()).arg(&change.bytes);
        }
        self.answer(Purpose::Write, call).await?.place()
    }

    async fn journal(&self, after: Position) -> Result<Option<Vec<Change>>> {
        let mut range = redis::cmd("XRANGE");
        range.arg(self.keys.key("journal")).arg(format!("({after}-0")).arg("+");
        range.arg("COUNT").arg(AT_ONCE);
        let glance = self.call(&scripts::GLANCE, &[]);
        let replies = self.link.send(Purpose::Read, vec![range, glance]).await?;
        let [range, glance]: [Result<Value>; 2] =
            replies.try_into().map_err(|_| reply::corrupt("all answers"))?;
        journal(after, range?, glance?)
    }

    async fn read(&self, cells: &[Cell]) -> Result<(Position, Vec<Content>)> {
        let mut call = self.call(&scripts::LOOK, &[&self.keys.open()]);
        contents::ask(&mut call, &self.keys, cells);
        let mut parts = self.answer(Purpose::Read, call).await?;
        Ok((parts.position()?, contents::read(cells, parts.next()?)?))
    }

    async fn glance(&self) -> Result<Option<Glance>> {
        glance(self.answer(Purpose::Read, self.call(&scripts::GLANCE, &[])).await?)
    }

    fn change(&self, at: Position, now: ClusterTime, writes: &[Write]) -> Change {
        changes::change(&self.keys, at, now, writes)
    }
}

/// What a server says to a ballot for `cells`.
fn prepared(cells: &[Cell], mut parts: Parts) -> Result<Prepared> {
    Ok(match parts.text()?.as_str() {
        "promised" => Prepared::Promised(Promise {
            position: parts.position()?,
            epoch: parts.position()?,
            clock: parts.time()?,
            last: parts.time()?,
            pending: parts.pending()?,
            contents: contents::read(cells, parts.next()?)?,
        }),
        "refused" => Prepared::Refused(parts.ballot()?),
        "busy" => Prepared::Busy(parts.ballot()?),
        "outside" => Prepared::Outside,
        _ => return Err(reply::corrupt("the answer to a ballot")),
    })
}

/// What it says to a change.
fn accepted(mut parts: Parts) -> Result<Accepted> {
    Ok(match parts.text()?.as_str() {
        "yes" => Accepted::Yes,
        "past" => Accepted::Past(parts.position()?),
        "behind" => Accepted::Behind(parts.position()?),
        "refused" => Accepted::Refused(parts.ballot()?),
        "outside" => Accepted::Outside,
        _ => return Err(reply::corrupt("the answer to a change")),
    })
}

/// What it says of itself.
fn glance(mut parts: Parts) -> Result<Option<Glance>> {
    let Some(position) = parts.place()? else { return Ok(None) };
    let is_pending = reply::integer(parts.next()?)? == 1;
    Ok(Some(Glance { position, is_pending, clock: parts.time()?, last: parts.time()? }))
}

/// The changes in `range`, if they are those that follow on `after`.
fn journal(after: Position, range: Value, glance: Value) -> Result<Option<Vec<Change>>> {
    let mut changes = Vec::new();
    for (place, item) in reply::list(range)?.into_iter().enumerate() {
        let (id, change) = journal_item(item)?;
        if id != format!("{}-0", after + 1 + place as u64) {
            return Ok(None);
        }
        changes.push(change);
    }
    let position = Parts(reply::list(glance)?.into_iter()).place()?;
    // One that is no member has none; of a later begin, it has nothing there.
    let is_there = position.is_some_and(|at| at <= after || !changes.is_empty());
    Ok(is_there.then_some(changes))
}

/// Reads `values` as every answer that a server of a quorum may give, for `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(in crate::store::redis) fn read_all(values: &[Value], cells: &[Cell]) {
    let parts = || Parts(Vec::from(values).into_iter());
    let _all_or_corrupt = (
        prepared(cells, parts()),
        accepted(parts()),
        glance(parts()),
        parts().place(),
        super::copying::read(parts()),
    );
    if let [range, glance, ..] = values {
        let _all_or_corrupt = journal(17, range.clone(), glance.clone());
    }
    for value in values {
        let _all_or_corrupt = contents::read(cells, value.clone());
    }
}

/// The id and the change of an item of the journal.
fn journal_item(item: Value) -> Result<(String, Change)> {
    let [id, fields]: [Value; 2] =
        reply::list(item)?.try_into().map_err(|_| reply::corrupt("an item of the journal"))?;
    let fields: [Value; 4] =
        reply::list(fields)?.try_into().map_err(|_| reply::corrupt("an item of the journal"))?;
    let [_, name, _, bytes] = fields;
    Ok((reply::text(id)?, change_of(&reply::text(name)?, bytes)?))
}
