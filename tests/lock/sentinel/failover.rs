//! Masters that die or become replicas while locks are held and waited for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::lock::{Guard, LockError, Locks, Loss, State, Wait};
use solocron::store::locks::LockStore;
use tokio::task::JoinSet;

use super::Shared;
use crate::contract::waiting::only_called;
use crate::contract::*;
use crate::harness::redis_server::RedisServer;
use crate::harness::sentinel::{Group, MASTER};
use crate::watched::{Said, Watched};

/// Short enough to be waited for, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_millis(800);
/// A lock that is not extended while no replica acknowledges anything.
const BRIEF: Duration = Duration::from_secs(2);

/// One lock, and who has it.
struct Place {
    name: String,
    holder: Mutex<Option<Guard>>,
    /// All fences, as they were granted.
    fences: Mutex<Vec<u64>>,
}

impl Place {
    fn new(number: usize) -> Arc<Self> {
        let (holder, fences) = (Mutex::default(), Mutex::default());
        Arc::new(Self { name: format!("order/{number}"), holder, fences })
    }

    /// Notes a new holder; nobody else may think that it is one.
    fn is_granted(&self, guard: Guard) {
        let mut fences = self.fences.lock().unwrap();
        assert!(fences.last().is_none_or(|last| *last < guard.fence().get()), "fences grow");
        fences.push(guard.fence().get());
        let mut holder = self.holder.lock().unwrap();
        if let Some(before) = holder.replace(guard) {
            assert!(!before.is_held(), "two have {}", self.name);
        }
    }

    fn is_held(&self) -> bool {
        self.holder.lock().unwrap().as_ref().is_some_and(Guard::is_held)
    }

    /// Who has it has it no longer.
    fn hand_back(&self) -> Guard {
        self.holder.lock().unwrap().take().unwrap()
    }

    fn granted(&self) -> usize {
        self.fences.lock().unwrap().len()
    }
}

