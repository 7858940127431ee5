//! A look at slots that others most likely have, before they are claimed.
//!
//! What somebody holds or has settled is lost to everybody else, and a claim of it writes
//! nothing: so its record says all that there is to say, and reading records in one
//! command costs the server a small part of what claims in a script do. Whatever a look
//! does not settle (no record, one that anybody may take, one of the claim's own token, a
//! cursor that is to be moved) is claimed as if nobody had looked.

use redis::{Cmd, Value};

use crate::claim::{Claim, Verdict};
use crate::clock::ClusterTime;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::record::{Record, Told};
use crate::store::redis::reply;
use crate::store::redis::server::Server;
use crate::store::redis::slot_keys::{SlotKeys, write_cursor_field};
use crate::store::{Result, StoreError};

/// So many records are read by one command: few enough to let other clients in between.
const PER_COMMAND: usize = 512;
/// So many by one pipeline.
const PER_PIPELINE: usize = 4096;

/// The verdicts of those among `claims` that look first and are lost.
pub(super) async fn lost(
    link: &impl Server,
    keys: &Keys,
    claims: &[Claim],
) -> Result<Vec<Option<Verdict>>> {
    let mut verdicts = vec![None; claims.len()];
    let places: Vec<_> = (0..claims.len()).filter(|&place| claims[place].looks_first).collect();
    for places in places.chunks(PER_PIPELINE) {
        let parts = || places.chunks(PER_COMMAND);
        let questions = |part: &[usize]| {
            let part: Vec<_> = part.iter().map(|&place| &claims[place]).collect();
            [cursors_of(keys, &part), records_of(keys, &part)]
        };
        let time = std::iter::once(redis::cmd("TIME"));
        let commands = time.chain(parts().flat_map(questions)).collect();
        // Of the claims nothing was applied, whatever became of it.
        let unavailable = |error| match error {
            StoreError::Unknown(why) => StoreError::Unavailable(why),
            other => other,
        };
        let answer = link.send(Purpose::Witness, commands).await.map_err(unavailable)?;
        let mut replies = answer.into_iter();
        let Some(Ok(time)) = replies.next() else { continue };
        let now = reply::time(time)?;
        for part in parts() {
            let (Some(cursors), Some(records)) =
                (values(replies.next(), part.len()), values(replies.next(), part.len()))
            else {
                continue;
            };
            for ((&place, cursor), record) in part.iter().zip(cursors).zip(records) {
                verdicts[place] = verdict(now, &claims[place], cursor, record);
            }
        }
    }
    Ok(verdicts)
}

/// The cursors that the claims would move. One that moves none asks for one of no name.
fn cursors_of(keys: &Keys, claims: &[&Claim]) -> Cmd {
    let mut call = Cmd::with_capacity(3 + claims.len(), 64 * (2 + claims.len()));
    call.arg("HMGET").arg(keys.cursors());
    let mut field = String::new();
    for claim in claims {
        match claim.advance {
            true => write_cursor_field(&mut field, &claim.slot.job, claim.digest),
            false => field.clear(),
        }
        call.arg(&field);
    }
    call
}

fn records_of(keys: &Keys, claims: &[&Claim]) -> Cmd {
    let mut call = Cmd::with_capacity(2 + claims.len(), 64 * (1 + claims.len()));
    call.arg("MGET");
    let mut keys = SlotKeys::new(keys);
    for claim in claims {
        call.arg(keys.of(&claim.slot));
    }
    call
}

/// As many values as were asked for.
fn values(reply: Option<Result<Value>>, count: usize) -> Option<Vec<Value>> {
    match reply {
        Some(Ok(Value::Array(values))) if values.len() == count => Some(values),
        _ => None,
    }
}

/// The verdict of a claim that is lost, and would write nothing.
fn verdict(now: ClusterTime, claim: &Claim, cursor: Value, record: Value) -> Option<Verdict> {
    let is_text = |value: &Value| matches!(value, Value::BulkString(_));
    if !is_text(&record) || (claim.advance && is_text(&cursor) && !is_at(cursor, claim)) {
        return None;
    }
    let record = Record::read(&reply::text(record).ok()?).ok()?;
    if record.token == claim.token || Some(record.token) == claim.takes_over {
        return None;
    }
    match record.told(now) {
        Told::Held(holder) => Some(Verdict::Held(holder)),
        Told::Settled(settled) => Some(Verdict::Done(settled)),
        Told::Free => None,
    }
}

/// Whether the cursor is at the claim's slot or past it.
fn is_at(cursor: Value, claim: &Claim) -> bool {
    let at = reply::text(cursor).ok().and_then(|line| line.split(' ').next()?.parse::<i64>().ok());
    at.is_some_and(|at| at >= claim.slot.at.unix_seconds())
}
