//! `trigger`, `pause`, `resume`, `cancel`, `reload`: what people ask of the whole
//! cluster. Each is written into the store and returns; the nodes see it within a
//! second or so.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::place::{self, Reach};
use super::{Failure, JobName, NodeName, Place, listing};
use crate::claim::RunId;
use crate::config::{Environment, ThisMachine};
use crate::slot::{Slot, TriggerId};

/// A trigger that no node takes is kept so long.
const TRIGGER_KEPT: Duration = Duration::from_secs(30 * 86_400);

#[derive(Debug, Args)]
#[command(after_help = "\
The run is one more slot of the job, named by the id that is printed; `solocron slot JOB ID` tells
what became of it. It runs also while the job is paused or not enabled. With overlap = \"replace\"
it takes the place of the run in progress, else it waits for that, unless overlap = \"allow\".
One that no node may run waits for 30 days; what waits cannot be withdrawn.")]
pub(super) struct Trigger {
    /// The job to run
    #[arg(value_name = "JOB")]
    job: JobName,
    /// The id of the trigger, from a request before: asking twice with one id runs the job once
    #[arg(long, value_name = "ID")]
    id: Option<TriggerId>,
}

#[derive(Debug, Args)]
pub(super) struct Pause {
    /// The job to pause
    #[arg(value_name = "JOB")]
    job: JobName,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The job to let go on
    #[arg(value_name = "JOB")]
    job: JobName,
}

#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The run, as the log and `solocron slot` name it
    #[arg(value_name = "RUN_ID", value_parser = run_id)]
    run: RunId,
}

#[derive(Debug, Args)]
pub(super) struct Reload {
    /// Only this node
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
}

impl Trigger {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let slot = place.with_store(async |reach| {
            known(&reach, &self.job).await?;
            let id = match self.id {
                Some(id) => id,
                None => TriggerId::new(reach.store.time().await?),
            };
            let slot = Slot::triggered(self.job.clone(), id);
            reach.store.trigger(&requester(), &slot, TRIGGER_KEPT).await?;
            Ok(slot)
        })?;
        let id = slot.trigger.map(|id| id.to_string()).unwrap_or_default();
        listing::print(&format!("{id}\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Pause {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        set_pause(place, &self.job, true, "paused")
    }
}

impl Resume {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        set_pause(place, &self.job, false, "resumed")
    }
}

fn set_pause(place: &Place, job: &JobName, pause: bool, word: &str) -> Result<ExitCode, Failure> {
    let changed = place.with_store(async |reach| {
        known(&reach, job).await?;
        Ok(reach.store.pause(job, pause).await?)
    })?;
    let told = match (changed, pause) {
        (true, _) => format!("{job} is {word}\n"),
        (false, true) => format!("{job} was paused already\n"),
        (false, false) => format!("{job} was not paused\n"),
    };
    listing::print(&told)?;
    Ok(ExitCode::SUCCESS)
}

impl Cancel {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let run = self.run;
        let cancelled = place.with_store(async |Reach { store, .. }| {
            store.cancel(run).await?.ok_or_else(|| {
                Failure::Failed(format!(
                    "there is no run {run} in progress; `solocron history --format json` has the \
                     ids of those that ended"
                ))
            })
        })?;
        let (slot, node) = (cancelled.slot, cancelled.node);
        listing::print(&format!("{node} is asked to end {slot} (run {run})\n"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Reload {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let told = place.with_store(async |Reach { store, .. }| {
            let nodes = store.nodes().await?;
            let names: Vec<_> = nodes.iter().map(|node| node.node.to_string()).collect();
            if let Some(node) = &self.node
                && !nodes.iter().any(|alive| alive.node == *node)
            {
                let alive = match names.is_empty() {
                    true => "no node is up".to_owned(),
                    false => format!("these are up: {}", names.join(", ")),
                };
                return Err(Failure::Failed(format!("there is no node {node}; {alive}")));
            }
            store.request_reload(self.node.as_ref()).await?;
            Ok(match (&self.node, names.len()) {
                (Some(node), _) => format!("{node} is asked to load its job table anew\n"),
                (None, 0) => "no node is up; each loads its job table when it starts\n".to_owned(),
                (None, _) => {
                    format!("asked to load their job tables anew: {}\n", names.join(", "))
                }
            })
        })?;
        listing::print(&told)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A job that the table at hand does not have is a spelling mistake; so is, where there is
/// none, one that no node has.
async fn known(reach: &Reach<'_>, job: &JobName) -> Result<(), Failure> {
    if let Some(jobs) = reach.jobs {
        return match jobs.get(job) {
            Some(_) => Ok(()),
            None => Err(Failure::Failed(place::unknown_job(job, jobs))),
        };
    }
    let tables: BTreeSet<String> =
        reach.store.nodes().await?.into_iter().map(|node| node.table).collect();
    let mut names = BTreeSet::new();
    for digest in &tables {
        let jobs = reach.store.table(digest).await?.unwrap_or_default();
        names.extend(jobs.into_iter().map(|(name, _)| name));
    }
    // Where no node is up, or none has told of its jobs yet, nobody knows.
    if names.is_empty() || names.contains(job) {
        return Ok(());
    }
    Err(Failure::Failed(match place::nearest(job, &names) {
        Some(nearest) => format!("no node has a job {job}; did you mean {nearest}?"),
        None => format!("no node has a job {job}"),
    }))
}

/// Reads the id of a run.
fn run_id(text: &str) -> Result<RunId, String> {
    text.parse().map_err(|_| {
        "a run has an id like 01a22ea7-3c5e-7f00-8000-4a6f1c2b9d3e; the log has it, and \
         `solocron slot JOB TIME`, and `solocron status --format json` of those in progress"
            .to_owned()
    })
}

/// Where it was asked, as the name of a node.
fn requester() -> NodeName {
    let host = ThisMachine.host_name();
    let host = host.as_deref().and_then(|host| host.to_str()).and_then(|h| h.parse().ok());
    // It is a name.
    host.unwrap_or_else(|| "operator".parse().expect("this is the name of a node"))
}
