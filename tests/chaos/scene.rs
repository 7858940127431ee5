//! What is attacked: five nodes, and the store that they share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::signal::Signal;
use solocron::clock::{BootInstant, wall_now};
use tempfile::TempDir;

use crate::harness::clock::WallClock;
use crate::harness::disk::Disk;
use crate::harness::node::Node;
use crate::harness::oracle::Entry;
use crate::harness::proxy::Proxy;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::redis_server::{Builder, RedisServer};
use crate::harness::sentinel::Group;
use crate::harness::site::Site;
use crate::harness::until_within;
use crate::jobs;
use crate::plan::{CLOCKED, Ground, NODES};
use crate::report;

/// The longest that a store or a node may need to be well again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(150);

/// Lines of `[cluster]`: runs that outlive a drain are handed over, and no entry of the
/// ledger goes before it was looked at.
const CLUSTER: &str = "heartbeat = '2s'\ndrain_timeout = '2s'\n\
                       history = { keep = '1d', per_job = 100000 }\n";

/// The servers that keep the store.
pub(crate) enum Servers {
    /// The file, and its folder where that is no disk of its own.
    Sqlite {
        file: PathBuf,
        _folder: Option<TempDir>,
    },
    Redis(RedisServer),
    Sentinel(Group),
    Cluster(ServerCluster),
    Quorum(Vec<RedisServer>),
}

/// See the module's head. What is declared first goes first: nodes before their store.
pub(crate) struct Scene {
    pub(crate) ground: Ground,
    members: [Mutex<Member>; NODES],
    pub(crate) clocks: Vec<(usize, WallClock)>,
    pub(crate) site: Site,
    /// Before each server.
    pub(crate) links: Vec<Arc<Proxy>>,
    servers: Mutex<Servers>,
    /// Of the first server; none where mounting is not permitted.
    pub(crate) disk: Option<Disk>,
    /// How often the job table was changed. Locked by whoever changes it or starts a node.
    table: Mutex<u32>,
    diary: Mutex<Diary>,
}

/// One of the nodes, in one of its lives.
pub(crate) struct Member {
    pub(crate) number: usize,
    pub(crate) name: String,
    pub(crate) node: Node,
}

/// What was done.
#[derive(Default)]
pub(crate) struct Diary {
    /// What was done when.
    pub(crate) lines: Vec<(BootInstant, String)>,
    /// How often each kind of fault was played.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// What nodes did that nobody made them do.
    pub(crate) surprises: Vec<String>,
}

fn name(number: usize) -> String {
    format!("web-{}", number + 1)
}

impl Scene {
    /// Starts all, and waits until all nodes are ready.
    pub(crate) fn set(ground: Ground, may_mount: bool) -> Self {
        // The journal of a quorum, its ledger and both once more while a file is rewritten.
        let room = if ground == Ground::Quorum { 512 } else { 192 };
        let disk = may_mount.then(|| Disk::of(room));
        let stage = Stage { disk: disk.as_ref() };
        let (servers, links, store) = stage.servers(ground);
        let acks = match ground {
            Ground::Sentinel | Ground::Cluster => "min_acks = 1\n",
            Ground::Sqlite | Ground::Redis | Ground::Quorum | Ground::Denied => "",
        };
        let site = Site::at(&store, &format!("{CLUSTER}{acks}"), &jobs::table(ground, 0));
        std::fs::create_dir(site.folder().join("logs")).expect("it can be made");
        let clock = |number| (number, WallClock::new(site.folder(), &name(number), 0));
        let clocks = Vec::from(CLOCKED.map(clock));
        // The first that opens a SQLite file sets the cluster's clock: by a right one.
        let members = std::array::from_fn(|number| {
            Mutex::new(Member { number, name: name(number), node: start(&site, &clocks, number) })
        });
        let scene = Self {
            ground,
            members,
            clocks,
            site,
            links,
            servers: Mutex::new(servers),
            disk,
            table: Mutex::new(0),
            diary: Mutex::new(Diary::default()),
        };
        for member in &scene.members {
            let member = member.lock().unwrap();
            until_within(RECOVERY, &format!("{} is ready", member.name), || is_ready(&member.node));
        }
        scene
    }

