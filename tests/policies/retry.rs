//! `retry`: what failed is tried again, on the same node and under the same lease, and
//! by another where that one drains.

use std::path::Path;
use std::time::Duration;

use solocron::claim::Fence;
use solocron::config::{Overrides, ThisMachine, load_text};
use solocron::policy::{Backoff, Retry};

use crate::book::{Entry, entries, runs, witnessed};
use crate::harness::node::Node;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;
use crate::storm;

on_every_store! {
    a_run_that_failed_is_tried_again_until_one_succeeds
    a_run_that_timed_out_is_tried_again
    a_slot_whose_every_try_fails_has_failed_and_waited_longer_each_time
    what_a_draining_node_would_have_tried_again_another_node_tries_at_its_time
    what_a_killed_node_would_have_tried_again_another_node_takes_over
}

/// How much later than planned a busy machine may begin.
const LATE: f64 = 1.5;

/// A job due every second of which one slot does `work`, and the others nothing.
fn one_slot(work: &str, retry: &str, keys: &str) -> String {
    let chosen = "mkdir chosen 2>/dev/null && echo $SOLOCRON_SLOT > chosen/slot";
    let shell = witnessed(&format!(
        r#"{chosen}; [ "$(cat chosen/slot)" = "$SOLOCRON_SLOT" ] || exit 0; {work}"#
    ));
    every_second("job", &shell, &format!("retry = {retry}\nstart_within = '15s'\n{keys}"))
}

/// The entries of the slot that was chosen, once it is settled; oldest first.
fn settled(site: &Site) -> Vec<Entry> {
    let mut slot = Vec::new();
    until("a slot is chosen", || {
        slot = site.lines("chosen/slot");
        !slot.is_empty()
    });
    until("the slot is settled", || {
        let story = site.ask(&["slot", "job", &slot[0], "--format", "json"]);
        let story: serde_json::Value = serde_json::from_str(&story).expect("slot prints JSON");
        ["succeeded", "failed", "timed_out"].iter().any(|state| story["state"] == *state)
    });
    entries(site, "job").into_iter().filter(|entry| entry.slot == slot[0]).collect()
}

fn outcomes(tries: &[Entry]) -> Vec<&str> {
    tries.iter().map(|run| run.outcome.as_str()).collect()
}

/// What the table says of trying again.
fn policy(site: &Site) -> Retry {
    let text = std::fs::read_to_string(site.config()).unwrap();
    let loaded = load_text(Path::new("table"), &text, &Overrides::default(), &ThisMachine);
    loaded.unwrap().config.jobs[0].policies.retry
}

/// The wait after the `failures`-th failed run, as long as the policy says of runs
/// under `fence`; in seconds.
fn wait(retry: Retry, failures: u32, fence: u64) -> f64 {
    let wait = retry.wait_before(failures, Fence::new(fence).get());
    let base = match (retry.backoff, failures) {
        (Backoff::Constant, _) | (_, 1) => retry.min,
        // The tests double it once.
        _ => retry.max,
    };
    assert!((base..=base + base / 4).contains(&wait), "{wait:?}");
    wait.as_secs_f64()
}

