//! Alerts: what people are told of their jobs, once for the cluster: real daemons, real
//! stores, real jobs, and a real server that is told.
//!
//! The nodes of a test that fails leave their whole logs in the folder
//! `SOLOCRON_TEST_LOGS`.

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

mod losses;
mod means;
mod once;
mod troubles;
