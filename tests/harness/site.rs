//! A cluster of its own for one test: a store, a job table, a folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::Connection;

use super::node::Node;
use super::oracle::{Entry, Evidence, testimonies};
use super::processes::{self, end_with_variable};
use super::redis_server::RedisServer;
use super::until;

/// What the cluster keeps its locks and its ledger in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    Sqlite,
    Redis,
}

enum Backing {
    /// The connection holds the file for as long as the store is away.
    Sqlite {
        file: PathBuf,
        held: Option<Connection>,
    },
    Redis(RedisServer),
}

/// See the module's head. Drop the nodes before it: declare it first.
pub(crate) struct Site {
    cluster: String,
    backing: Backing,
    folder: tempfile::TempDir,
}

/// The command of a job that appends a line to the oracle's file, in one write:
/// the run, and when it was there by the boot clock. Nothing else is started.
pub(crate) const TESTIFY: &str = r#"read up _ < /proc/uptime; echo "$SOLOCRON_JOB $SOLOCRON_SLOT $SOLOCRON_NODE $SOLOCRON_RUN_ID $SOLOCRON_FENCE $SOLOCRON_ATTEMPT $up" >> testimony"#;

/// True in a command of one run only, the first that comes to it; the others are
/// to do nothing. [`Site::first_run`] tells which it is.
pub(crate) const FIRST: &str =
    r#"mkdir first 2>/dev/null && echo "$SOLOCRON_RUN_ID" > first/part && mv first/part first/run"#;

/// `count` jobs, `tick-1` and so on, that are due every second and only testify;
/// `keys` are further lines of each.
pub(crate) fn ticks(count: usize, keys: &str) -> String {
    (1..=count).map(|n| every_second(&format!("tick-{n}"), TESTIFY, keys)).collect()
}

/// A job that is due every second.
pub(crate) fn every_second(name: &str, shell: &str, keys: &str) -> String {
    assert!(!shell.contains("'''"), "it cannot be quoted");
    format!("[jobs.{name}]\nschedule = '* * * * * *'\nshell = '''{shell}'''\n{keys}\n")
}

impl Site {
    /// A store with the job table `jobs`; `cluster` are further lines of `[cluster]`.
    /// Jobs run in the site's folder.
    pub(crate) fn new(ground: Ground, cluster: &str, jobs: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let name =
            format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let (backing, store) = match ground {
            Ground::Sqlite => {
                let file = folder.path().join("store").join("solocron.db");
                let store = format!("sqlite:{}", file.display());
                (Backing::Sqlite { file, held: None }, store)
            }
            Ground::Redis => {
                let server = RedisServer::builder().durable().start();
                let store = server.url();
                (Backing::Redis(server), store)
            }
        };
        let table = format!(
            "[cluster]\nname = '{name}'\nstore = '{store}'\n{cluster}\n\n\
             [defaults]\ncwd = '{}'\n\n{jobs}",
            folder.path().display()
        );
        std::fs::write(folder.path().join("solocron.toml"), table).expect("it can be written");
        Self { cluster: name, backing, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn config(&self) -> PathBuf {
        self.folder().join("solocron.toml")
    }

    /// What the jobs wrote into `file`, by lines.
    pub(crate) fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Starts a node.
    pub(crate) fn start(&self, name: &str) -> Node {
        self.start_with(name, |_| {})
    }

    /// Starts a node with its command changed.
    pub(crate) fn start_with(&self, name: &str, change: impl FnOnce(&mut Command)) -> Node {
        Node::start(&self.config(), name, change)
    }

    /// Starts nodes together, and waits until all are ready.
    pub(crate) fn start_all<const N: usize>(&self, names: [&str; N]) -> [Node; N] {
        names.map(|name| self.start(name)).map(Node::ready)
    }

    /// The Redis server.
    pub(crate) fn redis(&self) -> &RedisServer {
        match &self.backing {
            Backing::Redis(server) => server,
            Backing::Sqlite { .. } => panic!("this site has no Redis"),
        }
    }

    /// The same, to stop and start it.
    pub(crate) fn redis_mut(&mut self) -> &mut RedisServer {
        match &mut self.backing {
            Backing::Redis(server) => server,
            Backing::Sqlite { .. } => panic!("this site has no Redis"),
        }
    }

    /// Takes the store away: Redis is shut down; somebody holds the SQLite file.
    pub(crate) fn take_store_away(&mut self) {
        match &mut self.backing {
            Backing::Redis(server) => server.stop(),
            Backing::Sqlite { file, held } => {
                *held = Some(hold(file, Duration::from_secs(30)).expect("the file can be held"));
            }
        }
    }

    /// Brings the store back.
    pub(crate) fn bring_store_back(&mut self) {
        match &mut self.backing {
            Backing::Redis(server) => server.restart(),
            Backing::Sqlite { held, .. } => *held = None,
        }
    }

    /// Whether somebody is in the middle of writing to the store's file just now,
    /// and stays so. Frozen there, a node would hold all others up.
    pub(crate) fn is_held(&self) -> bool {
        match &self.backing {
            Backing::Redis(_) => false,
            Backing::Sqlite { file, .. } => hold(file, Duration::from_millis(700)).is_none(),
        }
    }

    /// Waits until [`FIRST`] was true; the id of that run.
    pub(crate) fn first_run(&self) -> String {
        until("a first run has begun", || !self.lines("first/run").is_empty());
        self.lines("first/run").remove(0)
    }

    /// The processes of this cluster's jobs that are alive.
    pub(crate) fn jobs_alive(&self) -> Vec<i32> {
        processes::with_variable(&format!("SOLOCRON_CLUSTER={}", self.cluster))
    }

    /// What a command of solocron prints; the command must succeed.
    pub(crate) fn ask(&self, arguments: &[&str]) -> String {
        self.try_ask(arguments).unwrap_or_else(|refusal| panic!("{arguments:?}: {refusal}"))
    }

    /// What a command of solocron prints, or why it prints nothing.
    pub(crate) fn try_ask(&self, arguments: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solocron"));
        command.args(arguments).arg("-c").arg(self.config());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = processes::spawn(command).expect("solocron starts");
        let output = child.wait_with_output().expect("it ends");
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}, {said}", output.status));
        }
        Ok(String::from_utf8(output.stdout).expect("it is text"))
    }

    /// The whole ledger.
    pub(crate) fn ledger(&self) -> Vec<Entry> {
        let history = self.ask(&["history", "--format", "json", "--limit", "1000000"]);
        serde_json::from_str(&history).expect("history prints JSON")
    }

    /// Everything that can be held against everything else.
    pub(crate) fn evidence<'a>(&self, nodes: impl IntoIterator<Item = &'a Node>) -> Evidence {
        Evidence {
            testimonies: testimonies(&self.folder().join("testimony")),
            ledger: self.ledger(),
            logs: nodes.into_iter().map(|node| (node.name.clone(), node.log())).collect(),
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        end_with_variable(&format!("SOLOCRON_CLUSTER={}", self.cluster));
    }
}

/// Takes the write lock of a SQLite file, unless it takes longer than `patience`.
fn hold(file: &Path, patience: Duration) -> Option<Connection> {
    let connection = Connection::open(file).expect("the file is there");
    connection.busy_timeout(patience).expect("it is a duration");
    connection.execute_batch("BEGIN IMMEDIATE").is_ok().then_some(connection)
}
