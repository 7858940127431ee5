//! A ledger entry as text, one field `e` of a stream.
//!
//! - a run: `OUTCOME SLOT NODE RUN ATTEMPT FENCE STARTED DURATION DELAY EXIT SIGNAL ERROR`
//! - slots missed: `gap FROM TO COUNT REASON NODE RECORDED`
//!
//! SLOT, FROM and TO are Unix seconds, SLOT with `#ID` behind it where it was
//! triggered. STARTED counts microseconds after the slot, DURATION after the start, and
//! DELAY after the end: the script fills it in by the store's clock when it writes the
//! entry. RECORDED is Unix microseconds. `-` stands for what is absent; ERROR is the
//! rest of the text.

use crate::claim::{Fence, Token};
use crate::clock::ClusterTime;
use crate::ledger::{Entry, MissedEntry, MissedRange, RunEntry};
use crate::name::{JobName, NodeName};
use crate::outcome::Outcome;
use crate::slot::{Slot, SlotTime};
use crate::store::redis::record::word;
use crate::store::{Completion, Result, StoreError};

/// A run's entry before and after DELAY.
pub(super) fn of_run(node: &NodeName, run: &Completion) -> (String, String) {
    let instants = (run.started_at, run.finished_at);
    let before =
        before_delay(&run.slot, node, run.outcome, run.token, run.attempt, run.fence, instants);
    (before, after_delay(run.exit_code, run.signal, run.error.as_deref()))
}

/// A whole entry.
pub(super) fn of(entry: &Entry) -> String {
    match entry {
        Entry::Run(run) => {
            let instants = (run.started_at, run.finished_at);
            let token = run.run_id.token(run.attempt);
            let (slot, node) = (&run.slot, &run.node);
            let before =
                before_delay(slot, node, run.outcome, token, run.attempt, run.fence, instants);
            let delay = micros_between(run.finished_at, run.recorded_at);
            let after = after_delay(run.exit_code, run.signal, run.error.as_deref());
            format!("{before}{delay}{after}")
        }
        Entry::Missed(missed) => {
            let recorded = missed.recorded_at.unix_micros();
            format!("{}{recorded}", of_missed(&missed.node, &missed.range))
        }
    }
}

fn before_delay(
    slot: &Slot,
    node: &NodeName,
    outcome: Outcome,
    token: Token,
    attempt: u32,
    fence: Fence,
    (started_at, finished_at): (ClusterTime, ClusterTime),
) -> String {
    format!(
        "{outcome} {}{} {node} {token} {attempt} {fence} {} {} ",
        slot.at.unix_seconds(),
        slot.trigger.map(|id| format!("#{id}")).unwrap_or_default(),
        micros_between(slot.at.cluster_time(), started_at),
        micros_between(started_at, finished_at),
    )
}

fn after_delay(exit_code: Option<i32>, signal: Option<i32>, error: Option<&str>) -> String {
    let mut after = format!(" {} {}", optional(exit_code), optional(signal));
    if let Some(error) = error {
        after.push(' ');
        after.push_str(error);
    }
    after
}

fn micros_between(earlier: ClusterTime, later: ClusterTime) -> i64 {
    later.unix_micros().saturating_sub(earlier.unix_micros())
}

/// The entry of slots missed, up to RECORDED.
pub(super) fn of_missed(by: &NodeName, range: &MissedRange) -> String {
    let MissedRange { from, to, count, reason } = range;
    format!("gap {} {} {count} {reason} {by} ", from.unix_seconds(), to.unix_seconds())
}

