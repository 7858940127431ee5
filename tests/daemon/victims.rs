//! What the tests of crashes share: a job whose first run does not end by itself and
//! whose node can be struck, and what has to be true of the run after it.

use std::time::Duration;

use serde_json::Value;
use solocron::clock::BootInstant;

use crate::harness::lives::{Life, TREE, TREE_SIZE, lively};
use crate::harness::node::Node;
use crate::harness::oracle::Entry;
use crate::harness::processes;
use crate::harness::site::{Ground, Site, every_second};
use crate::harness::until;

/// The lease of the job `long`.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// Within what all processes of a lost run are gone, once somebody has to end them:
/// `min(kill_grace, ttl/4)`, `kill_grace` being 10 s, and a second for a machine that
/// has other work as well.
pub(crate) const GONE_WITHIN: Duration = Duration::from_millis(750 + 1000);

/// What a busy machine may add to an instant that was promised.
pub(crate) const LATE: Duration = Duration::from_secs(1);

/// A cluster with the job `long`, due every second, whose slots do not overlap. The
/// first run of a slot is a [`TREE`], every other ends at once.
pub(crate) fn site(ground: Ground, keys: &str) -> Site {
    let work = format!("if [ \"$SOLOCRON_ATTEMPT\" = 1 ]; then {TREE}; fi");
    site_with(ground, &work, keys)
}

/// The same with the work `work`.
pub(crate) fn site_with(ground: Ground, work: &str, keys: &str) -> Site {
    let keys = format!("lease_ttl = '3s'\n{keys}");
    Site::new(ground, "", &every_second("long", &lively(work), &keys))
}

/// Now, in the seconds in which the jobs tell time.
pub(crate) fn up() -> f64 {
    BootInstant::now().since(BootInstant::from_nanos(0)).as_secs_f64()
}

/// Waits for a run that is wanted.
pub(crate) fn await_life(site: &Site, what: &str, wanted: impl Fn(&Life) -> bool) -> Life {
    let mut found = None;
    until(what, || {
        found = site.lives().into_iter().rfind(&wanted);
        found.is_some()
    });
    found.expect("it was waited for")
}

/// Waits for the whole tree of a first run of a slot after the slot `after`.
pub(crate) fn await_victim(site: &Site, after: i64) -> Life {
    let life = await_life(site, "a first run has begun", |life| {
        life.attempt == 1 && life.key.1 > after && life.ended.is_none()
    });
    until("its whole tree is there", || {
        let pids = processes::of_run(&life.run_id);
        pids.len() == TREE_SIZE && pids.iter().all(|pid| processes::name(*pid) == "sleep")
    });
    life
}

/// Waits for the end of the run after `lost`, of the same slot.
pub(crate) fn await_successor(site: &Site, lost: &Life) -> Life {
    await_life(site, "the slot has run again", |life| {
        life.key == lost.key && life.attempt == lost.attempt + 1 && life.ended.is_some()
    })
}

/// Waits until nothing of the run is left; how long that took.
pub(crate) fn await_gone(life: &Life) -> Duration {
    let begun = BootInstant::now();
    until("nothing of the run is left", || processes::of_run(&life.run_id).is_empty());
    BootInstant::now().since(begun)
}

/// The ledger's runs of a slot, once the last of them has the outcome `last`.
pub(crate) fn await_entries(site: &Site, life: &Life, last: &str) -> Vec<Entry> {
    let mut runs = Vec::new();
    until(&format!("the slot is settled as {last}"), || {
        let evidence = site.evidence([]);
        runs = evidence.runs_of(&life.key).into_iter().cloned().collect();
        runs.last().is_some_and(|run| run.outcome == last)
    });
    runs
}

/// No two runs of the job lived at once.
pub(crate) fn assert_no_overlap(site: &Site) {
    let overlaps: Vec<_> = site.lives().into_iter().filter(|life| life.overlaps).collect();
    assert!(overlaps.is_empty(), "another run lived when they began: {overlaps:#?}");
}

/// Everything that must be true once `next` has taken over from `lost`: no overlap, a
/// larger fence, one word in the logs, two entries in the ledger.
pub(crate) fn judge_takeover<'a>(
    site: &Site,
    nodes: impl IntoIterator<Item = &'a Node>,
    lost: &Life,
    next: &Life,
) {
    let nodes: Vec<_> = nodes.into_iter().collect();
    let story = || site.evidence(nodes.iter().copied()).story(&lost.key);
    assert_no_overlap(site);
    assert_ne!(lost.node, next.node, "{}", story());
    assert!(next.fence > lost.fence, "the fence grows: {lost:?} {next:?}");

    let runs = await_entries(site, lost, "succeeded");
    let told: Vec<_> = runs.iter().map(|run| (&*run.outcome, run.node.as_deref())).collect();
    let expected =
        [("lease_lost", Some(lost.node.as_str())), ("succeeded", Some(next.node.as_str()))];
    assert_eq!(told, expected, "{}", story());
    for (run, life) in runs.iter().zip([lost, next]) {
        assert_eq!(run.run_id.as_ref(), Some(&life.run_id), "{}", story());
        assert_eq!((run.attempt, run.fence), (Some(life.attempt), Some(life.fence)));
    }

    let of_slot = |record: &Value| record["job"] == "long" && record["slot"] == lost.slot;
    let words: Vec<_> =
        nodes.iter().flat_map(|node| node.all("slot.taken_over", of_slot)).collect();
    let [word] = &words[..] else { panic!("not one node says so: {words:?}\n{}", story()) };
    assert_eq!(word["from"], lost.node);
    assert_eq!(word["node"], next.node);
    assert_eq!(word["run_id"], lost.run_id);
    assert_eq!(site.lives().iter().filter(|life| life.key == lost.key).count(), 2);
}

/// The node that runs `life`.
pub(crate) fn holder<'a>(nodes: &'a mut [Node], life: &Life) -> &'a mut Node {
    let found = nodes.iter_mut().find(|node| node.name == life.node);
    found.unwrap_or_else(|| panic!("{} is not among the nodes", life.node))
}

/// Everything that the store knows of the slot, as `solocron slot` prints it for scripts.
pub(crate) fn slot_story(site: &Site, life: &Life) -> String {
    site.ask(&["slot", &life.key.0, &life.slot, "--format", "json"])
}
