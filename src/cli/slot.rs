//! `solocron slot JOB TIME`: who ran it, when, how it ended.

use std::process::ExitCode;

use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::place::{self, Reach};
use super::{Failure, Format, JobName, Place, history, listing, moment};
use crate::ledger::Entry;
use crate::ledger::record::Record;
use crate::schedule::Zone;
use crate::slot::{Slot, SlotTime, TriggerId};
use crate::store::{SlotRecord, SlotState, SlotStory};
use crate::table::JobTable;

#[derive(Debug, Args)]
#[command(
    override_usage = "solocron slot [OPTIONS] <JOB> <TIME>
       solocron slot [OPTIONS] <JOB>@<TIME>",
    after_help = "\
Examples:
  solocron slot backup 2026-11-22T03:00:00Z
  solocron slot backup@2026-11-22T03:00:00Z      as the log and the history write it
  solocron slot backup 2026-11-22T04:00          on the clock of the job's zone
  solocron slot backup 0193f7a1-7b1c-7000-8000-0123456789ab     what a trigger came to"
)]
pub(super) struct SlotArguments {
    /// The job, or the whole slot as JOB@TIME
    #[arg(value_name = "JOB")]
    job: String,
    /// The slot's instant, such as 2026-11-22T03:00:00Z, or the id of a trigger
    #[arg(value_name = "TIME")]
    time: Option<String>,
    /// For people, or for scripts (stable, alone on standard output)
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The story of a slot, as JSON.
#[derive(Serialize)]
struct Story {
    job: String,
    slot: String,
    /// What it was triggered by, if it was.
    trigger_id: Option<String>,
    /// `running`, `lapsed`, `handed_over`, `triggered`, `waiting`, `catch_up`, or the
    /// outcome that settled it.
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
    /// The job and the time, from two words or from one.
    fn named(&self) -> Result<(JobName, String), Failure> {
        let (job, time) = match (&self.time, self.job.split_once('@')) {
            (Some(time), _) => (self.job.as_str(), time.as_str()),
            (None, Some((job, time))) => (job, time),
            (None, None) => {
                return Err(Failure::Usage(format!(
                    "which slot of {}? give its time, such as 2026-11-22T03:00:00Z",
                    listing::printable(&self.job)
                )));
            }
        };
        let name = JobName::new(job).map_err(|error| {
            Failure::Usage(format!(
                "{:?} is not the name of a job: {error}",
                listing::printable(job)
            ))
        })?;
        Ok((name, time.to_owned()))
    }

    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let (job, time) = self.named()?;
        // As logs and history write a triggered slot: its instant, then its id.
        let id = time.rsplit('#').next().and_then(|id| id.parse::<TriggerId>().ok());
        if id.is_none() {
            // Before anything is asked of the store; the zone is the table's to say.
            moment::instant(&time, &TimeZone::UTC)?;
        }
        let (slot, story) = place.with_store(async |Reach { jobs, store, .. }| {
            let utc = Zone::utc();
            let zone = jobs.and_then(|jobs| jobs.get(&job)).map_or(&utc, |job| &job.timezone);
            let slot = match id {
                Some(id) => Slot::triggered(job, id),
                None => {
                    let at = moment::instant(&time, zone.time_zone())?;
                    Slot::scheduled(job, SlotTime::from(at))
                }
            };
            let story = store.slot(&slot).await?;
            if story.record.is_none() && story.entries.is_empty() {
                return Err(Failure::Failed(unknown(&slot, jobs)));
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
fn unknown(slot: &Slot, jobs: Option<&JobTable>) -> String {
    let Some(jobs) = jobs else {
        return format!("the store knows nothing of {slot}, and there is no config to say more");
    };
    let Some(job) = jobs.get(&slot.job) else {
        return place::unknown_job(&slot.job, jobs);
    };
    if slot.trigger.is_some() {
        return format!(
            "the store knows nothing of {slot}: nobody triggered it, or its history was pruned"
        );
    }
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
        SlotState::Ready(why) => why.as_str(),
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
        trigger_id: slot.trigger.map(|id| id.to_string()),
        state: record.map(state).or(last.map(|run| run.outcome)).unwrap_or_default(),
        node: record
            .map(|record| record.node.to_string())
            .or_else(|| last.and_then(|run| run.node.clone())),
        run_id: record
            .filter(|record| record.attempt > 0)
            .map(|record| record.token.run_id(record.attempt).to_string())
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
        (Some(node), "triggered") => {
            format!("{slot} was triggered from {node} and waits for a node that may run it\n")
        }
        (_, "waiting") => format!("{slot} waits until another slot of its job is settled\n"),
        (_, "catch_up") => format!("{slot} was not run in time and waits to be caught up\n"),
        (Some(node), "abandoned") => {
            let why = story.entries.iter().rev().find_map(|entry| match entry {
                Entry::Run(run) => run.error.clone(),
                Entry::Missed(_) => None,
            });
            let why = why.unwrap_or_else(|| format!("{node} was lost while it ran it"));
            format!("{slot} was abandoned: {why}\n")
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
