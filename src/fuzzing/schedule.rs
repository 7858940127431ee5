//! An expression that says when a job is due.

use crate::name::JobName;
use crate::schedule::{Context, Schedule, Zone};
use crate::slot::SlotTime;

/// Instants from which the next slots are asked for: around changes of clocks, at the
/// seams of centuries, and beyond all slots.
const FROM: [i64; 6] = [i64::MIN, -1, 951_782_399, 1_774_746_000, 4_107_542_399, 7_258_118_399];

/// An expression is a schedule whose slots only go forward and whose normal form is read
/// as the same, or it is said which bytes of it are wrong.
pub fn schedule(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let (utc, job) = (Zone::utc(), JobName::new("a").expect("a name"));
    for job in [None, Some(&job)] {
        let context = Context { job, timezone: None, default_timezone: &utc };
        match Schedule::parse(text, &context) {
            Ok(schedule) => {
                let normal = schedule.canonical();
                let again = Schedule::parse(&normal, &context).expect("its normal form");
                assert_eq!(again, schedule);
                assert_eq!(again.canonical(), normal);
                assert!(!schedule.in_words().is_empty());
                FROM.iter().for_each(|&at| goes_forward(&schedule, at));
            }
            Err(error) => {
                let part = text.get(error.span.clone()).expect("a part of it");
                assert!(!part.is_empty() || text.is_empty());
                assert!(!error.to_string().contains(char::is_control), "{error}");
                assert!(error.to_string().len() < 1000, "{error}");
            }
        }
    }
}

fn goes_forward(schedule: &Schedule, from: i64) {
    let mut at = SlotTime::from_unix_seconds(from);
    for _ in 0..3 {
        let Some(next) = schedule.next_after(at) else { return };
        assert!(next > at);
        // Asked from just before, a slot is still a slot.
        let before = SlotTime::from_unix_seconds(next.unix_seconds() - 1);
        assert_eq!(schedule.next_after(before), Some(next));
        at = next;
    }
}
