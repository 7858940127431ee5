//! Which slots a node takes: `max_running`, `nodes`, `jitter`.

use super::*;
use crate::store::Then;

fn three_jobs(keys: &str) -> Arc<JobTable> {
    let job = |name: &str| {
        format!(
            "[jobs.{name}]\nschedule = \"0 * * * * *\"\nshell = \"x\"\nlease_ttl = \"1h\"\n\
             start_within = \"30s\"\n{keys}\n"
        )
    };
    table(&["a", "b", "c"].map(job).concat())
}

fn limited(most: u32, table: Arc<JobTable>) -> World {
    let mut world = World::open(table);
    world.engine.settings.max_running = Some(most);
    world
}

#[test]
fn a_node_at_its_limit_does_not_claim_until_a_run_has_ended() {
    let mut world = limited(2, three_jobs(""));
    let first = claims(world.wait(seconds(60)));
    assert_eq!(first.len(), 2, "as many as there is room for");
    assert_eq!(world.engine.next_wake(world.now()).map(|at| at > world.boot), Some(true));
    world.answer(&first[0], won());
    // One of them was lost to another node: there is room again.
    let third = claims(world.answer(&first[1], held()));
    assert_eq!(third.len(), 1);
    world.answer(&third[0], won());
    assert!(claims(world.wait(seconds(1))).is_empty());
    let ends = completions(world.end(&first[0], Outcome::Succeeded));
    assert_eq!(ends[0].then, Then::Settle);
}

#[test]
fn a_slot_that_found_no_room_all_through_its_window_says_so() {
    let mut world = limited(1, three_jobs(""));
    let first = claims(world.wait(seconds(60)));
    world.answer(&first[0], won());
    assert!(claims(world.wait(Duration::from_millis(30_500))).is_empty());
    assert!(world.engine.desk.is_empty(), "the others are given up");
    world.tell(answered(Ok(Sweep { open: vec![], next: None, cancels: vec![], control: 0 })));
    let Some(Action::SettleGaps(gaps, memory)) =
        world.tell(Event::Beat).into_iter().find(|action| matches!(action, Action::SettleGaps(..)))
    else {
        panic!("whether another node ran them is looked at")
    };
    let jobs: Vec<_> = gaps.iter().map(|gap| gap.job.name.as_str()).collect();
    assert_eq!(jobs, ["b", "c"]);
    let due = SlotTime::from_unix_seconds(START + 60).cluster_time();
    assert_eq!(memory.reason(due, seconds(30), world.offset), MissedReason::Full);
}

#[test]
fn a_job_of_other_nodes_is_not_claimed_but_looked_after() {
    let mut world = World::open(three_jobs("nodes = [\"db-?\"]"));
    assert!(claims(world.wait(seconds(60))).is_empty());
    let Some(Action::SettleGaps(gaps, _)) =
        world.tell(Event::Beat).into_iter().find(|action| matches!(action, Action::SettleGaps(..)))
    else {
        panic!("nobody else may be there to say that its slots are missed")
    };
    assert_eq!(gaps.len(), 3);
    // What a node that may run it will catch up is left to that.
    let mut world = World::open(three_jobs("nodes = [\"db-?\"]\ncatch_up = \"all\""));
    assert!(!settles(&world.tell(Event::Beat)));
}

#[test]
fn a_jitter_moves_the_claim_and_its_window_and_not_the_slot() {
    let mut world = World::open(three_jobs("jitter = \"50s\""));
    let mut claimed = Vec::new();
    for _ in 0..60 {
        claimed.extend(claims(world.wait(seconds(1))));
    }
    for _ in 0..50_000 {
        if claimed.len() >= 3 {
            break;
        }
        claimed.extend(claims(world.wait(Duration::from_millis(1))));
    }
    assert_eq!(claimed.len(), 3);
    for claim in claimed {
        let job = world.engine.table.get(&claim.slot.job).unwrap();
        assert_eq!(claim.slot.at.unix_seconds(), START + 60);
        assert_eq!(claim.due, job.due(claim.slot.at));
        assert_eq!(claim.start_by, claim.due + seconds(30));
        assert!(claim.due >= claim.slot.at.cluster_time());
    }
}

#[test]
fn a_run_that_is_tried_again_keeps_its_room() {
    let mut world = limited(1, three_jobs("retry = { attempts = 2, min = \"5s\" }"));
    let first = claims(world.wait(seconds(60)));
    world.answer(&first[0], won());
    let actions = world.end(&first[0], Outcome::Failed);
    let ends = completions(actions);
    assert_eq!(ends[0].then, Then::Retry);
    assert_eq!(world.engine.room(), 0, "its next run comes");
    let answer = Ok(vec![Ownership::Ours]);
    let actions = world.tell(Event::CompletionsAnswered { completions: ends, answer });
    assert!(claims(actions).is_empty());
}
