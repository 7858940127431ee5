//! `solocron history`: what ran, and what was missed, newest first.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::{Failure, Format, JobName, NodeName, Place, listing, moment};
use crate::clock::{ClusterTime, wall_now};
use crate::ledger::record::Record;
use crate::ledger::{Entry, Query};

#[derive(Debug, Args)]
pub(super) struct History {
    /// Only this job's
    #[arg(value_name = "JOB")]
    job: Option<JobName>,
    /// Only runs on this node
    #[arg(long, value_name = "N")]
    node: Option<NodeName>,
    /// Only what was recorded since: an instant, or a duration back from now
    #[arg(long, value_name = "T")]
    since: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl History {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let since = match &self.since {
            Some(text) => Some(moment::since(text, wall_now())?),
            None => None,
        };
        let query = Query {
            job: self.job,
            node: self.node,
            since: since.map(|at| ClusterTime::from_unix_micros(at.as_microsecond())),
            limit: self.limit,
        };
        let entries = place.with_store(async |_, store| Ok(store.history(&query).await?))?;
        let records: Vec<Record> = entries.iter().map(Record::from).collect();
        match self.format {
            Format::Json => listing::json(&records)?,
            Format::Table if entries.is_empty() => {
                listing::print("nothing has run yet, as far as this store tells\n")?;
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
        format!("{}@{}", record.job, record.slot),
        record.outcome.to_owned(),
        or_dash(record.node.clone()),
        or_dash(record.attempt.map(|attempt| attempt.to_string())),
        or_dash(record.started_at.clone()),
        or_dash(took),
        detail,
    ]
}
