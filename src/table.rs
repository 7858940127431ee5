//! The job table: every job as the daemon uses it, resolved and shared.
//!
//! Invariant: a table never changes. A reload makes another one; who still
//! holds a job of the old one finishes with it. What a job took from
//! `[defaults]` it shares with the others, so that a table of many thousand
//! jobs stays small.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::lease::grace_on_loss;
use crate::name::JobName;
use crate::schedule::{ScheduleSet, Zone, zone_data_version};
use crate::slot::SlotTime;

/// How late a job may start that does not say: until its next slot, and no more
/// than this.
pub const LONGEST_IMPLIED_WINDOW: Duration = Duration::from_secs(60);

/// One job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// When it is due.
    pub schedule: ScheduleSet,
    /// Its own zone or that of `[defaults]`: what `TZ` says, and in which its
    /// slots are shown. A schedule may have another one before its fields.
    pub timezone: Zone,
    /// What to run.
    pub work: Work,
    /// How long a run may take; none is no limit.
    pub timeout: Option<Duration>,
    /// How late a run may start; see [`Job::window`].
    pub start_within: Option<Duration>,
    /// How long its lease outlives a dead holder.
    pub lease_ttl: Duration,
    /// From TERM to KILL.
    pub kill_grace: Duration,
    /// Its variables, in order of name.
    pub env: Arc<[Variable]>,
    /// The user to run as, by name or number.
    pub user: Option<Arc<str>>,
    /// The group to run as, by name or number.
    pub group: Option<Arc<str>>,
    /// The directory to run in.
    pub cwd: Option<Arc<Path>>,
    /// Permissions that new files do not get.
    pub umask: Option<u32>,
    /// Exit codes that mean success, in order.
    pub success_codes: Arc<[u8]>,
    /// How many bytes of the end of its output the ledger keeps.
    pub output_limit: usize,
    /// Whether it runs by schedule.
    pub enabled: bool,
    /// Words to find it by, in order.
    pub tags: Arc<[Box<str>]>,
    /// Names its slots and windows.
    pub digest: ScheduleDigest,
}

impl Job {
    /// How late a run of `slot` may start: what the job says, or until its next
    /// slot and at most a minute.
    pub fn window(&self, slot: SlotTime) -> Duration {
        self.start_within.unwrap_or_else(|| {
            let next = self.schedule.next_after(slot);
            let gap = next.map(|next| next.unix_seconds() - slot.unix_seconds());
            let gap = gap.and_then(|seconds| u64::try_from(seconds).ok());
            gap.map_or(LONGEST_IMPLIED_WINDOW, |seconds| {
                Duration::from_secs(seconds).min(LONGEST_IMPLIED_WINDOW)
            })
        })
    }

    /// The grace that a run gets when its lease is lost: what is left of the
    /// lease must do.
    pub fn grace_on_lost_lease(&self) -> Duration {
        grace_on_loss(self.kill_grace, self.lease_ttl)
    }
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A program and its arguments; never empty.
    Command(Box<[Box<str>]>),
    /// A line for `/bin/sh -c`.
    Shell(Box<str>),
}

/// A variable of a job's environment. Its value may be a secret and is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: Box<str>,
    /// Its value, expanded.
    pub value: Box<str>,
    /// Whether the value came from this node's own environment or files. Nodes
    /// need not agree on such a value.
    pub local: bool,
}

impl Variable {
    /// A variable with the same value on every node.
    pub fn plain(name: &str, value: &str) -> Self {
        Self { name: name.into(), value: value.into(), local: false }
    }
}

impl fmt::Debug for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=***", self.name)
    }
}

/// Names the slots of a job and their windows: two nodes with the same digest
/// for a job plan the same slots with the same windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleDigest(u64);

