//! `solocron import`: job tables out of what other schedulers go by.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{Failure, listing, place};
use crate::config::{self, Diagnostics};
use crate::crontab::{self, Form};
use crate::schedule::Zone;

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// Write a job table that means what a crontab means to standard output
    Crontab(Crontab),
}

#[derive(Debug, Args)]
#[command(after_help = "\
What a job table has no words for is a comment in it and a warning. A crontab with a line that
cannot be read gives no table and exit code 78.

Examples:
  crontab -l | solocron import crontab - --tz Europe/Berlin > jobs.toml
  solocron import crontab /etc/crontab --system > jobs.toml")]
pub(super) struct Crontab {
    /// The crontab; - is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A user stands before each command, as in /etc/crontab and in /etc/cron.d
    #[arg(long)]
    system: bool,
    /// The zone of the host whose crontab it is, where it has no CRON_TZ [default: UTC]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
}

impl Import {
    pub(super) fn perform(self) -> Result<ExitCode, Failure> {
        match self {
            Self::Crontab(crontab) => crontab.perform(),
        }
    }
}

impl Crontab {
    fn perform(self) -> Result<ExitCode, Failure> {
        let zone = self.tz.as_deref().map(Zone::named).transpose();
        let zone = zone.map_err(|error| Failure::Usage(error.to_string()))?;
        let text = self.text().map_err(bad_crontab)?;
        let form = if self.system { Form::OfSystem } else { Form::OfUser };
        let imported = crontab::import(&self.file, &text, form, zone.as_ref());
        let imported = imported.map_err(bad_crontab)?;
        place::warn(&imported.warnings);
        listing::print(&imported.config)?;
        Ok(ExitCode::SUCCESS)
    }

    fn text(&self) -> Result<String, Diagnostics> {
        if self.file == Path::new("-") {
            return config::read_text(&self.file, Ok(std::io::stdin().lock()));
        }
        config::read_text(&self.file, File::open(&self.file))
    }
}

fn bad_crontab(diagnostics: Diagnostics) -> Failure {
    Failure::Config(Box::new(diagnostics))
}
