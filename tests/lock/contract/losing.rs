//! To lose a lock, to learn of it, and to keep it from being lost.

use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::lock::{LockError, Loss, State};
use solocron::store::locks::Standing;

use super::*;
use crate::watched::{Fault, Kind, Said, Watched};

pub(crate) async fn release_of_an_expired_lock(f: &impl Fixture) {
    let locks = f.locks();
    let guard = locks.lock("order/1").ttl(SHORT).renew(false).try_acquire().await.unwrap();
    soon("the loss", guard.lost()).await;
    clean(f).await;
    assert_eq!(not_held(guard.extend(LONG).await), None);
    assert_eq!(not_held(guard.release().await), None);
    assert_eq!(locks.holder("order/1").await.unwrap(), None, "nothing was written");
}

pub(crate) async fn release_of_a_foreign_lock(f: &impl Fixture) {
    let (store, locks) = (f.store(), f.locks());
    let guard = take(&locks, "order/1").await;
    let foreign = take_of(&["order/1"], Token::new(), LONG);
    for hold in [Duration::ZERO, SHORT] {
        let told = one(store.release(&release_of(&foreign, hold)).await.unwrap());
        let Standing::HeldBy(holder) = told else { panic!("{told:?}") };
        assert_eq!(holder.fence, guard.fence());
    }
    let left = locks.ttl("order/1").await.unwrap().unwrap();
    assert!(left > LONG / 2, "it is as it was");
    let never = take_of(&["order/2"], Token::new(), LONG);
    let told = store.release(&release_of(&never, Duration::ZERO)).await.unwrap();
    assert_eq!(told, [Standing::Free]);
    guard.release().await.unwrap();
}

pub(crate) async fn release_after_takeover(f: &impl Fixture) {
    let (here, there) = (f.locks(), f.locks());
    let old = take(&here, "order/1").await;
    f.lapse("order/1");
    let new = take(&there, "order/1").await;
    let by = not_held(old.release().await).unwrap();
    assert_eq!(by.fence, new.fence());
    assert!(by.fence.get() > 0 && new.is_held());
    assert_eq!(here.holder("order/1").await.unwrap().unwrap().fence, new.fence());
}

pub(crate) async fn stale_extend_leaves_the_successors_ttl(f: &impl Fixture) {
    let (store, there) = (f.store(), f.locks());
    let old = take_of(&["order/1"], Token::new(), LONG);
    granted(&*store, &old).await;
    f.lapse("order/1");
    let new = there.lock("order/1").ttl(LONG / 2).renew(false).try_acquire().await.unwrap();
    let told = one(store.extend(&old.names, old.token, LONG).await.unwrap());
    assert!(matches!(told, Standing::HeldBy(holder) if holder.fence == new.fence()));
    let left = there.ttl("order/1").await.unwrap().unwrap();
    assert!(left <= LONG / 2, "{left:?}");
    assert_eq!(store.extend(&[lock_name("x")], old.token, LONG).await.unwrap(), [Standing::Free]);

    // The same by the guard that slept through it.
    let locks = f.locks();
    let guard = locks.lock("order/2").ttl(LONG).renew(false).try_acquire().await.unwrap();
    f.lapse("order/2");
    let new = there.lock("order/2").ttl(LONG / 2).try_acquire().await.unwrap();
    assert_eq!(not_held(guard.extend(LONG).await).unwrap().fence, new.fence());
    assert!(matches!(guard.lost().await, Loss::Taken { by: Some(_), .. }));
    assert!(there.ttl("order/2").await.unwrap().unwrap() <= LONG / 2);
}

/// Long enough to be kept alive on a busy machine.
const KEPT: Duration = Duration::from_millis(1200);
/// When it is not extended within that, it is extended no more.
const ONE_MORE: Duration = Duration::from_millis(450);

pub(crate) async fn a_lost_refresh_is_not_retried(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let guard = store.locks().lock("order/1").ttl(KEPT).try_acquire().await.unwrap();
    f.lapse("order/1");
    let thief = take(&f.locks(), "order/1").await;
    let lost = soon("the loss", guard.lost()).await;
    let Loss::Taken { by, .. } = lost else { panic!("{lost:?}") };
    // None where it was asked just between the two.
    assert!(by.is_none_or(|by| by.fence == thief.fence()));
    assert!(guard.cancellation_token().is_cancelled() && !guard.is_held());
    let asked = store.calls(Kind::Extend).len();
    tokio::time::sleep(ONE_MORE).await;
    assert_eq!(store.calls(Kind::Extend).len(), asked, "the first answer was the last");
}

pub(crate) async fn a_transient_one_is(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let guard = store.locks().lock("order/1").ttl(KEPT).try_acquire().await.unwrap();
    for fault in [Fault::Refused, Fault::RequestLost, Fault::ReplyLost] {
        store.fail(Kind::Extend, fault);
    }
    store.answered(2, |call| call.kind == Kind::Extend && call.said == Said::Done).await;
    assert!(guard.is_held());
    let failed = store.calls(Kind::Extend).iter().filter(|call| call.said == Said::Failed).count();
    assert_eq!(failed, 3);
    guard.release().await.unwrap();
}

