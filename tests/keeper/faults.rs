//! Whoever is killed or stopped, alone or with another: nothing of the job is left.

use std::time::Duration;

use nix::sys::signal::Signal::{self, SIGKILL as KILL, SIGSTOP as STOP, SIGTERM as TERM};

use crate::harness::until;
use crate::scene::Scene;
use crate::scene::Who::{self, Daemon, Job, Keeper, Warden};

/// What the job's keys are, and within what nothing of it must be left. The rest of
/// the time is for a machine that has other work as well; in each, what would end the
/// tree otherwise comes much later.
struct Bound {
    keys: &'static str,
    within: Duration,
}

const AT_ONCE: Bound =
    Bound { keys: "lease_ttl = '120s'\nkill_grace = '20s'", within: Duration::from_secs(5) };
const WITH_THE_GRACE: Bound =
    Bound { keys: "lease_ttl = '120s'\nkill_grace = '1s'", within: Duration::from_secs(6) };
const WITH_THE_LEASE: Bound =
    Bound { keys: "lease_ttl = '2s'\nkill_grace = '20s'", within: Duration::from_secs(5) };

/// Makes a test of each line: who is struck by what, in this order, and within what
/// nothing of the job is left.
macro_rules! nothing_is_left_when {
    ($($name:ident: $([$who:ident $signal:ident])+ $within:ident;)+) => {
        $(#[test] fn $name() { nothing_is_left(&[$(($who, $signal)),+], $within); })+
    };
}

nothing_is_left_when! {
    the_daemon_is_asked_to_end:             [Daemon TERM] WITH_THE_GRACE;
    the_daemon_is_killed:                   [Daemon KILL] WITH_THE_GRACE;
    the_daemon_is_stopped:                  [Daemon STOP] WITH_THE_LEASE;
    the_keeper_is_killed:                   [Keeper KILL] AT_ONCE;
    the_keeper_is_stopped:                  [Keeper STOP] WITH_THE_LEASE;
    the_leader_is_asked_to_end:             [Job TERM] WITH_THE_GRACE;
    the_leader_is_killed:                   [Job KILL] WITH_THE_GRACE;

    daemon_and_leader_are_asked_to_end:     [Daemon TERM] [Job TERM] WITH_THE_GRACE;
    daemon_and_leader_are_killed:           [Daemon KILL] [Job KILL] WITH_THE_GRACE;
    daemon_and_leader_are_stopped:          [Daemon STOP] [Job STOP] WITH_THE_LEASE;
    the_leader_is_stopped_and_the_daemon_killed: [Job STOP] [Daemon KILL] WITH_THE_GRACE;
    the_leader_is_stopped_and_the_daemon_asked: [Job STOP] [Daemon TERM] WITH_THE_GRACE;

    daemon_and_keeper_are_asked_to_end:     [Keeper TERM] [Daemon TERM] WITH_THE_GRACE;
    daemon_and_keeper_are_killed:           [Daemon KILL] [Keeper KILL] AT_ONCE;
    keeper_and_daemon_are_killed:           [Keeper KILL] [Daemon KILL] AT_ONCE;
    the_keeper_is_stopped_and_the_daemon_killed: [Keeper STOP] [Daemon KILL] AT_ONCE;
    the_daemon_is_killed_and_the_keeper_stopped: [Daemon KILL] [Keeper STOP] AT_ONCE;
    the_keeper_is_stopped_and_the_daemon_asked: [Keeper STOP] [Daemon TERM] WITH_THE_GRACE;
    the_daemon_is_stopped_and_the_keeper_killed: [Daemon STOP] [Keeper KILL] AT_ONCE;

    keeper_and_leader_are_killed:           [Keeper KILL] [Job KILL] AT_ONCE;
    leader_and_keeper_are_killed:           [Job KILL] [Keeper KILL] AT_ONCE;
    keeper_and_leader_are_stopped:          [Keeper STOP] [Job STOP] WITH_THE_LEASE;

    warden_and_keeper_are_killed:           [Warden KILL] [Keeper KILL] AT_ONCE;
    keeper_and_warden_are_killed:           [Keeper KILL] [Warden KILL] AT_ONCE;
    the_warden_is_stopped_and_the_keeper_killed: [Warden STOP] [Keeper KILL] AT_ONCE;
    the_warden_is_killed_and_the_keeper_stopped: [Warden KILL] [Keeper STOP] WITH_THE_LEASE;
    the_warden_is_stopped_and_the_keeper_too: [Warden STOP] [Keeper STOP] WITH_THE_LEASE;
    warden_and_daemon_are_killed:           [Warden KILL] [Daemon KILL] WITH_THE_GRACE;
    the_warden_is_stopped_and_the_daemon_killed: [Warden STOP] [Daemon KILL] WITH_THE_GRACE;
}

fn nothing_is_left(strokes: &[(Who, Signal)], Bound { keys, within }: Bound) {
    let scene = Scene::set(keys);
    for &(who, signal) in strokes {
        scene.strike(who, signal);
    }
    let took = scene.wait_until_the_tree_is_gone();
    assert!(took < within, "it took {took:?}");
    scene.wait_until_gone(Keeper);

    let hits = |who, signals: &[Signal]| {
        strokes.iter().any(|(struck, signal)| *struck == who && signals.contains(signal))
    };
    if hits(Daemon, &[KILL, TERM]) {
        scene.wait_until_gone(Daemon);
        scene.wait_until_gone(Warden);
        return;
    }
    if hits(Daemon, &[STOP]) {
        scene.strike(Daemon, Signal::SIGCONT);
    }
    // The daemon learns how the run ended, and goes on with the next.
    let finished = scene.finished();
    scene.wait_for_another_run();
    let outcome = finished["outcome"].as_str().unwrap();
    let expected: &[&str] =
        if hits(Daemon, &[STOP]) { &["lease_lost", "failed"] } else { &["failed"] };
    assert!(expected.contains(&outcome), "{finished}");
    if hits(Keeper, &[KILL]) && !hits(Job, &[KILL]) {
        let error = finished["error"].as_str().unwrap();
        assert!(error.contains("its keeper") || outcome == "lease_lost", "{error}");
    }
}

#[test]
fn a_keeper_and_a_warden_that_are_asked_to_end_do_their_work_first() {
    let scene = Scene::set(WITH_THE_GRACE.keys);
    for signal in [TERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGUSR1] {
        for who in [Keeper, Warden] {
            scene.strike(who, signal);
            until("the signal has come", || scene.has_pending(who, signal));
        }
    }
    assert_eq!(scene.tree().len(), 3);
    assert!(scene.lives(Keeper) && scene.lives(Warden));
    scene.strike(Daemon, TERM);
    scene.wait_until_the_tree_is_gone();
    for who in [Keeper, Daemon, Warden] {
        scene.wait_until_gone(who);
    }
}

#[test]
fn a_run_outlives_its_warden_and_the_next_ones_get_another() {
    // The next ones are to start while it lasts.
    let scene = Scene::set(&format!("overlap = 'allow'\n{}", WITH_THE_GRACE.keys));
    scene.strike(Warden, KILL);
    scene.wait_until_gone(Warden);
    scene.wait_for_another_run();
    assert_eq!(scene.tree().len(), 3, "the run goes on");

    scene.strike(Job, KILL);
    scene.wait_until_the_tree_is_gone();
    scene.wait_until_gone(Keeper);
    assert_eq!(scene.finished()["outcome"], "failed");
    scene.wait_for_another_run();
}

#[test]
fn a_warden_that_is_stopped_is_replaced_when_it_is_needed() {
    let scene = Scene::set(WITH_THE_GRACE.keys);
    scene.strike(Warden, STOP);
    scene.strike(Job, KILL);
    scene.wait_until_the_tree_is_gone();
    assert_eq!(scene.finished()["outcome"], "failed");
    scene.wait_for_another_run();
    scene.wait_until_gone(Warden);
    scene.wait_until_gone(Keeper);
}
