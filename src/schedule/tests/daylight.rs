//! Schedules at the seams of local time.

use jiff::tz::TimeZone;

use super::*;

const NEW_YORK: &str = "America/New_York";

#[test]
fn lists_and_ranges_are_fixed_times() {
    let day = "2026-03-08T00:00:00-05:00";
    for fixed in ["30 2 * * *", "0,30 2 * * *", "0-40 2 * * *", "5/20 2 * * *", "0-59/20 2 * * *"] {
        expect(fixed, NEW_YORK, day, &["2026-03-08T03:00:00-04:00", "2026-03-09T02:"]);
    }
    for wildcard in ["* 2 * * *", "*/20 2 * * *", "*,7 2 * * *", "*/60 2 * * *", "*/60 30 2 * * *"]
    {
        expect(wildcard, NEW_YORK, day, &["2026-03-09T02:"]);
    }
}

#[test]
fn a_star_in_a_day_field_leaves_the_time_fixed() {
    for fixed in ["30 2 * * *", "30 2 */1 * *", "30 2 ? MAR */1"] {
        expect(fixed, NEW_YORK, "2026-03-08T00:00:00-05:00", &["2026-03-08T03:00:00-04:00"]);
    }
}

#[test]
fn a_star_in_the_second_makes_a_wildcard_and_no_seconds_do_not() {
    let day = "2026-03-08T00:00:00-05:00";
    expect("* 59 2 * * *", NEW_YORK, day, &["2026-03-09T02:59:00-04:00", "2026-03-09T02:59:01"]);
    expect("30 59 2 * * *", NEW_YORK, day, &["2026-03-08T03:00:00-04:00", "2026-03-09T02:59:30"]);
    expect("59 2 * * *", NEW_YORK, day, &["2026-03-08T03:00:00-04:00"]);
}

#[test]
fn h_with_a_step_is_a_wildcard_and_h_alone_is_a_number() {
    let day = "2026-03-08T00:00:00-05:00";
    expect("H 2 * * *", NEW_YORK, day, &["2026-03-08T03:00:00-04:00"]);
    expect("H(0-29) 2 * * *", NEW_YORK, day, &["2026-03-08T03:00:00-04:00"]);
    expect("H(0-29)/10 2 * * *", NEW_YORK, day, &["2026-03-08T03:00:00-04:00"]);
    expect("H/15 2 * * *", NEW_YORK, day, &["2026-03-09T02:04:00-04:00"]);
}

#[test]
fn the_slot_behind_a_gap_is_one_even_if_it_is_due_there_anyway() {
    expect(
        "0 2,3 * * *",
        NEW_YORK,
        "2026-03-08T00:00:00-05:00",
        &["2026-03-08T03:00:00-04:00", "2026-03-09T02:00:00-04:00"],
    );
    expect(
        "0,15 2,3 * * *",
        NEW_YORK,
        "2026-03-08T00:00:00-05:00",
        &["2026-03-08T03:00:00-04:00", "2026-03-08T03:15:00-04:00", "2026-03-09T02:00:00-04:00"],
    );
}

#[test]
fn the_slot_behind_a_gap_is_found_from_just_before_it_and_not_from_itself() {
    for (after, expected) in [
        ("2026-03-08T01:59:59-05:00", "2026-03-08T03:00:00-04:00"),
        ("2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"),
        ("2026-03-08T03:00:01-04:00", "2026-03-09T02:30:00-04:00"),
    ] {
        expect("30 2 * * *", NEW_YORK, after, &[expected]);
    }
}

