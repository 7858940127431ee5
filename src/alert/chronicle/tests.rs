use super::*;
use crate::claim::{Fence, Token};
use crate::ledger::MissedRange;
use crate::name::NodeName;
use crate::slot::SlotTime;
use crate::table::tests::job as job_with;

const HOUR: i64 = 3600;

fn at(seconds: i64) -> ClusterTime {
    ClusterTime::from_unix_micros(seconds * 1_000_000)
}

/// The run of the slot at `slot`, ended a second later.
fn run(slot: i64, outcome: Outcome) -> Entry {
    let slot_at = SlotTime::from_unix_seconds(slot);
    let name = crate::name::JobName::new("a").unwrap();
    Entry::Run(RunEntry {
        slot: Slot::scheduled(name, slot_at),
        node: NodeName::new("web-1").unwrap(),
        run_id: Token::new().run_id(1),
        attempt: 1,
        fence: Fence::new(1),
        outcome,
        started_at: at(slot),
        finished_at: at(slot + 1),
        exit_code: None,
        signal: None,
        error: None,
        recorded_at: at(slot + 1),
    })
}

fn missed(slot: i64, reason: MissedReason) -> Entry {
    let slot_at = SlotTime::from_unix_seconds(slot);
    Entry::Missed(MissedEntry {
        job: crate::name::JobName::new("a").unwrap(),
        range: MissedRange { from: slot_at, to: slot_at, count: 1, reason },
        node: NodeName::new("web-1").unwrap(),
        recorded_at: at(slot + 1),
    })
}

fn besides(now: i64, pauses: &Pauses) -> Besides<'_> {
    Besides { now: at(now), known_since: Some(at(0)), pauses }
}

/// What is found when each of `entries` is looked at as it comes.
fn found(job: &Job, entries: &[Entry]) -> Vec<(AlertKind, i64)> {
    let (mut chronicle, pauses) = (Chronicle::default(), Pauses::default());
    let mut findings = Vec::new();
    for entry in entries {
        let now = entry.recorded_at().unix_millis() / 1000;
        let look = besides(now, &pauses);
        findings.extend(chronicle.take(job, vec![entry.clone()], false, &look));
        // The same once more is no news.
        assert_eq!(chronicle.take(job, vec![entry.clone()], false, &look), []);
    }
    findings.iter().map(|finding| (finding.kind, finding.at.unix_millis() / 1000 - 1)).collect()
}

fn job(keys: &str) -> std::sync::Arc<Job> {
    job_with(&format!("schedule = '@daily'\n{keys}"))
}

#[test]
fn of_failures_in_a_row_the_first_is_news_and_the_first_success_after_them() {
    use Outcome::{Cancelled, Failed, HandedOver, Succeeded, TimedOut};
    let outcomes =
        [Succeeded, Failed, TimedOut, Cancelled, HandedOver, Failed, Succeeded, Succeeded, Failed];
    let entries: Vec<_> =
        outcomes.iter().zip(1..).map(|(&outcome, slot)| run(slot * 60, outcome)).collect();
    let expected =
        [(AlertKind::Failure, 120), (AlertKind::Recovery, 420), (AlertKind::Failure, 540)];
    assert_eq!(found(&job(""), &entries), expected);
}

#[test]
fn a_job_that_fails_each_night_is_told_each_night_and_one_that_fails_each_minute_not() {
    let nights: Vec<_> = (0..5).map(|day| run(day * 24 * HOUR, Outcome::Failed)).collect();
    assert_eq!(found(&job(""), &nights).len(), 5);
    let minutes: Vec<_> = (0..30 * 60).map(|minute| run(minute * 60, Outcome::Failed)).collect();
    let told: Vec<_> = found(&job(""), &minutes).into_iter().map(|(_, at)| at / HOUR).collect();
    assert_eq!(told, [0, 20]);
}

#[test]
fn what_is_tried_again_has_not_failed_yet() {
    let job = job("retry = { attempts = 3 }");
    use Outcome::{Failed, HandedOver, LeaseLost, Succeeded};
    let slot = |at: i64, outcomes: &[Outcome]| -> Vec<Entry> {
        outcomes.iter().map(|&outcome| run(at, outcome)).collect()
    };
    assert_eq!(found(&job, &slot(60, &[Failed, Failed, Succeeded])), []);
    let third = [Failed, HandedOver, Failed, LeaseLost, Failed];
    let expected = [(AlertKind::Takeover, 60), (AlertKind::Failure, 60)];
    assert_eq!(found(&job, &slot(60, &third)), expected);
    let two = [slot(60, &[Failed, Failed]), slot(120, &[Failed, Failed])].concat();
    assert_eq!(found(&job, &two), [], "each slot has tries of its own");
    assert_eq!(found(&job, &slot(60, &[Failed, Outcome::Abandoned])), [(AlertKind::Failure, 60)]);
}

