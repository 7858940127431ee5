//! Which faults there will be: a pure function of a seed, a store and a length.
//!
//! Faults come in lanes. In each, one comes after the other, with a pause between; lanes
//! go on beside each other. Where two lanes mean the same node, the later one waits: so no
//! node loses its daemon, a warden and a keeper at once, which is what no promise covers.

use std::time::Duration;

use fastrand::Rng;

use crate::fault::Fault;
use crate::harness::proxy::Way;

/// How many nodes there are.
pub(crate) const NODES: usize = 5;

/// What the nodes keep their locks and ledger in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ground {
    Sqlite,
    Redis,
    Sentinel,
    Cluster,
    Quorum,
    /// A Redis that forgets the last seconds when it is killed, and nodes of which all is
    /// stopped at once: what the guarantee says it does not promise.
    Denied,
}

impl Ground {
    /// Those on which nothing may go wrong.
    pub(crate) const PROMISED: [Self; 5] =
        [Self::Sqlite, Self::Redis, Self::Sentinel, Self::Cluster, Self::Quorum];
    pub(crate) const ALL: [Self; 6] =
        [Self::Sqlite, Self::Redis, Self::Sentinel, Self::Cluster, Self::Quorum, Self::Denied];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
            Self::Sentinel => "sentinel",
            Self::Cluster => "cluster",
            Self::Quorum => "quorum",
            Self::Denied => "denied",
        }
    }

    pub(crate) fn is_promised(self) -> bool {
        Self::PROMISED.contains(&self)
    }

    /// How many servers keep it.
    pub(crate) fn servers(self) -> usize {
        match self {
            Self::Sqlite => 0,
            Self::Redis | Self::Denied => 1,
            Self::Sentinel => 2,
            Self::Cluster => 6,
            Self::Quorum => 5,
        }
    }
}

/// What goes on beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    Daemons,
    Runs,
    Links,
    Servers,
    Settings,
}

impl Lane {
    pub(crate) const ALL: [Self; 5] =
        [Self::Daemons, Self::Runs, Self::Links, Self::Servers, Self::Settings];
}

/// A fault, and how long after the one before it in its lane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Strike {
    pub(crate) pause: Duration,
    pub(crate) fault: Fault,
}

/// What happens in one lane.
pub(crate) fn lane(seed: u64, ground: Ground, lane: Lane, length: Duration) -> Vec<Strike> {
    let mut draw = Draw { rng: Rng::with_seed(seed ^ stream(ground, lane)), ground };
    let mut strikes = Vec::new();
    let mut at = Duration::ZERO;
    loop {
        let pause = draw.between(500, 4_000);
        let Some(fault) = draw.fault(lane) else { return strikes };
        at += pause + fault.length();
        if at > length {
            return strikes;
        }
        strikes.push(Strike { pause, fault });
    }
}

