//! Slots whose holder is lost and that nobody who is there has ever heard of: they are
//! settled from the store.

use std::time::Duration;

use serde_json::Value;
use solocron::claim::{Claim, Claimant, Token, Verdict};
use solocron::ledger::Retention;
use solocron::name::{JobName, NodeName};
use solocron::node::BootId;
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::Store;
use solocron::table::ScheduleDigest;

use crate::harness::lives::TREE;
use crate::harness::node::Node;
use crate::harness::site::Ground;
use crate::harness::until;
use crate::storm;
use crate::victims::{self, LATE, TTL, up};

on_every_store! {
    a_slot_whose_witnesses_are_all_gone_is_taken_over_by_those_who_come_later
    a_slot_that_was_lost_five_hours_ago_is_taken_over_by_the_first_that_comes
    a_lost_slot_that_is_not_to_be_taken_over_is_abandoned_once_and_not_caught_up
    a_job_that_kills_every_node_that_runs_it_is_abandoned_after_max_takeovers
}

fn a_slot_whose_witnesses_are_all_gone_is_taken_over_by_those_who_come_later(ground: Ground) {
    let site = victims::site(ground, "");
    let mut nodes = Vec::from(site.start_all(["old-1", "old-2"]));
    let lost = victims::await_victim(&site, 0);
    storm::pass(&nodes, 1);
    nodes.iter_mut().for_each(Node::kill9);
    let at = up();
    victims::await_gone(&lost);
    until("its lease has lapsed", || up() - at > (TTL + LATE).as_secs_f64());

    nodes.extend(site.start_all(["new-1", "new-2"]));
    let at = up();
    let next = victims::await_successor(&site, &lost);
    assert!(next.begun - at <= 2.0, "nobody had to wait: {} s", next.begun - at);
    assert!(next.node.starts_with("new"), "{next:?}");
    victims::judge_takeover(&site, &nodes, &lost, &next);
}

/// A claim of the slot of `long` that was due `age` ago, won by a node that is gone; its
/// lease has lapsed at once.
async fn lose(store: &dyn Store, age: Duration) -> Slot {
    let mut time = store.time().await;
    for _ in 0..1000 {
        if time.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            time = store.time().await;
        }
    }
    let now = time.expect("the store is there");
    let then = SlotTime::from_unix_seconds(now.unix_millis() / 1000 - age.as_secs() as i64);
    let slot = Slot::scheduled(JobName::new("long").unwrap(), then);
    let keep = Duration::from_secs(86_400);
    let claim = Claim {
        slot: slot.clone(),
        token: Token::new(),
        ttl: Duration::from_millis(1),
        due: then.cluster_time(),
        start_by: now + Duration::from_secs(60),
        overlap: Overlap::Skip,
        max_takeovers: 3,
        takes_over: None,
        keep_record: keep,
        keep_settled: keep,
        retention: Retention { keep, per_job: 1000 },
        digest: ScheduleDigest::from_bits(1),
        advance: false,
        looks_first: false,
    };
    let claimant = Claimant {
        node: NodeName::new("gone").unwrap(),
        boot: BootId::random(),
        max_early: Duration::from_secs(5),
    };
    let claimed = store.claim(&claimant, &[claim]).await.expect("the store is there");
    assert!(matches!(claimed[0].verdict, Verdict::Won(_)), "{claimed:?}");
    slot
}

fn a_slot_that_was_lost_five_hours_ago_is_taken_over_by_the_first_that_comes(ground: Ground) {
    let site = victims::site_with(ground, "", "");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let lost = runtime.block_on(async {
        let store = site.store();
        let lost = lose(&*store, Duration::from_secs(5 * 3600)).await;
        store.close().await;
        lost
    });
    let node = site.start("new").ready();
    let word = node.wait("slot.taken_over");
    let slot = lost.at.to_string();
    assert_eq!((&word["slot"], &word["from"]), (&slot.clone().into(), &"gone".into()), "{word}");
    let life =
        victims::await_life(&site, "it has run", |life| life.slot == slot && life.ended.is_some());
    assert_eq!((life.attempt, &*life.node), (2, "new"));
    let runs = victims::await_entries(&site, &life, "succeeded");
    let told: Vec<_> = runs.iter().map(|run| (&*run.outcome, run.node.as_deref())).collect();
    assert_eq!(told, [("lease_lost", Some("gone")), ("succeeded", Some("new"))]);
    assert!(runs[0].fence < runs[1].fence, "{runs:?}");
    // It had the job's turn, which goes on to the slots that are due now.
    victims::await_life(&site, "the next slots run", |next| {
        next.key.1 > life.key.1 && next.ended.is_some()
    });
    victims::assert_no_overlap(&site);
}

/// Runs a tree in the first slot that comes to it, and nothing in others.
fn only_in_one_slot(work: &str) -> String {
    format!(
        "if mkdir chosen 2>/dev/null; then echo \"$SOLOCRON_SLOT\" > chosen/slot; fi\n\
         if [ \"$(cat chosen/slot)\" = \"$SOLOCRON_SLOT\" ]; then {work}; fi"
    )
}

