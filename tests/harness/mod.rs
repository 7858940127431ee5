//! What tests start beside the program: real servers, real nodes, and an oracle.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod figures;
pub(crate) mod filled;
pub(crate) mod folder;
pub(crate) mod lives;
pub(crate) mod memory;
pub(crate) mod monitor;
pub(crate) mod node;
pub(crate) mod oracle;
pub(crate) mod processes;
pub(crate) mod proxy;
pub(crate) mod receiver;
pub(crate) mod redis_cluster;
pub(crate) mod redis_server;
pub(crate) mod sentinel;
pub(crate) mod site;

use std::path::Path;
use std::time::Duration;

use solocron::clock::BootInstant;

/// The longest that any test waits for a state. Only a broken program needs it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `holds`; panics with `what` when that does not come about.
pub(crate) fn until(what: &str, holds: impl FnMut() -> bool) {
    until_within(PATIENCE, what, holds);
}

/// The same for what takes longer.
pub(crate) fn until_within(patience: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let begun = BootInstant::now();
    while !holds() {
        assert!(BootInstant::now().since(begun) < patience, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The lines of a file that somebody may be writing to; none where there is no file yet.
///
/// A write that crosses a page can be read in halves, also one to the end of a file: a
/// line counts when it is ended.
pub(crate) fn ended_lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    lines.map(str::to_owned).collect()
}
