//! The program from outside: its command line, what it says about bad input,
//! and the life of its process. One module for each thing that people do.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on panics")]

#[path = "../harness/mod.rs"]
mod harness;

mod bench;

mod check;
mod control;
mod demo;
mod drain;
mod environment;
mod failures;
mod guarantee;
mod history;
mod import;
mod lock;
mod log_forms;
mod next;
mod output;
mod printed;
mod readme;
mod redis;
mod service;
mod settings;
mod slot;
mod state;
mod status;
