//! The look at the open slots that every node takes from time to time.

use redis::{Cmd, Value};

use crate::clock::ClusterTime;
use crate::slot::Slot;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::record::{Record, Standing};
use crate::store::redis::server::Server;
use crate::store::redis::{reply, scripts};
use crate::store::{Cancel, Open, OpenState, Result, Sweep};

/// So many open slots are asked for at once.
const AT_ONCE: usize = 10_000;

pub(super) async fn sweep(server: &impl Server, keys: &Keys, limit: usize) -> Result<Sweep> {
    look(server, keys, limit).await.map(Found::sweep)
}

/// The same as it was, or will be, at `now`.
pub(super) async fn sweep_at(
    server: &impl Server,
    keys: &Keys,
    now: ClusterTime,
    limit: usize,
) -> Result<Sweep> {
    let mut call = scripts::SWEEP_AT.call(&[&keys.open(), &keys.cancels(), &keys.control()]);
    scripts::add_instant(&mut call, now);
    ask(server, keys, call, limit).await.map(Found::sweep)
}

/// What one bucket's index has.
#[derive(Debug)]
pub(super) struct Found {
    /// Each with when it began to want somebody, by the index, longest ago first.
    pub(super) open: Vec<(ClusterTime, Open)>,
    pub(super) next: Option<ClusterTime>,
    pub(super) cancels: Vec<Cancel>,
    pub(super) control: u64,
}

impl Found {
    fn sweep(self) -> Sweep {
        let open = self.open.into_iter().map(|(_, open)| open).collect();
        Sweep { open, next: self.next, cancels: self.cancels, control: self.control }
    }
}

pub(super) async fn look(server: &impl Server, keys: &Keys, limit: usize) -> Result<Found> {
    let call = scripts::SWEEP.call(&[&keys.open(), &keys.cancels(), &keys.control()]);
    ask(server, keys, call, limit).await
}

async fn ask(server: &impl Server, keys: &Keys, mut call: Cmd, limit: usize) -> Result<Found> {
    call.arg(keys.slots()).arg(limit.min(AT_ONCE));
    let reply = server.ask(Purpose::Write, call).await?;
    let [_now, control, next, open, cancels] = reply::list(reply)?
        .try_into()
        .map_err(|_: Vec<Value>| reply::corrupt("what a sweep finds"))?;
    let control = reply::text(control)?.parse().map_err(|_| reply::corrupt("a version"))?;
    Ok(Found {
        open: opens(open)?,
        next: next_of(&reply::text(next)?)?,
        cancels: marked(cancels)?,
        control,
    })
}

/// Reads names, records and scores, three by three.
fn opens(value: Value) -> Result<Vec<(ClusterTime, Open)>> {
    let texts = reply::texts(value)?;
    let parts = texts.chunks(3).map(|part| match part {
        [name, record, score] => {
            let open = open_of(slot_of(name)?, Record::read(record)?);
            next_of(score)?.zip(open).ok_or_else(|| reply::corrupt("an open slot"))
        }
        _ => Err(reply::corrupt("a list of open slots")),
    });
    parts.collect()
}

/// Reads names and records, two by two.
fn marked(value: Value) -> Result<Vec<Cancel>> {
    let read = |(name, record): (String, String)| {
        let cancel = cancel_of(slot_of(&name)?, Record::read(&record)?);
        cancel.ok_or_else(|| reply::corrupt("a run to be cancelled"))
    };
    reply::pairs(value)?.into_iter().map(read).collect()
}

fn slot_of(name: &str) -> Result<Slot> {
    name.parse().map_err(|_| reply::corrupt("the name of a slot"))
}

fn open_of(slot: Slot, record: Record) -> Option<Open> {
    let state = match record.standing {
        Standing::Running(_) => OpenState::Lost,
        Standing::Ready(why) => OpenState::Ready(why),
        Standing::Settled(_) => return None,
    };
    let Record { token, node, attempt, takeovers, .. } = record;
    Some(Open { slot, token, node, attempt, takeovers, state })
}

fn cancel_of(slot: Slot, record: Record) -> Option<Cancel> {
    Some(Cancel { slot, token: record.token, cause: record.cancel? })
}

/// A score of the index, in milliseconds.
fn next_of(score: &str) -> Result<Option<ClusterTime>> {
    if score.is_empty() {
        return Ok(None);
    }
    let millis: f64 = score.parse().map_err(|_| reply::corrupt("a time"))?;
    Ok(Some(ClusterTime::from_unix_millis(millis as i64)))
}
