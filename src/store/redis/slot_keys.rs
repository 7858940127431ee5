//! The keys of slots and of what belongs to them; `keys` lists them all.

use std::fmt::Write as _;

use redis::Cmd;

use crate::claim::RunId;
use crate::name::JobName;
use crate::outcome::Outcome;
use crate::slot::{Slot, SlotTime};
use crate::store::redis::keys::Keys;
use crate::table::ScheduleDigest;

impl Keys {
    /// The keys that come first in every script that ends slots (`scripts/record.lua`).
    pub(super) fn for_records(&self) -> [String; 4] {
        [self.open(), self.ledgers(), self.turns(), self.cancels()]
    }

    /// The arguments that come first there.
    pub(super) fn add_prefixes(&self, call: &mut Cmd) {
        call.arg(self.locks()).arg(self.slots()).arg(self.ledger_prefix());
    }

    /// What the name of a slot follows in the key of its lock.
    pub(super) fn locks(&self) -> String {
        self.key("lock:")
    }

    /// What the name of a slot follows in the key of its record.
    pub(super) fn slots(&self) -> String {
        self.key("slot:")
    }

    pub(super) fn slot(&self, slot: &Slot) -> String {
        format!("{}{slot}", self.slots())
    }

    pub(super) fn open(&self) -> String {
        self.key("open")
    }

    pub(super) fn turns(&self) -> String {
        self.key("turns")
    }

    pub(super) fn cancels(&self) -> String {
        self.key("cancels")
    }

    pub(super) fn control(&self) -> String {
        self.key("control")
    }

    pub(super) fn paused(&self) -> String {
        self.key("paused")
    }

    pub(super) fn table(&self, digest: &str) -> String {
        self.key(&format!("table:{digest}"))
    }

    pub(super) fn watched(&self) -> String {
        self.key("watched")
    }

    /// What the run has printed.
    pub(super) fn output(&self, run: RunId) -> String {
        self.key(&format!("output:{run}"))
    }

    pub(super) fn cursors(&self) -> String {
        self.key("cursors")
    }

    /// What the name of a job follows in the key of its ledger.
    pub(super) fn ledger_prefix(&self) -> String {
        self.key("ledger:")
    }

    pub(super) fn ledger(&self, job: &JobName) -> String {
        format!("{}{job}", self.ledger_prefix())
    }

    /// What the name of a job follows in the keys of its tails.
    pub(super) fn tails_prefix(&self) -> String {
        self.key("tails:")
    }

    pub(super) fn tails(&self, job: &JobName, list: &str) -> String {
        format!("{}{job}:{list}", self.tails_prefix())
    }

    pub(super) fn ledgers(&self) -> String {
        self.key("ledgers")
    }

    pub(super) fn nodes(&self) -> String {
        self.key("nodes")
    }
}

/// Puts together the keys of many slots. Most are of one instant, which takes longest to
/// print.
#[derive(Debug)]
pub(super) struct SlotKeys {
    key: String,
    prefix: usize,
    at: SlotTime,
    instant: String,
}

impl SlotKeys {
    pub(super) fn new(keys: &Keys) -> Self {
        let (key, at) = (keys.slots(), SlotTime::from_unix_seconds(0));
        Self { prefix: key.len(), key, at, instant: at.to_string() }
    }

    /// As [`Keys::slot`].
    pub(super) fn of(&mut self, slot: &Slot) -> &str {
        if slot.at != self.at {
            self.at = slot.at;
            self.instant = slot.at.to_string();
        }
        self.key.truncate(self.prefix);
        self.key.push_str(slot.job.as_str());
        self.key.push('@');
        self.key.push_str(&self.instant);
        if let Some(trigger) = slot.trigger {
            // (To write into a text does not fail.)
            let _ = write!(self.key, "#{trigger}");
        }
        &self.key
    }
}

/// The two lists of tails of a job.
pub(super) const TAIL_LISTS: [&str; 2] = ["succeeded", "failed"];

/// Which of them a run's output belongs to.
pub(super) fn tail_list(outcome: Outcome) -> &'static str {
    TAIL_LISTS[usize::from(outcome != Outcome::Succeeded)]
}

/// The name of a cursor in the hash of cursors.
pub(super) fn cursor_field(job: &JobName, digest: ScheduleDigest) -> String {
    let mut field = String::new();
    write_cursor_field(&mut field, job, digest);
    field
}

/// The same, in place of what the text was.
pub(super) fn write_cursor_field(field: &mut String, job: &JobName, digest: ScheduleDigest) {
    field.clear();
    field.push_str(job.as_str());
    // (To write into a text does not fail.)
    let _ = write!(field, "#{digest}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ClusterTime;
    use crate::name::ClusterName;
    use crate::slot::TriggerId;
    use crate::store::redis::keys::mark_beside;

    #[test]
    fn a_key_begins_with_the_cluster_and_carries_the_hash_tag() {
        let keys = Keys::new(&ClusterName::new("prod").unwrap(), 0);
        let slot: Slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
        assert_eq!(keys.slot(&slot), "prod:{prod.0}:slot:backup@2026-11-22T03:00:00Z");
        let mut many = SlotKeys::new(&keys);
        let asked = TriggerId::new(ClusterTime::from_unix_millis(1_795_316_400_000));
        let asked = Slot::triggered(slot.job.clone(), asked);
        let first = Slot::scheduled(slot.job.clone(), SlotTime::from_unix_seconds(0));
        for slot in [&asked, &first, &slot, &asked] {
            assert_eq!(many.of(slot), keys.slot(slot));
        }
        assert_eq!(keys.fence(), "prod:{prod.0}:fence");
        assert_eq!(mark_beside(keys.slot(&slot).as_bytes()), b"prod:{prod.0}:mark");
        assert_eq!(
            keys.tails(&slot.job, tail_list(Outcome::TimedOut)),
            "prod:{prod.0}:tails:backup:failed"
        );
    }
}
