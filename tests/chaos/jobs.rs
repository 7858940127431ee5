//! The jobs: from a moment to longer than their leases, with every policy, and what
//! each promises.

use crate::harness::lives::{lively, lively_beside};
use crate::harness::oracle::Scope;
use crate::plan::Ground;

/// How long all leases last, in seconds: the longest jobs take longer. On a quorum all takes
/// several times as long.
fn ttl(ground: Ground) -> u64 {
    if ground == Ground::Quorum { 8 } else { 4 }
}

/// A job, and what may become of its slots.
pub(crate) struct Promise {
    pub(crate) name: &'static str,
    /// So many seconds apart its slots are.
    pub(crate) period: i64,
    work: &'static str,
    /// Its slots may run beside each other.
    is_beside: bool,
    /// Lost runs are taken over; else they are abandoned.
    pub(crate) is_taken_over: bool,
    keys: &'static str,
}

const NOTHING: &str = ":";
const A_MOMENT: &str = "sleep 0.3";
/// Longer than the lease.
const LONG: &str = "sleep $LONG";
/// The same in a tree, a part of which is in a session of its own and cares for no TERM.
const TREE: &str = r#"setsid sh -c "trap '' TERM; sleep $LONG" & wait"#;

const fn takeover(name: &'static str, period: i64, work: &'static str) -> Promise {
    Promise { name, period, work, is_beside: false, is_taken_over: true, keys: "" }
}

const fn beside(name: &'static str, work: &'static str) -> Promise {
    Promise { is_beside: true, ..takeover(name, 1, work) }
}

/// All of them.
pub(crate) const PROMISES: [Promise; 20] = [
    beside("beside-1", NOTHING),
    beside("beside-2", NOTHING),
    beside("beside-3", NOTHING),
    beside("beside-4", NOTHING),
    beside("beside-5", NOTHING),
    takeover("moment-1", 1, NOTHING),
    takeover("moment-2", 1, NOTHING),
    takeover("moment-3", 1, NOTHING),
    takeover("moment-4", 1, NOTHING),
    Promise { is_taken_over: false, ..beside("abandoned-1", NOTHING) },
    Promise { is_taken_over: false, ..beside("abandoned-2", NOTHING) },
    Promise { keys: "catch_up = 'all'", ..takeover("caught-up-1", 1, NOTHING) },
    Promise { keys: "catch_up = 'all'", ..takeover("caught-up-2", 1, NOTHING) },
    Promise { keys: "catch_up = 'latest'", ..beside("caught-up-3", NOTHING) },
    Promise { keys: "catch_up = 'latest'\noverlap = 'wait'", ..takeover("waits", 1, A_MOMENT) },
    Promise { is_taken_over: false, ..takeover("short", 1, A_MOMENT) },
    takeover("long", 5, LONG),
    Promise { is_beside: true, ..takeover("tree", 7, TREE) },
    Promise { is_taken_over: false, ..takeover("long-abandoned", 6, LONG) },
    Promise { keys: "overlap = 'wait'", ..takeover("long-waits", 3, TREE) },
];

/// The job table; `round` tells one from another that promises the same.
pub(crate) fn table(ground: Ground, round: u32) -> String {
    PROMISES.iter().map(|promise| promise.table(ground, round)).collect()
}

/// A table that no node takes.
pub(crate) fn bad_table(ground: Ground) -> String {
    table(ground, 0).replace("start_within", "start_whitin")
}

/// All slots after `after` up to and with `upto`.
pub(crate) fn scope(after: i64, upto: i64) -> Scope {
    let jobs = PROMISES.iter().map(|promise| promise.name.to_owned()).collect();
    let periods = PROMISES.iter().map(|promise| (promise.name.to_owned(), promise.period));
    Scope { jobs, after, upto, periods: periods.collect() }
}

impl Promise {
    fn table(&self, ground: Ground, round: u32) -> String {
        let Self { name, period, work, is_beside, is_taken_over, keys } = self;
        let shell = if *is_beside { lively_beside(work) } else { lively(work) };
        // Busy machines are late; what is promised has nothing to do with that.
        let (ttl, long) = (ttl(ground), ttl(ground) + 1);
        let mut more = format!("lease_ttl = '{ttl}s'\nstart_within = '20s'\n{keys}\n");
        if *is_beside {
            more += "overlap = 'allow'\n";
        }
        // Whoever takes a slot over may be the next that is struck.
        more += if *is_taken_over { "max_takeovers = 1000\n" } else { "on_crash = 'skip'\n" };
        format!(
            "[jobs.{name}]\nschedule = '@every {period}s'\nshell = '''{shell}'''\n\
             env = {{ ROUND = '{round}', LONG = '{long}' }}\n{more}\n"
        )
    }
}

/// The promise of a job.
pub(crate) fn promise(job: &str) -> &'static Promise {
    PROMISES.iter().find(|promise| promise.name == job).expect("it is one of ours")
}

impl Promise {
    /// Whether a slot may be missed for this reason: nobody pauses, and no node has a limit.
    pub(crate) fn may_miss_for(&self, reason: &str) -> bool {
        match reason {
            "overlap" => !self.is_beside,
            "no_node" | "store_down" | "late" => true,
            _ => false,
        }
    }
}
