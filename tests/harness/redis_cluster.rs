//! A real Redis Cluster for a test: servers as in `redis_server`, put together with the
//! commands that `redis-cli --cluster` would give.

use std::process::Child;
use std::sync::Arc;

use redis::Value;

use super::proxy::Proxy;
use super::redis_server::{Builder, RedisServer};
use super::{processes, until};

/// A server is taken for lost when it was silent for so long (ms).
const NODE_TIMEOUT: &str = "1000";
/// So many keys are moved at once.
const KEYS_AT_ONCE: &str = "100";
const HASH_SLOTS: usize = 16_384;

/// See the module's head.
pub(crate) struct ServerCluster {
    /// The masters, then the replicas of the first, of the second, and so on.
    servers: Vec<RedisServer>,
    /// What each calls itself, for as long as it lives.
    ids: Vec<String>,
    masters: usize,
    /// Before each of the servers, if there are any.
    proxies: Vec<Arc<Proxy>>,
}

impl ServerCluster {
    /// So many masters with an equal share each, and so many replicas of each.
    pub(crate) fn start(masters: usize, replicas: usize) -> Self {
        Self::of(RedisServer::builder(), masters, replicas)
    }

    /// The same of servers as `plan` has it, all with the same certificates.
    pub(crate) fn of(plan: Builder, masters: usize, replicas: usize) -> Self {
        Self::assemble(vec![plan; masters * (1 + replicas)], masters, false)
    }

    /// The same of servers as `plans` have them, masters first, which are known by proxies
    /// before them.
    pub(crate) fn fronted(plans: Vec<Builder>, masters: usize) -> Self {
        Self::assemble(plans, masters, true)
    }

    fn assemble(plans: Vec<Builder>, masters: usize, is_fronted: bool) -> Self {
        let (count, replicas) = (plans.len(), plans.len() / masters - 1);
        let mut servers: Vec<RedisServer> = Vec::new();
        for plan in plans {
            let server = plan
                .beside(servers.first())
                .of_cluster()
                .config("cluster-node-timeout", NODE_TIMEOUT)
                .config("cluster-require-full-coverage", "no")
                .config("repl-diskless-sync-delay", "0")
                .config("appendonly", "yes")
                .config("appendfsync", "always");
            servers.push(server.start());
        }
        let fronted = if is_fronted { &*servers } else { &[] };
        let proxies = fronted.iter().map(|s| s.front("cluster-announce-port")).collect();
        let ids = servers.iter().map(|server| server.cli_text(&["CLUSTER", "MYID"])).collect();
        let cluster = Self { servers, ids, masters, proxies };
        cluster.introduce();
        for master in 0..masters {
            let share = |part: usize| (part * HASH_SLOTS / masters).to_string();
            let last = (master + 1) * HASH_SLOTS / masters - 1;
            cluster.cli(master, &["CLUSTER", "ADDSLOTSRANGE", &share(master), &last.to_string()]);
        }
        for replica in masters..count {
            let master = cluster.id((replica - masters) / replicas);
            until("a replica knows its master", || {
                let answer = cluster.cli(replica, &["CLUSTER", "REPLICATE", &master]);
                answer == Value::Okay
            });
        }
        cluster.until_whole();
        cluster
    }

    fn introduce(&self) {
        for (number, server) in self.servers.iter().enumerate() {
            self.cli(number, &["CLUSTER", "SET-CONFIG-EPOCH", &(number + 1).to_string()]);
            let port = self.port(number).to_string();
            self.cli(0, &["CLUSTER", "MEET", "127.0.0.1", &port, server.bus()]);
        }
        let count = format!("cluster_known_nodes:{}", self.servers.len());
        until("the servers know each other", || {
            (0..self.servers.len()).all(|number| self.info(number).contains(&count))
        });
    }

