//! Hash slots that move from one master to another, with a claim in the middle.

use std::sync::Arc;
use std::time::Duration;

use solocron::claim::{Claim, Verdict};
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::store::redis::{ClusterOptions, RedisCluster};
use solocron::store::{Health, Ownership, Store};

use super::{key, options};
use crate::contract::*;
use crate::harness::redis_cluster::ServerCluster;

/// The bucket of the job `backup`.
const BUCKET: u32 = 10;
/// So long a call may take: half of it is spent on a hash slot that moves.
const TIMEOUT: Duration = Duration::from_millis(600);

/// A cluster, the way on which the bucket of `backup` can be moved, and its hash slot.
struct Ground {
    cluster: ServerCluster,
    hash_slot: u16,
    from: usize,
    to: usize,
}

impl Ground {
    fn new() -> Self {
        Self::on(ServerCluster::start(3, 0))
    }

    fn with_replicas() -> Self {
        Self::on(ServerCluster::start(3, 1))
    }

    fn on(cluster: ServerCluster) -> Self {
        let hash_slot = cluster.hash_slot(&key(BUCKET, "open"));
        let from = cluster.owner(hash_slot);
        Self { cluster, hash_slot, from, to: (from + 1) % 3 }
    }

    fn store(&self, timeout: Duration) -> RedisCluster {
        RedisCluster::open(ClusterOptions { timeout, ..options(&self.cluster) })
    }

    fn begin(&self) {
        self.cluster.begin_move(self.hash_slot, self.from, self.to);
    }

    fn moves(&self, rests: &[&str]) {
        let keys: Vec<_> = rests.iter().map(|rest| key(BUCKET, rest)).collect();
        self.cluster.move_keys(self.from, self.to, &keys);
    }

    fn end(&self) {
        self.cluster.move_rest(self.hash_slot, self.from, self.to);
        self.cluster.end_move(self.hash_slot, self.from, self.to);
    }
}

/// The claim is not decided, and it is said why.
async fn is_put_off(store: &dyn Store, claim: &Claim) -> bool {
    let claimed = store.claim(&claimant("web-2"), std::slice::from_ref(claim)).await;
    let why = match claimed {
        Ok(claimed) => match &claimed[0].verdict {
            Verdict::Unknown(why) => why.clone(),
            other => panic!("it is decided in the middle of a move: {other:?}"),
        },
        Err(error) => error.to_string(),
    };
    why.contains("is being moved") && why.contains("bucket 10")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_moved_is_followed() {
    let ground = Ground::new();
    let (ours, theirs) = (ground.store(TIMEOUT), ground.store(TIMEOUT));
    let me = claimant("web-1");
    let held = claim_of(&due(&ours, "backup").await, LONG);
    let grant = win(&ours, &me, &held).await;
    assert!(theirs.time().await.is_ok());
    ground.cluster.move_slot(ground.hash_slot, ground.from, ground.to);
    // Both know the way as it was.
    assert_eq!(
        holder(try_claim(&theirs, &claimant("web-2"), &held_by_another(&held)).await).node,
        me.node
    );
    finish(&ours, &me, &held, grant, Outcome::Succeeded).await;
    run(&theirs, &claimant("web-2"), &slot_in(&theirs, "backup", 1).await, Outcome::Failed).await;
    assert_eq!(runs(&ours).await.len(), 2);
    ground.cluster.move_slot(ground.hash_slot, ground.to, ground.from);
    done(try_claim(&theirs, &claimant("web-2"), &held_by_another(&held)).await);
    assert_eq!(*ours.health().borrow(), Health::Up);
}

fn held_by_another(claim: &Claim) -> Claim {
    claim_of(&claim.slot, LONG)
}

/// Where the lock is at one master and the record at the other, a script sees a lease that
/// lapsed, or a slot that nobody claimed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_decided_while_the_keys_of_a_slot_are_on_two_masters() {
    let ground = Ground::new();
    let store = ground.store(TIMEOUT);
    let me = claimant("web-1");
    let held = claim_of(&due(&store, "backup").await, LONG);
    let grant = win(&store, &me, &held).await;
    let (again, takeover) = (held_by_another(&held), takeover_of(&held));
    let fresh = claim_of(&slot_in(&store, "backup", 2).await, LONG);
    let slot = &held.slot;
    ground.begin();
    let moved: [&[&str]; 4] =
        [&[], &[&format!("lock:{slot}")], &["open", "fence"], &[&format!("slot:{slot}")]];
    for keys in moved {
        if !keys.is_empty() {
            ground.moves(keys);
        }
        for claim in [&again, &takeover, &fresh] {
            assert!(is_put_off(&store, claim).await, "{keys:?}");
        }
        // A look sees nothing either, and what it is told otherwise is no proof.
        let mut health = store.health();
        assert!(matches!(*health.borrow_and_update(), Health::Partly(_)));
        assert!(is_put_off(&store, &Claim { looks_first: true, ..again.clone() }).await);
        assert!(!health.has_changed().unwrap(), "{:?}", *health.borrow());
    }
    assert!(store.renew(&[renewal(&held, LONG)]).await.is_err());
    let mut health = store.health();
    let partly = |health: &Health| matches!(health, Health::Partly(why) if why.contains("bucket"));
    assert!(health.wait_for(partly).await.is_ok());
    // Other jobs go on.
    run(&store, &me, &due(&store, "another").await, Outcome::Succeeded).await;

    ground.end();
    for claim in [&again, &takeover] {
        assert_eq!(holder(try_claim(&store, &claimant("web-2"), claim).await).token, held.token);
    }
    win(&store, &claimant("web-2"), &fresh).await;
    assert_eq!(granted(try_claim(&store, &me, &held).await).fence, grant.fence);
    finish(&store, &me, &held, grant, Outcome::Succeeded).await;
    assert!(health.wait_for(|health| *health == Health::Up).await.is_ok());
}