#[test]
fn a_skipped_time_belongs_to_its_own_date() {
    // 2026-03-08 is a Sunday, and in Sao Paulo 2018-11-04 had no midnight.
    expect("30 2 * * SUN", NEW_YORK, "2026-03-07", &["2026-03-08T03:00", "2026-03-15T02:30"]);
    expect("30 2 * * MON", NEW_YORK, "2026-03-07", &["2026-03-09T02:30"]);
    expect("30 2 8 3 *", NEW_YORK, "2026-03-07", &["2026-03-08T03:00", "2027-03-08T02:30"]);
    expect("30 0 4 11 *", "America/Sao_Paulo", "2018-06-01", &["2018-11-04T01:00:00-02:00"]);
    // Samoa's gap of a day lies across midnights; none of it is made up for.
    expect("0 0 * * *", "Pacific/Apia", "2011-12-29", &["2011-12-29T00", "2011-12-31T00"]);
}

#[test]
fn a_gap_that_crosses_midnight_is_read_by_the_dates_that_it_skips() {
    // No zone has had one since 1970, so here is one: 23:30 on Sunday 2026-03-08
    // to 00:30 on Monday.
    let made_up = TimeZone::posix("AAA3BBB2,M3.2.0/23:30,M11.1.0").unwrap();
    let zone = Zone::read("Made/Up", made_up);
    let context = Context { job: None, timezone: Some(&zone), default_timezone: &zone };
    for (expr, first) in [
        ("45 23 * * SUN", "2026-03-09T00:30:00-02:00"),
        ("15 0 * * MON", "2026-03-09T00:30:00-02:00"),
        ("15 0 9 3 *", "2026-03-09T00:30:00-02:00"),
        ("45 23 * * MON", "2026-03-09T23:45:00-02:00"),
        ("15 0 * * SUN", "2026-03-15T00:15:00-02:00"),
        ("*/15 0,23 * * *", "2026-03-08T23:00:00-03:00"),
    ] {
        let schedule = Schedule::parse(expr, &context).unwrap();
        let next = schedule.next_after("2026-03-08T12:00:00Z".parse().unwrap()).unwrap();
        let local = next.timestamp().to_zoned(zone.time_zone().clone());
        assert_eq!(local.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(), first, "{expr}");
    }
}

#[test]
fn a_gap_over_three_hours_is_skipped() {
    // Samoa crossed the date line: 2011-12-30 does not exist.
    expect(
        "0 12 * * *",
        "Pacific/Apia",
        "2011-12-29T12:00:00Z",
        &["2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"],
    );
    expect("0 12 30 12 *", "Pacific/Apia", "2011-06-01", &["2012-12-30T12:00:00+14:00"]);
    // Kwajalein left out 1993-08-21.
    expect(
        "0 12 * * *",
        "Pacific/Kwajalein",
        "1993-08-20T12:00:00-12:00",
        &["1993-08-22T12:00:00+12:00"],
    );
}

#[test]
fn a_gap_of_exactly_three_hours_is_made_up_for() {
    // Casey went from +08:00 to +11:00 on 2009-10-18 at 02:00.
    expect(
        "30 2,4 * * *",
        "Antarctica/Casey",
        "2009-10-17T12:00:00+08:00",
        &["2009-10-18T05:00:00+11:00", "2009-10-19T02:30:00+11:00"],
    );
}

#[test]
fn a_repeated_fixed_time_is_due_in_its_first_pass_only() {
    expect("30 1 * * *", NEW_YORK, "2026-11-01T01:30:00-04:00", &["2026-11-02T01:30:00-05:00"]);
    // Asked in the middle of the second pass, too.
    expect("30 1 * * *", NEW_YORK, "2026-11-01T01:10:00-05:00", &["2026-11-02T01:30:00-05:00"]);
    expect(
        "0 1,2 * * *",
        NEW_YORK,
        "2026-11-01T00:30:00-04:00",
        &["T01:00:00-04:00", "T02:00:00-05:00"],
    );
    // 00:00 to 01:00 on 2015-11-01 in Havana comes twice.
    expect(
        "0,59 0 * * *",
        "America/Havana",
        "2015-10-31T12:00:00Z",
        &["11-01T00:00:00-04:00", "11-01T00:59:00-04:00", "11-02T00:00:00-05:00"],
    );
}

