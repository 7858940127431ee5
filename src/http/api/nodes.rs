//! The cluster and its nodes.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;

use crate::http::board::FRESH;
use crate::http::nodes::{self, NodeList};
use crate::http::problem::{Problem, Refused};
use crate::http::shapes::ClusterView;
use crate::http::site::App;
use crate::store::SlotState;

/// The cluster and its store, as this node sees them.
#[utoipa::path(
    get,
    path = "/api/v1/cluster",
    tag = "look",
    responses((status = 200, description = "The cluster.", body = ClusterView), Refused)
)]
pub(super) async fn cluster(State(app): State<App>) -> Result<Json<ClusterView>, Problem> {
    let seen = app.board.look(FRESH).await?;
    let identity = &app.view.identity;
    let warnings = app.view.warnings.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let running = |state: &SlotState| matches!(state, SlotState::Running { remaining } if !remaining.is_zero());
    Ok(Json(ClusterView {
        cluster: identity.cluster.to_string(),
        node: identity.node.to_string(),
        version: env!("CARGO_PKG_VERSION"),
        now: seen.now.to_string(),
        store: app.board.store().describe(),
        store_latency_us: u64::try_from(seen.latency.as_micros()).unwrap_or(u64::MAX),
        store_warnings: warnings,
        jobs: seen.table.len(),
        table: seen.table.digest().to_string(),
        running: seen.open.values().filter(|record| running(&record.state)).count(),
    }))
}

/// The nodes that live, and those that ran something lately and live no more. One whose
/// heartbeat is overdue is silent, and gone when it was silent for two heartbeats.
#[utoipa::path(
    get,
    path = "/api/v1/nodes",
    tag = "look",
    responses((status = 200, description = "The nodes.", body = NodeList), Refused)
)]
pub(super) async fn nodes(State(app): State<App>) -> Result<Json<NodeList>, Problem> {
    let seen = app.board.look(FRESH).await?;
    let nodes = nodes::nodes(&seen, seen.by_now(), Some(&app.view.identity.node));
    Ok(Json(NodeList { now: seen.now.to_string(), nodes }))
}
