//! Ways to use the rules wrongly, each of which must be found out (a model that finds
//! nothing shows something only if it finds these), and what is not promised to be
//! survived: that it is not promised is necessary.

use stateright::{Checker, HasDiscoveries, Model, Path};

use crate::laws::{EVERY_SLOT_ENDS, FENCE_GROWS, LAWS, NOTHING_AFTER_DONE, ONE_END, ONE_RUN};
use crate::modes::tell;
use crate::scene::{Policies, Scene};
use crate::world::{Action, Bounds, Cluster, Fault, State};

/// What is done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Trust in a lease counts from when the answer came, not from when the request was sent.
    TrustCountsFromTheAnswer,
    /// A slot that is done has no record; its lock is deleted.
    DoneIsADelete,
    /// Renewals and completions are not asked for their token and the number of their run.
    NobodyAsksForTheToken,
    /// A keeper relies on its daemon to tell it when the lease is over.
    KeepersHaveNoTimer,
    /// A held slot is taken over before its lease has lapsed.
    TakesOverAtOnce,
    /// A claim without an answer is taken for won.
    UnknownIsTakenForWon,
    /// A win moves the cursor although earlier slots may have no record.
    CursorMovesBlindly,
    /// Whether a slot has a record is asked before the store's time, not after it.
    RecordsBeforeTheTime,
}

const SKIP: Policies =
    Policies { overlap: "skip", on_crash: "takeover", catch_up: "none", attempts: 1 };
const ALLOW: Policies = Policies { overlap: "allow", ..SKIP };

const BOUNDS: Bounds = Bounds { nodes: 2, budget: 1, calm: 5, horizon: 18, longest: 5 };

/// A history in which a law is broken, if there is one.
fn counterexample(cluster: Cluster, search: Search) -> Option<Found> {
    let checker = cluster.checker().finish_when(HasDiscoveries::AnyFailures);
    let mut found = match search {
        Search::Shortest => checker.spawn_bfs().join().discoveries(),
        Search::AnyOfAlike => {
            checker.symmetry_fn(State::representative).spawn_dfs().join().discoveries()
        }
    };
    LAWS.into_iter().find_map(|law| found.remove(law).map(|path| (law, path)))
}

/// The law, and what breaks it.
type Found = (&'static str, Path<State, Action>);

/// What is looked for.
#[derive(Clone, Copy)]
enum Search {
    /// A short history, for people.
    Shortest,
    /// One history of all that are alike but for which node is which.
    AnyOfAlike,
}

fn cluster(
    policies: Policies,
    faults: &'static [Fault],
    budget: u8,
    broken: Option<Broken>,
) -> Cluster {
    let bounds = Bounds { budget, ..BOUNDS };
    Cluster { scene: Scene::new(policies), bounds, faults, broken, reaches: &[] }
}

const LATE: [Broken; 2] = [Broken::CursorMovesBlindly, Broken::NobodyAsksForTheToken];

/// One of `laws` is broken, and the history that breaks it is told.
fn is_found_out(what: &str, cluster: Cluster, laws: &[&str]) -> Path<State, Action> {
    // What shows late, or needs three nodes, is far from the beginning.
    let far = cluster.bounds.nodes > 2 || LATE.iter().any(|late| cluster.broken == Some(*late));
    let search = if far { Search::AnyOfAlike } else { Search::Shortest };
    let Some((law, path)) = counterexample(cluster, search) else {
        panic!("{what}: nothing found")
    };
    println!("{what}: it is not so that {law}:");
    tell(&path);
    assert!(laws.contains(&law), "{what}: {law}");
    path
}

fn breaks(broken: Broken, policies: Policies, faults: &'static [Fault], laws: &[&str]) {
    is_found_out(&format!("{broken:?}"), cluster(policies, faults, 1, Some(broken)), laws);
}

#[test]
fn trust_that_counts_from_the_answer_lets_two_run() {
    let faults = &[Fault::Slow, Fault::Freeze];
    let laws = &[ONE_RUN, NOTHING_AFTER_DONE];
    let broken = Broken::TrustCountsFromTheAnswer;
    is_found_out("trust from the answer", cluster(SKIP, faults, 2, Some(broken)), laws);
}

#[test]
fn a_slot_that_is_deleted_when_it_is_done_runs_again() {
    let laws = &[ONE_END, NOTHING_AFTER_DONE];
    // While the cursor is known to be past a slot, that holds late claims off as well.
    breaks(Broken::DoneIsADelete, ALLOW, &[Fault::Outage], laws);
}

#[test]
fn who_is_not_asked_for_the_token_ends_the_run_of_another() {
    let laws = &[ONE_RUN, NOTHING_AFTER_DONE, ONE_END];
    breaks(Broken::NobodyAsksForTheToken, ALLOW, &[Fault::Freeze], laws);
}

#[test]
fn a_keeper_without_a_timer_lets_two_run() {
    breaks(Broken::KeepersHaveNoTimer, ALLOW, &[Fault::Freeze], &[ONE_RUN]);
}

#[test]
fn a_takeover_that_does_not_wait_for_the_lease_lets_two_run() {
    breaks(Broken::TakesOverAtOnce, ALLOW, &[], &[ONE_RUN]);
}

#[test]
fn a_claim_without_an_answer_that_is_taken_for_won_lets_two_run() {
    breaks(Broken::UnknownIsTakenForWon, ALLOW, &[Fault::Slow], &[ONE_RUN, FENCE_GROWS]);
}

#[test]
fn a_cursor_that_moves_blindly_loses_a_slot() {
    let broken = Broken::CursorMovesBlindly;
    breaks(broken, ALLOW, &[Fault::Outage], &[EVERY_SLOT_ENDS]);
}

#[test]
fn records_that_are_read_before_the_time_end_a_slot_twice() {
    let faults = &[Fault::Freeze, Fault::Outage];
    let broken = Broken::RecordsBeforeTheTime;
    let laws = &[ONE_END, NOTHING_AFTER_DONE];
    let mut cluster = cluster(ALLOW, faults, 2, Some(broken));
    cluster.bounds.nodes = 3;
    is_found_out("records before the time", cluster, laws);
}

#[test]
fn a_store_that_loses_its_tail_is_rightly_not_promised_to_be_survived() {
    let laws = &[ONE_RUN, NOTHING_AFTER_DONE, ONE_END];
    let path = is_found_out("a lost tail", cluster(ALLOW, &[Fault::LosesTail], 1, None), laws);
    // What the remedy rests on: the fence grows all the same, by the time that has gone by.
    assert!(!path.last_state().fence_went_back);
    assert!(
        counterexample(cluster(ALLOW, &[Fault::Outage], 1, None), Search::AnyOfAlike).is_none(),
        "one that keeps it is"
    );
}

#[test]
fn a_machine_frozen_with_its_keepers_is_rightly_not_promised_to_be_survived() {
    let path =
        is_found_out("a frozen machine", cluster(ALLOW, &[Fault::Machine], 1, None), &[ONE_RUN]);
    // What the remedy rests on: the fence of the second run is the larger one.
    assert!(!path.last_state().fence_went_back);
}

#[test]
fn a_store_whose_clock_jumps_is_rightly_not_promised_to_be_survived() {
    let laws = &[ONE_RUN, NOTHING_AFTER_DONE];
    is_found_out("a clock that jumps", cluster(ALLOW, &[Fault::Jump], 1, None), laws);
}
