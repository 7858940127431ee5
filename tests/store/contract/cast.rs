//! What the cases play with: claimants, slots, claims, completions, and waiting.

use std::time::Duration;

use solocron::claim::{Claim, Claimant, Grant, Holder, Settled, Verdict};
use solocron::clock::{BootInstant, ClusterTime};
use solocron::ledger::{Entry, Query, Retention};
use solocron::name::{JobName, NodeName};
use solocron::node::BootId;
use solocron::outcome::Outcome;
use solocron::slot::{Slot, SlotTime};
use solocron::store::{Abandonment, Completion, CursorKey, Ownership, Renewal, Store};
use solocron::table::ScheduleDigest;

/// A lease that does not lapse while a case runs, however busy the machine is.
pub(crate) const LONG: Duration = Duration::from_secs(60);
/// A lease that lapses soon.
pub(crate) const SHORT: Duration = Duration::from_millis(80);
/// How long records are kept where a case does not care.
pub(crate) const KEEP: Duration = Duration::from_secs(600);
/// The length of the start window where a case does not care.
pub(crate) const WINDOW: Duration = Duration::from_secs(3600);
/// How long a state is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// The schedule of every job here.
pub(crate) const DIGEST: ScheduleDigest = ScheduleDigest::from_bits(0x00c0_ffee_0000_0001);

/// Keeps all that a case writes.
pub(crate) const KEEP_ALL: Retention =
    Retention { keep: Duration::from_secs(86_400), per_job: 1000 };

pub(crate) fn node(name: &str) -> NodeName {
    NodeName::new(name).unwrap()
}

pub(crate) fn job(name: &str) -> JobName {
    JobName::new(name).unwrap()
}

/// A claimant of that name that just started.
pub(crate) fn claimant(name: &str) -> Claimant {
    Claimant { node: node(name), boot: BootId::random(), max_early: Duration::from_secs(5) }
}

pub(crate) async fn now(store: &dyn Store) -> ClusterTime {
    store.time().await.unwrap()
}

/// The slot `seconds` after the second that runs now, by the store's clock.
pub(crate) async fn slot_in(store: &dyn Store, name: &str, seconds: i64) -> Slot {
    let second = now(store).await.unix_millis().div_euclid(1000);
    Slot { job: job(name), at: SlotTime::from_unix_seconds(second + seconds) }
}

/// A slot that is due.
pub(crate) async fn due(store: &dyn Store, name: &str) -> Slot {
    slot_in(store, name, 0).await
}

/// A claim of `slot` with a token of its own and an open window.
pub(crate) fn claim_of(slot: &Slot, ttl: Duration) -> Claim {
    Claim {
        slot: slot.clone(),
        token: solocron::claim::Token::new(),
        ttl,
        start_by: slot.at.cluster_time() + WINDOW,
        keep_record: KEEP,
        digest: DIGEST,
        advance: false,
    }
}

/// One claim, one verdict.
pub(crate) async fn try_claim(store: &dyn Store, who: &Claimant, claim: &Claim) -> Verdict {
    let mut verdicts = store.claim(who, std::slice::from_ref(claim)).await.unwrap();
    assert_eq!(verdicts.len(), 1, "one claim has one verdict");
    verdicts.remove(0)
}

/// One claim that must win.
pub(crate) async fn win(store: &dyn Store, who: &Claimant, claim: &Claim) -> Grant {
    granted(try_claim(store, who, claim).await)
}

