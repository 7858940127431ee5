//! `solocron history`: what ran, and what was missed, newest first.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Failure, Format, JobName, NodeName, Place, at_least_one, listing, moment, place};
use crate::clock::{ClusterTime, wall_now};
use crate::ledger::record::Record;
use crate::ledger::{Entry, Query};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  solocron history --since 2h
  solocron history backup --limit 1 --format json
  solocron history --store redis://10.0.0.5:6379/0 --cluster prod")]
pub(super) struct History {
    /// Only this job's
    #[arg(value_name = "JOB")]
    job: Option<JobName>,
    /// Only runs on this node
    #[arg(long, value_name = "NAME")]
    node: Option<NodeName>,
    /// Only what was recorded since: an instant, or a duration back from now such as 2h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one,
          allow_negative_numbers = true)]
    limit: usize,
    /// For people, or for scripts (stable, alone on standard output)
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl History {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let since = match &self.since {
            Some(text) => Some(moment::since(text, wall_now())?),
            None => None,
        };
        let narrowed = self.job.is_some() || self.node.is_some() || since.is_some();
        let query = Query {
            job: self.job,
            node: self.node,
            since: since.map(|at| ClusterTime::from_unix_micros(at.as_microsecond())),
            limit: self.limit,
        };
        let (entries, cluster) = place.with_store(async |reach| {
            let entries = reach.store.history(&query).await?;
            match (&query.job, reach.jobs) {
                // One that has a history was a job once.
                (Some(name), Some(jobs)) if entries.is_empty() && jobs.get(name).is_none() => {
                    Err(Failure::Failed(place::unknown_job(name, jobs)))
                }
                _ => Ok((entries, reach.cluster.clone())),
            }
        })?;
        let records: Vec<Record> = entries.iter().map(Record::from).collect();
        match self.format {
            Format::Json => listing::json(&records)?,
            Format::Table if entries.is_empty() && narrowed => {
                listing::print(&format!("nothing in the history of {cluster} fits that\n"))?;
            }
            Format::Table if entries.is_empty() => {
                listing::print(&format!("nothing has run yet in the cluster {cluster}\n"))?;
            }
            Format::Table => table(&entries)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The runs and missed ranges as rows.
pub(super) fn table(entries: &[Entry]) -> std::io::Result<()> {
    let rows = entries.iter().map(|entry| row(&Record::from(entry))).collect();
    listing::table(&["SLOT", "OUTCOME", "NODE", "ATTEMPT", "STARTED", "TOOK", "DETAIL"], rows)
}

fn row(record: &Record) -> Vec<String> {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let took = record.duration_ms.map(|ms| moment::span(Duration::from_millis(ms)));
    let detail = match (record.count, record.reason, &record.error, record.exit_code) {
        (Some(1), Some(reason), ..) => reason.to_owned(),
        (Some(count), Some(reason), ..) => {
            let to = record.slot_to.as_deref().unwrap_or_default();
            format!("{count} slots, to {to}: {reason}")
        }
        (_, _, Some(error), _) => error.clone(),
        (_, _, None, Some(code)) if code != 0 => format!("exit code {code}"),
        _ => String::new(),
    };
    vec![
        match &record.trigger_id {
            None => format!("{}@{}", record.job, record.slot),
            Some(id) => format!("{}@{}#{id}", record.job, record.slot),
        },
        record.outcome.to_owned(),
        or_dash(record.node.clone()),
        or_dash(record.attempt.map(|attempt| attempt.to_string())),
        or_dash(record.started_at.clone()),
        or_dash(took),
        detail,
    ]
}