#[test]
fn missed_slots_are_news_until_something_runs_and_paused_ones_never() {
    use MissedReason::{NoNode, Overlap, Paused};
    let entries = [
        missed(60, Paused),
        missed(120, NoNode),
        missed(180, Overlap),
        run(240, Outcome::Succeeded),
        missed(300, Overlap),
    ];
    let expected = [(AlertKind::Missed, 120), (AlertKind::Missed, 300)];
    assert_eq!(found(&job(""), &entries), expected);
}

#[test]
fn nodes_that_look_at_other_times_find_the_same_under_the_same_keys() {
    use Outcome::{Failed, LeaseLost, Succeeded};
    let outcomes = [Succeeded, Failed, Failed, LeaseLost, Succeeded, Failed];
    let entries: Vec<_> =
        outcomes.iter().zip(1..).map(|(&outcome, slot)| run(slot * 60, outcome)).collect();
    let (pauses, job) = (Pauses::default(), job(""));
    let look = besides(400, &pauses);
    let at_once = Chronicle::default().take(&job, entries.clone(), false, &look);
    assert_eq!(at_once.len(), 4);
    for cut in 1..entries.len() {
        let mut chronicle = Chronicle::default();
        let mut findings = chronicle.take(&job, entries[..cut].to_vec(), false, &look);
        // It looks a little further back than it came.
        findings.extend(chronicle.take(&job, entries[cut - 1..].to_vec(), false, &look));
        assert_eq!(findings, at_once, "cut at {cut}");
    }
}

#[test]
fn what_is_old_and_a_row_whose_begin_is_forgotten_are_no_news() {
    let (pauses, job) = (Pauses::default(), job(""));
    let entries = vec![run(60, Outcome::Failed), run(120, Outcome::Failed)];
    let late = Chronicle::default().take(&job, entries.clone(), false, &besides(2 * HOUR, &pauses));
    assert_eq!(late, []);
    let mut chronicle = Chronicle::default();
    assert_eq!(chronicle.take(&job, entries, true, &besides(130, &pauses)), []);
    let recovered = chronicle.take(
        &job,
        vec![run(180, Outcome::Succeeded), run(240, Outcome::Failed)],
        false,
        &besides(250, &pauses),
    );
    let kinds: Vec<_> = recovered.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [AlertKind::Recovery, AlertKind::Failure]);
}

#[test]
fn a_job_is_overdue_from_its_last_success_or_since_it_is_known() {
    let job = job("expect_every = '1h'\non_failure = []");
    let pauses = Pauses::default();
    let mut chronicle = Chronicle::default();
    let overdue = |chronicle: &Chronicle, now, pauses: &Pauses| {
        chronicle.overdue(&job, &besides(now, pauses)).map(|finding| finding.key)
    };
    chronicle.take(&job, Vec::new(), false, &besides(1, &pauses));
    assert_eq!(overdue(&chronicle, HOUR, &pauses), None);
    assert!(overdue(&chronicle, HOUR + 1, &pauses).is_some());
    assert_eq!(
        chronicle.due_at(&job, &besides(10, &pauses)),
        Some(at(HOUR) + Duration::from_millis(1))
    );
    let again = |n| overdue(&chronicle, n, &pauses);
    assert_eq!(again(HOUR + 1), again(20 * HOUR), "it is the same alert");
    assert_ne!(again(HOUR + 1), again(21 * HOUR + 1));

    let late = chronicle.take(
        &job,
        vec![run(2 * HOUR, Outcome::Succeeded)],
        false,
        &besides(2 * HOUR + 2, &pauses),
    );
    assert_eq!(late[0].kind, AlertKind::Recovery);
    assert_eq!(overdue(&chronicle, 3 * HOUR + 1, &pauses), None);
    assert!(overdue(&chronicle, 3 * HOUR + 2, &pauses).is_some());

    let paused = Pauses::default().paused(at(2 * HOUR + 60)).unwrap();
    assert_eq!(overdue(&chronicle, 9 * HOUR, &paused), None);
    let resumed = paused.resumed(at(8 * HOUR)).unwrap();
    assert_eq!(overdue(&chronicle, 9 * HOUR, &resumed), None, "it counts from there");
    assert!(overdue(&chronicle, 9 * HOUR + 1, &resumed).is_some());
}
