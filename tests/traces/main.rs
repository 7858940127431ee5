//! OpenTelemetry traces of slots, as a collector gets them: real daemons, a real store, and
//! a real server that decodes what arrives.
//!
//! The nodes of a test that fails leave their whole logs in the folder
//! `SOLOCRON_TEST_LOGS`.

#![allow(clippy::unwrap_used, reason = "tests may")]

#[path = "../harness/mod.rs"]
mod harness;

mod collector;
mod slots;
mod troubles;
