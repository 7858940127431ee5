//! Answers that a Redis never gives, in front of all that reads answers: see
//! [`crate::fuzzing`].

use std::collections::VecDeque;
use std::io::Cursor;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use redis::{Cmd, Parser, Value};

use crate::claim::{Claim, Claimant, Fence, Token};
use crate::clock::ClusterTime;
use crate::control::Pauses;
use crate::ledger::{MissedRange, Query, Retention};
use crate::lock::LockName;
use crate::name::{ClusterName, JobName, NodeName};
use crate::node::{BootId, Heartbeat};
use crate::outcome::{MissedReason, Outcome};
use crate::policy::Overlap;
use crate::slot::{Slot, SlotTime};
use crate::store::quorum::slots::{Ballot, Cell};
use crate::store::redis::keys::{FIRST_BUCKET, Keys};
use crate::store::redis::link::Purpose;
use crate::store::redis::server::Server;
use crate::store::redis::{
    claim, cluster, control, cursors, dial, entry, inspect, ledger, locks, nodes, open, replica,
    sentinel, settle, sweep, tables, trouble,
};
use crate::store::rules::Turn;
use crate::store::{
    Abandonment, Completion, CursorKey, Forfeit, MissedReport, Renewal, Result, StoreError, Then,
};
use crate::table::ScheduleDigest;

/// Has everything that reads answers of a Redis read those in `bytes`, which are as they
/// come over a connection, one behind the other.
pub(crate) fn read(bytes: &[u8]) {
    let values = values(bytes);
    for value in &values {
        every_text(value, &mut round_trip);
    }
    let texts: Vec<_> = values.iter().filter_map(text_of).collect();
    for text in &texts {
        inspect::read_all(text);
    }
    locks::read_all(&values);
    replica::read_all(&values, &cells());
    cluster::read_all(&values);
    sentinel::read_all(&values);
    dial::read_all(&values);
    operate(&values);
}

/// Makes the keys of a lock: two locks have none in common.
pub(crate) fn keys(name: &LockName) {
    let keys = Keys::new(&ClusterName::new("prod").expect("a name"), FIRST_BUCKET);
    let other: LockName = "other".parse().expect("a name");
    for key in [keys.held(name), keys.queue(name)] {
        assert!(key.ends_with(name.as_str()));
        assert!(*name == other || ![keys.held(&other), keys.queue(&other)].contains(&key));
    }
    assert!(cluster::bucket(name) < 16);
}

/// The answers up to the first that is none.
fn values(bytes: &[u8]) -> Vec<Value> {
    let (mut parser, mut bytes) = (Parser::new(), Cursor::new(bytes));
    let next = || parser.parse_value(&mut bytes).ok();
    std::iter::from_fn(next).collect()
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::SimpleString(text) => Some(text.clone()),
        _ => None,
    }
}

fn every_text(value: &Value, see: &mut impl FnMut(&str)) {
    if let Some(text) = text_of(value) {
        see(&text);
    }
    if let Value::Array(values) = value {
        values.iter().for_each(|value| every_text(value, see));
    }
}

/// What can be read is written so that it is read as the same.
fn round_trip(text: &str) {
    let job = job();
    let at = ClusterTime::from_unix_millis(1_795_316_400_000);
    if let Some(record) = replica::read_line(text, at) {
        assert_eq!(replica::read_line(&replica::write_line(&record), at), Some(record));
    }
    if let Ok(read) = entry::read(&job, text) {
        assert_eq!(entry::read(&job, &entry::of(&read)), Ok(read));
    }
    if let Ok(slot) = text.parse::<Slot>() {
        assert_eq!(slot.to_string().parse(), Ok(slot));
    }
    if let Ok(turn) = Turn::from_text(&job, text) {
        assert_eq!(Turn::from_text(&job, &turn.to_text()), Ok(turn));
    }
    if let Ok(pauses) = text.parse::<Pauses>() {
        assert_eq!(pauses.to_string().parse(), Ok(pauses));
    }
    if let Some(ballot) = Ballot::read(text) {
        assert_eq!(Ballot::read(&ballot.to_string()), Some(ballot));
    }
    if let Some(table) = tables::read(text) {
        let mut sorted = table.clone();
        sorted.sort();
        assert_eq!(tables::read(&tables::written(&table)), Some(sorted));
    }
    let _whatever_it_means = trouble::of_text(text);
}

/// A server that has these answers, and then is gone.
struct Answers(Mutex<VecDeque<Value>>);

impl Server for Answers {
    async fn send(&self, _: Purpose, commands: Vec<Cmd>) -> Result<Vec<Result<Value>>> {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = || StoreError::Unknown("it is gone".to_owned());
        if answers.is_empty() {
            return Err(gone());
        }
        let answer = |_| match answers.pop_front() {
            Some(Value::ServerError(error)) => Err(trouble::of_server(&error)),
            Some(value) => Ok(value),
            None => Err(gone()),
        };
        Ok(commands.into_iter().map(answer).collect())
    }

    fn note_refusal(&self, _: &StoreError) {}

    fn named(&self, error: StoreError) -> StoreError {
        error
    }
}

