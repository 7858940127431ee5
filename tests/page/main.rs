//! The page, as people see it: a real browser on real clusters.
//!
//! Needs `chromium` and `chromedriver`; `tests/run` installs them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test that cannot go on panics")]

#[path = "../harness/mod.rs"]
mod harness;

mod acting;
mod browser;
mod cluster;
mod cut;
mod hostile;
mod keyboard;
mod looking;
mod looks;
mod many;
