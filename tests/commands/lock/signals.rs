//! Signals that somebody sends to `solocron lock`: its command has them, once.

use std::process::Stdio;

use nix::sys::signal::Signal;

use super::{Stand, is_alive};
use crate::harness::{processes, until};

/// Appends the name of each signal that comes to `signals`, and does not end by itself.
const LISTENS: &str = "for s in TERM INT HUP QUIT USR1 USR2 WINCH CONT; do \
                       trap \"echo $s >> signals\" $s; done; echo $$ > pid; \
                       while [ ! -e go ]; do sleep 0.01; done; exit 9";

fn signals(stand: &Stand) -> Vec<String> {
    crate::harness::ended_lines(&stand.bench.path("signals"))
}

#[test]
fn each_is_passed_on_once() {
    let stand = Stand::on_sqlite();
    let held = stand.start(&["job"], LISTENS);
    let mut expected = Vec::new();
    for signal in [
        Signal::SIGTERM,
        Signal::SIGINT,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
        Signal::SIGWINCH,
        Signal::SIGCONT,
        Signal::SIGTERM,
    ] {
        held.signal(signal);
        expected.push(signal.as_str().trim_start_matches("SIG").to_owned());
        until("it has come", || signals(&stand).len() >= expected.len());
    }
    assert_eq!(signals(&stand), expected);
    stand.bench.write("go", "");
    let answer = held.end();
    assert_eq!((answer.code, answer.stderr.as_str()), (Some(9), ""));
    assert_eq!(signals(&stand), expected);
}

#[test]
fn the_command_decides_when_it_ends_and_the_lock_is_held_until_then() {
    let stand = Stand::on_sqlite();
    let held = stand.start(
        &["job"],
        "trap 'echo asked > asked; while [ ! -e go ]; do sleep 0.01; done; exit 7' TERM; \
         echo $$ > pid; while :; do sleep 0.01; done",
    );
    held.signal(Signal::SIGTERM);
    stand.bench.wait_for_file("asked");
    assert!(is_alive(held.leader));
    stand.lock(&["job", "--", "true"]).refused(75);
    stand.bench.write("go", "");
    assert_eq!(held.end().code, Some(7));
    stand.lock(&["job", "--", "true"]).good();
}

#[test]
fn one_that_comes_before_the_command_is_there_reaches_it() {
    let stand = Stand::on_sqlite();
    for _ in 0..20 {
        let mut command = stand.command(&["job", "--", "sleep", "600"]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let child = processes::spawn(command).unwrap();
        let pid = nix::unistd::Pid::from_raw(child.id().cast_signed());
        // From the first instruction on, whatever it is at.
        nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
        let output = child.wait_with_output().unwrap();
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        assert!(status.code() == Some(143) || status.signal() == Some(15), "{status:?}");
    }
    stand.lock(&["job", "--wait", "40s", "--", "true"]).good();
}
