//! Nodes that drain.

use super::*;

#[test]
fn a_draining_node_moves_no_cursor_over_what_it_leaves_to_others() {
    // Both windows are open all the time: there is no gap.
    let job = "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"true\"\nstart_within = \"30s\"\n";
    let mut world = World::open(table(job));
    let first = world.claim();
    world.lose_answer(&first, unavailable());
    let made = claims(world.wait(seconds(1)));
    let (again, second): (Vec<_>, Vec<_>) =
        made.into_iter().partition(|claim| claim.slot == first.slot);
    for claim in &again {
        world.lose_answer(claim, unavailable());
    }
    let [second] = &second[..] else { panic!("{second:?}") };
    world.lose_answer(second, unknown());
    // The first was not made: it is left to the others. The second may be ours.
    world.tell(Event::Drain("SIGTERM"));
    let again = claims(world.wait(Duration::from_millis(50)));
    assert_eq!(again.len(), 1);
    assert!(!again[0].advance);
}

#[test]
fn a_drain_claims_nothing_more_and_ends_when_the_last_completion_is_written() {
    let mut world = World::open(every_second());
    let claim = world.running();
    world.tell(Event::Drain("SIGTERM"));
    assert!(claims(world.wait(seconds(5))).is_empty());
    let completions = completions(world.end(&claim, Outcome::Succeeded));
    let actions =
        world.tell(Event::CompletionsAnswered { completions, answer: Ok(vec![Ownership::Ours]) });
    assert!(matches!(actions[..], [Action::Finish { killed: 0, settled: true }]), "{actions:?}");
    assert!(world.engine.is_finished());
}

#[test]
fn a_run_that_outlives_the_drain_is_stopped_and_handed_over() {
    let mut world = World::open(every_second());
    let claim = world.running();
    world.tell(Event::Drain("SIGTERM"));
    let actions = world.wait(seconds(30));
    assert!(
        actions.iter().any(
            |action| matches!(action, Action::Stop(token, Stop::Drain) if *token == claim.token)
        )
    );
    let completions = completions(world.end(&claim, Outcome::HandedOver));
    assert_eq!(completions[0].keep_record, world.engine.settings.keep_open(), "it is found");
    let actions =
        world.tell(Event::CompletionsAnswered { completions, answer: Ok(vec![Ownership::Ours]) });
    assert!(matches!(actions[..], [Action::Finish { killed: 1, settled: true }]), "{actions:?}");
}

#[test]
fn a_second_signal_kills_and_does_not_wait_for_ever() {
    let mut world = World::open(every_second());
    let claim = world.running();
    world.tell(Event::Drain("SIGTERM"));
    let actions = world.tell(Event::Kill);
    assert!(
        actions.iter().any(
            |action| matches!(action, Action::Stop(token, Stop::Kill) if *token == claim.token)
        )
    );
    let actions = world.wait(seconds(5));
    assert!(actions.iter().any(|action| matches!(action, Action::Finish { settled: false, .. })));
}

#[test]
fn a_slot_won_while_draining_is_handed_over_without_a_run() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    world.tell(Event::Drain("SIGTERM"));
    let actions = world.answer(&claim, won());
    assert_eq!(starts(&actions), 0);
    assert_eq!(completions(actions)[0].outcome, Outcome::HandedOver);
}

#[test]
fn a_claim_that_may_have_been_applied_is_resolved_before_a_drain_ends() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    world.lose_answer(&claim, unknown());
    world.tell(Event::Drain("SIGTERM"));
    let again = claims(world.wait(Duration::from_millis(50)));
    assert_eq!(again[0].token, claim.token);
    assert!(!world.engine.is_finished());
    world.answer(&claim, held());
    assert!(world.engine.is_finished());
}