fn a_lost_slot_that_is_not_to_be_taken_over_is_abandoned_once_and_not_caught_up(ground: Ground) {
    let keys = "on_crash = 'skip'\ncatch_up = 'all'";
    let site = victims::site_with(ground, &only_in_one_slot(TREE), keys);
    let mut first = site.start("first").ready();
    let lost = victims::await_victim(&site, 0);
    storm::pass([&first], 2);
    first.kill9();
    let newest = storm::newest(&first);
    victims::await_gone(&lost);
    // What is tested is an absence of a certain length.
    std::thread::sleep(TTL + Duration::from_secs(3));

    let mut nodes = site.start_all(["second", "third"]);
    for missed in [newest + 2, newest + 3] {
        victims::await_life(&site, "what nobody was there for is caught up", |life| {
            life.key.1 == missed && life.ended.is_some()
        });
    }
    let runs = victims::await_entries(&site, &lost, "abandoned");
    storm::pass(&nodes, 2);
    storm::drain(&mut nodes);

    assert_eq!(runs.len(), 1, "{runs:?}");
    let evidence = site.evidence([&first].into_iter().chain(&nodes));
    let after = evidence.runs_of(&lost.key);
    assert_eq!(after.len(), 1, "{}", evidence.story(&lost.key));
    assert_eq!((&after[0].run_id, &*after[0].outcome), (&Some(lost.run_id.clone()), "abandoned"));
    assert_eq!(site.lives().iter().filter(|life| life.key == lost.key).count(), 1);
    victims::assert_no_overlap(&site);
    let of_slot = |record: &Value| record["slot"] == lost.slot;
    let words: Vec<_> = nodes.iter().flat_map(|node| node.all("slot.abandoned", of_slot)).collect();
    assert_eq!(words.len(), 1, "one node says so: {words:?}");
    assert_eq!(
        (&words[0]["from"], &words[0]["run_id"]),
        (&"first".into(), &after[0].run_id.clone().into())
    );
    let story = site.ask(&["slot", "long", &lost.slot]);
    for reason in ["was abandoned", "node first was lost", "on_crash"] {
        assert!(story.contains(reason), "{reason:?} is not in:\n{story}");
    }
}

fn a_job_that_kills_every_node_that_runs_it_is_abandoned_after_max_takeovers(ground: Ground) {
    let work = "until [ -s \"pid-of-$SOLOCRON_NODE\" ]; do sleep 0.05; done\n\
                kill -9 \"$(cat \"pid-of-$SOLOCRON_NODE\")\"\nsleep 600";
    let site = victims::site_with(ground, &only_in_one_slot(work), "max_takeovers = 2");
    let start = |name: &str| {
        let node = site.start(name).ready();
        let pid = site.folder().join(format!("pid-of-{name}"));
        std::fs::write(pid, node.pid().to_string()).unwrap();
        node
    };
    let mut nodes = ["web-1", "web-2"].map(start);
    let mut killed: Vec<Node> = Vec::new();
    for attempt in 1..=3 {
        let life = victims::await_life(&site, "it runs again", |life| {
            life.attempt == attempt && life.ended.is_none()
        });
        let doomed = victims::holder(&mut nodes, &life);
        let status = doomed.wait_exit();
        assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status:?}");
        let pid = site.folder().join(format!("pid-of-{}", life.node));
        std::fs::remove_file(pid).unwrap();
        killed.push(std::mem::replace(doomed, start(&life.node)));
    }
    let lives: Vec<_> = site.lives().into_iter().filter(|life| life.ended.is_none()).collect();
    let runs = victims::await_entries(&site, &lives[0], "abandoned");
    storm::pass(&nodes, 2);
    storm::drain(&mut nodes);

    let outcomes: Vec<_> = runs.iter().map(|run| &*run.outcome).collect();
    assert_eq!(outcomes, ["lease_lost", "lease_lost", "abandoned"], "{runs:?}");
    let of_runs: Vec<_> = runs.iter().map(|run| (run.run_id.as_deref(), run.fence)).collect();
    let of_lives: Vec<_> =
        lives.iter().map(|life| (Some(&*life.run_id), Some(life.fence))).collect();
    assert_eq!(of_runs, of_lives);
    assert!(runs.is_sorted_by_key(|run| run.fence), "{runs:?}");
    let error = runs[2].error.as_deref().unwrap_or_default();
    assert!(error.contains("taken over 2 times"), "{error}");
    victims::assert_no_overlap(&site);
    let of_slot = |record: &Value| record["slot"] == lives[0].slot;
    let everybody = || killed.iter().chain(&nodes);
    for (event, times) in [("slot.taken_over", 2), ("slot.abandoned", 1)] {
        let told: usize = everybody().map(|node| node.count(event, of_slot)).sum();
        assert_eq!(told, times, "{event}");
    }
}