#[track_caller]
pub(crate) fn granted(verdict: Verdict) -> Grant {
    match verdict {
        Verdict::Won(grant) => grant,
        other => panic!("the claim should have won: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn holder(verdict: Verdict) -> Holder {
    match verdict {
        Verdict::Held(holder) => holder,
        other => panic!("the slot should be held: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn done(verdict: Verdict) -> Settled {
    match verdict {
        Verdict::Done(settled) => settled,
        other => panic!("the slot should be done: {other:?}"),
    }
}

/// The end of the run that `claim` won.
pub(crate) fn completion(
    claim: &Claim,
    grant: Grant,
    outcome: Outcome,
    at: ClusterTime,
) -> Completion {
    let failed = outcome == Outcome::Failed;
    Completion {
        slot: claim.slot.clone(),
        token: claim.token,
        run_id: claim.token.run_id(),
        attempt: grant.attempt,
        fence: grant.fence,
        outcome,
        started_at: at - Duration::from_millis(1500),
        finished_at: at,
        exit_code: match outcome {
            Outcome::Succeeded => Some(0),
            Outcome::Failed => Some(3),
            _ => None,
        },
        signal: None,
        error: failed.then(|| "exited with 3".to_owned()),
        tail: "the end of the output\n".to_owned(),
        keep_record: KEEP,
        retention: KEEP_ALL,
    }
}

/// Completes one run.
pub(crate) async fn complete(
    store: &dyn Store,
    who: &Claimant,
    completion: &Completion,
) -> Ownership {
    let mut answers = store.complete(&who.node, std::slice::from_ref(completion)).await.unwrap();
    assert_eq!(answers.len(), 1, "one completion has one answer");
    answers.remove(0)
}

/// Claims `slot` and ends the run with `outcome`; the claim and what it won.
pub(crate) async fn run(
    store: &dyn Store,
    who: &Claimant,
    slot: &Slot,
    outcome: Outcome,
) -> (Claim, Grant) {
    let claim = claim_of(slot, LONG);
    let grant = win(store, who, &claim).await;
    let end = completion(&claim, grant, outcome, now(store).await);
    assert_eq!(complete(store, who, &end).await, Ownership::Ours);
    (claim, grant)
}

pub(crate) fn renewal(claim: &Claim, ttl: Duration) -> Renewal {
    Renewal { slot: claim.slot.clone(), token: claim.token, ttl, keep_record: KEEP }
}

/// Renews one lease.
pub(crate) async fn renew(store: &dyn Store, renewal: &Renewal) -> Ownership {
    let mut answers = store.renew(std::slice::from_ref(renewal)).await.unwrap();
    assert_eq!(answers.len(), 1, "one renewal has one answer");
    answers.remove(0)
}

pub(crate) fn abandonment(claim: &Claim) -> Abandonment {
    Abandonment {
        slot: claim.slot.clone(),
        token: claim.token,
        keep_record: KEEP,
        retention: KEEP_ALL,
    }
}

/// Settles one lapsed slot; whether this call did.
pub(crate) async fn abandon(store: &dyn Store, by: &Claimant, what: &Abandonment) -> bool {
    let did = store.abandon(&by.node, std::slice::from_ref(what)).await.unwrap();
    assert_eq!(did.len(), 1, "one abandonment has one answer");
    did[0]
}

pub(crate) fn cursor_of(name: &str) -> CursorKey {
    CursorKey { job: job(name), digest: DIGEST }
}

/// Everything in the ledger, newest first.
pub(crate) async fn ledger(store: &dyn Store) -> Vec<Entry> {
    store.history(&Query { limit: 100_000, ..Query::default() }).await.unwrap()
}

/// Waits until the store lists `slot` as lapsed.
pub(crate) async fn await_lapse(store: &dyn Store, slot: &Slot) {
    eventually("the slot lapses", async || {
        store.lapsed(1000).await.unwrap().iter().any(|l| l.slot == *slot)
    })
    .await;
}

/// Waits until the store's clock is past `at`.
pub(crate) async fn await_time(store: &dyn Store, at: ClusterTime) {
    eventually("the store's clock gets there", async || now(store).await > at).await;
}

/// Waits until `holds`, or fails saying what never came.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let start = BootInstant::now();
    while !holds().await {
        assert!(BootInstant::now().since(start) < PATIENCE, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
