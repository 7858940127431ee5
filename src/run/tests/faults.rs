//! What a run's report says when its keeper or its warden is killed or stopped, and what
//! a process that has children of its own may expect.
//!
//! Who is killed together with whom is tested on the whole program, in `tests/keeper`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid};

use super::many::{alone, passes_alone};
use super::*;

/// A run whose leader, a child, and one that fled are all there.
struct Scene {
    live: Live,
    mark: String,
    keeper: Pid,
    warden: Pid,
}

async fn scene(kill_grace: Duration) -> Scene {
    let mark = mark();
    let task = Task {
        env: variables(&[("MARK", &mark)]),
        kill_grace,
        ..shell(
            "trap '' TERM; sleep $MARK & setsid sh -c 'sleep $MARK & exit' & wait $!; \
             echo pid $$; exec sleep $MARK",
        )
    };
    let live = start(task, GRACE);
    let leader: i32 = live.lines.wait_for("pid ").await.parse().unwrap();
    while with_mark(&mark).len() < 3 {
        tokio::task::yield_now().await;
    }
    let keeper = family::Stat::of(Pid::from_raw(leader)).unwrap().parent;
    let warden = family::Stat::of(keeper).unwrap().parent;
    assert!(is_warden(warden));
    Scene { live, mark, keeper, warden }
}

fn strike(pid: Pid, signal: Signal) {
    kill(pid, signal).unwrap();
}

#[tokio::test]
async fn a_run_whose_keeper_is_killed_has_failed_by_that_and_nothing_is_left_of_it() {
    let Scene { live, mark, keeper, .. } = scene(FAR).await;
    let (pid, _) = (live.lines.wait_for("pid ").await, strike(keeper, Signal::SIGKILL));
    let report = live.end().await;
    assert_eq!(with_mark(&mark), [0; 0]);
    assert_eq!((report.outcome, report.exit_code, report.signal), (Outcome::Failed, None, None));
    assert_eq!(report.pid.map(|pid| pid.to_string()), Some(pid));
    let error = report.error.unwrap();
    assert!(error.contains("its keeper") && error.contains("killed"), "{error}");
}

