//! The tables `control`, `reloads` and `pauses`: what people ask of the whole cluster.

use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::records::parse;
use super::thread::Step;
use crate::control::{Control, MATTERS_FOR, Pauses};
use crate::name::{JobName, NodeName};

/// The version of the control state.
pub(super) fn version(step: &Step<'_>) -> Result<u64, Fault> {
    Ok(row(step)?.0)
}

/// The version, and that of the last command to all nodes to load their tables anew.
fn row(step: &Step<'_>) -> Result<(u64, u64), Fault> {
    let found: Option<(i64, i64)> = step
        .tx
        .prepare_cached("SELECT version, reload FROM control WHERE cluster = ?1")?
        .query_row([step.cluster], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (version, reload) = found.unwrap_or_default();
    Ok((version.max(0) as u64, reload.max(0) as u64))
}

/// Raises the version; the new one.
pub(super) fn raise(step: &Step<'_>) -> Result<u64, Fault> {
    step.tx
        .prepare_cached(
            "INSERT INTO control (cluster, version, reload) VALUES (?1, 1, 0)
             ON CONFLICT (cluster) DO UPDATE SET version = version + 1",
        )?
        .execute([step.cluster])?;
    version(step)
}

pub(super) fn request_reload(step: &mut Step<'_>, node: Option<&NodeName>) -> Result<(), Fault> {
    let version = raise(step)? as i64;
    match node {
        None => {
            step.tx
                .prepare_cached("UPDATE control SET reload = ?2 WHERE cluster = ?1")?
                .execute(params![step.cluster, version])?;
        }
        Some(node) => {
            let keep_until = (step.now + MATTERS_FOR).unix_micros();
            step.tx
                .prepare_cached(
                    "INSERT OR REPLACE INTO reloads (cluster, node, version, keep_until)
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![step.cluster, node.as_str(), version, keep_until])?;
        }
    }
    Ok(())
}

pub(super) fn all(step: &mut Step<'_>) -> Result<Control, Fault> {
    let (version, reload) = row(step)?;
    let mut control = Control { version, reload, ..Control::default() };
    for (job, pauses) in all_pauses(step)? {
        let pauses = pauses.remembered(step.now);
        if !pauses.is_empty() {
            control.pauses.insert(job, pauses);
        }
    }
    let mut statement = step.tx.prepare_cached(
        "SELECT node, version FROM reloads WHERE cluster = ?1 AND keep_until > ?2",
    )?;
    let mut rows = statement.query(params![step.cluster, step.now.unix_micros()])?;
    while let Some(row) = rows.next()? {
        let node = parse("the name of a node", &row.get::<_, String>(0)?)?;
        control.reload_of.insert(node, row.get::<_, i64>(1)?.max(0) as u64);
    }
    Ok(control)
}

fn all_pauses(step: &Step<'_>) -> Result<Vec<(JobName, Pauses)>, Fault> {
    let mut statement =
        step.tx.prepare_cached("SELECT job, pauses FROM pauses WHERE cluster = ?1")?;
    let mut rows = statement.query([step.cluster])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let job = parse("the name of a job", &row.get::<_, String>(0)?)?;
        found.push((job, parse("the pauses of a job", &row.get::<_, String>(1)?)?));
    }
    Ok(found)
}

pub(super) fn pauses(step: &Step<'_>, job: &JobName) -> Result<Pauses, Fault> {
    let text: Option<String> = step
        .tx
        .prepare_cached("SELECT pauses FROM pauses WHERE cluster = ?1 AND job = ?2")?
        .query_row(params![step.cluster, job.as_str()], |row| row.get(0))
        .optional()?;
    text.map_or_else(|| Ok(Pauses::default()), |text| parse("the pauses of a job", &text))
}

pub(super) fn put_pauses(step: &Step<'_>, job: &JobName, pauses: &Pauses) -> Result<(), Fault> {
    if pauses.is_empty() {
        step.tx
            .prepare_cached("DELETE FROM pauses WHERE cluster = ?1 AND job = ?2")?
            .execute(params![step.cluster, job.as_str()])?;
    } else {
        step.tx
            .prepare_cached(
                "INSERT OR REPLACE INTO pauses (cluster, job, pauses) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![step.cluster, job.as_str(), pauses.to_string()])?;
    }
    Ok(())
}

/// Removes what does not matter any more; there is little.
pub(super) fn expire(step: &Step<'_>) -> Result<(), Fault> {
    for (job, pauses) in all_pauses(step)? {
        let remembered = pauses.remembered(step.now);
        if remembered != pauses {
            put_pauses(step, &job, &remembered)?;
        }
    }
    step.tx
        .prepare_cached("DELETE FROM reloads WHERE keep_until <= ?1")?
        .execute([step.now.unix_micros()])?;
    Ok(())
}
