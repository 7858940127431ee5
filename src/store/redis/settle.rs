//! The ends of slots: completed, handed over, abandoned, forfeited.

use redis::Cmd;

use crate::clock::ClusterTime;
use crate::ledger::{MissedRange, TAILS_KEPT};
use crate::name::NodeName;
use crate::store::redis::keys::Keys;
use crate::store::redis::record::ownership;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::slot_keys::tail_list;
use crate::store::redis::{batch, entry, reply, scripts};
use crate::store::{Abandonment, Completion, Forfeit, Ownership, Result, Then};

/// What an item adds to a request, its output apart, about.
const BYTES: usize = 400;

pub(super) async fn complete(
    link: &impl Server,
    keys: &Keys,
    node: &NodeName,
    completions: &[Completion],
) -> Result<Vec<Ownership>> {
    let call = |some: &[Completion]| {
        let mut call = scripts::COMPLETE.call_on_records(keys, &[]);
        call.arg(keys.tails_prefix()).arg(TAILS_KEPT);
        for run in some {
            add_completion(&mut call, node, run);
        }
        call
    };
    let weigh =
        |run: &Completion| BYTES + run.tail.len() + run.error.as_ref().map_or(0, String::len);
    batch::all(batch::run(link, completions, call, weigh, ownership).await?)
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
        .arg(format!("{} {}", run.run_id(), run.tail))
        .arg(tail_list(run.outcome))
        .arg(millis(run.retention.keep))
        .arg(run.retention.per_job);
    match run.then {
        Then::Settle => call.arg("settle"),
        Then::Retry => call.arg("retry"),
        Then::HandOver(not_before) => {
            // Not before its millisecond is over: the index counts in those.
            let micros = not_before.map_or(0, ClusterTime::unix_micros);
            call.arg(micros.saturating_add(999).div_euclid(1000))
        }
    };
}

pub(super) async fn abandon(
    link: &impl Server,
    keys: &Keys,
    by: &NodeName,
    abandonments: &[Abandonment],
) -> Result<Vec<bool>> {
    let call = |some: &[Abandonment]| {
        let mut call = scripts::ABANDON.call_on_records(keys, &[]);
        call.arg(by.as_str());
        for lost in some {
            call.arg(lost.slot.to_string())
                .arg(lost.slot.job.as_str())
                .arg(lost.token.to_string())
                .arg(u8::from(lost.was_lost))
                .arg(&lost.why)
                .arg(millis(lost.keep_record))
                .arg(millis(lost.retention.keep))
                .arg(lost.retention.per_job);
        }
        call
    };
    let weigh = |lost: &Abandonment| BYTES + lost.why.len();
    batch::all(batch::run(link, abandonments, call, weigh, reply::did).await?)
}

pub(super) async fn forfeit(
    link: &impl Server,
    keys: &Keys,
    by: &NodeName,
    forfeits: &[Forfeit],
) -> Result<Vec<bool>> {
    let call = |some: &[Forfeit]| {
        let mut call = scripts::FORFEIT.call_on_records(keys, &[]);
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
