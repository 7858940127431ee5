//! Claims and renewals.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};

use crate::claim::{Claim, Claimant, Fence, Grant, Refusal, Verdict};
use crate::store::redis::keys::{Keys, cursor_field};
use crate::store::redis::link::Link;
use crate::store::redis::record::{Record, Standing, word};
use crate::store::redis::{batch, reply, scripts};
use crate::store::{CursorKey, Ownership, Renewal, Result};

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
    // Slots of one schedule share a cursor; it is read once.
    let mut numbers = HashMap::with_capacity(claims.len());
    let mut fields = Vec::new();
    let mut cursor_of = Vec::with_capacity(claims.len());
    for claim in claims {
        let number = *numbers.entry((&claim.slot.job, claim.digest)).or_insert_with(|| {
            let cursor = CursorKey { job: claim.slot.job.clone(), digest: claim.digest };
            fields.push(cursor_field(&cursor));
            fields.len()
        });
        cursor_of.push(number);
    }

    let mut call = scripts::CLAIM.call(&[&keys.open(), &keys.cursors(), &keys.fence()]);
    call.arg(keys.locks())
        .arg(keys.slots())
        .arg(claimant.node.as_str())
        .arg(micros(claimant.max_early))
        .arg(fields.len())
        .arg(fields);
    for (claim, cursor) in claims.iter().zip(cursor_of) {
        let ttl = millis(claim.ttl);
        call.arg(claim.slot.to_string())
            .arg(claim.token.to_string())
            .arg(ttl)
            .arg(ttl + millis(claim.keep_record))
            .arg(claim.start_by.unix_micros())
            .arg(claim.slot.at.unix_seconds())
            .arg(cursor)
            .arg(u8::from(claim.advance));
    }
    call
}

fn verdict(value: Value) -> Result<Verdict> {
    let line = reply::item(value)?;
    if let Some(rest) = line.strip_prefix("won ") {
        let mut words = rest.split(' ');
        let grant = match (word(&mut words), word(&mut words)) {
            (Some(fence), Some(attempt)) => Grant { fence: Fence::new(fence), attempt },
            _ => return Err(reply::corrupt("a grant")),
        };
        return Ok(Verdict::Won(grant));
    }
    if let Some(rest) = line.strip_prefix("held ") {
        let (record, remaining) = reply::held(rest)?;
        return match record.standing {
            Standing::Running => Ok(Verdict::Held(record.holder(remaining))),
            _ => Err(reply::corrupt("a holder")),
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
    let settled = Record::read(&line)?.settled();
    settled.map(Verdict::Done).ok_or_else(|| reply::corrupt("a settled slot"))
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
