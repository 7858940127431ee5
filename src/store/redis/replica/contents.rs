//! Cells, as what a script is asked and what it replies.

use std::time::Duration;

use redis::{Cmd, Value};

use super::line;
use crate::claim::Fence;
use crate::clock::ClusterTime;
use crate::ledger::Entry;
use crate::name::JobName;
use crate::slot::SlotTime;
use crate::store::quorum::slots::{Cell, Content, KeptCursor, LastEntry};
use crate::store::redis::keys::Keys;
use crate::store::redis::record::word;
use crate::store::redis::slot_keys::cursor_field;
use crate::store::redis::{entry, reply};
use crate::store::rules::Turn;
use crate::store::{Result, StoreError};

/// Adds the cells to a call.
pub(super) fn ask(call: &mut Cmd, keys: &Keys, cells: &[Cell]) {
    for cell in cells {
        match cell {
            Cell::Record(slot) => call.arg("record").arg(keys.slot(slot)).arg(slot.to_string()),
            Cell::Cursor(key) => {
                call.arg("field").arg(keys.cursors()).arg(cursor_field(&key.job, key.digest))
            }
            Cell::Turn(job) => call.arg("field").arg(keys.turns()).arg(job.as_str()),
            Cell::Pauses(job) => call.arg("field").arg(keys.paused()).arg(job.as_str()),
            Cell::Version => call.arg("field").arg(keys.control()).arg("version"),
            Cell::Fence => call.arg("value").arg(keys.fence()).arg(""),
            Cell::LastEntry(job) => call.arg("last").arg(keys.ledger(job)).arg(""),
        };
    }
}

/// What stands in the cells, from the reply about them.
pub(super) fn read(cells: &[Cell], value: Value) -> Result<Vec<Content>> {
    let values = reply::list(value)?;
    if values.len() != cells.len() {
        return Err(reply::corrupt("what stands in all cells"));
    }
    let content = |(cell, value): (&Cell, Value)| {
        content(cell, value).unwrap_or_else(|error| Content::Unreadable(error.to_string()))
    };
    Ok(cells.iter().zip(values).map(content).collect())
}

fn content(cell: &Cell, value: Value) -> Result<Content> {
    if let Value::ServerError(error) = &value {
        let why = error.details().unwrap_or("it is refused");
        return Err(StoreError::Corrupt(format!("{}: {why}", words(cell))));
    }
    let corrupt = || StoreError::Corrupt(format!("{} cannot be read", words(cell)));
    if matches!(value, Value::Nil | Value::Boolean(false)) {
        return Ok(Content::none_in(cell));
    }
    Ok(match cell {
        Cell::Record(_) => record(value)?.ok_or_else(corrupt)?,
        Cell::Cursor(_) => Content::Cursor(Some(cursor(&reply::text(value)?).ok_or_else(corrupt)?)),
        Cell::Turn(job) => {
            Content::Turn(Turn::from_text(job, &reply::text(value)?).map_err(|_| corrupt())?)
        }
        Cell::Pauses(_) => Content::Pauses(reply::text(value)?.parse().map_err(|_| corrupt())?),
        Cell::Version => Content::Version(reply::text(value)?.parse().map_err(|_| corrupt())?),
        Cell::Fence => {
            Content::Fence(Fence::new(reply::text(value)?.parse().map_err(|_| corrupt())?))
        }
        Cell::LastEntry(job) => Content::LastEntry(last_entry(job, value)?),
    })
}

fn words(cell: &Cell) -> String {
    match cell {
        Cell::Record(slot) => format!("the record of {slot}"),
        Cell::Cursor(key) => format!("the cursor of {}", key.job),
        Cell::Turn(job) => format!("the turn of {job}"),
        Cell::Pauses(job) => format!("the pauses of {job}"),
        Cell::Version => "the version of the control state".to_owned(),
        Cell::Fence => "the last fence".to_owned(),
        Cell::LastEntry(job) => format!("the ledger of {job}"),
    }
}

fn record(value: Value) -> Result<Option<Content>> {
    let Ok([text, rest, score]) = <[Value; 3]>::try_from(reply::list(value)?) else {
        return Ok(None);
    };
    let (rest, score) = (reply::integer(rest)?, reply::text(score)?);
    let at = score.parse::<f64>().map_or(0, |millis| millis as i64);
    let record = line::read(&reply::text(text)?, ClusterTime::from_unix_millis(at));
    let keep = Duration::from_millis(rest.max(1).unsigned_abs());
    Ok(record.map(|record| Content::Record(Some((record, keep)))))
}

fn cursor(text: &str) -> Option<KeptCursor> {
    let mut words = text.split(' ');
    Some(KeptCursor {
        at: SlotTime::from_unix_seconds(word(&mut words)?),
        keep: Duration::from_millis(word(&mut words)?),
        until: ClusterTime::from_unix_millis(word(&mut words)?),
    })
}

/// The last entry of a stream, if it is of slots missed.
fn last_entry(job: &JobName, value: Value) -> Result<Option<LastEntry>> {
    let Some(last) = reply::list(value)?.into_iter().next() else { return Ok(None) };
    let Ok([id, fields]) = <[Value; 2]>::try_from(reply::list(last)?) else {
        return Err(reply::corrupt("an entry of a stream"));
    };
    let line = reply::pairs(fields)?.into_iter().next().map(|(_, line)| line);
    Ok(match line.map(|line| entry::read(job, &line)).transpose()? {
        Some(Entry::Missed(missed)) => Some(LastEntry { id: reply::text(id)?, missed }),
        Some(Entry::Run(_)) | None => None,
    })
}
