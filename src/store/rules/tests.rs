use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::claim::RunId;
use crate::ledger::Retention;
use crate::name::JobName;
use crate::outcome::MissedReason;
use crate::slot::Slot;
use crate::store::CursorKey;
use crate::table::ScheduleDigest;

const KEEP: Duration = Duration::from_secs(3600);
const TTL: Duration = Duration::from_millis(100);
const DIGEST: ScheduleDigest = ScheduleDigest::from_bits(7);
const RETENTION: Retention = Retention { keep: KEEP, per_job: 100 };
/// When the slot of these tests is due.
const DUE: i64 = 1_795_316_400;

fn at(millis_after_due: i64) -> ClusterTime {
    ClusterTime::from_unix_millis(DUE * 1000 + millis_after_due)
}

fn slot() -> Slot {
    Slot { job: JobName::new("backup").unwrap(), at: SlotTime::from_unix_seconds(DUE) }
}

fn who(name: &str) -> Claimant {
    Claimant {
        node: NodeName::new(name).unwrap(),
        boot: BootId::random(),
        max_early: Duration::from_secs(5),
    }
}

fn claim_with(token: Token) -> Claim {
    Claim {
        slot: slot(),
        token,
        ttl: TTL,
        start_by: at(60_000),
        keep_record: KEEP,
        digest: DIGEST,
        advance: true,
    }
}

fn completion_of(token: Token, outcome: Outcome) -> Completion {
    Completion {
        slot: slot(),
        token,
        run_id: token.run_id(),
        attempt: 1,
        fence: Fence::new(1),
        outcome,
        started_at: at(0),
        finished_at: at(1),
        exit_code: None,
        signal: None,
        error: None,
        tail: String::new(),
        keep_record: KEEP,
        retention: RETENTION,
    }
}

fn first(now: ClusterTime, claim: &Claim) -> ClaimStep {
    super::claim(now, &who("web-1"), claim, None, None, Fence::new(0))
}

#[test]
fn the_windows_of_a_first_claim_are_closed_intervals() {
    let claim = claim_with(Token::new());
    let verdict = |now| first(now, &claim).verdict;
    assert_eq!(verdict(at(-5001)), Verdict::Refused(Refusal::Early));
    assert!(matches!(verdict(at(-5000)), Verdict::Won(_)));
    assert!(matches!(verdict(at(60_000)), Verdict::Won(_)));
    assert_eq!(verdict(at(60_001)), Verdict::Refused(Refusal::Late));
}

#[test]
fn the_cursor_refuses_what_it_has_passed_and_a_win_moves_it_forward_only() {
    let claim = claim_with(Token::new());
    for (cursor, won) in [(None, true), (Some(-1), true), (Some(0), false), (Some(1), false)] {
        let cursor = cursor.map(|s| SlotTime::from_unix_seconds(DUE + s));
        let step = super::claim(at(0), &who("web-1"), &claim, None, cursor, Fence::new(0));
        if won {
            assert!(matches!(step.verdict, Verdict::Won(_)), "{cursor:?}");
            assert_eq!(step.cursor, cursor.map(|_| claim.slot.at), "a missing one is not made");
        } else {
            assert_eq!(step.verdict, Verdict::Refused(Refusal::Past), "{cursor:?}");
            assert_eq!(step.cursor, None);
        }
    }
}

#[test]
fn a_fence_is_the_time_in_microseconds_and_more_than_the_last() {
    let now = at(0);
    let time = now.unix_micros() as u64;
    assert_eq!(fence(now, Fence::new(0)).get(), time);
    assert_eq!(fence(now, Fence::new(time)).get(), time + 1);
    assert_eq!(fence(now, Fence::new(time + 50)).get(), time + 51);
    assert_eq!(fence(ClusterTime::from_unix_micros(-5), Fence::new(3)).get(), 4);
}

