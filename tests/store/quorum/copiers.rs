//! Who may copy to a server that came back empty.

use solocron::name::ClusterName;
use solocron::store::quorum::slots::Candidate;
use solocron::store::redis::{Options, RedisReplica};
use uuid::Uuid;

use crate::harness::redis_server::RedisServer;
use crate::redis::options_for;

#[tokio::test]
async fn one_that_a_copier_gave_up_is_another_s_at_once_and_nobody_else_s() {
    let redis = RedisServer::start();
    let cluster = ClusterName::new("prod").unwrap();
    let server = RedisReplica::open(Options { cluster, ..options_for(redis.port()) });
    let [first, second] = [1, 2].map(Uuid::from_u128);
    assert!(server.begin_copy(first, None).await.unwrap());
    assert!(!server.begin_copy(second, None).await.unwrap(), "the first copies");
    server.leave_copy(second).await.unwrap();
    assert!(!server.begin_copy(second, None).await.unwrap(), "only the first can give it up");
    server.leave_copy(first).await.unwrap();
    let seen = server.membership().await.unwrap();
    let marked = server.mark(Uuid::new_v4(), seen.process).await.unwrap();
    assert_eq!(marked.quorum, None, "what is in it is of no use to a quorum that begins");
    assert!(server.begin_copy(second, None).await.unwrap());
    server.leave_copy(first).await.unwrap();
    assert!(!server.begin_copy(first, None).await.unwrap(), "it is the second's now");
}
