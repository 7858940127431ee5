//! A real node: the built binary as a child process, its log read as it comes.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use solocron::clock::BootInstant;

use super::{PATIENCE, clock, processes, until};

/// A record of a log, and when it reached the test: by a clock that no node fakes.
#[derive(Debug, Clone)]
pub(crate) struct Logged {
    pub(crate) at: BootInstant,
    pub(crate) record: Value,
}

impl Logged {
    /// The text of a field; empty where there is none.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.record[key].as_str().unwrap_or_default()
    }
}

/// One replica. Dropped, it is killed.
pub(crate) struct Node {
    pub(crate) name: String,
    child: Child,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    told: Mutex<Told>,
    grown: Condvar,
}

#[derive(Default)]
struct Told {
    records: Vec<Logged>,
    /// What was no record, and what went to standard error.
    strays: Vec<String>,
    /// How many of its two streams have ended.
    ended: usize,
    /// How many lines of output it logged.
    outputs: usize,
    /// Where every line goes, if it is too much to remember.
    file: Option<File>,
}

/// How many lines of output are kept of a log.
const OUTPUTS: usize = 100_000;

impl Told {
    fn take(&mut self, record: Value) {
        self.outputs += usize::from(record["event"] == "run.output");
        if self.outputs <= OUTPUTS || record["event"] != "run.output" {
            self.records.push(Logged { at: BootInstant::now(), record });
        }
    }

    /// Takes a line of the log.
    fn hear(&mut self, line: String) {
        if let Some(file) = &mut self.file {
            // In one write: other lives of the node write to it as well.
            file.write_all(format!("{line}\n").as_bytes()).expect("the log can be written");
        }
        match serde_json::from_str::<Value>(&line) {
            Ok(record) if self.file.is_some() && !record["slot"].is_null() => {}
            Ok(record) => self.take(record),
            Err(_) => self.strays.push(line),
        }
    }

    fn is_over(&self) -> bool {
        self.ended == 2
    }
}

impl Node {
    /// Starts `solocron run` with the table at `config` as the node `name`, the
    /// command changed by `change` before it starts.
    pub(crate) fn start(config: &Path, name: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::start_telling(None, config, name, change)
    }

    /// The same; its log is appended to `file`, and what it says of slots is there alone.
    pub(crate) fn start_telling(
        file: Option<&Path>,
        config: &Path,
        name: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solocron"));
        command
            .args(["run", "--log-format", "json", "--node", name, "-c"])
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        change(&mut command);
        let mut child = processes::spawn(command).expect("solocron starts");
        let append = |file| File::options().create(true).append(true).open(file);
        let file = file.map(|file| append(file).expect("the log can be written"));
        let told = Mutex::new(Told { file, ..Told::default() });
        let log = Arc::new(Log { told, ..Log::default() });
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        follow(stdout.expect("it is piped"), Arc::clone(&log), Told::hear);
        follow(stderr.expect("it is piped"), Arc::clone(&log), |told, line| told.strays.push(line));
        Self { name: name.to_owned(), child, log }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.log.told.lock().expect("no reader panics")
    }

    /// The log so far.
    pub(crate) fn log(&self) -> Vec<Logged> {
        self.told().records.clone()
    }

    /// The records of one event so far.
    pub(crate) fn events(&self, event: &str) -> Vec<Value> {
        self.all(event, |_| true)
    }

    /// The records of one event for which `wanted` holds, so far.
    pub(crate) fn all(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let told = self.told();
        let records = told.records.iter().map(|logged| &logged.record);
        records.filter(|record| record["event"] == event && wanted(record)).cloned().collect()
    }