/// Each lane of each ground draws for itself.
fn stream(ground: Ground, lane: Lane) -> u64 {
    let number = ground as u64 * 16 + lane as u64 + 1;
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

struct Draw {
    rng: Rng,
    ground: Ground,
}

impl Draw {
    fn between(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(self.rng.u64(from..=to))
    }

    /// From a blink to twice as long as a lease.
    fn while_(&mut self) -> Duration {
        match self.rng.u8(..3) {
            0 => self.between(50, 800),
            1 => self.between(800, 3_000),
            _ => self.between(3_000, 6_500),
        }
    }

    fn node(&mut self) -> usize {
        self.rng.usize(..NODES)
    }

    fn server(&mut self) -> usize {
        self.rng.usize(..self.ground.servers())
    }

    fn two_servers(&mut self) -> [usize; 2] {
        let (first, step) = (self.server(), self.rng.usize(1..self.ground.servers()));
        [first, (first + step) % self.ground.servers()]
    }

    fn way(&mut self) -> Way {
        if self.rng.bool() { Way::ToServer } else { Way::ToClient }
    }

    fn fault(&mut self, lane: Lane) -> Option<Fault> {
        match lane {
            Lane::Daemons => Some(self.of_daemons()),
            Lane::Runs => Some(self.of_runs()),
            Lane::Links => (self.ground.servers() > 0).then(|| self.of_links()),
            Lane::Servers => Some(self.of_servers()),
            Lane::Settings => Some(self.of_settings()),
        }
    }

    fn of_daemons(&mut self) -> Fault {
        let node = self.node();
        match self.rng.u8(..9) {
            0..4 => Fault::KillDaemon { node, away: self.between(0, 3_000) },
            4..8 => Fault::StopDaemon { node, lasts: self.while_() },
            _ => Fault::RollingRestart,
        }
    }

    fn of_runs(&mut self) -> Fault {
        let node = self.node();
        if !self.ground.is_promised() {
            return Fault::StopAllThree { node, lasts: self.between(3_000, 9_000) };
        }
        match self.rng.u8(..7) {
            0 => Fault::KillKeeper { node },
            1 => Fault::StopKeeper { node, lasts: self.while_() },
            2 => Fault::KillWarden { node },
            3 => Fault::StopWarden { node, lasts: self.while_() },
            4 => Fault::StopKeeperAndKillDaemon { node, away: self.between(0, 2_000) },
            5 => Fault::KillKeeperAndStopDaemon { node, lasts: self.while_() },
            _ => Fault::KillKeeperAndWarden { node },
        }
    }

    fn of_links(&mut self) -> Fault {
        let (node, server, way, lasts) = (self.node(), self.server(), self.way(), self.while_());
        match self.rng.u8(..3) {
            0 => Fault::CutLink { node, server, lasts },
            1 => Fault::DelayLink { node, server, way, by: self.between(5, 2_500), lasts },
            _ => Fault::BlackholeLink { node, server, way, lasts },
        }
    }

    fn of_settings(&mut self) -> Fault {
        let node = self.node();
        match self.rng.u8(..5) {
            0..2 => Fault::StepClock { node: CLOCKED[self.rng.usize(..2)], ahead: self.step() },
            2..4 => Fault::Reload { node },
            _ => Fault::BadReload { node },
        }
    }

    /// By seconds, by an hour, or to the truth.
    fn step(&mut self) -> i64 {
        match self.rng.u8(..4) {
            0 => 0,
            1 => self.rng.i64(-3_600..=3_600),
            _ => self.rng.i64(-8..=8),
        }
    }

    fn of_servers(&mut self) -> Fault {
        let full = Fault::FillDisk { lasts: self.between(300, 4_000) };
        let (lasts, away) = (self.while_(), self.between(0, 4_000));
        match (self.ground, self.rng.u8(..8)) {
            (Ground::Sqlite, 0..4) => Fault::HoldFile { lasts },
            (Ground::Denied, _) => Fault::KillServer { server: 0, away },
            (_, 0) | (Ground::Sqlite, _) => full,
            (Ground::Redis, 1..4) => Fault::KillServer { server: 0, away },
            (Ground::Redis, _) => Fault::StopServer { server: 0, lasts },
            (Ground::Sentinel, 1..3) => Fault::KillServer { server: self.server(), away },
            (Ground::Sentinel, 3..5) => Fault::StopServer { server: self.server(), lasts },
            (Ground::Sentinel, 5) => Fault::KillSentinel { sentinel: self.rng.usize(..3), away },
            (Ground::Sentinel, 6) => Fault::StopSentinel { sentinel: self.rng.usize(..3), lasts },
            (Ground::Sentinel, _) => Fault::FailOver { server: 0 },
            (Ground::Cluster, 1..3) => Fault::KillServer { server: self.server(), away },
            (Ground::Cluster, 3) => Fault::StopServer { server: self.server(), lasts },
            (Ground::Cluster, 4) => Fault::FailOver { server: self.server() },
            (Ground::Cluster, _) => {
                Fault::MoveBucket { bucket: self.rng.u32(..16), by: self.rng.u16(1..16_384) }
            }
            (Ground::Quorum, 1) => Fault::KillServer { server: self.server(), away },
            (Ground::Quorum, 2) => Fault::StopServer { server: self.server(), lasts },
            (Ground::Quorum, 3) => Fault::KillTwoServers { servers: self.two_servers(), away },
            (Ground::Quorum, 4..6) => Fault::StopTwoServers { servers: self.two_servers(), lasts },
            (Ground::Quorum, _) => Fault::EmptyServer { server: self.server(), away },
        }
    }
}

/// The nodes whose wall clocks can be set; the others go by the machine's.
pub(crate) const CLOCKED: [usize; 2] = [3, 4];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const LENGTH: Duration = Duration::from_secs(3_600);

    fn whole(seed: u64, ground: Ground) -> Vec<Strike> {
        Lane::ALL.into_iter().flat_map(|which| lane(seed, ground, which, LENGTH)).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_plan_and_another_another() {
        for ground in Ground::ALL {
            assert_eq!(whole(7, ground), whole(7, ground));
            assert_ne!(whole(7, ground), whole(8, ground));
        }
        assert_ne!(whole(7, Ground::Redis), whole(7, Ground::Sentinel));
    }

    #[test]
    fn a_longer_plan_begins_as_a_shorter_one() {
        for which in Lane::ALL {
            let (short, long) = (LENGTH / 60, LENGTH);
            let short = lane(7, Ground::Quorum, which, short);
            assert!(lane(7, Ground::Quorum, which, long).starts_with(&short));
        }
    }

    #[test]
    fn every_kind_of_fault_occurs_where_it_can() {
        let kinds = |ground| -> BTreeSet<&str> {
            whole(7, ground).iter().map(|strike| strike.fault.kind()).collect()
        };
        let everywhere = [
            "daemon killed",
            "daemon stopped",
            "rolling restart",
            "keeper killed",
            "keeper stopped",
            "warden killed",
            "warden stopped",
            "keeper stopped and daemon killed",
            "keeper killed and daemon stopped",
            "keeper and warden killed",
            "clock stepped",
            "reload",
            "reload of a bad table",
            "disk full",
        ];
        let links = [
            "link cut",
            "link delayed to the server",
            "link delayed to the node",
            "link blackholed to the server",
            "link blackholed to the node",
        ];
        let servers = ["server killed", "server stopped"];
        let sentinels = ["failover asked for", "sentinel killed", "sentinel stopped"];
        let of_cluster = ["failover asked for", "hash slot moved"];
        let of_quorum = ["two servers killed", "two servers stopped", "server came back empty"];
        let [links, servers, everywhere] = [&links[..], &servers, &everywhere];
        for (ground, wanted) in [
            (Ground::Sqlite, vec![everywhere, &["file held"]]),
            (Ground::Redis, vec![everywhere, links, servers]),
            (Ground::Sentinel, vec![everywhere, links, servers, &sentinels]),
            (Ground::Cluster, vec![everywhere, links, servers, &of_cluster]),
            (Ground::Quorum, vec![everywhere, links, servers, &of_quorum]),
        ] {
            assert_eq!(kinds(ground), wanted.concat().into_iter().collect(), "{ground:?}");
        }
        let denied = kinds(Ground::Denied);
        assert!(denied.contains("daemon, warden and keepers stopped"), "{denied:?}");
        assert!(denied.contains("server killed"), "{denied:?}");
    }

    #[test]
    fn two_servers_are_two() {
        for strike in whole(7, Ground::Quorum) {
            if let Fault::KillTwoServers { servers: [a, b], .. }
            | Fault::StopTwoServers { servers: [a, b], .. } = strike.fault
            {
                assert!(a != b && a < 5 && b < 5, "{strike:?}");
            }
        }
    }
}
