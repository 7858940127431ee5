//! A cluster of its own for one test: a store, a job table, a folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::Signal;
use rusqlite::Connection;
use solocron::name::ClusterName;
use solocron::store::Store;
use solocron::store::redis::{self, ClusterOptions, Endpoint, RedisCluster, RedisStore};
use solocron::store::sqlite::{self, SqliteStore};

use super::lives::{self, Life};
use super::node::Node;
use super::oracle::{Entry, Evidence, testimonies};
use super::processes::{self, end_with_variable};
use super::proxy::Proxy;
use super::redis_cluster::ServerCluster;
use super::redis_server::RedisServer;
use super::{ended_lines, until};

/// What the cluster keeps its locks and its ledger in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    Sqlite,
    /// One that writes everything to its disk before it answers.
    Redis,
    /// One that writes nothing to its disk: for measurements of what is not the disk's.
    FleetingRedis,
    /// Three masters with a replica each.
    Cluster,
}

enum Backing {
    /// The connection holds the file for as long as the store is away.
    Sqlite {
        file: PathBuf,
        held: Option<Mutex<Connection>>,
    },
    Redis(RedisServer),
    Cluster(ServerCluster),
    /// The test has it.
    Elsewhere,
}

/// See the module's head. Drop the nodes before it: declare it first.
pub(crate) struct Site {
    cluster: String,
    /// The job table up to the first job.
    head: String,
    backing: Backing,
    folder: tempfile::TempDir,
}

/// The command of a job that appends a line to the oracle's file, in one write:
/// the run, and when it was there by the boot clock. Nothing else is started.
pub(crate) const TESTIFY: &str = r#"read up _ < /proc/uptime; echo "$SOLOCRON_JOB $SOLOCRON_SLOT $SOLOCRON_NODE $SOLOCRON_RUN_ID $SOLOCRON_FENCE $SOLOCRON_ATTEMPT $up" >> testimony"#;

const NOT_HERE: &str = "this site has no such store";

/// True in a command of one run only, the first that comes to it; the others are
/// to do nothing. [`Site::first_run`] tells which it is.
pub(crate) const FIRST: &str =
    r#"mkdir first 2>/dev/null && echo "$SOLOCRON_RUN_ID" > first/part && mv first/part first/run"#;

