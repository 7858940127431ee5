//! The store's tests: one contract suite that every backend passes, and beside
//! it what is special to each.

#[macro_use]
mod contract;
#[path = "../harness/mod.rs"]
mod harness;
mod redis;
mod sqlite;
