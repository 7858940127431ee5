//! A crontab, as the job table that means the same.
//!
//! Pure: a text becomes a text. What cron does and a job table cannot say becomes a
//! comment where it stood, and a warning; nothing is dropped in silence. A crontab with a
//! line that cannot be read gives all of its mistakes and no table.
//!
//! # What becomes of what
//!
//! | crontab | job table |
//! |---|---|
//! | five fields, `@daily` and the like | `schedule`, on the same slots |
//! | `*/2` in a day field, which Vixie's cron wants matched together with the other | a `+` before day-of-week, and a warning |
//! | the command, for `SHELL` if that is set | `shell`, or `command = [SHELL, "-c", …]` |
//! | `\%` | `%` |
//! | what stands behind a `%` | a here-document, and a warning: most often it is a slip |
//! | the user's column | `user` |
//! | `NAME=VALUE` | `env` of the jobs below; in `[defaults]` where all have it |
//! | `CRON_TZ` | `timezone` |
//! | `HOME` | `cwd` and `env` |
//! | `RANDOM_DELAY` | `jitter` |
//! | `MAILTO` | `env`, a comment and a warning: nothing is mailed |
//! | `TZ` | `env`, and a warning: cron's own times do not follow it |
//! | `@reboot` | a comment and a warning |
//! | a run beside one that goes on | `overlap = "allow"` |
//! | comments and blank lines | the same, at what they stood at |
//!
//! # The map
//!
//! `lines` reads the text; `times` and `command` what a job's line says; `settings` what
//! its variables mean; `naming` finds names; `collect` puts together what belongs to each
//! job; `table` writes what comes of it.

mod collect;
mod command;
mod lines;
mod naming;
mod part;
mod settings;
mod table;
mod times;

#[cfg(test)]
mod tests;

use std::path::Path;

use crate::config::{Diagnostics, Report, Source};
use crate::schedule::Zone;

/// How the lines of a crontab are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A user's own, as `crontab -l` prints it.
    OfUser,
    /// `/etc/crontab` and the files in `/etc/cron.d`: a user stands before the command.
    OfSystem,
}

/// What comes of a crontab.
#[derive(Debug, Clone)]
pub struct Imported {
    /// A config, in TOML.
    pub config: String,
    /// What its reader should know: each of them is a comment in it, too.
    pub warnings: Diagnostics,
}

/// Makes a config of the crontab `text`, which messages call `path`. `zone` is that of the
/// clock by which cron went where the crontab does not say so; UTC if it is not known.
///
/// # Errors
/// Every line that cannot be read, and the warnings.
pub fn import(
    path: &Path,
    text: &str,
    form: Form,
    zone: Option<&Zone>,
) -> Result<Imported, Diagnostics> {
    let source = Source::new(path, text);
    let mut report = Report::default();
    let lines = lines::read(&source.text, form, &mut report);
    let crontab = collect::collect(lines, &mut report);
    if report.has_errors() {
        return Err(report.locate(&[source]));
    }
    let config = table::write(&crontab, zone, &mut report);
    Ok(Imported { config, warnings: report.locate(&[source]) })
}