    /// Waits until all servers that live have the same view, serve, and are in step.
    pub(crate) fn until_whole(&self) {
        until("the cluster is whole", || {
            let alive: Vec<_> =
                self.servers.iter().filter(|s| s.try_cli(&["PING"]).is_ok()).collect();
            let views: Vec<_> = alive.iter().map(|s| s.cli(&["CLUSTER", "SLOTS"])).collect();
            let serves = |server: &&RedisServer| {
                let info = server.cli_text(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            };
            let linked = |server: &&RedisServer| {
                let info = server.cli_text(&["INFO", "replication"]);
                info.contains("role:master") || info.contains("master_link_status:up")
            };
            alive.iter().all(serves)
                && alive.iter().all(linked)
                && views.iter().all(|view| masters_of(view) == masters_of(&views[0]))
        });
    }

    fn info(&self, number: usize) -> String {
        self.servers[number].cli_text(&["CLUSTER", "INFO"])
    }

    /// One of the servers.
    pub(crate) fn server(&self, number: usize) -> &RedisServer {
        &self.servers[number]
    }

    /// The same, to end and start it.
    pub(crate) fn server_mut(&mut self, number: usize) -> &mut RedisServer {
        &mut self.servers[number]
    }

    /// All of them.
    pub(crate) fn servers_mut(&mut self) -> &mut [RedisServer] {
        &mut self.servers
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.servers.len()
    }

    /// Whether a server is a master now.
    pub(crate) fn is_master(&self, number: usize) -> bool {
        self.servers[number].cli_text(&["INFO", "replication"]).contains("role:master")
    }

    /// The first of the replicas that a master began with.
    pub(crate) fn replica_of(&self, master: usize) -> usize {
        self.masters + master * (self.servers.len() / self.masters - 1)
    }

    fn cli(&self, number: usize, args: &[&str]) -> Value {
        self.servers[number].cli(args)
    }

    /// The name that the servers call one of them.
    pub(crate) fn id(&self, number: usize) -> String {
        self.ids[number].clone()
    }

    /// `redis+cluster://127.0.0.1:PORT,…` of the masters it began with, with `rediss` for TLS.
    pub(crate) fn url(&self) -> String {
        let seeds: Vec<_> =
            (0..self.masters).map(|master| format!("127.0.0.1:{}", self.port(master))).collect();
        let scheme = if self.servers[0].has_tls() { "rediss" } else { "redis" };
        format!("{scheme}+cluster://{}", seeds.join(","))
    }

    /// The ports of the masters it began with.
    pub(crate) fn ports(&self) -> Vec<u16> {
        self.servers[..self.masters].iter().map(RedisServer::port).collect()
    }

    /// By which port others know a server.
    fn port(&self, number: usize) -> u16 {
        self.proxies.get(number).map_or(self.servers[number].port(), |proxy| proxy.port())
    }

    /// The proxies before the servers.
    pub(crate) fn proxies(&self) -> &[Arc<Proxy>] {
        &self.proxies
    }

    /// The hash slot of a key.
    pub(crate) fn hash_slot(&self, key: &str) -> u16 {
        self.servers[0].cli_number(&["CLUSTER", "KEYSLOT", key]) as u16
    }

    /// The server that has a hash slot, as `asked` sees it.
    pub(crate) fn owner_by(&self, asked: usize, hash_slot: u16) -> Option<usize> {
        let view = self.servers[asked].try_cli(&["CLUSTER", "SLOTS"]).ok()?;
        let (_, _, id) = masters_of(&view)
            .into_iter()
            .find(|(first, last, _)| (*first..=*last).contains(&i64::from(hash_slot)))?;
        self.ids.iter().position(|known| *known == id)
    }

    /// The same, as the first server sees it that lives.
    pub(crate) fn owner(&self, hash_slot: u16) -> usize {
        let views = (0..self.servers.len()).find_map(|asked| self.owner_by(asked, hash_slot));
        views.expect("a server has it")
    }

    /// Waits until all that live know the same configuration epochs, no two masters the
    /// same.
    ///
    /// A move that begins sooner can be undone by the servers, and its keys are gone then:
    /// whoever gets a hash slot has to have the highest epoch, and takes for it one more
    /// than it knows of. Of 1,700 moves to and fro without this wait two ended so, of 2,900
    /// with it none (Redis 7.0.15). For the same reason only one move may go on at a time.
    fn until_epochs_are_known(&self) {
        let masters = |server: &RedisServer| {
            let nodes = server.cli_text(&["CLUSTER", "NODES"]);
            let mut masters: Vec<_> = nodes
                .lines()
                .map(|line| line.split(' ').collect::<Vec<_>>())
                .filter(|words| words[2].contains("master") && !words[2].contains("fail"))
                .map(|words| (words[6].to_owned(), words[0].to_owned()))
                .collect();
            masters.sort();
            masters
        };
        until("the epochs are known", || {
            let alive = self.servers.iter().filter(|s| s.try_cli(&["PING"]).is_ok());
            let views: Vec<_> = alive.map(masters).collect();
            views.iter().all(|view| *view == views[0])
                && views[0].windows(2).all(|pair| pair[0].0 != pair[1].0)
        });
    }

    /// Begins to move a hash slot; its keys stay where they are. No other move may go on.
    pub(crate) fn begin_move(&self, hash_slot: u16, from: usize, to: usize) {
        self.until_epochs_are_known();
        let slot = hash_slot.to_string();
        self.cli(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(from)]);
        self.cli(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)]);
    }

    /// Lets a move go on from a master that followed in the middle of it.
    pub(crate) fn resume_move(&self, hash_slot: u16, from: usize, to: usize) {
        let slot = hash_slot.to_string();
        self.cli(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)]);
        // While it imports, it hears of no other owner.
        self.cli(to, &["CLUSTER", "SETSLOT", &slot, "STABLE"]);
        until("the new master is known", || self.owner_by(to, hash_slot) == Some(from));
        self.cli(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(from)]);
    }

    /// Moves these keys.
    pub(crate) fn move_keys(&self, from: usize, to: usize, keys: &[String]) {
        let port = self.servers[to].port().to_string();
        let mut args = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000"];
        if let Some(password) = self.servers[to].password() {
            args.extend(["AUTH", password]);
        }
        args.push("KEYS");
        args.extend(keys.iter().map(String::as_str));
        self.cli(from, &args);
    }

    /// Moves the keys that are left.
    pub(crate) fn move_rest(&self, hash_slot: u16, from: usize, to: usize) {
        loop {
            let slot = hash_slot.to_string();
            let get = ["CLUSTER", "GETKEYSINSLOT", &slot, KEYS_AT_ONCE];
            let keys = self.servers[from].cli_list(&get);
            if keys.is_empty() {
                return;
            }
            self.move_keys(from, to, &keys);
        }
    }

    /// Says to all that the hash slot is at its new server: to that one first.
    pub(crate) fn end_move(&self, hash_slot: u16, from: usize, to: usize) {
        let (slot, id) = (hash_slot.to_string(), self.id(to));
        for number in [to, from] {
            self.cli(number, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]);
        }
    }

    /// Moves a hash slot with all its keys, as `redis-cli --cluster reshard` does.
    pub(crate) fn move_slot(&self, hash_slot: u16, from: usize, to: usize) {
        self.begin_move(hash_slot, from, to);
        self.move_rest(hash_slot, from, to);
        self.end_move(hash_slot, from, to);
    }

    /// Makes a replica a master that has no hash slot yet, as one that is added.
    pub(crate) fn make_spare(&self, replica: usize) {
        self.cli(replica, &["CLUSTER", "RESET", "SOFT"]);
        let port = self.servers[0].port().to_string();
        self.cli(replica, &["CLUSTER", "MEET", "127.0.0.1", &port, self.servers[0].bus()]);
        let knows = |number: usize| {
            let nodes = self.servers[number].cli_text(&["CLUSTER", "NODES"]);
            let line = nodes.lines().find(|line| line.starts_with(&self.ids[replica]));
            nodes.lines().count() == self.servers.len()
                && line.is_some_and(|line| line.contains("master -"))
        };
        until("all know the new master", || (0..self.servers.len()).all(knows));
        self.until_whole();
    }

    /// Waits until a replica has all that its master has.
    pub(crate) fn until_in_step(&self, master: usize, replica: usize) {
        let offset = |number: usize, field: &str| {
            let info = self.servers[number].cli_text(&["INFO", "replication"]);
            let value = info.split(field).nth(1).and_then(|rest| rest.split("\r\n").next());
            value.and_then(|value| value.parse::<u64>().ok())
        };
        let wanted = offset(master, "master_repl_offset:").expect("a master has one");
        until("the replica is in step", || {
            offset(replica, "slave_repl_offset:").is_some_and(|has| has >= wanted)
        });
    }

    /// Makes a replica the master, in step and with nothing lost; waits until it is.
    pub(crate) fn fail_over_to(&self, replica: usize) {
        // One that has just begun to follow says no.
        until("the replica may take over", || {
            self.cli(replica, &["CLUSTER", "FAILOVER"]) == Value::Okay
        });
        self.until_master(replica);
    }

    /// Waits until a server is a master.
    pub(crate) fn until_master(&self, number: usize) {
        until("the replica is master", || self.is_master(number));
    }

    /// Has the folders removed when this process ends, however it does: for a cluster
    /// that is never dropped.
    pub(crate) fn clean_up_at_the_end(&self) -> Child {
        processes::remove_at_the_end(self.servers.iter().map(RedisServer::folder))
    }
}

/// The ranges of hash slots, with what the master of each calls itself: ports depend on how
/// one asks, where there is TLS.
fn masters_of(view: &Value) -> Vec<(i64, i64, String)> {
    let list = |value: &Value| match value {
        Value::Array(values) => values.clone(),
        _ => Vec::new(),
    };
    let number = |value: &Value| match value {
        Value::Int(number) => *number,
        _ => -1,
    };
    let text = |value: &Value| match value {
        Value::BulkString(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        _ => String::new(),
    };
    let mut ranges: Vec<_> = list(view)
        .iter()
        .map(list)
        .map(|range| (number(&range[0]), number(&range[1]), text(&list(&range[2])[2])))
        .collect();
    ranges.sort_unstable();
    ranges
}
