//! `solocron next`: coming slots, of jobs or of an expression.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{Failure, Format, JobName, Place, at_least_one, listing, moment, place};
use crate::clock::wall_now;
use crate::schedule::{Context, Schedule, Zone};
use crate::slot::SlotTime;

/// How many slots are listed of a schedule, and of a job that is named, where
/// --count does not say. Of a whole table it is one of each: who comes when.
const COUNT: usize = 5;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  solocron next
  solocron next backup --count 10
  solocron next --schedule '30 2 * * *' --tz America/New_York --from 2026-03-07
  solocron next --schedule 'H 2 * * *' --job backup")]
pub(super) struct Next {
    /// Only these jobs
    #[arg(value_name = "JOB", conflicts_with = "schedule")]
    jobs: Vec<JobName>,
    /// A schedule, in place of the jobs of the config, which is not read then
    #[arg(long, value_name = "EXPR")]
    schedule: Option<String>,
    /// The zone of the schedule [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "schedule", conflicts_with = "jobs")]
    tz: Option<String>,
    /// The job that the schedule's H is for
    #[arg(long, value_name = "NAME", requires = "schedule", conflicts_with = "jobs")]
    job: Option<JobName>,
    /// How many slots of each [default: 5, or 1 when no job is named]
    #[arg(long, value_name = "N", value_parser = at_least_one, allow_negative_numbers = true)]
    count: Option<usize>,
    /// Slots after this instant, or date and time in the job's zone [default: now]
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// For people, or for scripts (stable, alone on standard output)
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The slots of one job, as JSON.
#[derive(Serialize)]
struct JobSlots {
    job: String,
    slots: Vec<String>,
}

impl Next {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        match &self.schedule {
            Some(expression) => self.of_expression(expression)?,
            None => self.of_jobs(place)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn of_expression(&self, expression: &str) -> Result<(), Failure> {
        let utc = Zone::utc();
        let zone = match &self.tz {
            Some(name) => {
                Some(Zone::named(name).map_err(|error| Failure::Usage(error.to_string()))?)
            }
            None => None,
        };
        let context =
            Context { job: self.job.as_ref(), timezone: zone.as_ref(), default_timezone: &utc };
        let schedule = Schedule::parse(expression, &context)
            .map_err(|error| Failure::Usage(place::underlined(expression, &error)))?;
        let zone = schedule.zone();
        let from = self.from(zone)?;
        let slots = coming(|at| schedule.next_after(at), from, self.count.unwrap_or(COUNT));
        if self.format == Format::Json {
            return Ok(listing::json(&local_all(&slots, zone))?);
        }
        if slots.is_empty() {
            return Ok(listing::print("never: no such date comes\n")?);
        }
        let rows = slots.iter().map(|&at| Row { job: None, at, zone }).collect::<Vec<_>>();
        Ok(self.table(&rows, Vec::new())?)
    }

    fn of_jobs(&self, place: &Place) -> Result<(), Failure> {
        let config = place.load_table()?;
        for name in &self.jobs {
            if config.jobs.get(name).is_none() {
                return Err(Failure::Failed(place::unknown_job(name, &config.jobs)));
            }
        }
        let count = self.count.unwrap_or(if self.jobs.is_empty() { 1 } else { COUNT });
        let mut of_jobs = Vec::new();
        for job in &config.jobs {
            let wanted = match self.jobs.is_empty() {
                true => job.enabled,
                false => self.jobs.contains(&job.name),
            };
            if !wanted {
                continue;
            }
            if !job.enabled {
                place::say(&format!("solocron: {} is not enabled and will not run\n", job.name));
            }
            let from = self.from(&job.timezone)?;
            of_jobs.push((job, coming(|at| job.schedule.next_after(at), from, count)));
        }
        if self.format == Format::Json {
            let all: Vec<_> = of_jobs
                .iter()
                .map(|(job, slots)| JobSlots {
                    job: job.name.to_string(),
                    slots: local_all(slots, &job.timezone),
                })
                .collect();
            return Ok(listing::json(&all)?);
        }
        if of_jobs.is_empty() {
            return Ok(listing::print("no job is enabled\n")?);
        }
        // For people the question is what comes first, whoever's it is.
        let mut rows: Vec<_> = of_jobs
            .iter()
            .flat_map(|(job, slots)| {
                slots.iter().map(|&at| Row { job: Some(&job.name), at, zone: &job.timezone })
            })
            .collect();
        rows.sort_by(|a, b| (a.at, a.job).cmp(&(b.at, b.job)));
        let never = of_jobs.iter().filter(|(_, slots)| slots.is_empty());
        let never = never.map(|(job, _)| vec![job.name.to_string(), "never".to_owned()]);
        Ok(self.table(&rows, never.collect())?)
    }

    /// Writes `rows`, then the cells of `more`, without columns that would say
    /// nothing: the slot in UTC where it is in UTC anyway, and how far away it is
    /// from now where somebody asked about another time.
    fn table(&self, rows: &[Row<'_>], more: Vec<Vec<String>>) -> std::io::Result<()> {
        let now = wall_now();
        let elsewhere = rows.iter().any(|row| *row.zone != Zone::utc());
        let of_jobs = !more.is_empty() || rows.iter().any(|row| row.job.is_some());
        let columns = [
            (of_jobs, "JOB"),
            (true, "SLOT"),
            (true, "DAY"),
            (elsewhere, "UTC"),
            (self.from.is_none(), "WHEN"),
        ];
        let shown = |cells: [String; 5]| {
            let cells = cells.into_iter().zip(columns);
            cells.filter(|(_, (shown, _))| *shown).map(|(cell, _)| cell).collect::<Vec<_>>()
        };
        let mut table: Vec<_> = rows
            .iter()
            .map(|row| {
                let slot = local(row.at, row.zone);
                shown([
                    row.job.map(ToString::to_string).unwrap_or_default(),
                    if elsewhere { slot } else { row.at.to_string() },
                    row.at
                        .timestamp()
                        .to_zoned(row.zone.time_zone().clone())
                        .strftime("%a")
                        .to_string(),
                    row.at.to_string(),
                    moment::distance(row.at.timestamp(), now),
                ])
            })
            .collect();
        table.extend(more);
        let header: Vec<_> =
            columns.iter().filter(|(shown, _)| *shown).map(|(_, title)| *title).collect();
        listing::table(&header, table)
    }

    fn from(&self, zone: &Zone) -> Result<SlotTime, Failure> {
        match &self.from {
            Some(text) => Ok(SlotTime::from(moment::instant(text, zone.time_zone())?)),
            None => Ok(SlotTime::from(wall_now())),
        }
    }
}

fn coming(
    next: impl Fn(SlotTime) -> Option<SlotTime>,
    from: SlotTime,
    count: usize,
) -> Vec<SlotTime> {
    std::iter::successors(next(from), |&at| next(at)).take(count).collect()
}

fn local_all(slots: &[SlotTime], zone: &Zone) -> Vec<String> {
    slots.iter().map(|&at| local(at, zone)).collect()
}

/// RFC 3339 with the zone's offset at that instant.
fn local(at: SlotTime, zone: &Zone) -> String {
    let at: Timestamp = at.timestamp();
    let offset = zone.time_zone().to_offset(at);
    at.display_with_offset(offset).to_string()
}

/// A slot of a job, or of a schedule.
struct Row<'a> {
    job: Option<&'a JobName>,
    at: SlotTime,
    zone: &'a Zone,
}
