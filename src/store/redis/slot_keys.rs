//! The keys of slots and of what belongs to them; `keys` lists them all.

use redis::Cmd;

use crate::claim::RunId;
use crate::name::JobName;
use crate::outcome::Outcome;
use crate::slot::Slot;
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

/// The two lists of tails of a job.
pub(super) const TAIL_LISTS: [&str; 2] = ["succeeded", "failed"];

/// Which of them a run's output belongs to.
pub(super) fn tail_list(outcome: Outcome) -> &'static str {
    TAIL_LISTS[usize::from(outcome != Outcome::Succeeded)]
}

/// The name of a cursor in the hash of cursors.
pub(super) fn cursor_field(job: &JobName, digest: ScheduleDigest) -> String {
    format!("{job}#{digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ClusterName;
    use crate::store::redis::keys::mark_beside;

    #[test]
    fn a_key_begins_with_the_cluster_and_carries_the_hash_tag() {
        let keys = Keys::new(&ClusterName::new("prod").unwrap(), 0);
        let slot: Slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
        assert_eq!(keys.slot(&slot), "prod:{prod.0}:slot:backup@2026-11-22T03:00:00Z");
        assert_eq!(keys.fence(), "prod:{prod.0}:fence");
        assert_eq!(mark_beside(keys.slot(&slot).as_bytes()), b"prod:{prod.0}:mark");
        assert_eq!(
            keys.tails(&slot.job, tail_list(Outcome::TimedOut)),
            "prod:{prod.0}:tails:backup:failed"
        );
    }
}
