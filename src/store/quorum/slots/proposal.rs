//! One proposal to the journal, from the first ballot to the change that stands there.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;

use super::acceptor::{Ballot, Change, Pending, Position, Promise};
use super::cells::{Cell, Content, Write};
use super::draft::{Draft, Known};
use super::journal::Journal;
use super::poll::Shortfall;
use super::tally::{self, Next, Standing};
use crate::clock::ClusterTime;
use crate::store::{Result, StoreError};

/// See the module's head.
pub(super) struct Proposal<'a, S, T> {
    journal: &'a Arc<Journal>,
    step: S,
    /// The change that servers were asked to accept, and of which nobody knows yet whether
    /// it stands in the journal.
    open: Option<Open<T>>,
    /// The ballot under which the change was chosen.
    chosen: Option<Ballot>,
    /// Where the journal ended when it was decided that there is nothing to write.
    standing: Option<Standing>,
    /// Promises of an earlier epoch do not count.
    least_epoch: Position,
    /// Why it has come no further.
    why: String,
}

struct Open<T> {
    at: Position,
    change: Change,
    /// What came of the step.
    result: T,
}

/// What came of one ballot.
enum Round<T> {
    Decided(T),
    Again,
    /// Others were in the way.
    Contended,
}

impl<'a, T: Send, S: Fn(&mut Draft<'_>) -> T + Send + Sync> Proposal<'a, S, T> {
    pub(super) fn of(journal: &'a Arc<Journal>, step: S) -> Self {
        let why = "too many calls wait".to_owned();
        Self { journal, step, open: None, chosen: None, standing: None, least_epoch: 0, why }
    }

    /// The ballot under which its change was chosen; none if that was somebody else's.
    pub(super) fn ballot(&self) -> Option<Ballot> {
        self.chosen
    }

    /// Where the journal ended, if its step wrote nothing.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.standing
    }

    /// Proposes until it is decided.
    pub(super) async fn decide(&mut self, turn: OwnedMutexGuard<()>) -> Result<T> {
        let mut turn = Some(turn);
        let cells = self.first_cells();
        let mut contended = 0;
        loop {
            match self.round(&cells, &mut turn).await? {
                Round::Decided(result) => return Ok(result),
                Round::Again => {}
                Round::Contended => {
                    "others propose at the same time".clone_into(&mut self.why);
                    self.journal.pace.pause(contended).await;
                    contended += 1;
                }
            }
        }
    }

    /// The cells that the step reads as far as that shows without knowing any.
    fn first_cells(&self) -> Arc<[Cell]> {
        let known = Known::new();
        let mut draft = Draft::new(ClusterTime::from_unix_micros(0), &known);
        (self.step)(&mut draft);
        let mut cells = vec![Cell::Fence];
        cells.extend_from_slice(draft.missing());
        cells.into()
    }

    async fn round(
        &mut self,
        cells: &Arc<[Cell]>,
        turn: &mut Option<OwnedMutexGuard<()>>,
    ) -> Result<Round<T>> {
        let ballot = self.journal.next_ballot();
        let promises = match self.journal.prepare(ballot, cells, self.least_epoch).await {
            Ok(promises) => promises,
            Err(Shortfall::Contended) => return Ok(Round::Contended),
            Err(Shortfall::Short(why)) => return Err(self.failed(why)),
        };
        match tally::next(self.journal.servers.len(), &promises) {
            None => Ok(Round::Contended),
            Some(Next::Stale { ahead, epoch, behind }) => {
                self.journal.bring_up(ahead, &behind);
                self.least_epoch = epoch;
                Ok(Round::Again)
            }
            Some(Next::Finish { at, pending, is_chosen }) => {
                self.finish(ballot, at, pending, is_chosen, &promises).await
            }
            Some(Next::Propose(standing)) => {
                if let Some(result) = self.found(standing).await? {
                    return Ok(Round::Decided(result));
                }
                self.propose(ballot, standing, cells, promises, turn).await
            }
        }
    }

    /// Finishes what was left half-done; it may be our own.
    async fn finish(
        &mut self,
        ballot: Ballot,
        at: Position,
        Pending { ballot: accepted_under, change }: Pending,
        is_chosen: bool,
        promises: &[(usize, Promise)],
    ) -> Result<Round<T>> {
        let ahead = promises.iter().max_by_key(|(_, promise)| promise.position);
        let ahead = ahead.map_or(0, |(server, _)| *server);
        let mut under = accepted_under;
        if !is_chosen {
            under = ballot;
            match self.journal.accept(ballot, at, &change, ahead).await {
                Ok(()) => {}
                Err(Shortfall::Contended) => return Ok(Round::Contended),
                Err(Shortfall::Short(why)) => return Err(self.failed(why)),
            }
        }
        let applied = self.journal.commit(under, at, ahead).await;
        match self.open.take_if(|open| open.change.id == change.id) {
            Some(open) => {
                self.chosen = Some(under);
                Ok(Round::Decided(open.result))
            }
            None => match applied {
                Err(Shortfall::Short(why)) => Err(self.failed(why)),
                _ => Ok(Round::Again),
            },
        }
    }

    /// What came of the change that is open, if it stands in the journal. If another stands
    /// in its place, it is open no more.
    async fn found(&mut self, standing: Standing) -> Result<Option<T>> {
        let Some(open) = &self.open else { return Ok(None) };
        if standing.position >= open.at {
            let ahead = &self.journal.servers[standing.server];
            let stands = match ahead.journal(open.at - 1).await {
                Ok(changes) => changes.and_then(|changes| changes.into_iter().next()),
                Err(error) => return Err(self.failed(error.to_string())),
            };
            let Some(stands) = stands else {
                // It was emptied in between, or the journal goes on from a later place.
                return Err(self.failed(format!("{} does not tell", ahead.describe())));
            };
            let open = self.open.take();
            return Ok(open.filter(|open| open.change.id == stands.id).map(|open| open.result));
        }
        Ok(None)
    }

    async fn propose(
        &mut self,
        ballot: Ballot,
        standing: Standing,
        cells: &[Cell],
        promises: Vec<(usize, Promise)>,
        turn: &mut Option<OwnedMutexGuard<()>>,
    ) -> Result<Round<T>> {
        let (at, now) = (standing.position + 1, self.journal.clocks.now(standing.last));
        // One that is open is proposed again, as it was: a server may have accepted it that
        // nobody has heard of, and two of one step must not both be chosen, one by somebody
        // else. The cells are still what it was made from.
        let open = match self.open.take() {
            Some(open) if open.at == at => open,
            Some(open) => {
                self.open = Some(open);
                return Err(self.failed("servers have lost what they had".to_owned()));
            }
            None => match self.make(standing, now, cells, promises).await? {
                None => return Ok(Round::Contended),
                Some((writes, result)) if writes.is_empty() => {
                    self.standing = Some(standing);
                    self.journal.release(ballot);
                    return Ok(Round::Decided(result));
                }
                Some((writes, result)) => {
                    let server = &self.journal.servers[standing.server];
                    Open { at, change: server.change(at, now, &writes), result }
                }
            },
        };
        let change = open.change.clone();
        self.open = Some(open);
        match self.journal.accept(ballot, at, &change, standing.server).await {
            Ok(()) => {
                self.chosen = Some(ballot);
                if let Some(turn) = turn.take() {
                    self.journal.commit_behind(ballot, at, standing.server, turn);
                }
                Ok(self.open.take().map_or(Round::Again, |open| Round::Decided(open.result)))
            }
            Err(Shortfall::Contended) => Ok(Round::Contended),
            Err(Shortfall::Short(why)) => Err(self.failed(why)),
        }
    }

    /// Makes the step from what stood in the cells at `standing`; none when another change
    /// came in between.
    async fn make(
        &self,
        standing: Standing,
        now: ClusterTime,
        cells: &[Cell],
        promises: Vec<(usize, Promise)>,
    ) -> Result<Option<(Vec<Write>, T)>> {
        let promise = promises.into_iter().find(|(server, _)| *server == standing.server);
        let contents = promise.map(|(_, promise)| promise.contents).unwrap_or_default();
        let mut known: Known = cells.iter().cloned().zip(contents).collect();
        loop {
            if let Some(Content::Unreadable(why)) = known.get(&Cell::Fence) {
                return Err(StoreError::Corrupt(why.clone()));
            }
            let mut draft = Draft::new(now, &known);
            let result = (self.step)(&mut draft);
            let missing = draft.missing().to_vec();
            if missing.is_empty() {
                return Ok(Some((draft.into_writes(), result)));
            }
            let server = &self.journal.servers[standing.server];
            let read = server.read(&missing).await;
            let (position, contents) = read.map_err(|error| self.failed(error.to_string()))?;
            if position != standing.position {
                return Ok(None);
            }
            known.extend(missing.into_iter().zip(contents).collect::<HashMap<_, _>>());
        }
    }

    /// What to say when nothing more can be done.
    fn failed(&self, why: String) -> StoreError {
        match self.open {
            None => StoreError::Unavailable(why),
            Some(_) => StoreError::Unknown(why),
        }
    }

    /// The same, when `bound` is over.
    pub(super) fn out_of_time(&self, bound: Duration) -> StoreError {
        self.failed(format!("no majority agreed within {bound:?}: {}", self.why))
    }
}
