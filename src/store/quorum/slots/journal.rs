//! The journal: changes in one order, which a majority of the servers agrees on.
//!
//! A change is proposed in two rounds. In the first the servers promise a ballot and tell
//! what they have; in the second they accept the change under it. When a majority has, it
//! stands in the journal for good, and they are told to apply it, which nobody waits for.
//! (This is Paxos, one instance for each position; the values are writes to cells.)
//!
//! Invariants:
//!
//! - At each position of the journal one change is ever chosen.
//! - A change is made from what stood in the cells at the position before its own: when
//!   another came in between, its ballot is refused, and the step is made anew.
//! - What somebody else left half-done is finished before anything else is proposed.
//! - Whom too few have promised a ballot gives back what was promised before he tries again:
//!   nobody waits for the promises of others with some in his hand.
//! - An error says whether the change may stand in the journal: it may not as long as no
//!   server was asked to accept it, or when another stands in its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use uuid::Uuid;

use super::acceptor::{Accepted, Acceptor, Ballot, Change, Glance, Position, Prepared, Promise};
use super::cells::Cell;
use super::clocks::Clocks;
use super::draft::Draft;
use super::pace::Pace;
use super::poll::{Poll, Shortfall, Vote};
use super::proposal::Proposal;
use crate::clock::{BootInstant, ClusterTime};
use crate::store::{Result, StoreError};

/// So often a look at the servers that finds somebody's proposal under way is repeated before
/// that is finished for him.
const LOOKS: u32 = 4;

/// See the module's head.
pub(super) struct Journal {
    pub(super) servers: Arc<[Arc<dyn Acceptor>]>,
    /// No proposal takes longer.
    bound: Duration,
    proposer: Uuid,
    /// The latest round seen.
    round: AtomicU64,
    pub(super) pace: Pace,
    pub(super) clocks: Clocks,
    /// One proposal at a time: those of one process would be in each other's way.
    turn: Arc<Mutex<()>>,
    /// Told when a server is found to be no member.
    amiss: Arc<Notify>,
}

/// Where the journal ends.
#[derive(Debug, Clone, Copy)]
pub(super) struct End {
    /// The last position.
    pub(super) position: Position,
    /// A server that has applied all of it.
    pub(super) server: usize,
    /// The instant.
    pub(super) now: ClusterTime,
}

impl Journal {
    /// That of `servers`.
    pub(super) fn new(
        servers: Vec<Arc<dyn Acceptor>>,
        bound: Duration,
        amiss: Arc<Notify>,
    ) -> Self {
        Self {
            clocks: Clocks::of(servers.len()),
            servers: servers.into(),
            bound,
            proposer: Uuid::new_v4(),
            round: AtomicU64::new(0),
            pace: Pace::by(BootInstant::now),
            turn: Arc::default(),
            amiss,
        }
    }

