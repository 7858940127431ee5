//! Clocks that are set, or wrong.

use super::*;

#[test]
fn a_run_never_starts_before_its_slot_although_the_clock_was_set_meanwhile() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    world.offset = Offset::from_micros(world.offset.micros() - 3_000_000);
    assert_eq!(starts(&world.answer(&claim, won())), 0);
    assert!(claims(world.wait(Duration::from_millis(2_500))).is_empty());
    let again = claims(world.wait(Duration::from_millis(500)));
    assert_eq!(again[0].token, claim.token);
    assert_eq!(starts(&world.answer(&again[0], won())), 1);
}

#[test]
fn a_clock_that_steps_back_repeats_nothing() {
    let mut world = World::open(every_second());
    let claim = world.claim();
    world.answer(&claim, held());
    world.offset = Offset::from_micros(world.offset.micros() - 10_000_000);
    for _ in 0..10 {
        world.tell(Event::Beat);
        assert!(claims(world.wait(seconds(1))).is_empty());
    }
    assert_eq!(world.claim().slot.to_string(), "a@2026-11-22T03:00:02Z");
}

#[test]
fn after_a_jump_forward_what_may_still_start_is_claimed_and_the_rest_is_settled() {
    let mut world = World::open(every_second());
    world.offset = Offset::from_micros(world.offset.micros() + 3_600_000_000);
    let actions = world.tell(Event::Beat);
    assert!(settles(&actions));
    let slots: Vec<_> = claims(actions).iter().map(|claim| claim.slot.to_string()).collect();
    assert_eq!(slots, ["a@2026-11-22T04:00:00Z"]);
}

#[test]
fn without_a_beat_slots_are_planned_by_the_precise_timer() {
    let mut world = World::open(every_second());
    let mut slots = Vec::new();
    let mut wakes = 0;
    while slots.len() < 60 {
        let wake = world.engine.next_wake(world.now()).expect("there is always a next slot");
        assert!(wake > world.boot, "it does not spin");
        world.boot = wake;
        wakes += 1;
        for claim in claims(world.wait(Duration::ZERO)) {
            slots.push(claim.slot.at.unix_seconds());
            world.answer(&claim, held());
        }
    }
    assert_eq!(slots, (START + 1..=START + 60).collect::<Vec<_>>());
    assert!(wakes <= 60 + 60 / LOOKAHEAD.as_secs() + 1, "{wakes} wakes");
}

#[test]
fn a_gap_stays_open_until_its_windows_have_closed_by_the_store_though_the_clock_was_put_right() {
    let mut world = World::open(every_second());
    // It slept, and its clock is 40 ms fast: the window of slot 3 seems to have closed.
    world.wait(Duration::from_millis(3_920));
    assert!(settles(&world.tell(Event::Beat)));
    // The heartbeat puts the clock right before the settling ends, which by the
    // store's time came too early for slot 3.
    world.offset = Offset::from_micros(world.offset.micros() - 40_000);
    let upto = ClusterTime::from_unix_millis(START * 1000 + 3_985);
    world.tell(Event::GapsSettled(vec![(schedule(&world), upto)]));
    assert!(settles(&world.tell(Event::Beat)), "slot 3 has neither a claim nor an entry");
}
