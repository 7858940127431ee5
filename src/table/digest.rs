//! Digests, by which nodes find out without talking whether they agree: on a
//! job's slots and windows, on a whole job, on the whole table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Call, Job, Work};
use crate::alert::Alerts;
use crate::policy::{CatchUp, Policies, Retry};
use crate::schedule::{ScheduleSet, zone_data_version};

/// Names the slots of a job and their windows: two nodes with the same digest
/// for a job plan the same slots with the same windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScheduleDigest(u64);

impl ScheduleDigest {
    /// The digest `bits`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The digest of a job with this schedule, this `start_within`, and this
    /// `jitter`, which moves its windows.
    pub fn of(schedule: &ScheduleSet, start_within: Option<Duration>, jitter: Duration) -> Self {
        let mut hash = Fingerprint::new("solocron schedule 1");
        // Neither the order nor a repetition makes a difference to the slots.
        let mut rules: Vec<String> =
            schedule.schedules().iter().map(|rule| rule.canonical()).collect();
        rules.sort_unstable();
        rules.dedup();
        rules.iter().for_each(|rule| hash.text(rule));
        hash.duration(start_within);
        // Without one the digest is what it was before there was any jitter, and
        // the cursors in the store go on.
        if !jitter.is_zero() {
            hash.duration(Some(jitter));
        }
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

/// Names a job with all that nodes must agree on: of two nodes with different
/// tables it shows in which jobs they differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobDigest([u8; 8]);

impl JobDigest {
    pub(super) fn of(job: &Job) -> Self {
        let mut hash = Fingerprint::new("solocron job 1");
        add_job(&mut hash, job);
        Self(hash.finish())
    }

    /// The digest of these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The digest as bytes.
    pub const fn bytes(self) -> [u8; 8] {
        self.0
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for JobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Names a whole table: nodes that publish different ones do not agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TableDigest([u8; 8]);

impl TableDigest {
    pub(super) fn of(jobs: &[Arc<Job>]) -> Self {
        let mut hash = Fingerprint::new("solocron table 1");
        hash.text(zone_data_version());
        for job in jobs {
            hash.bytes(&JobDigest::of(job).bytes());
        }
        Self(hash.finish())
    }
}

/// 16 hexadecimal digits.
impl fmt::Display for TableDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
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
        policies,
        alerts,
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
        Work::Http(call) => {
            let Call { method, url, headers, body, expect, ca } = &**call;
            hash.text("http");
            hash.text(method.as_str());
            hash.text(&url.common());
            hash.list(headers.iter().map(|(name, _)| name.as_str()));
            let values: Vec<_> = headers.iter().map(|(_, value)| value.common()).collect();
            hash.list(values.iter().map(String::as_str));
            hash.text(&body.common());
            expect.iter().for_each(|status| hash.number(u32::from(*status)));
            hash.list(ca.iter().filter_map(|ca| ca.to_str()));
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
    add_policies(hash, policies);
    add_alerts(hash, alerts);
}

/// As [`add_job`], of whom its alerts go to: nodes name the same channels, and how these
/// are reached is the business of each.
fn add_alerts(hash: &mut Fingerprint, alerts: &Alerts) {
    let Alerts { on_failure, on_recovery, on_missed, on_takeover, expect_every } = alerts;
    // Without any, the digest is what it was before there were alerts.
    if alerts.is_silent() && expect_every.is_none() {
        return;
    }
    for channels in [on_failure, on_recovery, on_missed, on_takeover] {
        hash.list(channels.iter().map(|channel| &*channel.name));
    }
    hash.duration(*expect_every);
}

/// As [`add_job`], of the policies.
fn add_policies(hash: &mut Fingerprint, policies: &Policies) {
    let Policies {
        overlap,
        on_crash,
        max_takeovers,
        catch_up: CatchUp { policy, window, limit },
        retry: Retry { attempts, backoff, min, max },
        jitter: _, // in the digest
        nodes,
    } = policies;
    hash.text(overlap.as_str());
    hash.text(on_crash.as_str());
    hash.number(*max_takeovers);
    hash.text(policy.as_str());
    hash.duration(Some(*window));
    hash.number(*limit);
    hash.number(*attempts);
    hash.text(backoff.as_str());
    hash.duration(Some(*min));
    hash.duration(Some(*max));
    hash.list(nodes.iter().map(|pattern| pattern.as_str()));
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

    fn number(&mut self, part: u32) {
        self.bytes(&part.to_be_bytes());
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
    use super::super::tests::{Machine, job, table, table_on};

    /// Cursors in the store are kept by it.
    #[test]
    fn the_digest_of_a_job_without_jitter_never_changes() {
        for (keys, expected) in [
            ("schedule = '@daily'", "7929824b72f6f85b"),
            ("schedule = ['@every 10s', '0 3 * * MON']\nstart_within = '90s'", "e4cdf01fddf55caf"),
        ] {
            assert_eq!(job(keys).digest.to_string(), expected, "{keys}");
        }
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
            "schedule = '@daily'\njitter = '0s'\noverlap = 'wait'\nnodes = ['web-*']",
        ] {
            assert_eq!(digest(same), daily, "{same}");
        }
        let two = digest("schedule = ['@daily', '@hourly']");
        assert_eq!(digest("schedule = ['@hourly', '@daily']"), two);
        for other in [
            "schedule = '@hourly'",
            "schedule = '@daily'\nstart_within = '1m'",
            "schedule = '@daily'\njitter = '1m'",
            "schedule = '@daily'\njitter = '2m'",
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
            "shell = 'x'\noverlap = 'allow'",
            "shell = 'x'\noverlap = 'wait'",
            "shell = 'x'\noverlap = 'replace'",
            "shell = 'x'\non_crash = 'skip'",
            "shell = 'x'\nmax_takeovers = 4",
            "shell = 'x'\ncatch_up = 'latest'",
            "shell = 'x'\ncatch_up = 'all'",
            "shell = 'x'\ncatch_up_window = '2h'",
            "shell = 'x'\ncatch_up_limit = 4",
            "shell = 'x'\nretry = { attempts = 2 }",
            "shell = 'x'\nretry = { attempts = 4 }",
            "shell = 'x'\nretry = { backoff = 'constant' }",
            "shell = 'x'\nretry = { min = '6s' }",
            "shell = 'x'\nretry = { max = '6m' }",
            "shell = 'x'\njitter = '1s'",
            "shell = 'x'\nnodes = ['a']",
            "shell = 'x'\nnodes = ['a', 'b']",
        ] {
            seen.push(digest(&format!("{base}{keys}")));
        }
        let count = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn the_fingerprints_of_two_tables_show_in_which_jobs_they_differ() {
        let fingerprints = |limit: &str| -> Vec<String> {
            let jobs = ["a", "b", "c"].map(|name| {
                let limit = if name == "b" { limit } else { "1m" };
                format!("[jobs.{name}]\nschedule = '@daily'\nshell = 'x'\ntimeout = '{limit}'\n")
            });
            table(&jobs.concat()).iter().map(|job| job.fingerprint().to_string()).collect()
        };
        let [one, two] = ["1m", "2m"].map(fingerprints);
        assert_eq!((&one[0], &one[2]), (&two[0], &two[2]));
        assert_ne!(one[1], two[1]);
        assert!(one[0] != one[1] && one[0].len() == 16, "{one:?}");
    }

    #[test]
    fn nodes_agree_also_when_each_puts_in_a_value_of_its_own() {
        let text = "[jobs.a]\nschedule = '@daily'\nshell = 'x'\nenv = { ME = '${HOST}' }\n";
        let [one, two] = ["one", "two"].map(|host| table_on(Machine(host), text));
        assert_ne!(one.iter().next().unwrap().env, two.iter().next().unwrap().env);
        assert_eq!(one.digest(), two.digest());
    }
}
