//! What a node asks of its store and of its machine, in counts that a busy machine
//! does not blur.

use std::time::Duration;

use crate::harness::monitor::{Kind, Monitor};
use crate::harness::processes::wake_ups;
use crate::harness::site::{Ground, Site};
use crate::harness::until;

/// So many jobs with the same schedule. Their runs end before a process is started.
fn jobs(count: usize, schedule: &str) -> String {
    let job = |n| {
        format!(
            "[jobs.job-{n}]\nschedule = '{schedule}'\nuser = 'no-such-user'\ncommand = ['true']\n\
             overlap = 'allow'\nstart_within = '30s'\n"
        )
    };
    (0..count).map(job).collect()
}

#[test]
fn slots_that_are_due_together_are_claimed_in_one_call_and_completed_in_few() {
    const JOBS: usize = 60;
    let site = Site::new(Ground::Redis, "", &jobs(JOBS, "* * * * * *"));
    let node = site.start("web-1").ready();
    let monitor = Monitor::of(site.redis());
    until("ten seconds' slots are over", || node.count("run.finished", |_| true) >= 10 * JOBS);
    let calls = monitor.end();
    let slots = node.count("slot.claimed", |_| true);
    let seconds = slots.div_ceil(JOBS);
    let [claims, completions] =
        [Kind::Claim, Kind::Completion].map(|kind| calls.get(&kind).copied().unwrap_or(0));
    assert!((1..=seconds).contains(&claims), "{claims} calls for {seconds} seconds' claims");
    // Runs that began together do not end at one instant: what ends while one batch is
    // under way is the next.
    assert!((1..=slots / 6).contains(&completions), "{completions} calls for {slots} ends");
}

#[test]
fn leases_are_renewed_together_once_in_a_quarter_of_their_ttl() {
    const JOBS: usize = 20;
    let job = |n| {
        format!(
            "[jobs.job-{n}]\nschedule = '* * * * * *'\ncommand = ['sleep', '600']\n\
             lease_ttl = '4s'\n"
        )
    };
    let jobs: String = (0..JOBS).map(job).collect();
    let site = Site::new(Ground::Redis, "drain_timeout = '0s'", &jobs);
    let node = site.start("web-1").ready();
    until("all run", || node.count("run.started", |_| true) == JOBS);
    let monitor = Monitor::of(site.redis());
    std::thread::sleep(Duration::from_secs(6));
    let renewals = monitor.end().get(&Kind::Renewal).copied().unwrap_or(0);
    // A quarter is a second; one more for where the time begins and ends.
    assert!((3..=7).contains(&renewals), "{renewals} renewals in 6 seconds");
    assert_eq!(node.count("lease.lost", |_| true), 0);
}

#[test]
fn an_idle_node_asks_little_and_sleeps() {
    const SECONDS: u64 = 4;
    let site = Site::new(Ground::Redis, "", &jobs(100, "0 3 1 1 *"));
    let node = site.start("web-1").ready();
    until("four seconds are quiet", || {
        let monitor = Monitor::of(site.redis());
        let before = wake_ups(node.pid());
        std::thread::sleep(Duration::from_secs(SECONDS));
        let woken = wake_ups(node.pid()) - before;
        let calls: usize = monitor.end().values().sum();
        println!("{calls} calls, {woken} wake-ups in {SECONDS} seconds");
        calls < 2 * SECONDS as usize && woken < 20 * SECONDS
    });
}
