//! Who keeps a job from outliving its run, from outside: daemon, warden, keeper and job
//! are killed and stopped, alone and together, and nothing of the job's tree is left.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests may")]

#[path = "../harness/mod.rs"]
mod harness;

mod faults;
mod many;
mod scene;
