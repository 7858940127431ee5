//! What the cases play with: claimants, slots, claims, completions, and waiting.

use std::cell::Cell;
use std::time::Duration;

use solocron::claim::{Claim, Claimant, Claimed, Grant, Holder, Settled, Token, Verdict};
use solocron::clock::{BootInstant, ClusterTime};
use solocron::ledger::{Entry, MissedRange, Query, Retention, RunEntry};
use solocron::name::{JobName, NodeName};
use solocron::node::BootId;
use solocron::outcome::{MissedReason, Outcome};
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime, TriggerId};
use solocron::store::{
    Abandonment, Completion, CursorKey, Forfeit, Open, Ownership, Renewal, Store, Then,
};
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

/// The slot `seconds` after the second that runs now, by the store's clock. (Of one job
/// they are asked for in ascending order, for a second may pass between.)
pub(crate) async fn slot_in(store: &dyn Store, name: &str, seconds: i64) -> Slot {
    let second = now(store).await.unix_millis().div_euclid(1000);
    Slot::scheduled(job(name), SlotTime::from_unix_seconds(second + seconds))
}

/// A slot that is due.
pub(crate) async fn due(store: &dyn Store, name: &str) -> Slot {
    slot_in(store, name, 0).await
}

thread_local! {
    /// Whether the claims that are made on this thread, a case's own, look first who has
    /// the slot: no case may see a difference.
    pub(crate) static LOOKS_FIRST: Cell<bool> = const { Cell::new(false) };
}

/// A claim of `slot` with a token of its own and an open window.
pub(crate) fn claim_of(slot: &Slot, ttl: Duration) -> Claim {
    Claim {
        slot: slot.clone(),
        token: solocron::claim::Token::new(),
        ttl,
        due: slot.at.cluster_time(),
        start_by: slot.at.cluster_time() + WINDOW,
        overlap: Overlap::Allow,
        max_takeovers: 3,
        takes_over: None,
        keep_record: KEEP,
        keep_settled: KEEP,
        retention: KEEP_ALL,
        digest: DIGEST,
        advance: false,
        looks_first: LOOKS_FIRST.get(),
    }
}

/// The same of a job of which, by `overlap`, not every slot runs at once.
pub(crate) fn claim_by(overlap: Overlap, slot: &Slot, ttl: Duration) -> Claim {
    Claim { overlap, ..claim_of(slot, ttl) }
}

/// A claim that takes over the lease that `lost` won and that lapsed.
pub(crate) fn takeover_of(lost: &Claim) -> Claim {
    Claim { token: Token::new(), ttl: LONG, takes_over: Some(lost.token), ..lost.clone() }
}

/// One claim, all that came of it.
pub(crate) async fn claimed(store: &dyn Store, who: &Claimant, claim: &Claim) -> Claimed {
    let mut claimed = store.claim(who, std::slice::from_ref(claim)).await.unwrap();
    assert_eq!(claimed.len(), 1, "one claim has one verdict");
    claimed.remove(0)
}

/// One claim, one verdict.
pub(crate) async fn try_claim(store: &dyn Store, who: &Claimant, claim: &Claim) -> Verdict {
    let mut verdicts = verdicts(store, who, std::slice::from_ref(claim)).await;
    assert_eq!(verdicts.len(), 1, "one claim has one verdict");
    verdicts.remove(0)
}

/// The verdicts of a batch, in order.
pub(crate) async fn verdicts(store: &dyn Store, who: &Claimant, claims: &[Claim]) -> Vec<Verdict> {
    let claimed = store.claim(who, claims).await.unwrap();
    claimed.into_iter().map(|claimed| claimed.verdict).collect()
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

/// The slot that a claim waits for.
#[track_caller]
pub(crate) fn waits_for(verdict: Verdict) -> Slot {
    match verdict {
        Verdict::Waits(slot) => slot,
        other => panic!("the claim should wait: {other:?}"),
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
        attempt: grant.attempt,
        fence: grant.fence,
        outcome,
        then: match outcome {
            Outcome::HandedOver => Then::HandOver(None),
            _ => Then::Settle,
        },
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

/// Ends the run that `claim` won with `outcome`, and settles its slot.
pub(crate) async fn finish(
    store: &dyn Store,
    who: &Claimant,
    claim: &Claim,
    grant: Grant,
    outcome: Outcome,
) {
    let end = completion(claim, grant, outcome, now(store).await);
    assert_eq!(complete(store, who, &end).await, Ownership::Ours);
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
    finish(store, who, &claim, grant, outcome).await;
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
        was_lost: false,
        why: "nobody may run it".to_owned(),
        keep_record: KEEP,
        retention: KEEP_ALL,
    }
}

pub(crate) fn forfeit_of(claim: &Claim) -> Forfeit {
    Forfeit {
        slot: claim.slot.clone(),
        token: claim.token,
        reason: MissedReason::StoreDown,
        keep_record: KEEP,
        retention: KEEP_ALL,
    }
}

/// The open slots that want somebody.
pub(crate) async fn open(store: &dyn Store) -> Vec<Open> {
    store.sweep(1000).await.unwrap().open
}

/// The slots that want somebody.
pub(crate) async fn open_slots(store: &dyn Store) -> Vec<Slot> {
    open(store).await.into_iter().map(|open| open.slot).collect()
}

/// The one slot that wants somebody.
pub(crate) async fn open_slot(store: &dyn Store) -> Slot {
    let open = open_slots(store).await;
    assert_eq!(open.len(), 1, "one slot wants somebody: {open:?}");
    open.into_iter().next().unwrap()
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

/// The runs in the ledger, newest first.
pub(crate) async fn runs(store: &dyn Store) -> Vec<RunEntry> {
    let runs = ledger(store).await.into_iter().filter_map(|entry| match entry {
        Entry::Run(run) => Some(run),
        Entry::Missed(_) => None,
    });
    runs.collect()
}

/// The ranges of missed slots in the ledger, newest first.
pub(crate) async fn ranges(store: &dyn Store) -> Vec<MissedRange> {
    let ranges = ledger(store).await.into_iter().filter_map(|entry| match entry {
        Entry::Missed(missed) => Some(missed.range),
        Entry::Run(_) => None,
    });
    ranges.collect()
}

/// Somebody asks for a run of the job now; the slot.
pub(crate) async fn trigger(store: &dyn Store, name: &str) -> Slot {
    let slot = Slot::triggered(job(name), TriggerId::new(now(store).await));
    assert_eq!(store.trigger(&node("asker"), &slot, KEEP).await, Ok(true));
    slot
}

/// Waits until the store lists `slot` as lapsed.
pub(crate) async fn await_lapse(store: &dyn Store, slot: &Slot) {
    eventually("the slot lapses", async || open(store).await.iter().any(|l| l.slot == *slot)).await;
}

/// Has the lease that `claim` won lapse.
pub(crate) async fn lapse(store: &dyn Store, claim: &Claim) {
    assert_eq!(renew(store, &renewal(claim, SHORT)).await, Ownership::Ours);
    await_lapse(store, &claim.slot).await;
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
