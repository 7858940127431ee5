//! The table `cursors`: up to where the slots of a schedule are settled.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::thread::Step;
use crate::slot::SlotTime;
use crate::store::CursorKey;

/// Where the cursor stands, if it exists.
pub(super) fn find(step: &Step<'_>, key: &CursorKey) -> Result<Option<SlotTime>, Fault> {
    let at = step
        .tx
        .prepare_cached(
            "SELECT slot FROM cursors
             WHERE cluster = ?1 AND job = ?2 AND digest = ?3 AND keep_until > ?4",
        )?
        .query_row(
            params![step.cluster, key.job.as_str(), key.digest.to_string(), step.now.unix_micros()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(at.map(SlotTime::from_unix_seconds))
}

/// Moves a cursor that exists.
pub(super) fn put(step: &Step<'_>, key: &CursorKey, at: SlotTime) -> Result<(), Fault> {
    step.tx
        .prepare_cached(
            "UPDATE cursors SET slot = ?4, keep_until = ?5 + keep
             WHERE cluster = ?1 AND job = ?2 AND digest = ?3",
        )?
        .execute(params![
            step.cluster,
            key.job.as_str(),
            key.digest.to_string(),
            at.unix_seconds(),
            step.now.unix_micros()
        ])?;
    Ok(())
}

pub(super) fn open(
    step: &mut Step<'_>,
    cursors: &[CursorKey],
    start: SlotTime,
    keep: Duration,
) -> Result<Vec<SlotTime>, Fault> {
    let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX / 4);
    let mut stand = Vec::with_capacity(cursors.len());
    for key in cursors {
        let at = find(step, key)?.unwrap_or(start);
        step.tx
            .prepare_cached(
                "INSERT INTO cursors (cluster, job, digest, slot, keep, keep_until)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (cluster, job, digest) DO UPDATE SET
                    slot = ?4, keep = ?5, keep_until = ?6",
            )?
            .execute(params![
                step.cluster,
                key.job.as_str(),
                key.digest.to_string(),
                at.unix_seconds(),
                keep,
                step.now.unix_micros().saturating_add(keep)
            ])?;
        stand.push(at);
    }
    expire(step)?;
    Ok(stand)
}

/// Removes expired cursors; there are few.
pub(super) fn expire(step: &Step<'_>) -> Result<(), Fault> {
    step.tx
        .prepare_cached("DELETE FROM cursors WHERE keep_until <= ?1")?
        .execute(params![step.now.unix_micros()])?;
    Ok(())
}
