//! A slot's record as the rules know it, to and from its line (`store::redis::record`).

use crate::claim::Fence;
use crate::clock::ClusterTime;
use crate::node::BootId;
use crate::store::redis::record::{lapses, word};
use crate::store::rules::{Record, RecordState};

/// The line of `record`.
pub(in crate::store::redis) fn write(record: &Record) -> String {
    let state = match record.state {
        // As many digits as are read.
        RecordState::Running => format!("running {:013}", millis_up(record.lapses_at)),
        RecordState::Ready(why) => why.to_string(),
        RecordState::Settled(outcome) => outcome.to_string(),
    };
    let cancel = record.cancel.map_or_else(|| "-".to_owned(), |cause| cause.to_string());
    let mut line = format!(
        "{state} {} {} {} {} {} {} {} {cancel}",
        record.token,
        record.fence,
        record.attempt,
        record.node,
        record.claimed_at.unix_micros(),
        record.takeovers,
        record.failures,
    );
    for token in &record.handed_over_by {
        line.push(' ');
        line.push_str(&token.to_string());
    }
    line
}

/// Reads the line of a record that, if it is ready, is to be looked at `at`.
pub(in crate::store::redis) fn read(line: &str, at: ClusterTime) -> Option<Record> {
    let mut words = line.split(' ');
    let (state, lapses_at) = match words.next()? {
        "running" => (RecordState::Running, lapses(&mut words)?),
        // `handed_over` is how a run ends, but not how a slot does.
        other => match other.parse() {
            Ok(why) => (RecordState::Ready(why), at),
            Err(_) => (RecordState::Settled(other.parse().ok()?), at),
        },
    };
    let (token, fence) = (word(&mut words)?, Fence::new(word(&mut words)?));
    let (attempt, node) = (word(&mut words)?, word(&mut words)?);
    Some(Record {
        node,
        boot: BootId::UNKNOWN,
        token,
        attempt,
        fence,
        claimed_at: ClusterTime::from_unix_micros(word(&mut words)?),
        lapses_at,
        takeovers: word(&mut words)?,
        failures: word(&mut words)?,
        cancel: match words.next()? {
            "-" => None,
            cause => Some(cause.parse().ok()?),
        },
        handed_over_by: words.map(|token| token.parse().ok()).collect::<Option<_>>()?,
        state,
    })
}

/// The first whole millisecond that is not before `at`.
pub(super) fn millis_up(at: ClusterTime) -> i64 {
    at.unix_micros().saturating_add(999).div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::Token;
    use crate::outcome::{CancelCause, Outcome, Ready};

    #[test]
    fn a_record_reads_back_as_it_was_written() {
        let (at, later) = (
            ClusterTime::from_unix_millis(1_795_316_400_000),
            ClusterTime::from_unix_millis(1_795_316_430_000),
        );
        for (state, cancel, handed_over_by) in [
            (RecordState::Running, None, Vec::new()),
            (RecordState::Running, Some(CancelCause::Replaced), vec![Token::new(), Token::new()]),
            (RecordState::Ready(Ready::HandedOver), None, vec![Token::new()]),
            (RecordState::Ready(Ready::CatchUp), None, Vec::new()),
            (RecordState::Settled(Outcome::TimedOut), None, Vec::new()),
        ] {
            let record = Record {
                node: "web-1".parse().unwrap(),
                boot: BootId::UNKNOWN,
                token: Token::new(),
                attempt: 3,
                fence: Fence::new(17),
                claimed_at: at,
                lapses_at: later,
                takeovers: 1,
                failures: 2,
                cancel,
                handed_over_by,
                state,
            };
            assert_eq!(read(&write(&record), later), Some(record));
        }
    }

    #[test]
    fn a_lease_that_lapses_at_no_time_is_none() {
        let at = ClusterTime::from_unix_millis(1_795_316_400_000);
        let line = |lapses| format!("running {lapses} {} 17 1 web-1 1 0 0 -", Token::new());
        for lapses in ["1795316430000", "0000016430000"] {
            let record = read(&line(lapses), at).unwrap();
            assert_eq!(read(&write(&record), at), Some(record), "{lapses}");
        }
        for lapses in ["17953164316430002", "9223372036854775807", "179531643000", "-795316430000"]
        {
            assert_eq!(read(&line(lapses), at), None, "{lapses}");
        }
    }

    #[test]
    fn a_lease_is_not_cut_short_to_whole_milliseconds() {
        for (micros, millis) in [(1000, 1), (1001, 2), (1999, 2), (2000, 2)] {
            assert_eq!(millis_up(ClusterTime::from_unix_micros(micros)), millis);
        }
    }
}
