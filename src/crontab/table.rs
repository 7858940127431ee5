//! From jobs to a config.
//!
//! A crontab's variables hold for all lines below them. Here they become keys of jobs, and
//! those that all jobs have become keys of `[defaults]`. Comments stay above what they
//! stood above.

use std::collections::{HashMap, HashSet};

use super::collect::{Crontab, Item, Job};
use super::command::{SHELL, Work};
use crate::config::{Report, Spot, visible};
use crate::schedule::Zone;

const TIMEZONE: &str = "timezone";

/// Writes a config for `crontab`, whose times are those of `zone` where it does not say so.
pub(super) fn write(crontab: &Crontab<'_>, zone: Option<&Zone>, report: &mut Report) -> String {
    let jobs: Vec<_> = crontab.items.iter().filter_map(Item::job).collect();
    let keys: Vec<_> = jobs.iter().map(|job| keys_of(job, crontab, zone)).collect();
    let has_no_zone = |keys: &Vec<Key>| keys.iter().all(|key| key.name != TIMEZONE);
    let no_zone = keys.iter().position(has_no_zone);
    if let Some(at) = no_zone {
        let message = "cron goes by the clock of its host; this is taken for UTC";
        report
            .warning(jobs[at].line.spot(), message)
            .help("say which zone it is: --tz Europe/Berlin");
    }
    if jobs.is_empty() {
        report.warning(Spot { source: 0, span: 0..0 }, "there are no jobs in this crontab");
    }
    let used: HashSet<_> = jobs.iter().flat_map(|job| &job.settings).copied().collect();
    for (place, setting) in crontab.settings.iter().enumerate() {
        if !used.contains(&place) && !setting.keys.is_empty() {
            report.warning(setting.variable.line.spot(), "this is left out: no job sees it");
        }
    }
    let mut writer = Writer {
        crontab,
        common: common(&keys),
        used,
        told: HashSet::new(),
        text: Text::default(),
    };
    writer.write(&keys, no_zone.is_some());
    writer.text.end()
}

/// `text` as a value in TOML.
pub(super) fn toml(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// A key of a job that comes from a variable, or from what was given beside the crontab.
struct Key {
    name: String,
    /// In TOML.
    value: String,
    setting: Option<usize>,
}

impl Key {
    fn pair(&self) -> (&str, &str) {
        (&self.name, &self.value)
    }

    fn is_variable(&self) -> bool {
        self.name.starts_with("env.")
    }
}

fn keys_of(job: &Job<'_>, crontab: &Crontab<'_>, zone: Option<&Zone>) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    for &place in &job.settings {
        for (name, value) in &crontab.settings[place].keys {
            let (name, value) = (name.clone(), value.clone());
            keys.push(Key { name, value, setting: Some(place) });
        }
    }
    if let Some(zone) = zone
        && keys.iter().all(|key| key.name != TIMEZONE)
    {
        keys.push(Key { name: TIMEZONE.to_owned(), value: toml(zone.name()), setting: None });
    }
    // Variables last: they may be many.
    keys.sort_by_key(Key::is_variable);
    keys
}

/// The keys that all jobs have with the same value, in order, each with the variables that
/// say so.
fn common(keys: &[Vec<Key>]) -> Vec<(Key, Vec<usize>)> {
    let Some((first, _)) = keys.split_first() else { return Vec::new() };
    let mut all: HashMap<_, (usize, Vec<usize>)> = HashMap::new();
    for key in keys.iter().flatten() {
        let (count, settings) = all.entry(key.pair()).or_default();
        *count += 1;
        settings.extend(key.setting.filter(|setting| settings.last() != Some(setting)));
    }
    let mut common = Vec::new();
    for key in first {
        if let Some((count, settings)) = all.remove(&key.pair())
            && count == keys.len()
        {
            let Key { name, value, setting } = key;
            let key = Key { name: name.clone(), value: value.clone(), setting: *setting };
            common.push((key, settings));
        }
    }
    common
}

struct Writer<'c, 't> {
    crontab: &'c Crontab<'t>,
    common: Vec<(Key, Vec<usize>)>,
    /// The variables that a job sees.
    used: HashSet<usize>,
    /// Those whose comments are written.
    told: HashSet<usize>,
    text: Text,
}

