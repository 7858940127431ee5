//! Runs that fail and are tried again, under the same lease.

use super::*;
use crate::outcome::CancelCause;
use crate::store::{Cancel, Completion, Then};

fn retried() -> Arc<JobTable> {
    table(
        "[jobs.a]\nschedule = \"0 * * * * *\"\nshell = \"false\"\nlease_ttl = \"1h\"\n\
         retry = { attempts = 3, backoff = \"constant\", min = \"10s\" }\nkill_grace = \"1s\"\n",
    )
}

/// A node that runs its first slot.
fn world() -> (World, Claim) {
    let mut world = World::open(retried());
    let claim = claims(world.wait(seconds(60))).remove(0);
    assert_eq!(starts(&world.answer(&claim, won())), 1);
    (world, claim)
}

fn written(world: &mut World, completions: Vec<Completion>) -> Vec<Action> {
    let answer = Ok(vec![Ownership::Ours; completions.len()]);
    world.tell(Event::CompletionsAnswered { completions, answer })
}

#[test]
fn a_failed_run_is_written_and_begins_again_after_its_wait_as_another_attempt() {
    let (mut world, claim) = world();
    for attempt in 1..=3 {
        let outcome = [Outcome::Failed, Outcome::TimedOut, Outcome::Failed][attempt as usize - 1];
        let ends = completions(world.end(&claim, outcome));
        assert_eq!((ends[0].attempt, ends[0].token), (attempt, claim.token));
        let last = attempt == 3;
        assert_eq!(ends[0].then, if last { Then::Settle } else { Then::Retry });
        assert_eq!(starts(&written(&mut world, ends)), 0, "not before its wait is over");
        assert_eq!(starts(&world.wait(Duration::from_millis(9_999))), 0);
        let actions = world.wait(Duration::from_millis(2_501));
        assert_eq!(starts(&actions), usize::from(!last), "after at most a quarter more");
        for action in actions {
            if let Action::Start(start) = action {
                assert_eq!((start.attempt, start.token), (attempt + 1, claim.token));
            }
        }
    }
}

#[test]
fn what_was_cancelled_or_lost_its_lease_is_not_tried_again() {
    for outcome in [Outcome::Succeeded, Outcome::Cancelled] {
        let (mut world, claim) = world();
        let ends = completions(world.end(&claim, outcome));
        assert_eq!(ends[0].then, Then::Settle, "{outcome}");
    }
    let (mut world, claim) = world();
    assert!(completions(world.end(&claim, Outcome::LeaseLost)).is_empty());
    assert_eq!(starts(&world.wait(seconds(20))), 0);
}

#[test]
fn the_runs_that_failed_elsewhere_count() {
    let mut world = World::open(retried());
    let claim = claims(world.wait(seconds(60))).remove(0);
    let grant = Grant { fence: Fence::new(9), attempt: 4, failures: 2 };
    world.answer(&claim, Verdict::Won(grant));
    let ends = completions(world.end(&claim, Outcome::Failed));
    assert_eq!((ends[0].attempt, ends[0].then), (4, Then::Settle));
}

#[test]
fn a_node_that_drains_hands_its_waiting_retry_on_with_its_time() {
    let (mut world, claim) = world();
    let ends = completions(world.end(&claim, Outcome::Failed));
    written(&mut world, ends);
    let handed = completions(world.tell(Event::Drain("SIGTERM")));
    assert_eq!((handed[0].attempt, handed[0].outcome), (2, Outcome::HandedOver));
    let Then::HandOver(Some(at)) = handed[0].then else { panic!("{:?}", handed[0].then) };
    assert!(at >= world.now().cluster() + seconds(9), "{at}");
    let actions = written(&mut world, handed);
    assert!(matches!(actions[..], [Action::Finish { killed: 0, settled: true }]), "{actions:?}");
}

#[test]
fn a_run_that_fails_while_the_node_drains_is_handed_on_too() {
    let (mut world, claim) = world();
    world.tell(Event::Drain("SIGTERM"));
    let ends = completions(world.end(&claim, Outcome::Failed));
    assert_eq!(ends[0].then, Then::Retry);
    let handed = completions(written(&mut world, ends));
    assert!(matches!(handed[0].then, Then::HandOver(Some(_))));
}

#[test]
fn a_slot_that_is_cancelled_while_it_waits_is_settled_and_never_begins() {
    let (mut world, claim) = world();
    let ends = completions(world.end(&claim, Outcome::Failed));
    written(&mut world, ends);
    let cancel = Cancel { slot: claim.slot.clone(), token: claim.token, cause: CancelCause::Asked };
    let sweep = Sweep { open: vec![], next: None, cancels: vec![cancel], control: 0 };
    let ends = completions(world.tell(answered(Ok(sweep))));
    assert_eq!((ends[0].outcome, ends[0].then), (Outcome::Cancelled, Then::Settle));
    written(&mut world, ends);
    assert_eq!(starts(&world.wait(seconds(60))), 0);
}

#[test]
fn a_retry_waits_for_a_lease_that_can_be_trusted() {
    let (mut world, claim) = world();
    let ends = completions(world.end(&claim, Outcome::Failed));
    written(&mut world, ends);
    // No renewal was answered for all of the lease.
    assert_eq!(starts(&world.wait(seconds(3600))), 0);
    let renewals = vec![Renewal {
        slot: claim.slot.clone(),
        token: claim.token,
        ttl: claim.ttl,
        keep_record: seconds(1),
    }];
    let sent = world.boot;
    world.tell(Event::RenewalsAnswered { sent, renewals, answer: Ok(vec![Ownership::Ours]) });
    assert_eq!(starts(&world.wait(seconds(1))), 1);
}

#[test]
fn a_slot_that_was_taken_while_it_waited_is_let_go() {
    let (mut world, claim) = world();
    let ends = completions(world.end(&claim, Outcome::Failed));
    written(&mut world, ends);
    let renewals = vec![Renewal {
        slot: claim.slot.clone(),
        token: claim.token,
        ttl: claim.ttl,
        keep_record: seconds(1),
    }];
    let sent = world.boot;
    world.tell(Event::RenewalsAnswered { sent, renewals, answer: Ok(vec![Ownership::Forgotten]) });
    assert_eq!(starts(&world.wait(seconds(60))), 0);
    assert!(!world.engine.running.contains_key(&claim.token));
}

#[test]
fn what_a_drain_ended_is_cancelled_where_it_must_not_run_again() {
    let keys = "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"x\"\non_crash = \"skip\"\n";
    let mut world = World::open(table(keys));
    let claim = world.running();
    world.tell(Event::Drain("SIGTERM"));
    let ends = completions(world.end(&claim, Outcome::HandedOver));
    assert_eq!((ends[0].outcome, ends[0].then), (Outcome::Cancelled, Then::Settle));
}
