//! A folder with a job table, and the program run in it with a clean environment.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use solocron::clock::BootInstant;
use tempfile::TempDir;

use crate::harness::node::Node;
use crate::harness::{processes, until};

/// A folder of its own, gone with the value.
pub(crate) struct Bench {
    dir: TempDir,
}

/// What a command said.
pub(crate) struct Answer {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Answer {
    /// Standard output, of a command that worked and had nothing else to say.
    #[track_caller]
    pub(crate) fn good(self) -> String {
        assert_eq!(self.code, Some(0), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stderr, "");
        self.stdout
    }

    /// The same, read as JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let stdout = self.good();
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"))
    }

    /// Standard error, of a command that failed with `code` and gave no result.
    #[track_caller]
    pub(crate) fn refused(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}{}", self.stdout, self.stderr);
        assert_eq!(self.stdout, "");
        self.stderr
    }
}

impl Bench {
    /// One with `solocron.toml` as given, where `{dir}` stands for the folder.
    pub(crate) fn with(config: &str) -> Self {
        let bench = Self::empty();
        let dir = bench.dir().display().to_string();
        bench.write("solocron.toml", config.replace("{dir}", &dir));
        bench
    }

    /// One without a config.
    pub(crate) fn empty() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.path("solocron.toml")
    }

    /// Where the store is unless somebody says otherwise.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("state/solocron.db")
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// The text of a file that a job writes, once it is there and whole.
    pub(crate) fn wait_for_file(&self, name: &str) -> String {
        let read = || std::fs::read_to_string(self.path(name)).unwrap_or_default();
        until(&format!("{name} is written"), || read().ends_with('\n'));
        read()
    }

    /// The program with nothing of this process's environment but the path, in
    /// the folder.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solocron"));
        self.settle(&mut command);
        command.stdin(Stdio::null());
        command
    }

    fn settle(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir())
            .env("STATE_DIRECTORY", self.path("state"))
            .current_dir(self.dir());
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        self.run_with(arguments, |_| {})
    }

    /// The same, with the command changed by `change`.
    pub(crate) fn run_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Answer {
        let mut command = self.command();
        command.args(arguments);
        change(&mut command);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let begun = BootInstant::now();
        let child = processes::spawn(command).expect("solocron starts");
        let output = child.wait_with_output().expect("it is our child");
        Answer {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("UTF-8 on standard output"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8 on standard error"),
            took: BootInstant::now().since(begun),
        }
    }

    /// Runs a line of shell in which `solocron` is the program.
    pub(crate) fn shell(&self, line: &str) -> Answer {
        self.run_with(&[], |command| *command = self.shell_command(line))
    }

    pub(crate) fn shell_command(&self, line: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_solocron")).parent().unwrap();
        let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        self.settle(&mut command);
        command.args(["-c", line]).env("PATH", path).stdin(Stdio::null());
        command
    }

    /// Starts a node and waits until it is ready.
    pub(crate) fn node(&self) -> Node {
        self.node_with(|_| {}).ready()
    }

    /// Starts a node whose command is changed by `change`.
    pub(crate) fn node_with(&self, change: impl FnOnce(&mut Command)) -> Node {
        Node::start(&self.config(), "web-1", |command| {
            self.settle(command);
            change(command);
        })
    }

    /// The history as JSON, newest first.
    #[track_caller]
    pub(crate) fn history(&self, arguments: &[&str]) -> Vec<Value> {
        let all = ["history", "--format", "json"].iter().chain(arguments);
        match self.run(&all.copied().collect::<Vec<_>>()).json() {
            Value::Array(entries) => entries,
            other => panic!("not an array: {other}"),
        }
    }
}

/// Whether there is a process with this id that is more than a zombie.
pub(crate) fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// A job that is due every second and runs in the bench's folder unless `keys`,
/// its further lines, say otherwise.
pub(crate) fn every_second(name: &str, keys: &str) -> String {
    let cwd = if keys.contains("cwd = ") { "" } else { "cwd = \"{dir}\"\n" };
    format!("[jobs.{name}]\nschedule = \"* * * * * *\"\n{cwd}{keys}\n")
}
