//! More runs at once than the daemon has room for.

use std::os::unix::process::CommandExt;

use nix::sys::resource::{Resource, setrlimit};

use crate::harness::site::{Ground, Site};
use crate::harness::until;

const JOBS: usize = 500;

#[test]
fn five_hundred_jobs_at_once_with_few_descriptors_fail_one_by_one_and_the_daemon_lives() {
    let job = |number| {
        format!(
            "[jobs.many-{number}]\nschedule = '*/10 * * * * *'\nshell = 'sleep 3'\n\
             start_within = '15s'\n"
        )
    };
    let jobs: String = (0..JOBS).map(job).collect();
    let site = Site::new(Ground::Sqlite, "drain_timeout = '1s'", &jobs);
    let mut node = site
        .start_with("narrow", |command| {
            // SAFETY: between fork and exec there is but one system call.
            unsafe {
                command.pre_exec(|| Ok(setrlimit(Resource::RLIMIT_NOFILE, 256, 256)?));
            }
        })
        .ready();
    until("they all have ended", || node.count("run.finished", |_| true) >= JOBS);
    let count = |outcome: &str| node.count("run.finished", |run| run["outcome"] == outcome);
    assert!(count("succeeded") > 20, "{}", count("succeeded"));
    assert!(count("failed") > 20, "{}", count("failed"));
    for run in node.all("run.finished", |run| run["outcome"] == "failed") {
        let error = run["error"].as_str().unwrap();
        let why = ": too many open files in solocron: raise its limit (`ulimit -n`)";
        assert!(error.ends_with(why), "{error}");
    }
    // And the next ones run.
    let first = node.wait("run.finished")["slot"].clone();
    node.wait_where("run.started", |run| run["slot"] != first);
    node.drain();
    assert_eq!(site.jobs_alive(), [0; 0]);
}
