//! The model's store against the store in memory, which passes the contract of all stores:
//! along random histories both are asked the same, and say and hold the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use solocron::store::ground::Ground;
use solocron::store::rules::{Record, RecordState};
use stateright::Model;

use crate::memory::MemoryStore;
use crate::modes;
use crate::requests::carry_out;
use crate::scene::{SLOTS, at, tick_of};
use crate::store::{Rec, Stand};
use crate::world::{Action, Cluster, Op, Reply, State};

/// How many histories.
const HISTORIES: u64 = 300;

/// Longer than any history.
const LONG: Duration = Duration::from_secs(1_000_000);

/// What the action asks of the store.
fn asked(state: &State, action: Action) -> Option<(u8, Op)> {
    match action {
        Action::Ask(n, op) | Action::AskTwice(n, op) => Some((n, op)),
        Action::Apply(i) => {
            let flight = state.flights[usize::from(i)];
            Some((flight.node, flight.op))
        }
        _ => None,
    }
}

/// Fences are kept by their order here, and by their number there.
fn without_fence(reply: Reply) -> Reply {
    match reply {
        Reply::Won { attempt, failures, .. } => Reply::Won { fence: 0, attempt, failures },
        other => other,
    }
}

fn agree(cluster: &Cluster, state: &State, memory: &MemoryStore) {
    let scene = &cluster.scene;
    memory.look(|step| {
        for (slot, kept) in (0..).zip(&state.held.records) {
            let Ok(there) = step.record(&scene.slots[usize::from(slot)]);
            let same = match (&there, kept) {
                (None, None) => true,
                (Some(there), Some(kept)) => same_record(cluster, slot, there, kept),
                _ => false,
            };
            assert!(same, "slot {slot}: {there:#?} is not {kept:#?}");
            assert_eq!(step.recorded(&scene.slots[usize::from(slot)]), state.held.recorded(slot));
        }
        let Ok(cursor) = step.cursor(&scene.key);
        assert_eq!(cursor, Some(scene.cursor_at(state.held.cursor)));
        let shown: Vec<_> = step.sweep(10).open.into_iter().map(|open| open.slot).collect();
        let open = state.held.open(scene, state.store_now());
        let mut named: Vec<_> = open.into_iter().map(|(_, open)| open.slot).collect();
        // Which of those comes first that wait equally long is nobody's concern.
        let by_name = |mut slots: Vec<_>| {
            slots.sort();
            slots
        };
        named = by_name(named);
        assert_eq!(by_name(shown), named);
    });
}

fn same_record(cluster: &Cluster, slot: u8, there: &Record, kept: &Rec) -> bool {
    let scene = &cluster.scene;
    let stand = match there.state {
        RecordState::Running => Stand::Running,
        RecordState::Ready(why) => Stand::Ready(why),
        RecordState::Settled(outcome) => Stand::Settled(outcome),
    };
    let open = there.is_open();
    stand == kept.stand
        && scene.tok(slot, there.token) == kept.token
        && there.attempt == u32::from(kept.attempt)
        && there.handed_over_by.len() == kept.handed_over_by.len()
        && (!open
            || tick_of(there.lapses_at) == kept.lapses_at
                && there.takeovers == u32::from(kept.takeovers)
                && there.cancel == kept.cancel)
}

#[test]
fn the_store_of_the_model_is_the_store_in_memory() {
    for mode in modes::clusters() {
        for seed in 0..HISTORIES {
            go_along(&mode, &mut fastrand::Rng::with_seed(seed));
        }
    }
}

fn go_along(cluster: &Cluster, rng: &mut fastrand::Rng) {
    let clock = Arc::new(AtomicI64::new(at(0).unix_micros()));
    let memory = MemoryStore::at(Arc::clone(&clock));
    let scene = &cluster.scene;
    memory.look(|step| step.open_cursor(&scene.key, scene.cursor_at(0), LONG));
    let mut beginnings = cluster.init_states();
    let mut state = beginnings.swap_remove(rng.usize(..beginnings.len()));
    let mut fences = [0; SLOTS];
    let mut actions = Vec::new();
    loop {
        cluster.actions(&state, &mut actions);
        if actions.is_empty() {
            return;
        }
        let action = actions[rng.usize(..actions.len())];
        actions.clear();
        let next = cluster.next_state(&state, action).unwrap();
        clock.store(at(state.store_now()).unix_micros(), Ordering::Relaxed);
        if let Some((n, op)) = asked(&state, action) {
            let there = memory.look(|step| carry_out(step, scene, n, op, None));
            let here = cluster.apply(&mut state.clone(), n, op);
            assert_eq!(without_fence(here), without_fence(there), "{op:?}");
            if let (Reply::Won { fence, .. }, Op::Claim { slot, .. }) = (there, op) {
                let last = &mut fences[usize::from(slot)];
                assert!(fence >= *last);
                *last = fence;
            }
            agree(cluster, &next, &memory);
        }
        clock.store(at(next.store_now()).unix_micros(), Ordering::Relaxed);
        state = next;
    }
}
