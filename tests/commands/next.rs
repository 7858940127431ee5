//! `solocron next`: coming slots.

use insta::assert_snapshot;
use serde_json::json;

use crate::bench::Bench;

const TABLE: &str = r#"
[jobs.backup]
schedule = "30 2 * * *"
timezone = "America/New_York"
command  = ["true"]

[jobs.report]
schedule = ["0 9 * * MON-FRI", "0 12 1 * *"]
command  = ["true"]

[jobs.leap]
schedule = "0 0 30 2 *"
command  = ["true"]

[jobs.retired]
schedule = "@daily"
command  = ["true"]
enabled  = false
"#;

fn next(arguments: &[&str]) -> crate::bench::Answer {
    let all = ["next"].iter().chain(arguments);
    Bench::empty().run(&all.copied().collect::<Vec<_>>())
}

#[test]
fn a_schedule_is_answered_with_instants_at_the_zones_offset() {
    let slots = next(&[
        "--schedule",
        "30 2 * * *",
        "--tz",
        "America/New_York",
        "--from",
        "2026-03-07T12:00:00-05:00",
        "--count",
        "3",
        "--format",
        "json",
    ]);
    assert_eq!(
        slots.json(),
        json!([
            "2026-03-08T03:00:00-04:00",
            "2026-03-09T02:30:00-04:00",
            "2026-03-10T02:30:00-04:00"
        ])
    );
}

#[test]
fn from_may_be_a_date_on_the_clock_of_the_zone() {
    let slots = next(&[
        "--schedule=0 0 * * *",
        "--tz=Europe/Berlin",
        "--from=2026-07-01",
        "--count=1",
        "--format=json",
    ]);
    // Slots come after the instant, not at it.
    assert_eq!(slots.json(), json!(["2026-07-02T00:00:00+02:00"]));
}

#[test]
fn five_slots_are_given_unless_count_says_otherwise() {
    for (count, expected) in [(None, 5), (Some("1"), 1), (Some("200"), 200)] {
        let mut arguments = vec!["--schedule", "@every 90s", "--format", "json"];
        arguments.extend(count.iter().flat_map(|count| ["--count", count]));
        let slots = next(&arguments).json();
        assert_eq!(slots.as_array().unwrap().len(), expected);
    }
}

#[test]
fn a_count_that_is_no_count_is_a_usage_error() {
    for count in ["0", "-1", "many", "99999999999999999999999"] {
        let said = next(&["--schedule", "@daily", "--count", count]).refused(2);
        assert!(said.contains(&format!("invalid value '{count}' for '--count <N>'")), "{said}");
    }
}

#[test]
fn the_zone_and_the_job_of_a_schedule_are_not_for_jobs() {
    let bench = Bench::with(TABLE);
    for (option, name) in [("--tz=Europe/Berlin", "--tz <ZONE>"), ("--job=backup", "--job <NAME>")]
    {
        let said = bench.run(&["next", "backup", option]).refused(2);
        let expected = format!("'[JOB]...' cannot be used with '{name}'");
        assert!(said.contains(&expected), "{said}");
    }
}

#[test]
fn a_schedule_that_never_comes_says_so() {
    let never = ["--schedule", "0 0 30 2 *"];
    assert_eq!(next(&never).good(), "never: no such date comes\n");
    assert_eq!(next(&[never[0], never[1], "--format", "json"]).json(), json!([]));
}