/// `count` jobs, `tick-1` and so on, that are due every second and only testify;
/// slots of one may overlap. `keys` are further lines of each.
pub(crate) fn ticks(count: usize, keys: &str) -> String {
    let keys = format!("overlap = 'allow'\n{keys}");
    (1..=count).map(|n| every_second(&format!("tick-{n}"), TESTIFY, &keys)).collect()
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
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let (backing, store) = match ground {
            Ground::Sqlite => {
                let file = folder.path().join("store").join("solocron.db");
                let store = format!("sqlite:{}", file.display());
                (Backing::Sqlite { file, held: None }, store)
            }
            Ground::Redis | Ground::FleetingRedis => {
                let server = RedisServer::builder();
                let is_durable = ground == Ground::Redis;
                let server = if is_durable { server.durable() } else { server }.start();
                let store = server.url();
                (Backing::Redis(server), store)
            }
            Ground::Cluster => {
                let cluster = ServerCluster::start(3, 1);
                let store = cluster.url();
                (Backing::Cluster(cluster), store)
            }
        };
        Self::with(folder, backing, &store, cluster, jobs)
    }

    /// The same on a store that the test itself has started, by its address.
    pub(crate) fn at(store: &str, cluster: &str, jobs: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        Self::with(folder, Backing::Elsewhere, store, cluster, jobs)
    }

    fn with(
        folder: tempfile::TempDir,
        backing: Backing,
        store: &str,
        cluster: &str,
        jobs: &str,
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name =
            format!("test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let head = format!(
            "[cluster]\nname = '{name}'\nstore = '{store}'\n{cluster}\n\n\
             [defaults]\ncwd = '{}'\n\n",
            folder.path().display()
        );
        let site = Self { cluster: name, head, backing, folder };
        site.set_jobs(jobs);
        site
    }

    /// Has the job table say `jobs` from now on, for whoever loads it.
    pub(crate) fn set_jobs(&self, jobs: &str) {
        self.write_table("solocron.toml", jobs);
    }

    /// Writes another job table of this cluster; where it is.
    pub(crate) fn write_table(&self, file: &str, jobs: &str) -> PathBuf {
        let path = self.folder().join(file);
        // In one step: a node may read it at any moment.
        let draft = path.with_extension("draft");
        std::fs::write(&draft, format!("{}{jobs}", self.head)).expect("it can be written");
        std::fs::rename(&draft, &path).expect("it can be written");
        path
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("solocron.toml")
    }

    /// What the jobs wrote into `file`, by lines.
    pub(crate) fn lines(&self, file: &str) -> Vec<String> {
        ended_lines(&self.folder().join(file))
    }

    /// Starts a node.
    pub(crate) fn start(&self, name: &str) -> Node {
        self.start_with(name, |_| {})
    }

    /// Starts a node with its command changed.
    pub(crate) fn start_with(&self, name: &str, change: impl FnOnce(&mut Command)) -> Node {
        Node::start(&self.config(), name, change)
    }

    /// Starts a node that reaches its Redis through `proxy` only.
    pub(crate) fn start_behind(&self, proxy: &Proxy, name: &str) -> Node {
        self.start_with(name, |command| {
            command.args(["--store", &proxy.redis_url()]);
        })
    }

    /// Starts nodes together, and waits until all are ready.
    pub(crate) fn start_all<const N: usize>(&self, names: [&str; N]) -> [Node; N] {
        names.map(|name| self.start(name)).map(Node::ready)
    }

    /// The Redis server.
    pub(crate) fn redis(&self) -> &RedisServer {
        match &self.backing {
            Backing::Redis(server) => server,
            Backing::Sqlite { .. } | Backing::Cluster(_) | Backing::Elsewhere => {
                panic!("{NOT_HERE}")
            }
        }
    }

    /// The same, to stop and start it.
    pub(crate) fn redis_mut(&mut self) -> &mut RedisServer {
        match &mut self.backing {
            Backing::Redis(server) => server,
            Backing::Sqlite { .. } | Backing::Cluster(_) | Backing::Elsewhere => {
                panic!("{NOT_HERE}")
            }
        }
    }

    /// The Redis Cluster, to do something to it.
    pub(crate) fn servers(&mut self) -> &mut ServerCluster {
        match &mut self.backing {
            Backing::Cluster(cluster) => cluster,
            Backing::Sqlite { .. } | Backing::Redis(_) | Backing::Elsewhere => {
                panic!("{NOT_HERE}")
            }
        }
    }

    /// The full name of a key in one of the cluster's buckets.
    pub(crate) fn key(&self, bucket: u32, rest: &str) -> String {
        format!("{0}:{{{0}.{bucket}}}:{rest}", self.cluster)
    }

    /// The store, as the library opens it; called in a runtime.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        let cluster = ClusterName::new(&self.cluster).expect("it is a name");
        match &self.backing {
            Backing::Sqlite { file, .. } => Arc::new(
                SqliteStore::open(file, &cluster, sqlite::Options::default())
                    .expect("the file can be opened"),
            ),
            Backing::Cluster(servers) => Arc::new(RedisCluster::open(ClusterOptions {
                seeds: servers
                    .ports()
                    .into_iter()
                    .map(|port| Endpoint { host: "127.0.0.1".to_owned(), port })
                    .collect(),
                tls: None,
                username: None,
                password: None,
                cluster,
                node: None,
                timeout: Duration::from_secs(5),
                min_acks: 0,
            })),
            Backing::Elsewhere => panic!("{NOT_HERE}"),
            Backing::Redis(server) => Arc::new(RedisStore::open(redis::Options {
                address: redis::Address::Tcp {
                    host: "127.0.0.1".to_owned(),
                    port: server.port(),
                    tls: None,
                },
                database: 0,
                username: None,
                password: None,
                cluster,
                node: None,
                timeout: Duration::from_secs(5),
                min_acks: 0,
            })),
        }
    }

    /// Takes the store away, where it is one: Redis is shut down; somebody holds the SQLite file.
    pub(crate) fn take_store_away(&mut self) {
        match &mut self.backing {
            Backing::Elsewhere => panic!("{NOT_HERE}"),
            Backing::Redis(server) => server.stop(),
            Backing::Cluster(_) => panic!("its masters go one by one"),
            Backing::Sqlite { file, held } => {
                let connection = hold(file, Duration::from_secs(30));
                *held = Some(Mutex::new(connection.expect("the file can be held")));
            }
        }
    }

    /// Brings the store back.
    pub(crate) fn bring_store_back(&mut self) {
        match &mut self.backing {
            Backing::Elsewhere => panic!("{NOT_HERE}"),
            Backing::Redis(server) => server.restart(),
            Backing::Cluster(_) => panic!("its masters go one by one"),
            Backing::Sqlite { held, .. } => *held = None,
        }
    }

    /// Freezes `node`, but not while it holds the store.
    pub(crate) fn freeze(&self, node: &Node) {
        until(&format!("{} is frozen and holds nothing", node.name), || {
            node.freeze();
            let holds = self.is_held();
            if holds {
                node.signal(Signal::SIGCONT);
            }
            !holds
        });
    }

    /// Whether somebody is in the middle of writing to the store's file just now,
    /// and stays so. Frozen there, a node would hold all others up.
    fn is_held(&self) -> bool {
        match &self.backing {
            Backing::Redis(_) | Backing::Cluster(_) | Backing::Elsewhere => false,
            Backing::Sqlite { file, .. } => hold(file, Duration::from_millis(700)).is_none(),
        }
    }

    /// Waits until [`FIRST`] was true; the id of that run.
    pub(crate) fn first_run(&self) -> String {
        until("a first run has begun", || !self.lines("first/run").is_empty());
        self.lines("first/run").remove(0)
    }

    /// What the [lively](lives::lively) jobs wrote.
    pub(crate) fn lives(&self) -> Vec<Life> {
        lives::lives(&self.lines(lives::FILE))
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
        let output = self.command(arguments);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}, {said}", output.status));
        }
        Ok(String::from_utf8(output.stdout).expect("it is text"))
    }

    /// Runs a command of solocron to its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_solocron"));
        command.args(arguments).arg("-c").arg(self.config());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = processes::spawn(command).expect("solocron starts");
        child.wait_with_output().expect("it ends")
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
pub(crate) fn hold(file: &Path, patience: Duration) -> Option<Connection> {
    let connection = Connection::open(file).expect("the file is there");
    connection.busy_timeout(patience).expect("it is a duration");
    connection.execute_batch("BEGIN IMMEDIATE").is_ok().then_some(connection)
}
