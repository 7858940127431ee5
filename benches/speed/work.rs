//! The jobs that are measured.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A job whose runs end before anything is started: the user does not exist. So a slot
/// is claimed, won, completed and written into the ledger, and what the machine can
/// start in a second bounds nothing: two cores start some hundreds of processes.
pub(crate) fn nothing(name: &str, schedule: &str) -> String {
    format!(
        "[jobs.{name}]\nschedule = '{schedule}'\nuser = 'no-such-user'\ncommand = ['true']\n\
         overlap = 'allow'\nstart_within = '10s'\n"
    )
}

/// So many of them.
pub(crate) fn nothings(count: usize, schedule: &str) -> String {
    (0..count).map(|n| nothing(&format!("job-{n:05}"), schedule)).collect()
}

/// Builds `first_instruction.rs` in `folder`: a program that reads the clock before
/// anything else.
pub(crate) fn first_instruction(folder: &Path) -> PathBuf {
    let program = folder.join("first-instruction");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/speed/first_instruction.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let built = Command::new(rustc)
        .args(["--edition", "2024", "-O", "-C", "panic=abort", "-C", "strip=symbols"])
        .args(["-C", "target-feature=+crt-static", "-C", "relocation-model=static"])
        .args(["-C", "link-args=-nostartfiles -nostdlib", "-o"])
        .args([program.as_path(), source.as_path()])
        .status();
    assert!(built.unwrap().success(), "first_instruction.rs cannot be built");
    program
}
