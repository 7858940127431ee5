//! The jobs of this node's table, with what the store knows of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::clock::ClusterTime;
use crate::http::board::FRESH;
use crate::http::problem::{Problem, Refused, Unknown};
use crate::http::request::{Asked, Named};
use crate::http::shapes::{JobDetail, JobList, JobView};
use crate::http::site::App;
use crate::ledger::Query;
use crate::ledger::record::Record;
use crate::name::{JobName, NodeName};
use crate::table::{Job, JobTable};

/// At most so many entries are told at once.
const MOST: usize = 1000;

/// Which jobs.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only those with this tag.
    tag: Option<String>,
    /// So many of each one's next slots, 1 if it is not said.
    #[param(minimum = 1, maximum = 10)]
    next: Option<usize>,
}

/// At most so many coming slots of each job are told in a list.
const MOST_NEXT: usize = 10;

/// All jobs: when they are due, how they went last, what of them is open.
#[utoipa::path(
    get,
    path = "/api/v1/jobs",
    tag = "look",
    params(Which),
    responses((status = 200, description = "The jobs.", body = JobList), Refused)
)]
pub(super) async fn jobs(
    State(app): State<App>,
    Asked(which): Asked<Which>,
) -> Result<Json<JobList>, Problem> {
    let next = within("next", which.next, 1, MOST_NEXT)?;
    let seen = app.board.look(FRESH).await?;
    let jobs = seen.table.iter().filter(|job| has_tag(job, which.tag.as_deref()));
    Ok(Json(JobList {
        now: seen.now.to_string(),
        table: seen.table.digest().to_string(),
        jobs: jobs.map(|job| JobView::of(job, &seen, next)).collect(),
    }))
}

/// Whether a job has the tag that is asked for, if any is.
pub(super) fn has_tag(job: &Job, tag: Option<&str>) -> bool {
    tag.is_none_or(|tag| job.tags.iter().any(|of| **of == *tag))
}

/// One job, with its next slots and its newest runs.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}",
    tag = "look",
    params(("job" = String, Path, description = "The job's name.")),
    responses((status = 200, description = "The job.", body = JobDetail), Unknown, Refused)
)]
pub(super) async fn job(
    State(app): State<App>,
    Named(name): Named<String>,
) -> Result<Json<JobDetail>, Problem> {
    let job = known(&app.board.table(), &name)?;
    let seen = app.board.look(FRESH).await?;
    Ok(Json(JobDetail::of(&job, &seen)))
}

/// The job of that name.
pub(super) fn known(table: &JobTable, name: &str) -> Result<Arc<Job>, Problem> {
    let job = JobName::new(name).ok().and_then(|name| table.get(&name).cloned());
    job.ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(
        format!("there is no job {name:?} in the table of this node"),
        "see /api/v1/jobs for those that there are",
    )
}

/// Which entries of a job's ledger.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Entries {
    /// At most so many, 50 if it is not said.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// Only those recorded at or after this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// Only those of this node.
    node: Option<String>,
}

/// The runs of a job that ended, and its slots that were missed, newest first.
#[utoipa::path(
    get,
    path = "/api/v1/jobs/{job}/runs",
    tag = "look",
    params(("job" = String, Path, description = "The job's name."), Entries),
    responses((status = 200, description = "The entries.", body = [Record]), Unknown, Refused)
)]
pub(super) async fn runs(
    State(app): State<App>,
    Named(name): Named<String>,
    Asked(which): Asked<Entries>,
) -> Result<Json<Vec<Record>>, Problem> {
    // One that has a history was a job once.
    let job = JobName::new(&name).map_err(|_| unknown(&name))?;
    let node =
        which.node.as_deref().map(NodeName::new).transpose().map_err(|error| {
            Problem::bad_request(format!("`node`: {error}"), "give a node's name")
        })?;
    let query = Query {
        node,
        since: which.since.as_deref().map(|text| instant("since", text)).transpose()?,
        limit: within("limit", which.limit, 50, MOST)?,
        job: Some(job.clone()),
    };
    let entries = app.board.store().history(&query).await?;
    if entries.is_empty() && app.board.table().get(&job).is_none() {
        return Err(unknown(&name));
    }
    Ok(Json(entries.iter().map(Record::from).collect()))
}

/// How many are wanted.
fn within(name: &str, asked: Option<usize>, default: usize, most: usize) -> Result<usize, Problem> {
    match asked {
        None => Ok(default),
        Some(asked) if (1..=most).contains(&asked) => Ok(asked),
        Some(asked) => Err(Problem::bad_request(
            format!("`{name}`: {asked} is not from 1 to {most}"),
            if asked == 0 { "ask for at least one" } else { "ask for fewer" },
        )),
    }
}

/// Reads an instant.
pub(super) fn instant(name: &str, text: &str) -> Result<ClusterTime, Problem> {
    let read: Result<jiff::Timestamp, _> = text.parse();
    read.map(|at| ClusterTime::from_unix_micros(at.as_microsecond())).map_err(|_| {
        Problem::bad_request(
            format!("`{name}`: {text:?} is not an instant"),
            "write it as 2026-11-22T03:00:00Z",
        )
    })
}
