//! The ledger: what is told of the past, for how long, and how much of it.

use std::time::Duration;

use solocron::ledger::{Entry, Query, Retention, RunEntry, TAILS_KEPT};
use solocron::outcome::{Outcome, Ready};
use solocron::slot::Slot;
use solocron::store::{Ownership, SlotState, SlotStory, Store};

use super::*;

fn run_of(entry: &Entry) -> &RunEntry {
    match entry {
        Entry::Run(run) => run,
        missed => panic!("not a run: {missed:?}"),
    }
}

pub(crate) async fn a_run_is_told_as_it_was(f: &impl Fixture) {
    let (a, b) = (f.store().await, f.store().await);
    let who = claimant("web-1");
    let claim = claim_of(&due(&*a, "backup").await, LONG);
    let grant = win(&*a, &who, &claim).await;
    let before = now(&*a).await;
    let mut end = completion(&claim, grant, Outcome::TimedOut, before);
    end.signal = Some(9);
    end.error = Some("ran longer than 1h:\n\t\"killed\" 'é' \u{1F980} {} %s \\".to_owned());
    assert_eq!(complete(&*a, &who, &end).await, Ownership::Ours);

    let entries = ledger(&*b).await;
    assert_eq!(entries.len(), 1);
    let run = run_of(&entries[0]).clone();
    assert!(run.recorded_at >= before && run.recorded_at <= now(&*b).await);
    let recorded_at = run.recorded_at;
    assert_eq!(
        run,
        RunEntry {
            slot: claim.slot.clone(),
            node: who.node.clone(),
            run_id: end.run_id(),
            attempt: 1,
            fence: grant.fence,
            outcome: Outcome::TimedOut,
            started_at: end.started_at,
            finished_at: end.finished_at,
            exit_code: None,
            signal: Some(9),
            error: end.error.clone(),
            recorded_at,
        }
    );
}

pub(crate) async fn history_is_newest_first_and_filtered(f: &impl Fixture) {
    let store = f.store().await;
    let mut middle = None;
    for i in 0..6 {
        let name = if i % 2 == 0 { "even" } else { "odd" };
        let who = claimant(if i < 4 { "web-1" } else { "web-2" });
        if i == 3 {
            middle = Some(now(&*store).await);
        }
        run(&*store, &who, &slot_in(&*store, name, i - 100).await, Outcome::Succeeded).await;
    }
    let told = async |query: Query| -> Vec<(String, String)> {
        let entries = store.history(&query).await.unwrap();
        let runs = entries.iter().map(run_of);
        runs.map(|run| (run.slot.job.to_string(), run.node.to_string())).collect()
    };
    let pairs = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter().map(|(job, node)| ((*job).to_owned(), (*node).to_owned())).collect()
    };
    let all = [
        ("odd", "web-2"),
        ("even", "web-2"),
        ("odd", "web-1"),
        ("even", "web-1"),
        ("odd", "web-1"),
        ("even", "web-1"),
    ];
    let any = Query { limit: 100, ..Query::default() };
    assert_eq!(told(any.clone()).await, pairs(&all));
    assert_eq!(told(Query { limit: 2, ..any.clone() }).await, pairs(&all[..2]));
    let even = Query { job: Some(job("even")), ..any.clone() };
    assert_eq!(told(even.clone()).await, pairs(&[all[1], all[3], all[5]]));
    assert_eq!(told(Query { limit: 1, ..even.clone() }).await, pairs(&all[1..2]));
    let second = Query { node: Some(node("web-2")), ..any.clone() };
    assert_eq!(told(second).await, pairs(&all[..2]));
    assert_eq!(
        told(Query { node: Some(node("web-2")), limit: 1, ..any.clone() }).await,
        pairs(&all[..1]),
        "the limit counts what was asked for"
    );
    let both = Query { node: Some(node("web-1")), ..even };
    assert_eq!(told(both).await, pairs(&[all[3], all[5]]));
    assert_eq!(told(Query { since: middle, ..any.clone() }).await, pairs(&all[..3]));
    assert_eq!(told(Query { job: Some(job("none")), ..any }).await, []);
}

