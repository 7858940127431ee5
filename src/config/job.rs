//! `[defaults]` and `[jobs.NAME]`: from what the files say to [`Job`]s.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::call;
use super::catalogue::{self as preset, DEFAULTS, JOB};
use super::diagnostics::{Report, Spot};
use super::duration::Human;
use super::excerpt::cited;
use super::notify::{Directory, Wishes};
use super::policies;
use super::reader::Reader;
use super::value::{Quoted, Value};
use crate::alert::Alerts;
use crate::name::JobName;
use crate::schedule::{Context, Schedule, ScheduleSet, Zone};
use crate::table::{Job, ScheduleDigest, Variable, Work};

/// What one table says, before defaults.
#[derive(Default)]
struct Settings<'v> {
    schedules: Vec<Quoted<'v>>,
    work: Option<Work>,
    timezone: Option<Zone>,
    timeout: Option<Duration>,
    start_within: Option<Duration>,
    lease_ttl: Option<(Duration, Spot)>,
    kill_grace: Option<(Duration, Spot)>,
    env: Option<Arc<[Variable]>>,
    user: Option<Arc<str>>,
    group: Option<Arc<str>>,
    cwd: Option<Arc<Path>>,
    umask: Option<u32>,
    success_codes: Option<Arc<[u8]>>,
    output_limit: Option<usize>,
    enabled: Option<bool>,
    tags: Option<Arc<[Box<str>]>>,
    policies: policies::Settings,
    alerts: Wishes,
}

impl<'v> Settings<'v> {
    fn set(&mut self, reader: &mut Reader<'_>, name: &str, value: Value<'v>, at: Spot) {
        match (name, value) {
            ("schedule", Value::Schedules(texts)) => self.schedules = texts,
            ("command", Value::Words(words)) => {
                self.work = Some(Work::Command(words.into_iter().map(Box::from).collect()));
            }
            ("shell", Value::Text(line)) => self.work = Some(Work::Shell(line.into())),
            ("http", Value::Table(_, table)) => {
                self.work = call::call(reader, table, &at).map(|call| Work::Http(call.into()));
            }
            ("timezone", Value::Zone(zone)) => self.timezone = Some(zone),
            ("timeout", Value::Duration(value)) => self.timeout = Some(value),
            ("start_within", Value::Duration(value)) => self.start_within = Some(value),
            ("lease_ttl", Value::Duration(value)) => self.lease_ttl = Some((value, at)),
            ("kill_grace", Value::Duration(value)) => self.kill_grace = Some((value, at)),
            ("env", Value::Variables(variables)) => {
                // The tables of several [defaults] cannot meet here: a key is set once.
                self.env = Some(variables.into());
            }
            ("user", Value::Text(name)) => self.user = Some(name.into()),
            ("group", Value::Text(name)) => self.group = Some(name.into()),
            ("cwd", Value::Text(path)) => self.cwd = Some(Path::new(path).into()),
            ("umask", Value::Mode(mode)) => self.umask = Some(mode),
            ("success_codes", Value::Codes(codes)) => self.success_codes = Some(codes.into()),
            ("output_limit", Value::Size(bytes)) => self.output_limit = usize::try_from(bytes).ok(),
            ("enabled", Value::Switch(on)) => self.enabled = Some(on),
            ("tags", Value::Words(words)) => {
                self.tags = Some(words.into_iter().map(Box::from).collect());
            }
            (name, value) if Wishes::has(name) => self.alerts.set(reader, name, value, at),
            (name, value) => self.policies.set(reader, name, value, at),
        }
    }
}

/// What holds for every job that does not say otherwise.
pub(crate) struct Defaults<'v> {
    given: Settings<'v>,
    timezone: Zone,
    success_codes: Arc<[u8]>,
    no_variables: Arc<[Variable]>,
    no_tags: Arc<[Box<str>]>,
    policies: policies::Shared,
    alerts: Arc<Alerts>,
    directory: Directory,
}

impl<'v> Defaults<'v> {
    pub(crate) fn new() -> Self {
        Self {
            given: Settings::default(),
            timezone: Zone::utc(),
            success_codes: preset::SUCCESS_CODES.into(),
            no_variables: Arc::from([]),
            no_tags: Arc::from([]),
            policies: policies::Shared::new(),
            alerts: Arc::default(),
            directory: Directory::default(),
        }
    }

