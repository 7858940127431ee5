//! Slots are claimed ahead, each node in its turn, and their runs wait for the instant.

use std::collections::BTreeMap;

use super::*;
use crate::control::{Control, Pauses};
use crate::node::Heartbeat;
use crate::outcome::CancelCause;
use crate::store::{Cancel, Then};

/// The first slot is due then, and what is claimed ahead of it by a node alone is by now.
const DUE: i64 = START + 1;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn due(world: &World) -> BootInstant {
    world.offset.boot_instant(SlotTime::from_unix_seconds(DUE).cluster_time())
}

impl World {
    /// Goes to so long before the first slot is due.
    fn before_due(&mut self, time: Duration) -> Vec<Action> {
        let wait = due(self).minus(time).since(self.boot);
        self.wait(wait)
    }

    /// A slot that was won ahead.
    fn waiting(&mut self) -> (Claim, Vec<Action>) {
        let claim = claims(self.before_due(ms(99))).remove(0);
        self.boot = self.boot + ms(5);
        let actions = self.answer(&claim, won());
        (claim, actions)
    }

    fn never_began(&mut self, claim: &Claim, outcome: Outcome) -> Vec<Action> {
        let report = Report {
            outcome,
            began: false,
            exit_code: None,
            signal: None,
            error: None,
            started: self.boot,
            finished: self.boot,
            tail: String::new(),
            pid: None,
        };
        self.tell(Event::RunEnded { token: claim.token, report })
    }

    fn meet(&mut self, others: &[&str]) {
        let table = self.engine.table.digest().to_string();
        let beat = |name: &&str| Heartbeat {
            node: name.parse().unwrap(),
            boot: BootId::random(),
            started_at: self.now().cluster(),
            version: String::new(),
            table: table.clone(),
            draining: false,
            running: None,
            skew_ms: None,
            keep: seconds(15),
            heard_at: self.now().cluster(),
        };
        let nodes = others.iter().map(beat).collect();
        self.tell(Event::NodesRead(Ok(nodes)));
    }
}

fn start_of(actions: &[Action]) -> &Start {
    let start = actions.iter().find_map(|action| match action {
        Action::Start(start) => Some(start),
        _ => None,
    });
    start.unwrap_or_else(|| panic!("no start in {actions:?}"))
}

fn begins(actions: &[Action]) -> Vec<BootInstant> {
    let begins = actions.iter().filter_map(|action| match action {
        Action::Begin(_, at) => Some(*at),
        _ => None,
    });
    begins.collect()
}

fn withdrawn(actions: &[Action]) -> usize {
    actions.iter().filter(|action| matches!(action, Action::Stop(_, Stop::Withdraw))).count()
}

fn with_control(version: u64) -> Event {
    answered(Ok(Sweep { open: vec![], next: None, cancels: vec![], control: version }))
}

fn paused(world: &World, version: u64) -> Event {
    let pauses = Pauses::default().paused(world.now().cluster()).unwrap();
    let pauses = BTreeMap::from([("a".parse().unwrap(), pauses)]);
    Event::ControlRead(Ok(Control { version, pauses, ..Control::default() }))
}

#[test]
fn a_slot_is_claimed_ahead_and_its_run_begins_at_its_instant() {
    let mut world = World::open(every_second());
    assert!(claims(world.before_due(ms(130))).is_empty());
    let (claim, actions) = world.waiting();
    assert_eq!(claim.slot.at.unix_seconds(), DUE);
    assert_eq!(start_of(&actions).not_before, due(&world));
    // What is due already begins at once.
    world.wait(ms(950));
    let late = claims(world.wait(ms(150))).remove(0);
    let actions = world.answer(&late, won());
    assert!(start_of(&actions).not_before <= world.boot);
}

#[test]
fn what_ends_before_its_instant_is_not_recorded_as_begun_before_it() {
    let mut world = World::open(every_second());
    let (claim, _) = world.waiting();
    let completion = completions(world.never_began(&claim, Outcome::Failed)).remove(0);
    let instant = claim.slot.at.cluster_time();
    assert_eq!((completion.started_at, completion.finished_at), (instant, instant));
}

