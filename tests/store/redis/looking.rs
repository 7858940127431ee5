//! Claims that look first who has the slot: the whole contract, and what a look costs.

use std::sync::Arc;

use solocron::claim::{Claim, Verdict};
use solocron::outcome::Outcome;
use solocron::slot::SlotTime;
use solocron::store::Store;
use solocron::store::redis::RedisStore;

use super::{RedisFixture, options};
use crate::contract::*;
use crate::harness::redis_server::RedisServer;

contract!(crate::redis::looking::LookingFixture);

pub(crate) struct LookingFixture(RedisFixture);

impl Fixture for LookingFixture {
    async fn start() -> Self {
        LOOKS_FIRST.set(true);
        Self(RedisFixture::start().await)
    }

    async fn store(&self) -> Arc<dyn Store> {
        self.0.store().await
    }
}

impl Drop for LookingFixture {
    fn drop(&mut self) {
        // Another case may come to this thread.
        LOOKS_FIRST.set(false);
    }
}

/// How often the server has executed a command.
fn calls(server: &RedisServer, command: &str) -> i64 {
    let stats = server.cli_text(&["INFO", "commandstats"]);
    let prefix = format!("cmdstat_{command}:calls=");
    let line = stats.lines().find_map(|line| line.strip_prefix(&prefix));
    line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

fn looking(claim: &Claim) -> Claim {
    Claim { looks_first: true, ..claim_of(&claim.slot, LONG) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_is_seen_without_a_script_and_the_rest_is_claimed() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let (me, other) = (claimant("web-1"), claimant("web-2"));
    let held = claim_of(&due(&store, "held").await, LONG);
    let settled = claim_of(&due(&store, "settled").await, LONG);
    win(&store, &me, &held).await;
    let grant = win(&store, &me, &settled).await;
    finish(&store, &me, &settled, grant, Outcome::Succeeded).await;

    let (scripts, reads) = (calls(&server, "evalsha"), calls(&server, "mget"));
    let lost = [looking(&held), looking(&settled)];
    let seen = verdicts(&store, &other, &lost).await;
    assert_eq!(calls(&server, "evalsha"), scripts, "no script was called");
    assert_eq!(calls(&server, "mget"), reads + 1, "all were looked at together");
    assert_eq!(holder(seen[0].clone()).token, held.token);
    assert_eq!(done(seen[1].clone()).token, settled.token);

    // One of a batch is free, one is to be claimed at once.
    let free = claim_of(&due(&store, "free").await, LONG);
    let plain = claim_of(&held.slot, LONG);
    let mixed = [looking(&held), looking(&free), plain, looking(&settled)];
    let seen = verdicts(&store, &other, &mixed).await;
    assert!(matches!(seen[0], Verdict::Held(_)) && matches!(seen[2], Verdict::Held(_)), "{seen:?}");
    assert!(matches!(seen[1], Verdict::Won(_)) && matches!(seen[3], Verdict::Done(_)), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_lags_is_moved_all_the_same() {
    let server = RedisServer::start();
    let store = RedisStore::open(options(&server));
    let slot = due(&store, "backup").await;
    let before = slot.at.unix_seconds() - 60;
    let cursors = [cursor_of("backup")];
    let stands = async || {
        let from = SlotTime::from_unix_seconds(before);
        store.open_cursors(&cursors, from, KEEP).await.unwrap()[0]
    };
    assert_eq!(stands().await.unix_seconds(), before);
    let held = claim_of(&slot, LONG);
    win(&store, &claimant("web-1"), &held).await;
    assert_eq!(stands().await.unix_seconds(), before);
    let looks = Claim { advance: true, ..looking(&held) };
    holder(try_claim(&store, &claimant("web-2"), &looks).await);
    assert_eq!(stands().await, slot.at);
    let scripts = calls(&server, "evalsha");
    let looks = Claim { advance: true, ..looking(&held) };
    holder(try_claim(&store, &claimant("web-3"), &looks).await);
    assert_eq!(calls(&server, "evalsha"), scripts, "where it is there already nothing is claimed");
}