#[test]
fn a_bad_schedule_is_refused_with_what_offends_underlined() {
    assert_snapshot!(next(&["--schedule", "0 25 * * *"]).refused(2), @r"
    solocron: hour must be 0-23, not 25
      0 25 * * *
        ^^
    ");
    assert_snapshot!(next(&["--schedule", "* * * *"]).refused(2), @r"
    solocron: a schedule has 5, 6 or 7 fields, this has 4
      * * * *
      ^^^^^^^
      help: 5: minute hour day-of-month month day-of-week; 6: second first; 7: year last, too
    ");
    assert_snapshot!(next(&["--schedule", " "]).refused(2), @r"
    solocron: a schedule cannot be empty
      help: write five fields such as `0 3 * * *`, or `@daily`
    ");
}

#[test]
fn a_control_character_in_a_schedule_does_not_reach_the_terminal() {
    let said = next(&["--schedule", "0 \x1b[31m3 * * *"]).refused(2);
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn a_bad_zone_and_a_bad_instant_are_usage_errors() {
    let said = next(&["--schedule", "@daily", "--tz", "Europe/Berlim"]).refused(2);
    assert!(said.contains("did you mean \"Europe/Berlin\"?"), "{said}");
    for from in ["yesterday", "2026-13-01", "03:00", ""] {
        let said = next(&["--schedule", "@daily", "--from", from]).refused(2);
        assert!(
            said.starts_with(&format!("solocron: {from:?} is not an instant; write ")),
            "{said}"
        );
    }
}

#[test]
fn an_h_is_drawn_from_the_name_of_the_job_and_needs_it() {
    let said = next(&["--schedule", "H 2 * * *"]).refused(2);
    assert!(said.contains("--job NAME"), "{said}");
    let minute = |job: &str| {
        let slots = next(&[
            "--schedule=H 2 * * *",
            "--from=2026-01-01",
            "--count=2",
            "--format=json",
            "--job",
            job,
        ]);
        let slots = slots.json();
        assert_eq!(slots[0].as_str().unwrap()[14..16], slots[1].as_str().unwrap()[14..16]);
        slots[0].as_str().unwrap()[14..16].to_owned()
    };
    assert_eq!(minute("backup"), minute("backup"));
    let names = ["a", "b", "c", "d", "e", "f"];
    assert!(names.iter().any(|name| minute(name) != minute("backup")));
}

#[test]
fn jobs_are_answered_each_with_its_slots_in_its_zone() {
    let bench = Bench::with(TABLE);
    let slots =
        bench.run(&["next", "backup", "leap", "--from=2026-03-07", "--count=2", "--format=json"]);
    assert_eq!(
        slots.json(),
        json!([
            { "job": "backup", "slots": ["2026-03-07T02:30:00-05:00", "2026-03-08T03:00:00-04:00"] },
            { "job": "leap", "slots": [] },
        ])
    );
}

#[test]
fn without_names_the_table_says_who_comes_when() {
    let bench = Bench::with(TABLE);
    let said = bench.run(&["next", "--from", "2026-03-07"]).good();
    assert_snapshot!("who_comes_when", said);
    let all = bench.run(&["next", "--format", "json", "--count", "4"]).json();
    let names: Vec<_> =
        all.as_array().unwrap().iter().map(|job| job["job"].as_str().unwrap()).collect();
    assert_eq!(names, ["backup", "leap", "report"]);
    assert_eq!(all[0]["slots"].as_array().unwrap().len(), 4);
}

#[test]
fn a_named_job_is_listed_and_utc_alone_needs_no_second_column() {
    let bench = Bench::with(TABLE);
    let said = bench.run(&["next", "report", "--from", "2026-05-30", "--count", "3"]);
    assert_snapshot!(said.stdout, @r"
    JOB     SLOT                  DAY
    report  2026-06-01T09:00:00Z  Mon
    report  2026-06-01T12:00:00Z  Mon
    report  2026-06-02T09:00:00Z  Tue
    ");
}

#[test]
fn a_job_that_is_not_enabled_is_listed_by_name_with_a_word() {
    let bench = Bench::with(TABLE);
    let said = bench.run(&["next", "retired", "--from=2026-01-01", "--count=1", "--format=json"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stdout.contains("2026-01-02T00:00:00+00:00"), "{}", said.stdout);
    assert!(said.stderr.ends_with("solocron: retired is not enabled and will not run\n"));
}

#[test]
fn an_unknown_job_fails_with_the_name_that_was_meant() {
    let bench = Bench::with(TABLE);
    for (job, meant) in [("bakcup", "; did you mean backup?"), ("payroll", " in the table")] {
        let said = bench.run(&["next", job]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        let expected = format!("solocron: there is no job {job}{meant}\n");
        assert!(said.stderr.ends_with(&expected), "{}", said.stderr);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let bench = Bench::empty();
    let said = bench.shell("solocron next --schedule '@every 1s' --count 20000 | head -1");
    assert_eq!(said.good(), "SLOT                  DAY  WHEN\n");
    // One that cannot be written to is.
    let said = bench.shell("solocron next --schedule '@every 1s' > /dev/full").refused(1);
    assert!(said.starts_with("solocron: No space left on device"), "{said}");
}
