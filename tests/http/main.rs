//! The API from outside: real nodes, a real Redis, and requests byte for byte, good and bad.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/mod.rs"]
mod harness;

mod client;

mod abuse;
mod access;
mod actions;
mod cluster;
mod description;
mod metrics;
mod output;
mod speed;
mod starting;
mod streams;