impl Writer<'_, '_> {
    fn write(&mut self, keys: &[Vec<Key>], no_zone: bool) {
        let mut keys = keys.iter();
        for (place, item) in self.crontab.items.iter().enumerate() {
            match item {
                Item::Comments(comments) => {
                    self.text.blank();
                    self.text.comments(comments);
                }
                Item::Setting(place) => self.setting(*place),
                Item::Unsaid { above, line, why } => {
                    self.text.blank();
                    self.text.comments(above);
                    self.text.note(line.text);
                    self.text.note(&format!("left out: {why}"));
                }
                Item::Job(job) => self.job(job, keys.next().map_or(&[], Vec::as_slice)),
            }
            // Behind what stands at the head.
            if place == 0 && keys.len() > 0 {
                self.defaults(no_zone);
            }
        }
    }

    fn defaults(&mut self, no_zone: bool) {
        self.text.blank();
        self.text.line("[defaults]");
        self.text.note(
            "As in cron, a run may begin while another one of the job goes on. Without this, the \
             slot is missed.",
        );
        self.text.line("overlap = \"allow\"");
        if no_zone {
            self.text.note(
                "Cron goes by the clock of its host. Nobody said which zone that is: without one, \
                 times are UTC's.",
            );
            self.text.note("timezone = \"Europe/Berlin\"");
        }
        for (key, settings) in std::mem::take(&mut self.common) {
            for &setting in &settings {
                self.tell(setting);
            }
            self.text.line(&format!("{} = {}", key.name, key.value));
            self.common.push((key, settings));
        }
    }

    fn job(&mut self, job: &Job<'_>, keys: &[Key]) {
        self.text.blank();
        self.text.comments(&job.above);
        for note in &job.notes {
            self.text.note(note);
        }
        self.text.line(&format!("[jobs.{}]", job.name));
        self.text.line(&format!("schedule = {}", toml(&job.schedule)));
        if let Some(user) = job.user {
            self.text.line(&format!("user = {}", toml(user)));
        }
        let common: HashSet<_> = self.common.iter().map(|(key, _)| key.pair()).collect();
        let own: Vec<_> = keys.iter().filter(|key| !common.contains(&key.pair())).collect();
        let (variables, others): (Vec<_>, Vec<_>) =
            own.into_iter().partition(|key| key.is_variable());
        others.into_iter().for_each(|key| self.key(key));
        let shell = job.settings.iter().find_map(|&place| self.crontab.settings[place].shell());
        let work = match job.command.work(shell.unwrap_or(SHELL)) {
            Work::Shell(line) => format!("shell = {}", toml(&line)),
            Work::Program(words) => {
                format!("command = [{}]", words.map(|word| toml(&word)).join(", "))
            }
        };
        self.text.line(&work);
        variables.into_iter().for_each(|key| self.key(key));
    }

    fn key(&mut self, key: &Key) {
        if let Some(setting) = key.setting {
            self.tell(setting);
        }
        self.text.line(&format!("{} = {}", key.name, key.value));
    }

    /// Writes what is to be said of a variable, once.
    fn tell(&mut self, place: usize) {
        if self.told.insert(place) {
            let setting = &self.crontab.settings[place];
            self.text.comments(&setting.comments);
            if let Some(note) = setting.note {
                self.text.note(note);
            }
        }
    }

    /// Writes a variable that is no key of a job.
    fn setting(&mut self, place: usize) {
        let setting = &self.crontab.settings[place];
        let why = match setting.note {
            Some(note) if setting.keys.is_empty() => note,
            _ if self.used.contains(&place) => return,
            _ => "no job sees it",
        };
        self.text.blank();
        self.text.comments(&setting.comments);
        self.text.note(setting.variable.line.text);
        self.text.note(&format!("left out: {why}"));
    }
}

/// What is written so far.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// One blank line, unless there is one or nothing to part.
    fn blank(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    fn comments(&mut self, comments: &[&str]) {
        for comment in comments {
            if comment.is_empty() { self.blank() } else { self.line(&shown(comment)) }
        }
    }

    fn note(&mut self, note: &str) {
        self.line(&format!("# {}", shown(note)));
    }

    fn end(self) -> String {
        let text = self.0.trim_end_matches('\n');
        if text.is_empty() { String::new() } else { format!("{text}\n") }
    }
}

/// A line as a comment can have it.
fn shown(line: &str) -> String {
    line.split('\t').map(visible).collect::<Vec<_>>().join("\t")
}
