//! What a run of chaos found, as a table in Markdown and as the story of each slot that went
//! wrong.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use solocron::clock::{BootInstant, wall_now};

use crate::harness::node::Logged;
use crate::harness::oracle::{Entry, Evidence, Key, written};
use crate::judge::{Breach, Verdict};
use crate::plan::Ground;
use crate::scene::{Diary, Scene};

/// How much of what was done is told about a slot, before it and after.
const AROUND: f64 = 30.0;
/// So many stories of each kind are told.
const STORIES: usize = 3;

/// One store's part.
pub(crate) struct Row {
    pub(crate) ground: Ground,
    pub(crate) verdict: Verdict,
    pub(crate) counts: BTreeMap<&'static str, usize>,
    pub(crate) surprises: Vec<String>,
    /// The stories of what went wrong.
    pub(crate) stories: String,
}

impl Row {
    pub(crate) fn faults(&self) -> usize {
        self.counts.values().sum()
    }

    pub(crate) fn is_good(&self) -> bool {
        self.verdict.is_kept() && self.surprises.is_empty()
    }
}

/// What there is to say of the whole run.
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) length: Duration,
    pub(crate) may_mount: bool,
    pub(crate) rows: Vec<Row>,
}

impl Report {
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        let minutes = self.length.as_secs_f64() / 60.0;
        let _ = writeln!(
            text,
            "Chaos of {}: seed {}, {minutes:.1} minutes on each store; {} slots, {} faults.\nsolocron {}; {}; {}.\n",
            wall_now().strftime("%Y-%m-%d"),
            self.seed,
            self.rows.iter().map(|row| row.verdict.due).sum::<usize>(),
            self.rows.iter().map(Row::faults).sum::<usize>(),
            version(),
            redis(),
            machine(),
        );
        self.slots(&mut text);
        self.faults(&mut text);
        text
    }

    fn slots(&self, text: &mut String) {
        text.push_str(
            "| store | slots due | run once | after takeover | after hand-over | abandoned | missed: \
             overlap | late | store_down | no_node | **run twice** | **overlapping** | **lost \
             silently** | **unsettled** | **wrong account** |\n|---|",
        );
        text.push_str(&"--:|".repeat(14));
        text.push('\n');
        for row in &self.rows {
            let verdict = &row.verdict;
            let missed = |reason: &str| verdict.missed.get(reason).copied().unwrap_or(0);
            let figures = [
                verdict.due,
                verdict.once,
                verdict.after_takeover,
                verdict.after_handover,
                verdict.abandoned,
                missed("overlap"),
                missed("late"),
                missed("store_down"),
                missed("no_node"),
            ];
            let _ = write!(text, "| {} |", row.ground.name());
            for figure in figures.into_iter().chain(Breach::ALL.map(|it| verdict.count(it))) {
                let _ = write!(text, " {figure} |");
            }
            text.push('\n');
        }
        text.push('\n');
    }

    fn faults(&self, text: &mut String) {
        let mut kinds: Vec<_> = self.rows.iter().flat_map(|row| row.counts.keys()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let names: Vec<_> = self.rows.iter().map(|row| row.ground.name()).collect();
        let _ = writeln!(text, "| fault | {} |", names.join(" | "));
        let _ = writeln!(text, "|---|{}", "--:|".repeat(self.rows.len()));
        for kind in kinds {
            let counts = self.rows.iter().map(|row| row.counts.get(kind).copied().unwrap_or(0));
            let counts: Vec<_> = counts.map(|count| count.to_string()).collect();
            let _ = writeln!(text, "| {kind} | {} |", counts.join(" | "));
        }
        if !self.may_mount {
            text.push_str("\nNo disk was full: this machine lets nobody mount one.\n");
        }
    }
}

/// Of the program, with what was changed since.
fn version() -> String {
    let described = said("git", &["describe", "--always", "--dirty", "--tags"]);
    format!("{} ({})", env!("CARGO_PKG_VERSION"), described.trim())
}

fn redis() -> String {
    let about = said("redis-server", &["--version"]);
    let version = about.split(' ').find_map(|word| word.strip_prefix("v="));
    format!("Redis {}", version.unwrap_or("?"))
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.map_or("an unknown processor", |(_, model)| model);
    format!("{cores} cores of {model}, Linux {}", kernel.trim())
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

/// The stories of the first slots of each kind that went wrong, from all logs.
pub(crate) fn stories(
    verdict: &Verdict,
    mut evidence: Evidence,
    diary: &Diary,
    logs: &[(String, PathBuf)],
) -> String {
    let mut text = String::new();
    let mut keys: Vec<&Key> = Vec::new();
    for (breach, faults) in &verdict.broken {
        for (key, what) in faults.iter().take(STORIES) {
            let _ = writeln!(text, "{}: {}: {what}", breach.name(), written(key));
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    evidence.logs = logs.iter().map(|(node, file)| (node.clone(), records(file, &keys))).collect();
    for key in keys {
        text += &evidence.story(key);
        let _ = writeln!(text, "what was done meanwhile (seconds after the slot):");
        let due = key.1 as f64 - since_boot();
        for (at, line) in &diary.lines {
            let after = at.nanos() as f64 / 1e9 - due;
            if after.abs() < AROUND {
                let _ = writeln!(text, "{after:8.2} {line}");
            }
        }
    }
    text
}

/// What the wall clock is ahead of the boot clock.
fn since_boot() -> f64 {
    wall_now().as_millisecond() as f64 / 1e3 - BootInstant::now().nanos() as f64 / 1e9
}

/// The records of a log that are about one of these slots.
fn records(file: &Path, keys: &[&Key]) -> Vec<Logged> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let wanted: Vec<_> = keys
        .iter()
        .map(|key| (key.0.as_str(), written(key).split_once('@').expect("a slot").1.to_owned()))
        .collect();
    let records = text.lines().filter_map(|line| {
        let is_near = |(_, slot): &(&str, String)| line.contains(slot.as_str());
        let record: Value =
            wanted.iter().any(is_near).then(|| serde_json::from_str(line).ok())??;
        let is_it =
            |(job, slot): &(&str, String)| record["job"] == *job && record["slot"] == **slot;
        wanted.iter().any(is_it).then_some(record)
    });
    records.map(|record| Logged { at: BootInstant::from_nanos(0), record }).collect()
}

/// Keeps what there is to read of a run that went wrong; where.
pub(crate) fn keep(scene: &Scene, ledger: &[Entry]) -> PathBuf {
    let started = wall_now().as_second();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("chaos")
        .join(format!("{}-{started}", scene.ground.name()));
    let write = || -> std::io::Result<()> {
        std::fs::create_dir_all(&folder)?;
        for (node, file) in scene.logs() {
            std::fs::copy(file, folder.join(format!("{node}.log")))?;
        }
        // There is none as long as no job has run.
        let _copied = std::fs::copy(scene.site.folder().join("lives"), folder.join("lives"));
        let ledger: String = ledger.iter().map(|entry| format!("{entry:?}\n")).collect();
        std::fs::write(folder.join("ledger"), ledger)?;
        let ahead = since_boot();
        let line = |(at, line): &(BootInstant, String)| {
            format!("{:.3} {line}\n", at.nanos() as f64 / 1e9 + ahead)
        };
        let diary: String = scene.diary().lines.iter().map(line).collect();
        std::fs::write(folder.join("diary"), diary)
    };
    if let Err(error) = write() {
        println!("the logs could not be kept in {}: {error}", folder.display());
    }
    folder
}