#[test]
fn a_token_that_handed_over_never_wins_again_also_after_later_hand_overs() {
    let tokens = [Token::new(), Token::new(), Token::new()];
    let mut record: Option<Record> = None;
    for token in tokens {
        let won = super::claim(
            at(0),
            &who("n"),
            &claim_with(token),
            record.as_ref(),
            None,
            Fence::new(0),
        );
        let held = won.record.expect("it wins");
        let end = completion_of(token, Outcome::HandedOver);
        let (handed, _) =
            complete(at(1), &who("n").node, &end, Some(&held)).write.expect("it hands over");
        record = Some(handed);
    }
    for token in tokens {
        let again = claim_with(token);
        let late = super::claim(at(2), &who("n"), &again, record.as_ref(), None, Fence::new(0));
        assert_eq!(late.verdict, Verdict::Refused(Refusal::HandedOver));
        let copy = completion_of(token, Outcome::HandedOver);
        let copied = complete(at(2), &who("n").node, &copy, record.as_ref());
        assert_eq!(copied, CompleteStep { answer: Ownership::Ours, write: None });
    }
}

#[test]
fn what_is_kept_of_hand_overs_is_capped() {
    let mut record: Option<Record> = None;
    for _ in 0..HAND_OVERS_KEPT + 5 {
        let claim = claim_with(Token::new());
        let won = super::claim(at(0), &who("n"), &claim, record.as_ref(), None, Fence::new(0));
        record = won.record.map(|held| held.handed_over(at(0)));
    }
    let record = record.expect("the last one");
    assert_eq!(record.handed_over_by.len(), HAND_OVERS_KEPT);
    assert_eq!(record.handed_over_by.last(), Some(&record.token));
    assert_eq!(record.attempt as usize, HAND_OVERS_KEPT + 5);
}

#[test]
fn a_lost_run_is_told_in_words() {
    let claim = claim_with(Token::new());
    let held = first(at(0), &claim).record.expect("won");
    let lost =
        Abandonment { slot: slot(), token: claim.token, keep_record: KEEP, retention: RETENTION };
    assert_eq!(abandon(at(99), &who("web-2").node, &lost, Some(&held)), None, "it still lives");
    let (record, entry) =
        abandon(at(100), &who("web-2").node, &lost, Some(&held)).expect("it has lapsed");
    assert_eq!(record.state, RecordState::Settled(Outcome::Abandoned));
    assert_eq!(
        entry.error.as_deref(),
        Some(
            "node web-1 was lost: it had not renewed its lease when that lapsed at \
             2026-11-22T03:00:00.100Z; settled by node web-2"
        )
    );
    assert_eq!((entry.started_at, entry.finished_at), (at(0), at(100)));
    assert_eq!(entry.run_id, claim.token.run_id());
}

#[test]
fn slots_are_missed_only_after_their_window_and_by_who_knows_the_cursor() {
    let second = |s| SlotTime::from_unix_seconds(DUE + s);
    let report = MissedReport {
        cursor: CursorKey { job: slot().job, digest: DIGEST },
        expected: second(-60),
        upto: second(0),
        closes_at: at(1000),
        ranges: vec![MissedRange {
            from: second(-59),
            to: second(0),
            count: 60,
            reason: MissedReason::NoNode,
        }],
        retention: RETENTION,
    };
    let by = who("web-2").node;
    let decide = |now, cursor| record_missed(now, &by, &report, cursor);
    assert_eq!(decide(at(1000), Some(second(-60))), None, "a claim may still win");
    assert_eq!(decide(at(1001), Some(second(-61))), None);
    assert_eq!(decide(at(1001), Some(second(0))), None);
    assert_eq!(decide(at(1001), None), None);
    assert_eq!(decide(at(1001), Some(second(-60))).map(|entries| entries.len()), Some(1));

    let back = MissedReport { upto: second(-60), ..report.clone() };
    assert_eq!(record_missed(at(1001), &by, &back, Some(second(-60))), None, "no step, no entry");
}

/// What a node may ask for in the model: tokens and times are few, so that
/// histories collide.
#[derive(Debug, Clone)]
enum Ask {
    Claim(usize),
    Renew(usize),
    Complete(usize, Outcome),
    Abandon(usize),
    Forfeit(usize),
    Wait(i64),
}

