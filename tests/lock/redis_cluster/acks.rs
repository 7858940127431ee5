//! Locks that count only when the replica of their master has them, as the address asks for.

use super::*;

/// Short enough to be waited for, long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_millis(1500);
const LOCKS: usize = 12;

fn name(number: usize) -> String {
    format!("order/{number}")
}

/// Locks of servers with a replica each.
fn ground() -> Shared {
    Shared::on(Some(ServerCluster::start(MASTERS, 1)))
}

fn locks(f: &Shared) -> Locks {
    let address = format!("{}?min_acks=1", f.address());
    Locks::new(store_at(&address, &f.cluster(), TIMEOUT))
}

/// Asserts that it is not granted, and that the lack of a replica is the reason.
fn assert_short<T: std::fmt::Debug>(answer: Result<T, LockError>) {
    let Err(LockError::Unknown(why)) = &answer else { panic!("{answer:?}") };
    assert!(why.contains("0 of 1 replicas acknowledged"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_replica_of_its_master_a_lock_is_not_granted_and_those_of_others_are() {
    let f = ground();
    let locks = locks(&f);
    let held = take(&locks, "order/0").await;
    let (_, master) = f.place("order/0");
    let replica = f.servers().replica_of(master);
    let same = (1..).map(name).find(|name| f.place(name).1 == master).unwrap();
    let other = (1..).map(name).find(|name| f.place(name).1 != master).unwrap();
    f.servers().server(replica).pause();
    assert_short(locks.lock(&*same).ttl(LONG).try_acquire().await);
    // (It is not even sent where the request that failed is given back just before it.)
    match held.extend(LONG).await {
        Err(LockError::Unavailable(why)) => {
            assert!(why.contains("not sent") && why.contains("0 of 1 replicas"), "{why}");
        }
        answer => assert_short(answer),
    }
    assert!(held.is_held());
    take(&locks, &other).await.release().await.unwrap();
    f.servers().server(replica).resume();
    eventually("what was not granted is given back", async || f.residue().len() == 1).await;
    eventually("it counts again", async || held.extend(LONG).await.is_ok()).await;
    held.release().await.unwrap();
    clean(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_a_lock_has_it_when_its_master_is_killed_in_the_middle_of_takes() {
    let mut f = ground();
    let (mine, others) = (locks(&f), locks(&f));
    let doomed = f.place(&name(0)).1;
    let replica = f.servers().replica_of(doomed);
    let mut guards = Vec::new();
    for number in 0..LOCKS {
        guards.push(take(&mine, &name(number)).await);
        if number == LOCKS / 2 {
            // From here on it goes on without its replica, and nothing of it counts.
            f.servers().server(replica).pause();
            f.servers().server(doomed).cli(&["CLIENT", "KILL", "TYPE", "replica"]);
            let late = (LOCKS..).map(name).find(|name| f.place(name).1 == doomed).unwrap();
            assert_short(mine.lock(&*late).ttl(LONG).try_acquire().await);
            f.own.as_mut().unwrap().server_mut(doomed).kill9();
            f.servers().server(replica).resume();
            f.servers().until_master(replica);
            f.own.as_mut().unwrap().server_mut(doomed).restart();
            f.servers().until_whole();
            eventually("locks count again", async || guards[0].extend(LONG).await.is_ok()).await;
        }
    }
    for (number, guard) in guards.iter().enumerate() {
        let (name, fence) = (name(number), guard.fence());
        // They may have to find the new master first.
        eventually(&format!("{name} has its holder"), async || {
            let answer = others.lock(&*name).ttl(LONG).try_acquire().await;
            match answer {
                Err(LockError::Contended { holder, .. }) => holder.fence == fence,
                Err(LockError::Unavailable(_) | LockError::Unknown(_)) => false,
                other => panic!("{name}: {other:?}"),
            }
        })
        .await;
        assert!(guard.is_held());
    }
    for guard in guards {
        guard.release().await.unwrap();
    }
}
