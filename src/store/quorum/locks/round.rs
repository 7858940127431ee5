//! A vote on a request for locks.
//!
//! Every server has a task of its own, which asks it, tells what it said, and then does
//! what the outcome asks of it: so it does not matter who waits for what, and who drops
//! the request has it taken back by these.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::memory;
use super::tally::{Outcome, Split, Tally};
use super::turns::{Turn, Whose};
use super::voter::{Vote, Writing};
use super::{REVOKED_FOR, Servers};
use crate::clock::{BootInstant, wall_micros};
use crate::lease::{Fence, Token};
use crate::store::locks::{Release, Take, Taken};
use crate::store::quorum::majority;
use crate::store::{Health, Result, StoreError};

/// The longest pause before the second vote; doubled each time, up to the longest of all.
const PAUSES: [Duration; 2] = [Duration::from_millis(3), Duration::from_millis(96)];
/// The pauses between attempts to take back what was granted.
const BACK: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

/// Servers that are slower than one that said no by more than so much are not waited for:
/// contenders would hold each other up with what they have.
const SLOWER: Duration = Duration::from_millis(20);

/// How far a vote has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It is open; if it ends so, the request was dropped.
    Open,
    /// A majority has granted, and this fence is to be written.
    Raise(Fence),
    /// It is ours, with this fence; others may be told so.
    Won(Fence),
    /// It is not ours.
    Lost,
}

/// What a server's task tells.
enum Told {
    Voted(usize, Result<Vote>),
    /// Whether the fence was written.
    Raised(bool),
}

/// Votes until it is decided.
pub(super) async fn take(servers: &Arc<Servers>, take: &Take) -> Result<Taken> {
    // Trust in the lock counts from now: who tries for long has little left of it.
    let until = BootInstant::now() + servers.bound.min(take.ttl / 4);
    let mut round = 0;
    loop {
        round += 1;
        let last = round > 1 && BootInstant::now() >= until;
        match vote(servers, take).await {
            Ok(fence) => return Ok(Taken::Granted(fence)),
            Err(Outcome::Held(taken)) => return Ok(taken),
            Err(Outcome::Revoked) => return Ok(Taken::Revoked),
            Err(Outcome::Silent(error)) => return Err(error),
            Err(Outcome::Forgotten(error)) => {
                memory::admit(servers).await.map_err(StoreError::Unavailable)?;
                if last {
                    return Err(error);
                }
            }
            // Nobody is guessed to be the holder: whoever has most votes may lose them.
            Err(Outcome::Split(Split { why, likely })) if last => {
                return likely.ok_or(StoreError::Unavailable(why));
            }
            // Those who granted could not be written to, or had let it lapse by then.
            Err(Outcome::Granted) if last => {
                return Err(StoreError::Unknown("what was granted was gone again".to_owned()));
            }
            Err(Outcome::Split(_) | Outcome::Granted) => {}
        }
        let [first, longest] = PAUSES;
        let most = first.saturating_mul(1 << (round - 1).min(16)).min(longest);
        tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
    }
}

/// The fence that is proposed for a token: not below the time, nor below what was seen.
/// Its last ten bits are the token's, so that contenders do not propose the same.
fn proposal(servers: &Servers, token: Token) -> Fence {
    let now = wall_micros();
    let seen = servers.fence.load(std::sync::atomic::Ordering::Relaxed);
    let own = (token.uuid().as_u128() & 1023) as u64;
    Fence::new((((now.max(seen) >> 10) + 1) << 10) + own)
}

/// One vote: the fence, or what it came to.
async fn vote(servers: &Arc<Servers>, take: &Take) -> std::result::Result<Fence, Outcome> {
    let proposed = proposal(servers, take.token);
    let (tell, mut told) = mpsc::unbounded_channel();
    let stage = watch::Sender::new(Stage::Open);
    for server in 0..servers.count() {
        let part = Part {
            servers: servers.clone(),
            server,
            take: servers.queues.translated(take, server),
            turn: servers.turns.next(server, Whose::Token(take.token)),
            seat: take.queue.map(|place| servers.turns.next(server, Whose::Waiter(place.waiter))),
        };
        tokio::spawn(part.play(proposed, tell.clone(), stage.subscribe()));
    }
    drop(tell);
    let result = count(servers, &mut told, &stage).await;
    if let Ok(fence) = result {
        servers.saw(fence);
        servers.grants().lasts(take.token, servers.bound + take.ttl);
    }
    stage.send_replace(result.as_ref().map_or(Stage::Lost, |fence| Stage::Won(*fence)));
    result
}

async fn count(
    servers: &Arc<Servers>,
    told: &mut mpsc::UnboundedReceiver<Told>,
    stage: &watch::Sender<Stage>,
) -> std::result::Result<Fence, Outcome> {
    let mut tally = Tally::new(servers.count());
    let mut fence = None;
    let (mut written, mut failed) = (0, 0);
    let needed = majority(servers.count());
    let begun = BootInstant::now();
    let mut patience = None;
    loop {
        let next = match patience {
            Some(patience) if fence.is_none() => {
                let left = BootInstant::since(patience, BootInstant::now());
                match tokio::time::timeout(left, told.recv()).await {
                    Ok(next) => next,
                    Err(_) => return Err(tally.split()),
                }
            }
            _ => told.recv().await,
        };
        let Some(told) = next else { break };
        match (told, fence) {
            (Told::Voted(server, vote), None) => {
                if let Ok(Vote::Abstained(None)) = vote {
                    // Where the others decide it is seen to meanwhile.
                    tokio::spawn(memory::admit_in_time(servers.clone()));
                }
                tally.add(server, vote);
                match tally.outcome(|server| servers.all[server].describe()) {
                    None => {
                        if patience.is_none() && tally.is_contended() {
                            let now = BootInstant::now();
                            patience = Some(now + now.since(begun) * 3 + SLOWER);
                        }
                        continue;
                    }
                    Some(Outcome::Granted) => {}
                    Some(outcome) => return Err(outcome),
                }
                let largest = tally.fences().max().unwrap_or(Fence::new(0));
                written = tally.fences().filter(|fence| *fence == largest).count();
                failed = servers.count() - tally.fences().count();
                fence = Some(largest);
                if written < needed {
                    stage.send_replace(Stage::Raise(largest));
                }
            }
            // One that comes late is asked to write as well, unless it has that fence.
            (Told::Voted(_, Ok(Vote::Cast(Taken::Granted(late)))), Some(fence)) => {
                failed -= 1;
                written += usize::from(late == fence);
            }
            (Told::Voted(..), Some(_)) => {}
            (Told::Raised(true), _) => written += 1,
            (Told::Raised(false), _) => failed += 1,
        }
        if let Some(fence) = fence
            && written >= needed
        {
            return Ok(fence);
        }
        if servers.count() - failed < needed {
            break;
        }
    }
    Err(Outcome::Granted)
}

