//! One run, in progress or ended, with its output.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::claim::RunId;
use crate::clock::ClusterTime;
use crate::http::board::{FRESH, Snapshot};
use crate::http::problem::{Problem, Refused, Unknown};
use crate::http::request::{Asked, Named};
use crate::http::shapes::{self, RunDetail};
use crate::http::showing;
use crate::http::site::{App, Site};
use crate::ledger::record::Record;
use crate::ledger::{Entry, Query, RunEntry};
use crate::name::JobName;

/// So many entries are looked through for a run of which only the id is known.
const LOOKED_THROUGH: usize = 20_000;

/// A run's id has the time of its claim, by the clock of the node that made it.
const UNSURE: Duration = Duration::from_secs(600);

/// Where to look for it.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Where {
    /// Its job, where that is known: it is found the faster.
    job: Option<String>,
}

/// One run. Its output is told while it runs, and afterwards as long as the ledger keeps it.
/// A node that does not run it asks the one that does, through the store: the first answer
/// may be without, a later one has what was printed up to a second or two ago.
#[utoipa::path(
    get,
    path = "/api/v1/runs/{id}",
    tag = "look",
    params(
        ("id" = String, Path, format = Uuid, description = "The run's id."),
        Where,
    ),
    responses((status = 200, description = "The run.", body = RunDetail), Unknown, Refused)
)]
pub(super) async fn run(
    State(app): State<App>,
    Named(id): Named<String>,
    Asked(place): Asked<Where>,
) -> Result<Json<RunDetail>, Problem> {
    let run = run_id(&id)?;
    let job = place.job.as_deref().map(JobName::new).transpose().map_err(|error| {
        Problem::bad_request(format!("`job`: {error}"), "give the name of a job")
    })?;
    let seen = app.board.look(FRESH).await?;
    if let Some((slot, record)) = seen.in_progress(run) {
        let output = match app.view.outputs.of(run) {
            Some(here) => Some(here),
            None => showing::elsewhere(app.board.store(), run).await,
        };
        let detail = shapes::in_progress(slot, record);
        let output_is_live = output.is_some();
        return Ok(Json(RunDetail { output, output_is_live, ..detail }));
    }
    let found = match held(&seen, run) {
        Some(entry) => Some(entry),
        None => search(&app, run, job).await?,
    };
    let entry = found.ok_or_else(|| {
        Problem::not_found(
            format!("there is no run {run}"),
            "see /api/v1/jobs/JOB/runs for those that there are; older ones are forgotten",
        )
    })?;
    let output = app.board.store().tail(&entry.slot.job, run).await?;
    Ok(Json(RunDetail {
        state: entry.outcome.as_str(),
        run: Record::from(&entry),
        output,
        output_is_live: false,
    }))
}

/// Reads the id of a run.
pub(super) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request(
            format!("{text:?} is not the id of a run"),
            "give the UUID by which the log and the history name it",
        )
    })
}

/// The run among the entries that are held.
fn held(seen: &Snapshot, run: RunId) -> Option<RunEntry> {
    seen.recent.values().find_map(|entries| of_run(entries, run))
}

fn of_run(entries: &[Entry], run: RunId) -> Option<RunEntry> {
    entries.iter().find_map(|entry| match entry {
        Entry::Run(entry) if entry.run_id == run => Some(entry.clone()),
        _ => None,
    })
}

/// The run in the ledger.
async fn search(app: &Site, run: RunId, job: Option<JobName>) -> Result<Option<RunEntry>, Problem> {
    let since = run.claimed_at().map(|at: ClusterTime| at - UNSURE);
    let query = Query { job, since, limit: LOOKED_THROUGH, ..Query::default() };
    Ok(of_run(&app.board.store().history(&query).await?, run))
}
