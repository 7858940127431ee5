//! The table `outputs`: what runs in progress print, for who watches on another node.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::records::parse;
use super::thread::Step;
use crate::claim::RunId;

pub(super) fn watch(
    step: &mut Step<'_>,
    run: RunId,
    keep: Duration,
) -> Result<Option<String>, Fault> {
    expire(step)?;
    step.tx
        .prepare_cached(
            "INSERT INTO outputs (cluster, run, watched_until, shown_until) VALUES (?1, ?2, ?3, 0)
             ON CONFLICT DO UPDATE SET watched_until = ?3",
        )?
        .execute(params![step.cluster, run.to_string(), (step.now + keep).unix_micros()])?;
    let output: Option<Option<String>> = step
        .tx
        .prepare_cached(
            "SELECT output FROM outputs WHERE cluster = ?1 AND run = ?2 AND shown_until > ?3",
        )?
        .query_row(params![step.cluster, run.to_string(), step.now.unix_micros()], |row| row.get(0))
        .optional()?;
    Ok(output.flatten())
}

pub(super) fn watched(step: &mut Step<'_>) -> Result<Vec<RunId>, Fault> {
    let mut look = step
        .tx
        .prepare_cached("SELECT run FROM outputs WHERE cluster = ?1 AND watched_until > ?2")?;
    let mut rows = look.query(params![step.cluster, step.now.unix_micros()])?;
    let mut runs = Vec::new();
    while let Some(row) = rows.next()? {
        let run: String = row.get(0)?;
        runs.push(parse("the id of a run", &run)?);
    }
    Ok(runs)
}

pub(super) fn show(
    step: &mut Step<'_>,
    run: RunId,
    output: &str,
    keep: Duration,
) -> Result<(), Fault> {
    let until = (step.now + keep).unix_micros();
    step.tx
        .prepare_cached(
            "INSERT INTO outputs (cluster, run, watched_until, output, shown_until)
             VALUES (?1, ?2, 0, ?3, ?4)
             ON CONFLICT DO UPDATE SET output = ?3, shown_until = ?4",
        )?
        .execute(params![step.cluster, run.to_string(), output, until])?;
    expire(step)
}

/// Removes what nobody watches and nobody shows any more; there are few.
pub(super) fn expire(step: &Step<'_>) -> Result<(), Fault> {
    step.tx
        .prepare_cached("DELETE FROM outputs WHERE watched_until <= ?1 AND shown_until <= ?1")?
        .execute([step.now.unix_micros()])?;
    Ok(())
}
