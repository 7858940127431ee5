//! Claims and renewals.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};

use crate::claim::{Claim, Claimant, Claimed, Fence, Grant, Refusal, Token, Verdict};
use crate::clock::ClusterTime;
use crate::policy::Overlap;
use crate::store::redis::keys::Keys;
use crate::store::redis::record::{Record, Told, ownership, word};
use crate::store::redis::scripts::{LONGEST, millis};
use crate::store::redis::server::Server;
use crate::store::redis::slot_keys::{SlotKeys, write_cursor_field};
use crate::store::redis::{batch, entry, look, reply, scripts};
use crate::store::{Ownership, Renewal, Result, StoreError};

/// What one claim adds to a request, about.
const BYTES: usize = 200;

pub(super) async fn claim(
    link: &impl Server,
    keys: &Keys,
    claimant: &Claimant,
    claims: &[Claim],
) -> Result<Vec<Claimed>> {
    let lost = look::lost(link, keys, claims).await?;
    let rest: Vec<_> = claims
        .iter()
        .zip(&lost)
        .filter(|(_, lost)| lost.is_none())
        .map(|(claim, _)| claim)
        .collect();
    let call = |some: &[&Claim]| call_of(keys, claimant, some);
    let read = |claim: &&Claim, now, value| claimed(claim, now, value);
    let unknown = |error: StoreError| Claimed::from(Verdict::Unknown(error.to_string()));
    let mut answers = match batch::run(link, &rest, call, |_| BYTES, read).await {
        Ok(answers) => answers,
        // What was seen of the others holds.
        Err(error) if rest.len() < claims.len() => vec![Err(error); rest.len()],
        Err(error) => return Err(error),
    }
    .into_iter();
    let mut claimed = |lost: Option<Verdict>| match lost {
        Some(verdict) => verdict.into(),
        // (As many as there are claims that are not lost.)
        None => answers
            .next()
            .unwrap_or_else(|| Err(reply::corrupt("an answer to each claim")))
            .unwrap_or_else(unknown),
    };
    Ok(lost.into_iter().map(&mut claimed).collect())
}

/// What a claim depends on beside slot and token. Slots that are due together have
/// the same terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Terms {
    ttl: u64,
    life: u64,
    settled_life: u64,
    due: i64,
    start_by: i64,
    slot: i64,
    advance: bool,
    overlap: &'static str,
    max_takeovers: u32,
    takes_over: Option<Token>,
    keep: u64,
    per_job: u32,
}

impl Terms {
    fn of(claim: &Claim) -> Self {
        let ttl = millis(claim.ttl);
        Self {
            ttl,
            life: ttl + millis(claim.keep_record),
            settled_life: millis(claim.keep_settled),
            due: claim.due.unix_micros(),
            start_by: claim.start_by.unix_micros(),
            slot: claim.slot.at.unix_seconds(),
            advance: claim.advance,
            overlap: match claim.overlap {
                Overlap::Skip => "skip",
                Overlap::Allow => "allow",
                Overlap::Wait => "wait",
                Overlap::Replace => "replace",
            },
            max_takeovers: claim.max_takeovers,
            takes_over: claim.takes_over,
            keep: millis(claim.retention.keep),
            per_job: claim.retention.per_job,
        }
    }

    fn add_to(&self, call: &mut Cmd) {
        call.arg(self.ttl)
            .arg(self.life)
            .arg(self.settled_life)
            .arg(self.due)
            .arg(self.start_by)
            .arg(self.slot)
            .arg(u8::from(self.advance))
            .arg(self.overlap)
            .arg(self.max_takeovers)
            .arg(self.takes_over.map_or_else(|| "-".to_owned(), |token| token.to_string()))
            .arg(self.keep)
            .arg(self.per_job);
    }
}

fn call_of(keys: &Keys, claimant: &Claimant, claims: &[&Claim]) -> Cmd {
    let mut numbers = HashMap::new();
    let mut terms = Vec::new();
    let mut terms_of = Vec::with_capacity(claims.len());
    let mut before = None;
    for claim in claims {
        let term = Terms::of(claim);
        // Most often they are those of the claim before.
        let number = match before {
            Some((of_last, number)) if of_last == term => number,
            _ => *numbers.entry(term).or_insert_with(|| {
                terms.push(term);
                terms.len()
            }),
        };
        terms_of.push(number);
        before = Some((term, number));
    }

    let shared = keys.for_records();
    let mut call = scripts::CLAIM.call_with(shared.len() + 3 + claims.len());
    for key in shared {
        call.arg(key);
    }
    call.arg(keys.cursors()).arg(keys.fence()).arg(keys.paused());
    let mut slots = SlotKeys::new(keys);
    for claim in claims {
        call.arg(slots.of(&claim.slot));
    }
    keys.add_prefixes(&mut call);
    call.arg(claimant.node.as_str()).arg(micros(claimant.max_early)).arg(terms.len());
    for term in terms {
        term.add_to(&mut call);
    }
    let mut field = String::new();
    for (claim, term) in claims.iter().zip(terms_of) {
        write_cursor_field(&mut field, &claim.slot.job, claim.digest);
        call.arg(claim.token.text(&mut Token::room())).arg(&field).arg(term);
    }
    call
}

/// A verdict, or a list of it and what was written into the ledger.
fn claimed(claim: &Claim, now: ClusterTime, value: Value) -> Result<Claimed> {
    let Value::Array(values) = value else { return verdict(now, value).map(Claimed::from) };
    let mut values = values.into_iter();
    let verdict = verdict(now, values.next().ok_or_else(|| reply::corrupt("a verdict"))?)?;
    let entries = values
        .map(|line| entry::read(&claim.slot.job, &reply::text(line)?))
        .collect::<Result<_>>()?;
    Ok(Claimed { verdict, entries })
}

fn verdict(now: ClusterTime, value: Value) -> Result<Verdict> {
    let line = reply::item(value)?;
    let corrupt = || reply::corrupt("a verdict");
    if let Some((word, rest)) = line.split_once(' ') {
        match word {
            "won" => return grant(rest).map(Verdict::Won).ok_or_else(corrupt),
            "waits" => return rest.parse().map(Verdict::Waits).map_err(|_| corrupt()),
            "passed_over" => return rest.parse().map(Verdict::Missed).map_err(|_| corrupt()),
            "refused" => return refusal(rest).map(Verdict::Refused).ok_or_else(corrupt),
            _ => {}
        }
    }
    match Record::read(&line)?.told(now) {
        Told::Held(holder) => Ok(Verdict::Held(holder)),
        Told::Settled(settled) => Ok(Verdict::Done(settled)),
        Told::Free => Err(corrupt()),
    }
}

fn grant(text: &str) -> Option<Grant> {
    let mut words = text.split(' ');
    let fence = Fence::new(word(&mut words)?);
    Some(Grant { fence, attempt: word(&mut words)?, failures: word(&mut words)? })
}

fn refusal(word: &str) -> Option<Refusal> {
    Some(match word {
        "late" => Refusal::Late,
        "early" => Refusal::Early,
        "past" => Refusal::Past,
        "handed_over" => Refusal::HandedOver,
        _ => return None,
    })
}

pub(super) async fn renew(
    link: &impl Server,
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
    batch::all(batch::run(link, renewals, call, |_| BYTES, ownership).await?)
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX).min(LONGEST * 1000)
}