pub(crate) async fn keep_alive_timing(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let begun = BootInstant::now();
    let guard = store.locks().lock("order/1").ttl(KEPT).try_acquire().await.unwrap();
    let mut state = guard.watch();
    store.answered(6, |call| call.kind == Kind::Extend).await;
    assert!(BootInstant::now().since(begun) > KEPT && guard.is_held(), "for longer than its TTL");
    let State::Held { until } = state.borrow_and_update().clone() else { panic!("it is held") };
    assert!(until > begun + KEPT + KEPT / 2, "who watches sees it grow");
    let sent: Vec<_> = store.calls(Kind::Extend).iter().map(|call| call.sent).collect();
    let sixth = sent[5].since(begun);
    assert!(sixth >= KEPT / 4 * 6, "not more often than needed: {sixth:?}");
    assert!(sixth < KEPT / 2 * 6, "twice within each TTL at least: {sixth:?}");

    guard.release().await.unwrap();
    let asked = store.calls(Kind::Extend).len();
    tokio::time::sleep(ONE_MORE).await;
    assert_eq!(store.calls(Kind::Extend).len(), asked, "and no more after the release");
}

pub(crate) async fn keep_alive_stops_on_loss(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let guard = store.locks().lock("order/1").ttl(KEPT).try_acquire().await.unwrap();
    f.lapse("order/1");
    let lost = soon("the loss", guard.lost()).await;
    assert!(matches!(lost, Loss::Taken { by: None, .. }), "{lost:?}");
    assert!(guard.cancellation_token().is_cancelled());
    let asked = store.calls(Kind::Extend).len();
    // What is lost stays lost, and is not taken again behind anybody's back.
    tokio::time::sleep(ONE_MORE).await;
    assert_eq!(store.calls(Kind::Extend).len(), asked);
    assert_eq!(f.locks().holder("order/1").await.unwrap(), None);
}

pub(crate) async fn trust_counts_from_the_send(f: &impl Fixture) {
    let store = Watched::new(f.store());
    for fault in [Kind::Take, Kind::Extend] {
        store.fail(fault, Fault::ReplySlow);
    }
    let request = store.locks().lock("order/1").ttl(KEPT).renew(false);
    let guard = request.try_acquire().await.unwrap();
    assert!(guard.valid_until() < store.calls(Kind::Take)[0].sent + KEPT);
    guard.extend(KEPT).await.unwrap();
    assert!(guard.valid_until() < store.calls(Kind::Extend)[0].sent + KEPT);
}

pub(crate) async fn an_extension_to_less_is_kept_alive_too(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let locks = store.locks();
    let guard = locks.lock("order/1").ttl(LONG).try_acquire().await.unwrap();
    guard.extend(KEPT).await.unwrap();
    assert!(locks.ttl("order/1").await.unwrap().unwrap() <= KEPT);
    store.answered(5, |call| call.kind == Kind::Extend && call.said == Said::Done).await;
    assert!(guard.is_held(), "{:?}", guard.watch().borrow());

    // Without renewal it is lost when it lapses, not later.
    let guard = locks.lock("order/2").ttl(LONG).renew(false).try_acquire().await.unwrap();
    guard.extend(SHORT / 4).await.unwrap();
    let until = guard.valid_until();
    soon("the loss", guard.lost()).await;
    let late = BootInstant::now().since(until);
    assert!(late < Duration::from_millis(500), "{late:?}");
}

pub(crate) async fn an_extension_without_measure_is_refused(f: &impl Fixture) {
    let locks = f.locks();
    let guard = take(&locks, "order/1").await;
    for ttl in [Duration::ZERO, Duration::from_micros(999), Duration::MAX, LONG * 60 * 24 * 400] {
        let answer = guard.extend(ttl).await;
        assert!(matches!(answer, Err(LockError::Invalid(_))), "{ttl:?}: {answer:?}");
    }
    assert!(guard.is_held() && locks.ttl("order/1").await.unwrap().unwrap() <= LONG);
}

pub(crate) async fn a_loss_says_why_it_could_not_be_averted(f: &impl Fixture) {
    let store = Watched::new(f.store());
    let request = store.locks().lock("order/1").ttl(SHORT);
    for fault in [Fault::Refused, Fault::Hangs] {
        let guard = request.try_acquire().await.unwrap();
        for _ in 0..100 {
            store.fail(Kind::Extend, fault);
        }
        let until = guard.valid_until();
        let lost = soon("the loss", guard.lost()).await;
        let late = BootInstant::now().since(until);
        assert!(late < SLACK, "whatever the call does meanwhile: {late:?}");
        let Loss::Lapsed { why: Some(why) } = lost else { panic!("{fault:?}: {lost:?}") };
        assert!(!why.is_empty());
        store.forgive();
        drop(guard);
        clean(f).await;
    }
}

pub(crate) async fn who_looks_at_what_he_was_told_may_ask_the_guard(f: &impl Fixture) {
    let guard = f.locks().lock("order/1").ttl(SHORT).renew(false).try_acquire().await.unwrap();
    let guard = std::sync::Arc::new(guard);
    let asked = guard.clone();
    let looking = tokio::task::spawn_blocking(move || {
        let told = asked.watch();
        let looked_at = told.borrow();
        // The loss is to be told meanwhile, and waits for who looks.
        let late = asked.valid_until() + Duration::from_millis(100);
        let (answer, answered) = std::sync::mpsc::channel();
        let asking = std::thread::spawn(move || {
            while BootInstant::now() < late {
                let _ = asked.is_held();
                // Whoever tells the loss has to come to it.
                std::thread::sleep(Duration::from_millis(1));
            }
            let _ = answer.send(());
        });
        let in_time = answered.recv_timeout(Duration::from_secs(10));
        // From here on nobody is held up, so that this fails rather than hangs.
        drop(looked_at);
        asking.join().unwrap();
        in_time.is_ok()
    });
    assert!(looking.await.unwrap(), "who looks is not held up");
    let lost = soon("the loss", guard.lost()).await;
    assert_eq!(lost, Loss::Lapsed { why: None });
}
