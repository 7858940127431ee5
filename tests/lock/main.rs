//! The lock library's tests: one table of cases that every backend passes, and beside it
//! what is special to each.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
#![expect(clippy::print_stdout, reason = "figures are told, and children speak so")]

#[path = "../harness/mod.rs"]
mod harness;

mod children;
mod contract;
mod quorum;
mod redis;
mod redis_cluster;
mod sentinel;
mod sqlite;
mod watched;
