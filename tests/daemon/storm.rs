//! A storm: nodes at work for a while, then everything is held against everything.

use std::time::Duration;

use crate::harness::node::Node;
use crate::harness::oracle::{Account, Evidence, Fault, Scope, second};
use crate::harness::site::Site;
use crate::harness::{PATIENCE, until};
use solocron::clock::BootInstant;

/// How long a storm lasts.
pub(crate) fn length() -> Duration {
    let seconds = std::env::var("SOLOCRON_TEST_STORM_SECONDS").ok();
    Duration::from_secs(seconds.map_or(20, |text| text.parse().expect("a number of seconds")))
}

/// Whether storms are to be long.
pub(crate) fn is_long() -> bool {
    length() >= Duration::from_secs(120)
}

/// The newest slot that the node has a verdict on; none yet is 0.
pub(crate) fn newest(node: &Node) -> i64 {
    let verdicts = ["slot.claimed", "slot.skipped"].map(|event| {
        let slots = node.events(event);
        slots.iter().filter_map(|record| record["slot"].as_str().map(second)).max()
    });
    verdicts.into_iter().flatten().max().unwrap_or(0)
}

/// Waits until every node has come to a slot that is `seconds` after the newest
/// that any has come to now. Returns the last slot before that.
pub(crate) fn pass<'a>(nodes: impl IntoIterator<Item = &'a Node>, seconds: i64) -> i64 {
    let nodes: Vec<_> = nodes.into_iter().collect();
    for node in &nodes {
        until(&format!("{} has come to a first slot", node.name), || newest(node) > 0);
    }
    let goal = nodes.iter().map(|node| newest(node)).max().expect("there are nodes") + seconds;
    for node in &nodes {
        let arrived = |record: &serde_json::Value| {
            record["slot"].as_str().is_some_and(|slot| second(slot) >= goal)
        };
        until(&format!("{} has come {seconds} slots further", node.name), || {
            node.count("slot.claimed", arrived) + node.count("slot.skipped", arrived) > 0
        });
    }
    goal - 1
}

/// Waits until every node has come to a first slot; the last slot before which
/// nothing is promised.
pub(crate) fn begin<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> i64 {
    pass(nodes, 1)
}

/// The scope of the jobs `prefix-1` to `prefix-count`.
pub(crate) fn scope(count: usize, after: i64, upto: i64) -> Scope {
    let jobs = (1..=count).map(|n| format!("tick-{n}")).collect();
    Scope { jobs, after, upto, ..Scope::default() }
}

/// Waits until every slot of `scope` has its end in the ledger; not for ever: what
/// has none then is what the test is about.
pub(crate) fn settle(site: &Site, scope: &Scope) {
    let begun = BootInstant::now();
    while !site.evidence([]).open(scope).is_empty() && BootInstant::now().since(begun) < PATIENCE {
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Drains all nodes at once.
pub(crate) fn drain<'a>(nodes: impl IntoIterator<Item = &'a mut Node>) {
    let mut nodes: Vec<_> = nodes.into_iter().collect();
    nodes.iter().for_each(|node| node.terminate());
    for node in &mut nodes {
        assert_eq!(node.drained(), 0, "{} ended runs", node.name);
        assert_eq!(node.strays(), [""; 0], "{} has no word but its log", node.name);
    }
}

/// Fails with everything that is known about the first faults, if there are any.
pub(crate) fn assert_none(faults: &[Fault], evidence: &Evidence) {
    let mut keys: Vec<_> = faults.iter().map(|(key, _)| key).collect();
    keys.dedup();
    let stories: String = keys.iter().take(3).map(|key| evidence.story(key)).collect();
    let texts: Vec<_> = faults.iter().take(10).map(|(_, text)| text).collect();
    assert!(faults.is_empty(), "{} faults: {texts:#?}\n{stories}", faults.len());
}

/// Nothing is wrong in the file, the ledger and the logs; what became of the slots.
pub(crate) fn judge(evidence: &Evidence, scope: &Scope) -> Account {
    let account = evidence.account(scope);
    assert_none(&account.faults, evidence);
    let (_, faults) = evidence.logs_against_file(scope);
    assert_none(&faults, evidence);
    account
}

/// The same, and every slot ran.
pub(crate) fn judge_all_ran(evidence: &Evidence, scope: &Scope) {
    let account = judge(evidence, scope);
    assert_eq!(account.ran, scope.keys().count(), "{account:?}");
}