/// All keys that a settling call declares are there, and the lock, which it does not
/// declare, is at the other master.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_whose_lock_has_moved_is_not_taken_for_lapsed() {
    let ground = Ground::new();
    let store = ground.store(TIMEOUT);
    let me = claimant("web-1");
    run(&store, &me, &slot_in(&store, "backup", -3).await, Outcome::Succeeded).await;
    let in_turn = claim_by(Overlap::Skip, &slot_in(&store, "backup", -2).await, LONG);
    let grant = win(&store, &me, &in_turn).await;
    assert!(store.cancel(in_turn.token.run_id(grant.attempt)).await.unwrap().is_some());
    let held = claim_of(&slot_in(&store, "backup", -1).await, LONG);
    win(&store, &me, &held).await;
    for shared in ["open", "ledgers", "turns", "cancels"] {
        let server = ground.cluster.server(ground.from);
        assert_eq!(server.cli_number(&["EXISTS", &key(BUCKET, shared)]), 1, "{shared}");
    }
    ground.begin();
    ground.moves(&[&format!("lock:{}", held.slot)]);
    let taker = claimant("web-2");
    assert!(store.abandon(&taker.node, &[abandonment(&held)]).await.is_err());
    ground.end();
    assert_eq!(renew(&store, &renewal(&held, LONG)).await, Ownership::Ours);
    assert_eq!(holder(try_claim(&store, &taker, &held_by_another(&held)).await).token, held.token);
}

/// A claim of which the keys have moved, and the master then fails over to its replica. That
/// one does not know of the move: it serves what is left, and takes what had moved for free.
async fn fails_over_in_the_middle(ground: &Ground, store: &RedisCluster) -> (Claim, usize) {
    let held = claim_of(&due(store, "backup").await, LONG);
    win(store, &claimant("web-1"), &held).await;
    store.sweep(1).await.unwrap();
    ground.begin();
    ground.moves(&[&format!("lock:{}", held.slot), &format!("slot:{}", held.slot)]);
    let replica = ground.cluster.replica_of(ground.from);
    ground.cluster.until_in_step(ground.from, replica);
    (held, replica)
}

/// What is said of a bucket that is left alone for it.
fn is_torn(health: &Health) -> bool {
    matches!(health, Health::Partly(why) if why.contains("without the keys that had moved"))
}