#[test]
fn a_midnight_that_comes_twice_is_one_daily_slot() {
    // On 2018-02-17 the clock of Sao Paulo went back at midnight to 23:00.
    expect(
        "30 23 * * *",
        "America/Sao_Paulo",
        "2018-02-17T12:00:00Z",
        &["02-17T23:30:00-02:00", "02-18T23:30:00-03:00"],
    );
    expect(
        "0 0 * * *",
        "America/Sao_Paulo",
        "2018-02-17T12:00:00Z",
        &["02-18T00:00:00-03:00", "02-19T00:00:00-03:00"],
    );
    expect(
        "*/30 23 * * *",
        "America/Sao_Paulo",
        "2018-02-17T12:00:00Z",
        &["23:00:00-02:00", "23:30:00-02:00", "23:00:00-03:00", "23:30:00-03:00"],
    );
}

#[test]
fn a_wildcard_follows_the_clock_through_a_gap_and_a_repetition() {
    expect(
        "*/15 * * * *",
        "Australia/Lord_Howe",
        "2026-10-04T01:40:00+10:30",
        &["T01:45:00+10:30", "T02:30:00+11:00", "T02:45:00+11:00"],
    );
    expect(
        "*/15 * * * *",
        "Australia/Lord_Howe",
        "2026-04-05T01:20:00+11:00",
        &[
            "T01:30:00+11:00",
            "T01:45:00+11:00",
            "T01:30:00+10:30",
            "T01:45:00+10:30",
            "T02:00:00+10:30",
        ],
    );
    // Every other hour: even hours, both passes of one that is repeated.
    expect(
        "0 */2 * * *",
        "Europe/Berlin",
        "2026-10-24T23:00:00Z",
        &["T02:00:00+02:00", "T02:00:00+01:00", "T04:00:00+01:00"],
    );
    // Both passes go on second by second without a hole.
    let schedule = schedule("* * * * * *", "Europe/Berlin");
    let mut at: SlotTime = "2026-10-25T00:59:58Z".parse().unwrap();
    for _ in 0..5 {
        let next = schedule.next_after(at).unwrap();
        assert_eq!(next.unix_seconds(), at.unix_seconds() + 1);
        at = next;
    }
}

#[test]
fn a_wildcard_that_is_only_due_in_a_gap_waits_for_the_next_date() {
    expect("*/20 2 8 3 *", NEW_YORK, "2026-01-01", &["2027-03-08T02:00:00-05:00"]);
    expect("* 0 2 8 3 * 2026", NEW_YORK, "2026-01-01", &[]);
    assert!(schedule("* 0 2 8 3 * 2026", NEW_YORK).is_never());
    assert!(!schedule("0 0 2 8 3 * 2026", NEW_YORK).is_never());
}

#[test]
fn a_repetition_of_three_hours_is_two_passes() {
    // Casey went back from +11:00 to +08:00 on 2010-03-05 at 02:00.
    let after = "2010-03-04T12:00:00Z";
    let casey = "Antarctica/Casey";
    expect("0 1 5 3 *", casey, after, &["2010-03-05T01:00:00+11:00", "2011-03-05T01:00:00"]);
    expect(
        "*/60 1 5 3 *",
        casey,
        after,
        &["2010-03-05T01:00:00+11:00", "2010-03-05T01:00:00+08:00"],
    );
}

#[test]
fn offsets_with_seconds_are_followed_to_the_second() {
    // Liberia was 44 minutes and 30 seconds behind until 1972-01-07.
    expect(
        "0 0 * * *",
        "Africa/Monrovia",
        "1972-01-05T12:00:00Z",
        &["1972-01-06T00:00:00-00:44:30", "1972-01-07T00:44:30+00:00", "1972-01-08T00:00:00+00:00"],
    );
}

#[test]
fn clock_changes_are_known_to_the_last_year() {
    expect("30 2 * * *", NEW_YORK, "2199-03-09T12:00:00Z", &["2199-03-10T03:00:00-04:00"]);
    expect("30 1 3 11 *", NEW_YORK, "2199-11-01", &["2199-11-03T01:30:00-04:00"]);
}
