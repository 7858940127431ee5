//! A master, its replicas and the sentinels that watch them: real servers, each on a free
//! port and in a folder of its own, gone with the value or with the test process.

use std::process::Child;
use std::sync::Arc;
use std::time::Duration;

use super::proxy::Proxy;
use super::redis_server::{Builder, RedisServer};
use super::{PATIENCE, processes, until, until_within};

/// What the sentinels call the master.
pub(crate) const MASTER: &str = "main";

/// What a group of servers is to be like.
#[derive(Clone)]
pub(crate) struct Plan {
    replicas: usize,
    down_after: Duration,
    server: Builder,
    first: Option<Builder>,
    is_fronted: bool,
    password: Option<String>,
    sentinel_password: Option<String>,
}

impl Plan {
    /// How many replicas the master has.
    pub(crate) fn replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// How long a server is silent before the sentinels take it for down. Without it
    /// they never do, however busy the machine is.
    pub(crate) fn down_after(mut self, silence: Duration) -> Self {
        self.down_after = silence;
        self
    }

    /// What master and replicas are like.
    pub(crate) fn server(mut self, server: Builder) -> Self {
        self.server = server;
        self
    }

    /// What the first is like, if not like the others.
    pub(crate) fn first(mut self, server: Builder) -> Self {
        self.first = Some(server);
        self
    }

    /// Master and replicas are known by proxies before them.
    pub(crate) fn fronted(mut self) -> Self {
        self.is_fronted = true;
        self
    }

    /// Master and replicas need this password, the sentinels that one.
    pub(crate) fn passwords(mut self, servers: &str, sentinels: &str) -> Self {
        self.server = self.server.password(servers).config("masterauth", servers);
        self.password = Some(servers.to_owned());
        self.sentinel_password = Some(sentinels.to_owned());
        self
    }

    /// Starts them; whether the sentinels know of each other is not waited for.
    pub(crate) fn start(self) -> Group {
        let fast = |server: &Builder| server.clone().config("repl-diskless-sync-delay", "0");
        let first = self.first.as_ref().unwrap_or(&self.server);
        let mut group = Group { servers: Vec::new(), sentinels: Vec::new(), proxies: Vec::new() };
        group.servers.push(fast(first).config("repl-ping-replica-period", "1").start());
        let master = group.servers[0].port();
        for _ in 0..self.replicas {
            let replica = fast(&self.server).config("replicaof", &format!("127.0.0.1 {master}"));
            group.servers.push(replica.start());
        }
        if self.is_fronted {
            let fronts = group.servers.iter().map(|s| s.front("replica-announce-port"));
            group.proxies = fronts.collect();
            for replica in &group.servers[1..] {
                replica.cli(&["REPLICAOF", "127.0.0.1", &group.port(0).to_string()]);
                replica.cli(&["CONFIG", "REWRITE"]);
            }
        }
        let port = group.port(0);
        until("all replicas are there", || {
            let about = group.servers[0].cli_text(&["INFO", "replication"]);
            about.matches("state=online").count() == self.replicas
        });
        // Before the first write to them they seem to be in step while they still load.
        group.servers[0].cli(&["SET", "first", "write"]);
        group.servers[0].cli(&["DEL", "first"]);
        group.until_in_step(0);
        group.sentinels = (0..3).map(|_| self.sentinel(port)).collect();
        group
    }

    fn sentinel(&self, master: u16) -> RedisServer {
        let down_after = self.down_after.as_millis();
        let mut builder = RedisServer::builder()
            .sentinel()
            .config("sentinel monitor", &format!("{MASTER} 127.0.0.1 {master} 2"))
            .config("sentinel down-after-milliseconds", &format!("{MASTER} {down_after}"))
            .config("sentinel failover-timeout", &format!("{MASTER} 4000"));
        if let Some(password) = &self.password {
            builder = builder.config("sentinel auth-pass", &format!("{MASTER} {password}"));
        }
        if let Some(password) = &self.sentinel_password {
            builder = builder.password(password);
        }
        builder.start()
    }
}

/// The servers. The first began as the master.
pub(crate) struct Group {
    pub(crate) servers: Vec<RedisServer>,
    pub(crate) sentinels: Vec<RedisServer>,
    /// Before each of the servers, if there are any.
    pub(crate) proxies: Vec<Arc<Proxy>>,
}

impl Group {
    /// One master and nothing else, without end.
    pub(crate) fn plan() -> Plan {
        Plan {
            replicas: 0,
            down_after: Duration::from_secs(3600),
            server: RedisServer::builder(),
            first: None,
            is_fronted: false,
            password: None,
            sentinel_password: None,
        }
    }

