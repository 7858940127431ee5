//! Whole clusters on a clock of their own: the node's engine, and a store in memory
//! that decides by the real rules, under random histories of everything that can go
//! wrong. Each history follows from a seed.
//!
//! `SOLOCRON_TEST_SEQUENCES` says how many are tried (2,000 by default, `tests/run
//! --long` tries more); `SOLOCRON_TEST_SEED` repeats the one of that seed and prints
//! what happened in it.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/memory/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod memory;

mod deeds;
mod history;
mod oracle;
mod runs;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use world::World;

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The guarantee of one history: panics where it is broken.
fn hold(seed: u64, tell: bool) {
    let mut world = World::new(seed, tell);
    world.suffer();
    world.recover();
    world.give_account();
}

#[test]
fn whatever_happens_a_slot_has_one_live_run_and_one_end() {
    if let Some(seed) = from_environment("SOLOCRON_TEST_SEED") {
        return hold(seed, true);
    }
    let sequences = from_environment("SOLOCRON_TEST_SEQUENCES").unwrap_or(2_000);
    let first = fastrand::u64(..u64::MAX / 4);
    let seeds = AtomicU64::new(first);
    let try_some = || {
        loop {
            let seed = seeds.fetch_add(1, Ordering::Relaxed);
            if seed >= first + sequences {
                return None;
            }
            if catch_unwind(AssertUnwindSafe(|| hold(seed, false))).is_err() {
                seeds.store(u64::MAX / 2, Ordering::Relaxed);
                return Some(seed);
            }
        }
    };
    let broken = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let trying: Vec<_> = (0..threads).map(|_| scope.spawn(try_some)).collect();
        trying.into_iter().filter_map(|thread| thread.join().unwrap()).next()
    });
    if let Some(seed) = broken {
        panic!("history {seed} breaks the guarantee: SOLOCRON_TEST_SEED={seed} tells it");
    }
}

#[test]
fn a_history_follows_from_its_seed_to_the_letter() {
    let story = |seed| {
        let mut world = World::new(seed, false);
        world.suffer();
        world.recover();
        world.story()
    };
    for seed in 0..20 {
        assert_eq!(story(seed), story(seed));
    }
    assert_ne!(story(1), story(2));
}