#[test]
fn where_clocks_may_hardly_differ_nothing_is_claimed_ahead() {
    let mut world = World::open(every_second());
    world.engine.settings.max_clock_skew = Duration::ZERO;
    assert!(claims(world.before_due(ms(1))).is_empty());
    assert_eq!(claims(world.before_due(ms(0))).len(), 1);
}

#[test]
fn a_clock_that_is_put_right_meanwhile_moves_the_begin() {
    let mut world = World::open(every_second());
    world.waiting();
    for step in [-4_000, 7_000, -3_600_000_000, 3_600_000_000] {
        world.offset = Offset::from_micros(world.offset.micros() + step);
        assert_eq!(begins(&world.wait(ms(1))), [due(&world)]);
        assert!(begins(&world.wait(ms(1))).is_empty(), "once is enough");
    }
    // It has begun.
    world.wait(ms(150));
    world.offset = Offset::from_micros(world.offset.micros() + 1_000);
    assert!(begins(&world.wait(ms(1))).is_empty());
}

#[test]
fn the_store_is_asked_for_news_once_more_just_before_the_instant() {
    let mut world = World::open(every_second());
    world.tell(Event::Beat);
    world.tell(with_control(0));
    let (_, actions) = world.waiting();
    assert!(!actions.iter().any(|action| matches!(action, Action::Sweep)));
    let wake = world.engine.next_wake(world.now()).unwrap();
    assert!(wake < due(&world) && wake > due(&world).minus(ms(50)), "{:?}", wake);
    world.boot = wake;
    let actions = world.wait(Duration::ZERO);
    assert!(actions.iter().any(|action| matches!(action, Action::Sweep)), "{actions:?}");
}

#[test]
fn a_pause_in_the_meantime_makes_it_a_slot_that_was_missed_for_it() {
    let mut world = World::open(every_second());
    let known = Event::ControlRead(Ok(Control::default()));
    world.tell(known);
    let (claim, _) = world.waiting();
    let actions = world.tell(with_control(1));
    assert!(actions.iter().any(|action| matches!(action, Action::ReadControl)));
    assert!(begins(&actions)[0] > due(&world) + seconds(3600), "nothing begins until it is known");
    let event = paused(&world, 1);
    assert_eq!(withdrawn(&world.tell(event)), 1);
    let forfeits = forfeits(world.never_began(&claim, Outcome::HandedOver));
    assert_eq!((forfeits[0].token, forfeits[0].reason), (claim.token, MissedReason::Paused));
    assert!(world.engine.running.is_empty() && world.engine.book.is_empty());
}

#[test]
fn news_that_do_not_concern_it_let_it_begin_and_so_does_a_store_that_tells_none() {
    for answer in [Ok(Control { version: 1, ..Control::default() }), Err(unavailable())] {
        let mut world = World::open(every_second());
        world.tell(Event::ControlRead(Ok(Control::default())));
        world.waiting();
        assert_eq!(begins(&world.tell(with_control(1))).len(), 1);
        let actions = world.tell(Event::ControlRead(answer));
        assert_eq!((begins(&actions), withdrawn(&actions)), (vec![due(&world)], 0));
    }
}

#[test]
fn what_is_won_while_news_are_read_waits_for_them() {
    let mut world = World::open(every_second());
    world.tell(Event::ControlRead(Ok(Control::default())));
    world.tell(with_control(1));
    let (_, actions) = world.waiting();
    assert!(start_of(&actions).not_before > due(&world));
    let actions = world.tell(Event::ControlRead(Ok(Control::default())));
    assert_eq!(begins(&actions), [due(&world)]);
}

