//! What a job wants when a slot cannot simply run, and what people ask of the whole
//! cluster: real daemons, real stores, real jobs.
//!
//! A storm lasts `SOLOCRON_TEST_STORM_SECONDS`, 20 by default. The nodes of a test
//! that fails leave their whole logs in the folder `SOLOCRON_TEST_LOGS`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/mod.rs"]
mod harness;

#[allow(dead_code, reason = "the daemon's tests use all of it")]
#[path = "../daemon/storm.rs"]
mod storm;

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

mod answers;
mod book;
mod cancel;
mod catch_up;
mod overlap;
mod pause;
mod placing;
mod reload;
mod retry;
mod trigger;
