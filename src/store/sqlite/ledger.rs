//! The tables `ledger` and `tails`: the history of runs and of slots missed.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};

use super::fault::Fault;
use super::records;
use super::thread::Step;
use crate::claim::{Fence, RunId};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, MissedEntry, MissedRange, Query, Retention, RunEntry, TAILS_KEPT};
use crate::name::JobName;
use crate::outcome::Outcome;
use crate::slot::{Slot, SlotTime};
use crate::store::SlotStory;
use crate::store::rules::LedgerWrite;

/// So many of a job's oldest entries are looked at for their age with every new one.
const AGED: usize = 8;

/// Writes an entry, and removes what the job has too much of.
pub(super) fn append(
    step: &Step<'_>,
    write: &LedgerWrite,
    tail: Option<&str>,
    retention: Retention,
) -> Result<(), Fault> {
    let entry = &write.entry;
    let job = entry.job().as_str();
    if let (Entry::Missed(missed), Some(joins)) = (entry, write.joins)
        && join(step, missed, joins)?
    {
        return Ok(());
    }
    let number: i64 = step
        .tx
        .prepare_cached(
            "SELECT coalesce(max(number), 0) + 1 FROM ledger WHERE cluster = ?1 AND job = ?2",
        )?
        .query_row(params![step.cluster, job], |row| row.get(0))?;
    match entry {
        Entry::Run(run) => put_run(step, number, run)?,
        Entry::Missed(missed) => put_missed(step, number, missed)?,
    }
    if let (Entry::Run(run), Some(tail)) = (entry, tail) {
        put_tail(step, job, run.outcome == Outcome::Succeeded, tail)?;
    }
    trim(step, job, number, retention)
}

/// Joins the entry to the job's last one, if that is a range missed for the same reason,
/// not older than `joins`, and ends before it begins; whether it does.
fn join(step: &Step<'_>, missed: &MissedEntry, joins: SlotTime) -> Result<bool, Fault> {
    let joined = step
        .tx
        .prepare_cached(
            "UPDATE ledger SET slot_to = ?6, count = count + ?7, recorded_at = ?8, node = ?9
             WHERE id = (SELECT id FROM ledger WHERE cluster = ?1 AND job = ?2
                         ORDER BY number DESC LIMIT 1)
               AND reason = ?3 AND slot >= ?4 AND slot_to < ?5",
        )?
        .execute(params![
            step.cluster,
            missed.job.as_str(),
            missed.range.reason.as_str(),
            joins.unix_seconds(),
            missed.range.from.unix_seconds(),
            missed.range.to.unix_seconds(),
            i64::try_from(missed.range.count).unwrap_or(i64::MAX),
            missed.recorded_at.unix_micros(),
            missed.node.as_str(),
        ])?;
    Ok(joined > 0)
}

/// Removes what a job has too much of, now that its newest entry is `number`: what
/// is past its count, and some of what is past its time.
fn trim(step: &Step<'_>, job: &str, number: i64, retention: Retention) -> Result<(), Fault> {
    let surplus = number - i64::from(retention.per_job);
    if surplus > 0 {
        step.tx
            .prepare_cached("DELETE FROM ledger WHERE cluster = ?1 AND job = ?2 AND number <= ?3")?
            .execute(params![step.cluster, job, surplus])?;
    }
    let too_old = oldest(step, retention.keep);
    let aged: Vec<i64> = step
        .tx
        .prepare_cached(
            "SELECT id FROM (SELECT id, recorded_at FROM ledger
                             WHERE cluster = ?1 AND job = ?2 ORDER BY number LIMIT ?3)
             WHERE recorded_at < ?4",
        )?
        .query_map(params![step.cluster, job, AGED as i64, too_old], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for id in aged {
        step.tx.prepare_cached("DELETE FROM ledger WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// Entries recorded before this are too old.
fn oldest(step: &Step<'_>, keep: Duration) -> i64 {
    (step.now - keep).unix_micros()
}

fn put_run(step: &Step<'_>, number: i64, run: &RunEntry) -> Result<(), Fault> {
    step.tx
        .prepare_cached(
            "INSERT INTO ledger (cluster, job, number, recorded_at, node, slot, trigger_id,
                                 outcome, run_id, attempt, fence, started_at, finished_at,
                                 exit_code, signal, error)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
        )?
        .execute(params![
            step.cluster,
            run.slot.job.as_str(),
            number,
            run.recorded_at.unix_micros(),
            run.node.as_str(),
            run.slot.at.unix_seconds(),
            records::trigger(&run.slot),
            run.outcome.as_str(),
            run.run_id.to_string(),
            run.attempt,
            run.fence.get() as i64,
            run.started_at.unix_micros(),
            run.finished_at.unix_micros(),
            run.exit_code,
            run.signal,
            run.error,
        ])?;
    Ok(())
}

fn put_missed(step: &Step<'_>, number: i64, missed: &MissedEntry) -> Result<(), Fault> {
    step.tx
        .prepare_cached(
            "INSERT INTO ledger (cluster, job, number, recorded_at, node, slot, trigger_id,
                                 outcome, slot_to, count, reason)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, '', ?7, ?8, ?9, ?10)",
        )?
        .execute(params![
            step.cluster,
            missed.job.as_str(),
            number,
            missed.recorded_at.unix_micros(),
            missed.node.as_str(),
            missed.range.from.unix_seconds(),
            Outcome::Missed.as_str(),
            missed.range.to.unix_seconds(),
            i64::try_from(missed.range.count).unwrap_or(i64::MAX),
            missed.range.reason.as_str(),
        ])?;
    Ok(())
}

