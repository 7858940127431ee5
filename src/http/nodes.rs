//! What is answered of nodes.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::board::Snapshot;
use crate::clock::ClusterTime;
use crate::ledger::Entry;
use crate::name::NodeName;
use crate::node::{Heartbeat, Standing};
use crate::store::SlotState;

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct NodeView {
    /// Its name.
    pub(crate) name: String,
    /// Whether it lives; what else is known of one that does not is what it ran.
    pub(crate) alive: bool,
    /// Whether its heartbeat is overdue. When a second one is, it lives no more.
    pub(crate) silent: bool,
    /// Whether it is the node that answers.
    pub(crate) this: bool,
    /// The version of the program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    /// When this start of it was ready to claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) started_at: Option<String>,
    /// The digest of the job table that it goes by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table: Option<String>,
    /// Whether it claims nothing new.
    pub(crate) draining: bool,
    /// How many slots it has in progress.
    pub(crate) running: usize,
    /// How far its wall clock is ahead of the store's, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skew_ms: Option<i64>,
    /// How many of the runs that ended in the last hour were its, of the newest of each job.
    pub(crate) recent_runs: usize,
    /// Its share of those, from 0 to 1.
    pub(crate) share: f64,
}

/// So far back runs count for a node's share.
const SHARED: Duration = Duration::from_secs(3600);

/// The nodes that live, and those that ran something lately or were heard of, and live no
/// more. At `now`, by the store's clock.
pub(crate) fn nodes(seen: &Snapshot, now: ClusterTime, this: Option<&NodeName>) -> Vec<NodeView> {
    let mut runs: BTreeMap<&NodeName, usize> = BTreeMap::new();
    let since = seen.now - SHARED;
    for entry in seen.recent.values().flat_map(|entries| entries.iter()) {
        if let Entry::Run(run) = entry
            && run.finished_at >= since
        {
            *runs.entry(&run.node).or_default() += 1;
        }
    }
    let mut running: BTreeMap<&NodeName, usize> = BTreeMap::new();
    for record in seen.open.values() {
        if matches!(record.state, SlotState::Running { remaining } if !remaining.is_zero()) {
            *running.entry(&record.node).or_default() += 1;
        }
    }
    let total: usize = runs.values().sum();
    // Those that live count for more than that they ran something, or were heard of.
    let known = runs.keys().copied().chain(seen.nodes.iter().map(|beat| &beat.node));
    let all: BTreeMap<&NodeName, Option<(&Heartbeat, Standing)>> = known
        .map(|node| (node, None))
        .chain(seen.nodes_up(now).map(|up| (&up.0.node, Some(up))))
        .collect();
    let view = |(node, up): (&NodeName, Option<(&Heartbeat, Standing)>)| {
        let beat = up.map(|(beat, _)| beat);
        let recent_runs = runs.get(node).copied().unwrap_or(0);
        NodeView {
            name: node.to_string(),
            alive: beat.is_some(),
            silent: up.is_some_and(|(_, standing)| standing == Standing::Silent),
            this: this == Some(node),
            version: beat.map(|beat| beat.version.clone()),
            started_at: beat.map(|beat| beat.started_at.to_string()),
            table: beat.map(|beat| beat.table.clone()),
            draining: beat.is_some_and(|beat| beat.draining),
            running: running.get(node).copied().unwrap_or(0),
            skew_ms: beat.and_then(|beat| beat.skew_ms),
            recent_runs,
            share: if total == 0 { 0.0 } else { recent_runs as f64 / total as f64 },
        }
    };
    all.into_iter().map(view).collect()
}

/// All nodes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(crate) struct NodeList {
    /// The store's clock.
    pub(crate) now: String,
    /// The nodes, in order of name.
    pub(crate) nodes: Vec<NodeView>,
}