    /// `redis+sentinel://…/main/0`.
    pub(crate) fn url(&self) -> String {
        let sentinels: Vec<_> =
            self.sentinels.iter().map(|s| format!("127.0.0.1:{}", s.port())).collect();
        format!("redis+sentinel://{}/{MASTER}/0", sentinels.join(","))
    }

    /// The sentinels' hosts and ports.
    pub(crate) fn addresses(&self) -> Vec<(String, u16)> {
        self.sentinels.iter().map(|s| ("127.0.0.1".to_owned(), s.port())).collect()
    }

    /// Waits until every sentinel knows the others and all replicas, so that they can
    /// make another master.
    pub(crate) fn until_watched(&self) {
        let (sentinels, replicas) = (self.sentinels.len() - 1, self.servers.len() - 1);
        for sentinel in &self.sentinels {
            until("the sentinels know each other and the replicas", || {
                let about = sentinel.cli_list(&["SENTINEL", "MASTER", MASTER]);
                let says = |name: &str| {
                    let at = about.iter().position(|field| field == name)?;
                    about.get(at + 1)?.parse().ok()
                };
                says("num-other-sentinels") == Some(sentinels)
                    && says("num-slaves") == Some(replicas)
            });
        }
    }

    /// By which port others know a server.
    fn port(&self, server: usize) -> u16 {
        self.proxies.get(server).map_or(self.servers[server].port(), |proxy| proxy.port())
    }

    /// Which server all sentinels call the master; none while they differ.
    pub(crate) fn master(&self) -> Option<usize> {
        let ask = |sentinel: &RedisServer| {
            let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER];
            let port = sentinel.cli_list(&question).pop()?.parse::<u16>().ok()?;
            (0..self.servers.len()).find(|&server| self.port(server) == port)
        };
        let mut answers = self.sentinels.iter().map(ask);
        let first = answers.next()??;
        answers.all(|other| other == Some(first)).then_some(first)
    }

    /// Waits until `server` is the master, for its sentinels and for itself.
    pub(crate) fn until_master(&self, server: usize) {
        until("the sentinels have made it the master", || {
            self.master() == Some(server) && self.says(server, "role") == "master"
        });
    }

    /// Waits until all others are replicas of `master` and have all that it has now.
    pub(crate) fn until_in_step(&self, master: usize) {
        self.until_led(PATIENCE, || Some(master));
    }

    /// The same of whichever server is the master, for its sentinels and for itself: on a
    /// busy machine they may have found the one that was made it too slow, and another is.
    pub(crate) fn until_whole(&self) {
        // They turn a master that comes back into a replica when they have found nobody down
        // for eight seconds together.
        self.until_led(PATIENCE * 3, || self.master());
    }

    fn until_led(&self, patience: Duration, by: impl Fn() -> Option<usize>) {
        let mut has = None;
        until_within(patience, "some server is the master and all replicas are in step", || {
            let Some(master) = by() else { return false };
            let about = self.servers[master].cli_text(&["INFO", "replication"]);
            if field(&about, "role") != "master" {
                return false;
            }
            // What is written meanwhile is not waited for: somebody may go on and on.
            let now = offset(field(&about, "master_repl_offset"));
            let (of, wanted) = has.unwrap_or((master, now));
            let wanted = if of == master { wanted.min(now) } else { now };
            has = Some((master, wanted));
            self.are_at(&about, wanted)
        });
    }

    /// Whether all others are replicas of `master` and have all that it has.
    pub(crate) fn is_in_step(&self, master: usize) -> bool {
        let about = self.servers[master].cli_text(&["INFO", "replication"]);
        field(&about, "role") == "master"
            && self.are_at(&about, offset(field(&about, "master_repl_offset")))
    }

    /// Whether all others are replicas, and have all up to there, by what their master says.
    fn are_at(&self, about: &str, wanted: u64) -> bool {
        let has = |line: &&str| {
            let told = line.split("offset=").nth(1).and_then(|rest| rest.split(',').next());
            line.starts_with("slave")
                && line.contains("state=online")
                && told.is_some_and(|told| offset(told) >= wanted)
        };
        about.lines().filter(has).count() == self.servers.len() - 1
    }

    /// Has the folders removed when this process ends, however it does: for a group that
    /// is never dropped.
    pub(crate) fn clean_up_at_the_end(&self) -> Child {
        let servers = self.servers.iter().chain(&self.sentinels);
        processes::remove_at_the_end(servers.map(RedisServer::folder))
    }

    /// A field of what a server says of its replication.
    pub(crate) fn says(&self, server: usize, name: &str) -> String {
        field(&self.servers[server].cli_text(&["INFO", "replication"]), name).to_owned()
    }
}

fn field<'a>(about: &'a str, name: &str) -> &'a str {
    let find = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
    about.lines().find_map(find).unwrap_or_default()
}

fn offset(digits: &str) -> u64 {
    digits.parse().expect("an offset is a number")
}