pub(crate) async fn of_each_job_the_newest_entries_stay(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let few = Retention { per_job: 3, ..KEEP_ALL };
    let of = |name| Query { job: Some(job(name)), limit: 100, ..Query::default() };
    run(&*store, &who, &due(&*store, "other").await, Outcome::Succeeded).await;
    let mut slots = Vec::new();
    for i in 0..7 {
        let claim = claim_of(&slot_in(&*store, "tick", i - 100).await, LONG);
        let grant = win(&*store, &who, &claim).await;
        let mut end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
        end.retention = few;
        assert_eq!(complete(&*store, &who, &end).await, Ownership::Ours);
        slots.insert(0, claim.slot);
        let kept = store.history(&of("tick")).await.unwrap().len();
        assert_eq!(kept, slots.len().min(3), "at any time");
    }
    let kept = store.history(&of("tick")).await.unwrap();
    let kept: Vec<_> = kept.iter().map(|entry| run_of(entry).slot.clone()).collect();
    assert_eq!(kept, slots[..3]);
    assert_eq!(store.history(&of("other")).await.unwrap().len(), 1, "another job keeps its own");
    assert_eq!(ledger(&*store).await.len(), 4);
    let gone = store.slot(&slots[6]).await.unwrap();
    assert_eq!((gone.entries, gone.tail), (vec![], None), "and what goes takes its output along");
}

pub(crate) async fn what_is_too_old_is_pruned(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let old = slot_in(&*store, "tick", -50).await;
    run(&*store, &who, &old, Outcome::Succeeded).await;
    let keep = Duration::from_millis(800);
    await_time(&*store, now(&*store).await + keep).await;
    let (young, _) =
        run(&*store, &who, &slot_in(&*store, "tick", -40).await, Outcome::Succeeded).await;
    store.prune(Retention { keep, per_job: 100 }).await.unwrap();
    let kept = ledger(&*store).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(run_of(&kept[0]).slot, young.slot);
    let story = store.slot(&old).await.unwrap();
    assert_eq!((story.entries, story.tail), (vec![], None));
}

pub(crate) async fn pruning_leaves_what_lives_alone(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let held = claim_of(&due(&*store, "held").await, LONG);
    win(&*store, &who, &held).await;
    let (finished, _) = run(&*store, &who, &due(&*store, "done").await, Outcome::Succeeded).await;
    let start = slot_in(&*store, "held", -100).await.at;
    store.open_cursors(&[cursor_of("held")], start, KEEP).await.unwrap();
    for i in 0..5 {
        run(&*store, &who, &slot_in(&*store, "tick", i - 100).await, Outcome::Failed).await;
    }
    store.prune(Retention { per_job: 2, ..KEEP_ALL }).await.unwrap();
    let of = |name| Query { job: Some(job(name)), limit: 100, ..Query::default() };
    assert_eq!(store.history(&of("tick")).await.unwrap().len(), 2, "at most so many of each job");
    assert_eq!(store.history(&of("done")).await.unwrap().len(), 1);
    assert_eq!(renew(&*store, &renewal(&held, LONG)).await, Ownership::Ours);
    done(try_claim(&*store, &claimant("web-2"), &claim_of(&finished.slot, LONG)).await);
    let later = slot_in(&*store, "held", 0).await.at;
    assert_eq!(store.open_cursors(&[cursor_of("held")], later, KEEP).await.unwrap(), [start]);
}

pub(crate) async fn output_is_kept_of_the_last_runs_of_either_kind(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let (mut failed, mut succeeded) = (Vec::new(), Vec::new());
    for i in 0..30_i64 {
        let fails = i < 15;
        let outcome = if fails { Outcome::Failed } else { Outcome::Succeeded };
        let claim = claim_of(&slot_in(&*store, "tick", i - 100).await, LONG);
        let grant = win(&*store, &who, &claim).await;
        let mut end = completion(&claim, grant, outcome, now(&*store).await);
        end.tail = format!("output {i}");
        assert_eq!(complete(&*store, &who, &end).await, Ownership::Ours);
        if fails { &mut failed } else { &mut succeeded }.push((claim.slot, end.tail));
    }
    for runs in [failed, succeeded] {
        let surplus = runs.len() - TAILS_KEPT;
        for (i, (slot, tail)) in runs.into_iter().enumerate() {
            let story = store.slot(&slot).await.unwrap();
            assert_eq!(story.tail, (i >= surplus).then_some(tail), "{slot}");
            assert_eq!(story.entries.len(), 1, "the run itself stays");
        }
    }
}

