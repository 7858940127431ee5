//! What `solocron lock` exits with when its command has ended.

use super::{mark, on_both, sleepers};

#[test]
fn the_commands_exit_status_is_passed_on() {
    on_both(|stand| {
        for (line, status) in [
            ("exit 0", 0),
            ("exit 3", 3),
            ("exit 255", 255),
            ("kill -TERM $$", 128 + 15),
            ("kill -KILL $$", 128 + 9),
            ("kill -INT $$", 128 + 2),
        ] {
            let answer = stand.lock_shell(&["job"], line);
            assert_eq!(answer.code, Some(status), "{line}: {}", answer.stderr);
            assert_eq!((answer.stdout, answer.stderr), (String::new(), String::new()), "{line}");
        }
    });
}

#[test]
fn a_command_that_cannot_be_started_is_told_as_a_shell_would() {
    on_both(|stand| {
        let plain = stand.bench.write("plain", "#!/bin/sh\n");
        let plain = plain.to_str().unwrap();
        for (program, status, words) in [
            ("no-such-program", 127, "cannot start \"no-such-program\": not found in "),
            ("./no-such", 127, "cannot start \"./no-such\": No such file or directory"),
            ("", 127, "the command is empty"),
            (plain, 126, "it is not executable"),
            (".", 126, "cannot start \".\""),
            ("/", 126, "it is a directory"),
        ] {
            let said = stand.lock(&["job", "--", program]).refused(status);
            assert!(said.starts_with("solocron: ") && said.contains(words), "{said}");
        }
        // And the lock is free again.
        stand.lock(&["job", "--", "true"]).good();
    });
}

#[test]
fn what_the_command_leaves_running_is_ended_before_the_lock_is_released() {
    on_both(|stand| {
        let mark = mark();
        let line = format!("sleep {mark} & setsid sleep {mark} & echo done; exit 5");
        let answer = stand.lock_shell(&["job"], &line);
        assert_eq!(sleepers(&mark), [0; 0]);
        assert_eq!((answer.code, answer.stdout.as_str()), (Some(5), "done\n"));
        assert!(answer.took.as_secs() < 8, "{:?}", answer.took);
        stand.lock(&["job", "--", "true"]).good();
    });
}

#[test]
fn nothing_is_left_in_the_store_but_the_fence() {
    let stand = super::Stand::on_redis();
    stand.lock(&["job", "--", "true"]).good();
    assert_eq!(stand.keys(), [""; 0]);
    stand.lock(&["job", "--min-hold", "20s", "--", "true"]).good();
    assert_eq!(stand.keys().len(), 1, "{:?}", stand.keys());
    let said = stand.lock(&["job", "--", "true"]).refused(75);
    assert!(said.contains("ended, within its minimum hold time"), "{said}");
}

/// A script that no shell looks after, as cron, CI and service managers start them: when
/// such a group loses its last tie to its session, the kernel hangs it up if something in
/// it is stopped.
#[test]
fn a_script_that_has_something_stopped_goes_on_behind_it() {
    let stand = super::Stand::on_sqlite();
    let mark = mark();
    let script = format!(
        "sleep {mark} & stopped=$!; kill -STOP $stopped
         until grep -q '^State:.T' /proc/$stopped/status; do sleep 0.01; done
         solocron lock job -- true; status=$?
         kill -KILL $stopped; echo went on with $status"
    );
    let answer =
        stand.bench.shell(&format!("setsid --wait sh -c '{}'", script.replace('\'', "'\\''")));
    assert_eq!(answer.stdout, "went on with 0\n", "{} {:?}", answer.stderr, answer.code);
}

/// The same where the command ends as soon as it is there: its keeper must have left its
/// session by then. On a busy machine, where it takes its time.
#[test]
fn a_script_that_has_something_stopped_goes_on_behind_many_that_end_at_once() {
    let stand = super::Stand::on_sqlite();
    let mark = mark();
    let script = format!(
        "sleep {mark} & stopped=$!; kill -STOP $stopped
         until grep -q '^State:.T' /proc/$stopped/status; do sleep 0.01; done
         for one in 1 2 3 4 5; do while :; do :; done & busy=\"$busy $!\"; done
         for one in $(seq 10); do solocron lock job -- /no/such/program; done
         kill -KILL $stopped $busy; echo went on"
    );
    let answer =
        stand.bench.shell(&format!("setsid --wait sh -c '{}'", script.replace('\'', "'\\''")));
    assert_eq!(answer.stdout, "went on\n", "{} {:?}", answer.stderr, answer.code);
}