fn optional(number: Option<i32>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

/// Reads an entry of `job`'s ledger.
pub(super) fn read(job: &JobName, line: &str) -> Result<Entry> {
    let parsed = match line.strip_prefix("gap ") {
        Some(rest) => parse_missed(job, rest).map(Entry::Missed),
        None => parse_run(job, line).map(Entry::Run),
    };
    parsed.ok_or_else(|| {
        StoreError::Corrupt(format!("{line:?} is not an entry of the ledger of {job}"))
    })
}

fn parse_run(job: &JobName, line: &str) -> Option<RunEntry> {
    let mut words = line.splitn(12, ' ');
    let outcome = word(&mut words)?;
    let slot = parse_slot(job, words.next()?)?;
    let (node, token): (_, Token) = (word(&mut words)?, word(&mut words)?);
    let attempt = word(&mut words)?;
    let fence = Fence::new(word(&mut words)?);
    let started = slot.at.cluster_time().unix_micros().checked_add(word(&mut words)?)?;
    let finished = started.checked_add(word(&mut words)?)?;
    let recorded = finished.checked_add(word(&mut words)?)?;
    let (exit_code, signal) = (optional_word(&mut words)?, optional_word(&mut words)?);
    Some(RunEntry {
        slot,
        node,
        run_id: token.run_id(attempt),
        attempt,
        fence,
        outcome,
        started_at: ClusterTime::from_unix_micros(started),
        finished_at: ClusterTime::from_unix_micros(finished),
        exit_code,
        signal,
        error: words.next().map(str::to_owned),
        recorded_at: ClusterTime::from_unix_micros(recorded),
    })
}

fn parse_slot(job: &JobName, text: &str) -> Option<Slot> {
    match text.split_once('#') {
        Some((_, trigger)) => Some(Slot::triggered(job.clone(), trigger.parse().ok()?)),
        None => {
            let at = SlotTime::from_unix_seconds(text.parse().ok()?);
            Some(Slot::scheduled(job.clone(), at))
        }
    }
}

fn optional_word<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<Option<i32>> {
    match words.next()? {
        "-" => Some(None),
        text => text.parse().ok().map(Some),
    }
}

fn parse_missed(job: &JobName, rest: &str) -> Option<MissedEntry> {
    let mut words = rest.split(' ');
    let range = MissedRange {
        from: SlotTime::from_unix_seconds(word(&mut words)?),
        to: SlotTime::from_unix_seconds(word(&mut words)?),
        count: word(&mut words)?,
        reason: word(&mut words)?,
    };
    let node = word(&mut words)?;
    let recorded_at = ClusterTime::from_unix_micros(word(&mut words)?);
    Some(MissedEntry { job: job.clone(), range, node, recorded_at })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::ledger::Retention;
    use crate::outcome::MissedReason;

    fn run(error: Option<&str>) -> Completion {
        let token = Token::new();
        Completion {
            slot: "backup@2026-11-22T03:00:00Z".parse().unwrap(),
            token,
            attempt: 2,
            fence: Fence::new(1_795_316_400_000_123),
            outcome: Outcome::Failed,
            then: crate::store::Then::Settle,
            started_at: ClusterTime::from_unix_micros(1_795_316_400_000_456),
            finished_at: ClusterTime::from_unix_micros(1_795_316_401_000_789),
            exit_code: Some(-3),
            signal: None,
            error: error.map(str::to_owned),
            tail: String::new(),
            keep_record: Duration::ZERO,
            retention: Retention { keep: Duration::ZERO, per_job: 1 },
        }
    }

    #[test]
    fn a_run_reads_back_as_it_was_written() {
        let node = NodeName::new("web-1").unwrap();
        for error in [None, Some(""), Some("exited with 3"), Some(" two\nlines - 1 ")] {
            let run = run(error);
            let (before, after) = of_run(&node, &run);
            let Entry::Run(read) = read(&run.slot.job, &format!("{before}-17{after}")).unwrap()
            else {
                panic!("a run is a run");
            };
            assert_eq!(&read.slot, &run.slot);
            assert_eq!(
                (read.node.clone(), read.run_id, read.attempt),
                (node.clone(), run.run_id(), 2)
            );
            assert_eq!((read.fence, read.outcome), (run.fence, run.outcome));
            assert_eq!((read.started_at, read.finished_at), (run.started_at, run.finished_at));
            assert_eq!((read.exit_code, read.signal), (Some(-3), None));
            assert_eq!(read.error.as_deref(), run.error.as_deref());
            assert_eq!(read.recorded_at.unix_micros(), run.finished_at.unix_micros() - 17);
            let whole = Entry::Run(read.clone());
            assert_eq!(super::read(&run.slot.job, &of(&whole)), Ok(whole));
        }
    }

    #[test]
    fn a_run_of_a_triggered_slot_reads_back_with_its_trigger() {
        let node = NodeName::new("web-1").unwrap();
        let mut run = run(None);
        let trigger =
            crate::slot::TriggerId::new(ClusterTime::from_unix_micros(1_795_316_400_654_321));
        run.slot = Slot::triggered(run.slot.job.clone(), trigger);
        let (before, after) = of_run(&node, &run);
        let Entry::Run(read) = read(&run.slot.job, &format!("{before}0{after}")).unwrap() else {
            panic!("a run is a run");
        };
        assert_eq!((read.slot, read.started_at), (run.slot, run.started_at));
    }

    #[test]
    fn a_range_missed_reads_back_as_it_was_written() {
        let (node, job) = (NodeName::new("web-1").unwrap(), JobName::new("backup").unwrap());
        let range = MissedRange {
            from: SlotTime::from_unix_seconds(-60),
            to: SlotTime::from_unix_seconds(3600),
            count: 62,
            reason: MissedReason::StoreDown,
        };
        let line = format!("{}1795316401000789", of_missed(&node, &range));
        let recorded_at = ClusterTime::from_unix_micros(1_795_316_401_000_789);
        let expected = Entry::Missed(MissedEntry { job: job.clone(), range, node, recorded_at });
        assert_eq!(of(&expected), line);
        assert_eq!(read(&job, &line), Ok(expected));
    }

    #[test]
    fn what_is_no_entry_is_corrupt() {
        let job = JobName::new("backup").unwrap();
        for bad in ["", "gap", "gap 1 2 3", "succeeded 1 2"] {
            assert!(matches!(read(&job, bad), Err(StoreError::Corrupt(_))), "{bad}");
        }
    }
}
