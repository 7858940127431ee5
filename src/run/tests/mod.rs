//! Runs with real processes. The tests wait for states (a line of output, a
//! process that is there or gone), never for a time.

mod beginning;
mod endings;
mod faults;
mod many;
mod output;
mod starting;

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Notify, watch};

use super::*;
use crate::claim::{Fence, Token};
use crate::name::{ClusterName, NodeName};
use crate::outcome::Outcome;
use crate::table::{Variable, Work};

pub(in crate::run) fn identity() -> Identity {
    Identity {
        cluster: ClusterName::new("prod").unwrap(),
        node: NodeName::new("web-1").unwrap(),
        slot: "backup@2026-11-22T03:00:00Z".parse().unwrap(),
        run_id: Token::new().run_id(1),
        attempt: 1,
        fence: Fence::new(1_795_316_400_000_000),
        trace: None,
    }
}

pub(in crate::run) fn command(words: &[&str]) -> Task {
    Task {
        work: Work::Command(words.iter().map(|&word| word.into()).collect()),
        cwd: None,
        env: [].into(),
        user: None,
        group: None,
        umask: None,
        timezone: "UTC".into(),
        timeout: None,
        kill_grace: Duration::from_secs(60),
        success_codes: [0].into(),
        output_limit: 16 * 1024,
    }
}

pub(in crate::run) fn shell(text: &str) -> Task {
    Task { work: Work::Shell(text.into()), ..command(&[]) }
}

/// Long enough to never be reached.
const FAR: Duration = Duration::from_secs(3600);
/// Between TERM and KILL, where it does not matter.
const GRACE: Duration = Duration::from_secs(1);
/// Long enough for a loaded machine, short enough to notice.
const SOON: Duration = Duration::from_secs(30);

fn from_now(d: Duration) -> BootInstant {
    BootInstant::now() + d
}

/// The senders of a run's orders.
struct Desk {
    trust: watch::Sender<Trust>,
    stop: watch::Sender<Option<Stop>>,
    not_before: watch::Sender<BootInstant>,
}

fn desk() -> (Desk, Orders) {
    let (trust, trusted) = watch::channel(Trust::Until(from_now(FAR)));
    let (stop, stopped) = watch::channel(None);
    let (not_before, begins) = watch::channel(BootInstant::from_nanos(0));
    let orders = Orders { trust: trusted, stop: stopped, not_before: begins };
    (Desk { trust, stop, not_before }, orders)
}

/// Keeps the lines and tells those who wait for one.
#[derive(Default)]
struct Lines {
    lines: Mutex<Vec<(Stream, String)>>,
    more: Notify,
}

impl OutputSink for Lines {
    fn line(&self, stream: Stream, line: &str) {
        self.lines.lock().unwrap().push((stream, line.to_owned()));
        self.more.notify_waiters();
    }
}

impl Lines {
    fn all(&self) -> Vec<(Stream, String)> {
        self.lines.lock().unwrap().clone()
    }

    fn stdout(&self) -> Vec<String> {
        let all = self.all().into_iter();
        all.filter(|(stream, _)| *stream == Stream::Stdout).map(|(_, line)| line).collect()
    }

    /// The first line of standard output that begins with `start`, without it.
    async fn wait_for(&self, start: &str) -> String {
        tokio::time::timeout(SOON, async {
            loop {
                let more = self.more.notified();
                let found =
                    self.stdout().iter().find_map(|l| l.strip_prefix(start).map(str::to_owned));
                match found {
                    Some(rest) => return rest,
                    None => more.await,
                }
            }
        })
        .await
        .unwrap_or_else(|_| panic!("no line {start:?} in {:?}", self.all()))
    }
}

/// A run under way, with all that acts on it.
struct Live {
    desk: Desk,
    lines: Arc<Lines>,
    report: tokio::task::JoinHandle<Report>,
}

impl Live {
    async fn end(self) -> Report {
        tokio::time::timeout(SOON, self.report).await.expect("the run ends").unwrap()
    }
}

fn start(task: Task, grace_on_loss: Duration) -> Live {
    start_at(task, grace_on_loss, BootInstant::from_nanos(0))
}

fn start_at(task: Task, grace_on_loss: Duration, not_before: BootInstant) -> Live {
    let (desk, orders) = desk();
    desk.not_before.send_replace(not_before);
    let lines = Arc::new(Lines::default());
    let sink = lines.clone();
    let report = tokio::spawn(async move {
        execute(&task, &identity(), orders, grace_on_loss, |_| {}, sink).await
    });
    Live { desk, lines, report }
}

async fn run(task: Task) -> (Report, Arc<Lines>) {
    let live = start(task, GRACE);
    let lines = live.lines.clone();
    (live.end().await, lines)
}

/// Whether the process is there and more than a zombie.
fn lives(pid: &str) -> bool {
    match std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
        Ok(stat) => !stat.rsplit_once(')').unwrap().1.trim_start().starts_with('Z'),
        Err(_) => false,
    }
}

fn wait_until_gone(pid: &str) {
    let start = BootInstant::now();
    while lives(pid) {
        assert!(BootInstant::now().since(start) < SOON, "{pid} lives on");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A time to sleep that no other test's processes sleep.
fn mark() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("1000.{:07}{:04}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// The living processes that have `mark` among their arguments.
fn with_mark(mark: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let path = entry.ok()?.path();
        let pid = path.file_name()?.to_str()?.parse().ok()?;
        // Of a process that has ended, nothing can be read.
        let arguments = std::fs::read(path.join("cmdline")).ok()?;
        arguments.split(|byte| *byte == 0).any(|one| one == mark.as_bytes()).then_some(pid)
    });
    pids.collect()
}

fn is_warden(pid: nix::unistd::Pid) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments == b"solocron-warden\0"
}

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root can become somebody else");
    }
    root
}

/// Variables of a job.
pub(in crate::run) fn variables(pairs: &[(&str, &str)]) -> Arc<[Variable]> {
    pairs.iter().map(|(name, value)| Variable::plain(name, value)).collect()
}
