//! What one run executes, and which run it is: plain data.
//!
//! Nothing here holds a descriptor, a clock or a store, so a task can be handed
//! to another process as it is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::claim::{Fence, RunId};
use crate::name::{ClusterName, NodeName};
use crate::slot::Slot;
use crate::table::{Variable, Work};
use crate::trace::TraceParent;

/// What to run and within which limits.
#[derive(Debug, Clone)]
pub struct Task {
    /// The program.
    pub work: Work,
    /// Where it starts; the user's home if nothing is said.
    pub cwd: Option<PathBuf>,
    /// The job's own variables. They override the defaults, never what says
    /// which run this is.
    pub env: Arc<[Variable]>,
    /// As whom it runs, a name or a number; as the daemon if nothing is said.
    pub user: Option<Box<str>>,
    /// With which primary group; the user's own if nothing is said.
    pub group: Option<Box<str>>,
    /// With which umask; the daemon's if nothing is said.
    pub umask: Option<u32>,
    /// The job's IANA zone: becomes `TZ`.
    pub timezone: Box<str>,
    /// How long it may run.
    pub timeout: Option<Duration>,
    /// How long lies between TERM and KILL.
    pub kill_grace: Duration,
    /// The exit codes that are a success.
    pub success_codes: Arc<[u8]>,
    /// How many bytes of output the report keeps.
    pub output_limit: usize,
}

/// Which run this is. The command sees it as `SOLOCRON_CLUSTER`, `…_JOB`,
/// `…_SLOT`, `…_NODE`, `…_RUN_ID`, `…_ATTEMPT` and `…_FENCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster.
    pub cluster: ClusterName,
    /// The node that runs it.
    pub node: NodeName,
    /// The slot it runs.
    pub slot: Slot,
    /// The run.
    pub run_id: RunId,
    /// Counts the slot's runs from 1.
    pub attempt: u32,
    /// Larger than that of every earlier run of the slot.
    pub fence: Fence,
    /// Where in a trace it stands, where there are traces: the command's `TRACEPARENT`.
    pub trace: Option<TraceParent>,
}