#[tokio::test]
async fn a_cause_that_was_in_force_when_the_keeper_was_killed_names_the_outcome() {
    let stop = |stop| move |desk: &Desk| assert_eq!(desk.stop.send_replace(Some(stop)), None);
    let lost = |desk: &Desk| assert_ne!(desk.trust.send_replace(Trust::Lost), Trust::Lost);
    let [cancel, drain] = [stop(Stop::Cancel), stop(Stop::Drain)];
    type Order<'a> = &'a dyn Fn(&Desk);
    for (order, outcome) in [
        (&cancel as Order<'_>, Outcome::Cancelled),
        (&drain, Outcome::HandedOver),
        (&lost, Outcome::LeaseLost),
    ] {
        // Stopped, so that it takes no notice: the daemon kills it for that.
        let Scene { live, mark, keeper, .. } = scene(FAR).await;
        strike(keeper, Signal::SIGSTOP);
        order(&live.desk);
        let report = live.end().await;
        assert_eq!((report.outcome, report.exit_code), (outcome, None), "{report:?}");
        assert_eq!(with_mark(&mark), [0; 0]);
    }
}

#[tokio::test]
async fn a_stopped_keeper_does_not_make_a_job_outlive_its_lease() {
    let Scene { live, mark, keeper, .. } = scene(FAR).await;
    let until = from_now(Duration::from_secs(2));
    live.desk.trust.send_replace(Trust::Until(until));
    strike(keeper, Signal::SIGSTOP);
    let report = live.end().await;
    assert_eq!(report.outcome, Outcome::LeaseLost);
    assert!(report.finished < until, "{:?}", report.finished.since(until));
    assert_eq!(with_mark(&mark), [0; 0]);
}

#[tokio::test]
async fn a_keeper_that_is_stopped_between_term_and_kill_does_not_save_its_job_the_kill() {
    let mark = mark();
    let task = Task {
        env: variables(&[("MARK", &mark)]),
        kill_grace: Duration::from_millis(500),
        ..shell("sleep $MARK & trap 'echo warned' TERM; echo pid $$; while :; do sleep 0.01; done")
    };
    let live = start(task, GRACE);
    let leader: i32 = live.lines.wait_for("pid ").await.parse().unwrap();
    live.desk.stop.send_replace(Some(Stop::Cancel));
    live.lines.wait_for("warned").await;
    let warned = BootInstant::now();
    strike(family::Stat::of(Pid::from_raw(leader)).unwrap().parent, Signal::SIGSTOP);
    let report = live.end().await;
    assert_eq!(report.outcome, Outcome::Cancelled);
    assert!(report.finished.since(warned) >= Duration::from_millis(300), "it had its grace");
    assert!(!lives(&leader.to_string()));
    assert_eq!(with_mark(&mark), [0; 0]);
}

#[tokio::test]
async fn a_keeper_that_is_told_nothing_starts_nothing() {
    let (link, far_end) = link::Link::pair().unwrap();
    warden::entrust(session::Session::Own, far_end, GRACE).await.unwrap();
    let link::News::Said(wire::Said::Here(keeper), handle) = link.next().await else {
        panic!("it says that it is there")
    };
    assert!(handle.is_some(), "this kernel has handles");
    assert_eq!(family::children(keeper), []);
    drop(link);
    tokio::task::spawn_blocking(move || wait_until_gone(&keeper.to_string())).await.unwrap();
}

#[tokio::test]
async fn neither_keeper_nor_warden_holds_what_is_a_jobs() {
    let Scene { live, keeper, warden, .. } = scene(Duration::ZERO).await;
    for pid in [keeper, warden] {
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        for file in open {
            let file = std::fs::read_link(file.unwrap().path()).unwrap();
            let file = file.to_str().unwrap();
            let own = ["/dev/null", "socket:", "anon_inode:[signalfd]", "anon_inode:[timerfd]"];
            assert!(own.iter().any(|own| file.starts_with(own)), "{pid} has {file}");
        }
    }
    live.desk.stop.send_replace(Some(Stop::Cancel));
    live.end().await;
}

#[test]
fn children_that_are_not_solocrons_are_left_alone_when_warden_and_keeper_die() {
    passes_alone("faults::children_of_others");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn children_of_others() {
    let child = |session: bool| {
        let mut command = Command::new("sleep");
        command.arg("1000");
        if session {
            // SAFETY: between fork and exec there is but one system call.
            unsafe { command.pre_exec(|| Ok(nix::unistd::setsid().map(drop)?)) };
        }
        command.spawn().unwrap()
    };
    let before = child(true);
    let Scene { live, mark, keeper, warden } = scene(FAR).await;
    let after = child(false);
    let other = scene(FAR).await;
    assert_eq!(other.warden, warden);
    strike(warden, Signal::SIGKILL);
    strike(keeper, Signal::SIGKILL);
    let report = live.end().await;
    assert_eq!(report.outcome, Outcome::Failed);
    assert_eq!(with_mark(&mark), [0; 0]);

    assert_eq!(with_mark(&other.mark).len(), 3, "another run goes on");
    strike(other.keeper, Signal::SIGKILL);
    assert_eq!(other.live.end().await.outcome, Outcome::Failed);
    assert_eq!(with_mark(&other.mark), [0; 0]);
    assert_eq!(run(command(&["true"])).await.0.outcome, Outcome::Succeeded);

    for mut child in [before, after] {
        assert!(child.try_wait().unwrap().is_none(), "it lives, and is ours to wait for");
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let left: Vec<_> = family::children(getpid());
    assert!(left.len() == 1 && is_warden(left[0]), "{left:?}");
}

#[test]
fn a_daemon_that_owns_its_control_group_gives_each_run_one() {
    let Some(group) = Group::make() else {
        eprintln!("skipped: no control group can be made here");
        return;
    };
    let mut alone = alone("faults::in_a_control_group");
    let entrance = group.0.join("cgroup.procs");
    // SAFETY: writes to a file that was named before the fork; allocates a little, in a
    // child of which only the exec is wanted.
    unsafe { alone.pre_exec(move || std::fs::write(&entrance, "0")) };
    let output = alone.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
    let left = std::fs::read_dir(&group.0).unwrap();
    let left = left.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count();
    assert_eq!(left, 0, "the runs' groups are removed");
}

/// A control group that is marked as delegated; removed at the end.
struct Group(std::path::PathBuf);

impl Group {
    fn make() -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?;
        let root = Path::new(mount.split(' ').nth(4)?);
        let group = Self(root.join(format!("solocron-test-{}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        let folder = std::ffi::CString::new(group.0.to_str()?).ok()?;
        let (name, value) = (c"user.delegate", b"1");
        // SAFETY: both texts end with a null, and the value is as long as it says.
        let done = unsafe {
            nix::libc::setxattr(folder.as_ptr(), name.as_ptr(), value.as_ptr().cast(), 1, 0)
        };
        (done == 0 && group.0.join("cgroup.kill").exists()).then_some(group)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it has ended, and the kernel may need a moment to see that.
        let begun = BootInstant::now();
        while std::fs::remove_dir(&self.0).is_err() && BootInstant::now().since(begun) < SOON {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn in_a_control_group() {
    let group_of = |pid: &str| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        text.lines().find_map(|line| line.strip_prefix("0::").map(str::to_owned)).unwrap()
    };
    let own = group_of("self");
    for end_by_keeper in [true, false] {
        let Scene { live, mark, keeper, .. } = scene(Duration::ZERO).await;
        for pid in with_mark(&mark) {
            let expected = format!("{own}/solocron-run-{keeper}");
            assert_eq!(group_of(&pid.to_string()), expected);
        }
        assert_eq!(group_of(&keeper.to_string()), own);
        if end_by_keeper {
            live.desk.stop.send_replace(Some(Stop::Cancel));
            assert_eq!(live.end().await.outcome, Outcome::Cancelled);
        } else {
            strike(keeper, Signal::SIGKILL);
            assert_eq!(live.end().await.outcome, Outcome::Failed);
        }
        assert_eq!(with_mark(&mark), [0; 0]);
    }
}
