//! Claims and renewals.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};

use crate::claim::{Claim, Claimant, Fence, Grant, Refusal, Verdict};
use crate::clock::ClusterTime;
use crate::store::redis::keys::{Keys, cursor_field};
use crate::store::redis::link::Link;
use crate::store::redis::record::{Record, Told, word};
use crate::store::redis::{batch, reply, scripts};
use crate::store::{Ownership, Renewal, Result};

/// What one claim adds to a request, about.
const BYTES: usize = 200;

pub(super) async fn claim(
    link: &Link,
    keys: &Keys,
    claimant: &Claimant,
    claims: &[Claim],
) -> Result<Vec<Verdict>> {
    let call = |some: &[Claim]| call_of(keys, claimant, some);
    let verdicts = batch::run(link, claims, call, |_| BYTES, verdict).await?;
    let or_unknown = |verdict: Result<Verdict>| {
        verdict.unwrap_or_else(|error| Verdict::Unknown(error.to_string()))
    };
    Ok(verdicts.into_iter().map(or_unknown).collect())
}

fn call_of(keys: &Keys, claimant: &Claimant, claims: &[Claim]) -> Cmd {
    // Slots that are due together have the same terms; they are sent once.
    let mut numbers = HashMap::new();
    let mut terms = Vec::new();
    let mut terms_of = Vec::with_capacity(claims.len());
    for claim in claims {
        let ttl = millis(claim.ttl);
        let term = [
            ttl.cast_signed(),
            (ttl + millis(claim.keep_record)).cast_signed(),
            claim.start_by.unix_micros(),
            claim.slot.at.unix_seconds(),
            i64::from(claim.advance),
        ];
        terms_of.push(*numbers.entry(term).or_insert_with(|| {
            terms.push(term);
            terms.len()
        }));
    }

    let mut call = scripts::CLAIM.call_with(3 + claims.len());
    call.arg(keys.open()).arg(keys.cursors()).arg(keys.fence());
    for claim in claims {
        call.arg(keys.slot(&claim.slot));
    }
    call.arg(keys.locks())
        .arg(keys.slots())
        .arg(claimant.node.as_str())
        .arg(micros(claimant.max_early))
        .arg(terms.len());
    for term in terms {
        call.arg(&term);
    }
    for (claim, term) in claims.iter().zip(terms_of) {
        call.arg(claim.token.to_string())
            .arg(cursor_field(&claim.slot.job, claim.digest))
            .arg(term);
    }
    call
}

fn verdict(now: ClusterTime, value: Value) -> Result<Verdict> {
    let line = reply::item(value)?;
    if let Some(rest) = line.strip_prefix("won ") {
        let mut words = rest.split(' ');
        return match (word(&mut words), word(&mut words)) {
            (Some(fence), Some(attempt)) => {
                Ok(Verdict::Won(Grant { fence: Fence::new(fence), attempt }))
            }
            _ => Err(reply::corrupt("a grant")),
        };
    }
    if let Some(why) = line.strip_prefix("refused ") {
        return match why {
            "late" => Ok(Verdict::Refused(Refusal::Late)),
            "early" => Ok(Verdict::Refused(Refusal::Early)),
            "past" => Ok(Verdict::Refused(Refusal::Past)),
            "handed_over" => Ok(Verdict::Refused(Refusal::HandedOver)),
            _ => Err(reply::corrupt("a refusal")),
        };
    }
    match Record::read(&line)?.told(now) {
        Told::Held(holder) => Ok(Verdict::Held(holder)),
        Told::Settled(settled) => Ok(Verdict::Done(settled)),
        Told::Free => Err(reply::corrupt("a verdict")),
    }
}

pub(super) async fn renew(
    link: &Link,
    keys: &Keys,
    renewals: &[Renewal],
) -> Result<Vec<Ownership>> {
    let call = |some: &[Renewal]| {
        let mut call = scripts::RENEW.call(&[&keys.open()]);
        call.arg(keys.locks()).arg(keys.slots());
        for renewal in some {
            let ttl = millis(renewal.ttl);
            call.arg(renewal.slot.to_string())
                .arg(renewal.token.to_string())
                .arg(ttl)
                .arg(ttl + millis(renewal.keep_record));
        }
        call
    };
    batch::all(batch::run(link, renewals, call, |_| BYTES, reply::ownership).await?)
}

/// The longest time to live: a thousand years. Redis refuses an end beyond 2^63.
const LONGEST: u64 = 1000 * 365 * 86_400_000;

/// A time to live for Redis, which refuses zero.
pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX).min(LONGEST * 1000)
}
