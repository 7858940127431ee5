//! What can be done to nodes, their runs, their links and the servers of their store.

use std::time::Duration;

use crate::harness::proxy::Way;

/// One fault. Nodes and servers are numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// `kill -9`; it is started again after so long.
    KillDaemon {
        node: usize,
        away: Duration,
    },
    /// SIGSTOP, and SIGCONT after so long.
    StopDaemon {
        node: usize,
        lasts: Duration,
    },
    /// All nodes are drained and started again, one after another.
    RollingRestart,
    /// The keeper of one of its runs.
    KillKeeper {
        node: usize,
    },
    StopKeeper {
        node: usize,
        lasts: Duration,
    },
    KillWarden {
        node: usize,
    },
    StopWarden {
        node: usize,
        lasts: Duration,
    },
    /// All that solocron has on the node: daemon, warden and keepers.
    StopAllThree {
        node: usize,
        lasts: Duration,
    },
    /// Two of them at once.
    StopKeeperAndKillDaemon {
        node: usize,
        away: Duration,
    },
    KillKeeperAndStopDaemon {
        node: usize,
        lasts: Duration,
    },
    KillKeeperAndWarden {
        node: usize,
    },
    /// Between one node and one server, all connections are closed.
    CutLink {
        node: usize,
        server: usize,
        lasts: Duration,
    },
    /// What goes one way comes later.
    DelayLink {
        node: usize,
        server: usize,
        way: Way,
        by: Duration,
        lasts: Duration,
    },
    /// What goes one way vanishes.
    BlackholeLink {
        node: usize,
        server: usize,
        way: Way,
        lasts: Duration,
    },
    /// The node's wall clock is wrong by so many seconds from now on.
    StepClock {
        node: usize,
        ahead: i64,
    },
    /// The node loads its table anew.
    Reload {
        node: usize,
    },
    /// The same, and the table is bad.
    BadReload {
        node: usize,
    },
    /// `kill -9`; it is started again after so long.
    KillServer {
        server: usize,
        away: Duration,
    },
    StopServer {
        server: usize,
        lasts: Duration,
    },
    /// The same with two servers of a quorum at once.
    KillTwoServers {
        servers: [usize; 2],
        away: Duration,
    },
    StopTwoServers {
        servers: [usize; 2],
        lasts: Duration,
    },
    /// It is killed, and comes back empty.
    EmptyServer {
        server: usize,
        away: Duration,
    },
    /// A replica is made the master.
    FailOver {
        server: usize,
    },
    KillSentinel {
        sentinel: usize,
        away: Duration,
    },
    StopSentinel {
        sentinel: usize,
        lasts: Duration,
    },
    /// A hash slot moves to another master.
    MoveBucket {
        bucket: u32,
        by: u16,
    },
    /// There is no room on the store's disk: of its first server.
    FillDisk {
        lasts: Duration,
    },
    /// Somebody else writes to the file, for so long.
    HoldFile {
        lasts: Duration,
    },
}

impl Fault {
    /// What it is called where faults are counted.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::KillDaemon { .. } => "daemon killed",
            Self::StopDaemon { .. } => "daemon stopped",
            Self::RollingRestart => "rolling restart",
            Self::KillKeeper { .. } => "keeper killed",
            Self::StopKeeper { .. } => "keeper stopped",
            Self::KillWarden { .. } => "warden killed",
            Self::StopWarden { .. } => "warden stopped",
            Self::StopAllThree { .. } => "daemon, warden and keepers stopped",
            Self::StopKeeperAndKillDaemon { .. } => "keeper stopped and daemon killed",
            Self::KillKeeperAndStopDaemon { .. } => "keeper killed and daemon stopped",
            Self::KillKeeperAndWarden { .. } => "keeper and warden killed",
            Self::CutLink { .. } => "link cut",
            Self::DelayLink { way: Way::ToServer, .. } => "link delayed to the server",
            Self::DelayLink { way: Way::ToClient, .. } => "link delayed to the node",
            Self::BlackholeLink { way: Way::ToServer, .. } => "link blackholed to the server",
            Self::BlackholeLink { way: Way::ToClient, .. } => "link blackholed to the node",
            Self::StepClock { .. } => "clock stepped",
            Self::Reload { .. } => "reload",
            Self::BadReload { .. } => "reload of a bad table",
            Self::KillServer { .. } => "server killed",
            Self::StopServer { .. } => "server stopped",
            Self::KillTwoServers { .. } => "two servers killed",
            Self::StopTwoServers { .. } => "two servers stopped",
            Self::EmptyServer { .. } => "server came back empty",
            Self::FailOver { .. } => "failover asked for",
            Self::KillSentinel { .. } => "sentinel killed",
            Self::StopSentinel { .. } => "sentinel stopped",
            Self::MoveBucket { .. } => "hash slot moved",
            Self::FillDisk { .. } => "disk full",
            Self::HoldFile { .. } => "file held",
        }
    }

    /// How long it goes on, as far as the plan knows.
    pub(crate) fn length(self) -> Duration {
        match self {
            Self::KillDaemon { away: long, .. }
            | Self::StopKeeperAndKillDaemon { away: long, .. }
            | Self::KillServer { away: long, .. }
            | Self::KillTwoServers { away: long, .. }
            | Self::EmptyServer { away: long, .. }
            | Self::KillSentinel { away: long, .. }
            | Self::StopDaemon { lasts: long, .. }
            | Self::StopKeeper { lasts: long, .. }
            | Self::StopWarden { lasts: long, .. }
            | Self::StopAllThree { lasts: long, .. }
            | Self::KillKeeperAndStopDaemon { lasts: long, .. }
            | Self::CutLink { lasts: long, .. }
            | Self::DelayLink { lasts: long, .. }
            | Self::BlackholeLink { lasts: long, .. }
            | Self::StopServer { lasts: long, .. }
            | Self::StopTwoServers { lasts: long, .. }
            | Self::StopSentinel { lasts: long, .. }
            | Self::FillDisk { lasts: long }
            | Self::HoldFile { lasts: long } => long,
            Self::RollingRestart
            | Self::KillKeeper { .. }
            | Self::KillWarden { .. }
            | Self::KillKeeperAndWarden { .. }
            | Self::StepClock { .. }
            | Self::Reload { .. }
            | Self::BadReload { .. }
            | Self::FailOver { .. }
            | Self::MoveBucket { .. } => Duration::ZERO,
        }
    }
}
