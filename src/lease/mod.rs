//! The lease: what the winner of a slot holds while it runs.
//!
//! Invariants:
//!
//! - Trust counts from when the request that was granted was *sent*, on a clock
//!   that counts suspended time: `trusted_until = sent + ttl − margin`. The store
//!   cannot have begun to count earlier, so a run that is gone by
//!   `trusted_until` is gone before the lock can lapse.
//! - A renewal that was not answered proves nothing: trust stays where it was and
//!   the renewal is tried again. An answer that the slot is not ours ends it at once.
//! - Renewal is every quarter of the TTL, and all leases of a node go together:
//!   when one is due, so is every other that is half-way there.

#[cfg(feature = "daemon")]
pub mod book;
mod token;

use std::time::Duration;

pub use self::token::{Fence, Token};

use crate::clock::BootInstant;

/// What is taken off a TTL: the clocks of node and store may differ in speed by
/// one percent (the drift that Redlock allows), and a process needs a moment to die.
pub fn margin(ttl: Duration) -> Duration {
    ttl / 100 + Duration::from_millis(2)
}

/// Until when a lease of `ttl` may be trusted that was granted to a request sent at `sent`.
pub fn trusted_until(sent: BootInstant, ttl: Duration) -> BootInstant {
    sent + ttl.saturating_sub(margin(ttl))
}

/// How long a run has between TERM and KILL when its lease is lost. Short enough
/// that it survives a store outage of nearly half the TTL.
pub fn grace_on_loss(kill_grace: Duration, ttl: Duration) -> Duration {
    kill_grace.min(ttl / 4)
}

/// How long after the send of the last granted request the next renewal is due.
pub fn renew_every(ttl: Duration) -> Duration {
    ttl / 4
}

/// How long a call to the store may take on a node whose shortest lease is `ttl`:
/// after one without an answer there is still time for several more.
pub fn longest_call(ttl: Duration) -> Duration {
    (ttl / 8).max(Duration::from_millis(100))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trust_ends_before_the_lock_can_lapse() {
        let sent = BootInstant::from_nanos(5_000_000_000);
        for ttl in [1_000, 1_500, 30_000, 3_600_000].map(Duration::from_millis) {
            assert!(trusted_until(sent, ttl) < sent + ttl);
        }
    }

    #[test]
    fn a_run_survives_an_outage_of_nearly_half_the_ttl() {
        let ttl = Duration::from_secs(30);
        let sent = BootInstant::from_nanos(0);
        let last_chance =
            trusted_until(sent, ttl).minus(grace_on_loss(Duration::from_secs(60), ttl));
        let outage_begins = sent + renew_every(ttl);
        assert!(last_chance.since(outage_begins) > ttl * 48 / 100);
    }
}
