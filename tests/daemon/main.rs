//! The main promise from outside: real daemons, real stores, real jobs, and an
//! oracle that the jobs themselves write.
//!
//! A storm lasts `SOLOCRON_TEST_STORM_SECONDS`, 20 by default. The nodes of a test
//! that fails leave their whole logs in the folder `SOLOCRON_TEST_LOGS`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/mod.rs"]
mod harness;

/// Makes a test of each function, on every store.
macro_rules! on_every_store {
    ($($(#[$doc:meta])* $name:ident)+) => {
        mod sqlite {
            use crate::harness::site::Ground;
            $($(#[$doc])* #[test] fn $name() { super::$name(Ground::Sqlite); })+
        }
        mod redis {
            use crate::harness::site::Ground;
            $($(#[$doc])* #[test] fn $name() { super::$name(Ground::Redis); })+
        }
    };
}

mod bad_jobs;
mod clocks;
mod cuts;
mod failovers;
mod faults;
mod freezes;
mod instants;
mod keepers;
mod kills;
mod losses;
mod moving_buckets;
mod oracle;
mod quorums;
mod storm;
mod storms;
mod successors;
mod thrift;
mod turns;
mod victims;
mod wakings;
