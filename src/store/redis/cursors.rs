//! Cursors: how far the slots of a schedule are settled.

use std::time::Duration;

use crate::claim::Token;
use crate::name::NodeName;
use crate::slot::{Slot, SlotTime};
use crate::store::redis::keys::Keys;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::slot_keys::cursor_field;
use crate::store::redis::{batch, entry, reply, scripts};
use crate::store::{CursorKey, MissedReport, Result};

/// What an item adds to a request, its ranges and slots apart, about.
const BYTES: usize = 200;
/// What one of those adds.
const RANGE_BYTES: usize = 100;

pub(super) async fn open(
    link: &impl Server,
    keys: &Keys,
    cursors: &[CursorKey],
    start: SlotTime,
    keep: Duration,
) -> Result<Vec<SlotTime>> {
    let call = |some: &[CursorKey]| {
        let mut call = scripts::OPEN_CURSORS.call(&[&keys.cursors()]);
        call.arg(start.unix_seconds()).arg(millis(keep));
        for cursor in some {
            call.arg(cursor_field(&cursor.job, cursor.digest));
        }
        call
    };
    let read = |_: &CursorKey, _now, value| reply::integer(value).map(SlotTime::from_unix_seconds);
    batch::all(batch::run(link, cursors, call, |_| BYTES, read).await?)
}

pub(super) async fn record_missed(
    link: &impl Server,
    keys: &Keys,
    by: &NodeName,
    reports: &[MissedReport],
) -> Result<Vec<bool>> {
    let call = |some: &[MissedReport]| {
        let mut call = scripts::RECORD_MISSED.call_on_records(keys, &[keys.cursors()]);
        call.arg(by.as_str());
        for report in some {
            call.arg(cursor_field(&report.cursor.job, report.cursor.digest))
                .arg(report.expected.unix_seconds())
                .arg(report.upto.unix_seconds())
                .arg(report.closes_at.unix_micros())
                .arg(report.cursor.job.as_str())
                .arg(millis(report.retention.keep))
                .arg(report.retention.per_job)
                .arg(millis(report.keep_record))
                .arg(u8::from(report.in_turn))
                .arg(report.ranges.len())
                .arg(report.catch_up.len());
            for range in &report.ranges {
                call.arg(entry::of_missed(by, range));
            }
            for &at in &report.catch_up {
                let slot = Slot::scheduled(report.cursor.job.clone(), at);
                call.arg(slot.to_string()).arg(Token::new().to_string());
            }
        }
        call
    };
    let weigh =
        |report: &MissedReport| BYTES + RANGE_BYTES * (report.ranges.len() + report.catch_up.len());
    batch::all(batch::run(link, reports, call, weigh, reply::did).await?)
}