/// Keeps the output of the entry just written, and lets go of the oldest of its kind.
fn put_tail(step: &Step<'_>, job: &str, succeeded: bool, tail: &str) -> Result<(), Fault> {
    step.tx
        .prepare_cached(
            "INSERT INTO tails (entry, cluster, job, succeeded, tail) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![step.tx.last_insert_rowid(), step.cluster, job, succeeded, tail])?;
    let surplus: Option<i64> = step
        .tx
        .prepare_cached(
            "SELECT entry FROM tails WHERE cluster = ?1 AND job = ?2 AND succeeded = ?3
             ORDER BY entry DESC LIMIT 1 OFFSET ?4",
        )?
        .query_row(params![step.cluster, job, succeeded, TAILS_KEPT as i64], |row| row.get(0))
        .optional()?;
    if let Some(entry) = surplus {
        step.tx
            .prepare_cached(
                "DELETE FROM tails
                 WHERE cluster = ?1 AND job = ?2 AND succeeded = ?3 AND entry <= ?4",
            )?
            .execute(params![step.cluster, job, succeeded, entry])?;
    }
    Ok(())
}

/// The columns that [`read`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT job, recorded_at, node, slot, outcome, slot_to, count, reason, run_id, \
             attempt, fence, started_at, finished_at, exit_code, signal, error, \
             trigger_id FROM ledger ",
            $rest
        )
    };
}

/// One statement for each way into the history, so that each has its index. (The
/// `+` keeps SQLite from taking the index by time for one job's few entries.)
pub(super) const OF_JOB: &str = select!(
    "WHERE cluster = ?1 AND job = ?2 AND +recorded_at >= ?3 AND (?4 IS NULL OR node = ?4)
     ORDER BY number DESC LIMIT ?5"
);
pub(super) const OF_NODE: &str = select!(
    "WHERE cluster = ?1 AND ?2 IS NULL AND recorded_at >= ?3 AND node = ?4
     ORDER BY recorded_at DESC, id DESC LIMIT ?5"
);
pub(super) const OF_ALL: &str = select!(
    "WHERE cluster = ?1 AND ?2 IS NULL AND recorded_at >= ?3 AND ?4 IS NULL
     ORDER BY recorded_at DESC, id DESC LIMIT ?5"
);

pub(super) const OF_SLOT: &str = select!(
    "WHERE cluster = ?1 AND job = ?2 AND slot <= ?3
       AND (slot = ?3 AND trigger_id = ?4 AND slot_to IS NULL OR ?4 = '' AND slot_to >= ?3)
     ORDER BY number"
);

/// An entry from its row.
fn read(row: &Row<'_>) -> Result<Entry, Fault> {
    let (job, trigger): (String, String) = (row.get(0)?, row.get(16)?);
    let slot = records::slot(&job, row.get(3)?, &trigger)?;
    let recorded_at = ClusterTime::from_unix_micros(row.get(1)?);
    let node = records::parse("the name of a node", &row.get::<_, String>(2)?)?;
    if let Some(to) = row.get::<_, Option<i64>>(5)? {
        return Ok(Entry::Missed(MissedEntry {
            job: slot.job,
            range: MissedRange {
                from: slot.at,
                to: SlotTime::from_unix_seconds(to),
                count: row.get::<_, i64>(6)?.max(0) as u64,
                reason: records::parse("the reason of a missed slot", &row.get::<_, String>(7)?)?,
            },
            node,
            recorded_at,
        }));
    }
    Ok(Entry::Run(RunEntry {
        slot,
        node,
        run_id: records::parse("a run id", &row.get::<_, String>(8)?)?,
        attempt: row.get(9)?,
        fence: Fence::new(row.get::<_, i64>(10)?.max(0) as u64),
        outcome: records::parse("an outcome", &row.get::<_, String>(4)?)?,
        started_at: ClusterTime::from_unix_micros(row.get(11)?),
        finished_at: ClusterTime::from_unix_micros(row.get(12)?),
        exit_code: row.get(13)?,
        signal: row.get(14)?,
        error: row.get(15)?,
        recorded_at,
    }))
}