    /// Reads `[defaults]` of one source.
    pub(crate) fn read(&mut self, reader: &mut Reader<'_>, table: &'v DeTable<'v>) {
        for entry in reader.entries(&DEFAULTS, table) {
            let at = reader.spot(entry.span);
            self.given.set(reader, entry.key.name, entry.value, at);
        }
        if let Some(zone) = &self.given.timezone {
            self.timezone = zone.clone();
        }
        self.policies.default_to(std::mem::take(&mut self.given.policies));
    }

    /// The channels that jobs may name, now that all files are read.
    pub(crate) fn know(&mut self, directory: Directory, report: &mut Report) {
        self.directory = directory;
        let given = std::mem::take(&mut self.given.alerts);
        self.alerts = given.over(&self.alerts, &mut self.directory, report);
    }

    /// Says which of them no job names.
    pub(crate) fn check_channels(&self, report: &mut Report) {
        self.directory.check(report);
    }

    /// Says where the defaults shorten a grace, once for all jobs.
    pub(crate) fn check(&self, report: &mut Report) {
        if let Some((grace, at)) = &self.given.kill_grace {
            let ttl = self.given.lease_ttl.as_ref().map_or(preset::LEASE_TTL, |(ttl, _)| *ttl);
            shortened_grace(report, *grace, ttl, at);
        }
    }

