//! How runs end, and what makes a slot ready or missed.

use super::*;

#[test]
fn a_lost_run_is_told_in_words() {
    let claim = new_claim();
    let held = held(&claim);
    let lost = Abandonment {
        slot: slot(),
        token: claim.token,
        was_lost: false,
        why: "its job says on_crash = \"skip\"".to_owned(),
        keep_record: KEEP,
        retention: RETENTION,
    };
    assert_eq!(abandon(at(99), &who("web-2").node, &lost, Some(&held)), None, "it still lives");
    let (record, entry) =
        abandon(at(100), &who("web-2").node, &lost, Some(&held)).expect("it has lapsed");
    assert_eq!(record.state, RecordState::Settled(Outcome::Abandoned));
    assert_eq!(
        entry.error.as_deref(),
        Some(
            "node web-1 was lost: it had not renewed its lease when that lapsed; its job says \
             on_crash = \"skip\"; settled by node web-2"
        )
    );
    assert_eq!((entry.started_at, entry.finished_at), (at(0), at(100)));
    assert_eq!(entry.run_id, claim.token.run_id(1));

    let handed = held.handed_over(at(0), None);
    let was_lost = Abandonment { was_lost: true, ..lost.clone() };
    assert_eq!(abandon(at(1), &who("web-2").node, &was_lost, Some(&handed)), None, "it came back");
    let (_, entry) = abandon(at(1), &who("web-2").node, &lost, Some(&handed)).expect("nobody's");
    assert_eq!(
        entry.error.as_deref(),
        Some(
            "node web-1 handed it over and no node took it: its job says on_crash = \"skip\"; \
             settled by node web-2"
        )
    );
}

#[test]
fn a_retry_counts_and_its_copy_does_not() {
    let claim = new_claim();
    let node = who("web-1").node;
    let end = Completion { then: Then::Retry, ..completion_of(claim.token, Outcome::Failed) };
    let record = held(&claim);
    let (again, entry) = complete(at(1), &node, &end, Some(&record)).write.expect("it is ours");
    assert_eq!((again.attempt, again.failures, again.fence), (2, 1, record.fence));
    assert_eq!(again.lapses_at, record.lapses_at, "no lease is prolonged by it");
    assert_eq!((entry.attempt, entry.run_id), (1, claim.token.run_id(1)));
    let nothing = CompleteStep { answer: Ownership::Ours, write: None };
    for after in
        [again.clone(), again.handed_over(at(2), None), again.settled_as(at(2), Outcome::Succeeded)]
    {
        assert_eq!(complete(at(3), &node, &end, Some(&after)), nothing);
    }
    let other = Record { token: Token::new(), attempt: 3, ..again };
    let late = complete(at(3), &node, &end, Some(&other));
    assert!(matches!(late.answer, Ownership::HeldBy(_)), "{late:?}");
}

#[test]
fn a_renewal_or_a_forfeit_touches_only_what_runs_under_its_token() {
    let claim = new_claim();
    let running = held(&claim);
    let renewal = |token| Renewal { slot: slot(), token, ttl: TTL, keep_record: KEEP };
    let prolonged = renew(at(500), &renewal(claim.token), Some(&running)).record;
    assert_eq!(prolonged.expect("ours, though it lapsed").lapses_at, at(600));
    let handed = running.handed_over(at(0), None);
    let forgotten = RenewStep { answer: Ownership::Forgotten, record: None };
    assert_eq!(renew(at(1), &renewal(claim.token), Some(&handed)), forgotten);
    let foreign = renew(at(1), &renewal(Token::new()), Some(&running));
    assert_eq!(foreign.record, None);
    let unrun = |token| Forfeit {
        slot: slot(),
        token,
        reason: MissedReason::Late,
        keep_record: KEEP,
        retention: RETENTION,
    };
    let node = who("n").node;
    assert!(forfeit(at(1), &node, &unrun(claim.token), Some(&running)).is_some());
    assert!(forfeit(at(1), &node, &unrun(claim.token), Some(&handed)).is_none());
    assert!(forfeit(at(1), &node, &unrun(Token::new()), Some(&running)).is_none());
}

#[test]
fn a_wish_makes_a_record_once_and_always_under_the_same_token() {
    let trigger = TriggerId::new(at(0));
    let wish = Slot::triggered(slot().job, trigger);
    let made = triggered(at(0), &who("a").node, &wish, None).expect("it is new");
    assert_eq!(made.token, Token::of_trigger(trigger));
    assert_eq!((made.attempt, made.state), (0, RecordState::Ready(Ready::Triggered)));
    assert_eq!(triggered(at(1), &who("b").node, &wish, Some(&made)), None);
    assert_eq!(triggered(at(0), &who("a").node, &slot(), None), None, "of the schedule");
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
        catch_up: Vec::new(),
        in_turn: false,
        keep_record: KEEP,
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

#[test]
fn a_turn_reads_back_as_it_was_written() {
    let job = slot().job;
    let wish = Slot::triggered(job.clone(), TriggerId::new(at(0)));
    let mut turn = Turn::default();
    for step in 0..5 {
        assert_eq!(Turn::from_text(&job, &turn.to_text()), Ok(turn.clone()), "{step}");
        match step {
            0 => turn.give(&slot()),
            1 => turn.enqueue(&wish),
            2 => assert_eq!(turn.enqueue_newest(&after(1)), None),
            3 => assert_eq!(turn.enqueue_newest(&after(2)), Some(after(1))),
            _ => turn.settle(&slot()),
        }
    }
    assert_eq!(Turn::from_text(&job, &turn.to_text()), Ok(turn.clone()));
    assert_eq!((turn.of, turn.queue), (None, vec![wish, after(2)]));
    assert!(Turn::from_text(&job, "noon").is_err());
}
