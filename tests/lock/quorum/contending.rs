//! Many that want the same lock at once.

use std::sync::Arc;
use std::time::Duration;

use solocron::lock::Locks;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{quorum_of, residue, several};
use crate::contract::*;

const CONTENDERS: usize = 10;
const ROUNDS: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn split_votes_end_with_one_winner() {
    let servers = several(3);
    let quorums: Vec<_> = (0..CONTENDERS).map(|_| quorum_of(&servers, PATIENT)).collect();
    let locks: Vec<_> = quorums.iter().map(|one| Locks::new(Arc::new(one.clone()))).collect();
    for one in &locks {
        eventually("it is connected", async || one.holder("order/1").await.is_ok()).await;
    }
    let mut longest = Duration::ZERO;
    for round in 0..ROUNDS {
        let start = Arc::new(Barrier::new(CONTENDERS));
        let mut contenders = JoinSet::new();
        for one in &locks {
            let (request, start) = (one.lock("order/1").ttl(LONG), start.clone());
            contenders.spawn(async move {
                start.wait().await;
                timed(request.try_acquire()).await
            });
        }
        let (mut winners, mut named) = (Vec::new(), Vec::new());
        for (took, answer) in contenders.join_all().await {
            longest = longest.max(took);
            match answer {
                Ok(guard) => winners.push(guard),
                other => named.push(contended(other).1.fence),
            }
        }
        assert_eq!(winners.len(), 1, "in round {round}");
        let winner = winners.remove(0);
        assert!(named.iter().all(|fence| *fence == winner.fence()), "{named:?} {winner:?}");
        winner.release().await.unwrap();
        for quorum in &quorums {
            soon("the end of what is under way", quorum.settled()).await;
        }
        assert_eq!(residue(&servers), [""; 0]);
    }
    println!("the longest of {ROUNDS} rounds took {longest:?}");
    assert!(longest < Duration::from_secs(2) + SLACK, "{longest:?}");
}
