//! The table `published`: what the job tables of the nodes say of each job.

use std::fmt::Write as _;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::fault::{Fault, unreadable};
use super::records::parse;
use super::thread::Step;
use crate::name::JobName;

pub(super) fn put(
    step: &mut Step<'_>,
    digest: &str,
    jobs: &[(JobName, u64)],
    keep: Duration,
) -> Result<(), Fault> {
    let mut text = String::new();
    for (job, of_job) in jobs {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{job} {of_job:016x}");
    }
    step.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO published (cluster, digest, jobs, keep_until)
             VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![step.cluster, digest, text, (step.now + keep).unix_micros()])?;
    expire(step)
}

pub(super) fn find(
    step: &mut Step<'_>,
    digest: &str,
) -> Result<Option<Vec<(JobName, u64)>>, Fault> {
    let text: Option<String> = step
        .tx
        .prepare_cached(
            "SELECT jobs FROM published WHERE cluster = ?1 AND digest = ?2 AND keep_until > ?3",
        )?
        .query_row(params![step.cluster, digest, step.now.unix_micros()], |row| row.get(0))
        .optional()?;
    let Some(text) = text else { return Ok(None) };
    let mut jobs = text.lines().map(read).collect::<Result<Vec<_>, _>>()?;
    jobs.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Some(jobs))
}

fn read(line: &str) -> Result<(JobName, u64), Fault> {
    let odd = || unreadable("a job of a table and its digest", line);
    let (job, of_job) = line.split_once(' ').ok_or_else(odd)?;
    Ok((parse("the name of a job", job)?, u64::from_str_radix(of_job, 16).map_err(|_| odd())?))
}

/// Removes expired tables; there are few.
pub(super) fn expire(step: &Step<'_>) -> Result<(), Fault> {
    step.tx
        .prepare_cached("DELETE FROM published WHERE keep_until <= ?1")?
        .execute([step.now.unix_micros()])?;
    Ok(())
}
