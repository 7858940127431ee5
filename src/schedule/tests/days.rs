//! Which days two fields choose together.

use super::*;

#[test]
fn two_restricted_day_fields_match_either() {
    expect(
        "0 0 1 * MON",
        "UTC",
        "2025-09-01",
        &["09-08", "09-15", "09-22", "09-29", "10-01", "10-06"],
    );
}

#[test]
fn a_plus_before_day_of_week_asks_for_both() {
    expect("0 12 1 * +MON", "UTC", "2025-01-01", &["2025-09-01", "2025-12-01", "2026-06-01"]);
    expect("0 0 L * +FRI", "UTC", "2026-01-01", &["2026-07-31", "2027-04-30"]);
    same("0 0 * * +MON", "0 0 * * MON");
    same("0 0 1 * +*", "0 0 1 * *");
}

#[test]
fn only_a_bare_star_or_question_mark_leaves_the_other_day_field_alone() {
    same("0 0 ? * MON", "0 0 * * MON");
    same("0 0 1 * ?", "0 0 1 * *");
    same("0 0 ? * ?", "0 0 * * *");
    // Restricted to the odd days, so Mondays come on top.
    expect(
        "0 0 */2 * MON",
        "UTC",
        "2026-03-01",
        &["03-02", "03-03", "03-05", "03-07", "03-09", "03-11"],
    );
    expect("0 0 1-31 * MON", "UTC", "2026-03-01", &["03-02", "03-03", "03-04"]);
    expect("0 0 *,1 * MON", "UTC", "2026-03-01", &["03-02", "03-03", "03-04"]);
    expect("0 0 */2 * +MON", "UTC", "2026-03-01", &["03-09", "03-23", "04-13"]);
}

#[test]
fn l_is_the_last_day_of_the_month() {
    expect("0 0 L * *", "UTC", "2028-01-01", &["01-31", "02-29", "03-31", "04-30"]);
    expect("0 0 1,L * *", "UTC", "2026-01-01", &["01-31", "02-01", "02-28", "03-01"]);
    same("0 0 l * *", "0 0 L * *");
}

#[test]
fn lw_is_the_last_weekday_of_the_month() {
    expect("0 0 LW 5-8 *", "UTC", "2026-01-01", &["05-29", "06-30", "07-31", "08-31"]);
}

#[test]
fn a_nearest_weekday_stays_within_its_month() {
    // 2026-08-01 is a Saturday, 2026-02-01 a Sunday, 2026-05-31 a Sunday.
    expect("0 0 1W 2,8 *", "UTC", "2026-01-01", &["2026-02-02", "2026-08-03"]);
    expect("0 0 31W 5 *", "UTC", "2026-01-01", &["2026-05-29", "2027-05-31"]);
    expect("0 0 15W * *", "UTC", "2025-06-01", &["06-16", "07-15", "08-15", "09-15"]);
}

#[test]
fn a_nearest_weekday_of_an_absent_day_is_none() {
    expect("0 0 30W 1-4 *", "UTC", "2026-01-01", &["01-30", "03-30", "04-30"]);
    expect("0 0 31W * *", "UTC", "2026-01-31", &["03-31", "05-29", "07-31"]);
}

#[test]
fn a_day_may_be_the_nth_or_the_last_of_its_kind() {
    expect("0 0 * * TUE#3", "UTC", "2025-06-01", &["06-17", "07-15"]);
    expect("0 0 * * FRI#5", "UTC", "2026-01-01", &["01-30", "05-29", "07-31"]);
    expect("0 0 * * 5L", "UTC", "2026-01-01", &["01-30", "02-27"]);
    same("0 0 * * 5L", "0 0 * * FRI#L");
    same("0 0 * * fril", "0 0 * * 5#l");
    expect("0 0 * * FRI#1,MON#2", "UTC", "2026-01-01", &["01-02", "01-12", "02-06", "02-09"]);
    expect("0 0 * * SUN,FRI#L", "UTC", "2026-01-20", &["01-25", "01-30", "02-01"]);
    expect("0 0 13 * +FRI#2", "UTC", "2026-01-01", &["2026-02-13", "2026-03-13", "2026-11-13"]);
}

#[test]
fn a_date_that_never_comes_is_valid_and_never_due() {
    for expr in
        ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30W 2 *", "0 0 31 2 +FRI", "0 0 2-6 * +MON#2"]
    {
        assert!(schedule(expr, "Europe/Berlin").is_never(), "{expr}");
        assert_eq!(slots(expr, "Europe/Berlin", "2026-01-01", 1), [""; 0]);
    }
    // A year that is over is not the same: it did come.
    assert!(!schedule("0 0 0 1 1 * 1999", "UTC").is_never());
    // The only day of this schedule was left out in Samoa.
    assert!(schedule("0 0 12 30 12 * 2011", "Pacific/Apia").is_never());
    assert!(!schedule("@every 84005d", "UTC").is_never());
}

#[test]
fn rare_dates_are_found() {
    expect("0 0 29 2 +MON", "UTC", "2026-01-01", &["2044-02-29", "2072-02-29"]);
    expect("0 0 29 2 +SAT", "UTC", "2077-01-01", &["2116-02-29", "2144-02-29"]);
    expect("0 0 29 2 *", "UTC", "2096-02-29", &["2104-02-29"]);
    expect("0 0 29 2 MON", "UTC", "2026-01-31", &["2026-02-02", "2026-02-09"]);
}
