//! The slot board: a lane for each job, a cell for each slot.

use std::collections::HashSet;

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::jobs::{has_tag, instant, known};
use crate::http::board::{FRESH, KEPT};
use crate::http::cells::{Lane, SlotBoard, cells};
use crate::http::problem::{Problem, Refused, Unknown};
use crate::http::request::Asked;
use crate::http::site::App;
use crate::name::JobName;
use crate::slot::SlotTime;

/// Which slots.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    /// Only those of this job, or of several, with commas between their names.
    job: Option<String>,
    /// Only those of jobs with this tag.
    tag: Option<String>,
    /// Only those at or after this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<String>,
    /// At most so many of each job, 12 if it is not said.
    #[param(minimum = 1, maximum = 32)]
    limit: Option<usize>,
}

/// The newest slots of each job: where they run or ran, and what became of them.
#[utoipa::path(
    get,
    path = "/api/v1/slots",
    tag = "look",
    params(Which),
    responses((status = 200, description = "The slots.", body = SlotBoard), Unknown, Refused)
)]
pub(super) async fn slots(
    State(app): State<App>,
    Asked(which): Asked<Which>,
) -> Result<Json<SlotBoard>, Problem> {
    let since = which.since.as_deref().map(|text| instant("since", text)).transpose()?;
    // Up to the next whole second: a slot before it is not at or after it.
    let since = since
        .map(|at| SlotTime::from_unix_seconds((at.unix_micros() + 999_999).div_euclid(1_000_000)));
    let most = match which.limit {
        None => 12,
        Some(limit @ 1..=KEPT) => limit,
        Some(limit) => {
            return Err(Problem::bad_request(
                format!("`limit`: {limit} is not from 1 to {KEPT}"),
                match limit {
                    0 => "ask for at least one",
                    _ => "ask for fewer; /api/v1/jobs/JOB/runs has more of one job",
                },
            ));
        }
    };
    let table = app.board.table();
    let named = which.job.as_deref().map(|names| {
        names.split(',').map(|name| known(&table, name).map(|job| job.name.clone())).collect()
    });
    let named: Option<HashSet<JobName>> = named.transpose()?;
    let seen = app.board.look(FRESH).await?;
    let wanted = seen.table.iter().filter(|job| {
        named.as_ref().is_none_or(|named| named.contains(&job.name))
            && has_tag(job, which.tag.as_deref())
    });
    let lanes = wanted
        .map(|job| Lane { job: job.name.to_string(), cells: cells(job, &seen, since, most) })
        .collect();
    Ok(Json(SlotBoard { now: seen.now.to_string(), lanes }))
}