pub(crate) async fn output_of_any_kind_comes_back_as_it_was(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let broken = String::from_utf8_lossy(b"latin-1: \xe9\xff").into_owned();
    let tails = [
        "nul \0 in the middle, line\r\nafter line\n\n".to_owned(),
        format!("{broken} \u{FEFF}\u{1F980} \u{1b}[31m ' \" ; -- $1 ?1 {{}}"),
        "\0".to_owned(),
        "x".repeat((1 << 20) - 3) + "é\n",
    ];
    for (i, tail) in tails.into_iter().enumerate() {
        let claim = claim_of(&slot_in(&*store, "odd", i as i64 - 100).await, LONG);
        let grant = win(&*store, &who, &claim).await;
        let mut end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
        end.tail = tail.clone();
        assert_eq!(complete(&*store, &who, &end).await, Ownership::Ours);
        let kept = store.slot(&claim.slot).await.unwrap().tail.unwrap();
        assert!(kept == tail, "output {i}: {} bytes of {}", kept.len(), tail.len());
    }
}

pub(crate) async fn the_newest_entries_of_each_job_are_told_in_the_order_of_the_jobs(
    f: &impl Fixture,
) {
    let store = f.store().await;
    let who = claimant("web-1");
    for name in ["a", "b"] {
        for i in 0..4 {
            run(&*store, &who, &slot_in(&*store, name, i - 100).await, Outcome::Succeeded).await;
        }
    }
    let recent = store.recent(&[job("b"), job("none"), job("a")], 3).await.unwrap();
    let query = |name| Query { job: Some(job(name)), limit: 3, ..Query::default() };
    let expected = [store.history(&query("b")).await, Ok(vec![]), store.history(&query("a")).await];
    assert_eq!(recent.len(), 3);
    assert_eq!(recent[0].len(), 3);
    assert_eq!(recent.into_iter().map(Ok).collect::<Vec<_>>(), expected);
}

pub(crate) async fn every_slot_that_is_not_settled_is_listed_with_its_record(f: &impl Fixture) {
    let (store, b) = (f.store().await, f.store().await);
    let who = claimant("web-1");
    assert_eq!(store.open_slots(100).await, Ok(vec![]));
    let running = claim_of(&due(&*store, "runs").await, LONG);
    win(&*store, &who, &running).await;
    let lapsed = claim_of(&due(&*store, "lapses").await, SHORT);
    win(&*store, &who, &lapsed).await;
    await_lapse(&*store, &lapsed.slot).await;
    let taken = takeover_of(&lapsed);
    win(&*store, &claimant("web-2"), &taken).await;
    let wish = trigger(&*store, "wished").await;
    run(&*store, &who, &due(&*store, "settled").await, Outcome::Failed).await;

    let mut open = b.open_slots(100).await.unwrap();
    open.sort_by(|(a, _), (b, _)| a.cmp(b));
    let slots: Vec<_> = open.iter().map(|(slot, _)| slot.clone()).collect();
    assert_eq!(slots, [lapsed.slot, running.slot.clone(), wish]);
    let (_, record) = &open[0];
    assert_eq!((record.node.as_str(), record.attempt, record.takeovers), ("web-2", 2, 1));
    let (_, record) = &open[1];
    assert_eq!((record.token, record.takeovers), (running.token, 0));
    assert!(matches!(record.state, SlotState::Running { remaining } if !remaining.is_zero()));
    assert_eq!(open[2].1.state, SlotState::Ready(Ready::Triggered));
    assert_eq!(b.open_slots(2).await.unwrap().len(), 2);
}