    /// One of the nodes, alone.
    pub(crate) fn member(&self, number: usize) -> MutexGuard<'_, Member> {
        let mut member = self.members[number].lock().expect("no lane has failed");
        self.look_after(&mut member);
        member
    }

    pub(crate) fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().expect("no lane has failed")
    }

    pub(crate) fn diary(&self) -> MutexGuard<'_, Diary> {
        // Who panicked with it has written a whole line, or none.
        self.diary.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self, line: String) {
        self.diary().lines.push((BootInstant::now(), line));
    }

    /// What a service manager would do: one that ended by itself is started again.
    fn look_after(&self, member: &mut Member) {
        let Some(status) = member.node.ended() else { return };
        self.write(format!("{} has ended by itself: {status}", member.name));
        // 69: the store cannot be opened.
        if status.code() != Some(69) {
            let said = member.node.strays().join("\n");
            let surprise = format!("{} ended by itself: {status}: {said}", member.name);
            self.diary().surprises.push(surprise);
        }
        self.start_again(member);
    }

    /// Starts a node that has ended; does not wait until it is ready.
    pub(crate) fn start_again(&self, member: &mut Member) {
        loop {
            self.keep_strays(member);
            // The table must not change while it is read.
            let table = self.table.lock().expect("no lane has failed");
            member.node = start(&self.site, &self.clocks, member.number);
            let mut has_ended = false;
            until_within(RECOVERY, "the node has read its table or ended", || {
                has_ended = member.node.ended().is_some();
                has_ended || is_beginning(&member.node)
            });
            drop(table);
            if !has_ended {
                self.write(format!("{} is started, pid {}", member.name, member.node.pid()));
                return;
            }
        }
    }

    /// What it said beside its log is no good sign.
    fn keep_strays(&self, member: &Member) {
        for stray in member.node.strays() {
            if stray.contains("panicked") {
                self.diary().surprises.push(format!("{}: {stray}", member.name));
            }
        }
    }

    /// Puts another table there that promises the same.
    pub(crate) fn change_table(&self) {
        let mut round = self.table.lock().expect("no lane has failed");
        *round += 1;
        self.site.set_jobs(&jobs::table(self.ground, *round));
    }

    /// Puts a bad table there for as long as `meanwhile` takes.
    pub(crate) fn with_bad_table<T>(&self, meanwhile: impl FnOnce() -> T) -> T {
        let round = self.table.lock().expect("no lane has failed");
        self.site.set_jobs(&jobs::bad_table(self.ground));
        let answer = meanwhile();
        self.site.set_jobs(&jobs::table(self.ground, *round));
        answer
    }

    /// Everything passes, and all nodes are up and ready.
    pub(crate) fn calm(&self) {
        for link in &self.links {
            link.mend();
        }
        for (_, clock) in &self.clocks {
            clock.set(0);
        }
        for number in 0..NODES {
            let mut member = self.member(number);
            until_within(RECOVERY, &format!("{} is ready", member.name), || {
                self.look_after(&mut member);
                is_ready(&member.node)
            });
        }
    }

    /// Drains all nodes.
    pub(crate) fn drain(&self) {
        let mut members: Vec<_> = (0..NODES).map(|number| self.member(number)).collect();
        members.iter().for_each(|member| member.node.terminate());
        for member in &mut members {
            let mut status = None;
            until_within(RECOVERY, "the nodes are drained", || {
                status = member.node.ended();
                status.is_some()
            });
            self.keep_strays(member);
            // 1: what did not end in time was ended.
            if !matches!(status.and_then(|status| status.code()), Some(0 | 1)) {
                let surprise = format!("{} drained as {status:?}", member.name);
                self.diary().surprises.push(surprise);
            }
        }
    }

    /// The whole ledger, once the store can be asked.
    pub(crate) fn ledger(&self) -> Vec<Entry> {
        let mut history = Err(String::new());
        until_within(RECOVERY, "the store tells its history", || {
            history = self.site.try_ask(&["history", "--format", "json", "--limit", "1000000"]);
            history.is_ok()
        });
        let history = history.expect("it was waited for");
        serde_json::from_str(&history).expect("history prints JSON")
    }

    /// Where the nodes' logs are.
    pub(crate) fn logs(&self) -> Vec<(String, PathBuf)> {
        (0..NODES).map(|number| (name(number), log(&self.site, number))).collect()
    }

    /// The last second that has begun by everybody's clock.
    pub(crate) fn second() -> i64 {
        wall_now().as_second()
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            report::keep(self, &[]);
        }
    }
}

