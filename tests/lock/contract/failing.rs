//! A store that is away, forgets, or loses what was said.

use std::time::Duration;

use solocron::lock::{LockError, Wait};
use solocron::store::locks::Taken;

use super::*;
use crate::watched::{Fault, Kind, Said, Watched};

pub(crate) async fn lost_reply_then_same_token(f: &impl Fixture) {
    let store = Watched::new(f.store());
    store.fail(Kind::Take, Fault::ReplyLost);
    let request = store.locks().lock("order/1").ttl(LONG);
    let guard = soon("the lock", request.acquire(Wait::at_most(PATIENCE))).await.unwrap();
    let asked = store.calls(Kind::Take);
    assert_eq!(asked.len(), 2, "the second found itself the owner");
    assert_eq!(asked[1].said, Said::Granted(guard.fence()));
    let holder = f.locks().holder("order/1").await.unwrap().unwrap();
    assert_eq!(holder.fence, guard.fence());
    guard.release().await.unwrap();
    clean(f).await;
}

pub(crate) async fn a_lost_reply_that_nobody_follows_up_leaves_no_lock(f: &impl Fixture) {
    let store = Watched::new(f.store());
    for (round, fault) in [(1, Fault::ReplyLost), (2, Fault::RequestLost)] {
        store.fail(Kind::Take, fault);
        // Giving it back is tried again as well.
        store.fail(Kind::Release, Fault::RequestLost);
        store.fail(Kind::Release, Fault::Refused);
        let answer = store.locks().lock("order/1").ttl(LONG).try_acquire().await;
        assert!(matches!(answer, Err(LockError::Unknown(_))), "{answer:?}");
        clean(f).await;
        store.answered(round, |call| call.kind == Kind::Release && call.said == Said::Done).await;
    }
    take(&f.locks(), "order/1").await.release().await.unwrap();
}

pub(crate) async fn a_stopped_server_gives_a_bounded_error_and_its_late_set_is_cleaned(
    f: &impl Fixture,
) {
    const BOUND: Duration = Duration::from_millis(300);
    let locks = f.hasty_locks(BOUND);
    eventually("it is connected", async || locks.holder("order/1").await.is_ok()).await;
    let held = take(&locks, "held").await;
    f.freeze();
    for _ in 0..3 {
        let (took, answer) = timed(locks.lock("order/1").ttl(LONG).try_acquire()).await;
        let bounded = matches!(answer, Err(LockError::Unavailable(_) | LockError::Unknown(_)));
        assert!(bounded, "{answer:?}");
        assert!(took < BOUND + SLACK, "{took:?}");
    }
    let (took, answer) = timed(locks.holder("order/1")).await;
    assert!(took < BOUND + SLACK && (answer.is_err() || answer == Ok(None)), "{answer:?}");
    // A release that is not heard is made good as well.
    let (took, answer) = timed(held.release()).await;
    assert!(took < BOUND + SLACK && answer.is_err(), "{answer:?}");
    f.thaw();
    clean(f).await;
    take(&f.locks(), "order/1").await.release().await.unwrap();
}

pub(crate) async fn script_flush_is_not_noticed(f: &impl Fixture) {
    let locks = f.locks();
    for _ in 0..3 {
        f.forget_scripts();
        let guard = take(&locks, "order/1").await;
        f.forget_scripts();
        contended(locks.lock("order/1").try_acquire().await);
        f.forget_scripts();
        guard.extend(LONG * 2).await.unwrap();
        f.forget_scripts();
        assert!(locks.ttl("order/1").await.unwrap().unwrap() > LONG);
        let store = Watched::new(f.store());
        let request = store.locks().lock("order/1").ttl(LONG);
        let waiting =
            tokio::spawn(async move { request.acquire(super::waiting::only_called()).await });
        store.queued(1).await;
        f.forget_scripts();
        guard.release().await.unwrap();
        let guard = soon("the call", waiting).await.unwrap().unwrap();
        f.forget_scripts();
        guard.release().await.unwrap();
    }
    clean(f).await;
}

pub(crate) async fn a_key_of_another_program_is_named_and_left_alone(f: &impl Fixture) {
    let locks = f.locks();
    for (name, as_text) in [("{order}list", false), ("{order}text", true)] {
        f.block(name, as_text);
        let wait = Wait::at_most(PATIENCE);
        let request = locks.lock_all(["{order}free", name]).ttl(LONG);
        for answer in [request.try_acquire().await, request.acquire(wait).await] {
            let Err(LockError::Corrupt(why)) = answer else { panic!("{answer:?}") };
            assert!(why.contains("did not write"), "{why}");
        }
        assert_eq!(locks.holder("{order}free").await.unwrap(), None, "all or nothing");
        let answer = locks.holder(name).await;
        assert!(matches!(answer, Err(LockError::Corrupt(_))), "{answer:?}");

        // Nor is it overwritten by who had a lock there.
        f.lapse(name);
        let guard = take(&locks, name).await;
        f.lapse(name);
        f.block(name, as_text);
        assert!(matches!(guard.extend(LONG).await, Err(LockError::Corrupt(_))));
        assert!(matches!(guard.release().await, Err(LockError::Corrupt(_))));
        assert!(locks.holder(name).await.is_err(), "it is still there");
        f.lapse(name);
    }
    clean(f).await;
}

pub(crate) async fn a_closed_store_says_so(f: &impl Fixture) {
    let locks = f.locks();
    let guard = take(&locks, "order/1").await;
    locks.close().await;
    for answer in [
        locks.lock("order/2").try_acquire().await.map(drop),
        guard.extend(LONG).await,
        locks.holder("order/1").await.map(drop),
    ] {
        assert!(matches!(answer, Err(LockError::Unavailable(_))), "{answer:?}");
    }
    let wait = Wait::at_most(SHORT);
    let (took, answer) = timed(locks.lock("order/2").acquire(wait)).await;
    assert!(matches!(answer, Err(LockError::Unavailable(_))), "{answer:?}");
    assert!(took < SHORT + SLACK, "{took:?}");
    // What it held lapses; a token is not revoked for ever, either.
    let late = take_of(&["order/1"], Token::new(), LONG);
    assert!(matches!(f.store().take(&late).await.unwrap(), Taken::Held { .. }));
    f.lapse("order/1");
    granted(&*f.store(), &late).await;
}
