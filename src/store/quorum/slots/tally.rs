//! What the promises of a majority mean. Pure.
//!
//! Two majorities have a server in common. So where a majority accepted a change, every
//! majority that promises a later ballot has a server that tells of it: as one that is
//! pending at the largest position, or as a larger position.
//!
//! A server that came back empty breaks a promise that it has forgotten. So promises count
//! together only if they are of one epoch, the journal's last: one that was given before
//! its server was emptied is of an earlier one than any that can be in its way
//! (`membership`).

use super::acceptor::{Pending, Position, Promise};
use crate::clock::ClusterTime;
use crate::store::quorum::majority;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Somebody else's change stands at `at`, or may: it comes first.
    Finish {
        /// Its place in the journal.
        at: Position,
        /// The change, and the latest ballot under which it was accepted.
        pending: Pending,
        /// Whether a majority is known to have accepted it.
        is_chosen: bool,
    },
    /// Nothing stands behind `position`, and nothing of an earlier ballot will.
    Propose(Standing),
    /// These promised in an earlier epoch than the server `ahead`, from which they are to
    /// learn the rest.
    Stale {
        /// It has applied the most.
        ahead: usize,
        /// Its epoch.
        epoch: Position,
        /// Each with its position.
        behind: Vec<(usize, Position)>,
    },
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    /// The last position.
    pub(super) position: Position,
    /// A server that has applied all of it.
    pub(super) server: usize,
    /// The instant of the change there.
    pub(super) last: ClusterTime,
}

/// What `promises` of a majority of `count` servers, each with the number of its server, mean.
pub(super) fn next(count: usize, promises: &[(usize, Promise)]) -> Option<Next> {
    let (server, ahead) = promises.iter().max_by_key(|(_, promise)| promise.position)?;
    let behind = promises.iter().filter(|(_, promise)| promise.epoch != ahead.epoch);
    let behind: Vec<_> = behind.map(|(number, promise)| (*number, promise.position)).collect();
    if !behind.is_empty() {
        return Some(Next::Stale { ahead: *server, epoch: ahead.epoch, behind });
    }
    let at = ahead.position + 1;
    let pending: Vec<&Pending> = promises
        .iter()
        .filter(|(_, promise)| promise.position == ahead.position)
        .filter_map(|(_, promise)| promise.pending.as_ref())
        .collect();
    if let Some(latest) = pending.iter().max_by_key(|pending| pending.ballot.round) {
        let same = |pending: &&&Pending| pending.ballot == latest.ballot;
        return Some(Next::Finish {
            at,
            pending: (*latest).clone(),
            is_chosen: pending.iter().filter(same).count() >= majority(count),
        });
    }
    let (position, last) = (ahead.position, ahead.last);
    Some(Next::Propose(Standing { position, server: *server, last }))
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::super::acceptor::{Ballot, Change};
    use super::*;

    fn at(micros: i64) -> ClusterTime {
        ClusterTime::from_unix_micros(micros)
    }

    fn pending(round: u64) -> Option<Pending> {
        let ballot = Ballot { round, proposer: Uuid::from_u128(1) };
        let change = Change { id: Uuid::from_u128(round.into()), bytes: Vec::new() };
        Some(Pending { ballot, change })
    }

    fn promise(position: Position, pending: Option<Pending>, clock: i64) -> Promise {
        let (clock, last) = (at(clock), at(100));
        Promise { position, epoch: 0, pending, clock, last, contents: Vec::new() }
    }

    #[test]
    fn a_promise_of_an_earlier_epoch_counts_for_nothing() {
        let anew = Promise { epoch: 8, ..promise(9, None, 0) };
        let promises = [(0, promise(7, pending(3), 0)), (1, anew.clone()), (2, anew)];
        assert_eq!(
            next(5, &promises),
            Some(Next::Stale { ahead: 2, epoch: 8, behind: vec![(0, 7)] })
        );
    }

    #[test]
    fn where_nothing_is_pending_the_next_change_stands_behind_the_largest_position() {
        let promises =
            [(0, promise(7, None, 200)), (2, promise(8, None, 900)), (4, promise(8, None, 300))];
        let standing = Standing { position: 8, server: 4, last: at(100) };
        assert_eq!(next(5, &promises), Some(Next::Propose(standing)));
    }

    #[test]
    fn what_is_pending_at_the_largest_position_comes_first_under_the_latest_ballot() {
        let promises = [
            (0, promise(8, pending(3), 0)),
            (1, promise(8, pending(5), 0)),
            (2, promise(7, pending(9), 0)),
        ];
        let finish = |is_chosen| Next::Finish { at: 9, pending: pending(5).unwrap(), is_chosen };
        assert_eq!(next(5, &promises), Some(finish(false)));
        let promises: Vec<_> = (0..3).map(|server| (server, promise(8, pending(5), 0))).collect();
        assert_eq!(next(5, &promises), Some(finish(true)));
    }
}
