//! Who gets a slot.

use super::*;

#[test]
fn the_windows_of_a_first_claim_are_closed_intervals() {
    let verdict = |now, claim: &Claim| first(now, claim).verdict;
    let claim = new_claim();
    assert_eq!(verdict(at(-5001), &claim), Verdict::Refused(Refusal::Early));
    assert!(matches!(verdict(at(-5000), &claim), Verdict::Won(_)));
    assert!(matches!(verdict(at(60_000), &claim), Verdict::Won(_)));
    assert_eq!(verdict(at(60_001), &claim), Verdict::Refused(Refusal::Late));
    let jitter = Claim { due: at(3000), ..claim };
    assert_eq!(verdict(at(-2001), &jitter), Verdict::Refused(Refusal::Early));
    assert!(matches!(verdict(at(-2000), &jitter), Verdict::Won(_)));
}

#[test]
fn the_cursor_refuses_what_it_has_passed_and_a_win_moves_it_forward_only() {
    let claim = new_claim();
    for (cursor, won) in [(None, true), (Some(-1), true), (Some(0), false), (Some(1), false)] {
        let cursor = cursor.map(|s| SlotTime::from_unix_seconds(DUE + s));
        let view = View { cursor, ..View::default() };
        let step = super::claim(at(0), &who("web-1"), &claim, &view, NONE_GIVEN);
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
    assert_eq!(fence(now, NONE_GIVEN).get(), time);
    assert_eq!(fence(now, Fence::new(time)).get(), time + 1);
    assert_eq!(fence(now, Fence::new(time + 50)).get(), time + 51);
    assert_eq!(fence(ClusterTime::from_unix_micros(-5), Fence::new(3)).get(), 4);
}

#[test]
fn a_fence_grows_also_where_the_store_forgot_the_last_it_gave() {
    let lost = new_claim();
    let ahead = Record { fence: Fence::new(at(99_999).unix_micros() as u64), ..held(&lost) };
    let taker = Claim { takes_over: Some(lost.token), ..new_claim() };
    let step = super::claim(at(100), &who("web-2"), &taker, &with(&ahead), NONE_GIVEN);
    let Verdict::Won(grant) = step.verdict else { panic!("{:?}", step.verdict) };
    assert_eq!(grant.fence.get(), ahead.fence.get() + 1);
}

#[test]
fn a_token_that_handed_over_never_wins_again_also_after_later_hand_overs() {
    let tokens = [Token::new(), Token::new(), Token::new()];
    let mut view = View::default();
    for (attempt, token) in (1..).zip(tokens) {
        let claim = claim_with(token);
        let won = super::claim(at(1), &who("n"), &claim, &view, NONE_GIVEN);
        let held = written(&won, &claim.slot);
        let end = Completion { attempt, ..completion_of(token, Outcome::HandedOver) };
        let (handed, _) =
            complete(at(1), &who("n").node, &end, Some(&held)).write.expect("it hands over");
        view = with(&handed);
    }
    for (attempt, token) in (1..).zip(tokens) {
        let late = super::claim(at(2), &who("n"), &claim_with(token), &view, NONE_GIVEN);
        assert_eq!(late.verdict, Verdict::Refused(Refusal::HandedOver));
        let copy = Completion { attempt, ..completion_of(token, Outcome::HandedOver) };
        let copied = complete(at(2), &who("n").node, &copy, view.record.as_ref());
        assert_eq!(copied, CompleteStep { answer: Ownership::Ours, write: None });
    }
}

#[test]
fn what_is_kept_of_hand_overs_is_capped() {
    let mut view = View::default();
    for _ in 0..HAND_OVERS_KEPT + 5 {
        let claim = new_claim();
        let won = super::claim(at(0), &who("n"), &claim, &view, NONE_GIVEN);
        view = with(&written(&won, &claim.slot).handed_over(at(0), None));
    }
    let record = view.record.expect("the last one");
    assert_eq!(record.handed_over_by.len(), HAND_OVERS_KEPT);
    assert_eq!(record.handed_over_by.last(), Some(&record.token));
    assert_eq!(record.attempt as usize, HAND_OVERS_KEPT + 5);
}

#[test]
fn a_lease_lapses_at_its_instant_and_is_taken_over_from_then_on() {
    let lost = new_claim();
    let taker = Claim { takes_over: Some(lost.token), ..new_claim() };
    let verdict =
        |now| super::claim(now, &who("web-2"), &taker, &with(&held(&lost)), NONE_GIVEN).verdict;
    assert!(matches!(verdict(at(99)), Verdict::Held(_)), "it still lives");
    assert!(matches!(verdict(at(100)), Verdict::Won(_)));
}

#[test]
fn a_lost_slot_that_is_not_its_turn_waits_and_its_run_is_told() {
    // It ran where `allow` let it, and the job's `overlap` changed since.
    let lost = new_claim();
    let taker = Claim { takes_over: Some(lost.token), ..new_claim() };
    let mut turn = Turn::default();
    turn.give(&after(5));
    let other = Record { lapses_at: at(500), ..held(&Claim { slot: after(5), ..new_claim() }) };
    let view = View { turn, ahead: Some(other), ..with(&held(&lost)) };
    let step = super::claim(at(100), &who("web-2"), &taker, &view, NONE_GIVEN);
    assert_eq!(step.verdict, Verdict::Waits(after(5)));
    let record = written(&step, &slot());
    assert_eq!(record.state, RecordState::Ready(Ready::HandedOver));
    assert_eq!((record.takeovers, record.attempt, record.lapses_at), (1, 1, at(500)));
    assert_eq!(step.turn.as_ref().expect("it changed").queue, [slot()]);
    let [Entry::Run(run)] = &step.claimed().entries[..] else { panic!("one run") };
    assert_eq!((run.outcome, run.run_id), (Outcome::LeaseLost, lost.token.run_id(1)));
}

#[test]
fn a_turn_of_a_slot_without_an_open_record_is_nobody_s() {
    let mut turn = Turn::default();
    turn.give(&after(-5));
    let settled = held(&Claim { slot: after(-5), ..new_claim() });
    let settled = settled.settled_as(at(0), Outcome::Succeeded);
    for ahead in [None, Some(settled)] {
        let view = View { turn: turn.clone(), ahead, ..View::default() };
        let step = super::claim(at(0), &who("web-1"), &new_claim(), &view, NONE_GIVEN);
        assert!(matches!(step.verdict, Verdict::Won(_)), "{:?}", step.verdict);
        assert_eq!(step.records.len(), 1, "and nothing is written of it");
        assert_eq!(step.turn.expect("it has it now").of, Some(slot()));
    }
}

#[test]
fn who_settles_a_dead_holder_does_not_go_before_those_that_wait() {
    let mut turn = Turn::default();
    turn.give(&after(-9));
    turn.enqueue(&after(-8));
    let dead = held(&Claim { slot: after(-9), ..new_claim() });
    let view = View { turn, ahead: Some(dead), ..View::default() };
    for overlap in [Overlap::Skip, Overlap::Wait] {
        let claim = Claim { overlap, max_takeovers: 0, ..new_claim() };
        let step = super::claim(at(100), &who("web-2"), &claim, &view, NONE_GIVEN);
        let settled = written(&step, &after(-9));
        assert_eq!(settled.state, RecordState::Settled(Outcome::Abandoned));
        let turn = step.turn.expect("it changed");
        assert_eq!((turn.of, turn.queue.first()), (None, Some(&after(-8))));
        let expected = match overlap {
            Overlap::Wait => Verdict::Waits(after(-8)),
            _ => Verdict::Missed(MissedReason::Overlap),
        };
        assert_eq!(step.verdict, expected);
    }
}

#[test]
fn one_that_waits_and_is_missed_is_kept_as_settled_and_what_replaces_it_as_open() {
    let mut turn = Turn::default();
    turn.give(&after(-9));
    let holder = Record { lapses_at: at(500), ..held(&Claim { slot: after(-9), ..new_claim() }) };
    let claim = Claim { slot: after(-3), overlap: Overlap::Wait, ..new_claim() };
    let view = View { turn, ahead: Some(holder.clone()), ..View::default() };
    let waits = super::claim(at(0), &who("n"), &claim, &view, NONE_GIVEN);
    assert_eq!(waits.records.len(), 1);
    assert_eq!(written(&waits, &after(-3)).lapses_at, at(500), "when the turn may be free");
    let view = View {
        turn: waits.turn.clone().expect("it waits"),
        ahead: Some(holder),
        newest: Some(written(&waits, &after(-3))),
        ..View::default()
    };
    let claim = Claim { overlap: Overlap::Wait, ..new_claim() };
    let step = super::claim(at(0), &who("n"), &claim, &view, NONE_GIVEN);
    let kept: Vec<_> = step.records.iter().map(|put| (put.slot.clone(), put.keep)).collect();
    assert_eq!(kept, [(after(-3), Kept::Settled), (slot(), Kept::Open)]);
    assert_eq!(step.entries[0].joins, Some(after(-9).at), "since the slot that has the turn");
}

#[test]
fn a_pause_forbids_first_claims_only_and_its_missed_slots_join_from_its_begin() {
    let pauses = Pauses::default().paused(at(-2500)).expect("it is new");
    let claim = new_claim();
    let view = View { pauses: pauses.clone(), ..View::default() };
    let step = super::claim(at(0), &who("n"), &claim, &view, NONE_GIVEN);
    assert_eq!(step.verdict, Verdict::Missed(MissedReason::Paused));
    assert_eq!(written(&step, &slot()).state, RecordState::Settled(Outcome::Missed));
    assert_eq!(step.entries[0].joins, Some(after(-3).at));
    assert_eq!(step.turn, None);
    let handed = held(&new_claim()).handed_over(at(0), None);
    let view = View { pauses, ..with(&handed) };
    let step = super::claim(at(0), &who("n"), &claim, &view, NONE_GIVEN);
    assert!(matches!(step.verdict, Verdict::Won(_)), "{:?}", step.verdict);
}
