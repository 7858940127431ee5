//! What only shows in a process of its own: what many runs leave behind, what
//! happens at the limits, and what becomes of a job when its daemon is killed.
//!
//! Each of these tests starts this test binary again, for one ignored test.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::*;

fn alone(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", &format!("run::tests::many::{test}"), "--ignored", "--nocapture"])
        .args(["--test-threads", "1"]);
    command
}

#[track_caller]
fn passes_alone(test: &str) {
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

fn children() -> Vec<String> {
    let own = std::process::id().to_string();
    let tasks = std::fs::read_dir(format!("/proc/{own}/task")).unwrap();
    tasks
        .filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("children")).ok())
        .flat_map(|line| line.split_ascii_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_hundred_runs_at_once_leave_nothing_behind() {
    passes_alone("a_hundred_runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "runs in a process of its own"]
async fn a_hundred_runs() {
    // The first run starts the thread that forks.
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
    assert_eq!(children(), Vec::<String>::new());
}

#[test]
fn a_run_that_finds_no_descriptor_left_fails_and_says_so() {
    passes_alone("no_descriptor_left");
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
    assert_eq!(children(), Vec::<String>::new());
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert_eq!(run(command(&["true"])).await.0.outcome, Outcome::Succeeded);
}

#[test]
fn a_run_that_may_not_fork_fails_and_says_so() {
    if is_root() {
        passes_alone("no_process_left");
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn no_process_left() {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    run(command(&["true"])).await;
    // The limit does not bind root.
    let (gid, uid) = (Gid::from_raw(54_321), Uid::from_raw(54_321));
    setgroups(&[]).unwrap();
    setresgid(gid, gid, gid).unwrap();
    setresuid(uid, uid, uid).unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).unwrap();
    setrlimit(Resource::RLIMIT_NPROC, 1, hard).unwrap();
    let (plan, ends) = starting::order(&["true"]);
    let forked = spawn(plan, ends, Arc::default()).await;
    let error = NotStarted::io(&forked.unwrap_err()).to_string();
    assert_eq!(
        error,
        "cannot start a process: too many processes: see `ulimit -u` and the control group's \
         pids.max"
    );
    setrlimit(Resource::RLIMIT_NPROC, hard, hard).unwrap();
    assert_eq!(run(command(&["true"])).await.0.outcome, Outcome::Succeeded);
}

#[test]
fn only_root_becomes_another_user() {
    if is_root() {
        passes_alone("not_root");
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn not_root() {
    use nix::unistd::{User, setresgid, setresuid};
    let nobody = User::from_name("nobody").unwrap().unwrap();
    run(command(&["true"])).await;
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
    passes_alone("open_files_of_a_job");
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
    passes_alone("ignored_children");
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

#[test]
fn a_term_that_comes_before_the_exec_is_not_lost() {
    passes_alone("early_term");
}

/// A child has the daemon's handlers until its exec: they must not run in it.
#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn early_term() {
    use tokio::signal::unix::{SignalKind, signal};
    let _handled = signal(SignalKind::terminate()).unwrap();
    for _ in 0..50 {
        let (plan, ends) = starting::order(&["sleep", "20"]);
        let mut process = spawn(plan, ends, Arc::default()).await.unwrap().unwrap();
        process.strike(decide::Blow::Term);
        let mut end = process.end();
        while process.exit().is_none() {
            end.look().await;
        }
        assert_eq!(process.exit(), Some(Exit::Signal(15)));
    }
}

#[test]
fn a_killed_daemon_takes_its_commands_with_it() {
    let mut daemon = alone("a_daemon_to_be_killed").stdout(Stdio::piped()).spawn().unwrap();
    let job = read_pid(&mut daemon);
    assert!(lives(&job));
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    wait_until_gone(&job);
}

fn read_pid(daemon: &mut Child) -> String {
    let lines = BufReader::new(daemon.stdout.as_mut().unwrap()).lines();
    let mut pids =
        lines.map_while(|line| line.unwrap().strip_prefix("pid ").map(str::to_owned).into());
    loop {
        match pids.next() {
            Some(Some(pid)) => return pid,
            Some(None) => {}
            None => panic!("the daemon ended"),
        }
    }
}

/// Starts its job from a thread that ends at once: the job must not end with it.
#[test]
#[ignore = "runs in a process of its own"]
fn a_daemon_to_be_killed() {
    let job = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let live = start(shell("echo pid $$; exec sleep 1000"), GRACE);
            let pid = live.lines.wait_for("pid ").await;
            std::mem::forget(live);
            pid
        })
    });
    // The runtime is gone, and killed the job with it; a second one lives on.
    let first = job.join().unwrap();
    wait_until_gone(&first);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (desk, orders) = desk();
        let lines = Arc::new(Lines::default());
        let sink = lines.clone();
        let job = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(execute(
                &shell("echo pid $$; exec sleep 1000"),
                &identity(),
                orders,
                GRACE,
                |_| {},
                sink,
            ))
        });
        println!("\npid {}", lines.wait_for("pid ").await);
        drop(tokio::task::spawn_blocking(move || job.join()).await);
        drop(desk);
    });
}
