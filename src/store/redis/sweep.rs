//! The look at the open slots that every node takes from time to time.

use redis::Value;

use crate::clock::ClusterTime;
use crate::slot::Slot;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::record::{Record, Standing};
use crate::store::redis::{reply, scripts};
use crate::store::{Cancel, Open, OpenState, Result, Sweep};

/// So many open slots are asked for at once.
const AT_ONCE: usize = 10_000;

pub(super) async fn sweep(link: &Link, keys: &Keys, limit: usize) -> Result<Sweep> {
    let mut call = scripts::SWEEP.call(&[&keys.open(), &keys.cancels(), &keys.control()]);
    call.arg(keys.slots()).arg(limit.min(AT_ONCE));
    let reply = link.ask(Purpose::Write, call).await?;
    let [_now, control, next, open, cancels] = reply::list(reply)?
        .try_into()
        .map_err(|_: Vec<Value>| reply::corrupt("what a sweep finds"))?;
    let control = reply::text(control)?.parse().map_err(|_| reply::corrupt("a version"))?;
    Ok(Sweep {
        open: each(open, open_of)?,
        next: next_of(&reply::text(next)?)?,
        cancels: each(cancels, cancel_of)?,
        control,
    })
}

/// Reads names and records, two by two.
fn each<T>(value: Value, read: impl Fn(Slot, Record) -> Option<T>) -> Result<Vec<T>> {
    let mut found = Vec::new();
    for (name, record) in reply::pairs(value)? {
        let slot = name.parse().map_err(|_| reply::corrupt("the name of a slot"))?;
        let item = read(slot, Record::read(&record)?);
        found.push(item.ok_or_else(|| reply::corrupt("an open slot"))?);
    }
    Ok(found)
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
