//! `solocron check`: every error of the config, or a summary of what it says.

use std::process::ExitCode;

use clap::Args;

use super::{Failure, Place, listing, moment};
use crate::clock::wall_now;
use crate::slot::SlotTime;

#[derive(Debug, Args)]
pub(super) struct Check {}

impl Check {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        let config = place.load(None, None)?;
        let sources: Vec<_> =
            config.sources.iter().map(|path| path.display().to_string()).collect();
        let be = if sources.len() == 1 { "is" } else { "are" };
        let disabled = config.jobs.iter().filter(|job| !job.enabled).count();
        let count = match (config.jobs.len(), disabled) {
            (1, 0) => "1 job".to_owned(),
            (1, 1) => "1 job, not enabled".to_owned(),
            (n, 0) => format!("{n} jobs"),
            (n, off) => format!("{n} jobs, {off} of them not enabled"),
        };
        let mut summary = format!(
            "{} {be} good: {count}, table {}\n  cluster  {}\n  node     {}\n  store    {}\n",
            sources.join(", "),
            config.jobs.digest(),
            config.cluster.name,
            config.cluster.node,
            config.cluster.store,
        );
        let now = SlotTime::from(wall_now());
        let coming = config
            .jobs
            .iter()
            .filter(|job| job.enabled)
            .filter_map(|job| job.schedule.next_after(now).map(|at| (at, &job.name)));
        if let Some((at, job)) = coming.min() {
            let when = moment::distance(at.timestamp(), wall_now());
            summary.push_str(&format!("  next     {job} {when} ({at})\n"));
        }
        listing::print(&summary)?;
        Ok(ExitCode::SUCCESS)
    }
}
