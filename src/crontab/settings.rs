//! What a crontab's variables mean for the jobs below them.

use super::lines::Variable;
use super::table::toml;
use crate::config::{Report, account, cited};
use crate::schedule::Zone;

/// More of a delay than a day is no jitter.
const LONGEST_DELAY: u16 = 24 * 60;

/// One variable, as keys of a job.
#[derive(Debug)]
pub(super) struct Setting<'t> {
    pub(super) variable: Variable<'t>,
    /// The comments right above it.
    pub(super) comments: Vec<&'t str>,
    /// Keys and their values in TOML; none where a job table has no words for it.
    pub(super) keys: Vec<(String, String)>,
    /// What its reader should know.
    pub(super) note: Option<&'static str>,
}

impl<'t> Setting<'t> {
    /// What `variable` means; nothing when that cannot be, which is reported.
    pub(super) fn new(
        variable: Variable<'t>,
        comments: Vec<&'t str>,
        report: &mut Report,
    ) -> Option<Self> {
        let Variable { name, value, line } = variable;
        let mut setting = Self { variable, comments, keys: Vec::new(), note: None };
        let in_environment = (format!("env.{}", name.text), toml(&escaped(value.text)));
        match name.text {
            "CRON_TZ" => {
                let zone = Zone::named(value.text).map_err(|unknown| {
                    let at = if value.text.is_empty() { line } else { value };
                    let message = format!("unknown time zone `{}`", cited(value.text));
                    report.error(at.spot(), message).help(unknown.help());
                });
                setting.keys.push(("timezone".to_owned(), toml(zone.ok()?.name())));
            }
            "SHELL" if value.text.is_empty() => {
                report.error(line.spot(), "`SHELL` names no shell");
                return None;
            }
            "HOME" if value.text.starts_with('/') => {
                setting.keys.push(("cwd".to_owned(), toml(value.text)));
                setting.keys.push(in_environment);
            }
            "HOME" => setting.cannot_be_said(report, "cron needs the whole path of a home"),
            "LOGNAME" | "USER" => {
                setting.cannot_be_said(report, "cron sets it itself, whatever stands here");
            }
            "RANDOM_DELAY" if delay(value.text).is_some() => {
                let minutes = delay(value.text).unwrap_or_default();
                setting.keys.push(("jitter".to_owned(), toml(&format!("{minutes}m"))));
            }
            name if account::check_variable(name).is_err() => {
                setting.cannot_be_said(report, "such names are solocron's own");
            }
            name => {
                setting.keys.push(in_environment);
                setting.warn(name, report);
            }
        }
        Some(setting)
    }

    /// The shell that it names, if it is about that.
    pub(super) fn shell(&self) -> Option<&'t str> {
        (self.variable.name.text == "SHELL").then_some(self.variable.value.text)
    }

    /// Warns of what only part of is carried over.
    fn warn(&mut self, name: &str, report: &mut Report) {
        let value = self.variable.value;
        if name == "TZ" {
            self.note = Some("only the commands see it: cron's own times do not follow TZ");
            report
                .warning(value.spot(), "only the commands see `TZ`: cron's times do not follow it")
                .help("if the times are meant, write CRON_TZ, or give --tz");
        }
        if name == "MAILTO" && !value.text.is_empty() {
            self.note = Some(
                "cron mailed what jobs printed; here that is in the log and in `solocron history`, \
                 and [notify.NAME] with on_failure tells of failures",
            );
            report
                .warning(value.spot(), "output is not mailed: it is in the log and in the history")
                .help("to be told of failures, add [notify.NAME] and on_failure = [\"NAME\"]");
        }
    }

    fn cannot_be_said(&mut self, report: &mut Report, why: &'static str) {
        let message = format!("`{}` is left out: {why}", self.variable.name.text);
        report.warning(self.variable.name.spot(), message);
        self.note = Some(why);
    }
}

fn delay(text: &str) -> Option<u16> {
    text.parse().ok().filter(|minutes| *minutes <= LONGEST_DELAY)
}

/// `text` where `${…}` would be replaced.
fn escaped(text: &str) -> String {
    text.replace("${", "$${")
}
