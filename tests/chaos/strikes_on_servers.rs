//! Faults of the servers that keep the store, and how they are well again.

use std::path::Path;
use std::time::Duration;

use crate::fault::Fault;
use crate::harness::redis_cluster::ServerCluster;
use crate::harness::redis_server::RedisServer;
use crate::harness::sentinel::Group;
use crate::harness::until_within;
use crate::scene::{RECOVERY, Scene, Servers};

/// Does something to the store's file.
pub(crate) fn with_file(scene: &Scene, deed: impl FnOnce(&Path) -> bool) -> bool {
    let Servers::Sqlite { file, .. } = &*scene.servers() else { panic!("its store is no file") };
    deed(file)
}

/// Plays one; whether there was something to strike.
pub(crate) fn play(scene: &Scene, fault: Fault) -> bool {
    let servers = &mut *scene.servers();
    match fault {
        Fault::KillServer { server, away } => servers.kill(&[server], away, |_| {}),
        Fault::KillTwoServers { servers: two, away } => servers.kill(&two, away, |_| {}),
        Fault::EmptyServer { server, away } => {
            servers.kill(&[server], away, RedisServer::lose_data);
        }
        Fault::StopServer { server, lasts } => servers.stop(&[server], lasts),
        Fault::StopTwoServers { servers: two, lasts } => servers.stop(&two, lasts),
        Fault::KillSentinel { sentinel, away } => {
            let sentinel = &mut servers.group().sentinels[sentinel];
            sentinel.kill9();
            std::thread::sleep(away);
            sentinel.restart();
        }
        Fault::StopSentinel { sentinel, lasts } => {
            let sentinel = &servers.group().sentinels[sentinel];
            sentinel.pause();
            std::thread::sleep(lasts);
            sentinel.resume();
        }
        Fault::FailOver { server } => servers.fail_over(server),
        Fault::MoveBucket { bucket, by } => {
            let key = scene.site.key(bucket, "open");
            move_slot(servers.cluster(), &key, by);
        }
        other => panic!("no fault of a server: {other:?}"),
    }
    servers.recover();
    true
}

/// Does what an operator would when a disk was full: starts those again that ended, and
/// waits until all is well.
pub(crate) fn recover(scene: &Scene) {
    scene.servers().recover();
}

impl Servers {
    fn each(&mut self) -> Vec<&mut RedisServer> {
        match self {
            Self::Sqlite { .. } => Vec::new(),
            Self::Redis(server) => vec![server],
            Self::Sentinel(group) => group.servers.iter_mut().collect(),
            Self::Cluster(cluster) => cluster.servers_mut().iter_mut().collect(),
            Self::Quorum(servers) => servers.iter_mut().collect(),
        }
    }

    fn group(&mut self) -> &mut Group {
        let Self::Sentinel(group) = self else { panic!("it has no sentinels") };
        group
    }

    fn cluster(&mut self) -> &mut ServerCluster {
        let Self::Cluster(cluster) = self else { panic!("it is no cluster") };
        cluster
    }

    fn kill(&mut self, which: &[usize], away: Duration, meanwhile: impl Fn(&mut RedisServer)) {
        let mut all = self.each();
        which.iter().for_each(|&server| all[server].kill9());
        which.iter().for_each(|&server| meanwhile(all[server]));
        std::thread::sleep(away);
        which.iter().for_each(|&server| all[server].restart());
    }

    fn stop(&mut self, which: &[usize], lasts: Duration) {
        let all = self.each();
        which.iter().for_each(|&server| all[server].pause());
        std::thread::sleep(lasts);
        which.iter().for_each(|&server| all[server].resume());
    }

    fn fail_over(&mut self, server: usize) {
        match self {
            Self::Sentinel(group) => {
                // It says no while another is going on.
                let _asked = group.sentinels[server].try_cli(&["SENTINEL", "FAILOVER", "main"]);
            }
            Self::Cluster(cluster) => {
                let count = cluster.count();
                let mut others = (0..count).map(|step| (server + step) % count);
                let replica = others.find(|&number| !cluster.is_master(number));
                cluster.fail_over_to(replica.expect("each master has a replica"));
            }
            Self::Sqlite { .. } | Self::Redis(_) | Self::Quorum(_) => {
                panic!("none to fail over to")
            }
        }
    }

    /// Starts those again that have ended, and waits until all is as it should be: the next
    /// fault is to find a store that keeps what it promises.
    fn recover(&mut self) {
        for server in self.each() {
            if server.is_ended() {
                server.restart();
            }
        }
        match self {
            Self::Sqlite { .. } | Self::Redis(_) => {}
            Self::Sentinel(group) => until_within(RECOVERY, "the replica is in step", || {
                group.master().is_some_and(|master| group.is_in_step(master))
            }),
            Self::Cluster(cluster) => cluster.until_whole(),
            // One that came back empty is let in between the slots' changes: on a machine that
            // has other work, these alone take a second each.
            Self::Quorum(servers) => until_within(RECOVERY * 4, "all are members", || {
                servers.iter().all(RedisServer::is_member)
            }),
        }
    }
}

/// Moves the hash slot of a key to the master that has the hash slot `by` further on, or to
/// the next that is another.
fn move_slot(cluster: &mut ServerCluster, key: &str, by: u16) {
    let slot = cluster.hash_slot(key);
    let from = cluster.owner(slot);
    let others = (0..16_384).map(|more| (slot + by + more) % 16_384);
    let to = others.step_by(97).map(|other| cluster.owner(other)).find(|owner| *owner != from);
    cluster.move_slot(slot, from, to.expect("there are three masters"));
}
