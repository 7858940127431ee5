//! What a promise of one server is worth, and how long it leaves a proposal alone.

use std::time::Duration;

use solocron::clock::ClusterTime;
use solocron::name::ClusterName;
use solocron::store::quorum::slots::{Accepted, Acceptor, Ballot, Candidate, Prepared};
use solocron::store::redis::{Options, RedisReplica};
use uuid::Uuid;

use crate::harness::redis_server::RedisServer;
use crate::redis::options_for;

/// Longer than the test takes.
const LONG: Duration = Duration::from_secs(600);

/// A server that is the only one of its quorum.
async fn alone(server: &RedisServer) -> RedisReplica {
    let cluster = ClusterName::new("prod").unwrap();
    let replica = RedisReplica::open(Options { cluster, ..options_for(server.port()) });
    let (quorum, process) = (Uuid::new_v4(), replica.membership().await.unwrap().process);
    replica.mark(quorum, process).await.unwrap();
    replica.admit(quorum, process).await.unwrap();
    replica
}

/// One of another proposer in each round.
fn ballot(round: u64) -> Ballot {
    Ballot { round, proposer: Uuid::from_u128(round.into()) }
}

/// Whether it promises, or leaves the proposal of another alone.
async fn promises(server: &RedisReplica, round: u64) -> bool {
    match server.prepare(ballot(round), LONG, &[]).await.unwrap() {
        Prepared::Promised(_) => true,
        Prepared::Busy(_) => false,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_was_promised_and_given_back_is_in_nobodys_way() {
    let redis = RedisServer::start();
    let server = alone(&redis).await;
    assert!(promises(&server, 1).await);
    assert!(!promises(&server, 2).await, "the first is on its way");
    server.release(ballot(1)).await.unwrap();
    assert!(promises(&server, 2).await);

    let change = server.change(1, ClusterTime::from_unix_micros(1), &[]);
    assert_eq!(server.accept(ballot(2), 1, &change).await.unwrap(), Accepted::Yes);
    server.release(ballot(2)).await.unwrap();
    assert!(!promises(&server, 3).await, "what was accepted is not given back");
    // Whoever accepted it has no patience with himself.
    let again = Ballot { round: 3, ..ballot(2) };
    let prepared = server.prepare(again, LONG, &[]).await.unwrap();
    assert!(matches!(prepared, Prepared::Promised(promise) if promise.pending.is_some()));
    assert!(!promises(&server, 4).await);
    server.release(again).await.unwrap();
    assert!(promises(&server, 4).await, "with what another accepted still pending");
}

#[tokio::test]
async fn a_change_under_a_ballot_before_the_promised_one_is_refused() {
    let redis = RedisServer::start();
    let server = alone(&redis).await;
    assert!(promises(&server, 1).await);
    server.release(ballot(1)).await.unwrap();
    assert!(promises(&server, 2).await);
    let change = server.change(1, ClusterTime::from_unix_micros(1), &[]);
    let late = server.accept(ballot(1), 1, &change).await.unwrap();
    assert_eq!(late, Accepted::Refused(ballot(2)), "it promised to accept nothing earlier");
    assert_eq!(server.accept(ballot(2), 1, &change).await.unwrap(), Accepted::Yes);
}
