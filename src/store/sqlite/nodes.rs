//! The table `nodes`: the last heartbeat of each node.

use std::time::Duration;

use rusqlite::{OptionalExtension as _, params};

use super::fault::Fault;
use super::records::parse;
use super::thread::Step;
use crate::clock::ClusterTime;
use crate::name::NodeName;
use crate::node::{BootId, Heartbeat, HeartbeatReply};

pub(super) fn heartbeat(step: &mut Step<'_>, beat: &Heartbeat) -> Result<HeartbeatReply, Fault> {
    let before: Option<String> = step
        .tx
        .prepare_cached(
            "SELECT boot FROM nodes WHERE cluster = ?1 AND node = ?2 AND keep_until > ?3",
        )?
        .query_row(params![step.cluster, beat.node.as_str(), step.now.unix_micros()], |row| {
            row.get(0)
        })
        .optional()?;
    let before: Option<BootId> = before.map(|boot| parse("a boot id", &boot)).transpose()?;
    let keep = i64::try_from(beat.keep.as_micros()).unwrap_or(i64::MAX / 4);
    step.tx
        .prepare_cached(
            "INSERT OR REPLACE INTO nodes (cluster, node, boot, started_at, version,
                                           table_digest, draining, keep, keep_until,
                                           running, skew_ms)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            step.cluster,
            beat.node.as_str(),
            beat.boot.to_string(),
            beat.started_at.unix_micros(),
            beat.version,
            beat.table,
            beat.draining,
            keep,
            step.now.unix_micros().saturating_add(keep),
            beat.running,
            beat.skew_ms,
        ])?;
    expire(step)?;
    Ok(HeartbeatReply {
        now: step.now,
        replaced: before.filter(|&boot| boot != beat.boot),
        differing: differing(step, beat)?,
    })
}

/// The other nodes that live and go by another table.
fn differing(step: &Step<'_>, beat: &Heartbeat) -> Result<Vec<(NodeName, String)>, Fault> {
    let mut statement = step.tx.prepare_cached(
        "SELECT node, table_digest FROM nodes
         WHERE cluster = ?1 AND node <> ?2 AND table_digest <> ?3 AND keep_until > ?4
         ORDER BY node",
    )?;
    let now = step.now.unix_micros();
    let mut rows = statement.query(params![step.cluster, beat.node.as_str(), beat.table, now])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let node = parse("the name of a node", &row.get::<_, String>(0)?)?;
        found.push((node, row.get(1)?));
    }
    Ok(found)
}

pub(super) fn all(step: &mut Step<'_>) -> Result<Vec<Heartbeat>, Fault> {
    let mut statement = step.tx.prepare_cached(
        "SELECT node, boot, started_at, version, table_digest, draining, keep, running, skew_ms,
                keep_until
         FROM nodes WHERE cluster = ?1 AND keep_until > ?2 ORDER BY node",
    )?;
    let mut rows = statement.query(params![step.cluster, step.now.unix_micros()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let keep: i64 = row.get(6)?;
        found.push(Heartbeat {
            node: parse("the name of a node", &row.get::<_, String>(0)?)?,
            boot: parse("a boot id", &row.get::<_, String>(1)?)?,
            started_at: ClusterTime::from_unix_micros(row.get(2)?),
            version: row.get(3)?,
            table: row.get(4)?,
            draining: row.get(5)?,
            running: row.get(7)?,
            skew_ms: row.get(8)?,
            keep: Duration::from_micros(keep.max(0) as u64),
            heard_at: ClusterTime::from_unix_micros(row.get::<_, i64>(9)?.saturating_sub(keep)),
        });
    }
    Ok(found)
}

pub(super) fn leave(step: &mut Step<'_>, node: &NodeName, boot: BootId) -> Result<(), Fault> {
    step.tx
        .prepare_cached("DELETE FROM nodes WHERE cluster = ?1 AND node = ?2 AND boot = ?3")?
        .execute(params![step.cluster, node.as_str(), boot.to_string()])?;
    Ok(())
}

/// Removes expired heartbeats; there are few.
pub(super) fn expire(step: &Step<'_>) -> Result<(), Fault> {
    step.tx
        .prepare_cached("DELETE FROM nodes WHERE keep_until <= ?1")?
        .execute(params![step.now.unix_micros()])?;
    Ok(())
}
