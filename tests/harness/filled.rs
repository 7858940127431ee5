//! A ledger with much in it, written by the program's own calls.

use std::time::Duration;

use solocron::claim::{Claim, Claimant, Token, Verdict};
use solocron::ledger::Retention;
use solocron::name::JobName;
use solocron::node::BootId;
use solocron::outcome::Outcome;
use solocron::policy::Overlap;
use solocron::slot::{Slot, SlotTime};
use solocron::store::{Completion, Store, Then};
use solocron::table::ScheduleDigest;

/// Jobs in one claim.
const AT_ONCE: usize = 500;

/// Between the slots of a job, in seconds.
const APART: i64 = 60;

/// Runs `each` slots of every job of `jobs` in the store, the last a minute ago, as three
/// nodes would that have no processes. Every twentieth fails.
pub(crate) async fn fill(store: &dyn Store, jobs: &[JobName], each: usize) {
    let now = store.time().await.unwrap().unix_millis().div_euclid(1000);
    let claimants = ["web-1", "web-2", "web-3"].map(|node| Claimant {
        node: node.parse().unwrap(),
        boot: BootId::random(),
        max_early: Duration::from_secs(5),
    });
    for entry in 0..each {
        let ago = APART * i64::try_from(each - entry).unwrap();
        let at = SlotTime::from_unix_seconds(now - ago);
        for (part, jobs) in jobs.chunks(AT_ONCE).enumerate() {
            let claimant = &claimants[(entry + part) % claimants.len()];
            let outcome = match (entry + part * AT_ONCE).is_multiple_of(20) {
                true => Outcome::Failed,
                false => Outcome::Succeeded,
            };
            let claims: Vec<_> = jobs.iter().map(|job| claim(job, at)).collect();
            let claimed = store.claim(claimant, &claims).await.unwrap();
            let ends: Vec<_> = claims
                .iter()
                .zip(claimed)
                .map(|(claim, claimed)| {
                    let Verdict::Won(grant) = claimed.verdict else { panic!("{claimed:?}") };
                    let started_at = at.cluster_time() + Duration::from_millis(3);
                    Completion {
                        slot: claim.slot.clone(),
                        token: claim.token,
                        attempt: grant.attempt,
                        fence: grant.fence,
                        outcome,
                        then: Then::Settle,
                        started_at,
                        finished_at: started_at + Duration::from_millis(1200),
                        exit_code: Some(i32::from(outcome == Outcome::Failed)),
                        signal: None,
                        error: None,
                        tail: "the end of the output\n".to_owned(),
                        keep_record: claim.keep_record,
                        retention: claim.retention,
                    }
                })
                .collect();
            store.complete(&claimant.node, &ends).await.unwrap();
        }
    }
}

fn claim(job: &JobName, at: SlotTime) -> Claim {
    let keep = Duration::from_secs(60);
    Claim {
        slot: Slot::scheduled(job.clone(), at),
        token: Token::new(),
        ttl: keep,
        due: at.cluster_time(),
        start_by: at.cluster_time() + Duration::from_secs(86_400),
        overlap: Overlap::Allow,
        max_takeovers: 3,
        takes_over: None,
        keep_record: keep,
        keep_settled: keep,
        retention: Retention { keep: Duration::from_secs(30 * 86_400), per_job: 1000 },
        digest: ScheduleDigest::from_bits(1),
        advance: false,
        looks_first: false,
    }
}
