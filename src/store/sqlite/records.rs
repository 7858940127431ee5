//! The table `slots`: the record of each slot, with its lock.

use std::str::FromStr;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};

use super::fault::{Fault, unreadable};
use super::thread::Step;
use crate::claim::{Fence, Token};
use crate::clock::ClusterTime;
use crate::slot::Slot;
use crate::store::rules::{Record, RecordState};
use crate::store::{Lapsed, LapsedState};

const RUNNING: &str = "running";
const HANDED_OVER: &str = "handed_over";

/// The slot's record, if there is one that has not expired.
pub(super) fn find(step: &Step<'_>, slot: &Slot) -> Result<Option<Record>, Fault> {
    let columns = step
        .tx
        .prepare_cached(
            "SELECT state, node, boot, token, attempt, fence, claimed_at, lapses_at,
                    handed_over_by
             FROM slots
             WHERE cluster = ?1 AND job = ?2 AND slot = ?3 AND keep_until > ?4",
        )?
        .query_row(
            params![
                step.cluster,
                slot.job.as_str(),
                slot.at.unix_seconds(),
                step.now.unix_micros()
            ],
            |row| Columns::try_from(row),
        )
        .optional()?;
    columns.map(Columns::read).transpose()
}

/// A row as SQLite holds it.
struct Columns {
    state: String,
    node: String,
    boot: String,
    token: String,
    attempt: u32,
    fence: i64,
    claimed_at: i64,
    lapses_at: i64,
    handed_over_by: String,
}

impl TryFrom<&Row<'_>> for Columns {
    type Error = rusqlite::Error;

    fn try_from(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            state: row.get(0)?,
            node: row.get(1)?,
            boot: row.get(2)?,
            token: row.get(3)?,
            attempt: row.get(4)?,
            fence: row.get(5)?,
            claimed_at: row.get(6)?,
            lapses_at: row.get(7)?,
            handed_over_by: row.get(8)?,
        })
    }
}

impl Columns {
    fn read(self) -> Result<Record, Fault> {
        Ok(Record {
            node: parse("the name of a node", &self.node)?,
            boot: parse("a boot id", &self.boot)?,
            token: parse("a token", &self.token)?,
            attempt: self.attempt,
            fence: Fence::new(self.fence.max(0) as u64),
            claimed_at: ClusterTime::from_unix_micros(self.claimed_at),
            lapses_at: ClusterTime::from_unix_micros(self.lapses_at),
            handed_over_by: self
                .handed_over_by
                .split_whitespace()
                .map(|token| parse("a token", token))
                .collect::<Result<_, _>>()?,
            state: match self.state.as_str() {
                RUNNING => RecordState::Running,
                HANDED_OVER => RecordState::HandedOver,
                outcome => RecordState::Settled(parse("the state of a slot", outcome)?),
            },
        })
    }
}

/// Reads a word of the file.
pub(super) fn parse<T: FromStr>(what: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| unreadable(what, text))
}

/// Writes the slot's record and keeps it for `keep` from now.
pub(super) fn put(
    step: &Step<'_>,
    slot: &Slot,
    record: &Record,
    keep: Duration,
) -> Result<(), Fault> {
    let state = match record.state {
        RecordState::Running => RUNNING,
        RecordState::HandedOver => HANDED_OVER,
        RecordState::Settled(outcome) => outcome.as_str(),
    };
    let handed_over_by: Vec<String> = record.handed_over_by.iter().map(Token::to_string).collect();
    // The record of a lease that lives must not end before that.
    let keep_until = (step.now + keep).max(record.lapses_at);
    step.tx
        .prepare_cached(
            "INSERT INTO slots (cluster, job, slot, state, node, boot, token, attempt, fence,
                                claimed_at, lapses_at, keep_until, handed_over_by)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
             ON CONFLICT (cluster, job, slot) DO UPDATE SET
                state = ?4, node = ?5, boot = ?6, token = ?7, attempt = ?8, fence = ?9,
                claimed_at = ?10, lapses_at = ?11, keep_until = ?12, handed_over_by = ?13",
        )?
        .execute(params![
            step.cluster,
            slot.job.as_str(),
            slot.at.unix_seconds(),
            state,
            record.node.as_str(),
            record.boot.to_string(),
            record.token.to_string(),
            record.attempt,
            record.fence.get() as i64,
            record.claimed_at.unix_micros(),
            record.lapses_at.unix_micros(),
            keep_until.unix_micros(),
            handed_over_by.join(" "),
        ])?;
    Ok(())
}

pub(super) const LAPSED: &str = "SELECT job, slot, token, node, state FROM slots
     WHERE cluster = ?1 AND state IN ('running', 'handed_over')
       AND lapses_at <= ?2 AND keep_until > ?2
     ORDER BY lapses_at LIMIT ?3";

/// The open slots whose lease has lapsed, longest ago first.
pub(super) fn lapsed(step: &mut Step<'_>, limit: usize) -> Result<Vec<Lapsed>, Fault> {
    let mut statement = step.tx.prepare_cached(LAPSED)?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows =
        statement.query_map(params![step.cluster, step.now.unix_micros(), limit], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, i64>(1)?,
                row.get::<_, String>(2)?,
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
            ))
        })?;
    let mut found = Vec::new();
    for row in rows {
        let (job, at, token, node, state) = row?;
        found.push(Lapsed {
            slot: slot(&job, at)?,
            token: parse("a token", &token)?,
            node: parse("the name of a node", &node)?,
            state: if state == RUNNING { LapsedState::Lost } else { LapsedState::HandedOver },
        });
    }
    Ok(found)
}

/// A slot from its two columns.
pub(super) fn slot(job: &str, at: i64) -> Result<Slot, Fault> {
    Ok(Slot {
        job: parse("the name of a job", job)?,
        at: crate::slot::SlotTime::from_unix_seconds(at),
    })
}

pub(super) const EXPIRE: &str = "DELETE FROM slots WHERE (cluster, job, slot) IN
        (SELECT cluster, job, slot FROM slots WHERE keep_until <= ?1 LIMIT ?2)";

/// Removes expired records, at most `limit`.
pub(super) fn expire(step: &Step<'_>, limit: usize) -> Result<(), Fault> {
    step.tx
        .prepare_cached(EXPIRE)?
        .execute(params![step.now.unix_micros(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    Ok(())
}
