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

use crate::alert::Alerts;
use crate::clock::ClusterTime;
use crate::lease::grace_on_loss;
use crate::name::{JobName, NodeName};
use crate::policy::{OnCrash, Policies, jitter};
use crate::schedule::{ScheduleSet, Zone};
use crate::slot::SlotTime;

mod call;
mod digest;

pub use call::{Call, Piece, RunText, RunVariable, percent_encoded};
pub use digest::{JobDigest, ScheduleDigest, TableDigest};

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
    /// What it wants when a slot cannot simply run.
    pub policies: Arc<Policies>,
    /// Whom its alerts go to.
    pub alerts: Arc<Alerts>,
    /// Names its slots and windows.
    pub digest: ScheduleDigest,
}

impl Job {
    /// How long after it is [`due`](Self::due) a run of `slot` may start: what the
    /// job says, or as long as until its next slot and at most a minute.
    pub fn window(&self, slot: SlotTime) -> Duration {
        self.start_within.unwrap_or_else(|| {
            self.gap_after(slot)
                .map_or(LONGEST_IMPLIED_WINDOW, |gap| gap.min(LONGEST_IMPLIED_WINDOW))
        })
    }

    /// When a run of `slot` may start at the earliest: at the slot, and with a
    /// `jitter` as much later as [`jitter::delay`] says.
    ///
    /// No slot is due later than the next one comes, so a job's slots become due
    /// in their order.
    pub fn due(&self, slot: SlotTime) -> ClusterTime {
        let most = self.policies.jitter;
        if most.is_zero() {
            return slot.cluster_time();
        }
        let most = self.gap_after(slot).map_or(most, |gap| gap.min(most));
        slot.cluster_time() + jitter::delay(&self.name, slot, most)
    }

    /// The last instant at which a run of `slot` may start: when it was due, and
    /// its [`window`](Self::window).
    pub fn closes(&self, slot: SlotTime) -> ClusterTime {
        self.due(slot) + self.window(slot)
    }

    /// How long after a slot its start window closes at the latest.
    pub fn reach(&self) -> Duration {
        self.start_within.unwrap_or(LONGEST_IMPLIED_WINDOW) + self.policies.jitter
    }

    /// How often a slot may be taken over from a node that was lost.
    pub fn takeovers(&self) -> u32 {
        match self.policies.on_crash {
            OnCrash::Takeover => self.policies.max_takeovers,
            OnCrash::Skip => 0,
        }
    }

    /// How long after `slot` the next one comes; none when it is the last.
    fn gap_after(&self, slot: SlotTime) -> Option<Duration> {
        let next = self.schedule.next_after(slot)?;
        u64::try_from(next.unix_seconds() - slot.unix_seconds()).ok().map(Duration::from_secs)
    }

    /// Whether `node` is one of those that may run it.
    pub fn may_run_on(&self, node: &NodeName) -> bool {
        self.policies.nodes.allow(node)
    }

    /// The grace that a run gets when its lease is lost: what is left of the
    /// lease must do.
    pub fn grace_on_lost_lease(&self) -> Duration {
        grace_on_loss(self.kill_grace, self.lease_ttl)
    }

    /// What nodes with the same job have in common. It is computed anew each
    /// time: a node needs it of all its jobs only to say which of them differ.
    pub fn fingerprint(&self) -> JobDigest {
        JobDigest::of(self)
    }
}

/// What a job runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Work {
    /// A program and its arguments; never empty.
    Command(Box<[Box<str>]>),
    /// A line for `/bin/sh -c`.
    Shell(Box<str>),
    /// A request over HTTP.
    Http(Box<Call>),
}

impl Work {
    /// The key of the config that says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Command(_) => "command",
            Self::Shell(_) => "shell",
            Self::Http(_) => "http",
        }
    }
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
        let digest = TableDigest::of(&jobs);
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::{Environment, Overrides, load_text};

    /// A machine on which `$HOST` is what it is called.
    pub(super) struct Machine(pub(super) &'static str);

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

    pub(super) fn table_on(machine: Machine, text: &str) -> JobTable {
        let loaded = load_text(Path::new("x.toml"), text, &Overrides::default(), &machine);
        loaded.unwrap_or_else(|errors| panic!("{errors}")).config.jobs
    }

    pub(super) fn table(text: &str) -> JobTable {
        table_on(Machine("web-1"), text)
    }

    /// The only job of a table, with these keys beside what it runs.
    pub(crate) fn job(keys: &str) -> Arc<Job> {
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
    fn without_a_jitter_a_slot_is_due_as_it_comes_and_closes_with_its_window() {
        let job = job("schedule = '@every 10s'");
        let slot = SlotTime::from_unix_seconds(40);
        assert_eq!(job.due(slot), slot.cluster_time());
        assert_eq!(job.closes(slot), slot.cluster_time() + Duration::from_secs(10));
    }

    #[test]
    fn a_jitter_moves_the_window_of_a_slot_and_keeps_its_length() {
        let slot: SlotTime = "2026-11-22T03:00:00Z".parse().unwrap();
        for (keys, most, window) in [
            ("schedule = '@daily'\njitter = '1h'", 3600, 60),
            ("schedule = '@daily'\njitter = '1h'\nstart_within = '5m'", 3600, 300),
            // Cut where the next slot comes sooner.
            ("schedule = '@every 10s'\njitter = '1h'", 10, 10),
            // The last slot of all has no next one.
            ("schedule = '0 0 3 22 11 * 2026'\njitter = '1h'", 3600, 60),
        ] {
            let job = job(keys);
            let delay = jitter::delay(&job.name, slot, Duration::from_secs(most));
            assert!(!delay.is_zero(), "{keys}");
            assert_eq!(job.due(slot), slot.cluster_time() + delay, "{keys}");
            assert_eq!(job.closes(slot), job.due(slot) + Duration::from_secs(window), "{keys}");
        }
    }

    #[test]
    fn slots_become_due_in_their_order_whatever_the_jitter() {
        for (schedule, jitter) in [
            ("* * * * * *", "24h"),
            ("@every 7s", "10s"),
            ("0 0 * * *", "24h"),
            ("*/5 8,9 * * *", "1h"),
        ] {
            let job = job(&format!("schedule = '{schedule}'\njitter = '{jitter}'"));
            let mut slot = SlotTime::from_unix_seconds(1_700_000_000);
            for _ in 0..500 {
                let next = job.schedule.next_after(slot).unwrap();
                assert!(
                    job.due(slot) < next.cluster_time() && next.cluster_time() <= job.due(next)
                );
                slot = next;
            }
        }
    }

    #[test]
    fn a_job_runs_on_the_nodes_that_it_names_and_else_on_all() {
        let node = |name| NodeName::new(name).unwrap();
        let some = job("schedule = '@daily'\nnodes = ['web-*', 'db-1']");
        assert!(some.may_run_on(&node("web-7")) && some.may_run_on(&node("db-1")));
        assert!(!some.may_run_on(&node("db-2")));
        assert!(job("schedule = '@daily'").may_run_on(&node("db-2")));
    }

    #[test]
    fn the_value_of_a_variable_is_not_printed() {
        let job = job("schedule = '@daily'\nenv = { A = 'hunter2' }");
        assert!(format!("{job:?}").contains("A=***"));
        assert!(!format!("{job:?}").contains("hunter2"));
    }
}