    /// The job of this name; none when something is wrong with it, which is reported.
    pub(crate) fn job<'j>(
        &mut self,
        reader: &mut Reader<'_>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        value: &'j Spanned<DeValue<'j>>,
    ) -> Option<Job> {
        let job_name = match JobName::new(name.get_ref()) {
            Ok(job_name) => Some(job_name),
            Err(error) => {
                let message =
                    format!("a job cannot be called \"{}\": {error}", cited(name.get_ref()));
                reader.error(name.span(), message);
                None
            }
        };
        let DeValue::Table(table) = value.get_ref() else {
            reader
                .error(value.span(), format!("the job `{}` is not a table", cited(name.get_ref())))
                .help("write [jobs.NAME] and its keys below");
            return None;
        };
        reader.job.clear();
        reader.job.push_str(name.get_ref());
        let mut own = Settings::default();
        for entry in reader.entries(&JOB, table) {
            let at = reader.spot(entry.span);
            own.set(reader, entry.key.name, entry.value, at);
        }
        self.check_work(reader, name, table);
        if table.contains_key("http") {
            call::check_keys(reader, table);
        }
        let schedule = self.schedule(reader, job_name.as_ref(), &own, name, table);
        let (lease_ttl, kill_grace) = self.times(reader, &own);
        let policies = self.policies.of_job(reader.report, own.policies, schedule.as_ref());
        if let Some(at) = own.alerts.expects_in_vain(&self.alerts) {
            reader
                .report
                .warning(at, "`expect_every` has no effect: nobody is told")
                .help("write on_failure = [\"NAME\"] beside it, with a channel [notify.NAME]");
        }
        let alerts = own.alerts.over(&self.alerts, &mut self.directory, reader.report);
        let (name, schedule, work) = (job_name?, schedule?, own.work?);
        let given = &self.given;
        let start_within = own.start_within.or(given.start_within);
        Some(Job {
            digest: ScheduleDigest::of(&schedule, start_within, policies.jitter),
            name,
            schedule,
            timezone: own.timezone.unwrap_or_else(|| self.timezone.clone()),
            work,
            timeout: own.timeout.or(given.timeout),
            start_within,
            lease_ttl,
            kill_grace,
            env: self.variables(own.env),
            user: own.user.or_else(|| given.user.clone()),
            group: own.group.or_else(|| given.group.clone()),
            cwd: own.cwd.or_else(|| given.cwd.clone()),
            umask: own.umask.or(given.umask),
            success_codes: own.success_codes.unwrap_or_else(|| {
                given.success_codes.as_ref().unwrap_or(&self.success_codes).clone()
            }),
            output_limit: own
                .output_limit
                .or(given.output_limit)
                .unwrap_or(preset::OUTPUT_LIMIT as usize),
            enabled: own.enabled.or(given.enabled).unwrap_or(true),
            tags: own.tags.unwrap_or_else(|| given.tags.as_ref().unwrap_or(&self.no_tags).clone()),
            policies,
            alerts,
        })
    }

    /// Exactly one of `command`, `shell` and `http`.
    fn check_work(
        &self,
        reader: &mut Reader<'_>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        table: &DeTable<'_>,
    ) {
        let shown = cited(name.get_ref());
        let mut places: Vec<_> = ["command", "shell", "http"]
            .into_iter()
            .filter_map(|work| table.get_key_value(work))
            .map(|(key, _)| (key.get_ref().as_ref(), key.span()))
            .collect();
        places.sort_by_key(|(_, span)| span.start);
        match places.as_slice() {
            [] => {
                let finding =
                    reader.error(name.span(), format!("the job `{shown}` has nothing to run"));
                finding.absence = true;
                finding.help(
                    "give it a `command` (a list of words), a `shell` (a line) or `http` (a request)",
                );
            }
            [_] => {}
            [(first, first_span), others @ ..] => {
                let first_at = reader.spot(first_span.clone());
                for (other, span) in others {
                    let message =
                        format!("the job `{shown}` has a `{first}` already, so no `{other}`");
                    reader
                        .error(span.clone(), message)
                        .help("a job has exactly one of `command`, `shell` and `http`")
                        .related("the other one is at", first_at.clone());
                }
            }
        }
    }

    fn schedule(
        &self,
        reader: &mut Reader<'_>,
        job: Option<&JobName>,
        own: &Settings<'_>,
        name: &Spanned<std::borrow::Cow<'_, str>>,
        table: &DeTable<'_>,
    ) -> Option<ScheduleSet> {
        if !table.contains_key("schedule") {
            let message = format!("the job `{}` has no schedule", cited(name.get_ref()));
            let finding = reader.error(name.span(), message);
            finding.absence = true;
            finding.help("write schedule = \"0 3 * * *\" for three o'clock each night");
            return None;
        }
        let context =
            Context { job, timezone: own.timezone.as_ref(), default_timezone: &self.timezone };
        let mut schedules = Vec::with_capacity(own.schedules.len());
        for text in &own.schedules {
            match Schedule::parse(text.text, &context) {
                Ok(schedule) => {
                    if schedule.is_never() {
                        let at = reader.spot(text.span());
                        reader
                            .report
                            .warning(at, "this schedule never comes: there is no such date");
                    }
                    schedules.push(schedule);
                }
                // A bad name has been reported and is why `H` finds no job.
                Err(_) if job.is_none() => {}
                Err(error) => {
                    let span = if error.span.is_empty() {
                        text.span()
                    } else {
                        text.part(error.span.clone())
                    };
                    let finding = reader.error(span, format!("`schedule`: {}", error.message));
                    finding.help.extend(error.help);
                }
            }
        }
        let complete = schedules.len() == own.schedules.len() && !schedules.is_empty();
        complete.then(|| ScheduleSet::new(schedules))
    }

    /// The lease's TTL and the grace.
    fn times(&self, reader: &mut Reader<'_>, own: &Settings<'_>) -> (Duration, Duration) {
        let ttl = own.lease_ttl.as_ref().or(self.given.lease_ttl.as_ref());
        let ttl = ttl.map_or(preset::LEASE_TTL, |(ttl, _)| *ttl);
        let grace = own.kill_grace.as_ref().or(self.given.kill_grace.as_ref());
        if let Some((grace, _)) = grace
            && let Some((_, at)) = own.kill_grace.as_ref().or(own.lease_ttl.as_ref())
        {
            shortened_grace(reader.report, *grace, ttl, at);
        }
        (ttl, grace.map_or(preset::KILL_GRACE, |(grace, _)| *grace))
    }

    /// The variables of a job: its own, and of the defaults' those that it does not set.
    fn variables(&self, own: Option<Arc<[Variable]>>) -> Arc<[Variable]> {
        let common = self.given.env.as_ref().unwrap_or(&self.no_variables);
        let own = match own {
            Some(own) if !own.is_empty() => own,
            _ => return common.clone(),
        };
        if common.is_empty() {
            return own;
        }
        let is_own = |name: &str| own.iter().any(|variable| &*variable.name == name);
        let inherited = common.iter().filter(|variable| !is_own(&variable.name));
        let mut all: Vec<Variable> = inherited.chain(own.iter()).cloned().collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.into()
    }
}

fn shortened_grace(report: &mut Report, grace: Duration, ttl: Duration, at: &Spot) {
    if grace <= ttl / 4 {
        return;
    }
    let quarter = ttl / 4;
    let left = if quarter.subsec_millis() > 0 && quarter < Duration::from_secs(60) {
        format!("{}s", quarter.as_secs_f64())
    } else {
        Human(quarter).to_string()
    };
    let message = format!(
        "on losing the lease the grace is shortened to min(kill_grace, lease_ttl/4) = {left}"
    );
    report.warning(at.clone(), message).help(format!(
        "a `lease_ttl` of {} would leave all of the {}",
        Human(grace * 4),
        Human(grace)
    ));
}
