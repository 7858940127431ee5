//! The book of a node's leases: which are renewed when.
//!
//! Invariant: every lease stands once in the order of renewals, with when it is due. So
//! what comes next is known without a look at all leases, which are looked at only when
//! one is due.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::claim::Token;
use crate::clock::BootInstant;
use crate::lease::{renew_every, trusted_until};

/// How soon a renewal without an answer is tried again: a fraction of the TTL,
/// so that several tries fit into what is left of the trust.
fn retry_after(ttl: Duration) -> Duration {
    (ttl / 40).clamp(Duration::from_millis(25), Duration::from_secs(1))
}

/// One lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Lease {
    ttl: Duration,
    /// When the last granted request was sent.
    granted: BootInstant,
    /// Not before this instant again: a try without an answer moves it.
    retry: Option<BootInstant>,
}

impl Lease {
    fn due(&self) -> BootInstant {
        self.retry.unwrap_or(self.granted + renew_every(self.ttl))
    }
}

/// The leases that a node holds. Pure: it is given the time.
#[derive(Debug, Default)]
pub struct Book {
    leases: BTreeMap<Token, Lease>,
    /// Of each lease when it is due.
    order: BTreeSet<(BootInstant, Token)>,
    in_flight: bool,
}

impl Book {
    /// Enters a lease that was granted to a request sent at `sent`.
    pub fn enter(&mut self, token: Token, ttl: Duration, sent: BootInstant) {
        self.strike(token);
        let lease = Lease { ttl, granted: sent, retry: None };
        self.order.insert((lease.due(), token));
        self.leases.insert(token, lease);
    }

    /// Changes a lease, if it is in the book.
    fn change(&mut self, token: Token, change: impl FnOnce(&mut Lease)) {
        if let Some(lease) = self.leases.get_mut(&token) {
            self.order.remove(&(lease.due(), token));
            change(lease);
            self.order.insert((lease.due(), token));
        }
    }

    /// Strikes a lease out.
    pub fn strike(&mut self, token: Token) {
        if let Some(lease) = self.leases.remove(&token) {
            self.order.remove(&(lease.due(), token));
        }
    }

    /// Whether the lease is still in the book.
    pub fn holds(&self, token: Token) -> bool {
        self.leases.contains_key(&token)
    }

    /// How many leases there are.
    pub fn len(&self) -> usize {
        self.leases.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    /// Until when `token` may be trusted.
    pub fn trusted_until(&self, token: Token) -> Option<BootInstant> {
        self.leases.get(&token).map(|lease| trusted_until(lease.granted, lease.ttl))
    }

    /// When the next renewal is due. None while one is under way: one at a time.
    pub fn next_renewal(&self) -> Option<BootInstant> {
        if self.in_flight {
            return None;
        }
        self.order.first().map(|&(due, _)| due)
    }

    /// Takes what to renew at `now`: nothing unless one is due, and then every
    /// lease that is at least half-way to its next renewal.
    pub fn take_due(&mut self, now: BootInstant) -> Vec<Token> {
        if self.next_renewal().is_none_or(|due| due > now) {
            return Vec::new();
        }
        self.in_flight = true;
        self.leases
            .iter()
            .filter(|(_, lease)| now >= lease.due().minus(renew_every(lease.ttl) / 2))
            .map(|(&token, _)| token)
            .collect()
    }

    /// The renewal sent at `sent` was granted for `token`.
    pub fn granted(&mut self, token: Token, sent: BootInstant) {
        self.change(token, |lease| {
            lease.granted = lease.granted.max(sent);
            lease.retry = None;
        });
    }

    /// The renewal of `token` brought no answer.
    pub fn unanswered(&mut self, token: Token, now: BootInstant) {
        self.change(token, |lease| lease.retry = Some(now + retry_after(lease.ttl)));
    }

    /// The renewal under way has ended, however.
    pub fn landed(&mut self) {
        self.in_flight = false;
    }

    /// The store can be reached again: tries without an answer are due now.
    pub fn store_is_back(&mut self, now: BootInstant) {
        let waiting = |(&token, lease): (&Token, &Lease)| lease.retry.map(|_| token);
        for token in self.leases.iter().filter_map(waiting).collect::<Vec<_>>() {
            self.change(token, |lease| lease.retry = lease.retry.map(|retry| retry.min(now)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> BootInstant {
        BootInstant::from_nanos(millis * 1_000_000)
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lease_is_renewed_every_quarter_of_its_ttl() {
        let token = Token::new();
        let mut book = Book::default();
        book.enter(token, seconds(8), at(0));
        assert_eq!(book.take_due(at(1_999)), []);
        assert_eq!(book.take_due(at(2_000)), [token]);
        assert_eq!(book.next_renewal(), None, "one renewal at a time");
        book.granted(token, at(2_000));
        book.landed();
        assert_eq!(book.next_renewal(), Some(at(4_000)));
    }

    #[test]
    fn leases_that_are_half_way_go_along_and_long_ones_do_not() {
        let [first, second, long] = [Token::new(), Token::new(), Token::new()];
        let mut book = Book::default();
        book.enter(first, seconds(8), at(0));
        book.enter(second, seconds(8), at(900));
        book.enter(long, seconds(3600), at(0));
        let mut due = book.take_due(at(2_000));
        due.sort_unstable_by_key(|token| token.to_string());
        assert_eq!(due, [first, second]);
    }

    #[test]
    fn a_renewal_without_an_answer_is_tried_again_and_grants_nothing() {
        let token = Token::new();
        let mut book = Book::default();
        book.enter(token, seconds(8), at(0));
        let trusted = book.trusted_until(token);
        book.take_due(at(2_000));
        book.unanswered(token, at(2_500));
        book.landed();
        assert_eq!(book.trusted_until(token), trusted);
        assert_eq!(book.next_renewal(), Some(at(2_700)));
        book.store_is_back(at(2_600));
        assert_eq!(book.take_due(at(2_600)), [token]);
    }

    #[test]
    fn the_order_of_renewals_is_that_of_the_leases_whatever_comes() {
        let tokens = [(); 3].map(|()| Token::new());
        let mut book = Book::default();
        let mut random = fastrand::Rng::with_seed(7);
        for step in 0..10_000 {
            let (now, token) = (at(step * 10), tokens[random.usize(..tokens.len())]);
            match random.u8(..7) {
                0 => book.enter(token, seconds(random.u64(1..9)), now),
                1 => book.strike(token),
                2 => book.granted(token, now),
                3 => book.unanswered(token, now),
                4 => book.store_is_back(now),
                5 => drop(book.take_due(now)),
                _ => book.landed(),
            }
            let dues = book.leases.iter().map(|(&token, lease)| (lease.due(), token));
            assert_eq!(book.order, dues.collect());
        }
    }

    #[test]
    fn trust_counts_from_the_send_and_never_goes_back() {
        let token = Token::new();
        let mut book = Book::default();
        book.enter(token, seconds(8), at(0));
        book.granted(token, at(2_000));
        book.granted(token, at(1_000));
        assert_eq!(book.trusted_until(token), Some(trusted_until(at(2_000), seconds(8))));
    }
}
