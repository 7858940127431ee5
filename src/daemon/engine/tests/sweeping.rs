//! Open slots: taken over, claimed, abandoned, left to others; runs to be cancelled.

use super::*;
use crate::outcome::CancelCause;
use crate::policy::Overlap;
use crate::store::{Cancel, Then};

fn open(state: OpenState, slot: &str) -> Open {
    Open {
        slot: slot.parse().unwrap(),
        token: Token::new(),
        node: "web-2".parse().unwrap(),
        attempt: 1,
        takeovers: 0,
        state,
    }
}

fn swept(open: Vec<Open>) -> Event {
    answered(Ok(Sweep { open, next: None, cancels: Vec::new(), control: 0 }))
}

fn abandoned(actions: &[Action]) -> Vec<(String, String)> {
    let of = |action: &Action| match action {
        Action::Abandon(some) => {
            some.iter().map(|open| (open.what.slot.to_string(), open.what.why.clone())).collect()
        }
        _ => Vec::new(),
    };
    actions.iter().flat_map(of).collect()
}

/// A job `a` that is due each second, with these keys.
fn with(keys: &str) -> Arc<JobTable> {
    table(&format!("[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"true\"\n{keys}\n"))
}

/// A slot of `a` that somebody asked for.
fn wish() -> String {
    let id = crate::slot::TriggerId::new(ClusterTime::from_unix_micros(START * 1_000_000));
    Slot::triggered("a".parse().unwrap(), id).to_string()
}

const LOST: &str = "a@2026-11-22T02:00:01Z";

#[test]
fn a_slot_whose_holder_was_lost_is_taken_over_from_the_token_that_lost_it() {
    let mut world = World::open(with(""));
    let lost = open(OpenState::Lost, LOST);
    let taken = claims(world.tell(swept(vec![lost.clone()])));
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].takes_over, taken[0].max_takeovers), (Some(lost.token), 3));
    assert!(!taken[0].advance, "its place in the schedule is long past");
    // Windows do not bind it: it is won hours after it was due.
    assert_eq!(starts(&world.answer(&taken[0], won())), 1);
}

#[test]
fn what_must_not_run_again_is_abandoned_and_says_why() {
    for (keys, takeovers, why) in [
        ("on_crash = \"skip\"", 0, "on_crash = \"skip\""),
        ("max_takeovers = 2", 2, "2 times"),
        ("max_takeovers = 0", 0, "max_takeovers"),
    ] {
        let mut world = World::open(with(keys));
        let lost = Open { takeovers, ..open(OpenState::Lost, LOST) };
        let actions = world.tell(swept(vec![lost]));
        let [(slot, told)] = &abandoned(&actions)[..] else { panic!("{keys}: {actions:?}") };
        assert_eq!(slot, LOST);
        assert!(told.contains(why), "{told}");
        assert!(claims(actions).is_empty());
    }
}

#[test]
fn every_kind_of_ready_slot_is_claimed_and_one_that_is_switched_off_only_by_hand() {
    for &why in Ready::ALL {
        let slot = if why == Ready::Triggered { wish() } else { LOST.to_owned() };
        let ready = || swept(vec![open(OpenState::Ready(why), &slot)]);
        assert_eq!(claims(World::open(with("")).tell(ready())).len(), 1, "{why}");
        let off = claims(World::open(with("enabled = false")).tell(ready())).len();
        assert_eq!(off, usize::from(why == Ready::Triggered), "{why}");
    }
}

#[test]
fn of_a_job_that_takes_turns_one_ready_slot_is_claimed_at_a_time() {
    let ready = || {
        let slots = ["a@2026-11-22T02:00:01Z", "a@2026-11-22T02:00:02Z", "a@2026-11-22T02:00:03Z"];
        swept(slots.map(|slot| open(OpenState::Ready(Ready::CatchUp), slot)).into())
    };
    for overlap in Overlap::ALL {
        let mut world = World::open(with(&format!("overlap = \"{overlap}\"")));
        let claimed = claims(world.tell(ready()));
        let expected = if *overlap == Overlap::Allow { 3 } else { 1 };
        assert_eq!(claimed.len(), expected, "{overlap}");
        assert_eq!(claimed[0].slot.to_string(), "a@2026-11-22T02:00:01Z");
    }
}

#[test]
fn a_slot_that_nobody_here_may_run_is_left_to_the_others_for_ten_minutes() {
    for (keys, slot, state) in [
        ("", "gone@2026-11-22T02:00:00Z", OpenState::Lost),
        ("", "gone@2026-11-22T02:00:00Z", OpenState::Ready(Ready::HandedOver)),
        ("nodes = [\"db-*\"]", LOST, OpenState::Lost),
        ("nodes = [\"db-*\"]", LOST, OpenState::Ready(Ready::Triggered)),
    ] {
        let mut world = World::open(with(keys));
        let untaken = open(state, slot);
        let mut abandons = |after: Duration| {
            world.boot = world.boot + after;
            let actions = world.tell(swept(vec![untaken.clone()]));
            let abandoned = abandoned(&actions);
            assert!(!claims(actions).iter().any(|claim| claim.slot == untaken.slot));
            !abandoned.is_empty()
        };
        assert!(!abandons(Duration::ZERO));
        assert!(!abandons(seconds(599)));
        assert!(abandons(seconds(1)), "{keys} {slot} {state:?}");
    }
}

