use super::*;
use Blow::{Kill, Term};
use Outcome::{Cancelled, Failed, HandedOver, LeaseLost, Succeeded, TimedOut};

const KILL_GRACE: u64 = 10_000;
const GRACE_ON_LOSS: u64 = 2_000;
/// A lease that does not matter.
const FAR: u64 = 1_000_000;

fn ms(ms: u64) -> BootInstant {
    BootInstant::from_nanos(ms * 1_000_000)
}

fn seen(now: u64) -> Seen {
    Seen {
        now: ms(now),
        leader: Leader::Running,
        tree_gone: false,
        trust: Trust::Until(ms(FAR)),
        stop: None,
    }
}

trait Look {
    fn until(self, at: u64) -> Self;
    fn lost(self) -> Self;
    fn stop(self, stop: Stop) -> Self;
    fn exited(self, code: i32) -> Self;
    fn ended_by(self, signal: i32) -> Self;
    fn gone(self) -> Self;
    fn absent(self) -> Self;
}

impl Look for Seen {
    fn until(self, at: u64) -> Self {
        Self { trust: Trust::Until(ms(at)), ..self }
    }
    fn lost(self) -> Self {
        Self { trust: Trust::Lost, ..self }
    }
    fn stop(self, stop: Stop) -> Self {
        Self { stop: Some(stop), ..self }
    }
    fn exited(self, code: i32) -> Self {
        Self { leader: Leader::Ended(Exit::Code(code)), ..self }
    }
    fn ended_by(self, signal: i32) -> Self {
        Self { leader: Leader::Ended(Exit::Signal(signal)), ..self }
    }
    fn gone(self) -> Self {
        Self { tree_gone: true, ..self }
    }
    fn absent(self) -> Self {
        Self { leader: Leader::Absent, ..self }
    }
}

fn go(blow: Option<Blow>, wake: u64) -> Step {
    Step::Go { blow, wake: Some(ms(wake)) }
}

fn decider(timeout: Option<u64>) -> Decider {
    let mut decider = Decider::new(Limits {
        kill_grace: Duration::from_millis(KILL_GRACE),
        grace_on_loss: Duration::from_millis(GRACE_ON_LOSS),
    });
    decider.started(ms(0), timeout.map(Duration::from_millis));
    decider
}

/// Shows a run the looks in turn and holds each step and the outcome against the table.
#[track_caller]
fn story(timeout: Option<u64>, looks: &[(Seen, Step)], outcome: Outcome) {
    let mut decider = decider(timeout);
    for (index, (seen, step)) in looks.iter().enumerate() {
        assert_eq!(decider.decide(seen), *step, "look {index}: {seen:?}");
    }
    assert_eq!(verdict(&decider, &[0, 3]), outcome);
}

fn verdict(decider: &Decider, success_codes: &[u8]) -> Outcome {
    let (exit, cause) = match decider.ended() {
        Some((exit, cause)) => (Some(exit), cause),
        None => (None, decider.cause()),
    };
    Verdict::on(exit, cause, success_codes).outcome
}

#[test]
fn a_run_left_alone_is_judged_by_its_exit() {
    let nothing = (seen(1), go(None, FAR - GRACE_ON_LOSS));
    story(None, &[nothing, (seen(5).exited(0).gone(), Step::Over)], Succeeded);
    story(None, &[nothing, (seen(5).exited(3).gone(), Step::Over)], Succeeded);
    story(None, &[nothing, (seen(5).exited(1).gone(), Step::Over)], Failed);
    story(None, &[nothing, (seen(5).exited(-1).gone(), Step::Over)], Failed);
    story(None, &[nothing, (seen(5).ended_by(11).gone(), Step::Over)], Failed);
}

#[test]
fn what_a_leader_leaves_behind_gets_term_then_kill() {
    story(
        None,
        &[
            (seen(5).exited(0), go(Some(Term), 5 + KILL_GRACE)),
            (seen(6).exited(0), go(None, 5 + KILL_GRACE)),
            (seen(5 + KILL_GRACE).exited(0), go(Some(Kill), FAR - GRACE_ON_LOSS)),
            (seen(6 + KILL_GRACE).exited(0).gone(), Step::Over),
        ],
        Succeeded,
    );
}

#[test]
fn a_timeout_gets_term_then_kill_and_no_exit_code_redeems_it() {
    let late = seen(60_000);
    story(
        Some(60_000),
        &[
            (seen(1), go(None, 60_000)),
            (late, go(Some(Term), 70_000)),
            (seen(61_000).exited(0).gone(), Step::Over),
        ],
        TimedOut,
    );
    story(
        Some(60_000),
        &[
            (late, go(Some(Term), 70_000)),
            (seen(69_999), go(None, 70_000)),
            (seen(70_000), go(Some(Kill), FAR - GRACE_ON_LOSS)),
            (seen(70_001).ended_by(9).gone(), Step::Over),
        ],
        TimedOut,
    );
}

