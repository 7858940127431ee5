//! Another table comes into force: nothing is lost, nothing is doubled, nothing bursts.

use super::*;

fn reload(world: &mut World, table: Arc<JobTable>) -> Vec<Action> {
    let settings = world.engine.settings;
    world.tell(Event::Reloaded(table, settings))
}

fn seconds_of(actions: Vec<Action>) -> Vec<(String, i64)> {
    claims(actions)
        .iter()
        .map(|claim| (claim.slot.job.to_string(), claim.slot.at.unix_seconds() - START))
        .collect()
}

fn job(name: &str, schedule: &str, rest: &str) -> String {
    format!("[jobs.{name}]\nschedule = \"{schedule}\"\nshell = \"x\"\n{rest}\n")
}

#[test]
fn a_job_that_stays_goes_on_where_it_was_however_often_the_table_is_loaded() {
    let text = job("a", "* * * * * *", "");
    let mut world = World::open(table(&text));
    let mut seen = Vec::new();
    for round in 0..50 {
        seen.extend(seconds_of(world.wait(Duration::from_millis(200))));
        // Before it and behind it other jobs come and go, and its command changes.
        let other = format!("{}{}", job("0", "0 0 1 1 *", ""), job("z", "0 0 1 1 *", ""));
        let same = text.replace("\"x\"", &format!("\"x{round}\""));
        let next = if round % 2 == 0 { same + &other } else { same };
        seen.extend(seconds_of(reload(&mut world, table(&next))));
    }
    let expected: Vec<_> = (1..=10).map(|second| ("a".to_owned(), second)).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_new_job_and_a_changed_schedule_begin_at_the_reload() {
    let mut world = World::open(table(&job("a", "*/10 * * * * *", "")));
    world.wait(Duration::from_millis(4_900));
    let both = job("a", "* * * * * *", "") + &job("b", "* * * * * *", "");
    let actions = reload(&mut world, table(&both));
    let Some(Action::OpenCursors(jobs)) =
        actions.iter().find(|action| matches!(action, Action::OpenCursors(..)))
    else {
        panic!("{actions:?}")
    };
    assert_eq!(jobs.len(), 2);
    assert!(jobs.iter().all(|(_, since)| *since == world.boot));
    assert!(seconds_of(world.wait(seconds(1))).is_empty(), "not before the answer is there");
    // Nobody had these schedules before: their cursors are made at the reload.
    let slots = seconds_of(world.open_cursors_at(START + 5));
    assert_eq!(slots, [("a".to_owned(), 6), ("b".to_owned(), 6)]);
    assert!(!settles(&world.tell(Event::Beat)));
}

#[test]
fn a_schedule_that_comes_back_begins_now_and_what_lies_between_is_not_missed() {
    let mut world = World::open(table(&job("a", "*/10 * * * * *", "")));
    world.wait(seconds(300));
    reload(&mut world, table(&job("a", "* * * * * *", "catch_up = \"all\"")));
    // Its cursor stands where it was an hour ago.
    let slots = seconds_of(world.open_cursors_at(START - 3600));
    assert!(slots.is_empty(), "{slots:?}");
    let Some(Action::SettleGaps(gaps, _)) =
        world.tell(Event::Beat).into_iter().find(|action| matches!(action, Action::SettleGaps(..)))
    else {
        panic!("its cursor moves on")
    };
    assert!(gaps.iter().any(|gap| gap.skip_to == Some(SlotTime::from_unix_seconds(START + 300))));
    let slots = seconds_of(world.wait(seconds(1)));
    assert_eq!(slots, [("a".to_owned(), 301)]);
}

#[test]
fn a_schedule_that_comes_back_soon_starts_no_burst_either() {
    let (often, seldom) =
        (job("a", "* * * * * *", "start_within = \"1h\""), job("a", "@yearly", ""));
    for away in [4, 60] {
        let mut world = World::open(table(&often));
        world.wait(seconds(10));
        reload(&mut world, table(&seldom));
        world.open_cursors_at(START + 10);
        world.wait(seconds(away));
        reload(&mut world, table(&often));
        // Nobody has moved its cursor meanwhile.
        let slots = seconds_of(world.open_cursors_at(START + 10));
        assert!(slots.is_empty(), "{away}: {slots:?}");
        let slots = seconds_of(world.wait(seconds(1)));
        assert_eq!(slots, [("a".to_owned(), 11 + i64::try_from(away).unwrap())]);
    }
}

#[test]
fn where_another_node_was_faster_its_slots_are_not_left_out() {
    let mut world = World::open(table(&job("a", "0 0 0 1 1 *", "start_within = \"30s\"")));
    world.wait(seconds(300));
    reload(&mut world, table(&job("a", "* * * * * *", "start_within = \"30s\"")));
    // The other loaded it four seconds ago, ran one, and was lost.
    let slots = seconds_of(world.open_cursors_at(START + 297));
    let expected = [298, 299, 300].map(|second| ("a".to_owned(), second));
    assert_eq!(slots, expected);
}

#[test]
fn what_is_under_way_ends_as_it_began() {
    let mut world = World::open(table(&job("a", "* * * * * *", "kill_grace = \"7s\"")));
    let running = world.running();
    let pending = world.claim();
    reload(&mut world, table(""));
    // Its claim is answered after its job is gone: the slot was due, and it runs.
    let actions = world.answer(&pending, won());
    let Some(Action::Start(start)) =
        actions.iter().find(|action| matches!(action, Action::Start(_)))
    else {
        panic!("{actions:?}")
    };
    assert_eq!(start.job.kill_grace, seconds(7));
    assert_eq!(completions(world.end(&running, Outcome::Succeeded)).len(), 1);
    assert!(claims(world.wait(seconds(10))).is_empty());
}

#[test]
fn a_job_that_is_switched_on_again_has_missed_nothing() {
    let off = job("a", "* * * * * *", "enabled = false");
    let mut world = World::open(table(&off));
    assert!(claims(world.wait(seconds(300))).is_empty());
    reload(&mut world, table(&job("a", "* * * * * *", "")));
    assert!(seconds_of(world.open_cursors_at(START - 100)).is_empty());
    assert_eq!(seconds_of(world.wait(seconds(1))), [("a".to_owned(), 301)]);
}

#[test]
fn a_command_to_load_the_table_is_heeded_once() {
    let mut world = World::open(every_second());
    let control = |version, reload| crate::control::Control {
        version,
        reload,
        ..crate::control::Control::default()
    };
    let read = |world: &mut World, version, reload| {
        let actions = world.tell(Event::ControlRead(Ok(control(version, reload))));
        actions.iter().filter(|action| matches!(action, Action::Reload(_))).count()
    };
    assert_eq!(read(&mut world, 3, 3), 1, "who knows when it was asked");
    assert_eq!(read(&mut world, 4, 3), 0, "that was another command");
    assert_eq!(read(&mut world, 5, 5), 1);
    assert_eq!(read(&mut world, 5, 5), 0);
    assert_eq!(read(&mut world, 1, 1), 0, "the store has lost its data");
    assert_eq!(read(&mut world, 2, 2), 1);
}

#[test]
fn a_node_with_another_table_is_told_once_it_has_had_time_to_load_it() {
    let mut world = World::open(every_second());
    let beat = |world: &mut World, differing: &[(&str, &str)]| {
        let differing = differing
            .iter()
            .map(|(node, digest)| (node.parse().unwrap(), (*digest).to_owned()))
            .collect();
        let now = world.now().cluster();
        let reply = HeartbeatReply { now, replaced: None, differing };
        let actions = world.tell(Event::HeartbeatAnswered(Ok(reply)));
        actions.iter().any(|action| matches!(action, Action::ReportDrift(_)))
    };
    assert!(!beat(&mut world, &[("web-2", "aa")]));
    assert!(beat(&mut world, &[("web-2", "aa")]));
    assert!(!beat(&mut world, &[("web-2", "aa")]), "once");
    assert!(!beat(&mut world, &[("web-2", "bb")]), "it has loaded another");
    assert!(!beat(&mut world, &[]));
    assert!(!beat(&mut world, &[("web-2", "bb")]));
    assert!(beat(&mut world, &[("web-2", "bb")]));
}

#[test]
fn of_two_reloads_while_the_store_is_away_each_job_begins_at_its_own() {
    let mut world = World::open(table(""));
    reload(&mut world, table(&job("a", "* * * * * *", "")));
    let first = world.boot;
    world.tell(Event::CursorsOpened(Err(unavailable())));
    world.wait(seconds(5));
    reload(&mut world, table(&(job("a", "* * * * * *", "") + &job("b", "* * * * * *", ""))));
    world.tell(Event::CursorsOpened(Err(unavailable())));
    let actions = world.tell(Event::Beat);
    let Some(Action::OpenCursors(jobs)) =
        actions.iter().find(|action| matches!(action, Action::OpenCursors(_)))
    else {
        panic!("{actions:?}")
    };
    let since: Vec<_> = jobs.iter().map(|(job, since)| (job.name.as_str(), *since)).collect();
    assert_eq!(since, [("a", first), ("b", world.boot)]);
}

#[test]
fn a_slot_that_has_come_and_waits_for_its_jitter_is_kept_when_its_schedule_changes() {
    let rest = "jitter = \"59s\"\nstart_within = \"30s\"";
    let old = table(&job("a", "0 * * * * *", rest));
    let due = old[0].due(SlotTime::from_unix_seconds(START + 60));
    let mut world = World::open(old);
    world.wait(seconds(60));
    reload(&mut world, table(&job("a", "0 * * * * *", "start_within = \"31s\"")));
    let wait = due.since(world.now().cluster());
    assert!(!wait.is_zero(), "its draw is more than a tenth of a second");
    assert!(seconds_of(world.wait(wait.checked_sub(Duration::from_millis(1)).unwrap())).is_empty());
    assert_eq!(seconds_of(world.wait(Duration::from_millis(1))), [("a".to_owned(), 60)]);
}

#[test]
fn what_other_nodes_left_is_not_skipped_when_a_job_becomes_this_nodes_too() {
    let keys = "nodes = [\"gpu-*\"]\ncatch_up = \"all\"";
    let mut world = World::open(table(&job("a", "* * * * * *", keys)));
    world.wait(seconds(300));
    reload(&mut world, table(&job("a", "* * * * * *", "catch_up = \"all\"")));
    world.open_cursors_at(START - 3600);
    let Some(Action::SettleGaps(gaps, _)) =
        world.tell(Event::Beat).into_iter().find(|action| matches!(action, Action::SettleGaps(..)))
    else {
        panic!("what nobody ran is settled")
    };
    assert!(gaps.iter().all(|gap| gap.skip_to.is_none()), "{gaps:?}");
}

#[test]
fn a_job_that_is_taken_from_this_node_before_it_was_seated_is_not_run_here() {
    let mut world = World::open(table(""));
    reload(&mut world, table(&job("a", "* * * * * *", "")));
    reload(&mut world, table(&job("a", "* * * * * *", "nodes = [\"other\"]")));
    world.open_cursors_at(START);
    assert!(seconds_of(world.wait(seconds(5))).is_empty());
}

#[test]
fn a_gap_that_was_noticed_while_its_job_was_off_tells_of_the_slots_since_it_is_on() {
    let mut world = World::open(table(&job("a", "* * * * * *", "enabled = false")));
    let on = table(&job("a", "* * * * * *", ""));
    reload(&mut world, Arc::clone(&on));
    world.open_cursors_at(START);
    world.wait(seconds(200));
    let Some(Action::SettleGaps(gaps, _)) =
        world.tell(Event::Beat).into_iter().find(|action| matches!(action, Action::SettleGaps(..)))
    else {
        panic!("it slept")
    };
    assert!(gaps.iter().all(|gap| gap.job.enabled), "{gaps:?}");
}
