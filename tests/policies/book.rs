//! What the jobs themselves wrote, and what the ledger says, slot by slot.

use std::collections::BTreeMap;

use solocron::clock::{BootInstant, wall_now};

use solocron::slot::SlotTime;

pub(crate) use crate::harness::oracle::{Entry, instant};
use crate::harness::oracle::{Testimony, testimonies};
use crate::harness::site::{Site, TESTIFY};

/// A command that writes when it begins and when it has done `work`, and notes in
/// `overlaps` if another run of its job still lives: the lock is held by the run's
/// last process, and the kernel frees it.
pub(crate) fn witnessed(work: &str) -> String {
    format!(
        r#"exec 9>"lock-$SOLOCRON_JOB"; flock -n 9 || echo "$SOLOCRON_JOB $SOLOCRON_SLOT" >> overlaps; {TESTIFY}; {work}; read up _ < /proc/uptime; echo "$SOLOCRON_RUN_ID $up" >> ends"#
    )
}

/// The instant `at`, in seconds since 1970, as `/proc/uptime` has it.
pub(crate) fn uptime(at: f64) -> f64 {
    let (boot, wall) = (BootInstant::now().nanos() as f64 / 1e9, wall_now());
    at - wall.as_nanosecond() as f64 / 1e9 + boot
}

/// A run, as the job itself saw it.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) line: Testimony,
    /// When it had done its work, by the same clock; none when it was ended before.
    pub(crate) ended: Option<f64>,
}

impl Run {
    pub(crate) fn slot(&self) -> i64 {
        self.line.key.1
    }

    /// The slot as `SOLOCRON_SLOT` says it.
    pub(crate) fn slot_text(&self) -> String {
        SlotTime::from_unix_seconds(self.slot()).to_string()
    }

    pub(crate) fn begun(&self) -> f64 {
        self.line.up
    }

    /// The end of one that nobody cut short.
    pub(crate) fn end(&self) -> f64 {
        self.ended.unwrap_or_else(|| panic!("it was ended: {self:?}"))
    }
}

/// The runs of `job` so far, in the order in which they began.
pub(crate) fn runs(site: &Site, job: &str) -> Vec<Run> {
    let ends = site.lines("ends");
    let ends: BTreeMap<_, _> = ends.iter().filter_map(|line| line.split_once(' ')).collect();
    let lines = testimonies(&site.folder().join("testimony"));
    let mut runs: Vec<_> = lines
        .into_iter()
        .filter(|line| line.key.0 == job)
        .map(|line| {
            let end = ends.get(line.run_id.as_str());
            let ended = end.map(|up| up.parse().expect("the boot clock is a number"));
            Run { line, ended }
        })
        .collect();
    runs.sort_by(|a, b| a.begun().total_cmp(&b.begun()));
    runs
}

/// The ledger's entries of `job`, oldest first.
pub(crate) fn entries(site: &Site, job: &str) -> Vec<Entry> {
    // (Asked for one job, it wants that to be in the table.)
    let history = site.ask(&["history", "--format", "json", "--limit", "1000000"]);
    let mut entries: Vec<Entry> = serde_json::from_str(&history).expect("history prints JSON");
    entries.retain(|entry| entry.job == job);
    entries.reverse();
    entries
}

/// Now, in seconds since 1970.
pub(crate) fn now() -> f64 {
    wall_now().as_nanosecond() as f64 / 1e9
}
