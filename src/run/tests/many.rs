//! What only shows in a process of its own: what many runs leave behind, and what
//! happens at the limits.
//!
//! Each of these tests starts this test binary again, for one ignored test.

use std::process::Command;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

pub(super) fn alone(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("run::tests::{test}"), "--ignored", "--nocapture"])
        .args(["--test-threads", "1"]);
    command
}

#[track_caller]
pub(super) fn passes_alone(test: &str) {
    let output = alone(test).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// The limit on open files that leaves just `room` numbers free, also where whoever
/// started the tests passed on descriptors with high numbers.
fn limit_that_leaves(room: usize) -> u64 {
    let listed: Vec<_> = std::fs::read_dir("/proc/self/fd").unwrap().collect();
    let open: Vec<u64> = listed
        .into_iter()
        .map(|entry| entry.unwrap().path())
        // The listing's own descriptor is closed by now.
        .filter(|path| path.symlink_metadata().is_ok())
        .map(|path| path.file_name().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    (0..).filter(|number| !open.contains(number)).nth(room).unwrap()
}

/// Waits until the one child of this process is its warden, and that has none.
fn assert_only_the_warden_is_left() {
    let own = nix::unistd::getpid();
    let begun = BootInstant::now();
    loop {
        let children = family::children(own);
        let family = family::descendants(own, |_| true);
        if family.len() == 1 {
            assert!(children.iter().all(|&child| is_warden(child)), "{family:?}");
            return;
        }
        // The warden takes note of a keeper's end a moment after the run is over.
        assert!(BootInstant::now().since(begun) < SOON, "{family:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_hundred_runs_at_once_leave_nothing_behind() {
    passes_alone("many::a_hundred_runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own"]
async fn a_hundred_runs() {
    // The first run starts the warden.
    run(command(&["true"])).await;
    let before = open_files();
    let work: [fn() -> Task; 4] = [
        || shell("echo hello"),
        || shell("sleep 1000 & sleep 1000 & echo bye"),
        || Task { timeout: Some(Duration::from_millis(300)), ..command(&["sleep", "1000"]) },
        || command(&["/no/such"]),
    ];
    let runs: Vec<_> = (0..100).map(|i| start(work[i % 4](), GRACE)).collect();
    for (i, live) in runs.into_iter().enumerate() {
        let expected =
            [Outcome::Succeeded, Outcome::Succeeded, Outcome::TimedOut, Outcome::Failed][i % 4];
        assert_eq!(live.end().await.outcome, expected);
    }
    assert_eq!(open_files(), before);
    assert_only_the_warden_is_left();
}

#[test]
fn a_run_that_finds_no_descriptor_left_fails_and_says_so() {
    passes_alone("many::no_descriptor_left");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn no_descriptor_left() {
    run(command(&["true"])).await;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let mut failed = 0;
    for room in 0..12 {
        setrlimit(Resource::RLIMIT_NOFILE, limit_that_leaves(room), hard).unwrap();
        let (report, _) = run(command(&["/bin/true"])).await;
        if report.outcome == Outcome::Failed {
            failed += 1;
            let error = report.error.unwrap();
            let why = ": too many open files in solocron: raise its limit (`ulimit -n`)";
            assert!(error.ends_with(why), "{error}");
        } else {
            assert_eq!(report.outcome, Outcome::Succeeded, "{:?}", report.error);
        }
    }
    assert!((2..11).contains(&failed), "{failed}");
    assert_only_the_warden_is_left();
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert_eq!(run(command(&["true"])).await.0.outcome, Outcome::Succeeded);
}

#[test]
fn a_run_that_may_not_fork_fails_and_says_so() {
    if is_root() {
        passes_alone("many::no_process_left");
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn no_process_left() {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    // The limit does not bind root.
    let (gid, uid) = (Gid::from_raw(54_321), Uid::from_raw(54_321));
    setgroups(&[]).unwrap();
    setresgid(gid, gid, gid).unwrap();
    setresuid(uid, uid, uid).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    let error = "cannot start a process: too many processes: see `ulimit -u` and the control \
                 group's pids.max";

    // Of the daemon: it gets no warden.
    setrlimit(Resource::RLIMIT_NPROC, 1, hard).unwrap();
    let (report, _) = run(command(&["true"])).await;
    assert_eq!((report.outcome, report.error.as_deref()), (Outcome::Failed, Some(error)));
    setrlimit(Resource::RLIMIT_NPROC, hard, hard).unwrap();
    let (report, lines) = run(shell("id -u")).await;
    assert_eq!(lines.stdout(), ["54321"], "{:?}", report.error);

    // Of the warden: it forks no keeper.
    let warden = family::children(nix::unistd::getpid())[0];
    limit_processes(warden, 1, hard);
    let (report, _) = run(command(&["true"])).await;
    assert_eq!((report.outcome, report.error.as_deref()), (Outcome::Failed, Some(error)));
    limit_processes(warden, hard, hard);
    assert_eq!(run(command(&["true"])).await.0.outcome, Outcome::Succeeded);
    assert_eq!(family::children(nix::unistd::getpid()), [warden]);
}

fn limit_processes(of: nix::unistd::Pid, soft: u64, hard: u64) {
    let limit = nix::libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: reads `limit` and writes nowhere.
    let done = unsafe {
        nix::libc::prlimit(
            of.as_raw(),
            nix::libc::RLIMIT_NPROC,
            &raw const limit,
            std::ptr::null_mut(),
        )
    };
    assert_eq!(done, 0);
}

#[test]
fn only_root_becomes_another_user() {
    if is_root() {
        passes_alone("many::not_root");
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn not_root() {
    use nix::unistd::{User, setresgid, setresuid};
    let nobody = User::from_name("nobody").unwrap().unwrap();
    setresgid(nobody.gid, nobody.gid, nobody.gid).unwrap();
    setresuid(nobody.uid, nobody.uid, nobody.uid).unwrap();
    for (user, group, error) in [
        (
            Some("daemon"),
            None,
            "cannot become user daemon: solocron runs as nobody (uid 65534); run it as root or \
             drop `user`",
        ),
        (
            None,
            Some("daemon"),
            "cannot become group daemon: solocron runs as nobody (uid 65534); run it as root or \
             drop `group`",
        ),
        (
            Some("nobody"),
            Some("daemon"),
            "cannot become group daemon: solocron runs as nobody (uid 65534); run it as root or \
             drop `group`",
        ),
    ] {
        let task =
            Task { user: user.map(Into::into), group: group.map(Into::into), ..command(&["true"]) };
        let (report, _) = run(task).await;
        assert_eq!((report.outcome, report.exit_code), (Outcome::Failed, None));
        assert_eq!(report.error.as_deref(), Some(error));
    }
    let task =
        Task { user: Some("nobody".into()), group: Some("nogroup".into()), ..shell("id -u") };
    let (report, lines) = run(task).await;
    assert_eq!(lines.stdout(), ["65534"], "{:?}", report.error);
}

#[test]
fn jobs_get_the_limit_on_open_files_that_the_daemon_was_started_with() {
    passes_alone("many::open_files_of_a_job");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn open_files_of_a_job() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, 500, hard).unwrap();
    assert_eq!(raise_open_files().unwrap(), hard);
    let (_, lines) = run(shell("ulimit -Sn; ulimit -Hn")).await;
    assert_eq!(lines.stdout(), ["500".to_owned(), hard.to_string()]);
}

#[test]
fn a_parent_that_ignores_the_end_of_children_hides_no_exit_code() {
    passes_alone("many::ignored_children");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn ignored_children() {
    // SAFETY: ignoring runs no code.
    unsafe {
        nix::sys::signal::signal(Signal::SIGCHLD, nix::sys::signal::SigHandler::SigIgn).unwrap();
    }
    assert_eq!(run(shell("exit 3")).await.0.exit_code, Some(3));
}
