//! One server of a quorum, which keeps what the others keep (`store::quorum::slots`).
//!
//! What it is asked is answered by scripts (`scripts/replica/`). What it keeps of slots
//! stands in the same keys as on a server that is the whole store, but for the locks: a
//! lease is what the record says of it. So it is read in the same way.

mod acceptor;
mod changes;
mod contents;
mod copying;
mod line;
mod reading;

use std::sync::Arc;

use crate::store::redis::Options;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Link;

#[cfg(any(test, fuzzing))]
pub(super) use acceptor::read_all;
#[cfg(any(test, fuzzing))]
pub(super) use line::{read as read_line, write as write_line};

/// See the module's head.
#[derive(Debug)]
pub struct RedisReplica {
    link: Arc<Link>,
    keys: Keys,
}

impl RedisReplica {
    /// One that connects in the background from now on.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn open(options: Options) -> Self {
        let keys = Keys::of_replica(&options.cluster);
        Self { link: Arc::new(Link::open(options)), keys }
    }
}