#[test]
fn a_drain_in_the_meantime_hands_the_slot_over_for_its_instant() {
    let mut world = World::open(every_second());
    let (claim, _) = world.waiting();
    assert_eq!(withdrawn(&world.tell(Event::Drain("SIGTERM"))), 1);
    let completions = completions(world.never_began(&claim, Outcome::HandedOver));
    assert_eq!(completions[0].then, Then::HandOver(Some(claim.due)));
    let answer = Ok(vec![Ownership::Ours]);
    let actions = world.tell(Event::CompletionsAnswered { completions, answer });
    assert!(matches!(actions[..], [Action::Finish { killed: 0, settled: true }]), "{actions:?}");
}

#[test]
fn so_is_a_slot_that_is_won_ahead_while_the_node_drains() {
    let mut world = World::open(every_second());
    let claim = claims(world.before_due(ms(99))).remove(0);
    world.tell(Event::Drain("SIGTERM"));
    let completions = completions(world.answer(&claim, won()));
    assert_eq!(completions[0].then, Then::HandOver(Some(claim.due)));
}

#[test]
fn a_run_that_had_begun_when_it_was_withdrawn_goes_on() {
    let mut world = World::open(every_second());
    let (claim, _) = world.waiting();
    world.tell(Event::Drain("SIGTERM"));
    let ends = completions(world.end(&claim, Outcome::Succeeded));
    assert_eq!((ends[0].then, ends[0].outcome), (Then::Settle, Outcome::Succeeded));
}

#[test]
fn a_cancel_in_the_meantime_ends_the_slot_without_a_run() {
    let mut world = World::open(every_second());
    let (claim, _) = world.waiting();
    let cancel = Cancel { slot: claim.slot.clone(), token: claim.token, cause: CancelCause::Asked };
    let sweep = Sweep { open: vec![], next: None, cancels: vec![cancel], control: 0 };
    let actions = world.tell(answered(Ok(sweep)));
    assert!(actions.iter().any(|action| matches!(action, Action::Stop(_, Stop::Cancel))));
    // A drain that comes as well changes nothing about it.
    world.tell(Event::Drain("SIGTERM"));
    let ends = completions(world.never_began(&claim, Outcome::HandedOver));
    assert_eq!((ends[0].outcome, ends[0].then), (Outcome::Cancelled, Then::Settle));
}

/// Loads `jobs` while a slot waits.
fn reloaded(jobs: &str) -> (World, Claim, Vec<Action>) {
    let mut world = World::open(every_second());
    let (claim, _) = world.waiting();
    let settings = world.engine.settings;
    let actions = world.tell(Event::Reloaded(table(jobs), settings));
    (world, claim, actions)
}

#[test]
fn a_table_with_the_same_job_changes_nothing_and_another_command_is_what_begins() {
    let same = "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"true\"\nlease_ttl = \"8s\"\n";
    let (_, _, actions) = reloaded(same);
    assert_eq!(withdrawn(&actions), 0);

    let (mut world, claim, actions) = reloaded(&same.replace("true", "other"));
    assert_eq!(withdrawn(&actions), 1);
    let actions = world.never_began(&claim, Outcome::HandedOver);
    let start = start_of(&actions);
    assert_eq!((start.token, start.attempt, start.not_before), (claim.token, 1, due(&world)));
    assert!(Arc::ptr_eq(&start.job, &world.engine.table[0]), "as the table has it now");
}

#[test]
fn a_table_without_the_slot_ends_it_and_one_for_other_nodes_gives_it_to_them() {
    let job = |schedule: &str, keys: &str| {
        format!(
            "[jobs.a]\nschedule = \"{schedule}\"\nshell = \"true\"\nlease_ttl = \"8s\"\n{keys}\n"
        )
    };
    let handed = Then::HandOver(Some(SlotTime::from_unix_seconds(DUE).cluster_time()));
    for (jobs, outcome, then) in [
        (String::new(), Outcome::Cancelled, Then::Settle),
        (job("* * * * * *", "enabled = false"), Outcome::Cancelled, Then::Settle),
        (job("@hourly", ""), Outcome::Cancelled, Then::Settle),
        (job("* * * * * *", "nodes = [\"db-?\"]"), Outcome::HandedOver, handed),
    ] {
        let (mut world, claim, actions) = reloaded(&jobs);
        assert_eq!(withdrawn(&actions), 1, "{jobs}");
        let ends = completions(world.never_began(&claim, Outcome::HandedOver));
        assert_eq!((ends[0].outcome, ends[0].then), (outcome, then), "{jobs}");
    }
}

