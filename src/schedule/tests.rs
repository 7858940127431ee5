//! The rules, one named test for each sentence.

use super::*;

/// `expr` in `zone`, read for the job `nightly-backup`.
fn schedule(expr: &str, zone: &str) -> Schedule {
    let job = JobName::new("nightly-backup").unwrap();
    let default_timezone = Zone::named(zone).unwrap();
    let context = Context { job: Some(&job), timezone: None, default_timezone: &default_timezone };
    Schedule::parse(expr, &context).unwrap_or_else(|e| panic!("{expr}: {e}"))
}

/// The first `count` slots after `after`, in local time with offset.
fn slots(expr: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = schedule(expr, zone);
    let after = if after.len() == 10 { format!("{after}T00:00:00Z") } else { after.to_owned() };
    let mut at: SlotTime = after.parse().unwrap();
    let mut found = Vec::new();
    while found.len() < count {
        let Some(next) = schedule.next_after(at) else { break };
        assert!(next > at, "{expr} went from {at} to {next}");
        let local = next.timestamp().to_zoned(schedule.zone().time_zone().clone());
        found.push(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string());
        at = next;
    }
    found
}

#[track_caller]
fn expect(expr: &str, zone: &str, after: &str, slots_expected: &[&str]) {
    let found = slots(expr, zone, after, slots_expected.len());
    // An expected slot may be as short as it is clear: a part of the full text.
    let agree = found.len() == slots_expected.len()
        && found.iter().zip(slots_expected).all(|(full, part)| full.contains(part));
    assert!(
        agree,
        "{expr} in {zone} after {after}\nfound    {found:#?}\nexpected {slots_expected:#?}"
    );
}

#[test]
fn the_table_of_the_specification_holds() {
    for (expr, zone, after, expected) in [
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00-05:00",
            &["2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"][..],
        ),
        (
            "*/30 * * * *",
            "America/New_York",
            "2026-03-08T01:15:00-05:00",
            &[
                "2026-03-08T01:30:00-05:00",
                "2026-03-08T03:00:00-04:00",
                "2026-03-08T03:30:00-04:00",
            ],
        ),
        (
            "0 2,14 * * *",
            "America/New_York",
            "2026-03-08T00:00:00-05:00",
            &[
                "2026-03-08T03:00:00-04:00",
                "2026-03-08T14:00:00-04:00",
                "2026-03-09T02:00:00-04:00",
            ],
        ),
        (
            "*/20 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00-05:00",
            &["2026-03-09T02:00:00-04:00", "2026-03-09T02:20:00-04:00"],
        ),
        (
            "0,30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00-05:00",
            &["2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T12:00:00-04:00",
            &["2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"],
        ),
        (
            "*/30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00-04:00",
            &[
                "2026-11-01T01:00:00-04:00",
                "2026-11-01T01:30:00-04:00",
                "2026-11-01T01:00:00-05:00",
                "2026-11-01T01:30:00-05:00",
            ],
        ),
        (
            "0 0 * * *",
            "America/Sao_Paulo",
            "2018-11-03T12:00:00-03:00",
            &["2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T12:00:00+10:30",
            &["2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"],
        ),
        ("0 12 13 * FRI", "UTC", "2026-02-01", &["02-06T12", "02-13T12", "02-20T12", "02-27T12"]),
        ("0 12 13 * +FRI", "UTC", "2026-01-01", &["02-13T12", "03-13T12", "11-13T12"]),
        ("0 0 LW * *", "UTC", "2026-01-01", &["01-30T00", "02-27T00", "03-31T00"]),
        ("0 0 15W * *", "UTC", "2026-01-31", &["02-16T00", "03-16T00", "04-15T00"]),
        ("0 0 * * FRI#L", "UTC", "2026-01-01", &["01-30T00", "02-27T00"]),
        ("5/20 * * * *", "UTC", "2026-01-01", &["T00:05", "T00:25", "T00:45", "T01:05"]),
        ("0 9 * * FRI-SUN", "UTC", "2026-01-01", &["01-02T09", "01-03T09", "01-04T09", "01-09T09"]),
    ] {
        expect(expr, zone, after, expected);
    }
}
