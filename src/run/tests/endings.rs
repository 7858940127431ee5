//! How runs end: by themselves, by their timeout, by an order, with their lease.

use super::*;

/// Says where it is, and leaves only when it is killed. The inner shell sees to it
/// that the leader too ignores TERM while it waits.
const STUBBORN: &str = "trap '' TERM; echo pid $$; while :; do sleep 1; done";
/// Says where it is, and waits for its end.
const OBEDIENT: &str = "echo pid $$; exec sleep 1000";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[tokio::test]
async fn an_exit_code_among_the_success_codes_is_a_success() {
    for (text, codes, outcome, error) in [
        ("exit 0", &[0][..], Outcome::Succeeded, None),
        ("exit 3", &[0, 3], Outcome::Succeeded, None),
        ("exit 3", &[0], Outcome::Failed, Some("exited with 3")),
        ("exit 0", &[3], Outcome::Failed, Some("exited with 0")),
        ("exit 255", &[0], Outcome::Failed, Some("exited with 255")),
    ] {
        let (report, _) = run(Task { success_codes: codes.into(), ..shell(text) }).await;
        assert_eq!(report.outcome, outcome, "{text} {codes:?}");
        assert_eq!(report.exit_code, text.strip_prefix("exit ").unwrap().parse().ok());
        assert_eq!((report.error.as_deref(), report.signal), (error, None));
        assert!(report.pid.is_some());
        assert!(report.started <= report.finished);
    }
}

#[tokio::test]
async fn a_command_that_a_signal_ended_has_failed_by_it() {
    for (text, signal, error) in [
        ("kill -SEGV $$", 11, "ended by SIGSEGV"),
        ("kill -KILL $$", 9, "ended by SIGKILL"),
        ("kill -40 $$", 40, "ended by signal 40"),
    ] {
        let (report, _) = run(shell(text)).await;
        assert_eq!(report.outcome, Outcome::Failed);
        assert_eq!((report.exit_code, report.signal), (None, Some(signal)));
        assert_eq!(report.error.as_deref(), Some(error));
    }
}

#[tokio::test]
async fn a_command_that_outlives_its_timeout_is_ended() {
    let task = Task { timeout: Some(ms(100)), ..shell(OBEDIENT) };
    let (report, lines) = run(task).await;
    assert_eq!(report.outcome, Outcome::TimedOut);
    assert_eq!(report.signal, Some(15));
    assert_eq!(report.error.as_deref(), Some("ended: it ran longer than its timeout of 100ms"));
    assert!(report.finished.since(report.started) >= ms(100));
    assert!(!lives(&lines.wait_for("pid ").await));
}

#[tokio::test]
async fn one_that_ignores_term_is_killed_after_the_grace() {
    let task = Task { timeout: Some(ms(150)), kill_grace: ms(150), ..shell(STUBBORN) };
    let (report, lines) = run(task).await;
    assert_eq!((report.outcome, report.signal), (Outcome::TimedOut, Some(9)));
    assert!(report.finished.since(report.started) >= ms(300));
    assert!(!lives(&lines.wait_for("pid ").await));
}

#[tokio::test]
async fn a_stopped_command_can_be_ended_by_term() {
    let live = start(shell("echo pid $$; kill -STOP $$; sleep 1000"), ms(100));
    let pid = live.lines.wait_for("pid ").await;
    live.desk.stop.send_replace(Some(Stop::Cancel));
    assert_eq!(live.end().await.signal, Some(15));
    assert!(!lives(&pid));
}

