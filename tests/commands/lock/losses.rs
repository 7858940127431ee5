//! When the lock is lost while the command runs, or solocron itself is.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use solocron::clock::BootInstant;

use super::{Held, Stand, is_alive, mark, on_both, sleepers, tree, wait_for_tree};
use crate::bench::Answer;
use crate::harness::until;

/// Long enough that a busy machine renews in time, short enough to wait for.
const TTL: &str = "3s";
const TTL_SECONDS: Duration = Duration::from_secs(3);

/// Within what a command is seen to be gone when its last renewal was before: the TTL,
/// and what a busy machine needs to look.
const SEEN_WITHIN: Duration = TTL_SECONDS.saturating_add(Duration::from_millis(700));

/// A `solocron lock` of a whole tree.
fn hold_tree(stand: &Stand, ttl: &str) -> (Held, String) {
    let mark = mark();
    let held = stand.start(&["job", "--ttl", ttl], &tree(&mark));
    wait_for_tree(&mark);
    (held, mark)
}

/// The key of the lock.
fn key(stand: &Stand) -> String {
    let keys = stand.keys();
    keys.iter().find(|key| key.contains(":held:")).expect("the lock is there").clone()
}

fn is_lost(answer: Answer) -> String {
    assert_eq!(answer.code, Some(76), "{}", answer.stderr);
    let said = answer.stderr;
    assert!(said.starts_with("solocron: the lock job was lost after "), "{said}");
    assert!(said.contains("the command was ended"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn a_lock_that_somebody_deletes_is_lost() {
    let stand = Stand::on_redis();
    let (held, mark) = hold_tree(&stand, TTL);
    stand.redis().cli(&["DEL", &key(&stand)]);
    let answer = held.end();
    assert_eq!(sleepers(&mark), [0; 0]);
    // It is found out at the next renewal, and then there is the grace.
    assert!(answer.took < TTL_SECONDS, "{:?}", answer.took);
    let said = is_lost(answer);
    assert!(said.contains("job is not ours any more"), "{said}");
}

#[test]
fn a_lock_that_another_has_taken_is_lost_and_the_other_is_named() {
    let stand = Stand::on_redis();
    let (held, mark) = hold_tree(&stand, "8s");
    let first = key(&stand);
    stand.redis().cli(&["DEL", &first]);
    std::fs::remove_file(stand.bench.path("pid")).unwrap();
    let second = stand.start(&["job", "--node", "web-2"], "echo $$ > pid; exec sleep 600");
    let said = is_lost(held.end());
    assert!(said.contains("held by web-2 (pid "), "{said}");
    assert_eq!(sleepers(&mark), [0; 0]);
    assert!(is_alive(second.leader), "the other goes on");
    second.signal(Signal::SIGTERM);
    assert_eq!(second.end().code, Some(143));
    assert_eq!(stand.keys(), [""; 0]);
}

#[test]
fn a_redis_that_does_not_answer_for_longer_than_the_ttl_ends_the_command_in_time() {
    let stand = Stand::on_redis();
    let (held, mark) = hold_tree(&stand, TTL);
    stand.redis().pause();
    let paused = BootInstant::now();
    until("nothing of the command is left", || sleepers(&mark).is_empty());
    let took = BootInstant::now().since(paused);
    assert!(took < SEEN_WITHIN, "{took:?}");
    let said = is_lost(held.end());
    assert!(said.contains("renewed"), "{said}");
    stand.redis().resume();
    stand.succeed(&mark);
}

#[test]
fn a_database_that_is_locked_for_longer_than_the_ttl_ends_the_command_in_time() {
    let stand = Stand::on_sqlite();
    let (held, mark) = hold_tree(&stand, TTL);
    let database = rusqlite::Connection::open(stand.bench.store()).unwrap();
    database.busy_timeout(Duration::from_secs(30)).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let locked = BootInstant::now();
    until("nothing of the command is left", || sleepers(&mark).is_empty());
    let took = BootInstant::now().since(locked);
    assert!(took < SEEN_WITHIN, "{took:?}");
    is_lost(held.end());
    database.execute_batch("ROLLBACK").unwrap();
    stand.succeed(&mark);
}

#[test]
fn an_outage_of_a_third_of_the_ttl_is_survived() {
    let stand = Stand::on_redis();
    let held = stand.start(
        &["job", "--ttl", "6s"],
        "echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 4",
    );
    stand.redis().pause();
    let paused = BootInstant::now();
    until("the outage has lasted", || BootInstant::now().since(paused) > Duration::from_secs(2));
    stand.redis().resume();
    // It is renewed again, or it would be over by then.
    until("the TTL is over", || BootInstant::now().since(paused) > Duration::from_secs(7));
    assert!(is_alive(held.leader));
    stand.bench.write("go", "");
    let answer = held.end();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(4), ""));
}

#[test]
fn when_solocron_is_killed_the_command_is_gone_in_time_and_another_gets_the_lock() {
    on_both(|stand| {
        let (held, mark) = hold_tree(stand, TTL);
        let (keeper, warden) = (held.keeper, held.warden);
        held.kill9();
        let killed = BootInstant::now();
        stand.succeed(&mark);
        let took = BootInstant::now().since(killed);
        assert!(took < TTL_SECONDS + Duration::from_secs(2), "{took:?}");
        until("keeper and warden are gone", || !is_alive(keeper) && !is_alive(warden));
    });
}

#[test]
fn when_the_keeper_is_killed_nothing_is_left_and_that_is_told() {
    on_both(|stand| {
        for keepers in [1, 2] {
            let (held, mark) = hold_tree(stand, "60s");
            let both = [held.warden, held.keeper];
            for &pid in &both[2 - keepers..] {
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
            }
            let answer = held.end();
            assert_eq!(sleepers(&mark), [0; 0]);
            assert_eq!(answer.code, Some(1), "{}", answer.stderr);
            assert!(answer.stderr.contains("its keeper"), "{}", answer.stderr);
            stand.lock(&["job", "--", "true"]).good();
            std::fs::remove_file(stand.bench.path("pid")).unwrap();
        }
    });
}

#[test]
fn when_solocron_is_stopped_the_command_is_gone_before_the_lock_lapses() {
    on_both(|stand| {
        let (held, mark) = hold_tree(stand, TTL);
        held.signal(Signal::SIGSTOP);
        stand.succeed(&mark);
        held.signal(Signal::SIGCONT);
        is_lost(held.end());
    });
}

#[test]
fn when_the_whole_process_group_is_stopped_the_command_is_gone_before_the_lock_lapses() {
    on_both(|stand| {
        let (held, mark) = hold_tree(stand, TTL);
        held.signal_group(Signal::SIGSTOP);
        stand.succeed(&mark);
        held.signal_group(Signal::SIGCONT);
        is_lost(held.end());
    });
}

#[test]
fn when_the_whole_process_group_is_killed_nothing_is_left() {
    on_both(|stand| {
        let (held, mark) = hold_tree(stand, TTL);
        let (keeper, warden) = (held.keeper, held.warden);
        held.signal_group(Signal::SIGKILL);
        held.kill9();
        stand.succeed(&mark);
        until("keeper and warden are gone", || !is_alive(keeper) && !is_alive(warden));
    });
}

#[test]
fn a_lock_that_was_lost_unnoticed_is_told_at_the_end_and_the_commands_status_kept() {
    let stand = Stand::on_redis();
    let line = "echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 6";
    let held = stand.start(&["job", "--ttl", "10m"], line);
    stand.redis().cli(&["DEL", &key(&stand)]);
    stand.bench.write("go", "");
    let answer = held.end();
    assert_eq!(answer.code, Some(6), "{}", answer.stderr);
    assert!(
        answer.stderr.starts_with("solocron: warning: job is no longer ours"),
        "{}",
        answer.stderr
    );
}

#[test]
fn a_store_that_is_away_at_the_end_is_told_and_the_commands_status_kept() {
    let mut stand = Stand::on_redis();
    let line = "echo $$ > pid; until [ -e go ]; do sleep 0.01; done; exit 6";
    let held = stand.start(&["job", "--ttl", "10m"], line);
    stand.server.as_mut().unwrap().kill9();
    stand.bench.write("go", "");
    let answer = held.end();
    assert_eq!(answer.code, Some(6), "{}", answer.stderr);
    let words = "solocron: warning: the lock job could not be released, it lapses within 10m";
    assert!(answer.stderr.starts_with(words), "{}", answer.stderr);
    assert!(answer.took < Duration::from_secs(10), "{:?}", answer.took);
}