#[test]
fn a_node_looks_again_at_the_instant_at_which_the_next_lease_may_lapse() {
    let mut world = World::open(table(""));
    world.tell(Event::Beat);
    let next = world.now().cluster() + Duration::from_millis(300);
    let sweep = Sweep { open: vec![], next: Some(next), cancels: vec![], control: 0 };
    world.tell(answered(Ok(sweep)));
    let sweeps = |actions: Vec<Action>| actions.iter().any(|a| matches!(a, Action::Sweep));
    assert!(world.engine.next_wake(world.now()).is_some_and(|at| at <= world.boot + seconds(1)));
    assert!(!sweeps(world.wait(Duration::from_millis(299))));
    assert!(sweeps(world.wait(Duration::from_millis(1))));
    assert!(!sweeps(world.wait(seconds(1))), "one at a time");
}

#[test]
fn a_run_that_is_to_be_cancelled_is_stopped_once_and_settled_as_that() {
    let mut world = World::open(with("retry = { attempts = 3 }"));
    let claim = world.running();
    let cancel = Cancel { slot: claim.slot.clone(), token: claim.token, cause: CancelCause::Asked };
    let other = Cancel { token: Token::new(), ..cancel.clone() };
    let sweep =
        Sweep { open: vec![], next: None, cancels: vec![other, cancel.clone()], control: 0 };
    let stops = |actions: &[Action]| {
        actions.iter().filter(|a| matches!(a, Action::Stop(_, Stop::Cancel))).count()
    };
    assert_eq!(stops(&world.tell(answered(Ok(sweep.clone())))), 1);
    assert_eq!(stops(&world.tell(answered(Ok(sweep)))), 0);
    // It failed by itself before the signal came: it is not tried again all the same.
    let ends = completions(world.end(&claim, Outcome::Failed));
    assert_eq!(ends[0].then, Then::Settle);
}

#[test]
fn what_may_still_find_a_node_is_only_abandoned_where_there_is_none() {
    let mut world = World::open(with("nodes = [\"db-*\"]"));
    let waits = open(OpenState::Ready(Ready::Triggered), LOST);
    world.tell(swept(vec![waits.clone()]));
    world.boot = world.boot + seconds(600);
    let actions = world.tell(swept(vec![waits]));
    let Some(Action::Abandon(abandoned)) =
        actions.iter().find(|action| matches!(action, Action::Abandon(_)))
    else {
        panic!("{actions:?}")
    };
    let Some(Unless::MayRun(job)) = &abandoned[0].unless else { panic!("{abandoned:?}") };
    assert!(job.may_run_on(&"db-7".parse().unwrap()));
}

#[test]
fn the_time_in_which_the_store_was_away_does_not_count() {
    let mut world = World::open(with("nodes = [\"db-*\"]"));
    let waits = open(OpenState::Ready(Ready::Triggered), LOST);
    world.tell(swept(vec![waits.clone()]));
    world.tell(Event::StoreHealth(Health::Down("refused".to_owned())));
    world.boot = world.boot + seconds(600);
    world.tell(Event::StoreHealth(Health::Up));
    assert!(abandoned(&world.tell(swept(vec![waits]))).is_empty());
}

#[test]
fn a_node_without_room_leaves_open_slots_to_the_others() {
    let mut world = World::open(with("lease_ttl = \"1h\""));
    world.engine.settings.max_running = Some(1);
    let _running = world.running();
    let before = world.engine.desk.len();
    let ready = open(OpenState::Ready(Ready::Triggered), LOST);
    let lost = open(OpenState::Lost, "a@2026-11-22T02:00:02Z");
    assert!(claims(world.tell(swept(vec![ready, lost]))).is_empty());
    assert_eq!(world.engine.desk.len(), before, "nothing is hoarded");
}

#[test]
fn a_triggered_run_of_a_job_that_is_off_is_taken_also_when_it_was_handed_over() {
    let mut world = World::open(with("enabled = false"));
    let handed = open(OpenState::Ready(Ready::HandedOver), &wish());
    let claimed = claims(world.tell(swept(vec![handed])));
    assert_eq!(claimed.len(), 1);
    // A wish that is repeated has only the record to tell that it was fulfilled.
    assert_eq!(claimed[0].keep_settled, world.engine.settings.keep_open());
}

#[test]
fn a_run_is_cancelled_also_while_its_node_drains() {
    let mut world = World::open(with(""));
    let claim = world.running();
    world.tell(answered(Err(unavailable())));
    world.tell(Event::Drain("SIGTERM"));
    world.boot = world.boot + seconds(1);
    assert!(world.tell(Event::Beat).iter().any(|action| matches!(action, Action::Sweep)));
    let cancel = Cancel { slot: claim.slot.clone(), token: claim.token, cause: CancelCause::Asked };
    let taken = open(OpenState::Lost, LOST);
    let sweep = Sweep { open: vec![taken], next: None, cancels: vec![cancel], control: 0 };
    let actions = world.tell(answered(Ok(sweep)));
    assert!(actions.iter().any(|action| matches!(action, Action::Stop(_, Stop::Cancel))));
    assert!(claims(actions).is_empty(), "it takes nothing more");
}

#[test]
fn while_a_part_of_the_store_is_down_the_rest_is_looked_after() {
    let mut world = World::open(every_second());
    let sweeps = |actions: Vec<Action>| actions.iter().any(|a| matches!(a, Action::Sweep));
    world.tell(swept(Vec::new()));
    let partly = || Event::StoreHealth(Health::Partly("bucket 3: refused".to_owned()));
    world.tell(partly());
    world.boot = world.boot + seconds(2);
    assert!(sweeps(world.tell(Event::Beat)));
    world.tell(swept(Vec::new()));
    world.tell(Event::StoreHealth(Health::Down("refused".to_owned())));
    world.boot = world.boot + seconds(2);
    assert!(!sweeps(world.tell(Event::Beat)));
    // A part of it comes back, then the rest: each time there may be something to do.
    for back in [partly(), Event::StoreHealth(Health::Up)] {
        assert!(world.tell(back).iter().any(|action| matches!(action, Action::OpenCursors(..))));
        world.open_cursors_at(START);
    }
}