#[test]
fn a_win_that_comes_after_the_table_has_changed_is_held_against_it() {
    let mut world = World::open(every_second());
    let claim = claims(world.before_due(ms(99))).remove(0);
    let settings = world.engine.settings;
    world.tell(Event::Reloaded(table(""), settings));
    let actions = world.answer(&claim, won());
    assert_eq!(starts(&actions), 0);
    assert_eq!(completions(actions)[0].outcome, Outcome::Cancelled);
}

#[test]
fn what_was_to_be_claimed_ahead_comes_under_the_new_table() {
    let mut world = World::open(every_second());
    // One that is early for now lies on the desk until it is due.
    let claim = claims(world.before_due(ms(99))).remove(0);
    assert!(claims(world.answer(&claim, Verdict::Refused(Refusal::Early))).is_empty());
    let settings = world.engine.settings;
    let other = "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"other\"\nlease_ttl = \"8s\"\n";
    let new = table(other);
    let again = claims(world.tell(Event::Reloaded(Arc::clone(&new), settings)));
    assert_eq!(again[0].slot, claim.slot);
    let actions = world.answer(&again[0], won());
    assert!(Arc::ptr_eq(&start_of(&actions).job, &new[0]));

    let mut world = World::open(every_second());
    let claim = claims(world.before_due(ms(99))).remove(0);
    world.tell(Event::Reloaded(table(""), settings));
    world.answer(&claim, Verdict::Refused(Refusal::Early));
    assert!(claims(world.wait(seconds(1))).is_empty(), "it was refused after the reload");
}

#[test]
fn what_is_early_is_claimed_again_at_its_instant_and_not_a_moment_later() {
    let mut world = World::open(every_second());
    let claim = claims(world.before_due(ms(99))).remove(0);
    world.boot = due(&world).minus(ms(1));
    assert!(claims(world.answer(&claim, Verdict::Refused(Refusal::Early))).is_empty());
    assert_eq!(world.engine.next_wake(world.now()), Some(due(&world)));
    assert_eq!(claims(world.wait(ms(1))), [claim]);
}

