//! One run in the middle of its life, and everybody who has to do with it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use solocron::clock::BootInstant;

use crate::harness::node::Node;
use crate::harness::site::{FIRST, Ground, Site, every_second};
use crate::harness::until;

/// Who can be struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Daemon,
    Warden,
    Keeper,
    /// The leader of its tree.
    Job,
}

/// The scene. Its job has three processes, and each has the mark among its arguments:
/// the leader, a child that ignores TERM, and one that ignores TERM, is in a session of
/// its own, and has no parent in the tree.
pub(crate) struct Scene {
    pub(crate) node: Node,
    run_id: String,
    mark: String,
    daemon: i32,
    warden: i32,
    keeper: i32,
    job: i32,
    _site: Site,
}

/// How many processes the job has.
const PROCESSES: usize = 3;

impl Scene {
    /// Sets it, with `keys` as further lines of the job.
    pub(crate) fn set(keys: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // A time to sleep that nobody else sleeps.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let mark = format!("1000.{:07}{number:03}", std::process::id());
        let tree = format!(
            "{{ (trap '' TERM; exec sleep {mark}) & \
                setsid sh -c 'trap \"\" TERM; sleep {mark} & exit' & \
                echo $$ > job; exec sleep {mark}; }}"
        );
        let site = Site::new(
            Ground::Sqlite,
            "drain_timeout = '200ms'",
            &every_second("tree", &format!("{FIRST} && {tree}; true"), keys),
        );
        let node = site.start("node").ready();
        until("the whole tree is there", || {
            site.lines("job").len() == 1 && sleepers(&mark).len() == PROCESSES
        });
        let job = site.lines("job")[0].parse().expect("it is a process id");
        let keeper = parent(job).expect("a job has a keeper");
        let warden = parent(keeper).expect("a keeper has a warden");
        let daemon = parent(warden).expect("a warden has a daemon");
        for (pid, name) in
            [(keeper, "solocron-keeper"), (warden, "solocron-warden"), (daemon, "solocron")]
        {
            assert_eq!(self::name(pid), name);
        }
        let run_id = site.first_run();
        Self { node, run_id, mark, daemon, warden, keeper, job, _site: site }
    }

    fn pid(&self, who: Who) -> i32 {
        match who {
            Who::Daemon => self.daemon,
            Who::Warden => self.warden,
            Who::Keeper => self.keeper,
            Who::Job => self.job,
        }
    }

    pub(crate) fn strike(&self, who: Who, signal: Signal) {
        // Who goes with another may be gone already.
        let _gone = kill(Pid::from_raw(self.pid(who)), signal);
    }

    /// What is alive of the job.
    pub(crate) fn tree(&self) -> Vec<i32> {
        sleepers(&self.mark)
    }

    /// Waits until nothing of the job is left, and says how long that took.
    pub(crate) fn wait_until_the_tree_is_gone(&self) -> Duration {
        let begun = BootInstant::now();
        until("nothing of the job is left", || self.tree().is_empty());
        BootInstant::now().since(begun)
    }

    /// Waits until the daemon says how the run ended; its record.
    pub(crate) fn finished(&self) -> Value {
        self.node.wait_where("run.finished", |run| run["run_id"] == *self.run_id)
    }

    /// Waits until a later run has ended well.
    pub(crate) fn wait_for_another_run(&self) {
        let begun = self.node.count("run.started", |_| true);
        until("another run has ended", || {
            let started = self.node.events("run.started");
            started[begun..].iter().any(|run| {
                self.node.count("run.finished", |end| {
                    end["run_id"] == run["run_id"] && end["outcome"] == "succeeded"
                }) > 0
            })
        });
    }

    /// Waits until that process is gone.
    pub(crate) fn wait_until_gone(&self, who: Who) {
        until(&format!("{who:?} is gone"), || !lives(self.pid(who)));
    }

    pub(crate) fn lives(&self, who: Who) -> bool {
        lives(self.pid(who))
    }

    /// Whether the signal has come to it, and waits in vain.
    pub(crate) fn has_pending(&self, who: Who, signal: Signal) -> bool {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid(who))).unwrap();
        let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:\t")).unwrap();
        u64::from_str_radix(pending, 16).unwrap() & (1 << (signal as i32 - 1)) != 0
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for pid in self.tree() {
            let _gone = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// The living processes that have `mark` as an argument.
fn sleepers(mark: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        // Of a process that has ended, nothing can be read.
        let arguments = std::fs::read(path.join("cmdline")).ok()?;
        arguments.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()).then_some(pid)
    });
    pids.collect()
}

/// The state and the parent of a process.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

fn parent(pid: i32) -> Option<i32> {
    stat(pid).map(|(_, parent)| parent)
}

fn lives(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

fn name(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default().trim_end().to_owned()
}
