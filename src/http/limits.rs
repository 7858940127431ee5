//! How much anybody may ask, so that nobody keeps the node from its work.
//!
//! Invariant: what is remembered of clients is bounded; where there are too many, those
//! that were quiet for the longest are forgotten.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::BootInstant;

/// So many requests a second may go on from one address,
const RATE: u64 = 100;
/// after so many at once.
const BURST: u64 = 400;

/// So many wrong tokens at once from one address, and one more every so often.
const WRONG: u64 = 10;
const WRONG_EVERY: Duration = Duration::from_secs(6);

/// So many clients are remembered.
const CLIENTS: usize = 10_000;

/// So many may stay at once for what changes.
const STAYING: usize = 256;

/// So many requests are answered at a time; the others wait for their turn.
const AT_A_TIME: usize = 64;

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Limits {
    requests: Mutex<Buckets>,
    wrong: Mutex<Buckets>,
    staying: Arc<Semaphore>,
    /// Turns to be answered.
    pub(crate) turns: Arc<Semaphore>,
}

impl Default for Limits {
    fn default() -> Self {
        let interval = Duration::from_secs(1) / u32::try_from(RATE).unwrap_or(1);
        Self {
            requests: Mutex::new(Buckets::new(BURST, interval)),
            wrong: Mutex::new(Buckets::new(WRONG, WRONG_EVERY)),
            staying: Arc::new(Semaphore::new(STAYING)),
            turns: Arc::new(Semaphore::new(AT_A_TIME)),
        }
    }
}

impl Limits {
    /// Counts a request of `client`; whether it may be answered.
    pub(crate) fn may_ask(&self, client: IpAddr, now: BootInstant) -> bool {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).take(client, now)
    }

    /// Whether `client` has not sent too many wrong tokens.
    pub(crate) fn may_sign_in(&self, client: IpAddr, now: BootInstant) -> bool {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).has(client, now)
    }

    /// Counts a wrong token of `client`.
    pub(crate) fn note_wrong(&self, client: IpAddr, now: BootInstant) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).take(client, now);
    }

    /// A place for one who stays, if there is one.
    pub(crate) fn stay(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.staying).try_acquire_owned().ok()
    }
}

/// A bucket for each client, that fills as time goes by.
///
/// Of each only one instant is held: when its bucket is full again.
#[derive(Debug)]
struct Buckets {
    size: u64,
    interval: Duration,
    full_at: HashMap<IpAddr, BootInstant>,
}

impl Buckets {
    fn new(size: u64, interval: Duration) -> Self {
        Self { size, interval, full_at: HashMap::new() }
    }

    fn has(&self, client: IpAddr, now: BootInstant) -> bool {
        let full_at = self.full_at.get(&client).copied().unwrap_or(now).max(now);
        let most = self.interval * u32::try_from(self.size - 1).unwrap_or(u32::MAX);
        full_at.since(now) <= most
    }

    fn take(&mut self, client: IpAddr, now: BootInstant) -> bool {
        let has = self.has(client, now);
        if self.full_at.len() >= CLIENTS && !self.full_at.contains_key(&client) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= CLIENTS {
                // Too many at once for anybody's good.
                self.full_at.clear();
            }
        }
        if has {
            let full_at = self.full_at.entry(client).or_insert(now);
            *full_at = (*full_at).max(now) + self.interval;
        }
        has
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(n: u32) -> IpAddr {
        std::net::Ipv4Addr::from(n).into()
    }

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos((1_000_000 + millis) * 1_000_000)
    }

    #[test]
    fn a_bucket_gives_what_it_holds_and_then_what_flows_in() {
        let mut buckets = Buckets::new(3, Duration::from_millis(100));
        let taken = |buckets: &mut Buckets, millis| buckets.take(client(1), at(millis));
        let at_once: Vec<_> = (0..5).map(|_| taken(&mut buckets, 0)).collect();
        assert_eq!(at_once, [true, true, true, false, false]);
        assert!(buckets.take(client(2), at(0)), "another's is its own");
        assert!(!taken(&mut buckets, 99) && taken(&mut buckets, 100) && !taken(&mut buckets, 150));
        let later: Vec<_> = (0..4).map(|_| taken(&mut buckets, 10_000)).collect();
        assert_eq!(later, [true, true, true, false], "no fuller than it was");
    }

    #[test]
    fn no_more_clients_are_remembered_than_there_is_room_for() {
        let mut buckets = Buckets::new(3, Duration::from_millis(100));
        for n in 0..30_000 {
            assert!(buckets.take(client(n), at(0)));
            assert!(buckets.full_at.len() <= CLIENTS);
        }
    }
}