/// Attempts are runs of their own, under one fence on one node, each as long after the
/// one before as the policy says; the jobs themselves saw the same.
fn judge_tries(site: &Site, nodes: &[Node], tries: &[Entry]) {
    let retry = policy(site);
    for (n, pair) in tries.windows(2).enumerate() {
        let [before, run] = pair else { unreachable!() };
        assert_eq!(run.attempt, before.attempt.map(|attempt| attempt + 1), "{tries:#?}");
        assert_eq!((&run.fence, &run.node), (&before.fence, &before.node), "{tries:#?}");
        assert_ne!(run.run_id, before.run_id, "{tries:#?}");
        let wait = wait(retry, n as u32 + 1, run.fence.expect("it is a run"));
        let waited = run.started() - before.finished();
        assert!((wait - 0.01..wait + LATE).contains(&waited), "{waited} s, not {wait}: {pair:#?}");
        let told = nodes.iter().flat_map(|node| node.events("run.retrying"));
        let told: Vec<_> = told
            .filter(|record| record["slot"] == *run.slot)
            .filter(|record| record["attempt"].as_u64() == run.attempt.map(u64::from))
            .collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!(told[0]["wait_ms"].as_f64(), Some((wait * 1000.0).round()), "{told:?}");
        assert_eq!(told[0]["failures"], n + 1, "{told:?}");
    }
    let seen: Vec<_> = runs(site, "job")
        .into_iter()
        .filter(|run| run.slot() == tries[0].from())
        .map(|run| (Some(run.line.run_id), Some(run.line.attempt), Some(run.line.fence)))
        .collect();
    let written: Vec<_> =
        tries.iter().map(|run| (run.run_id.clone(), run.attempt, run.fence)).collect();
    assert_eq!(seen, written);
    assert_eq!(site.lines("overlaps"), [""; 0]);
}

fn a_run_that_failed_is_tried_again_until_one_succeeds(ground: Ground) {
    let jobs = one_slot(
        "[ $SOLOCRON_ATTEMPT -ge 3 ] || exit 7",
        "{ attempts = 5, backoff = 'constant', min = '1s' }",
        "",
    );
    let site = Site::new(ground, "", &jobs);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let tries = settled(&site);
    let newest = storm::pass(&nodes, 2);
    storm::drain(&mut nodes);
    assert_eq!(outcomes(&tries), ["failed", "failed", "succeeded"], "{tries:#?}");
    assert_eq!(tries[0].attempt, Some(1));
    assert_eq!((tries[0].exit_code, tries[2].exit_code), (Some(7), Some(0)));
    judge_tries(&site, &nodes, &tries);

    // The turn stays with the slot that is tried again: others are missed meanwhile.
    let ledger = entries(&site, "job");
    let (first, last) = (tries[0].started(), tries[2].finished());
    for entry in ledger.iter().filter(|entry| !entry.is_missed() && entry.slot != tries[0].slot) {
        assert!(entry.finished() <= first || entry.started() >= last, "{entry:?}");
    }
    let missed = ledger.iter().filter(|entry| entry.reason.as_deref() == Some("overlap"));
    let after = missed.filter(|entry| entry.from() > tries[0].from()).map(|entry| entry.count);
    assert!(after.flatten().sum::<i64>() >= 1, "{ledger:#?}");
    let again = ledger.iter().filter(|entry| entry.slot == tries[0].slot).count();
    assert_eq!(again, 3, "success ends it, {newest} passed");
}

fn a_run_that_timed_out_is_tried_again(ground: Ground) {
    let jobs = one_slot(
        "[ $SOLOCRON_ATTEMPT -ge 2 ] || exec sleep 600",
        "{ attempts = 2, min = '500ms' }",
        "timeout = '1s'\nkill_grace = '500ms'",
    );
    let site = Site::new(ground, "", &jobs);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    let tries = settled(&site);
    storm::drain(&mut nodes);
    assert_eq!(outcomes(&tries), ["timed_out", "succeeded"], "{tries:#?}");
    judge_tries(&site, &nodes, &tries);
}

fn a_slot_whose_every_try_fails_has_failed_and_waited_longer_each_time(ground: Ground) {
    let jobs = one_slot(
        "exit 1",
        "{ attempts = 4, backoff = 'exponential', min = '500ms', max = '1s' }",
        "",
    );
    let site = Site::new(ground, "", &jobs);
    let mut nodes = site.start_all(["web-1", "web-2", "web-3"]);
    until("every try was made", || {
        nodes
            .iter()
            .map(|node| node.count("run.finished", |record| record["outcome"] == "failed"))
            .sum::<usize>()
            == 4
    });
    let tries = settled(&site);
    storm::pass(&nodes, 2);
    storm::drain(&mut nodes);
    assert_eq!(outcomes(&tries), ["failed"; 4], "{tries:#?}");
    judge_tries(&site, &nodes, &tries);
    let again = entries(&site, "job").iter().filter(|e| e.slot == tries[0].slot).count();
    assert_eq!(again, 4, "four are all");
}

