//! Where cursors stand, and the gaps that keep them there.

use super::*;

#[test]
fn a_claim_that_was_never_applied_is_not_taken_back_but_leaves_a_gap() {
    // No other slot is due meanwhile that could leave one.
    let keys = "schedule = '* * * * *'\nshell = 'true'\nstart_within = '1s'";
    let mut world = World::open(table(&format!("[jobs.a]\n{keys}\n")));
    let claim = claims(world.wait(seconds(60))).remove(0);
    world.lose_answer(&claim, unavailable());
    assert!(!settles(&world.tell(Event::Beat)), "it may still be won");
    assert!(forfeits(world.wait(seconds(2))).is_empty());
    assert!(settles(&world.tell(Event::Beat)));
}

#[test]
fn cursors_are_asked_for_again_when_the_store_comes_back_and_until_it_answers() {
    let mut world = World::open(every_second());
    let asks = |actions: Vec<Action>| {
        actions.iter().filter(|action| matches!(action, Action::OpenCursors(..))).count()
    };
    world.tell(Event::StoreHealth(Health::Down("gone".to_owned())));
    assert_eq!(asks(world.tell(Event::StoreHealth(Health::Up))), 1);
    assert_eq!(asks(world.tell(Event::Beat)), 0, "one at a time");
    world.tell(Event::CursorsOpened(Err(unavailable())));
    assert_eq!(asks(world.tell(Event::Beat)), 1);
    world.open_cursors_at(START);
    assert_eq!(asks(world.tell(Event::Beat)), 0);
    world.boot = world.boot + seconds(601);
    assert_eq!(asks(world.tell(Event::Beat)), 1, "every ten minutes");
}

#[test]
fn a_win_moves_the_cursor_only_while_every_earlier_slot_is_accounted_for() {
    let mut world = World::open(every_second());
    let first = world.claim();
    assert!(first.advance);
    let second = world.claim();
    assert!(!second.advance, "the first has no verdict yet");
    world.answer(&first, held());
    world.answer(&second, Verdict::Refused(Refusal::Late));
    let third = world.claim();
    assert!(!third.advance, "the second has no record");
    world.answer(&third, held());
    world.tell(Event::Beat);
    let too_early = second.start_by;
    world.tell(Event::GapsSettled(vec![(schedule(&world), too_early)]));
    let fourth = world.claim();
    assert!(!fourth.advance, "the window of the second had not closed by then");
    world.answer(&fourth, held());
    let settled = second.start_by + Duration::from_micros(1);
    world.tell(Event::GapsSettled(vec![(schedule(&world), settled)]));
    assert!(world.claim().advance);
}

#[test]
fn a_gap_that_opened_while_another_was_settled_stays_open() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    world.answer(&claim, Verdict::Refused(Refusal::Late));
    world.tell(Event::Beat);
    let settled = claim.start_by + Duration::from_micros(1);
    let claim = world.claim();
    world.answer(&claim, Verdict::Refused(Refusal::Late));
    world.tell(Event::GapsSettled(vec![(schedule(&world), settled)]));
    assert!(settles(&world.tell(Event::Beat)));
}

#[test]
fn slots_are_taken_up_at_the_cursor_where_a_node_starts() {
    let mut world = World::new(every_second());
    world.tell(Event::StoreHealth(Health::Up));
    world.tell(Event::Beat);
    let actions = world.open_cursors_at(START - 60);
    let slots: Vec<_> = claims(actions).iter().map(|claim| claim.slot.to_string()).collect();
    assert_eq!(slots, ["a@2026-11-22T03:00:00Z"], "its window is open");
    assert!(settles(&world.tell(Event::Beat)), "those before it are settled");
}
