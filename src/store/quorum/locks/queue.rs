//! Somebody who waits stands in the queue of every server, and is called when a majority
//! has called: before that the lock is not to be had.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Servers;
use super::turns::Whose;
use crate::lock::LockName;
use crate::store::locks::{Take, Waiter, WaitingRoom};
use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

/// When fewer than a majority call, who waits asks all the same after so long.
const OTHERS: Duration = Duration::from_millis(20);
/// So many that wait no longer are remembered: their places may still be given up.
const GONE: usize = 1024;

/// The numbers of a waiter at each server, as far as it stands there.
type Numbers = Arc<[OnceLock<u64>]>;

/// Who waits here.
#[derive(Debug, Default)]
pub(super) struct Queues {
    room: WaitingRoom,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    numbers: HashMap<u64, Numbers>,
    gone: VecDeque<u64>,
}

impl Queues {
    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        // Nothing in here panics half-way.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self, waiter: u64, server: usize) -> Option<u64> {
        self.waiters().numbers.get(&waiter)?[server].get().copied()
    }

    /// The request as `server` is asked it: there the waiter has another number.
    pub(super) fn translated(&self, take: &Take, server: usize) -> Take {
        let mut take = take.clone();
        take.queue = take.queue.and_then(|mut place| {
            place.waiter = self.number(place.waiter, server)?;
            Some(place)
        });
        take
    }
}

/// Is dropped with a waiter.
struct Presence {
    servers: Arc<Servers>,
    number: u64,
    gone: CancellationToken,
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.gone.cancel();
        let mut waiters = self.servers.queues.waiters();
        waiters.gone.push_back(self.number);
        if waiters.gone.len() > GONE
            && let Some(first) = waiters.gone.pop_front()
        {
            waiters.numbers.remove(&first);
        }
    }
}

/// One more who waits; a majority can call it by then, or cannot for now.
pub(super) async fn enter(servers: &Arc<Servers>) -> Waiter {
    let waiter = servers.queues.room.enter();
    let number = waiter.number();
    let numbers: Numbers = (0..servers.count()).map(|_| OnceLock::new()).collect();
    servers.queues.waiters().numbers.insert(number, numbers.clone());
    let gone = CancellationToken::new();
    let (call, calls) = mpsc::unbounded_channel();
    let (entered, mut entrances) = mpsc::unbounded_channel();
    for server in 0..servers.count() {
        let (servers, numbers, call) = (servers.clone(), numbers.clone(), call.clone());
        let (gone, entered) = (gone.clone(), entered.clone());
        let listen = async move {
            let waiter = servers.all[server].enter().await;
            let _ = numbers[server].set(waiter.number());
            let _ = entered.send(());
            drop(entered);
            loop {
                waiter.called().await;
                let _ = call.send(server);
            }
        };
        tokio::spawn(gone.run_until_cancelled_owned(listen));
    }
    drop((call, entered));
    let pass_on = pass_on(servers.queues.room.clone(), number, servers.count(), calls);
    tokio::spawn(gone.clone().run_until_cancelled_owned(pass_on));
    let waiter = waiter.keeping(Presence { servers: servers.clone(), number, gone });
    for _ in 0..majority(servers.count()) {
        let _ = tokio::time::timeout(servers.bound, entrances.recv()).await;
    }
    waiter
}

/// Calls a waiter when a majority has, or some have and the others do not.
async fn pass_on(
    room: WaitingRoom,
    number: u64,
    servers: usize,
    mut calls: mpsc::UnboundedReceiver<usize>,
) {
    while let Some(first) = calls.recv().await {
        let mut called = vec![false; servers];
        called[first] = true;
        let others = async {
            while called.iter().filter(|called| **called).count() < majority(servers) {
                let Some(server) = calls.recv().await else { return };
                called[server] = true;
            }
        };
        let _ = tokio::time::timeout(OTHERS, others).await;
        room.call(number);
    }
}

/// Gives up a place everywhere.
pub(super) async fn leave(servers: &Arc<Servers>, name: &LockName, waiter: u64) -> Result<()> {
    let (tell, mut left) = mpsc::unbounded_channel();
    for server in 0..servers.count() {
        let Some(number) = servers.queues.number(waiter, server) else { continue };
        let (servers, name, tell) = (servers.clone(), name.clone(), tell.clone());
        let mut turn = servers.turns.next(server, Whose::Waiter(waiter));
        tokio::spawn(async move {
            turn.come().await;
            let answer = servers.within(servers.all[server].leave(&name, number)).await;
            let _ = tell.send(answer);
        });
    }
    drop(tell);
    let mut done = 0;
    let mut last = StoreError::Unavailable("it waits nowhere".to_owned());
    while let Some(answer) = left.recv().await {
        match answer {
            Ok(()) => done += 1,
            Err(error) => last = error,
        }
        if done >= majority(servers.count()) {
            return Ok(());
        }
    }
    Err(last)
}
