//! The `solocron` binary: the process's life on a page.
//!
//! 1. The command line is read (`cli`).
//! 2. The config is loaded and checked, every error at once (`config`).
//! 3. `run` installs the log, opens the store, and hands both to the daemon's
//!    shell, which works until a signal asks it to drain (`daemon`).
//! 4. The node's first run starts a warden, this program once more, under which all
//!    jobs live (`run`).
//! 5. The exit code says how it went.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A node starts its warden from this same program: that one stays in here.
    solocron::run::serve_if_warden();
    solocron::cli::main(std::env::args_os())
}
