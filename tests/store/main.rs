//! The store's tests: one contract suite that every backend passes, and beside
//! it what is special to each.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

#[macro_use]
mod contract;
#[path = "../harness/mod.rs"]
mod harness;
mod memory;
mod quorum;
mod redis;
mod redis_cluster;
mod sentinel;
mod sqlite;
