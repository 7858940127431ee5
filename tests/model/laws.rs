//! What must hold in every state, and what must be reached for that to mean something.
//!
//! That every slot has an end is a property of states as well: time only grows, every
//! step that is not a second going by uses something up, so every history reaches the
//! horizon, and there the slots are looked at. (The checker's own `eventually` may
//! overlook a history that joins another; this does not.) A state in which nothing can
//! happen any more before that is a panic.

use solocron::outcome::{CancelCause, Outcome, Ready};
use solocron::policy::Overlap;
use stateright::{Model, Property};

use crate::run::Stage;
use crate::scene::SLOTS;
use crate::store::{Rec, Stand};
use crate::world::{Action, Cluster, State, Way};

pub(crate) const ONE_RUN: &str = "a slot has one live run";
pub(crate) const NOTHING_AFTER_DONE: &str = "nothing runs after done";
pub(crate) const FENCE_GROWS: &str = "a fence never goes back";
pub(crate) const ONE_END: &str = "a slot is recorded once";
pub(crate) const TURNS: &str = "slots that take turns never run together";
pub(crate) const EVERY_SLOT_ENDS: &str = "every slot ends";

/// What must never be.
pub(crate) const LAWS: [&str; 6] =
    [ONE_RUN, NOTHING_AFTER_DONE, FENCE_GROWS, ONE_END, TURNS, EVERY_SLOT_ENDS];

impl Model for Cluster {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.beginnings()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.what_may_happen(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        Some(self.after(state, action))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut laws = vec![
            Property::always(ONE_RUN, |_: &Cluster, state: &State| {
                (0..SLOTS).all(|slot| state.live(slot) <= 1)
            }),
            Property::always(NOTHING_AFTER_DONE, |_: &Cluster, state: &State| {
                (0..SLOTS).all(|slot| !is_done(state, slot) || state.live(slot) == 0)
            }),
            Property::always(FENCE_GROWS, |_: &Cluster, state: &State| !state.fence_went_back),
            Property::always(ONE_END, |_: &Cluster, state: &State| {
                state.held.ledger.iter().all(|told| told.ends <= 1 && !told.twice)
            }),
            Property::always(TURNS, |cluster: &Cluster, state: &State| {
                cluster.scene.job.policies.overlap == Overlap::Allow
                    || (0..SLOTS).filter(|&slot| state.live(slot) > 0).count() <= 1
            }),
            Property::always(EVERY_SLOT_ENDS, |cluster: &Cluster, state: &State| {
                let open = |slot: usize| state.held.ledger[slot].ends == 0;
                state.now < cluster.bounds.horizon || !(0..SLOTS).any(open)
            }),
        ];
        laws.extend(
            REACHED
                .into_iter()
                .filter(|(name, _)| self.reaches.contains(name))
                .map(|(name, holds)| Property::sometimes(name, holds)),
        );
        laws
    }
}

fn is_done(state: &State, slot: usize) -> bool {
    state.held.ledger[slot].ends > 0 || state.acknowledged[slot]
}

type Holds = fn(&Cluster, &State) -> bool;

fn some_record(state: &State, is: impl Fn(&Rec) -> bool) -> bool {
    state.held.records.iter().flatten().any(is)
}

fn some_end(state: &State, end: Outcome) -> bool {
    state.held.ledger.iter().any(|told| told.end == Some(end))
}

/// What a model may have to reach.
const REACHED: [(&str, Holds); 12] = [
    ("taken over", |_: &Cluster, state: &State| {
        some_record(state, |one| one.takeovers > 0 && one.stand == Stand::Running)
    }),
    ("abandoned", |_: &Cluster, state: &State| some_end(state, Outcome::Abandoned)),
    ("missed", |_: &Cluster, state: &State| some_end(state, Outcome::Missed)),
    ("cancelled", |_: &Cluster, state: &State| some_end(state, Outcome::Cancelled)),
    ("caught up", |_: &Cluster, state: &State| {
        some_record(state, |one| one.stand == Stand::Ready(Ready::CatchUp))
    }),
    ("waits", |_: &Cluster, state: &State| {
        some_record(state, |one| one.stand == Stand::Ready(Ready::Waiting))
    }),
    ("handed over", |_: &Cluster, state: &State| {
        some_record(state, |one| one.stand == Stand::Ready(Ready::HandedOver))
    }),
    ("replaced", |_: &Cluster, state: &State| {
        some_record(state, |one| one.cancel == Some(CancelCause::Replaced))
    }),
    ("together", |_: &Cluster, state: &State| (0..SLOTS).all(|slot| state.live(slot) > 0)),
    ("tried again", |_: &Cluster, state: &State| {
        let runs = state.nodes.iter().flat_map(|node| node.runs).flatten();
        runs.into_iter().any(|run| run.failures > 0 && run.stage == Stage::Alive)
    }),
    ("outlives its first lease", |cluster: &Cluster, state: &State| {
        let ttl = cluster.scene.ttl().as_secs() as u8;
        let mut runs = state.nodes.iter().flat_map(|node| node.runs).flatten();
        runs.any(|run| run.stage == Stage::Alive && state.now - run.began >= ttl)
    }),
    ("a late copy finds it done", |_: &Cluster, state: &State| {
        state.flights.iter().any(|flight| {
            let slot = flight.slot().map(usize::from);
            let late = flight.way == Way::There && !flight.awaited;
            late && slot.is_some_and(|slot| state.held.ledger[slot].ends > 0)
        })
    }),
];
