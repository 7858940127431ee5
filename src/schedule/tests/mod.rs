//! The rules, one named test for each sentence.

use super::*;

mod daylight;
mod days;
mod drawn;
mod oracle;
mod refused;
mod written;

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

/// Whether two expressions mean the same in `zone`.
#[track_caller]
fn same(a: &str, b: &str) {
    assert_eq!(schedule(a, "UTC"), schedule(b, "UTC"), "{a} and {b}");
}

#[test]
fn five_fields_begin_with_the_minute_and_mean_second_zero() {
    expect("15 10 * * *", "UTC", "2026-01-01", &["2026-01-01T10:15:00", "2026-01-02T10:15:00"]);
    same("15 10 * * *", "0 15 10 * * *");
}

#[test]
fn six_fields_begin_with_the_second() {
    expect("30 15 10 * * *", "UTC", "2026-01-01", &["01-01T10:15:30", "01-02T10:15:30"]);
    expect(
        "*/20 0 0 1 1 *",
        "UTC",
        "2026-01-01",
        &["01-01T00:00:20", "01-01T00:00:40", "2027-01-01T00:00:00"],
    );
}

#[test]
fn seven_fields_end_with_the_year_from_1970_to_2199() {
    expect("0 0 0 1 1 * 2030", "UTC", "2026-01-01", &["2030-01-01T00:00:00"]);
    assert_eq!(slots("0 0 0 1 1 * 2030", "UTC", "2030-01-01", 9), [""; 0]);
    expect("0 0 0 1 1 * */100", "UTC", "1969-01-01", &["1970-01-01", "2070-01-01", "2170-01-01"]);
    expect("59 59 23 31 12 * 1970-2199", "UTC", "2198-12-31T23:59:59Z", &["2199-12-31T23:59:59"]);
    assert_eq!(slots("* * * * *", "UTC", "2199-12-31T23:59:00Z", 9), [""; 0]);
    same("0 0 0 1 1 * 1970-2199", "0 0 0 1 1 * *");
}

#[test]
fn fields_are_separated_by_spaces_or_tabs_and_outer_blanks_are_ignored() {
    same(" \t 1  2\t3 \t 4 5\t", "1 2 3 4 5");
}

#[test]
fn a_step_begins_at_the_start_of_its_range() {
    same("*/15 * * * *", "*/15,0,15,30,45 * * * *");
    same("0 5/7 * * *", "0 5,12,19 * * *");
    same("0 5-13/4 * * *", "0 5,9,13 * * *");
    same("0 0 */10 * *", "0 0 1,11,21,31 * *");
    same("0 0 1 5/3 *", "0 0 1 5,8,11 *");
    same("0 0 * * 2/2", "0 0 * * 2,4,6");
    same("0 0 * * 0/3", "0 0 * * 0,3,6");
}

#[test]
fn a_step_as_large_as_the_field_means_its_first_value() {
    expect("*/60 * * * *", "UTC", "2026-01-01", &["T01:00:00", "T02:00:00"]);
    same("0 0 */31 * *", "0 0 1 * *");
    same("0 0 * * */7", "0 0 * * 0");
    same("0 0 0 1 1 * */230", "0 0 0 1 1 * 1970");
}

#[test]
fn lists_join_their_items_and_may_hold_a_star() {
    same("0 1,2,2,1-3 * * *", "0 1-3 * * *");
    same("*,5 * * * *", "* * * * *");
}

#[test]
fn numbers_may_have_leading_zeros() {
    same("05 00 01 010 0000000000007", "5 0 1 10 7");
}

#[test]
fn names_are_three_letters_in_any_case() {
    same("0 0 1 jan,Feb,MAR-may *", "0 0 1 1,2,3-5 *");
    same("0 0 * * sun,Tue,THU-sat", "0 0 * * 0,2,4-6");
    same("0 0 * * MON-FRI/2", "0 0 * * 1,3,5");
}

