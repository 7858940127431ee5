//! Who of this process waits for which lock, and the look-out for them.
//!
//! A file calls nobody. As long as somebody waits, one task looks every few
//! milliseconds which of the locks waited for are free, and calls the first that waits
//! for each: one short read, whatever their number. What this process releases itself is
//! called for at once.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

use super::calls::Calls;
use super::locks::free;
use crate::clock::ClusterTime;
use crate::lock::LockName;
use crate::store::locks::{Take, Taken, Waiter, WaitingRoom};

/// How often the file is looked at while somebody waits: a release in another process is
/// noticed half of it later, on average.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// See the module's head.
#[derive(Debug, Default)]
pub(super) struct Queues {
    shared: Arc<Shared>,
    look_out: OnceLock<DropGuard>,
}

#[derive(Debug, Default)]
struct Shared {
    room: WaitingRoom,
    waiting: Mutex<HashMap<LockName, BTreeSet<(ClusterTime, u64)>>>,
}

impl Queues {
    /// One more who waits; from now on somebody looks out.
    pub(super) fn enter(&self, calls: &Arc<Calls>) -> Waiter {
        self.look_out.get_or_init(|| {
            let stop = CancellationToken::new();
            let work = look_out(self.shared.clone(), calls.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(work));
            stop.drop_guard()
        });
        self.shared.room.enter()
    }

    /// Notes who waits for what after a request for locks, and passes its answer on.
    pub(super) fn note(&self, take: &Take, taken: Taken) -> Taken {
        if let Some(place) = take.queue {
            match &taken {
                Taken::Held { name, since: Some(since), .. } => {
                    let mut waiting = self.shared.waiting();
                    waiting.entry(name.clone()).or_default().insert((*since, place.waiter));
                }
                _ => take.names.iter().for_each(|name| self.leave(name, place.waiter)),
            }
        }
        taken
    }

    pub(super) fn leave(&self, name: &LockName, waiter: u64) {
        let mut waiting = self.shared.waiting();
        if let Some(queue) = waiting.get_mut(name) {
            queue.retain(|(_, number)| *number != waiter);
            if queue.is_empty() {
                waiting.remove(name);
            }
        }
    }

    /// Calls the first that waits for each.
    pub(super) fn released(&self, names: &[LockName]) {
        self.shared.call(names);
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<LockName, BTreeSet<(ClusterTime, u64)>>> {
        // Nothing in here panics half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, names: &[LockName]) {
        let mut waiting = self.waiting();
        for name in names {
            let Some(queue) = waiting.get_mut(name) else { continue };
            // Those that are gone are passed over.
            while let Some((_, first)) = queue.first()
                && !self.room.call(*first)
            {
                queue.pop_first();
            }
        }
    }
}

async fn look_out(shared: Arc<Shared>, calls: Arc<Calls>) {
    loop {
        shared.room.occupied().await;
        tokio::time::sleep(LOOK_EVERY).await;
        let names: Vec<_> = shared.waiting().keys().cloned().collect();
        if names.is_empty() {
            continue;
        }
        // While the file cannot be read, those who wait have timers.
        if let Ok(names) = calls.read(move |step| free(step, names)).await {
            shared.call(&names);
        }
    }
}