impl ScheduleDigest {
    /// The digest `bits`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The digest of a job with this schedule and this `start_within`.
    pub fn of(schedule: &ScheduleSet, start_within: Option<Duration>) -> Self {
        let mut hash = Fingerprint::new("solocron schedule 1");
        // Neither the order nor a repetition makes a difference to the slots.
        let mut rules: Vec<String> =
            schedule.schedules().iter().map(|rule| rule.canonical()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules.iter().for_each(|rule| hash.text(rule));
        hash.duration(start_within);
        Self(u64::from_be_bytes(hash.finish()))
    }

    /// The digest as a number.
    pub fn value(self) -> u64 {
        self.0
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for ScheduleDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Names a whole table: nodes that publish different ones do not agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableDigest([u8; 8]);

/// 16 hexadecimal digits.
impl fmt::Display for TableDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// All jobs, in order of name.
#[derive(Debug, Clone)]
pub struct JobTable {
    jobs: Vec<Arc<Job>>,
    digest: TableDigest,
}

impl JobTable {
    /// The table of `jobs`. Of two jobs with one name the first stays.
    pub fn new(mut jobs: Vec<Arc<Job>>) -> Self {
        jobs.sort_by(|a, b| a.name.cmp(&b.name));
        jobs.dedup_by(|b, a| a.name == b.name);
        jobs.shrink_to_fit();
        let digest = digest(&jobs);
        Self { jobs, digest }
    }

    /// The job of this name.
    pub fn get(&self, name: &JobName) -> Option<&Arc<Job>> {
        let found = self.jobs.binary_search_by(|job| job.name.cmp(name));
        found.ok().map(|index| &self.jobs[index])
    }

    /// The place of the job of this name in the order of [`iter`](Self::iter).
    pub fn position(&self, name: &JobName) -> Option<usize> {
        self.jobs.binary_search_by(|job| job.name.cmp(name)).ok()
    }

    /// The jobs in order of name.
    pub fn iter(&self) -> std::slice::Iter<'_, Arc<Job>> {
        self.jobs.iter()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// What nodes with the same table have in common.
    pub fn digest(&self) -> TableDigest {
        self.digest
    }
}

/// The job at a place of the order of [`JobTable::iter`].
impl std::ops::Index<usize> for JobTable {
    type Output = Arc<Job>;

    fn index(&self, place: usize) -> &Arc<Job> {
        &self.jobs[place]
    }
}

/// The table without jobs.
impl Default for JobTable {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl<'a> IntoIterator for &'a JobTable {
    type Item = &'a Arc<Job>;
    type IntoIter = std::slice::Iter<'a, Arc<Job>>;

    fn into_iter(self) -> Self::IntoIter {
        self.jobs.iter()
    }
}

fn digest(jobs: &[Arc<Job>]) -> TableDigest {
    let mut hash = Fingerprint::new("solocron table 1");
    hash.text(zone_data_version());
    for job in jobs {
        add_job(&mut hash, job);
    }
    TableDigest(hash.finish())
}

/// Adds all that nodes must agree on, by exhaustive destructuring: a new key of
/// a job cannot be forgotten here.
fn add_job(hash: &mut Fingerprint, job: &Job) {
    let Job {
        name,
        schedule: _, // in the digest
        timezone,
        work,
        timeout,
        start_within: _, // in the digest
        lease_ttl,
        kill_grace,
        env,
        user,
        group,
        cwd,
        umask,
        success_codes,
        output_limit,
        enabled,
        tags,
        digest,
    } = job;
    hash.text(name.as_str());
    hash.bytes(&digest.0.to_be_bytes());
    hash.text(timezone.name());
    match work {
        Work::Command(words) => {
            hash.text("command");
            hash.list(words.iter().map(|word| &**word));
        }
        Work::Shell(line) => {
            hash.text("shell");
            hash.text(line);
        }
    }
    hash.duration(*timeout);
    hash.duration(Some(*lease_ttl));
    hash.duration(Some(*kill_grace));
    hash.list(env.iter().map(|variable| &*variable.name));
    hash.list(env.iter().map(|variable| if variable.local { "" } else { &*variable.value }));
    hash.list(user.as_deref());
    hash.list(group.as_deref());
    hash.list(cwd.iter().filter_map(|cwd| cwd.to_str()));
    hash.bytes(&umask.map_or(-1, i64::from).to_be_bytes());
    hash.bytes(success_codes);
    hash.bytes(&(*output_limit as u64).to_be_bytes());
    hash.bytes(&[u8::from(*enabled)]);
    hash.list(tags.iter().map(|tag| &**tag));
}

/// A hash over parts, each with its length, so that no two lists of parts are
/// the same bytes.
struct Fingerprint(Sha256);

impl Fingerprint {
    fn new(of: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.text(of);
        hash
    }

    fn bytes(&mut self, part: &[u8]) {
        self.0.update((part.len() as u64).to_be_bytes());
        self.0.update(part);
    }

    fn text(&mut self, part: &str) {
        self.bytes(part.as_bytes());
    }

    fn duration(&mut self, part: Option<Duration>) {
        match part {
            Some(part) => self.bytes(&part.as_nanos().to_be_bytes()),
            None => self.bytes(&[]),
        }
    }

    fn list<'a>(&mut self, parts: impl IntoIterator<Item = &'a str>) {
        let mut count: u64 = 0;
        for part in parts {
            self.text(part);
            count += 1;
        }
        self.bytes(&count.to_be_bytes());
    }

    fn finish(self) -> [u8; 8] {
        let full = self.0.finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&full[..8]);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, Overrides, load_text};

    /// A machine on which `$HOST` is what it is called.
    struct Machine(&'static str);

    impl Environment for Machine {
        fn var(&self, name: &str) -> Option<std::ffi::OsString> {
            Some(if name == "HOST" { self.0 } else { "/home/ada" }.into())
        }

        fn read(&self, _: &Path) -> std::io::Result<Vec<u8>> {
            Err(std::io::ErrorKind::NotFound.into())
        }

        fn host_name(&self) -> Option<std::ffi::OsString> {
            Some(self.0.into())
        }

        fn is_root(&self) -> bool {
            false
        }
    }

    fn table_on(machine: Machine, text: &str) -> JobTable {
        let loaded = load_text(Path::new("x.toml"), text, &Overrides::default(), &machine);
        loaded.unwrap_or_else(|errors| panic!("{errors}")).config.jobs
    }

    fn table(text: &str) -> JobTable {
        table_on(Machine("web-1"), text)
    }

    /// The only job of a table, with these keys beside what it runs.
    fn job(keys: &str) -> Arc<Job> {
        table(&format!("[jobs.a]\nshell = 'x'\n{keys}")).iter().next().unwrap().clone()
    }

    #[test]
    fn jobs_are_in_order_of_name_and_found_by_it() {
        let text = ["b", "a", "c", "B"]
            .map(|name| format!("[jobs.{name}]\nschedule = '@daily'\nshell = 'x'\n"))
            .concat();
        let table = table(&text);
        let names: Vec<_> = table.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["B", "a", "b", "c"]);
        for job in &table {
            assert!(Arc::ptr_eq(table.get(&job.name).unwrap(), job));
        }
        assert!(table.get(&JobName::new("d").unwrap()).is_none());
        assert!(JobTable::default().is_empty());
    }

    #[test]
    fn a_window_ends_with_the_next_slot_and_after_a_minute_at_most() {
        let at = |text: &str| text.parse::<SlotTime>().unwrap();
        let slot = at("2026-11-22T03:00:00Z");
        for (keys, seconds) in [
            ("schedule = '@every 10s'", 10),
            ("schedule = '* * * * *'", 60),
            ("schedule = '@daily'", 60),
            ("schedule = ['@daily', '30 0 3 * * *']", 30),
            ("schedule = '0 0 3 22 11 * 2026'", 60),
            ("schedule = '@every 10s'\nstart_within = '25s'", 25),
            ("schedule = '@daily'\nstart_within = '2h'", 7200),
        ] {
            assert_eq!(job(keys).window(slot), Duration::from_secs(seconds), "{keys}");
        }
    }

    #[test]
    fn the_grace_on_a_lost_lease_is_what_a_quarter_of_the_lease_leaves() {
        let grace = |keys| job(&format!("schedule = '@daily'\n{keys}")).grace_on_lost_lease();
        assert_eq!(grace(""), Duration::from_millis(7500));
        assert_eq!(grace("lease_ttl = '2m'"), Duration::from_secs(10));
        assert_eq!(grace("kill_grace = '1s'"), Duration::from_secs(1));
    }

    #[test]
    fn schedules_with_the_same_slots_and_windows_have_one_digest() {
        let digest = |keys: &str| job(keys).digest.to_string();
        let daily = digest("schedule = '0 0 * * *'");
        assert_eq!(daily.len(), 16);
        for same in [
            "schedule = '@daily'",
            "schedule = '0 0 0 * * *'",
            "schedule = ['@midnight', '0 0 * * *']",
            "schedule = 'CRON_TZ=UTC @daily'",
            "schedule = '@daily'\ntimezone = 'utc'\ntimeout = '1h'\nuser = 'ada'\nenabled = false",
        ] {
            assert_eq!(digest(same), daily, "{same}");
        }
        let two = digest("schedule = ['@daily', '@hourly']");
        assert_eq!(digest("schedule = ['@hourly', '@daily']"), two);
        for other in [
            "schedule = '@hourly'",
            "schedule = '@daily'\nstart_within = '1m'",
            "schedule = '@daily'\ntimezone = 'Europe/Berlin'",
            "schedule = ['@daily', '@hourly']",
        ] {
            assert_ne!(digest(other), daily, "{other}");
        }
    }

    #[test]
    fn the_digest_of_a_table_changes_with_everything_that_nodes_must_agree_on() {
        let base = "[jobs.a]\nschedule = '@daily'\n";
        let digest = |text: &str| table(text).digest().to_string();
        let mut seen = vec![digest(""), digest(&format!("{base}shell = 'x'"))];
        for keys in [
            "shell = 'y'",
            "command = ['x']",
            "command = ['x', 'y']",
            "command = ['x y']",
            "shell = 'x'\ntimezone = 'Europe/Berlin'",
            "shell = 'x'\ntimeout = '1s'",
            "shell = 'x'\nstart_within = '1s'",
            "shell = 'x'\nlease_ttl = '31s'",
            "shell = 'x'\nkill_grace = '1s'",
            "shell = 'x'\nenv = { A = '' }",
            "shell = 'x'\nenv = { A = 'b' }",
            "shell = 'x'\nenv = { AB = '' }",
            "shell = 'x'\nuser = 'a'",
            "shell = 'x'\ngroup = 'a'",
            "shell = 'x'\ncwd = '/a'",
            "shell = 'x'\numask = '0'",
            "shell = 'x'\nsuccess_codes = [1]",
            "shell = 'x'\noutput_limit = '1B'",
            "shell = 'x'\nenabled = false",
            "shell = 'x'\ntags = ['a']",
        ] {
            seen.push(digest(&format!("{base}{keys}")));
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn nodes_agree_also_when_each_puts_in_a_value_of_its_own() {
        let text = "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { ME = '${HOST}' }\n";
        let [one, two] = ["one", "two"].map(|host| table_on(Machine(host), text));
        assert_ne!(one.iter().next().unwrap().env, two.iter().next().unwrap().env);
        assert_eq!(one.digest(), two.digest());
    }

    #[test]
    fn the_value_of_a_variable_is_not_printed() {
        let job = job("schedule = '@daily'\nenv = { A = 'hunter2' }");
        assert!(format!("{job:?}").contains("A=***"));
        assert!(!format!("{job:?}").contains("hunter2"));
    }
}
