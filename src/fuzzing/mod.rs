//! What holds of whatever is read, be it good or bad: the bodies of the fuzz targets in
//! `fuzz/`. Each takes bytes and panics where something does not hold.
//!
//! They are in the crate because what they try is not seen from outside; they are built
//! for tests, which give them all that `fuzz/corpus` has, and for `cargo fuzz`.

mod config;
mod crontab;
mod names;
mod requests;
mod schedule;
mod template;

#[cfg(test)]
mod tests;

pub use config::config;
pub use crontab::crontab;
pub use names::lock_name;
pub use requests::http_request;
pub use schedule::schedule;
pub use template::template;

/// What a Redis answers, as it comes over the connection: everything that reads answers
/// takes it or says that it cannot be read, and what was read is written so that it is
/// read as the same.
pub fn store_reply(bytes: &[u8]) {
    crate::store::redis::fuzzing::read(bytes);
}
