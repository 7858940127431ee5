//! The daemon: one node at work, from its first question to the store to its last word.
//!
//! - [`engine`] decides, without I/O and without a clock.
//! - [`shell`] turns timers, signals, replies and ended runs into events for the
//!   engine, and carries its actions out.
//! - [`outbox`] keeps what must reach the store; [`gaps`] settles slots that
//!   nobody ran; [`runs`] are the tasks that execute, [`outputs`] what they print so far.

pub mod engine;
pub mod gaps;
pub mod outbox;
pub mod outputs;
pub mod runs;
pub mod shell;