/// Somebody who waits for it.
async fn wait_for(locks: Locks, place: Arc<Place>) {
    let wait = Wait::at_most(PATIENCE);
    let guard = locks.lock(&place.name).ttl(LONG).acquire(wait).await.unwrap();
    place.is_granted(guard);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_lock_has_two_holders_while_a_master_dies_and_comes_back() {
    const EACH: usize = 10;
    let group = Group::plan().replicas(1).down_after(Duration::from_millis(700)).start();
    group.until_watched();
    let mut f = Shared::on(Some(group));
    let (locks, waiters) = (f.hasty_locks(TIMEOUT), Watched::new(hasty(&f)));
    let places: Vec<_> = (0..2 * EACH).map(Place::new).collect();
    let mut waiting = JoinSet::new();
    for (number, place) in places.iter().enumerate() {
        let ttl = if number < EACH { BRIEF } else { LONG };
        place.is_granted(locks.lock(&place.name).ttl(ttl).try_acquire().await.unwrap());
        waiting.spawn(wait_for(waiters.locks(), place.clone()));
    }
    waiters.queued(places.len()).await;
    let (brief, long) = places.split_at(EACH);
    assert!(places.iter().all(|place| place.is_held()));

    f.own.as_mut().unwrap().servers[0].kill9();
    // Without its replica the new master's word counts for nothing, and this is said.
    for place in brief {
        let mut state = place.holder.lock().unwrap().as_ref().unwrap().watch();
        let lost = state.wait_for(|state| matches!(state, State::Lost(_)));
        let told = soon("the loss", lost).await.unwrap().clone();
        let lapsed = matches!(&told, State::Lost(Loss::Lapsed { why: Some(_) }));
        assert!(lapsed && !place.is_held(), "it could not be extended in time: {told:?}");
    }
    f.group().until_master(1);
    let tried = BootInstant::now();
    eventually("they try at the new master", async || {
        let answer = locks.lock("another").ttl(LONG).try_acquire().await;
        assert!(answer.is_err(), "{answer:?}");
        answer.unwrap_err().to_string().contains("0 of 1 replicas acknowledged")
    })
    .await;
    waiters.answered(1, |call| call.sent > tried && call.said == Said::Failed).await;
    assert!(places.iter().all(|place| place.granted() == 1), "nothing is granted");
    assert!(long.iter().all(|place| place.is_held()));

    let port = f.group().servers[1].port();
    let old = &mut f.own.as_mut().unwrap().servers[0];
    old.restart_with("replicaof", &format!("127.0.0.1 {port}"));
    for place in brief {
        eventually("who waited has it", async || place.granted() == 2).await;
        assert!(place.is_held());
    }
    for place in long {
        assert!(place.is_held() && place.granted() == 1);
        let guard = place.hand_back();
        eventually("it can be extended", async || guard.extend(LONG).await.is_ok()).await;
        guard.release().await.unwrap();
        eventually("who waited has it", async || place.granted() == 2).await;
    }
    while let Some(ended) = waiting.join_next().await {
        ended.unwrap();
    }
    give_all_back(&f, &places).await;
}

fn hasty(f: &Shared) -> Arc<dyn LockStore> {
    store_at(&f.address(), &f.cluster(), TIMEOUT)
}

/// After that each can be taken again, with a larger fence.
async fn give_all_back(f: &Shared, places: &[Arc<Place>]) {
    let locks = f.locks();
    for place in places {
        let guard = place.hand_back();
        guard.release().await.unwrap();
        place.is_granted(take(&locks, &place.name).await);
        place.hand_back().release().await.unwrap();
    }
    clean(f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_word_of_the_master_alone_is_no_grant_and_no_loss() {
    let f = Shared::alone();
    nothing_is_granted_or_left_that_no_replica_knows(&f).await;
    nothing_is_granted_by_a_master_that_became_a_replica(&f).await;
}

async fn nothing_is_granted_by_a_master_that_became_a_replica(f: &Shared) {
    let [old, new] = [0, 1].map(|number| &f.group().servers[number]);
    let (locks, store) = (f.hasty_locks(TIMEOUT), hasty(f));
    let guard = take(&locks, "order/1").await;
    assert!(store.holder(&lock_name("order/1")).await.unwrap().is_some());
    // By hand, so that nobody closes its connections; the sentinels still name it.
    new.cli(&["REPLICAOF", "NO", "ONE"]);
    old.cli(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]);
    for round in 0..5 {
        let asked = take_of(&["order/2"], Token::new(), LONG);
        let answer = store.take(&asked).await;
        assert!(answer.is_err(), "{round}: {answer:?}");
        let answer = locks.lock("order/2").ttl(LONG).try_acquire().await;
        let refused = matches!(answer, Err(LockError::Unavailable(_) | LockError::Unknown(_)));
        assert!(refused, "{round}: {answer:?}");
        let answer = guard.extend(LONG).await;
        assert!(!matches!(answer, Ok(()) | Err(LockError::NotHeld { .. })), "{answer:?}");
        assert!(guard.is_held(), "no answer is no loss");
    }
    assert_eq!(new.cli_list(&["KEYS", &f.key("held", "*")]), [f.key("held", "order/1")]);

    old.cli(&["REPLICAOF", "NO", "ONE"]);
    new.cli(&["REPLICAOF", "127.0.0.1", &old.port().to_string()]);
    eventually("it counts again", async || guard.extend(LONG).await.is_ok()).await;
    let fence = guard.fence();
    guard.release().await.unwrap();
    assert!(take(&f.locks(), "order/1").await.fence() > fence);
}

async fn nothing_is_granted_or_left_that_no_replica_knows(f: &Shared) {
    let locks = f.hasty_locks(TIMEOUT);
    let held = take(&locks, "order/1").await;
    f.group().servers[1].pause();
    let answer = locks.lock("order/2").ttl(LONG).try_acquire().await;
    let Err(LockError::Unknown(why)) = answer else { panic!("{answer:?}") };
    assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
    // (It is not even sent where the request that failed is given back just before it.)
    let answer = held.extend(LONG).await;
    let (Err(LockError::Unknown(why)) | Err(LockError::Unavailable(why))) = &answer else {
        panic!("{answer:?}")
    };
    assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
    assert!(held.is_held());
    f.group().servers[1].resume();
    eventually("what was not granted is given back", async || f.residue().len() == 1).await;
    eventually("it counts again", async || held.extend(LONG).await.is_ok()).await;
    held.release().await.unwrap();
    clean(f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_listens_at_a_master_that_was_replaced_and_does_not_know_it_listens_at_the_other() {
    let f = Shared::on(Some(Group::plan().start()));
    let other = RedisServer::start();
    let open = || {
        let config = solocron::address::parse(&f.address()).unwrap();
        solocron::store::open::open_locks(&config, &f.cluster(), None, PATIENT).unwrap()
    };
    let holder = take(&Locks::new(open()), "order/1").await;
    let store = Watched::new(open());
    let request = store.locks().lock("order/1").ttl(LONG);
    let waiting = tokio::spawn(async move { request.acquire(only_called()).await });
    store.queued(1).await;
    let port = other.port().to_string();
    for sentinel in &f.group().sentinels {
        sentinel.cli(&["SENTINEL", "REMOVE", MASTER]);
        sentinel.cli(&["SENTINEL", "MONITOR", MASTER, "127.0.0.1", &port, "2"]);
    }
    // It is called when it listens there, and nobody has the lock there.
    let (waited, guard) = timed(soon("the call", waiting)).await;
    assert!(guard.unwrap().unwrap().fence() > holder.fence());
    assert!(waited < Duration::from_secs(3) + SLACK, "{waited:?}");
}