pub(crate) async fn the_output_of_each_run_is_found_by_its_id(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let claim = claim_of(&due(&*store, "backup").await, LONG);
    let grant = win(&*store, &who, &claim).await;
    let first = solocron::store::Completion {
        then: solocron::store::Then::Retry,
        tail: "first".to_owned(),
        ..completion(&claim, grant, Outcome::Failed, now(&*store).await)
    };
    complete(&*store, &who, &first).await;
    let second = solocron::store::Completion {
        attempt: 2,
        tail: "second\n".to_owned(),
        ..completion(&claim, grant, Outcome::Succeeded, now(&*store).await)
    };
    complete(&*store, &who, &second).await;
    for (run, tail) in [(first.run_id(), "first"), (second.run_id(), "second\n")] {
        assert_eq!(store.tail(&job("backup"), run).await, Ok(Some(tail.to_owned())));
        assert_eq!(store.tail(&job("other"), run).await, Ok(None));
    }
    assert_eq!(store.tail(&job("backup"), claim.token.run_id(3)).await, Ok(None));
}

pub(crate) async fn a_slot_s_story_is_told_in_every_state(f: &impl Fixture) {
    let store = f.store().await;
    let (a, b) = (claimant("web-1"), claimant("web-2"));
    let slot = due(&*store, "backup").await;
    let unknown = SlotStory { record: None, entries: vec![], tail: None };
    assert_eq!(store.slot(&slot).await.unwrap(), unknown);

    let claim = claim_of(&slot, LONG);
    let before = now(&*store).await;
    let grant = win(&*store, &a, &claim).await;
    let record = store.slot(&slot).await.unwrap().record.unwrap();
    assert_eq!((record.node.as_str(), record.token), ("web-1", claim.token));
    assert_eq!((record.attempt, record.fence), (1, grant.fence));
    assert!(record.claimed_at >= before && record.claimed_at <= now(&*store).await);
    match record.state {
        SlotState::Running { remaining } => assert!(remaining > LONG / 2 && remaining <= LONG),
        wrong => panic!("it runs: {wrong:?}"),
    }

    let mut end = completion(&claim, grant, Outcome::HandedOver, now(&*store).await);
    end.tail = "first".to_owned();
    complete(&*store, &a, &end).await;
    let record = store.slot(&slot).await.unwrap().record.unwrap();
    assert_eq!((record.state, record.token), (SlotState::Ready(Ready::HandedOver), claim.token));

    let next = claim_of(&slot, SHORT);
    let grant = win(&*store, &b, &next).await;
    await_lapse(&*store, &slot).await;
    let record = store.slot(&slot).await.unwrap().record.unwrap();
    assert_eq!(record.state, SlotState::Running { remaining: Duration::ZERO }, "it lapsed");
    assert_eq!((record.node.as_str(), record.attempt), ("web-2", 2));

    let mut end = completion(&next, grant, Outcome::Failed, now(&*store).await);
    end.tail = "second".to_owned();
    complete(&*store, &b, &end).await;
    let SlotStory { record, entries, tail } = store.slot(&slot).await.unwrap();
    assert_eq!(record.unwrap().state, SlotState::Settled(Outcome::Failed));
    let outcomes: Vec<_> = entries.iter().map(|entry| run_of(entry).outcome).collect();
    assert_eq!(outcomes, [Outcome::HandedOver, Outcome::Failed], "oldest first");
    assert_eq!(tail.as_deref(), Some("second"), "of its last run");
}

pub(crate) async fn a_missed_slot_s_story_is_the_range_it_lies_in(f: &impl Fixture) {
    use solocron::ledger::MissedRange;
    use solocron::outcome::MissedReason;
    use solocron::slot::SlotTime;
    use solocron::store::MissedReport;

    let store = f.store().await;
    let start = slot_in(&*store, "tick", -100).await.at;
    let second = |s| SlotTime::from_unix_seconds(start.unix_seconds() + s);
    store.open_cursors(&[cursor_of("tick")], start, KEEP).await.unwrap();
    let range =
        MissedRange { from: second(1), to: second(9), count: 9, reason: MissedReason::NoNode };
    let report = MissedReport {
        cursor: cursor_of("tick"),
        expected: start,
        upto: second(9),
        closes_at: second(9).cluster_time(),
        ranges: vec![range],
        catch_up: Vec::new(),
        in_turn: false,
        keep_record: KEEP,
        retention: KEEP_ALL,
    };
    assert_eq!(store.record_missed(&node("web-1"), &[report]).await, Ok(vec![true]));
    for (s, lies_in) in [(0, false), (1, true), (5, true), (9, true), (10, false)] {
        let story = store.slot(&Slot::scheduled(job("tick"), second(s))).await.unwrap();
        assert_eq!(story.record, None);
        assert_eq!(story.entries.len(), usize::from(lies_in), "{s}");
    }
    let other = store.slot(&Slot::scheduled(job("other"), second(5))).await.unwrap();
    assert_eq!(other.entries, []);
}

