//! Masters that hand over to their replica, and that die.

use std::time::Duration;

use solocron::lock::Guard;
use tokio::task::{JoinHandle, JoinSet};

use super::*;

/// Short enough to be waited for, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_millis(800);
const LOCKS: usize = 24;

fn name(number: usize) -> String {
    format!("order/{number}")
}

/// Guards of locks in many buckets, by one store, and who waits for each, by another that
/// asks only when it is called.
struct Crowd {
    guards: Vec<(Guard, usize)>,
    waiting: Vec<JoinHandle<Result<Guard, LockError>>>,
}

impl Crowd {
    /// Those who wait listen at the first of these ports.
    async fn gather(f: &Shared, listening: &[u16]) -> Self {
        let waiters = Watched::new(f.store_by(listening, PATIENT));
        let locks = f.hasty_locks(TIMEOUT);
        let mut crowd = Self { guards: Vec::new(), waiting: Vec::new() };
        for number in 0..LOCKS {
            let guard = take(&locks, &name(number)).await;
            crowd.guards.push((guard, f.place(&name(number)).1));
            let request = waiters.locks().lock(name(number)).ttl(LONG);
            let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
            crowd.waiting.push(waiting);
            waiters.queued(number + 1).await;
        }
        crowd
    }

    /// All can be extended, and nobody else is told anything else.
    async fn is_held(&self, f: &Shared) {
        let others = f.locks();
        for (number, (guard, _)) in self.guards.iter().enumerate() {
            eventually("it can be extended", async || guard.extend(LONG).await.is_ok()).await;
            let (_, told) = contended(others.lock(name(number)).try_acquire().await);
            assert_eq!(told.fence, guard.fence());
            assert!(guard.is_held() && !self.waiting[number].is_finished());
        }
    }

    /// Each is released, and whoever waits for it has it.
    async fn hand_over(self) {
        let mut turns = JoinSet::new();
        for ((guard, _), waiting) in self.guards.into_iter().zip(self.waiting) {
            turns.spawn(async move {
                let fence = guard.fence();
                guard.release().await.unwrap();
                let (waited, next) = timed(soon("the call", waiting)).await;
                let next = next.unwrap().unwrap();
                assert!(next.fence() > fence && waited < SLACK, "{waited:?}");
                next.release().await.unwrap();
            });
        }
        while let Some(turn) = turns.join_next().await {
            turn.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_outlive_a_failover_and_those_of_others_a_master_that_dies() {
    let mut f = Shared::on(Some(ServerCluster::start(MASTERS, 1)));
    let [first, second, third] = [0, 1, 2];
    let ports = f.servers().ports();
    // One master does what it is told, one dies, and there they listen.
    let crowd = Crowd::gather(&f, &[ports[second], ports[third]]).await;
    assert_eq!(channels(&f, second), 1);
    let of = |master: usize| crowd.guards.iter().filter(|(_, has)| *has == master).count();
    assert!((0..MASTERS).all(|master| of(master) > 0), "each has some of them");

    f.servers().fail_over_to(f.servers().replica_of(first));
    crowd.is_held(&f).await;

    let replica = f.servers().replica_of(second);
    f.servers().until_in_step(second, replica);
    f.own.as_mut().unwrap().server_mut(second).kill9();
    // At once, and without waiting for it.
    for (guard, master) in &crowd.guards {
        if *master != second {
            let (took, extended) = timed(guard.extend(LONG)).await;
            extended.unwrap();
            assert!(took < TIMEOUT, "{took:?}");
        }
    }
    let lost = crowd.guards.iter().find(|(_, master)| *master == second).unwrap();
    let (took, answer) = timed(lost.0.extend(LONG)).await;
    assert!(took < TIMEOUT + SLACK, "{took:?}");
    assert!(!matches!(answer, Err(LockError::NotHeld { .. })), "it only does not answer");
    f.servers().until_master(replica);
    f.servers().until_whole();
    eventually("they listen at another", async || channels(&f, third) == 1).await;
    crowd.is_held(&f).await;
    crowd.hand_over().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_at_a_master_that_falls_silent_listens_at_another() {
    let f = Shared::alone();
    let (_, owner) = f.place("order/1");
    let (silent, next) = ((owner + 1) % MASTERS, (owner + 2) % MASTERS);
    let ports = f.servers().ports();
    let holder = take(&f.locks(), "order/1").await;
    let store = Watched::new(f.store_by(&[ports[silent], ports[next]], TIMEOUT));
    let request = store.locks().lock("order/1").ttl(LONG);
    let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
    store.queued(1).await;
    assert_eq!(channels(&f, silent), 1);
    f.servers().server(silent).pause();
    eventually("it listens at the next", async || channels(&f, next) == 1).await;
    let (took, released) = timed(holder.release()).await;
    released.unwrap();
    let (waited, guard) = timed(soon("the call", waiting)).await;
    guard.unwrap().unwrap().release().await.unwrap();
    assert!(took + waited < SLACK, "{waited:?}");
}
