//! Writes as commands, and a change as the text that the servers keep of it.

use std::time::Duration;

use uuid::Uuid;

use super::line::{self, millis_up};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, Retention, TAILS_KEPT};
use crate::slot::Slot;
use crate::store::quorum::slots::{Change, Position, Write};
use crate::store::redis::control::RELOAD_OF;
use crate::store::redis::entry;
use crate::store::redis::keys::Keys;
use crate::store::redis::scripts::millis;
use crate::store::redis::slot_keys::{cursor_field, tail_list};
use crate::store::rules::{Record, RecordState};

/// What belongs to no slot is kept for so long after it was written last.
const LASTING: Duration = Duration::from_secs(400 * 86_400);
/// More entries than one change ever has.
const ENTRIES: u64 = 1 << 20;

/// One command.
type Command = Vec<String>;

macro_rules! command {
    ($($part:expr),+ $(,)?) => { vec![$($part.to_string()),+] };
}

/// `writes`, made at `now`, as the change at `at`: its instant, and commands.
pub(super) fn change(keys: &Keys, at: Position, now: ClusterTime, writes: &[Write]) -> Change {
    let mut commands = Commands { keys, at, now, entries: 0, list: Vec::new() };
    writes.iter().for_each(|write| commands.add(write));
    let mut bytes = Vec::new();
    array(&mut bytes, 2);
    text(&mut bytes, &now.unix_micros().to_string());
    array(&mut bytes, commands.list.len());
    for command in &commands.list {
        array(&mut bytes, command.len());
        command.iter().for_each(|part| text(&mut bytes, part));
    }
    Change { id: Uuid::new_v4(), bytes }
}

/// The head of a list of MessagePack.
fn array(bytes: &mut Vec<u8>, count: usize) {
    head(bytes, 0xdd, count);
}

/// A text of MessagePack.
fn text(bytes: &mut Vec<u8>, text: &str) {
    head(bytes, 0xdb, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn head(bytes: &mut Vec<u8>, kind: u8, length: usize) {
    bytes.push(kind);
    // No output, and no batch, is nearly as long.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

struct Commands<'a> {
    keys: &'a Keys,
    at: Position,
    now: ClusterTime,
    entries: u64,
    list: Vec<Command>,
}

impl Commands<'_> {
    fn add(&mut self, write: &Write) {
        let keys = self.keys;
        match write {
            Write::Record { slot, record, keep } => self.record(slot, record, *keep),
            Write::Cursor { key, kept } => {
                let (cursors, field) = (keys.cursors(), cursor_field(&key.job, key.digest));
                let (at, keep) = (kept.at.unix_seconds(), millis(kept.keep));
                let line = format!("{at} {keep} {}", millis_up(kept.until));
                self.list.push(command!["HSET", cursors, field, line]);
                self.outlive(&cursors, kept.keep);
            }
            Write::Turn { job, turn } if turn.is_idle() => {
                self.list.push(command!["HDEL", keys.turns(), job]);
            }
            Write::Turn { job, turn } => self.field(&keys.turns(), job.as_str(), &turn.to_text()),
            Write::Pauses { job, pauses } if pauses.is_empty() => {
                self.list.push(command!["HDEL", keys.paused(), job]);
            }
            Write::Pauses { job, pauses } => {
                self.field(&keys.paused(), job.as_str(), &pauses.to_string());
            }
            Write::Version(version) => {
                self.field(&keys.control(), "version", &version.to_string());
            }
            Write::Reload { node: None, version, .. } => {
                self.field(&keys.control(), "reload", &version.to_string());
            }
            Write::Reload { node: Some(node), version, until } => {
                let line = format!("{version} {}", millis_up(*until));
                self.field(&keys.control(), &format!("{RELOAD_OF}{node}"), &line);
            }
            Write::Fence(fence) => self.list.push(command!["SET", keys.fence(), fence]),
            Write::Epoch => self.list.push(command!["EPOCH"]),
            Write::Entry { entry, joined, tail, retention } => {
                self.entry(entry, joined.as_deref(), *retention);
                if let (Entry::Run(run), Some(tail)) = (entry, tail) {
                    let list = keys.tails(&run.slot.job, tail_list(run.outcome));
                    let line = format!("{} {tail}", run.run_id);
                    self.list.push(command!["TAIL", list, TAILS_KEPT, line]);
                    self.list.push(command!["PEXPIRE", list, millis(retention.keep)]);
                }
            }
        }
    }

    fn outlive(&mut self, key: &str, keep: Duration) {
        self.list.push(command!["OUTLIVE", key, millis(keep)]);
    }

    /// A field of a hash that belongs to no slot.
    fn field(&mut self, key: &str, field: &str, value: &str) {
        self.list.push(command!["HSET", key, field, value]);
        self.list.push(command!["PEXPIRE", key, millis(LASTING)]);
    }

    fn record(&mut self, slot: &Slot, record: &Record, keep: Duration) {
        let (key, open, cancels) = (self.keys.slot(slot), self.keys.open(), self.keys.cancels());
        self.list.push(command!["SET", key, line::write(record), "PX", millis(keep)]);
        if record.is_open() {
            self.list.push(command!["ZADD", open, millis_up(record.lapses_at), slot]);
            self.outlive(&open, keep);
        } else {
            self.list.push(command!["ZREM", open, slot]);
        }
        if record.state == RecordState::Running && record.cancel.is_some() {
            self.list.push(command!["ZADD", cancels, "NX", self.now.unix_millis(), slot]);
            self.outlive(&cancels, keep);
        } else if record.cancel.is_some() {
            self.list.push(command!["ZREM", cancels, slot]);
        }
    }

    fn entry(&mut self, entry: &Entry, joined: Option<&str>, retention: Retention) {
        let (keys, now) = (self.keys, self.now.unix_millis());
        let (ledger, job) = (keys.ledger(entry.job()), entry.job());
        // Time never goes back, and the position grows.
        let id = format!("{}-{}", now.max(0), self.at.saturating_mul(ENTRIES) + self.entries);
        self.entries += 1;
        let (keep, line) = (millis(retention.keep), entry::of(entry));
        let room = u64::from(retention.per_job) + u64::from(joined.is_some());
        self.list.push(command!["ENTRY", ledger, id, room, line]);
        if let Some(joined) = joined {
            self.list.push(command!["XDEL", ledger, joined]);
        }
        let oldest = u64::try_from(now).unwrap_or(0).saturating_sub(keep);
        self.list.push(command!["XTRIM", ledger, "MINID", "=", oldest]);
        self.list.push(command!["PEXPIRE", ledger, keep]);
        self.list.push(command!["ZADD", keys.ledgers(), now, job]);
        self.outlive(&keys.ledgers(), retention.keep);
    }
}
