//! Whole clusters on a clock of their own: the node's engine, and a store in memory
//! that decides by the real rules, under random histories of everything that can go
//! wrong. Each history follows from a seed.
//!
//! `SOLOCRON_TEST_SEQUENCES` says how many are tried (2,000 by default, `tests/run
//! --long` tries more); `SOLOCRON_TEST_SEED` repeats the one of that seed and prints
//! what happened in it. Beside them are many replicas on one store (`crowd`).

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/memory/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod memory;

mod crowd;
mod deeds;
mod history;
mod oracle;
mod runs;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use oracle::Account;
use world::{Scale, World};

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The guarantee of one history: panics where it is broken.
fn hold(seed: u64, scale: Scale, tell: bool) -> Account {
    let mut world = World::new(seed, scale, tell);
    world.suffer();
    world.recover();
    world.give_account()
}

/// How many histories of a minute are tried.
fn sequences() -> u64 {
    from_environment("SOLOCRON_TEST_SEQUENCES").unwrap_or(2_000)
}

/// So many histories on all cores, from a seed drawn at random on.
fn hold_many(histories: u64, scale: Scale) {
    if let Some(seed) = from_environment("SOLOCRON_TEST_SEED") {
        hold(seed, scale, true);
        return;
    }
    let first = fastrand::u64(..u64::MAX / 4);
    let seeds = AtomicU64::new(first);
    let try_some = || {
        let mut total = Account::default();
        loop {
            let seed = seeds.fetch_add(1, Ordering::Relaxed);
            if seed >= first + histories {
                return Ok(total);
            }
            match catch_unwind(AssertUnwindSafe(|| hold(seed, scale, false))) {
                Ok(account) => total += account,
                Err(_) => {
                    seeds.store(u64::MAX / 2, Ordering::Relaxed);
                    return Err(seed);
                }
            }
        }
    };
    let told: Vec<_> = std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let trying: Vec<_> = (0..threads).map(|_| scope.spawn(try_some)).collect();
        trying.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut total = Account::default();
    for told in told {
        match told {
            Ok(account) => total += account,
            Err(seed) => {
                panic!("history {seed} breaks the guarantee: SOLOCRON_TEST_SEED={seed} tells it")
            }
        }
    }
    let Account { slots, runs } = total;
    println!(
        "{histories} histories from seed {first} on: {slots} slots, {runs} runs, no violation"
    );
}

#[test]
fn whatever_happens_a_slot_has_one_live_run_and_one_end() {
    hold_many(sequences(), Scale::Minute);
}

/// One history for a thousand short ones: of days in a long run, of hours otherwise.
#[test]
fn through_days_of_schedule_a_slot_has_one_live_run_and_one_end() {
    let longest_calm = if sequences() < 10_000 { 600 } else { 2 * 3_600 };
    hold_many(sequences().div_ceil(1_000), Scale::Days(longest_calm));
}

#[test]
fn a_history_follows_from_its_seed_to_the_letter() {
    let story = |seed| {
        let mut world = World::new(seed, Scale::Minute, false);
        world.suffer();
        world.recover();
        world.story()
    };
    for seed in 0..20 {
        assert_eq!(story(seed), story(seed));
    }
    assert_ne!(story(1), story(2));
}