fn what_a_draining_node_would_have_tried_again_another_node_tries_at_its_time(ground: Ground) {
    let jobs = one_slot(
        "exit 1",
        "{ attempts = 3, backoff = 'constant', min = '4s' }",
        "overlap = 'allow'",
    );
    let site = Site::new(ground, "", &jobs);
    let mut first = site.start("first").ready();
    let told = first.wait("run.retrying");
    let mut second = site.start("second").ready();
    assert_eq!(first.drain(), 0, "nothing ran any more that had to be ended");
    let tries = settled(&site);
    assert_eq!(second.drain(), 0);

    assert_eq!(outcomes(&tries), ["failed", "handed_over", "failed", "failed"], "{tries:#?}");
    let by: Vec<_> = tries.iter().map(|run| run.node.as_deref().unwrap()).collect();
    assert_eq!(by, ["first", "first", "second", "second"]);
    let attempts: Vec<_> = tries.iter().filter_map(|run| run.attempt).collect();
    assert_eq!(attempts, [1, 2, 3, 4]);
    let fences: Vec<_> = tries.iter().filter_map(|run| run.fence).collect();
    assert!(
        fences[0] == fences[1] && fences[1] < fences[2] && fences[2] == fences[3],
        "{fences:?}"
    );
    // When it would have begun on the first.
    let wait_ms = told["wait_ms"].as_u64().expect("it is a number");
    assert!((4000..=5000).contains(&wait_ms), "{told}");
    let waited = tries[2].started() - tries[0].finished();
    let wait = Duration::from_millis(wait_ms).as_secs_f64();
    assert!((wait - 0.02..wait + LATE).contains(&waited), "{waited} s, not {wait}: {tries:#?}");
    // The count of failures goes on: two were left, and after the second of them none.
    let told = second.events("run.retrying");
    let failures: Vec<_> = told.iter().map(|record| record["failures"].as_u64()).collect();
    assert_eq!(failures, [Some(2)], "{told:?}");
    let seen: Vec<_> = runs(&site, "job")
        .into_iter()
        .filter(|run| run.slot() == tries[0].from())
        .map(|run| (run.line.node, run.line.attempt))
        .collect();
    let expected = [("first", 1), ("second", 3), ("second", 4)];
    assert_eq!(seen, expected.map(|(node, attempt)| (node.to_owned(), attempt)));
}

fn what_a_killed_node_would_have_tried_again_another_node_takes_over(ground: Ground) {
    let jobs = one_slot(
        "[ $SOLOCRON_ATTEMPT -ge 2 ] || exit 1",
        "{ attempts = 2, backoff = 'constant', min = '30s' }",
        "overlap = 'allow'\nlease_ttl = '2s'",
    );
    let site = Site::new(ground, "", &jobs);
    let mut doomed = site.start("doomed").ready();
    let resting = doomed.wait("run.retrying");
    let mut other = site.start("other").ready();
    doomed.kill9();
    let taken = other.wait_where("slot.taken_over", |record| record["slot"] == resting["slot"]);
    assert_eq!(taken["from"], "doomed");
    let tries = settled(&site);
    assert_eq!(other.drain(), 0);
    let told: Vec<_> = tries
        .iter()
        .map(|run| (run.node.as_deref().unwrap(), run.outcome.as_str(), run.attempt.unwrap()))
        .collect();
    let expected =
        [("doomed", "failed", 1), ("doomed", "lease_lost", 2), ("other", "succeeded", 3)];
    assert_eq!(told, expected, "{tries:#?}");
}
