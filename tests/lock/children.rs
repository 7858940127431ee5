//! Other processes that want the same locks: this test binary once more.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use solocron::clock::BootInstant;
use solocron::lock::{Locks, Wait};
use solocron::name::ClusterName;

use crate::contract::waiting::only_called;
use crate::contract::{Fixture, LONG, PATIENCE, PATIENT, store_at};
use crate::harness::{processes, until};
use crate::watched::Watched;

const ADDRESS: &str = "SOLOCRON_TEST_ADDRESS";
const CLUSTER: &str = "SOLOCRON_TEST_CLUSTER";
const DEED: &str = "SOLOCRON_TEST_DEED";
/// What a child says begins so; what else is on its output is the test runner's.
const MARK: char = '@';

/// What a child does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Deed<'a> {
    /// For each line that it is told, waits for `order/1` until it is called, and gives it
    /// back. Says `queued`, `granted NANOS`, `released`.
    TakeTurns,
    /// Counts the number in a file up under a lock, so often, and says `done`.
    Count { file: &'a Path, times: u64 },
}

/// Another process; it ends with the value.
pub(crate) struct Child {
    process: std::process::Child,
    orders: ChildStdin,
    said: BufReader<ChildStdout>,
}

impl Child {
    pub(crate) fn start(f: &impl Fixture, deed: Deed<'_>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "children::child", "--ignored", "--nocapture"])
            .env(ADDRESS, f.address())
            .env(CLUSTER, f.cluster().as_str())
            .env(
                DEED,
                match deed {
                    Deed::TakeTurns => String::new(),
                    Deed::Count { file, times } => format!("{times} {}", file.display()),
                },
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = processes::spawn(command).unwrap();
        let orders = process.stdin.take().unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        Self { process, orders, said }
    }

    pub(crate) fn tell(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
    }

    /// The next that it says.
    pub(crate) fn says(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.said.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the child has ended");
            if let Some((_, said)) = line.split_once(MARK) {
                return said.trim_end().to_owned();
            }
        }
    }

    /// Stops or kills it, and waits until no thread of it does anything any more.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = self.process.id();
        kill(Pid::from_raw(i32::try_from(pid).unwrap()), signal).unwrap();
        until("the child has come to a stop", || {
            processes::threads(pid).iter().all(|state| matches!(state, 'T' | 'Z'))
        });
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Not a case: what a child does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "started by other tests"]
async fn child() {
    let Ok(address) = std::env::var(ADDRESS) else { return };
    let cluster = ClusterName::new(&std::env::var(CLUSTER).unwrap()).unwrap();
    let store = Watched::new(store_at(&address, &cluster, PATIENT));
    let deed = std::env::var(DEED).unwrap();
    match deed.split_once(' ') {
        None => take_turns(&store).await,
        Some((times, file)) => {
            count(&store.locks(), Path::new(file), times.parse().unwrap()).await;
            println!("{MARK}done");
        }
    }
}

async fn take_turns(store: &std::sync::Arc<Watched>) {
    let locks = store.locks();
    let (told, mut orders) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines() {
            told.send(line.unwrap()).unwrap();
        }
    });
    let mut turn = 0;
    while orders.recv().await.is_some() {
        turn += 1;
        let request = locks.lock("order/1").ttl(LONG);
        let waiting = tokio::spawn(async move {
            let guard = request.acquire(only_called()).await.unwrap();
            (BootInstant::now(), guard)
        });
        store.queued(turn).await;
        println!("{MARK}queued");
        let (granted, guard) = waiting.await.unwrap();
        println!("{MARK}granted {}", granted.nanos());
        guard.release().await.unwrap();
        println!("{MARK}released");
    }
}

/// Counts the number in `file` up, so often; two at once would lose a step.
pub(crate) async fn count(locks: &Locks, file: &Path, times: u64) {
    for _ in 0..times {
        let request = locks.lock("counter").ttl(LONG);
        let guard = request.acquire(Wait::at_most(PATIENCE)).await.unwrap();
        let counted: u64 = std::fs::read_to_string(file).unwrap().parse().unwrap();
        std::fs::write(file, (counted + 1).to_string()).unwrap();
        guard.release().await.unwrap();
    }
}
