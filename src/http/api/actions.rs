//! What operators ask for. Each wish is written into the store and told to the log with
//! who had it; the nodes see it within a second or so.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::jobs::known;
use super::runs::run_id;
use crate::http::problem::{Problem, Refused, RefusedBody, Unknown};
use crate::http::request::{Named, Operator, Sent};
use crate::http::shapes::{CancelResult, PauseResult, TriggerResult};
use crate::http::site::App;
use crate::log::events::{self, Wish};
use crate::slot::{Slot, TriggerId};

/// A trigger that no node takes is kept so long.
const TRIGGER_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// A wish to run a job.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TriggerBody {
    /// A UUIDv7 of the caller's own: asking twice with one id runs the job once.
    #[schema(format = Uuid)]
    id: Option<String>,
}

/// Runs a job now, once, on some node that may run it.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/trigger",
    tag = "act",
    params(("job" = String, Path, description = "The job's name.")),
    request_body = Option<TriggerBody>,
    responses(
        (status = 202, description = "It is asked for.", body = TriggerResult),
        Unknown, Refused, RefusedBody,
    )
)]
pub(super) async fn trigger(
    State(app): State<App>,
    Operator(caller): Operator,
    Named(name): Named<String>,
    Sent(body): Sent<Option<TriggerBody>>,
) -> Result<(StatusCode, Json<TriggerResult>), Problem> {
    let job = known(&app.board.table(), &name)?;
    let id = match body.unwrap_or_default().id {
        Some(text) => text.parse::<TriggerId>().map_err(|error| {
            Problem::bad_request(format!("`id`: {error}"), "give a UUIDv7, or none")
        })?,
        None => TriggerId::new(app.board.store().time().await?),
    };
    let slot = Slot::triggered(job.name.clone(), id);
    let new = app.board.store().trigger(&app.view.identity.node, &slot, TRIGGER_KEPT).await?;
    app.board.note_change();
    events::control_requested(&caller.name, Wish::Trigger(&slot));
    let result = TriggerResult {
        job: slot.job.to_string(),
        slot: slot.at.to_string(),
        trigger_id: id.to_string(),
        new,
    };
    Ok((StatusCode::ACCEPTED, Json(result)))
}

/// Lets none of a job's slots begin until it is resumed; what runs goes on.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/pause",
    tag = "act",
    params(("job" = String, Path, description = "The job's name.")),
    responses((status = 200, description = "It is paused.", body = PauseResult), Unknown, Refused)
)]
pub(super) async fn pause(
    State(app): State<App>,
    Operator(caller): Operator,
    Named(name): Named<String>,
) -> Result<Json<PauseResult>, Problem> {
    let job = known(&app.board.table(), &name)?;
    let changed = app.board.store().pause(&job.name, true).await?;
    app.board.note_change();
    events::control_requested(&caller.name, Wish::Pause(&job.name));
    Ok(Json(PauseResult { job: name, paused: true, changed }))
}

/// Lets a paused job go on.
#[utoipa::path(
    post,
    path = "/api/v1/jobs/{job}/resume",
    tag = "act",
    params(("job" = String, Path, description = "The job's name.")),
    responses((status = 200, description = "It goes on.", body = PauseResult), Unknown, Refused)
)]
pub(super) async fn resume(
    State(app): State<App>,
    Operator(caller): Operator,
    Named(name): Named<String>,
) -> Result<Json<PauseResult>, Problem> {
    let job = known(&app.board.table(), &name)?;
    let changed = app.board.store().pause(&job.name, false).await?;
    app.board.note_change();
    events::control_requested(&caller.name, Wish::Resume(&job.name));
    Ok(Json(PauseResult { job: name, paused: false, changed }))
}

/// Ends a run, wherever it runs.
#[utoipa::path(
    post,
    path = "/api/v1/runs/{id}/cancel",
    tag = "act",
    params(("id" = String, Path, format = Uuid, description = "The run's id.")),
    responses(
        (status = 202, description = "Its node is asked to end it.", body = CancelResult),
        Unknown, Refused,
    )
)]
pub(super) async fn cancel(
    State(app): State<App>,
    Operator(caller): Operator,
    Named(id): Named<String>,
) -> Result<(StatusCode, Json<CancelResult>), Problem> {
    let run = run_id(&id)?;
    let cancelled = app.board.store().cancel(run).await?.ok_or_else(|| {
        Problem::not_found(
            format!("there is no run {run} in progress"),
            "see /api/v1/runs/ID for how it ended",
        )
    })?;
    app.board.note_change();
    events::control_requested(&caller.name, Wish::Cancel(&cancelled.slot, run));
    let result = CancelResult {
        run_id: run.to_string(),
        job: cancelled.slot.job.to_string(),
        slot: cancelled.slot.at.to_string(),
        node: cancelled.node.to_string(),
    };
    Ok((StatusCode::ACCEPTED, Json(result)))
}