    /// Makes a step, and returns what came of it once what it writes stands in the journal.
    /// It may be tried several times, and must not do anything else.
    pub(super) async fn transact<T: Send>(
        self: &Arc<Self>,
        step: impl Fn(&mut Draft<'_>) -> T + Send + Sync,
    ) -> Result<T> {
        self.decided(&mut Proposal::of(self, step)).await
    }

    /// Begins an epoch; the ballot under which that was chosen.
    pub(super) async fn begin_epoch(self: &Arc<Self>) -> Result<Ballot> {
        let mut proposal = Proposal::of(self, |draft: &mut Draft<'_>| draft.begin_epoch());
        self.decided(&mut proposal).await?;
        proposal.ballot().ok_or_else(nothing_chosen)
    }

    async fn decided<T: Send, S: Fn(&mut Draft<'_>) -> T + Send + Sync>(
        self: &Arc<Self>,
        proposal: &mut Proposal<'_, S, T>,
    ) -> Result<T> {
        let decided = async {
            let turn = self.turn.clone().lock_owned().await;
            proposal.decide(turn).await
        };
        match tokio::time::timeout(self.bound, decided).await {
            Ok(result) => result,
            Err(_) => Err(proposal.out_of_time(self.bound)),
        }
    }

    /// Where the journal ends, with nothing under way behind it.
    pub(super) async fn end(self: &Arc<Self>) -> Result<End> {
        for look in 0..LOOKS {
            if look > 0 {
                self.pace.pause(0).await;
            }
            let glances = self.glance().await?;
            let Some((server, ahead)) = glances.iter().max_by_key(|(_, glance)| glance.position)
            else {
                continue;
            };
            let under_way =
                |(_, glance): &(_, Glance)| glance.is_pending && glance.position == ahead.position;
            if !glances.iter().any(under_way) {
                let now = self.clocks.now(ahead.last);
                return Ok(End { position: ahead.position, server: *server, now });
            }
        }
        // Whoever began it may be gone.
        let mut proposal = Proposal::of(self, |_: &mut Draft<'_>| ());
        self.decided(&mut proposal).await?;
        let standing = proposal.standing().ok_or_else(nothing_chosen)?;
        let now = self.clocks.now(standing.last);
        Ok(End { position: standing.position, server: standing.server, now })
    }

    async fn glance(&self) -> std::result::Result<Vec<(usize, Glance)>, Shortfall> {
        let (names, sent) = (self.names(), BootInstant::now());
        let mut poll =
            Poll::of(&self.servers, |_, server| Box::pin(async move { server.glance().await }));
        let mut glances = Vec::new();
        poll.majority(|number, glance| match glance {
            Some(glance) => {
                self.clocks.saw(number, sent, glance.clock);
                glances.push((number, glance));
                Vote::Counts
            }
            None => {
                self.amiss.notify_one();
                Vote::Lacks(outside(&names[number]))
            }
        })
        .await?;
        Ok(glances)
    }

    fn names(&self) -> Vec<String> {
        self.servers.iter().map(|server| server.describe()).collect()
    }

    pub(super) fn next_ballot(&self) -> Ballot {
        let round = self.round.fetch_add(1, Ordering::Relaxed) + 1;
        Ballot { round, proposer: self.proposer }
    }

    /// Asks for promises, and what stands in `cells`. Those of an epoch before `least_epoch` do
    /// not count.
    pub(super) async fn prepare(
        &self,
        ballot: Ballot,
        cells: &Arc<[Cell]>,
        least_epoch: Position,
    ) -> std::result::Result<Vec<(usize, Promise)>, Shortfall> {
        let (names, patience) = (self.names(), self.pace.patience());
        let (sent, began) = (BootInstant::now(), self.pace.now());
        let mut poll = Poll::of(&self.servers, |_, server| {
            let cells = cells.clone();
            Box::pin(async move { server.prepare(ballot, patience, &cells).await })
        });
        let (mut promises, mut promised) = (Vec::new(), Vec::new());
        let asked = poll.majority(|number, prepared| match prepared {
            Prepared::Promised(promise) => {
                promised.push(number);
                self.clocks.saw(number, sent, promise.clock);
                if promise.epoch < least_epoch {
                    // It is about to learn the rest; others may do without it.
                    return Vote::Contended;
                }
                promises.push((number, promise));
                Vote::Counts
            }
            Prepared::Refused(other) | Prepared::Busy(other) => {
                self.round.fetch_max(other.round, Ordering::Relaxed);
                Vote::Contended
            }
            Prepared::Outside => {
                self.amiss.notify_one();
                Vote::Lacks(outside(&names[number]))
            }
        });
        if let Err(short) = asked.await {
            self.give_back(ballot, promised, poll);
            return Err(short);
        }
        self.pace.took(self.pace.now().since(began));
        Ok(promises)
    }

    /// Asks all to accept `change` for `at`; those that are behind learn from `ahead` what
    /// comes before.
    pub(super) async fn accept(
        &self,
        ballot: Ballot,
        at: Position,
        change: &Change,
        ahead: usize,
    ) -> std::result::Result<(), Shortfall> {
        let (names, change) = (self.names(), Arc::new(change.clone()));
        let mut poll = Poll::of(&self.servers, |_, server| {
            let (change, ahead) = (change.clone(), self.servers[ahead].clone());
            Box::pin(async move {
                match server.accept(ballot, at, &change).await? {
                    Accepted::Behind(position) => {
                        catch_up(&*server, &*ahead, position).await?;
                        server.accept(ballot, at, &change).await
                    }
                    accepted => Ok(accepted),
                }
            })
        });
        let accepted = poll.majority(|number, accepted| match accepted {
            Accepted::Yes => Vote::Counts,
            // Which change that is is found out next.
            Accepted::Past(_) => Vote::Contended,
            Accepted::Refused(other) => {
                self.round.fetch_max(other.round, Ordering::Relaxed);
                Vote::Contended
            }
            Accepted::Behind(_) => Vote::Lacks(format!("{} is behind", names[number])),
            Accepted::Outside => Vote::Lacks(outside(&names[number])),
        });
        accepted.await
    }

    /// Tells all that the change at `at` was chosen under `ballot`; those that are behind
    /// learn the rest from `ahead`, which has all before it. Returns when a majority has
    /// applied it, or none can any more.
    pub(super) async fn commit(
        &self,
        ballot: Ballot,
        at: Position,
        ahead: usize,
    ) -> std::result::Result<(), Shortfall> {
        let servers = self.servers.clone();
        let mut poll = Poll::of(&self.servers, |_, server| {
            let ahead = servers[ahead].clone();
            Box::pin(async move {
                let position = server.commit(ballot, at).await?;
                if let Some(position) = position.filter(|&position| position < at) {
                    // It has them when the one that has the rest has this one, too.
                    ahead.commit(ballot, at).await?;
                    catch_up(&*server, &*ahead, position).await?;
                }
                Ok(position)
            })
        });
        poll.majority(|_, _| Vote::Counts).await
    }

    /// The same, by nobody who waits for it. The turn is given on when it is over: the next
    /// proposal would find this one under way.
    pub(super) fn commit_behind(
        self: &Arc<Self>,
        ballot: Ballot,
        at: Position,
        ahead: usize,
        turn: OwnedMutexGuard<()>,
    ) {
        let journal = self.clone();
        tokio::spawn(async move {
            // Whoever comes next finishes what is left.
            let _ = journal.commit(ballot, at, ahead).await;
            drop(turn);
        });
    }

    /// Has those `behind`, each with its position, learn what `ahead` has; nobody waits for it.
    pub(super) fn bring_up(&self, ahead: usize, behind: &[(usize, Position)]) {
        for &(number, position) in behind {
            let (server, ahead) = (self.servers[number].clone(), self.servers[ahead].clone());
            tokio::spawn(async move {
                // One that cannot is found to be so by the next who asks.
                let _ = catch_up(&*server, &*ahead, position).await;
            });
        }
    }

    /// Tells those who `promised` a ballot, and of the `rest` each that does so yet, that
    /// nothing will be proposed under it; nobody waits for it. Two of whom each keeps what some
    /// promised, by asking them anew in time, and asks for what the others promised to the other
    /// one, would do so for ever.
    fn give_back(&self, ballot: Ballot, promised: Vec<usize>, mut rest: Poll<Prepared>) {
        let servers = self.servers.clone();
        let release = move |number: usize| {
            let server = servers[number].clone();
            tokio::spawn(async move { server.release(ballot).await });
        };
        promised.into_iter().for_each(&release);
        tokio::spawn(async move {
            while let Some((number, answer)) = rest.next().await {
                if matches!(answer, Ok(Prepared::Promised(_))) {
                    release(number);
                }
            }
        });
    }

    /// Tells all that nothing will be proposed under `ballot`; nobody waits for it.
    pub(super) fn release(&self, ballot: Ballot) {
        Poll::of(&self.servers, |_, server| Box::pin(async move { server.release(ballot).await }));
    }
}

fn nothing_chosen() -> StoreError {
    StoreError::Unavailable("somebody else's change was chosen".to_owned())
}

fn outside(server: &str) -> String {
    format!("{server} is no member (yet): it is new, or it came back empty, and is made one")
}

/// Has `server`, which stands at `position`, learn what `ahead` has behind it.
pub(super) async fn catch_up(
    server: &dyn Acceptor,
    ahead: &dyn Acceptor,
    mut position: Position,
) -> Result<Option<Position>> {
    loop {
        let changes = ahead.journal(position).await?;
        let Some(changes) = changes else {
            return Err(StoreError::Unavailable(format!(
                "{} is so far behind that it must be copied anew",
                server.describe()
            )));
        };
        if changes.is_empty() {
            return Ok(Some(position));
        }
        match server.learn(position, &changes).await? {
            Some(next) if next > position => position = next,
            other => return Ok(other),
        }
    }
}
