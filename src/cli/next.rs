//! `solocron next`: coming slots, of jobs or of an expression.

use std::process::ExitCode;

use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

use super::{Failure, Format, JobName, Place, listing, moment, place};
use crate::clock::wall_now;
use crate::schedule::{Context, Schedule, Zone};
use crate::slot::SlotTime;

/// How many slots are listed of a schedule, and of each job, where --count does not say.
const COUNT: usize = 5;

#[derive(Debug, Args)]
pub(super) struct Next {
    /// Only these jobs
    #[arg(value_name = "JOB", conflicts_with = "schedule")]
    jobs: Vec<JobName>,
    /// A schedule, in place of the jobs of the config
    #[arg(long, value_name = "EXPR")]
    schedule: Option<String>,
    /// The zone of the schedule [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "schedule")]
    tz: Option<String>,
    /// The job that the schedule's H is for
    #[arg(long, value_name = "NAME", requires = "schedule")]
    job: Option<JobName>,
    /// How many slots of each
    #[arg(long, value_name = "N", default_value_t = COUNT)]
    count: usize,
    /// Slots after this instant [default: now]
    #[arg(long, value_name = "T")]
    from: Option<String>,
    /// How to write it
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
        let slots = coming(|at| schedule.next_after(at), from, self.count);
        if self.format == Format::Json {
            return Ok(listing::json(&local_all(&slots, zone))?);
        }
        if slots.is_empty() {
            return Ok(listing::print("never: no such date comes\n")?);
        }
        let rows = slots.iter().map(|&at| row(at, zone)).collect();
        Ok(listing::table(&["SLOT", "UTC", "WHEN"], rows)?)
    }

    fn of_jobs(&self, place: &Place) -> Result<(), Failure> {
        let config = place.load_table()?;
        for name in &self.jobs {
            if config.jobs.get(name).is_none() {
                return Err(Failure::Failed(place::unknown_job(name, &config.jobs)));
            }
        }
        let wanted = |job: &&std::sync::Arc<crate::table::Job>| {
            self.jobs.contains(&job.name) || (self.jobs.is_empty() && job.enabled)
        };
        let mut of_jobs = Vec::new();
        for job in config.jobs.iter().filter(wanted) {
            let from = self.from(&job.timezone)?;
            of_jobs.push((job, coming(|at| job.schedule.next_after(at), from, self.count)));
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
        // For people the question is what comes first, whoever's it is.
        let mut rows: Vec<_> = of_jobs
            .iter()
            .flat_map(|(job, slots)| slots.iter().map(move |&at| (at, *job)))
            .collect();
        rows.sort_by(|(a, x), (b, y)| a.cmp(b).then_with(|| x.name.cmp(&y.name)));
        let rows = rows.into_iter().map(|(at, job)| {
            let mut cells = row(at, &job.timezone);
            cells.insert(0, job.name.to_string());
            cells
        });
        let mut rows: Vec<_> = rows.collect();
        rows.extend(of_jobs.iter().filter(|(_, slots)| slots.is_empty()).map(|(job, _)| {
            vec![job.name.to_string(), "never".to_owned(), String::new(), String::new()]
        }));
        Ok(listing::table(&["JOB", "SLOT", "UTC", "WHEN"], rows)?)
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

fn row(at: SlotTime, zone: &Zone) -> Vec<String> {
    vec![local(at, zone), at.to_string(), moment::distance(at.timestamp(), wall_now())]
}