fn asks() -> impl Strategy<Value = Ask> {
    let token = 0..4_usize;
    let outcome = prop::sample::select(vec![
        Outcome::Succeeded,
        Outcome::Failed,
        Outcome::HandedOver,
        Outcome::HandedOver,
    ]);
    prop_oneof![
        4 => token.clone().prop_map(Ask::Claim),
        2 => token.clone().prop_map(Ask::Renew),
        2 => (token.clone(), outcome).prop_map(|(t, o)| Ask::Complete(t, o)),
        1 => token.clone().prop_map(Ask::Abandon),
        1 => token.prop_map(Ask::Forfeit),
        2 => (0..150_i64).prop_map(Ask::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_is_asked_a_slot_has_one_owner_and_one_end(
        history in prop::collection::vec(asks(), 1..80)
    ) {
        let tokens: Vec<Token> = (0..4).map(|_| Token::new()).collect();
        let mut now = at(0);
        let mut last = Fence::new(0);
        let mut record: Option<Record> = None;
        // Until when each token may believe that it owns the slot.
        let mut trusted: HashMap<usize, ClusterTime> = HashMap::new();
        let mut ends: Vec<RunId> = Vec::new();
        for ask in history {
            let before = record.clone();
            match ask {
                Ask::Wait(millis) => now = now + Duration::from_millis(millis as u64),
                Ask::Claim(t) => {
                    let claim = claim_with(tokens[t]);
                    let step =
                        super::claim(now, &who("n"), &claim, record.as_ref(), None, last);
                    if let Verdict::Won(grant) = step.verdict {
                        trusted.insert(t, now + TTL);
                        let held = step.record.clone().expect("a win is written");
                        prop_assert_eq!(held.token, tokens[t]);
                        prop_assert_eq!((held.fence, held.attempt), (grant.fence, grant.attempt));
                        match &before {
                            Some(was) if was.token == tokens[t] => {
                                prop_assert_eq!(grant.fence, was.fence);
                                prop_assert_eq!(grant.attempt, was.attempt);
                            }
                            Some(was) => {
                                prop_assert!(grant.fence > was.fence);
                                prop_assert_eq!(grant.attempt, was.attempt + 1);
                            }
                            None => prop_assert_eq!(grant.attempt, 1),
                        }
                        last = last.max(grant.fence);
                        record = step.record;
                    } else {
                        prop_assert_eq!(step.record, None, "only a win is written");
                    }
                }
                Ask::Renew(t) => {
                    let renewal =
                        Renewal { slot: slot(), token: tokens[t], ttl: TTL, keep_record: KEEP };
                    let step = renew(now, &renewal, record.as_ref());
                    if step.answer == Ownership::Ours {
                        trusted.insert(t, now + TTL);
                        record = step.record;
                    } else {
                        trusted.remove(&t);
                        prop_assert_eq!(step.record, None);
                    }
                }
                Ask::Complete(t, outcome) => {
                    let end = completion_of(tokens[t], outcome);
                    let step = complete(now, &who("n").node, &end, record.as_ref());
                    trusted.remove(&t);
                    if let Some((written, entry)) = step.write {
                        prop_assert_eq!(step.answer, Ownership::Ours);
                        ends.push(entry.run_id);
                        record = Some(written);
                    }
                }
                Ask::Abandon(t) => {
                    let lost = Abandonment {
                        slot: slot(), token: tokens[t], keep_record: KEEP, retention: RETENTION,
                    };
                    if let Some((written, entry)) =
                        abandon(now, &who("n").node, &lost, record.as_ref())
                    {
                        prop_assert!(trusted.get(&t).is_none_or(|&until| until <= now));
                        // Of a slot that was handed over the run has ended before.
                        if before.as_ref().is_some_and(|was| was.state == RecordState::Running) {
                            ends.push(entry.run_id);
                        }
                        record = Some(written);
                    }
                }
                Ask::Forfeit(t) => {
                    let unrun = Forfeit {
                        slot: slot(), token: tokens[t], reason: MissedReason::Late,
                        keep_record: KEEP, retention: RETENTION,
                    };
                    if let Some((written, _)) =
                        forfeit(now, &who("n").node, &unrun, record.as_ref())
                    {
                        trusted.remove(&t);
                        record = Some(written);
                    }
                }
            }
            let owners = trusted.values().filter(|&&until| until > now).count();
            prop_assert!(owners <= 1, "{owners} owners: {record:?}");
            if let Some(was @ Record { state: RecordState::Settled(_), .. }) = &before {
                prop_assert_eq!(Some(was), record.as_ref(), "a settled record never changes");
            }
            if let (Some(was), Some(is)) = (&before, &record) {
                prop_assert!(is.fence >= was.fence && is.attempt >= was.attempt);
            }
        }
        let unique: std::collections::HashSet<_> = ends.iter().collect();
        prop_assert_eq!(unique.len(), ends.len(), "a run ends once: {:?}", ends);
    }
}