pub(crate) async fn a_record_expires_and_its_slot_is_not_won_again(f: &impl Fixture) {
    let store = f.store().await;
    let who = claimant("web-1");
    let slot = due(&*store, "backup").await;
    let start = slot_in(&*store, "backup", -10).await.at;
    store.open_cursors(&[cursor_of("backup")], start, KEEP).await.unwrap();
    let mut claim = claim_of(&slot, LONG);
    claim.advance = true;
    let grant = win(&*store, &who, &claim).await;
    let mut end = completion(&claim, grant, Outcome::Succeeded, now(&*store).await);
    end.keep_record = SHORT;
    assert_eq!(complete(&*store, &who, &end).await, Ownership::Ours);
    expires(&*store, &slot).await;

    let past = solocron::claim::Verdict::Refused(solocron::claim::Refusal::Past);
    assert_eq!(try_claim(&*store, &claimant("web-2"), &claim_of(&slot, LONG)).await, past);
    assert_eq!(try_claim(&*store, &who, &claim).await, past, "nor by a late copy");
    assert_eq!(renew(&*store, &renewal(&claim, LONG)).await, Ownership::Forgotten);
    assert_eq!(complete(&*store, &who, &end).await, Ownership::Forgotten);
    assert_eq!(ledger(&*store).await.len(), 1, "the ledger keeps it");
}

pub(crate) async fn a_record_lasts_as_long_as_its_lease_at_least(f: &impl Fixture) {
    let store = f.store().await;
    let mut claim = claim_of(&due(&*store, "backup").await, LONG);
    claim.keep_record = SHORT;
    win(&*store, &claimant("web-1"), &claim).await;
    let short = solocron::store::Renewal { keep_record: SHORT, ..renewal(&claim, LONG) };
    for renewed in [false, true] {
        if renewed {
            assert_eq!(renew(&*store, &short).await, Ownership::Ours);
        }
        let since = now(&*store).await;
        await_time(&*store, since + SHORT * 2).await;
        let verdict = try_claim(&*store, &claimant("web-2"), &claim_of(&claim.slot, LONG)).await;
        assert_eq!(holder(verdict).token, claim.token);
    }
}

pub(crate) async fn an_open_slot_that_nobody_settles_expires_too(f: &impl Fixture) {
    let store = f.store().await;
    let mut claim = claim_of(&due(&*store, "removed").await, SHORT);
    claim.keep_record = SHORT * 2;
    win(&*store, &claimant("web-1"), &claim).await;
    expires(&*store, &claim.slot).await;
    eventually("it leaves the index", async || store.sweep(10).await.unwrap().open.is_empty())
        .await;
}

pub(crate) async fn a_renewal_keeps_the_record_as_long_as_it_says(f: &impl Fixture) {
    let store = f.store().await;
    let mut claim = claim_of(&due(&*store, "backup").await, SHORT);
    claim.keep_record = SHORT * 4;
    win(&*store, &claimant("web-1"), &claim).await;
    let claimed = now(&*store).await;
    assert_eq!(renew(&*store, &renewal(&claim, SHORT)).await, Ownership::Ours);
    await_time(&*store, claimed + SHORT * 6).await;
    assert!(store.slot(&claim.slot).await.unwrap().record.is_some());
    assert_eq!(store.sweep(10).await.unwrap().open.len(), 1);
}

async fn expires(store: &dyn Store, slot: &Slot) {
    eventually("the record expires", async || store.slot(slot).await.unwrap().record.is_none())
        .await;
}