#[test]
fn zero_and_seven_are_sunday() {
    same("0 0 * * 0", "0 0 * * 7");
    same("0 0 * * 5-7", "0 0 * * 5,6,0");
    same("0 0 * * 0-7", "0 0 * * 0-6");
    same("0 0 * * 5-7/2", "0 0 * * 5,0");
    same("0 0 * * 7/2", "0 0 * * SUN/2");
    same("0 0 * * 7#2", "0 0 * * SUN#2");
    same("0 0 * * 7L", "0 0 * * SUN#L");
}

#[test]
fn a_range_may_end_on_sunday() {
    same("0 9 * * FRI-SUN", "0 9 * * 5,6,0");
    same("0 9 * * MON-SUN", "0 9 * * 0-6");
    same("0 9 * * SUN-MON", "0 9 * * 0,1");
    same("0 9 * * SUN-SUN", "0 9 * * 0");
}

#[test]
fn macros_stand_for_fields_in_any_case() {
    for (word, fields) in [
        ("@yearly", "0 0 1 1 *"),
        ("@Annually", "0 0 1 1 *"),
        ("@MONTHLY", "0 0 1 * *"),
        ("@weekly", "0 0 * * 0"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        (" @hourly ", "0 * * * *"),
    ] {
        same(word, fields);
    }
}

#[test]
fn every_means_the_multiples_of_its_period_since_the_epoch() {
    expect("@every 90s", "UTC", "2026-01-01", &["T00:01:30", "T00:03:00"]);
    expect("@every 7m", "UTC", "1970-01-01", &["1970-01-01T00:07:00", "1970-01-01T00:14:00"]);
    expect("@every 1h", "UTC", "1969-06-01", &["1970-01-01T00:00:00", "1970-01-01T01:00:00"]);
    same("@every 1h30m", "@EVERY  90m");
    same("@every 1d", "@every 86400s");
    same("@every 1s", "@every 1000ms");
    let odd = schedule("@every 7h11s", "UTC");
    let at = odd.next_after("2026-05-05T05:05:05Z".parse().unwrap()).unwrap();
    assert_eq!(at.unix_seconds() % (7 * 3600 + 11), 0);
}

#[test]
fn every_is_not_touched_by_summer_time() {
    expect(
        "@every 1h",
        "America/New_York",
        "2026-03-08T05:59:00Z",
        &["T01:00:00-05:00", "T03:00:00-04:00"],
    );
    expect(
        "@every 1h",
        "America/New_York",
        "2026-11-01T04:59:00Z",
        &["T01:00:00-04:00", "T01:00:00-05:00"],
    );
}

#[test]
fn every_ends_with_2199() {
    let end = "2199-12-31T23:59:59Z".parse().unwrap();
    assert_eq!(schedule("@every 1s", "UTC").next_after(end), None);
    let last = schedule("@every 84005d", "UTC");
    let first = "1970-01-02T00:00:00Z".parse().unwrap();
    assert_eq!(last.next_after(first).unwrap().to_string(), "2199-12-31T00:00:00Z");
}

#[test]
fn a_zone_may_stand_before_the_fields() {
    for expr in ["CRON_TZ=Europe/Berlin 0 3 * * *", " TZ=Europe/Berlin\t 0 3 * * *"] {
        expect(expr, "America/New_York", "2026-07-01", &["2026-07-01T03:00:00+02:00"]);
    }
    expect("TZ=Asia/Tokyo @daily", "UTC", "2026-07-01", &["2026-07-02T00:00:00+09:00"]);
}

#[test]
fn the_zone_of_the_job_overrides_the_default() {
    let (tokyo, berlin) =
        (Zone::named("Asia/Tokyo").unwrap(), Zone::named("Europe/Berlin").unwrap());
    let context = Context { job: None, timezone: Some(&tokyo), default_timezone: &berlin };
    assert_eq!(Schedule::parse("@daily", &context).unwrap().zone(), &tokyo);
    let context = Context { timezone: None, ..context };
    assert_eq!(Schedule::parse("@daily", &context).unwrap().zone(), &berlin);
}

#[test]
fn next_is_strictly_after_the_given_instant() {
    let noon: SlotTime = "2026-01-01T12:00:00Z".parse().unwrap();
    let just_before = SlotTime::from_unix_seconds(noon.unix_seconds() - 1);
    let daily = schedule("0 12 * * *", "UTC");
    assert_eq!(daily.next_after(just_before), Some(noon));
    assert_eq!(daily.next_after(noon).unwrap().to_string(), "2026-01-02T12:00:00Z");
}

#[test]
fn the_schedules_of_a_job_are_a_union_and_each_instant_counts_once() {
    let set = ScheduleSet::new(vec![
        schedule("0 * * * *", "UTC"),
        schedule("0,30 1 * * *", "UTC"),
        schedule("TZ=Asia/Tokyo 0 10 * * *", "UTC"),
        schedule("0 0 30 2 *", "UTC"),
    ]);
    let mut at: SlotTime = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut found = Vec::new();
    while found.len() < 3 {
        at = set.next_after(at).unwrap();
        found.push(at.to_string());
    }
    assert_eq!(found, ["2026-01-01T01:00:00Z", "2026-01-01T01:30:00Z", "2026-01-01T02:00:00Z"]);
    assert!(!set.is_never());
    assert_eq!(set.schedules().len(), 4);
    for never in [vec![], vec![schedule("0 0 30 2 *", "UTC")]] {
        let set = ScheduleSet::new(never);
        assert!(set.is_never() && set.next_after(at).is_none());
    }
}

#[test]
fn the_normal_form_is_one_text_for_many_ways_to_write() {
    for (expr, normal) in [
        ("30 2 * * *", "CRON_TZ=UTC 0 30 2 * * *"),
        ("@daily", "CRON_TZ=UTC 0 0 0 * * *"),
        ("@weekly", "CRON_TZ=UTC 0 0 0 * * 0"),
        ("@every 1h30m", "CRON_TZ=UTC @every 5400s"),
        ("* * * * *", "CRON_TZ=UTC 0 * * * * *"),
        ("* * * * * * 2030,2031,2040", "CRON_TZ=UTC * * * * * * 2030-2031,2040"),
        ("*/20 2 * * *", "CRON_TZ=UTC 0 */20 2 * * *"),
        ("0,20,40 2 * * *", "CRON_TZ=UTC 0 0,20,40 2 * * *"),
        ("H H(0-3) H * *", "CRON_TZ=UTC 0 49 1 23 * *"),
        ("H/15 3 * * *", "CRON_TZ=UTC 0 H=4/15 3 * * *"),
        ("5 H/15 3 * * *", "CRON_TZ=UTC 5 H=4/15 3 * * *"),
        ("5 7,H/25 3 * * *", "CRON_TZ=UTC H=5/60 7,9,34,59 3 * * *"),
        ("0 0 */2 1-12 0-7", "CRON_TZ=UTC 0 0 0 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31 * 0-6"),
        ("0 0 L,1 * +FRI#L,1,MON#2", "CRON_TZ=UTC 0 0 0 1,L * +1,1#2,5#L"),
        ("0 0 15W * ?", "CRON_TZ=UTC 0 0 0 15W * *"),
        ("TZ=europe/berlin 0 0 lw * *", "CRON_TZ=Europe/Berlin 0 0 0 LW * *"),
    ] {
        let schedule = schedule(expr, "UTC");
        assert_eq!(schedule.canonical(), normal, "{expr}");
        let tokyo = Zone::named("Asia/Tokyo").unwrap();
        let elsewhere = Context { job: None, timezone: None, default_timezone: &tokyo };
        assert_eq!(Schedule::parse(normal, &elsewhere).as_ref(), Ok(&schedule), "{expr}");
    }
}

#[test]
fn a_schedule_is_small() {
    assert!(size_of::<Schedule>() <= 104, "{}", size_of::<Schedule>());
}
