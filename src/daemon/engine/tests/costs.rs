//! What the engine costs, in instructions, which a busy machine does not blur: they are
//! counted by valgrind, and nothing is tested where there is none.
//!
//! Each of these tests starts this test binary again, for an ignored test.

use std::hint::black_box;
use std::process::Command;

use super::*;

#[test]
fn a_round_in_which_nothing_is_due_costs_the_same_whatever_is_under_way() {
    let Some(few) = instructions("beside_few_runs") else {
        return println!("there is no valgrind here: nothing was counted");
    };
    let many = instructions("beside_many_runs").expect("there is a valgrind");
    assert!(few > 1000, "{few} instructions are no rounds");
    assert!(many < 2 * few, "{few} instructions beside 10 runs, {many} beside 300");
}

#[test]
#[ignore = "is counted"]
fn beside_few_runs() {
    beside_runs(10);
}

#[test]
#[ignore = "is counted"]
fn beside_many_runs() {
    beside_runs(300);
}

fn beside_runs(count: usize) {
    let job = |n| format!("[jobs.job-{n}]\nschedule = '* * * * * *'\nshell = 'true'\n");
    let mut world = World::open(table(&(0..count).map(job).collect::<String>()));
    let claims = claims(world.wait(seconds(1)));
    assert_eq!(claims.len(), count);
    let answer = Ok(claims.iter().map(|_| won().into()).collect());
    let sent = world.boot;
    let actions = world.tell(Event::ClaimsAnswered { sent, claims, answer });
    assert_eq!(starts(&actions), count);
    counted_rounds(&mut world);
}

#[inline(never)]
fn counted_rounds(world: &mut World) {
    for _ in 0..100 {
        let actions = world.wait(Duration::from_micros(10));
        assert!(actions.is_empty(), "{actions:?}");
        black_box(world.engine.next_wake(world.now()));
    }
}

/// How many instructions `counted_rounds` takes in that test; nothing without valgrind.
fn instructions(test: &str) -> Option<u64> {
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .args(["--toggle-collect=*counted_rounds*"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("daemon::engine::tests::costs::{test}"), "--ignored"])
        .args(["--test-threads", "1"]);
    let output = valgrind.output().ok()?;
    let (stdout, stderr) = (output.stdout, String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&stdout).contains("1 passed"), "{stderr}");
    let (_, collected) = stderr.rsplit_once("Collected : ").expect("callgrind tells");
    Some(collected.lines().next().unwrap().trim().parse().unwrap())
}
