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
//! | `…:fence` | the last fence given out; it never expires |
//! | `…:ledger:JOB` | stream: one entry for each run and each range missed |
//! | `…:tails:JOB:succeeded`, `:failed` | lists: the ends of the last outputs |
//! | `…:ledgers` | sorted set: jobs that have a ledger, by its last entry (ms) |
//! | `…:nodes` | hash: node to its last heartbeat |
//! | `…:control` | hash: the version of what people asked for, and of the reloads |
//! | `…:paused` | hash: job to its pauses |
//! | `…:mark` | nothing; written behind what replicas are to acknowledge |
//! | `…:table:DIGEST` | what the job table of that digest says of each job |
//! | `…:watched` | sorted set: runs in progress whose output somebody watches, by until when (ms) |
//! | `…:output:RUN` | the end of it, while somebody does |
//! | `…:held:NAME` | a lock that stands alone: token, fence, metadata |
//! | `…:queue:NAME` | sorted set: who waits for it, by since when (us) |
//! | `…:revoked:TOKEN` | that the token is granted no lock any more |
//! | `…:beside` | that there may be one of those two; for as long as one may be |
//! | `…:member` | what a server of a quorum knows of itself; it does not expire either |
//! | `…:calls:CLIENT` | channel: the numbers of those of a client who may try again |
//! | `NAME:{NAME.quorum}:state`, `…:journal` | one server's part in a quorum (`scripts/replica/state.lua`); the other keys of slots, but for their locks, stand beside them |
//!
//! The braces are the hash tag: in a Redis Cluster all keys of one bucket live on
//! one server, so that a script may touch several of them.

use crate::lease::Token;
use crate::lock::LockName;
use crate::name::ClusterName;

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

    /// Those of one server of a quorum.
    #[cfg(feature = "daemon")]
    pub(super) fn of_replica(cluster: &ClusterName) -> Self {
        Self { prefix: format!("{cluster}:{{{cluster}.quorum}}:") }
    }

    pub(super) fn key(&self, rest: &str) -> String {
        [&self.prefix, rest].concat()
    }

    pub(super) fn fence(&self) -> String {
        self.key("fence")
    }

    /// A lock that stands alone.
    pub(super) fn held(&self, name: &LockName) -> String {
        [&self.prefix, "held:", name.as_str()].concat()
    }

    /// Who waits for that.
    pub(super) fn queue(&self, name: &LockName) -> String {
        [&self.prefix, "queue:", name.as_str()].concat()
    }

    /// That the token is granted no lock any more.
    pub(super) fn revoked(&self, token: Token) -> String {
        [&self.prefix, "revoked:", token.text(&mut Token::room())].concat()
    }

    /// That there may be somebody who waits, or a token that is revoked.
    pub(super) fn beside(&self) -> String {
        self.key("beside")
    }

    /// What a server of a quorum knows of itself.
    pub(super) fn member(&self) -> String {
        self.key("member")
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