fn log(site: &Site, number: usize) -> PathBuf {
    site.folder().join("logs").join(name(number))
}

fn start(site: &Site, clocks: &[(usize, WallClock)], number: usize) -> Node {
    // Its last life may have been killed.
    let log = log(site, number);
    Node::start_telling(Some(&log), &site.config(), &name(number), |command| {
        if let Some((_, clock)) = clocks.iter().find(|(of, _)| *of == number) {
            clock.rule(command);
        }
    })
}

fn is_ready(node: &Node) -> bool {
    node.count("node.started", |_| true) > 0
}

/// Whether it has its table, and minds signals.
pub(crate) fn is_beginning(node: &Node) -> bool {
    is_ready(node) || node.count("store.down", |_| true) > 0
}

impl Member {
    /// Sends the daemon a signal, unless it is gone.
    pub(crate) fn signal(&self, signal: Signal) {
        self.node.signal(signal);
    }
}

/// What servers are put up on.
struct Stage<'a> {
    disk: Option<&'a Disk>,
}

impl Stage<'_> {
    /// A server that forgets nothing.
    fn durable(&self) -> Builder {
        RedisServer::builder().durable().config("auto-aof-rewrite-min-size", "16mb")
    }

    /// The same on the small disk.
    fn first(&self) -> Builder {
        match self.disk {
            Some(disk) => self.durable().config("dir", &disk.path().display().to_string()),
            None => self.durable(),
        }
    }

    /// The servers, the proxies before them, and the address of the store.
    fn servers(&self, ground: Ground) -> (Servers, Vec<Arc<Proxy>>, String) {
        match ground {
            Ground::Sqlite => {
                let temporary = || tempfile::tempdir().expect("there is room for a folder");
                let folder = self.disk.is_none().then(temporary);
                let path = self.disk.map(Disk::path).or(folder.as_ref().map(TempDir::path));
                let file = path.expect("one of them is there").join("solocron.db");
                let store = format!("sqlite:{}", file.display());
                (Servers::Sqlite { file, _folder: folder }, Vec::new(), store)
            }
            Ground::Redis | Ground::Denied => {
                let server = match ground {
                    Ground::Denied => RedisServer::builder().config("save", "3 1").start(),
                    _ => self.first().start(),
                };
                let link = Arc::new(Proxy::before(server.port()));
                let store = link.redis_url();
                (Servers::Redis(server), vec![link], store)
            }
            Ground::Sentinel => {
                let group = Group::plan()
                    .replicas(1)
                    .down_after(Duration::from_millis(1_500))
                    .first(self.first())
                    .server(self.durable())
                    .fronted()
                    .start();
                group.until_watched();
                let (links, store) = (group.proxies.clone(), group.url());
                (Servers::Sentinel(group), links, store)
            }
            Ground::Cluster => {
                let mut plans = vec![self.durable(); ground.servers()];
                plans[0] = self.first();
                let mut cluster = ServerCluster::fronted(plans, 3);
                // A machine that is busy is not to be taken for one that is lost.
                for server in cluster.servers_mut() {
                    server.cli(&["CONFIG", "SET", "cluster-node-timeout", "2000"]);
                    server.cli(&["CONFIG", "REWRITE"]);
                }
                let (links, store) = (cluster.proxies().to_vec(), cluster.url());
                (Servers::Cluster(cluster), links, store)
            }
            Ground::Quorum => {
                let others = (1..ground.servers()).map(|_| self.durable().start());
                let servers: Vec<_> = [self.first().start()].into_iter().chain(others).collect();
                let links: Vec<_> =
                    servers.iter().map(|s| Arc::new(Proxy::before(s.port()))).collect();
                let stores: Vec<_> = links.iter().map(|link| link.redis_url()).collect();
                (Servers::Quorum(servers), links, stores.join(","))
            }
        }
    }
}