    /// How many records of one event there are so far for which `wanted` holds.
    pub(crate) fn count(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> usize {
        let told = self.told();
        let records = told.records.iter().map(|logged| &logged.record);
        records.filter(|record| record["event"] == event && wanted(record)).count()
    }

    /// What it said beside its log: on a good day nothing.
    pub(crate) fn strays(&self) -> Vec<String> {
        self.told().strays.clone()
    }

    /// Waits until the log has a record of `event` for which `wanted` holds.
    pub(crate) fn wait_where(&self, event: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let matches = |logged: &&Logged| logged.record["event"] == event && wanted(&logged.record);
        let told = self.told();
        let (told, timeout) = self
            .log
            .grown
            .wait_timeout_while(told, PATIENCE, |told| {
                !told.is_over() && !told.records.iter().any(|logged| matches(&logged))
            })
            .expect("no reader panics");
        let found = told.records.iter().find(matches).map(|logged| logged.record.clone());
        // Whoever looks at the log while this test fails needs it unlocked.
        drop(told);
        found.unwrap_or_else(|| {
            let why = if timeout.timed_out() { "in time" } else { "before its log ended" };
            panic!("{} logged no {event} {why}", self.name)
        })
    }

    /// Waits until the log has a record of `event`.
    pub(crate) fn wait(&self, event: &str) -> Value {
        self.wait_where(event, |_| true)
    }

    /// Waits until the node is ready to claim.
    pub(crate) fn ready(self) -> Self {
        self.wait("node.started");
        self
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it lives");
    }

    /// Freezes it, until SIGCONT. A thread that is at work on another core goes on
    /// for a moment: returns when all have stopped.
    pub(crate) fn freeze(&self) {
        self.signal(Signal::SIGSTOP);
        until(&format!("{} is frozen", self.name), || {
            processes::threads(self.child.id()).iter().all(|state| *state == 'T')
        });
    }

    /// Waits for the end of the process, and of its log.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        let mut status = None;
        until(&format!("{} ends", self.name), || {
            status = self.child.try_wait().expect("it is our child");
            status.is_some()
        });
        let told = self.log.told.lock().expect("no reader panics");
        let over = self.log.grown.wait_timeout_while(told, PATIENCE, |told| !told.is_over());
        assert!(!over.expect("no reader panics").1.timed_out(), "its log is held open");
        status.expect("it was waited for")
    }

    /// Asks for a drain.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits for the end of a drain; the exit code.
    pub(crate) fn drained(&mut self) -> i32 {
        let status = self.wait_exit();
        let Some(code) = status.code() else {
            panic!("{} was ended by signal {:?}", self.name, status.signal())
        };
        assert!(self.count("node.stopped", |_| true) == 1, "its last word is missing");
        code
    }

    /// Asks for a drain and waits for its end; the exit code.
    pub(crate) fn drain(&mut self) -> i32 {
        self.terminate();
        self.drained()
    }

    /// Kills it at once, and waits until it is gone.
    pub(crate) fn kill9(&mut self) {
        self.signal(Signal::SIGKILL);
        assert_eq!(self.wait_exit().signal(), Some(Signal::SIGKILL as i32));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Most have ended by themselves.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
        clock::clean_up_after(self.child.id());
        if std::thread::panicking() {
            println!("the last of {}'s log:\n{}", self.name, tail(&self.told()));
            self.keep_log();
        }
    }
}

impl Node {
    /// Writes the whole log into `$SOLOCRON_TEST_LOGS`, if there is such a folder.
    fn keep_log(&self) {
        let Some(folder) = std::env::var_os("SOLOCRON_TEST_LOGS") else { return };
        let test = std::thread::current().name().unwrap_or("a test").replace("::", ".");
        let file = format!("{test}.{}.{}.log", self.name, self.child.id());
        let records: String =
            self.told().records.iter().map(|logged| format!("{}\n", logged.record)).collect();
        if let Err(error) = std::fs::write(Path::new(&folder).join(file), records) {
            println!("the log of {} could not be kept: {error}", self.name);
        }
    }
}

/// Reads lines until the other end is closed.
fn follow(
    from: impl Read + Send + 'static,
    log: Arc<Log>,
    take: impl Fn(&mut Told, String) + Send + 'static,
) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            take(&mut log.told.lock().expect("no reader panics"), line);
            log.grown.notify_all();
        }
        log.told.lock().expect("no reader panics").ended += 1;
        log.grown.notify_all();
    });
}

/// The last of a log, without what tells of runs.
fn tail(told: &Told) -> String {
    let slots = told.records.iter().filter(|logged| !logged.text("event").starts_with("run."));
    let records: Vec<_> = slots.map(|logged| logged.record.to_string()).collect();
    let last = records.len().saturating_sub(30);
    records[last..].iter().chain(&told.strays).map(|line| format!("{line}\n")).collect()
}
