//! Instants and spans as people type them.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use super::Failure;

/// Reads an instant: RFC 3339, or a date or a date and time on the clock of `zone`.
pub(super) fn instant(text: &str, zone: &TimeZone) -> Result<Timestamp, Failure> {
    let parsed = text.parse::<Timestamp>().ok().or_else(|| {
        let local: DateTime =
            text.parse::<DateTime>().or_else(|_| text.parse::<Date>().map(DateTime::from)).ok()?;
        zone.to_timestamp(local).ok()
    });
    parsed.ok_or_else(|| {
        Failure::Usage(format!(
            "{text:?} is not an instant; write 2026-11-22T03:00:00Z, 2026-11-22T03:00:00+01:00, \
             2026-11-22T03:00 or 2026-11-22 (the last two on the zone's own clock)"
        ))
    })
}

/// Reads an instant, or a duration that is counted back from `now`.
pub(super) fn since(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Ok(back) = crate::config::duration::parse(text) {
        // Longer ago than there is a calendar for is since ever.
        return Ok(now.checked_sub(back).unwrap_or(Timestamp::MIN));
    }
    instant(text, &TimeZone::UTC).map_err(|_| {
        Failure::Usage(format!(
            "{text:?} is neither a duration such as 2h or 7d nor an instant such as \
             2026-11-22T03:00:00Z"
        ))
    })
}

/// `in 3h 12m` or `3h 12m ago`: from `now` to `at`, the two largest units.
pub(super) fn distance(at: Timestamp, now: Timestamp) -> String {
    let seconds = at.as_second() - now.as_second();
    let span = match seconds.unsigned_abs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds => span(Duration::from_secs(seconds)),
    };
    if at > now { format!("in {span}") } else { format!("{span} ago") }
}

/// `3h 12m`, `4.2s`, `12ms`: the two largest units.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{}ms", duration.as_millis()),
        1..60 => format!("{}.{}s", seconds, duration.subsec_millis() / 100),
        60..3600 => format!("{}m {}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h {}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d {}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_read_in_each_of_its_forms() {
        let berlin = crate::schedule::Zone::named("Europe/Berlin").unwrap();
        for (text, expected) in [
            ("2026-11-22T03:00:00Z", "2026-11-22T03:00:00Z"),
            ("2026-11-22T03:00:00-05:00", "2026-11-22T08:00:00Z"),
            ("2026-11-22T03:00:00", "2026-11-22T02:00:00Z"),
            ("2026-11-22T03:00", "2026-11-22T02:00:00Z"),
            ("2026-07-01", "2026-06-30T22:00:00Z"),
        ] {
            let instant = instant(text, berlin.time_zone()).unwrap();
            assert_eq!(instant.to_string(), expected, "{text}");
        }
        assert!(instant("yesterday", berlin.time_zone()).is_err());
    }

    #[test]
    fn since_counts_back_from_now_or_takes_an_instant() {
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        assert_eq!(since("1h30m", now).unwrap().to_string(), "2026-11-22T01:30:00Z");
        assert_eq!(since("2026-11-01", now).unwrap().to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(since("99999999d", now).unwrap(), Timestamp::MIN);
        for bad in ["90", "1.5h", "soon"] {
            assert!(matches!(since(bad, now), Err(Failure::Usage(_))), "{bad}");
        }
    }

    #[test]
    fn a_distance_is_in_whole_seconds() {
        let now: Timestamp = "2026-11-22T03:00:00Z".parse().unwrap();
        for (at, expected) in [
            ("2026-11-22T03:00:07.9Z", "in 7s"),
            ("2026-11-22T02:58:59Z", "1m 1s ago"),
            ("2026-11-22T02:59:59.9Z", "1s ago"),
            ("2026-11-22T03:00:00Z", "0s ago"),
            ("2026-11-22T03:00:00.9Z", "in 0s"),
            ("2026-11-23T04:00:00Z", "in 1d 1h"),
        ] {
            assert_eq!(distance(at.parse().unwrap(), now), expected);
        }
    }

    #[test]
    fn spans_are_short() {
        for (millis, expected) in [
            (12, "12ms"),
            (4_260, "4.2s"),
            (61_000, "1m 1s"),
            (11_520_000, "3h 12m"),
            (90_000_000, "1d 1h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }
}
