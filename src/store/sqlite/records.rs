//! The table `slots`: the record of each slot, with its lock.

use std::str::FromStr;
use std::time::Duration;

use rusqlite::{OptionalExtension as _, Row, params};

use super::fault::{Fault, unreadable};
use super::thread::Step;
use crate::claim::{Fence, Token};
use crate::clock::ClusterTime;
use crate::outcome::{Outcome, Ready};
use crate::slot::{Slot, SlotTime, TriggerId};
use crate::store::rules::{Record, RecordState};

pub(super) const RUNNING: &str = "running";

/// The slot's record, if there is one that has not expired.
pub(super) fn find(step: &Step<'_>, slot: &Slot) -> Result<Option<Record>, Fault> {
    let columns = step
        .tx
        .prepare_cached(
            "SELECT state, node, boot, token, attempt, fence, claimed_at, lapses_at,
                    handed_over_by, takeovers, failures, cancel
             FROM slots
             WHERE cluster = ?1 AND job = ?2 AND slot = ?3 AND trigger_id = ?4
               AND keep_until > ?5",
        )?
        .query_row(
            params![
                step.cluster,
                slot.job.as_str(),
                slot.at.unix_seconds(),
                trigger(slot),
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
    takeovers: u32,
    failures: u32,
    cancel: Option<String>,
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
            takeovers: row.get(9)?,
            failures: row.get(10)?,
            cancel: row.get(11)?,
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
            takeovers: self.takeovers,
            failures: self.failures,
            cancel: self
                .cancel
                .map(|cause| parse("the cause of a cancellation", &cause))
                .transpose()?,
            handed_over_by: self
                .handed_over_by
                .split_whitespace()
                .map(|token| parse("a token", token))
                .collect::<Result<_, _>>()?,
            state: state(&self.state)?,
        })
    }
}

/// The state that a word of the file says. `handed_over` is that of an open slot: no
/// slot is settled so.
pub(super) fn state(word: &str) -> Result<RecordState, Fault> {
    if word == RUNNING {
        return Ok(RecordState::Running);
    }
    match word.parse::<Ready>() {
        Ok(why) => Ok(RecordState::Ready(why)),
        Err(_) => parse::<Outcome>("the state of a slot", word).map(RecordState::Settled),
    }
}

/// Reads a word of the file.
pub(super) fn parse<T: FromStr>(what: &str, text: &str) -> Result<T, Fault> {
    text.parse().map_err(|_| unreadable(what, text))
}

/// Writes the slot's record and keeps it for `keep` from now, or as long as it was kept
/// before.
pub(super) fn put(
    step: &Step<'_>,
    slot: &Slot,
    record: &Record,
    keep: Option<Duration>,
) -> Result<(), Fault> {
    let state = match record.state {
        RecordState::Running => RUNNING,
        RecordState::Ready(why) => why.as_str(),
        RecordState::Settled(outcome) => outcome.as_str(),
    };
    let handed_over_by: Vec<String> = record.handed_over_by.iter().map(Token::to_string).collect();
    // The record of a lease that lives must not end before that.
    let lapses_at = record.lapses_at.unix_micros();
    let keep_until = keep.map(|keep| (step.now + keep).unix_micros().max(lapses_at));
    step.tx
        .prepare_cached(
            "INSERT INTO slots (cluster, job, slot, trigger_id, state, node, boot, token, attempt,
                                fence, claimed_at, lapses_at, keep_until, handed_over_by,
                                takeovers, failures, cancel)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, coalesce(?13, ?12), ?14,
                     ?15, ?16, ?17)
             ON CONFLICT (cluster, job, slot, trigger_id) DO UPDATE SET
                state = ?5, node = ?6, boot = ?7, token = ?8, attempt = ?9, fence = ?10,
                claimed_at = ?11, lapses_at = ?12, keep_until = coalesce(?13, keep_until),
                handed_over_by = ?14, takeovers = ?15, failures = ?16, cancel = ?17",
        )?
        .execute(params![
            step.cluster,
            slot.job.as_str(),
            slot.at.unix_seconds(),
            trigger(slot),
            state,
            record.node.as_str(),
            record.boot.to_string(),
            record.token.to_string(),
            record.attempt,
            record.fence.get() as i64,
            record.claimed_at.unix_micros(),
            lapses_at,
            keep_until,
            handed_over_by.join(" "),
            record.takeovers,
            record.failures,
            record.cancel.map(|cause| cause.as_str()),
        ])?;
    Ok(())
}

/// What the column `trigger_id` says of the slot.
pub(super) fn trigger(slot: &Slot) -> String {
    slot.trigger.map(|trigger| trigger.to_string()).unwrap_or_default()
}

/// A slot from its three columns.
pub(super) fn slot(job: &str, at: i64, trigger: &str) -> Result<Slot, Fault> {
    let job = parse("the name of a job", job)?;
    let at = SlotTime::from_unix_seconds(at);
    let trigger = Some(trigger).filter(|id| !id.is_empty());
    let trigger = trigger.map(|id| parse::<TriggerId>("the id of a trigger", id)).transpose()?;
    Ok(Slot { job, at, trigger })
}

pub(super) const EXPIRE: &str = "DELETE FROM slots WHERE (cluster, job, slot, trigger_id) IN
        (SELECT cluster, job, slot, trigger_id FROM slots WHERE keep_until <= ?1 LIMIT ?2)";

/// Removes expired records, at most `limit`.
pub(super) fn expire(step: &Step<'_>, limit: usize) -> Result<(), Fault> {
    step.tx
        .prepare_cached(EXPIRE)?
        .execute(params![step.now.unix_micros(), i64::try_from(limit).unwrap_or(i64::MAX)])?;
    Ok(())
}