pub(super) fn history(step: &mut Step<'_>, query: &Query) -> Result<Vec<Entry>, Fault> {
    let since = query.since.map_or(i64::MIN, ClusterTime::unix_micros);
    let limit = i64::try_from(query.limit).unwrap_or(i64::MAX);
    let node = query.node.as_ref().map(|node| node.as_str());
    let (sql, of) = match (&query.job, node) {
        (Some(job), _) => (OF_JOB, Some(job.as_str())),
        (None, Some(_)) => (OF_NODE, None),
        (None, None) => (OF_ALL, None),
    };
    let mut statement = step.tx.prepare_cached(sql)?;
    let mut rows = statement.query(params![step.cluster, of, since, node, limit])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(row)?);
    }
    Ok(entries)
}

pub(super) fn recent(
    step: &mut Step<'_>,
    jobs: &[JobName],
    each: usize,
) -> Result<Vec<Vec<Entry>>, Fault> {
    let of_job = |job: &JobName| {
        let query = Query { job: Some(job.clone()), limit: each, ..Query::default() };
        history(step, &query)
    };
    jobs.iter().map(of_job).collect()
}

pub(super) fn tail(
    step: &mut Step<'_>,
    job: &JobName,
    run: RunId,
) -> Result<Option<String>, Fault> {
    let tail = step
        .tx
        .prepare_cached(
            "SELECT tail FROM tails JOIN ledger ON entry = id
             WHERE tails.cluster = ?1 AND tails.job = ?2 AND run_id = ?3",
        )?
        .query_row(params![step.cluster, job.as_str(), run.to_string()], |row| row.get(0))
        .optional()?;
    Ok(tail)
}

pub(super) fn story(step: &mut Step<'_>, slot: &Slot) -> Result<SlotStory, Fault> {
    let record = records::find(step, slot)?.map(|record| record.shown(step.now));
    let trigger = records::trigger(slot);
    let of_slot = params![step.cluster, slot.job.as_str(), slot.at.unix_seconds(), trigger];
    let mut statement = step.tx.prepare_cached(OF_SLOT)?;
    let mut rows = statement.query(of_slot)?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        entries.push(read(row)?);
    }
    let tail = step
        .tx
        .prepare_cached(
            "SELECT tail FROM ledger JOIN tails ON entry = id
             WHERE ledger.cluster = ?1 AND ledger.job = ?2 AND slot = ?3
               AND trigger_id = ?4
             ORDER BY id DESC LIMIT 1",
        )?
        .query_row(of_slot, |row| row.get(0))
        .optional()?;
    Ok(SlotStory { record, entries, tail })
}

pub(super) const RECORDED: &str = "SELECT EXISTS (SELECT 1 FROM slots
                    WHERE cluster = ?1 AND job = ?2 AND slot = ?3 AND trigger_id = ''
                      AND keep_until > ?4)
         OR EXISTS (SELECT 1 FROM ledger
                    WHERE cluster = ?1 AND job = ?2 AND slot = ?3 AND trigger_id = ''
                      AND run_id IS NOT NULL)";

pub(super) fn recorded(
    step: &mut Step<'_>,
    job: &JobName,
    slots: &[SlotTime],
) -> Result<Vec<bool>, Fault> {
    let mut statement = step.tx.prepare_cached(RECORDED)?;
    let mut found = Vec::with_capacity(slots.len());
    for at in slots {
        let of_slot =
            params![step.cluster, job.as_str(), at.unix_seconds(), step.now.unix_micros()];
        found.push(statement.query_row(of_slot, |row| row.get(0))?);
    }
    Ok(found)
}

/// Removes entries that are too old, and each job's surplus; at most so many of
/// each, so that the file is not held for long. True when there may be more.
pub(super) fn prune(
    step: &mut Step<'_>,
    retention: Retention,
    limit: usize,
) -> Result<bool, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let aged = step
        .tx
        .prepare_cached(
            "DELETE FROM ledger WHERE id IN
                (SELECT id FROM ledger WHERE cluster = ?1 AND recorded_at < ?2 LIMIT ?3)",
        )?
        .execute(params![step.cluster, oldest(step, retention.keep), limit])?;
    let surplus = step
        .tx
        .prepare_cached(
            "DELETE FROM ledger WHERE id IN
                (SELECT id FROM ledger JOIN
                    (SELECT job AS of, max(number) AS last FROM ledger
                     WHERE cluster = ?1 GROUP BY job)
                 ON job = of AND cluster = ?1 AND number <= last - ?2 LIMIT ?3)",
        )?
        .execute(params![step.cluster, i64::from(retention.per_job), limit])?;
    Ok(aged as i64 >= limit || surplus as i64 >= limit)
}
