//! `solocron slot JOB TIME`: who ran it, when, how it ended.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::{Failure, Format, JobName, Place, history, listing, moment, place};
use crate::config::Config;
use crate::ledger::record::Record;
use crate::schedule::Zone;
use crate::slot::{Slot, SlotTime};
use crate::store::{SlotRecord, SlotState, SlotStory};

#[derive(Debug, Args)]
pub(super) struct SlotArguments {
    /// The job
    #[arg(value_name = "JOB")]
    job: JobName,
    /// The slot's instant, such as 2026-11-22T03:00:00Z
    #[arg(value_name = "TIME")]
    time: String,
    /// How to write it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The story of a slot, as JSON.
#[derive(Serialize)]
struct Story {
    job: String,
    slot: String,
    /// `running`, `lapsed`, `handed_over`, or the outcome that settled it.
    state: &'static str,
    node: Option<String>,
    run_id: Option<String>,
    attempt: Option<u32>,
    fence: Option<u64>,
    claimed_at: Option<String>,
    /// How long the lease still lasts, where it is held.
    remaining_ms: Option<u64>,
    /// Its runs and the range in which it was missed, oldest first.
    runs: Vec<Record>,
    /// The end of the last run's output.
    output: Option<String>,
}

impl SlotArguments {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let (slot, story) = place.with_store(async |config, store| {
            let utc = Zone::utc();
            let job = config.jobs.get(&self.job);
            let zone = job.map_or(&utc, |job| &job.timezone);
            let at = moment::instant(&self.time, zone.time_zone())?;
            let slot = Slot { job: self.job.clone(), at: SlotTime::from(at) };
            let story = store.slot(&slot).await?;
            if story.record.is_none() && story.entries.is_empty() {
                return Err(Failure::Failed(unknown(&slot, config)));
            }
            Ok((slot, story))
        })?;
        match self.format {
            Format::Json => listing::json(&json(&slot, &story))?,
            Format::Table => tell(&slot, &story)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Why the store knows nothing of a slot, as far as the table can tell.
fn unknown(slot: &Slot, config: &Config) -> String {
    let Some(job) = config.jobs.get(&slot.job) else {
        return place::unknown_job(&slot.job, &config.jobs);
    };
    let before = SlotTime::from_unix_seconds(slot.at.unix_seconds() - 1);
    let Some(next) = job.schedule.next_after(before) else {
        return format!("the store knows nothing of {slot}: the job has no slot then or later");
    };
    if next != slot.at {
        return format!("{} has no slot at {}; its next one is {next}", slot.job, slot.at);
    }
    let now = crate::clock::wall_now();
    if slot.at.timestamp() > now {
        let when = moment::distance(slot.at.timestamp(), now);
        return format!("{slot} is due {when}; nobody has claimed it yet");
    }
    format!(
        "the store knows nothing of {slot}: nobody claimed it since this job and schedule are \
         known there, or its history was pruned"
    )
}

fn state(record: &SlotRecord) -> &'static str {
    match record.state {
        SlotState::Running { remaining } if remaining.is_zero() => "lapsed",
        SlotState::Running { .. } => "running",
        SlotState::HandedOver => "handed_over",
        SlotState::Settled(outcome) => outcome.as_str(),
    }
}

fn json(slot: &Slot, story: &SlotStory) -> Story {
    let record = story.record.as_ref();
    let runs: Vec<Record> = story.entries.iter().map(Record::from).collect();
    let last = runs.last();
    let remaining = record.and_then(|record| match record.state {
        SlotState::Running { remaining } => u64::try_from(remaining.as_millis()).ok(),
        _ => None,
    });
    Story {
        job: slot.job.to_string(),
        slot: slot.at.to_string(),
        state: record.map(state).or(last.map(|run| run.outcome)).unwrap_or_default(),
        node: record
            .map(|record| record.node.to_string())
            .or_else(|| last.and_then(|run| run.node.clone())),
        run_id: record
            .map(|record| record.token.to_string())
            .or_else(|| last.and_then(|run| run.run_id.clone())),
        attempt: record.map(|record| record.attempt).or_else(|| last.and_then(|run| run.attempt)),
        fence: record.map(|record| record.fence.get()).or_else(|| last.and_then(|run| run.fence)),
        claimed_at: record.map(|record| record.claimed_at.to_string()),
        remaining_ms: remaining,
        runs,
        output: story.tail.clone(),
    }
}

fn tell(slot: &Slot, story: &SlotStory) -> std::io::Result<()> {
    let told = json(slot, story);
    let mut text = match (&told.node, told.state) {
        (Some(node), "running") => {
            let left = told.remaining_ms.unwrap_or_default();
            format!("{slot} is running on {node}, lease for another {left} ms unless renewed\n")
        }
        (Some(node), "lapsed") => {
            format!("{slot} was running on {node}, which stopped renewing its lease\n")
        }
        (Some(node), "handed_over") => {
            format!("{slot} was handed over by {node} and waits for another node\n")
        }
        (Some(node), "abandoned") => {
            format!("{slot} was abandoned: {node} was lost while it ran it\n")
        }
        (_, "missed") => format!("{slot} was missed: nobody ran it\n"),
        (Some(node), outcome) => format!("{slot} {outcome} on {node}\n"),
        (None, outcome) => format!("{slot} {outcome}\n"),
    };
    if let (Some(run_id), Some(fence)) = (&told.run_id, told.fence) {
        text.push_str(&format!("run {run_id}, fence {fence}\n"));
    }
    listing::print(&text)?;
    if !story.entries.is_empty() {
        listing::print("\n")?;
        history::table(&story.entries)?;
    }
    if let Some(output) = told.output.filter(|output| !output.is_empty()) {
        let lines = output.lines().map(|line| format!("  {}\n", listing::printable(line)));
        listing::print(&format!("\nend of its output:\n{}", lines.collect::<String>()))?;
    }
    Ok(())
}
