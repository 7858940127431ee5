//! A node whose log goes to a file, read when the node is over: nothing but the node
//! and its store is at work while it is measured.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use solocron::slot::SlotTime;

use crate::harness::site::Site;
use crate::harness::{ended_lines, processes, until_within};

/// One replica. Dropped, it is killed.
pub(crate) struct QuietNode {
    child: Child,
    log: PathBuf,
}

/// What a node logged of a slot.
pub(crate) struct Told {
    pub(crate) event: String,
    pub(crate) job: String,
    pub(crate) slot: SlotTime,
    /// Microseconds from the slot's instant to the record; below zero before it.
    pub(crate) late: i64,
}

impl Told {
    /// Whether the node then knew whose the slot is.
    pub(crate) fn is_verdict(&self) -> bool {
        matches!(&*self.event, "slot.claimed" | "slot.skipped")
    }

    pub(crate) fn is_win(&self) -> bool {
        self.event == "slot.claimed"
    }

    pub(crate) fn late_millis(&self) -> f64 {
        self.late as f64 / 1000.0
    }
}

impl QuietNode {
    /// Starts a node of the site, and waits until it is ready to claim.
    pub(crate) fn start(site: &Site, name: &str) -> Self {
        let log = site.folder().join(format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_solocron"));
        command.args(["run", "--log-format", "json", "--node", name, "-c"]).arg(site.config());
        command.stdin(Stdio::null()).stdout(File::create(&log).unwrap()).stderr(Stdio::null());
        let node = Self { child: processes::spawn(command).unwrap(), log };
        // A huge table takes its time on a busy machine.
        until_within(Duration::from_secs(300), "the node is ready", || {
            node.has_said("node.started")
        });
        node
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn has_said(&self, event: &str) -> bool {
        std::fs::read_to_string(&self.log).unwrap().contains(&format!("\"event\":\"{event}\""))
    }

    /// Has the node drain and end; what it told of slots.
    pub(crate) fn end(mut self) -> Vec<Told> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap();
        ended_lines(&self.log).iter().filter_map(|line| told(line)).collect()
    }
}

impl Drop for QuietNode {
    fn drop(&mut self) {
        // It has ended already where the measurement came to its end.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

fn told(line: &str) -> Option<Told> {
    let record: Value = serde_json::from_str(line).ok()?;
    let slot: SlotTime = record["slot"].as_str()?.parse().ok()?;
    let at: jiff::Timestamp = record["timestamp"].as_str()?.parse().ok()?;
    Some(Told {
        event: record["event"].as_str()?.to_owned(),
        job: record["job"].as_str()?.to_owned(),
        late: at.as_microsecond() - slot.unix_seconds() * 1_000_000,
        slot,
    })
}