#[test]
fn a_command_that_ended_before_the_timeout_was_seen_did_not_time_out() {
    story(Some(60_000), &[(seen(60_001).exited(0).gone(), Step::Over)], Succeeded);
    story(
        Some(60_000),
        &[
            (seen(60_001).exited(0), go(Some(Term), 60_001 + KILL_GRACE)),
            (seen(60_002).exited(0).gone(), Step::Over),
        ],
        Succeeded,
    );
}

#[test]
fn a_lease_that_runs_out_gets_term_a_grace_before_and_kill_at_its_end() {
    story(
        None,
        &[
            (seen(1).until(20_000), go(None, 18_000)),
            (seen(5_000).until(25_000), go(None, 23_000)),
            (seen(23_000).until(25_000), go(Some(Term), 25_000)),
            (seen(24_999).until(25_000), go(None, 25_000)),
            (seen(25_000).until(25_000), Step::Go { blow: Some(Kill), wake: None }),
            (seen(25_001).until(25_000).ended_by(9).gone(), Step::Over),
        ],
        LeaseLost,
    );
}

#[test]
fn a_renewal_after_the_term_takes_nothing_back() {
    story(
        None,
        &[
            (seen(18_000).until(20_000), go(Some(Term), 20_000)),
            (seen(18_500).until(38_500), go(None, 20_000)),
            (seen(20_000).until(38_500), go(Some(Kill), 36_500)),
            (seen(20_001).until(38_500).exited(0).gone(), Step::Over),
        ],
        LeaseLost,
    );
}

#[test]
fn a_lost_lease_gets_term_at_once_and_kill_when_the_last_trust_would_have_ended() {
    story(
        None,
        &[
            (seen(1).until(20_000), go(None, 18_000)),
            (seen(2_000).lost(), go(Some(Term), 4_000)),
            (seen(3_000).lost(), go(None, 4_000)),
            (seen(4_000).lost(), Step::Go { blow: Some(Kill), wake: None }),
            (seen(4_001).lost().ended_by(9).gone(), Step::Over),
        ],
        LeaseLost,
    );
    story(
        None,
        &[
            (seen(1).until(20_000), go(None, 18_000)),
            (seen(17_000).until(20_000), go(None, 18_000)),
            (seen(17_999).lost(), go(Some(Term), 19_999)),
        ],
        LeaseLost,
    );
    story(
        None,
        &[
            (seen(1).until(3_500), go(None, 1_500)),
            (seen(1_500).until(3_500), go(Some(Term), 3_500)),
            (seen(2_500).lost(), go(None, 3_500)),
        ],
        LeaseLost,
    );
}

#[test]
fn a_deadline_that_passed_while_the_machine_slept_takes_effect_at_the_first_look() {
    let slept = seen(3_600_000);
    story(
        None,
        &[
            (seen(1).until(20_000), go(None, 18_000)),
            (slept.until(20_000), Step::Go { blow: Some(Kill), wake: None }),
        ],
        LeaseLost,
    );
    story(Some(60_000), &[(slept.until(FAR * 10), go(Some(Term), 3_610_000))], TimedOut);
}

#[test]
fn a_drain_gets_term_then_kill_and_an_end_with_success_counts() {
    let drain = (seen(5).stop(Stop::Drain), go(Some(Term), 5 + KILL_GRACE));
    let end = |seen: Seen| (seen.stop(Stop::Drain).gone(), Step::Over);
    story(None, &[drain, end(seen(6).exited(0))], Succeeded);
    story(None, &[drain, end(seen(6).exited(1))], HandedOver);
    story(None, &[drain, end(seen(6).ended_by(15))], HandedOver);
    story(None, &[end(seen(6).exited(1))], Failed);
}

#[test]
fn the_second_signal_kills_now() {
    let kill = go(Some(Kill), FAR - GRACE_ON_LOSS);
    story(None, &[(seen(5).stop(Stop::Kill), kill)], HandedOver);
    story(
        None,
        &[
            (seen(5).stop(Stop::Drain), go(Some(Term), 5 + KILL_GRACE)),
            (seen(7).stop(Stop::Kill), kill),
            (seen(8).stop(Stop::Kill).ended_by(9).gone(), Step::Over),
        ],
        HandedOver,
    );
    story(
        None,
        &[
            (seen(5).stop(Stop::Cancel), go(Some(Term), 5 + KILL_GRACE)),
            (seen(7).stop(Stop::Kill), kill),
            (seen(8).stop(Stop::Kill).ended_by(9).gone(), Step::Over),
        ],
        Cancelled,
    );
}

