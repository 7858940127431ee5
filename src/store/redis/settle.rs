//! The ends of slots: completed, handed over, abandoned, forfeited.

use redis::Cmd;

use crate::ledger::{MissedRange, TAILS_KEPT};
use crate::name::NodeName;
use crate::store::redis::claim::millis;
use crate::store::redis::keys::{Keys, tail_list};
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::record::{Record, Standing};
use crate::store::redis::{batch, entry, reply, scripts};
use crate::store::{Abandonment, Completion, Forfeit, Lapsed, LapsedState, Ownership, Result};

/// What an item adds to a request, its output apart, about.
const BYTES: usize = 400;

pub(super) async fn complete(
    link: &Link,
    keys: &Keys,
    node: &NodeName,
    completions: &[Completion],
) -> Result<Vec<Ownership>> {
    let call = |some: &[Completion]| {
        let mut call = scripts::COMPLETE.call(&[&keys.open(), &keys.ledgers()]);
        call.arg(keys.locks())
            .arg(keys.slots())
            .arg(keys.ledger_prefix())
            .arg(keys.tails_prefix())
            .arg(TAILS_KEPT);
        for run in some {
            add_completion(&mut call, node, run);
        }
        call
    };
    let weigh =
        |run: &Completion| BYTES + run.tail.len() + run.error.as_ref().map_or(0, String::len);
    batch::all(batch::run(link, completions, call, weigh, reply::ownership).await?)
}

fn add_completion(call: &mut Cmd, node: &NodeName, run: &Completion) {
    let (before, after) = entry::of_run(node, run);
    call.arg(run.slot.to_string())
        .arg(run.slot.job.as_str())
        .arg(run.token.to_string())
        .arg(run.outcome.as_str())
        .arg(run.attempt)
        .arg(millis(run.keep_record))
        .arg(before)
        .arg(after)
        .arg(run.finished_at.unix_micros())
        .arg(format!("{} {}", run.run_id, run.tail))
        .arg(tail_list(run.outcome))
        .arg(millis(run.retention.keep))
        .arg(run.retention.per_job);
}

pub(super) async fn abandon(
    link: &Link,
    keys: &Keys,
    by: &NodeName,
    abandonments: &[Abandonment],
) -> Result<Vec<bool>> {
    let call = |some: &[Abandonment]| {
        let mut call = scripts::ABANDON.call(&[&keys.open(), &keys.ledgers()]);
        call.arg(keys.locks()).arg(keys.slots()).arg(keys.ledger_prefix()).arg(by.as_str());
        for lost in some {
            call.arg(lost.slot.to_string())
                .arg(lost.slot.job.as_str())
                .arg(lost.slot.at.unix_seconds())
                .arg(lost.token.to_string())
                .arg(millis(lost.keep_record))
                .arg(millis(lost.retention.keep))
                .arg(lost.retention.per_job);
        }
        call
    };
    batch::all(batch::run(link, abandonments, call, |_| BYTES, reply::did).await?)
}

pub(super) async fn forfeit(
    link: &Link,
    keys: &Keys,
    by: &NodeName,
    forfeits: &[Forfeit],
) -> Result<Vec<bool>> {
    let call = |some: &[Forfeit]| {
        let mut call = scripts::FORFEIT.call(&[&keys.open(), &keys.ledgers()]);
        call.arg(keys.locks()).arg(keys.slots()).arg(keys.ledger_prefix());
        for item in some {
            let at = item.slot.at;
            let range = MissedRange { from: at, to: at, count: 1, reason: item.reason };
            call.arg(item.slot.to_string())
                .arg(item.slot.job.as_str())
                .arg(item.token.to_string())
                .arg(millis(item.keep_record))
                .arg(entry::of_missed(by, &range))
                .arg(millis(item.retention.keep))
                .arg(item.retention.per_job);
        }
        call
    };
    batch::all(batch::run(link, forfeits, call, |_| BYTES, reply::did).await?)
}

/// So many lapsed slots are asked for at once.
const LAPSED_AT_ONCE: usize = 10_000;

pub(super) async fn lapsed(link: &Link, keys: &Keys, limit: usize) -> Result<Vec<Lapsed>> {
    let mut call = scripts::LAPSED.call(&[&keys.open()]);
    call.arg(keys.slots()).arg(limit.min(LAPSED_AT_ONCE));
    let found = reply::pairs(link.ask(Purpose::Write, call).await?)?;
    found.into_iter().map(|(name, record)| lapsed_of(&name, &record)).collect()
}

fn lapsed_of(name: &str, record: &str) -> Result<Lapsed> {
    let slot = name.parse().map_err(|_| reply::corrupt("the name of a slot"))?;
    let record = Record::read(record)?;
    let state = match record.standing {
        Standing::Running(_) => LapsedState::Lost,
        Standing::HandedOver => LapsedState::HandedOver,
        Standing::Settled(_) => return Err(reply::corrupt("an open slot")),
    };
    Ok(Lapsed { slot, token: record.token, node: record.node, state })
}
