//! A command begins at its instant: not before, whatever comes, and soon after.

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, getpid};

use super::*;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn it_begins_at_its_instant_and_not_before() {
    for after in [0, 1, 20, 150] {
        let at = from_now(ms(after));
        let live = start_at(command(&["true"]), GRACE, at);
        let report = live.end().await;
        assert_eq!((report.outcome, report.began), (Outcome::Succeeded, true));
        assert!(report.started >= at, "{:?} too early", at.since(report.started));
        assert!(report.started.since(at) < SOON);
    }
}

#[tokio::test]
async fn its_instant_may_be_moved_both_ways() {
    let far = from_now(FAR);
    let live = start_at(command(&["true"]), GRACE, far);
    let later = from_now(ms(80));
    live.desk.not_before.send_replace(later);
    let report = live.end().await;
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert!(report.started >= later && report.started < far);

    let live = start_at(command(&["true"]), GRACE, from_now(ms(60)));
    let later = from_now(ms(200));
    live.desk.not_before.send_replace(later);
    assert!(live.end().await.started >= later);
}

#[tokio::test]
async fn whatever_ends_it_before_that_leaves_nothing_that_has_begun() {
    type Lease = fn() -> Trust;
    let lost: Lease = || Trust::Lost;
    let nearly_over: Lease = || Trust::Until(from_now(ms(1)));
    for (stop, trust, outcome) in [
        (Some(Stop::Withdraw), None, Outcome::HandedOver),
        (Some(Stop::Drain), None, Outcome::HandedOver),
        (Some(Stop::Kill), None, Outcome::HandedOver),
        (Some(Stop::Cancel), None, Outcome::Cancelled),
        (None, Some(lost), Outcome::LeaseLost),
        (None, Some(nearly_over), Outcome::LeaseLost),
    ] {
        // On its way, and with everything ready.
        for steps in [0, 3, 200] {
            let mark = mark();
            let live = start_at(command(&["sleep", &mark]), GRACE, from_now(FAR));
            for _ in 0..steps {
                tokio::task::yield_now().await;
                std::thread::sleep(Duration::from_micros(100));
            }
            live.desk.stop.send_replace(stop);
            if let Some(trust) = trust {
                live.desk.trust.send_replace(trust());
            }
            let report = live.end().await;
            assert_eq!((report.outcome, report.began, report.pid), (outcome, false, None));
            assert_eq!(report.started, report.finished);
            assert_eq!(with_mark(&mark), [0; 0]);
        }
    }
}

#[tokio::test]
async fn one_that_has_begun_is_not_withdrawn() {
    let live = start(shell("echo there; read _ < /proc/uptime; sleep 0.05; echo done"), GRACE);
    live.lines.wait_for("there").await;
    live.desk.stop.send_replace(Some(Stop::Withdraw));
    live.lines.wait_for("done").await;
    let report = live.end().await;
    assert_eq!((report.outcome, report.began), (Outcome::Succeeded, true));
}

#[tokio::test]
async fn a_lease_that_ends_before_the_instant_is_not_waited_out() {
    let (mark, at) = (mark(), from_now(ms(400)));
    let live = start_at(command(&["sleep", &mark]), ms(100), at);
    let until = from_now(ms(300));
    live.desk.trust.send_replace(Trust::Until(until));
    let report = live.end().await;
    assert_eq!((report.outcome, report.began), (Outcome::LeaseLost, false));
    assert!(report.finished < at, "it knows at the end of its trust");
}

#[tokio::test]
async fn what_cannot_be_started_fails_at_its_instant_unless_it_is_withdrawn() {
    let nobody = || Task { user: Some("no-such-user".into()), ..command(&["true"]) };
    for task in [nobody(), command(&["no-such-program"]), command(&[])] {
        let at = from_now(ms(60));
        let report = start_at(task, GRACE, at).end().await;
        assert_eq!((report.outcome, report.began), (Outcome::Failed, true));
        assert!(report.finished >= at);
    }
    let live = start_at(nobody(), GRACE, from_now(FAR));
    live.desk.stop.send_replace(Some(Stop::Withdraw));
    let report = live.end().await;
    assert_eq!((report.outcome, report.began), (Outcome::HandedOver, false));
}

#[tokio::test]
async fn its_timeout_counts_from_its_begin() {
    let at = from_now(ms(300));
    let task = Task { timeout: Some(ms(150)), kill_grace: ms(10), ..command(&["sleep", "1000"]) };
    let report = start_at(task, GRACE, at).end().await;
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert!(report.finished >= at + ms(150));
}

#[test]
fn one_that_waits_heeds_no_signal_and_ends_with_its_keeper() {
    many::passes_alone("beginning::one_that_waits");
}

#[tokio::test]
#[ignore = "runs in a process of its own"]
async fn one_that_waits() {
    let live = start_at(shell("echo began"), GRACE, from_now(FAR));
    let [_, _, child] = family_of_one_that_waits().await;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        kill(child, signal).unwrap();
    }
    live.desk.not_before.send_replace(from_now(ms(1)));
    live.lines.wait_for("began").await;
    let report = live.end().await;
    assert_eq!(report.outcome, Outcome::Succeeded, "what came before it began was not for it");
    assert_eq!(report.pid, Some(child.as_raw().unsigned_abs()));

    let live = start_at(command(&["true"]), GRACE, from_now(FAR));
    let [_, keeper, child] = family_of_one_that_waits().await;
    kill(keeper, Signal::SIGKILL).unwrap();
    live.end().await;
    assert_eq!(kill(child, None), Err(Errno::ESRCH));
}

/// The warden, a keeper, and its child that waits, all there.
async fn family_of_one_that_waits() -> [Pid; 3] {
    let there = async {
        loop {
            let family = family::descendants(getpid(), |_| true);
            let pids: Vec<_> = family.iter().map(|one| one.pid).collect();
            match <[Pid; 3]>::try_from(pids) {
                Ok(family) => return family,
                Err(_) => tokio::time::sleep(ms(1)).await,
            }
        }
    };
    tokio::time::timeout(SOON, there).await.expect("it gets ready")
}
