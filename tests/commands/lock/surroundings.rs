//! What a command under a lock has from its caller: all that it would have without.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use super::{Stand, on_both};
use crate::harness::processes;

#[test]
fn a_megabyte_goes_through_untouched() {
    on_both(|stand| {
        let mut bytes: Vec<u8> =
            (0..1 << 20).map(|n: u32| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        bytes.extend(b"no line feed at the end");
        let mut command = stand.command(&["job", "--", "cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = processes::spawn(command).unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let written = bytes.clone();
        let writer = std::thread::spawn(move || stdin.write_all(&written).unwrap());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(output.stdout == bytes, "{} bytes came", output.stdout.len());
        assert!(output.stderr.is_empty());
    });
}

#[test]
fn fence_and_name_are_in_the_environment_and_the_fence_grows() {
    on_both(|stand| {
        let mut last = 0_u64;
        for name in ["job", "job", "order/4711 ä", "job"] {
            let said = stand.lock_shell(&[name], "echo \"$SOLOCRON_FENCE $SOLOCRON_LOCK\"").good();
            let (fence, lock) = said.trim_end().split_once(' ').unwrap();
            let fence = fence.parse().unwrap();
            assert!(fence > last, "{fence} after {last}");
            assert_eq!(lock, name);
            last = fence;
        }
    });
}

#[test]
fn the_rest_of_the_environment_is_the_callers() {
    let stand = Stand::on_redis();
    let answer = stand.bench.run_with(&[], |command| {
        *command = stand.command(&["job", "--", "env"]);
        command.env("GREETING", "hello  world").env("SOLOCRON_FENCE", "1");
    });
    let store = format!("SOLOCRON_STORE={}", stand.redis().url());
    let said = answer.good();
    let mut lines: Vec<_> = said.lines().collect();
    lines.retain(|line| !line.starts_with("PATH=") && !line.starts_with("SOLOCRON_FENCE=1795"));
    lines.sort_unstable();
    let home = format!("HOME={}", stand.bench.dir().display());
    let state = format!("STATE_DIRECTORY={}", stand.bench.path("state").display());
    let fence = lines.iter().position(|line| line.starts_with("SOLOCRON_FENCE="));
    fence.into_iter().for_each(|at| assert_ne!(lines.remove(at), "SOLOCRON_FENCE=1"));
    assert_eq!(lines, ["GREETING=hello  world", &home, "SOLOCRON_LOCK=job", &store, &state]);
}

#[test]
fn a_lock_in_a_lock_works() {
    on_both(|stand| {
        let program = env!("CARGO_BIN_EXE_solocron");
        let inner = format!("{program} lock inner -- sh -c 'echo $SOLOCRON_LOCK; exit 3'");
        let answer = stand.lock_shell(&["outer"], &inner);
        assert_eq!(
            (answer.code, answer.stdout.as_str()),
            (Some(3), "inner\n"),
            "{}",
            answer.stderr
        );
        let again = format!("{program} lock outer -- true");
        stand.lock_shell(&["outer"], &again).refused(75);
    });
}

#[test]
fn directory_umask_limits_and_ignored_signals_are_the_callers() {
    let stand = Stand::on_sqlite();
    let line = "umask 027; ulimit -n 123; trap '' HUP; mkdir -p deep; cd deep; \
                LOCK sh -c 'pwd; umask; ulimit -n; id; exec grep Sig[IB] /proc/self/status'";
    let without = stand.bench.shell(&line.replace("LOCK", "")).good();
    assert!(without.contains("/deep\n0027\n123\n"), "{without}");
    let with = stand.bench.shell(&line.replace("LOCK", "solocron lock job --")).good();
    let (with, without) = (words_and_masks(&with), words_and_masks(&without));
    assert_eq!(with, without);
    assert_eq!(with.1, [0, 1]);
}

/// What was said, and the masks of signals blocked and ignored. Two belong to the C
/// library, which changes what their neighbours see of them.
fn words_and_masks(said: &str) -> (&str, Vec<u64>) {
    let (words, masks) = said.split_once("SigBlk:").unwrap();
    let masks = masks.split_whitespace().filter_map(|mask| u64::from_str_radix(mask, 16).ok());
    (words, masks.map(|mask| mask & !(0b11 << 31)).collect())
}

#[test]
fn a_directory_that_was_removed_is_none_to_stumble_over() {
    let stand = Stand::on_sqlite();
    let line = "mkdir gone; cd gone; rmdir ../gone; solocron lock job -- sh -c 'echo ran'";
    assert_eq!(stand.bench.shell(line).stdout, "ran\n");
}

#[test]
fn every_open_descriptor_is_handed_over() {
    let stand = Stand::on_sqlite();
    // As a shell does it: redirections of any number, and files that are pipes.
    let line = "exec 3>three 77<<<'seventy-seven'; \
                solocron lock job -- sh -c 'echo to three >&3; cat \"$0\" \"$1\" /dev/fd/77' \
                <(echo one) <(echo two)";
    assert_eq!(stand.bench.shell(line).good(), "one\ntwo\nseventy-seven\n");
    assert_eq!(fs::read_to_string(stand.bench.path("three")).unwrap(), "to three\n");
    // More than go into one packet.
    let line = "for n in {10..59}; do eval \"exec $n<<<$n\"; done; \
                solocron lock job -- sh -c 'for n in 10 35 59; do cat /dev/fd/$n; done'";
    assert_eq!(stand.bench.shell(line).good(), "10\n35\n59\n");
}

#[test]
fn what_has_been_closed_is_empty() {
    let stand = Stand::on_sqlite();
    assert_eq!(stand.bench.shell("solocron lock job -- wc -c <&-").good().trim(), "0");
}
