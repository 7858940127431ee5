//! The slots that are not settled: which of them want somebody, and which runs are to end.

use rusqlite::params;

use super::control;
use super::fault::Fault;
use super::records::{self, parse};
use super::thread::Step;
use crate::claim::RunId;
use crate::clock::ClusterTime;
use crate::slot::Slot;
use crate::store::rules::RecordState;
use crate::store::{Cancel, Cancelled, Open, OpenState, SlotRecord, Sweep, ground};

/// The words of an open slot are those of the index. It is named, because for want of
/// statistics SQLite may take the primary key, and read every slot.
macro_rules! open {
    ($select:literal, $rest:literal) => {
        concat!(
            $select,
            " FROM slots INDEXED BY slots_open WHERE cluster = ?1
               AND state IN ('running', 'handed_over', 'triggered', 'waiting', 'catch_up') ",
            $rest
        )
    };
}

pub(super) const WANTING: &str = open!(
    "SELECT job, slot, trigger_id, token, node, attempt, takeovers, state",
    "AND lapses_at <= ?2 AND keep_until > ?2
     ORDER BY lapses_at, job, slot, trigger_id LIMIT ?3"
);

pub(super) const NEXT: &str =
    open!("SELECT lapses_at", "AND lapses_at > ?2 AND keep_until > ?2 ORDER BY lapses_at LIMIT 1");

pub(super) const TO_CANCEL: &str = "SELECT job, slot, trigger_id, token, cancel
     FROM slots INDEXED BY slots_to_cancel
     WHERE cluster = ?1 AND state = 'running' AND cancel IS NOT NULL
       AND lapses_at > ?2 AND keep_until > ?2
     ORDER BY job, slot, trigger_id";

/// A token and the ids of its runs differ in the last 8 of their 36 characters.
pub(super) const RUNS_LIKE: &str = open!(
    "SELECT job, slot, trigger_id",
    "AND keep_until > ?2 AND state = 'running' AND substr(token, 1, 28) = ?3"
);

pub(super) const ALL: &str =
    open!("SELECT job, slot, trigger_id", "AND keep_until > ?2 ORDER BY lapses_at LIMIT ?3");

/// All slots that are not settled, with their records.
pub(super) fn all(step: &mut Step<'_>, limit: usize) -> Result<Vec<(Slot, SlotRecord)>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = step.tx.prepare_cached(ALL)?;
    let mut rows = statement.query(params![step.cluster, step.now.unix_micros(), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (job, trigger): (String, String) = (row.get(0)?, row.get(2)?);
        let slot = records::slot(&job, row.get(1)?, &trigger)?;
        if let Some(record) = records::find(step, &slot)? {
            found.push((slot, record.shown(step.now)));
        }
    }
    Ok(found)
}

pub(super) fn sweep(step: &mut Step<'_>, limit: usize) -> Result<Sweep, Fault> {
    let next = step
        .tx
        .prepare_cached(NEXT)?
        .query_map(params![step.cluster, step.now.unix_micros()], |row| row.get(0))?
        .next()
        .transpose()?;
    Ok(Sweep {
        open: wanting(step, limit)?,
        next: next.map(ClusterTime::from_unix_micros),
        cancels: to_cancel(step)?,
        control: control::version(step)?,
    })
}

fn wanting(step: &Step<'_>, limit: usize) -> Result<Vec<Open>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = step.tx.prepare_cached(WANTING)?;
    let mut rows = statement.query(params![step.cluster, step.now.unix_micros(), limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (job, trigger): (String, String) = (row.get(0)?, row.get(2)?);
        let (token, node): (String, String) = (row.get(3)?, row.get(4)?);
        let state = match records::state(&row.get::<_, String>(7)?)? {
            RecordState::Ready(why) => OpenState::Ready(why),
            RecordState::Running | RecordState::Settled(_) => OpenState::Lost,
        };
        found.push(Open {
            slot: records::slot(&job, row.get(1)?, &trigger)?,
            token: parse("a token", &token)?,
            node: parse("the name of a node", &node)?,
            attempt: row.get(5)?,
            takeovers: row.get(6)?,
            state,
        });
    }
    Ok(found)
}

fn to_cancel(step: &Step<'_>) -> Result<Vec<Cancel>, Fault> {
    let mut statement = step.tx.prepare_cached(TO_CANCEL)?;
    let mut rows = statement.query(params![step.cluster, step.now.unix_micros()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (job, trigger): (String, String) = (row.get(0)?, row.get(2)?);
        found.push(Cancel {
            slot: records::slot(&job, row.get(1)?, &trigger)?,
            token: parse("a token", &row.get::<_, String>(3)?)?,
            cause: parse("the cause of a cancellation", &row.get::<_, String>(4)?)?,
        });
    }
    Ok(found)
}

pub(super) fn cancel(step: &mut Step<'_>, run: RunId) -> Result<Option<Cancelled>, Fault> {
    for slot in runs_like(step, run)? {
        if let Some(cancelled) = ground::cancel(step, run, &slot)? {
            return Ok(Some(cancelled));
        }
    }
    Ok(None)
}

/// The slots in progress whose token may be that of the run.
fn runs_like(step: &Step<'_>, run: RunId) -> Result<Vec<Slot>, Fault> {
    let like = run.to_string();
    let like = like.get(..28).unwrap_or_default();
    let mut statement = step.tx.prepare_cached(RUNS_LIKE)?;
    let mut rows = statement.query(params![step.cluster, step.now.unix_micros(), like])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (job, trigger): (String, String) = (row.get(0)?, row.get(2)?);
        found.push(records::slot(&job, row.get(1)?, &trigger)?);
    }
    Ok(found)
}
