//! The table `turns`: whose turn it is, of each job that has one.

use rusqlite::{OptionalExtension as _, params};

use super::fault::{Fault, unreadable};
use super::thread::Step;
use crate::name::JobName;
use crate::store::rules::Turn;

pub(super) fn find(step: &Step<'_>, job: &JobName) -> Result<Turn, Fault> {
    let text: Option<String> = step
        .tx
        .prepare_cached("SELECT turn FROM turns WHERE cluster = ?1 AND job = ?2")?
        .query_row(params![step.cluster, job.as_str()], |row| row.get(0))
        .optional()?;
    let Some(text) = text else { return Ok(Turn::default()) };
    Turn::from_text(job, &text).map_err(|_| unreadable("the turn of a job", &text))
}

pub(super) fn put(step: &Step<'_>, job: &JobName, turn: &Turn) -> Result<(), Fault> {
    if turn.is_idle() {
        step.tx
            .prepare_cached("DELETE FROM turns WHERE cluster = ?1 AND job = ?2")?
            .execute(params![step.cluster, job.as_str()])?;
    } else {
        step.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO turns (cluster, job, turn) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![step.cluster, job.as_str(), turn.to_text()])?;
    }
    Ok(())
}

/// Removes the turns of jobs that have no record any more: their slots have expired.
pub(super) fn expire(step: &Step<'_>) -> Result<(), Fault> {
    step.tx
        .prepare_cached(
            "DELETE FROM turns WHERE cluster = ?1 AND NOT EXISTS
                (SELECT 1 FROM slots
                 WHERE slots.cluster = turns.cluster AND slots.job = turns.job
                   AND keep_until > ?2)",
        )?
        .execute(params![step.cluster, step.now.unix_micros()])?;
    Ok(())
}