impl Ground {
    /// The new master is told of the move, which goes on from there.
    fn mend(&self, replica: usize) {
        self.cluster.resume_move(self.hash_slot, replica, self.to);
        self.cluster.move_rest(self.hash_slot, replica, self.to);
        self.cluster.end_move(self.hash_slot, replica, self.to);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_that_failed_over_in_the_middle_of_its_move_is_left_alone() {
    let ground = Ground::with_replicas();
    let store = ground.store(TIMEOUT);
    let (held, replica) = fails_over_in_the_middle(&ground, &store).await;
    ground.cluster.fail_over_to(replica);
    let others = [ground.store(TIMEOUT), ground.store(TIMEOUT)];
    let again = held_by_another(&held);
    for store in others.iter().chain([&store]) {
        assert!(store.health().wait_for(is_torn).await.is_ok());
        let answer = store.claim(&claimant("web-2"), std::slice::from_ref(&again)).await;
        assert!(!won(&answer), "it is won a second time: {answer:?}");
    }
    let mut health = store.health();
    ground.mend(replica);
    assert!(health.wait_for(|health| *health == Health::Up).await.is_ok());
    assert_eq!(holder(try_claim(&store, &claimant("web-2"), &again).await).token, held.token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_to_a_new_master_until_all_have_told_what_moves_to_them() {
    let ground = Ground::with_replicas();
    for server in 0..6 {
        // Who is silent for a moment is not held for failed.
        ground.cluster.server(server).cli(&["CONFIG", "SET", "cluster-node-timeout", "15000"]);
    }
    let stores = [ground.store(TIMEOUT), ground.store(TIMEOUT), ground.store(TIMEOUT)];
    for store in &stores {
        store.sweep(1).await.unwrap();
    }
    let (held, replica) = fails_over_in_the_middle(&ground, &stores[0]).await;
    ground.cluster.server(ground.to).pause();
    ground.cluster.fail_over_to(replica);
    let again = held_by_another(&held);
    let silent = ground.cluster.ports()[ground.to].to_string();
    for store in &stores {
        for _ in 0..5 {
            let answer = store.claim(&claimant("web-2"), std::slice::from_ref(&again)).await;
            assert!(!won(&answer), "it is won a second time: {answer:?}");
        }
        let unsure = |health: &Health| {
            matches!(health, Health::Partly(why)
                if why.contains("has a new master") && why.contains(&silent))
        };
        assert!(store.health().wait_for(unsure).await.is_ok());
    }
    ground.cluster.server(ground.to).resume();
    for store in &stores {
        assert!(store.health().wait_for(is_torn).await.is_ok());
        let answer = store.claim(&claimant("web-2"), std::slice::from_ref(&again)).await;
        assert!(!won(&answer), "it is won a second time: {answer:?}");
    }
    ground.mend(replica);
    for store in &stores {
        assert!(store.health().wait_for(|health| *health == Health::Up).await.is_ok());
        assert_eq!(holder(try_claim(store, &claimant("web-2"), &again).await).token, held.token);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_to_a_master_that_has_no_hash_slot_yet_is_seen_as_well() {
    let cluster = ServerCluster::start(3, 1);
    let hash_slot = cluster.hash_slot(&key(BUCKET, "open"));
    let from = cluster.owner(hash_slot);
    let to = cluster.replica_of((from + 1) % 3);
    cluster.make_spare(to);
    let ground = Ground { cluster, hash_slot, from, to };
    let store = ground.store(TIMEOUT);
    let (held, replica) = fails_over_in_the_middle(&ground, &store).await;
    ground.cluster.fail_over_to(replica);
    let again = held_by_another(&held);
    for _ in 0..5 {
        let answer = store.claim(&claimant("web-2"), std::slice::from_ref(&again)).await;
        assert!(!won(&answer), "it is won a second time: {answer:?}");
    }
    assert!(store.health().wait_for(is_torn).await.is_ok());
    let late = ground.store(TIMEOUT);
    assert!(late.health().wait_for(is_torn).await.is_ok());
    ground.mend(replica);
    for store in [&store, &late] {
        assert!(store.health().wait_for(|health| *health == Health::Up).await.is_ok());
        assert_eq!(holder(try_claim(store, &claimant("web-2"), &again).await).token, held.token);
    }
}

fn won(answer: &solocron::store::Result<Vec<solocron::claim::Claimed>>) -> bool {
    let won = |claimed: &solocron::claim::Claimed| matches!(claimed.verdict, Verdict::Won(_));
    answer.as_ref().is_ok_and(|claimed| claimed.iter().any(won))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_only_read_is_found_on_either_master() {
    let ground = Ground::new();
    let store = ground.store(TIMEOUT);
    let me = claimant("web-1");
    let first = slot_in(&store, "backup", -2).await;
    run(&store, &me, &first, Outcome::Succeeded).await;
    let second = slot_in(&store, "backup", -1).await;
    run(&store, &me, &second, Outcome::Failed).await;
    ground.begin();
    let parts: [&[&str]; 3] =
        [&[&format!("slot:{first}")], &["ledger:backup"], &["tails:backup:failed", "ledgers"]];
    for keys in parts {
        ground.moves(keys);
        let known = store.recorded(&job("backup"), &[first.at, second.at]).await;
        assert_eq!(known, Ok(vec![true, true]), "{keys:?}");
        assert_eq!(runs(&store).await.len(), 2);
        for slot in [&first, &second] {
            let story = store.slot(slot).await.unwrap();
            assert!(story.record.is_some() && story.tail.is_some(), "{keys:?} {story:?}");
        }
    }
    ground.end();
    assert_eq!(runs(&store).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_meets_a_move_is_made_when_that_ends() {
    let ground = Ground::new();
    let store: Arc<dyn Store> = Arc::new(ground.store(Duration::from_secs(20)));
    let claim = claim_of(&due(&*store, "backup").await, LONG);
    ground.begin();
    let waiting = {
        let (store, claim) = (store.clone(), claim.clone());
        tokio::spawn(async move { try_claim(&*store, &claimant("web-1"), &claim).await })
    };
    // It is sent again and again.
    let refused = || {
        let stats = ground.cluster.server(ground.from).cli_text(&["INFO", "errorstats"]);
        ["errorstat_TRYAGAIN:count=", "errorstat_ASK:count="].iter().any(|kind| {
            let count = stats.split(kind).nth(1).and_then(|rest| rest.split("\r\n").next());
            count.is_some_and(|count| count.parse::<u32>().unwrap() > 3)
        })
    };
    eventually("the claim was put off", async || refused()).await;
    assert!(!waiting.is_finished());
    ground.end();
    granted(waiting.await.unwrap());
}
