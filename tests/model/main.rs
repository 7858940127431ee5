//! The protocol in a model checker: every history of a few nodes and two slots of a job in
//! which a bounded number of things goes wrong, one after another, none left out.
//!
//! **Shared with the daemon, so it cannot drift from it**: the store's steps and rules
//! (`store::ground`, `store::rules`); the lease's arithmetic (`lease`); when a keeper
//! sends TERM and KILL (`run::decide`); what a node decides about verdicts, answers, ended
//! runs and open slots (`daemon::engine::rules`); which slots were missed, and what of
//! them is caught up (`ledger::missed`, `daemon::gaps`, `policy`); the job, its schedule
//! and its windows (`table`, read from a job table).
//!
//! **Abstracted**, and what holds that against the code:
//!
//! | here | there | held by |
//! |---|---|---|
//! | time is whole seconds; a wait between two tries ends with the second | milliseconds | `tests/simulation`, which drives the engine itself |
//! | a store of a few bytes (`store`) | databases | `replay`, and the contract that all stores pass (`tests/store`) |
//! | what is due at a node is done at once, one request for each slot | desk, book and outboxes, in batches | unit tests of these; `tests/simulation` |
//! | a slot is claimed when it is due by the node's clock | up to half a second ahead, and runs wait | `engine/tests/waiting`, `tests/daemon/instants` |
//! | a keeper is in time | keepers are processes | `tests/keeper`, `tests/daemon` |
//! | a node with an end of a slot still to write takes no other claim of it | it may | `tests/simulation` |
//! | no pause, trigger or reload; records do not expire | | `tests/policies`, `tests/store` |
//!
//! What goes wrong ([`Fault`](world::Fault)): answers and requests lost, late by any time,
//! repeated; daemons dying and starting again, frozen between any two steps, told to leave;
//! the store away; a clock that is wrong. What the guarantee does not promise to survive
//! (a store that loses its tail, a machine frozen with its keepers, a store's clock that
//! jumps) is here too, and its counterexamples are: so these denials are necessary.
//!
//! `SOLOCRON_TEST_MODEL=full cargo test --release --test model -- --nocapture` explores the
//! full bounds and prints the table of `tests/GUARANTEE.md`; without it the bounds are short.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/memory/mod.rs"]
#[allow(dead_code, reason = "each test binary uses a part of it")]
mod memory;

mod broken;
mod choices;
mod laws;
mod modes;
mod node;
mod replay;
mod requests;
mod run;
mod scene;
mod steps;
mod store;
mod symmetry;
mod world;
