//! The keys of a cluster, and nothing else: every key that is ever written is
//! named here.
//!
//! | key | what |
//! |---|---|
//! | `NAME:{NAME.B}:lock:JOB@INSTANT` | the owner token of a slot; the lease |
//! | `…:slot:JOB@INSTANT` | the slot's record |
//! | `…:open` | sorted set: open slots by when they want somebody (ms): their lease lapses, or they are ready |
//! | `…:turns` | hash: job to whose turn it is, and who waits, where `overlap` forbids two |
//! | `…:cancels` | sorted set: runs that are to be cancelled, by when that was asked (ms) |
//! | `…:cursors` | hash: `JOB#DIGEST` to where the cursor stands |
//! | `…:fence` | the last fence given out; the one key that never expires |
//! | `…:ledger:JOB` | stream: one entry for each run and each range missed |
//! | `…:tails:JOB:succeeded`, `:failed` | lists: the ends of the last outputs |
//! | `…:ledgers` | sorted set: jobs that have a ledger, by its last entry (ms) |
//! | `…:nodes` | hash: node to its last heartbeat |
//! | `…:control` | hash: the version of what people asked for, and of the reloads |
//! | `…:paused` | hash: job to its pauses |
//! | `…:mark` | nothing; written behind what replicas are to acknowledge |
//! | `…:table:DIGEST` | what the job table of that digest says of each job |
//! | `…:held:NAME` | a lock that stands alone: token, fence, metadata |
//! | `…:queue:NAME` | sorted set: who waits for it, by since when (us) |
//! | `…:revoked:TOKEN` | that the token is granted no lock any more |
//! | `…:calls:CLIENT` | channel: the numbers of those of a client who may try again |
//!
//! The braces are the hash tag: in a Redis Cluster all keys of one bucket live on
//! one server, so that a script may touch several of them.

use redis::Cmd;

use crate::lease::Token;
use crate::lock::LockName;
use crate::name::{ClusterName, JobName};
use crate::outcome::Outcome;
use crate::slot::Slot;
use crate::table::ScheduleDigest;

/// The one bucket of a single server. Where there are several, a job's follows from
/// its name, and what belongs to no job is in this one.
pub(super) const FIRST_BUCKET: u32 = 0;

/// The keys of one bucket.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    prefix: String,
}

impl Keys {
    pub(super) fn new(cluster: &ClusterName, bucket: u32) -> Self {
        Self { prefix: format!("{cluster}:{{{cluster}.{bucket}}}:") }
    }

    fn key(&self, rest: &str) -> String {
        format!("{}{rest}", self.prefix)
    }

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

    pub(super) fn cursors(&self) -> String {
        self.key("cursors")
    }

    pub(super) fn fence(&self) -> String {
        self.key("fence")
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

    /// A lock that stands alone.
    pub(super) fn held(&self, name: &LockName) -> String {
        self.key(&format!("held:{name}"))
    }

    /// Who waits for that.
    pub(super) fn queue(&self, name: &LockName) -> String {
        self.key(&format!("queue:{name}"))
    }

    /// That the token is granted no lock any more.
    pub(super) fn revoked(&self, token: Token) -> String {
        self.key(&format!("revoked:{token}"))
    }

    /// What the name of a client follows in that of the channel on which it is called.
    pub(super) fn calls(&self) -> String {
        self.key("calls:")
    }

    /// A key that is declared and never written (`cluster/bucket.rs`).
    pub(super) fn nowhere(&self, id: uuid::Uuid) -> String {
        self.key(&format!("nowhere:{id}"))
    }
}

/// The key of the mark in the bucket of another key.
pub(super) fn mark_beside(key: &[u8]) -> Vec<u8> {
    let tag = key.windows(2).position(|end| end == b"}:").map_or(0, |end| end + 2);
    [&key[..tag], b"mark"].concat()
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