/// What one server does in a vote.
struct Part {
    servers: Arc<Servers>,
    server: usize,
    take: Take,
    turn: Turn,
    /// Who gives up a place does so behind the request that asked for it.
    seat: Option<Turn>,
}

impl Part {
    async fn play(
        mut self,
        proposed: Fence,
        tell: mpsc::UnboundedSender<Told>,
        mut stage: watch::Receiver<Stage>,
    ) {
        let vote = self.ask(proposed).await;
        let mut fence = match &vote {
            Ok(Vote::Cast(Taken::Granted(fence))) => Some(*fence),
            _ => None,
        };
        let unclear = matches!(vote, Err(StoreError::Unknown(_)));
        let queued = matches!(vote, Ok(Vote::Cast(Taken::Held { .. })));
        let _ = tell.send(Told::Voted(self.server, vote));
        loop {
            let now = *stage.borrow_and_update();
            if let (Stage::Raise(to) | Stage::Won(to), Some(own)) = (now, fence)
                && (own != to || matches!(now, Stage::Won(_)))
            {
                let raised = self.write(to, matches!(now, Stage::Won(_))).await;
                fence = Some(to);
                let _ = tell.send(Told::Raised(raised));
            }
            match now {
                Stage::Open | Stage::Raise(_) => {}
                Stage::Won(_) => return self.after_won(unclear, queued).await,
                Stage::Lost => break,
            }
            if stage.changed().await.is_err() {
                // The request was dropped.
                break;
            }
        }
        drop(tell);
        if fence.is_some() || unclear {
            self.give_back(unclear).await;
        }
    }

    async fn ask(&mut self, proposed: Fence) -> Result<Vote> {
        let mut seat = self.seat.take();
        let come = async {
            self.turn.come().await;
            if let Some(seat) = &mut seat {
                seat.come().await;
            }
        };
        let mut health = self.servers.all[self.server].health();
        let down = health.wait_for(|health| matches!(health, Health::Down(_)));
        let come = tokio::time::timeout(self.servers.bound, come);
        let came = tokio::select! {
            biased;
            come = come => come.is_ok(),
            // What it is asked before will not be over soon.
            _ = down => false,
        };
        if !came {
            // Nothing was sent.
            let why = "it has not answered an earlier request yet";
            return Err(StoreError::Unavailable(why.to_owned()));
        }
        let servers = &self.servers;
        servers.within(servers.all[self.server].vote(&self.take, proposed)).await
    }

    /// Writes the fence that counts, and whether it won; whether the lock was ours still.
    async fn write(&self, fence: Fence, won: bool) -> bool {
        let writing = Writing {
            names: self.take.names.clone(),
            token: self.take.token,
            fence,
            ttl: self.take.ttl,
            metadata: self.take.metadata.clone(),
            where_free: false,
            won,
        };
        let written = self.servers.within(self.servers.all[self.server].write(&writing)).await;
        written.is_ok_and(|standings| {
            standings.iter().all(|standing| *standing == crate::store::locks::Standing::Ours)
        })
    }

    /// It is ours by the votes of others.
    async fn after_won(&self, unclear: bool, queued: bool) {
        if unclear {
            // It may be granted here still; who gives it back takes that into account.
            self.servers.grants().unclear(self.server, self.take.token, self.take.ttl);
        }
        if queued && let Some(place) = &self.take.queue {
            let server = &self.servers.all[self.server];
            for name in self.take.names.iter() {
                let _ = self.servers.within(server.leave(name, place.waiter)).await;
            }
        }
    }

    /// Takes back what was granted, or may be.
    async fn give_back(&self, unclear: bool) {
        let release = Release {
            names: self.take.names.clone(),
            token: self.take.token,
            hold: Duration::ZERO,
            revoke_for: unclear.then_some(REVOKED_FOR),
        };
        let useful = if unclear { self.take.ttl.max(REVOKED_FOR) } else { self.take.ttl };
        give_back(&self.servers, self.server, &release, useful).await;
    }
}

/// Has one server give locks back, until it has, or it is no use any more.
pub(super) async fn give_back(
    servers: &Servers,
    server: usize,
    release: &Release,
    useful: Duration,
) {
    let until = BootInstant::now() + useful;
    let [mut pause, longest] = BACK;
    while let Err(StoreError::Unavailable(_) | StoreError::Unknown(_)) =
        servers.within(servers.all[server].release(release)).await
    {
        let left = until.since(BootInstant::now());
        if left.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(pause.min(left)) => {}
            () = servers.closed.cancelled() => return,
        }
        pause = (pause * 2).min(longest);
    }
}
