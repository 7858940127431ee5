//! How fast solocron is, beside floors and peers measured in the same run:
//! `cargo bench --bench speed`.
//!
//! Prints one table. Behind `--`, names choose topics: `cargo bench --bench speed --
//! lateness start` measures those two; an unknown name lists all. Nodes are real
//! daemons, the store is a real Redis on a port of its own, and each figure is the
//! median of at least five runs unless its row says otherwise. Ends with 1 when a row
//! is not reached.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a bench may")]

#[path = "../../tests/harness/mod.rs"]
mod harness;

#[allow(dead_code, reason = "the tests of the page use the rest")]
#[path = "../../tests/page/browser.rs"]
mod browser;
#[allow(dead_code, reason = "the tests of the API use the rest")]
#[path = "../../tests/http/client.rs"]
mod client;

mod claims;
mod figures;
mod lateness;
mod many;
mod memory;
mod pages;
mod quiet;
mod race;
mod row;
mod spawning;
mod start;
mod tables;
mod takeover;
mod traffic;
mod work;

use std::process::ExitCode;

use row::Row;

#[global_allocator]
static HEAP: memory::Counting = memory::Counting;

/// A name, and what measures its rows.
type Topic = (&'static str, fn() -> Vec<Row>);

/// What can be chosen by name, in the order of the table.
const TOPICS: &[Topic] = &[
    ("lateness", lateness::rows),
    ("lateness-of-1000", many::lateness),
    ("loss", many::loss),
    ("claims", claims::rows),
    ("race", race::rows),
    ("trips", traffic::trips),
    ("tables", tables::rows),
    ("spawning", spawning::rows),
    ("takeover", takeover::rows),
    ("idle", traffic::idle),
    ("start", start::rows),
    ("spread", race::spread),
    ("pages", pages::rows),
];

fn main() -> ExitCode {
    // Topics that run commands in this process have their warden from this program.
    solocron::run::serve_if_warden();
    if tables::child() {
        return ExitCode::SUCCESS;
    }
    let chosen: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(unknown) = chosen.iter().find(|word| !TOPICS.iter().any(|(name, _)| name == word)) {
        let all: Vec<_> = TOPICS.iter().map(|(name, _)| *name).collect();
        let all = all.join(", ");
        eprintln!("no topic is called {unknown}; there are: {all}");
        return ExitCode::from(2);
    }
    row::print_head();
    let mut all_reached = true;
    for (name, measure) in TOPICS {
        if chosen.is_empty() || chosen.iter().any(|word| word == name) {
            for row in measure() {
                row.print();
                all_reached &= row.reached;
            }
        }
    }
    if all_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
