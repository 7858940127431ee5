//! Traces: what a slot went through on all nodes, as one OpenTelemetry trace.
//!
//! ```text
//! nightly-backup                                   the slot: from its instant to its settling
//! ├─ claim     web-1, won
//! ├─ claim     web-2, held by web-1
//! ├─ run       web-1, attempt 1, lease_lost        told by who took it over
//! ├─ claim     web-2, won
//! ├─ run       web-2, attempt 2, succeeded
//! └─ complete  web-2                               the store's write
//! ```
//!
//! Invariants:
//!
//! - Nodes need not talk to make one trace: its id, and that of its root, follow from
//!   cluster, job, slot and trigger; a run's span is named by the end of its run id. So
//!   spans of a node that is dead by now have their place as well.
//! - Who writes something into the ledger tells it in the trace: the root and runs that
//!   lost their lease come from the node that settled the slot, or took it over.
//! - It hangs on the events of the log and on the calls to the store, and never feeds back:
//!   handing a span over waits for nothing, and one that finds no room is dropped and counted.
//! - Instants are those of each node's wall clock, as in its log.
//!
//! Names are always known here, so that a job can be told where it stands ([`TraceParent`]);
//! spans are made and sent with the feature `otel` alone (`spans`, `export`).

#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod spans;

use std::fmt;

use sha2::{Digest, Sha256};

use crate::claim::RunId;
use crate::name::ClusterName;
use crate::slot::Slot;

#[cfg(feature = "otel")]
pub use export::{Export, from_environment};
#[cfg(feature = "otel")]
pub use spans::Traces;

/// Tells a run of a slot where in a trace it stands.
pub type Parents = dyn Fn(&Slot, RunId) -> TraceParent + Send + Sync;

/// Names the trace of a slot and the span that all others of it are below.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotTrace {
    /// The trace, never zero.
    pub id: u128,
    /// Its root, never zero.
    pub root: u64,
}

impl SlotTrace {
    /// The trace of `slot`, which is written as logs write it.
    pub fn of(cluster: &ClusterName, slot: &impl fmt::Display) -> Self {
        let digest: [u8; 32] = Sha256::digest(format!("solocron {cluster} {slot}")).into();
        let number = |bytes: &[u8]| bytes.iter().fold(0, |all, &byte| all << 8 | u128::from(byte));
        let root = u64::try_from(number(&digest[16..24])).unwrap_or(1);
        Self { id: number(&digest[..16]).max(1), root: root.max(1) }
    }
}

/// What goes on in a trace below this: a run, as a job that it starts is told.
/// Written as W3C Trace Context has it: `00-TRACE-SPAN-FLAGS`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace.
    pub trace: u128,
    /// The span.
    pub span: u64,
    /// Whether it is kept, or only named.
    pub sampled: bool,
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, sampled } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{:02x}", u8::from(*sampled))
    }
}

/// The span of a run: the last sixteen digits of its id.
pub fn span_of(run: RunId) -> u64 {
    run.low_bits().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(cluster: &str, slot: &str) -> SlotTrace {
        SlotTrace::of(&cluster.parse().unwrap(), &slot.parse::<Slot>().unwrap())
    }

    #[test]
    fn all_nodes_name_one_trace_and_other_slots_jobs_and_clusters_name_others() {
        let one = trace("prod", "backup@2026-11-22T03:00:00Z");
        assert_eq!(one, trace("prod", "backup@2026-11-22T03:00:00Z"));
        // What is stored elsewhere goes by it: it stays as it is.
        assert_eq!(format!("{:032x}", one.id), "1395493a060a46bade6e5f78ba46313c");
        for other in [
            trace("prod", "backup@2026-11-22T03:00:01Z"),
            trace("prod", "backups@2026-11-22T03:00:00Z"),
            trace("test", "backup@2026-11-22T03:00:00Z"),
        ] {
            assert!(other.id != one.id && other.root != one.root, "{other:?}");
        }
    }

    #[test]
    fn a_job_is_told_in_the_words_of_the_standard() {
        let run: RunId = "0193f7a1-7b1c-7000-8000-0123456789ab".parse().unwrap();
        let parent = TraceParent { trace: 0xabc, span: span_of(run), sampled: true };
        assert_eq!(parent.to_string(), "00-00000000000000000000000000000abc-80000123456789ab-01");
    }
}