#[test]
fn a_cancel_stands_whatever_the_exit_code() {
    story(
        None,
        &[
            (seen(5).stop(Stop::Cancel), go(Some(Term), 5 + KILL_GRACE)),
            (seen(6).stop(Stop::Cancel).exited(0).gone(), Step::Over),
        ],
        Cancelled,
    );
}

#[test]
fn the_first_cause_names_the_outcome_but_a_drain_yields() {
    type Order = fn(Seen) -> Seen;
    let causes: [(Order, Outcome); 4] = [
        (|seen| seen.stop(Stop::Drain), HandedOver),
        (|seen| seen.stop(Stop::Cancel), Cancelled),
        (|seen| seen.lost(), LeaseLost),
        (|seen| Seen { now: ms(60_000), ..seen }, TimedOut),
    ];
    for (first, by_first) in causes {
        for (second, by_second) in causes {
            let mut decider = decider(Some(60_000));
            let _ = decider.decide(&first(seen(1)));
            let _ = decider.decide(&second(seen(2)));
            let end = seen(60_001).ended_by(15).gone();
            assert_eq!(decider.decide(&end), Step::Over);
            let yields = by_first == HandedOver && by_second != TimedOut;
            let expected = if yields { by_second } else { by_first };
            assert_eq!(verdict(&decider, &[0]), expected, "{by_first} then {by_second}");
        }
    }
}

#[test]
fn what_happens_after_the_leader_ended_does_not_change_the_outcome() {
    for look in [
        seen(7).exited(0).stop(Stop::Cancel),
        seen(7).exited(0).stop(Stop::Kill),
        seen(7).exited(0).lost(),
        seen(60_001).exited(0),
    ] {
        let mut decider = decider(Some(60_000));
        assert_eq!(decider.decide(&seen(5).exited(0)), go(Some(Term), 5 + KILL_GRACE));
        let _ = decider.decide(&look);
        assert_eq!(decider.decide(&look.gone()), Step::Over);
        assert_eq!(verdict(&decider, &[0]), Succeeded);
    }
}

#[test]
fn the_tree_of_a_killed_leader_is_killed_until_it_is_gone() {
    let mut decider = decider(None);
    let kill = seen(5).stop(Stop::Kill);
    for look in [kill, kill.ended_by(9), kill.ended_by(9)] {
        assert_eq!(decider.decide(&look), go(Some(Kill), FAR - GRACE_ON_LOSS));
    }
    assert_eq!(decider.decide(&kill.ended_by(9).gone()), Step::Over);
}

#[test]
fn a_run_that_is_to_end_before_it_began_never_begins() {
    for (look, outcome) in [
        (seen(1).stop(Stop::Drain), HandedOver),
        (seen(1).stop(Stop::Kill), HandedOver),
        (seen(1).stop(Stop::Cancel), Cancelled),
        (seen(1).lost(), LeaseLost),
        (seen(18_001).until(20_000), LeaseLost),
    ] {
        story(
            None,
            &[(seen(0).absent(), go(None, FAR - GRACE_ON_LOSS)), (look.absent(), Step::Over)],
            outcome,
        );
    }
}

#[test]
fn a_command_begins_at_its_instant_unless_something_ends_it_before() {
    use Opening::{Begin, Over, Wait};
    let open = |seen: Seen, not_before: u64| decider(None).open(&seen.absent(), ms(not_before));
    assert_eq!(open(seen(99), 100), Wait(ms(100)));
    assert_eq!(open(seen(100), 100), Begin);
    assert_eq!(open(seen(100), 0), Begin);
    for stop in [Stop::Withdraw, Stop::Drain, Stop::Kill, Stop::Cancel] {
        assert_eq!(open(seen(99).stop(stop), 100), Over);
        assert_eq!(open(seen(100).stop(stop), 100), Over, "also at the instant itself");
    }
    // A keeper that was frozen finds out when it thaws.
    assert_eq!(open(seen(1).until(5_000), 4_000), Wait(ms(3_000)), "the lease ends first");
    assert_eq!(open(seen(4_000).until(5_000), 4_000), Over);
    assert_eq!(open(seen(1).lost(), 0), Over);
}

#[test]
fn a_run_that_has_begun_is_not_withdrawn() {
    story(
        None,
        &[
            (seen(1).stop(Stop::Withdraw), go(None, FAR - GRACE_ON_LOSS)),
            (seen(2).stop(Stop::Withdraw).exited(0), go(Some(Term), 2 + KILL_GRACE)),
            (seen(3).stop(Stop::Withdraw).exited(0).gone(), Step::Over),
        ],
        Succeeded,
    );
}