#[tokio::test]
async fn no_grace_means_kill_at_once() {
    let task = Task { kill_grace: Duration::ZERO, ..shell(STUBBORN) };
    let live = start(task, ms(100));
    live.lines.wait_for("pid ").await;
    live.desk.stop.send_replace(Some(Stop::Cancel));
    assert_eq!(live.end().await.signal, Some(9));
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_ends_the_run_before_it_lapses() {
    let live = start(shell(OBEDIENT), ms(200));
    live.lines.wait_for("pid ").await;
    let until = from_now(ms(400));
    live.desk.trust.send_replace(Trust::Until(until));
    let report = live.end().await;
    assert_eq!((report.outcome, report.signal), (Outcome::LeaseLost, Some(15)));
    assert_eq!(report.error.as_deref(), Some("ended: the lease could not be renewed in time"));
    assert!(report.finished >= until.minus(ms(200)));
    assert!(report.finished < until);
}

#[tokio::test]
async fn one_that_ignores_term_is_killed_when_the_trust_ends() {
    let live = start(shell(STUBBORN), ms(100));
    live.lines.wait_for("pid ").await;
    let until = from_now(ms(300));
    live.desk.trust.send_replace(Trust::Until(until));
    let report = live.end().await;
    assert_eq!((report.outcome, report.signal), (Outcome::LeaseLost, Some(9)));
    assert!(report.finished >= until);
}

#[tokio::test]
async fn renewals_keep_a_run_going() {
    let live = start(shell("echo ready; sleep 0.5; echo done"), ms(50));
    live.lines.wait_for("ready").await;
    for _ in 0..10 {
        live.desk.trust.send_replace(Trust::Until(from_now(ms(5_000))));
        tokio::time::sleep(ms(40)).await;
    }
    assert_eq!(live.end().await.outcome, Outcome::Succeeded);
}

#[tokio::test]
async fn a_lost_lease_ends_the_run_at_once() {
    let live = start(shell(STUBBORN), ms(100));
    let pid = live.lines.wait_for("pid ").await;
    live.desk.trust.send_replace(Trust::Lost);
    let report = live.end().await;
    assert_eq!((report.outcome, report.signal), (Outcome::LeaseLost, Some(9)));
    assert_eq!(report.error.as_deref(), Some("ended: the lease is no longer this node's"));
    assert!(!lives(&pid));
}

#[tokio::test]
async fn a_lease_whose_keeper_is_gone_runs_out() {
    let Live { desk: Desk { trust, stop, not_before: _never }, lines, report } =
        start(shell(OBEDIENT), ms(100));
    lines.wait_for("pid ").await;
    trust.send_replace(Trust::Until(from_now(ms(200))));
    drop((trust, stop));
    assert_eq!(report.await.unwrap().outcome, Outcome::LeaseLost);
}

#[tokio::test]
async fn a_drain_hands_over_what_does_not_end_well_by_itself() {
    for (text, outcome, exit_code) in [
        (OBEDIENT, Outcome::HandedOver, None),
        (
            "trap 'exit 4' TERM; echo pid $$; while :; do sleep 0.01; done",
            Outcome::HandedOver,
            Some(4),
        ),
        (
            "trap 'exit 0' TERM; echo pid $$; while :; do sleep 0.01; done",
            Outcome::Succeeded,
            Some(0),
        ),
    ] {
        let live = start(shell(text), ms(100));
        live.lines.wait_for("pid ").await;
        live.desk.stop.send_replace(Some(Stop::Drain));
        let report = live.end().await;
        assert_eq!((report.outcome, report.exit_code), (outcome, exit_code), "{text}");
        assert_eq!(report.error.is_none(), outcome == Outcome::Succeeded);
    }
}

#[tokio::test]
async fn the_second_signal_does_not_wait_for_the_grace() {
    let live = start(shell(STUBBORN), ms(100));
    let pid = live.lines.wait_for("pid ").await;
    live.desk.stop.send_replace(Some(Stop::Drain));
    tokio::task::yield_now().await;
    live.desk.stop.send_replace(Some(Stop::Kill));
    let report = live.end().await;
    assert_eq!((report.outcome, report.signal), (Outcome::HandedOver, Some(9)));
    assert!(!lives(&pid));
}

#[tokio::test]
async fn a_cancelled_run_is_cancelled_whatever_it_says() {
    let live =
        start(shell("trap 'exit 0' TERM; echo pid $$; while :; do sleep 0.01; done"), ms(100));
    live.lines.wait_for("pid ").await;
    live.desk.stop.send_replace(Some(Stop::Cancel));
    let report = live.end().await;
    assert_eq!((report.outcome, report.exit_code), (Outcome::Cancelled, Some(0)));
    assert_eq!(report.error.as_deref(), Some("ended: it was cancelled"));
}

#[tokio::test]
async fn a_run_that_is_to_end_before_it_began_starts_nothing() {
    let lost: fn(&Desk) = |desk| desk.trust.send(Trust::Lost).unwrap();
    let expired: fn(&Desk) =
        |desk| desk.trust.send(Trust::Until(BootInstant::from_nanos(1))).unwrap();
    let drained: fn(&Desk) = |desk| desk.stop.send(Some(Stop::Drain)).unwrap();
    let cancelled: fn(&Desk) = |desk| desk.stop.send(Some(Stop::Cancel)).unwrap();
    for (order, outcome, error) in [
        (lost, Outcome::LeaseLost, "not started: the lease is no longer this node's"),
        (expired, Outcome::LeaseLost, "not started: the lease could not be renewed in time"),
        (drained, Outcome::HandedOver, "not started: the node is draining"),
        (cancelled, Outcome::Cancelled, "not started: it was cancelled"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("ran");
        let (desk, orders) = desk();
        order(&desk);
        let report = execute(
            &command(&["touch", mark.to_str().unwrap()]),
            &identity(),
            orders,
            ms(100),
            |_| panic!("not started"),
            Arc::new(Lines::default()),
        )
        .await;
        assert_eq!((report.outcome, report.pid), (outcome, None));
        assert_eq!(report.error.as_deref(), Some(error));
        assert!(!mark.exists());
    }
}

#[tokio::test]
async fn what_a_command_leaves_in_its_group_is_ended_too() {
    let (report, lines) =
        run(shell("(echo left; exec sleep 1000) & echo pid $!; while :; do case $(ps -o comm= -p $!) in sleep) exit 0;; esac; done")).await;
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert!(!lives(&lines.wait_for("pid ").await));
}

#[tokio::test]
async fn what_is_left_and_ignores_term_is_killed_after_the_grace() {
    let task = Task {
        kill_grace: ms(150),
        ..shell(
            "mkfifo $F; (trap '' TERM; echo ready > $F; while :; do sleep 1; done) & read x < $F; echo pid $!",
        )
    };
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    let task = Task { env: variables(&[("F", fifo.to_str().unwrap())]), ..task };
    let (report, lines) = run(task).await;
    assert_eq!(report.outcome, Outcome::Succeeded);
    assert!(report.finished.since(report.started) >= ms(150));
    assert!(!lives(&lines.wait_for("pid ").await));
}

/// Starts `sleep $MARK` twice removed from its leader and in a session of its own,
/// deaf to TERM, and waits until it is there.
const ESCAPE: &str = r#"
    python3 -c '
import os, signal, sys
r, w = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(w, b"x")
        for fd in range(3): os.close(fd)
        os.execvp("sleep", ["sleep", sys.argv[1]])
    os._exit(0)
os.wait()
os.read(r, 1)
' $MARK
"#;

fn escaping(then: &str) -> (Task, String) {
    let mark = mark();
    let task = Task {
        env: variables(&[("MARK", &mark)]),
        kill_grace: ms(150),
        ..shell(&format!("{ESCAPE}{then}"))
    };
    (task, mark)
}

#[tokio::test]
async fn what_forked_twice_into_a_session_of_its_own_is_ended_when_the_leader_is() {
    let (task, mark) = escaping("exit 3");
    let (report, _) = run(task).await;
    assert_eq!((report.outcome, report.exit_code), (Outcome::Failed, Some(3)));
    assert_eq!(with_mark(&mark), [0; 0]);
    assert!(report.finished.since(report.started) >= ms(150), "it had its grace");
}

#[tokio::test]
async fn what_forked_twice_into_a_session_of_its_own_is_ended_with_the_run() {
    let (task, mark) = escaping("echo escaped; exec sleep 1000");
    let live = start(task, GRACE);
    live.lines.wait_for("escaped").await;
    assert_eq!(with_mark(&mark).len(), 1);
    live.desk.stop.send_replace(Some(Stop::Cancel));
    assert_eq!(live.end().await.outcome, Outcome::Cancelled);
    assert_eq!(with_mark(&mark), [0; 0]);
}

#[tokio::test]
async fn a_tree_that_flees_from_process_to_process_is_caught() {
    // Each process lives only until it has forked the next, in a session of its own.
    let mark = mark();
    let flee = "use POSIX; $| = 1; print \"up\\n\"; fork; fork; while (1) { exit if fork; setsid }";
    let task = Task { kill_grace: Duration::ZERO, ..command(&["perl", "-e", flee, &mark]) };
    let live = start(task, GRACE);
    live.lines.wait_for("up").await;
    assert_eq!(live.end().await.outcome, Outcome::Succeeded, "the first of them has ended well");
    assert_eq!(with_mark(&mark), [0; 0]);
}

#[tokio::test]
async fn dropping_the_run_kills_it() {
    let live = start(shell("sleep 1000 & echo pid $!; wait"), ms(100));
    let pid = live.lines.wait_for("pid ").await;
    live.report.abort();
    tokio::task::spawn_blocking(move || wait_until_gone(&pid)).await.unwrap();
}