macro_rules! each_asks {
    ($values:expr; $($operation:expr),+ $(,)?) => {
        $({
            let answers = Answers(Mutex::new($values.iter().cloned().collect()));
            let asked = ($operation)(&answers);
            // An answer or an error, and at once: this server keeps nobody waiting.
            let _all_or_corrupt = asked.now_or_never().expect("it has all answers at hand");
        })+
    };
}

/// Asks everything that a node and the command line ask, and gives these answers.
fn operate(values: &[Value]) {
    let keys = &Keys::new(&ClusterName::new("prod").expect("a name"), FIRST_BUCKET);
    let (job, node, token) = (&job(), &NodeName::new("web-1").expect("a name"), Token::new());
    let now = ClusterTime::from_unix_millis(1_795_316_400_000);
    let at = SlotTime::from_unix_seconds(1_795_316_400);
    let slot = &Slot::scheduled(job.clone(), at);
    let run = token.run_id(1);
    let (keep, retention) =
        (Duration::from_secs(60), Retention { keep: Duration::from_secs(60), per_job: 10 });
    let digest = ScheduleDigest::from_bits(17);
    let cursor = CursorKey { job: job.clone(), digest };
    let claimant = Claimant { node: node.clone(), boot: BootId::UNKNOWN, max_early: keep };
    let claims = [Claim {
        slot: slot.clone(),
        token,
        ttl: keep,
        due: now,
        start_by: now,
        overlap: Overlap::Skip,
        max_takeovers: 3,
        takes_over: None,
        keep_record: keep,
        keep_settled: keep,
        retention,
        digest,
        advance: true,
        looks_first: values.len() % 2 == 1,
    }];
    let renewals = [Renewal { slot: slot.clone(), token, ttl: keep, keep_record: keep }];
    let completions = [Completion {
        slot: slot.clone(),
        token,
        attempt: 1,
        fence: Fence::new(1),
        outcome: Outcome::Succeeded,
        then: Then::Settle,
        started_at: now,
        finished_at: now,
        exit_code: Some(0),
        signal: None,
        error: None,
        tail: String::new(),
        keep_record: keep,
        retention,
    }];
    let lost = [Abandonment {
        slot: slot.clone(),
        token,
        was_lost: true,
        why: String::new(),
        keep_record: keep,
        retention,
    }];
    let forfeits = [Forfeit {
        slot: slot.clone(),
        token,
        reason: MissedReason::Late,
        keep_record: keep,
        retention,
    }];
    let reports = [MissedReport {
        cursor: cursor.clone(),
        expected: at,
        upto: at,
        closes_at: now,
        ranges: vec![MissedRange { from: at, to: at, count: 1, reason: MissedReason::Late }],
        catch_up: vec![at],
        in_turn: true,
        keep_record: keep,
        retention,
    }];
    let heartbeat = Heartbeat {
        node: node.clone(),
        boot: BootId::UNKNOWN,
        started_at: now,
        version: "0".to_owned(),
        table: "0".to_owned(),
        draining: false,
        running: None,
        skew_ms: None,
        keep,
        heard_at: now,
    };
    let of_all = Query { job: None, node: Some(node.clone()), since: Some(now), limit: 5 };
    let of_job = Query { job: Some(job.clone()), node: None, since: None, limit: 5 };
    let (jobs, slots) = ([job.clone()], [at]);
    each_asks!(values;
        |to| claim::claim(to, keys, &claimant, &claims),
        |to| claim::renew(to, keys, &renewals),
        |to| settle::complete(to, keys, node, &completions),
        |to| settle::abandon(to, keys, node, &lost),
        |to| settle::forfeit(to, keys, node, &forfeits),
        |to| sweep::sweep(to, keys, 5),
        |to| control::control(to, keys),
        |to| control::cancel(to, keys, run),
        |to| cursors::open(to, keys, std::slice::from_ref(&cursor), at, keep),
        |to| cursors::record_missed(to, keys, node, &reports),
        |to| ledger::history(to, keys, &of_all),
        |to| ledger::history(to, keys, &of_job),
        |to| ledger::recent(to, keys, &jobs, 5),
        |to| ledger::recorded(to, keys, job, &slots),
        |to| ledger::tail(to, keys, job, run),
        |to| ledger::story(to, keys, slot),
        |to| ledger::prune(to, keys, retention),
        |to| nodes::heartbeat(to, keys, &heartbeat),
        |to| nodes::nodes(to, keys),
        |to| open::open_slots(to, keys, 5),
        |to| tables::table(to, keys, "0"),
    );
}

fn job() -> JobName {
    JobName::new("backup").expect("a name")
}

/// One of each kind.
fn cells() -> [Cell; 7] {
    let at = SlotTime::from_unix_seconds(1_795_316_400);
    [
        Cell::Record(Slot::scheduled(job(), at)),
        Cell::Cursor(CursorKey { job: job(), digest: ScheduleDigest::from_bits(17) }),
        Cell::Turn(job()),
        Cell::Pauses(job()),
        Cell::Version,
        Cell::Fence,
        Cell::LastEntry(job()),
    ]
}