#[test]
fn three_nodes_take_turns_ahead_of_the_slot_and_the_rest_look_back_within_its_window() {
    let mut world = World::open(every_second());
    let others: Vec<_> = (2..=10).map(|n| format!("web-{n}")).collect();
    let mut seen = BTreeMap::new();
    for (count, most) in [(2, 3), (9, 4)] {
        world.meet(&others[..count].iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..2 {
            world.tell(with_control(0));
        }
        for _ in 0..300 {
            let wake = world.engine.next_wake(world.now()).unwrap();
            world.boot = wake.max(world.boot + Duration::from_micros(10));
            for claim in claims(world.wait(Duration::ZERO)) {
                let at = world.now().cluster().unix_micros() - claim.due.unix_micros();
                assert!(at <= 500_000, "{at} µs after it was due");
                let turn = if at > 0 { i64::MAX } else { at };
                *seen.entry((count, turn)).or_insert(0) += 1;
                world.answer(&claim, held());
            }
            world.tell(Event::Beat);
            world.tell(with_control(0));
        }
        assert_eq!(seen.keys().filter(|(of, _)| *of == count).count(), most, "{seen:?}");
    }
    let behind = seen[&(9, i64::MAX)];
    let ahead: i32 = seen.iter().filter(|((of, at), _)| *of == 9 && *at < 0).map(|(_, n)| n).sum();
    assert!(behind > ahead, "of ten nodes seven look back: {seen:?}");
}

#[test]
fn whoever_comes_after_others_looks_first_the_first_time_unless_it_is_in_a_hurry() {
    for (round_trip, ahead_too) in [(ms(1), true), (ms(60), false)] {
        let mut world = World::open(every_second());
        let claim = claims(world.before_due(Duration::ZERO)).remove(0);
        assert!(!claim.looks_first, "alone it is the first");
        world.answer(&claim, held());
        let others: Vec<_> = (2..=10).map(|n| format!("web-{n}")).collect();
        world.meet(&others.iter().map(String::as_str).collect::<Vec<_>>());
        let mut seen = BTreeMap::new();
        for _ in 0..20_000 {
            (0..8).for_each(|_| world.engine.distance.note(round_trip));
            for claim in claims(world.wait(ms(5))) {
                let at = world.now().cluster().unix_micros() - claim.due.unix_micros();
                // In steps, of which the first is the earliest.
                let turn = if at > 0 { i64::MAX } else { at.div_euclid(15_000) };
                *seen.entry((turn, claim.looks_first)).or_insert(0) += 1;
                if claim.looks_first {
                    world.lose_answer(&claim, unavailable());
                    let again = claims(world.wait(ms(50)));
                    let again = again.iter().find(|again| again.slot == claim.slot).unwrap();
                    assert!(!again.looks_first, "there is no time for it any more");
                }
                world.answer(&claim, held());
            }
        }
        let first = *seen.keys().next().unwrap();
        assert!(!first.1 && !seen.contains_key(&(first.0, true)), "{seen:?}");
        let others = seen.keys().filter(|(turn, _)| *turn != first.0 && *turn != i64::MAX);
        let mut others = others.map(|(_, looks)| *looks).peekable();
        assert!(others.peek().is_some() && others.all(|looks| looks == ahead_too), "{seen:?}");
        assert!(seen.contains_key(&(i64::MAX, true)) && !seen.contains_key(&(i64::MAX, false)));
    }
}

#[test]
fn no_cursor_moves_over_a_slot_that_is_only_looked_back_at() {
    let jobs = "[jobs.a]\nschedule = \"* * * * * *\"\nshell = \"x\"\nstart_within = \"30s\"\n";
    let mut world = World::open(table(jobs));
    // One that looks back more than a second after a slot.
    let late = |peers: &Peers| peers.phase(seconds(1)) < ms(200);
    let alone = |n: i32| Peers::alone(format!("node-{n}").parse().unwrap());
    world.engine.peers = (0..).map(alone).find(late).unwrap();
    let others: Vec<_> = (2..=9).map(|n| format!("web-{n}")).collect();
    world.meet(&others.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut open, mut kept) = (BTreeMap::new(), 0);
    for _ in 0..500 {
        let claimed = claims(world.wait(ms(20)));
        for claim in &claimed {
            let at = claim.slot.at.unix_seconds();
            let earlier = open.range(..at).next();
            assert_eq!(claim.advance, earlier.is_none(), "{at} is claimed before {earlier:?}");
            kept += usize::from(earlier.is_some());
        }
        for claim in claimed {
            world.answer(&claim, held());
        }
        let last = world.now().cluster().unix_micros().div_euclid(1_000_000);
        let pending = &world.engine.desk;
        open = (START..=last + 1)
            .filter(|&at| {
                let at = SlotTime::from_unix_seconds(at);
                pending.job(&Slot::scheduled("a".parse().unwrap(), at)).is_some()
            })
            .map(|at| (at, ()))
            .collect();
    }
    assert!(kept > 0, "some slots are claimed before an earlier one");
}

#[test]
fn who_is_there_is_not_known_while_the_store_is_away() {
    let mut world = World::open(every_second());
    world.meet(&["web-2", "web-3", "web-4", "web-5", "web-6"]);
    world.tell(Event::StoreHealth(Health::Down("gone".to_owned())));
    assert_eq!(world.engine.peers.count(), 1);
}
