//! From lines to jobs: which variables and comments belong to each.

use super::command::{self, Command};
use super::lines::{self, Line};
use super::naming::Names;
use super::part::Part;
use super::settings::Setting;
use super::times::When;
use crate::config::Report;

/// A crontab, taken apart.
#[derive(Debug, Default)]
pub(super) struct Crontab<'t> {
    pub(super) settings: Vec<Setting<'t>>,
    /// In the order of the lines.
    pub(super) items: Vec<Item<'t>>,
}

/// What stands in a crontab.
#[derive(Debug)]
pub(super) enum Item<'t> {
    /// Comments that belong to nothing; an empty one is a blank line.
    Comments(Vec<&'t str>),
    /// A variable, by its index.
    Setting(usize),
    Job(Job<'t>),
    /// A line for which a job table has no words, and why.
    Unsaid {
        above: Vec<&'t str>,
        line: Part<'t>,
        why: &'static str,
    },
}

impl<'t> Item<'t> {
    pub(super) fn job(&self) -> Option<&Job<'t>> {
        match self {
            Self::Job(job) => Some(job),
            _ => None,
        }
    }
}

/// One job.
#[derive(Debug)]
pub(super) struct Job<'t> {
    /// The comments and blank lines above it.
    pub(super) above: Vec<&'t str>,
    /// What its reader should know.
    pub(super) notes: Vec<&'static str>,
    pub(super) name: String,
    pub(super) schedule: String,
    pub(super) user: Option<&'t str>,
    pub(super) command: Command,
    /// The variables that hold for it, by their index.
    pub(super) settings: Vec<usize>,
    /// All of its line.
    pub(super) line: Part<'t>,
}

/// Takes `lines` apart.
pub(super) fn collect<'t>(lines: Vec<Line<'t>>, report: &mut Report) -> Crontab<'t> {
    let mut collector = Collector::default();
    for line in lines {
        match line {
            Line::Blank => collector.blank(),
            Line::Comment(text) => collector.above.push(text),
            Line::Variable(variable) => collector.variable(variable, report),
            Line::Job(job) => collector.job(job, report),
        }
    }
    collector.end()
}

#[derive(Default)]
struct Collector<'t> {
    crontab: Crontab<'t>,
    /// Comments of which it is not known yet what they belong to.
    above: Vec<&'t str>,
    /// The variables that hold now.
    holding: Vec<usize>,
    names: Names,
}

impl<'t> Collector<'t> {
    fn blank(&mut self) {
        if self.above.last().is_some_and(|last| !last.is_empty()) {
            self.above.push("");
        }
    }

    fn variable(&mut self, variable: lines::Variable<'t>, report: &mut Report) {
        self.begin();
        let comments = self.right_above();
        let Some(setting) = Setting::new(variable, comments, report) else { return };
        let settings = &mut self.crontab.settings;
        self.holding.retain(|&held| settings[held].variable.name.text != variable.name.text);
        self.holding.push(settings.len());
        self.crontab.items.push(Item::Setting(settings.len()));
        settings.push(setting);
    }

    fn job(&mut self, line: lines::Job<'t>, report: &mut Report) {
        self.begin();
        let above = std::mem::take(&mut self.above);
        let (schedule, both) = match line.when {
            When::At { schedule, both } => (schedule, both),
            When::Reboot(at) => {
                report
                    .warning(at.spot(), "this is left out: a cluster has no reboot")
                    .help("run the command from the service manager, or give it a schedule");
                let why = "a cluster has no reboot: its replicas start one by one";
                self.crontab.items.push(Item::Unsaid { above, line: line.line, why });
                return;
            }
        };
        let mut notes = Vec::new();
        if let Some(field) = both {
            let message = "cron wants both day fields to match, because this one begins with `*`";
            report.warning(field.spot(), message).help("a `+` before day-of-week says so here");
            notes.push(
                "cron wants both day fields to match, because one begins with `*`: so the `+`",
            );
        }
        let command = command::read(line.command.text);
        if let Some(at) = command.end {
            report
                .warning(line.command.from(at).to(1).spot(), "this `%` ends the command")
                .help("what follows is its standard input; where a `%` was meant, write `\\%`");
            notes.push("a `%` ended the command: what followed is its standard input, as in cron");
        }
        if let Some(dash) = line.unlogged {
            report.warning(dash.spot(), "every run is logged, also where `-` told cron not to");
            notes.push("a `-` told cron not to log it; solocron logs every run");
        }
        self.crontab.items.push(Item::Job(Job {
            above,
            notes,
            name: self.names.take(&command.line),
            schedule,
            user: line.user,
            command,
            settings: self.holding.clone(),
            line: line.line,
        }));
    }

    /// What stands at the head of the crontab stays there.
    fn begin(&mut self) {
        if self.crontab.items.is_empty() {
            let right_above = self.right_above();
            let head = std::mem::replace(&mut self.above, right_above);
            self.crontab.items.push(Item::Comments(head));
        }
    }

    /// The comments without a blank line between them and what comes now.
    fn right_above(&mut self) -> Vec<&'t str> {
        let from = self.above.iter().rposition(|line| line.is_empty()).map_or(0, |at| at + 1);
        self.above.split_off(from)
    }

    fn end(mut self) -> Crontab<'t> {
        self.crontab.items.push(Item::Comments(self.above));
        self.crontab
    }
}
