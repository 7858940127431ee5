//! What is not a schedule, and how a person is told.

use super::*;

/// What parsing says of `expr` without a job.
fn refusal(expr: &str) -> ScheduleError {
    let utc = Zone::utc();
    let context = Context { job: None, timezone: None, default_timezone: &utc };
    match Schedule::parse(expr, &context) {
        Ok(schedule) => panic!("{expr:?} was read as {schedule}"),
        Err(error) => error,
    }
}

/// The text without its «marks», and the bytes between them.
fn unmarked(marked: &str) -> (String, std::ops::Range<usize>) {
    let start = marked.find('«').expect("a mark opens");
    let end = marked.find('»').expect("a mark closes") - '«'.len_utf8();
    (marked.replace(['«', '»'], ""), start..end)
}

#[test]
fn every_malformed_pattern_is_refused_where_it_is_wrong() {
    let table = [
        // How many fields.
        ("«*»", "a schedule has 5, 6 or 7 fields, this has 1"),
        ("«* * * *»", "5, 6 or 7 fields, this has 4; 5: minute hour day-of-month month"),
        ("  «* * * *»\t", "this has 4"),
        ("«* * * * * * * *»", "this has 8"),
        ("«daily»", "did you mean `@daily`?"),
        ("«every 5m»", "did you mean `@every`?"),
        ("* * * * «*\n»", "`*` is allowed only alone or before a step"),
        ("0 0 * * «*\u{a0}*»", "`*` is allowed only alone or before a step"),
        // Values.
        ("«61» * * * *", "minute must be 0-59, not 61"),
        ("«60» * * * * *", "second must be 0-59, not 60"),
        ("* «24» * * *", "hour must be 0-23, not 24"),
        ("* * «0» * *", "day-of-month must be 1-31, not 0"),
        ("* * «32» * *", "day-of-month must be 1-31, not 32"),
        ("* * * «0» *", "month must be 1-12, not 0"),
        ("* * * «13» *", "month must be 1-12, not 13"),
        ("* * * * «8»", "day-of-week must be 0-7, not 8"),
        ("0 0 0 * * * «1969»", "year must be 1970-2199, not 1969"),
        ("0 0 0 * * * «2200»", "year must be 1970-2199, not 2200"),
        ("0 0 0 * * * «26»", "year must be 1970-2199, not 26"),
        ("«99999999999999999999» * * * *", "not 99999999999999999999"),
        ("1,«77»,3 * * * *", "minute must be 0-59, not 77"),
        ("«x» * * * *", "`x` is not a value of minute; minute takes 0-59"),
        ("«+5» * * * *", "`+` is allowed only at the start of day-of-week"),
        ("«1.5» * * * *", "`1.5` is not a value of minute"),
        ("«0x1» * * * *", "`0x1` is not a value of minute"),
        ("«٣» * * * *", "`٣` is not a value of minute"),
        ("* * «é» * *", "`é` is not a value of day-of-month"),
        ("«*5» * * * *", "`*` is allowed only alone or before a step"),
        ("«**» * * * *", "`*` is allowed only alone or before a step"),
        ("«10~20» * * * *", "`10~20` is not a value"),
        ("«@» * * * *", "there is no `@`"),
        // Steps.
        ("*/«61» * * * *", "a step of 61 is larger than the 60 values of minute"),
        ("*/«90» * * * *", "a step of 90 is larger than the 60 values of minute"),
        ("*/«61» * * * * *", "the 60 values of second"),
        ("* */«25» * * *", "the 24 values of hour"),
        ("* * */«32» * *", "the 31 values of day-of-month"),
        ("* * * */«13» *", "the 12 values of month"),
        ("* * * * */«8»", "the 7 values of day-of-week"),
        ("0 0 0 * * * */«231»", "the 230 values of year"),
        ("*/«4294967297» * * * *", "a step of 4294967297 is larger"),
        ("0-10/«61» * * * *", "a step of 61 is larger"),
        ("*/«0» * * * *", "a step cannot be zero"),
        ("5/«00» * * * *", "a step cannot be zero"),
        ("«*/» * * * *", "a step needs a number behind the `/`"),
        ("«/5» * * * *", "a step needs something to step over; write `*/5`"),
        ("«/» * * * *", "a step needs"),
        ("«*/5/2» * * * *", "an item has at most one step"),
        ("*/«-5» * * * *", "`-5` is not a step; a step is a number from 1 to 60"),
        ("*/«x» * * * *", "`x` is not a step"),
        ("*/«*» * * * *", "`*` is not a step"),
        // Ranges.
        ("«10-5» * * * *", "the range `10-5` goes backwards; write 10-59,0-5"),
        ("0 «22-6» * * *", "goes backwards; write 22-23,0-6"),
        ("* * * * «5-0»", "goes backwards; write 5-6,0 if"),
        ("* * * * «FRI-MON»", "goes backwards; write 5-6,0-1"),
        ("* * * * «7-1»", "goes backwards"),
        ("* * * «DEC-JAN» *", "goes backwards; write 12,1 if"),
        ("0 0 0 * * * «2030-2026»", "goes backwards"),
        ("«5-» * * * *", "the range `5-` has no end"),
        ("«-5» * * * *", "the range `-5` has no start"),
        ("«-» * * * *", "has no start"),
        ("1-«60» * * * *", "minute must be 0-59, not 60"),
        ("«60»-70 * * * *", "minute must be 0-59, not 60"),
        ("* * * * 5-«8»", "day-of-week must be 0-7, not 8"),
        ("1-«*» * * * *", "`*` is allowed only"),
        ("«*»-5 * * * *", "`*` is allowed only"),
        ("1-«-5» * * * *", "`-5` is not a value of minute"),
        ("1-«2-3» * * * *", "`2-3` is not a value of minute"),
        // Lists.
        ("1«,» * * * *", "an empty item in the list of minute; remove the extra comma"),
        ("«,»1 * * * *", "an empty item"),
        ("1«,»,2 * * * *", "an empty item"),
        ("«,» * * * *", "an empty item"),
        ("* * 1«,» * *", "an empty item in the list of day-of-month"),
        ("* * * * 1«,»", "an empty item in the list of day-of-week"),
        ("* * * * +1«,»", "an empty item in the list of day-of-week"),
        ("1«,» 2 * * *", "an empty item"),
        // Names.
        ("«JAN» * * * *", "names are allowed only in month and day-of-week"),
        ("0 «MON» * * *", "names are allowed only in month and day-of-week; hour takes 0-23"),
        ("* * «MON» * *", "names are allowed only in month and day-of-week"),
        ("* * * «MON» *", "`MON` is a day of the week, not a month"),
        ("* * * * «jan»", "`jan` is a month, not a day of the week"),
        ("* * * «JANUARY» *", "names have three letters: JAN"),
        ("* * * * «Monday»", "names have three letters: MON"),
        ("* * * * «MNO»", "did you mean MON?"),
        ("* * * «JUK» *", "did you mean JUL or JUN?"),
        ("* * * * «xyz»", "day-of-week takes 0-7 or SUN-SAT"),
        // Days.
        ("«?» * * * *", "`?` is allowed only in day-of-month and day-of-week, and alone"),
        ("* * «?»/2 * *", "and alone"),
        ("* * 1,«?» * *", "`?` is allowed only in day-of-month and day-of-week, and alone"),
        ("* * * «?» *", "`?` is allowed only in"),
        ("* * * * +«?»", "and alone"),
        ("«L» * * * *", "`L` is allowed only in day-of-month and day-of-week"),
        ("* * * «L» *", "`L` is allowed only in"),
        ("* * «L-3» * *", "an offset from the last day of the month is not supported"),
        ("* * «5L» * *", "`5L` belongs in day-of-week; the last day of the month is `L`"),
        ("* * «FRIL» * *", "`FRIL` belongs in day-of-week"),
        ("* * «L»/2 * *", "`L` takes neither a step nor a range"),
        ("* * 1-«L» * *", "`L` takes neither a step nor a range"),
        ("* * «W15» * *", "`W15` is the wrong way round; write 15W"),
        ("* * «W» * *", "`W` is allowed only in day-of-month, alone"),
        ("* * «32»W * *", "day-of-month must be 1-31, not 32"),
        ("* * «0»W * *", "day-of-month must be 1-31, not 0"),
        ("* * «15W»,1 * *", "`15W` cannot stand in a list; give the job a list of schedules"),
        ("* * 1,«LW» * *", "`LW` cannot stand in a list"),
        ("* * 1-«15W» * *", "`W` is allowed only in day-of-month, alone"),
        ("* * * * «15W»", "`W` is allowed only in day-of-month"),
        ("* * * * «LW»", "`W` is allowed only in day-of-month"),
        ("* * «FRI#1» * *", "`#` is allowed only in day-of-week"),
        ("* * * * «L»", "`L` alone does not say which day of the week; the last Friday"),
        ("* * * * 1,«L»", "`5L` or `FRI#L`"),
        ("* * * * «FRI#6»", "behind `#` stands 1 to 5 or L, not `6`"),
        ("* * * * «FRI#0»", "behind `#` stands 1 to 5 or L, not `0`"),
        ("* * * * «FRI#»", "behind `#` stands 1 to 5 or L"),
        ("* * * * «FRI#2/2»", "behind `#` stands 1 to 5 or L"),
        ("* * * * «#2»", "`#` needs a day before it"),
        ("* * * * «8»#2", "day-of-week must be 0-7, not 8"),
        ("* * * * «FRI-SUN#2»", "a range cannot take `#`; list the days"),
        ("* * * * «1-5L»", "a range cannot take `L`"),
        ("* * * * «8»L", "day-of-week must be 0-7, not 8"),
        ("* * * * «+»", "`+` needs days behind it"),
        ("* * * * 1,«+2»", "`+` is allowed only at the start of day-of-week"),
        ("* * * * +«+1»", "`+` is allowed only at the start of day-of-week"),
        ("* * «+1» * MON", "`+` is allowed only at the start of day-of-week"),
        // Hashes; there is no job here.
        ("«H» * * * *", "no job is named; give the name with --job NAME"),
        ("«H»/5 * * * *", "no job is named"),
        ("H/«0» * * * *", "a step cannot be zero"),
        ("H/«61» * * * *", "a step of 61 is larger"),
        ("H(«11-10») * * * *", "the range `11-10` goes backwards"),
        ("H(0-«60») * * * *", "minute must be 0-59, not 60"),
        ("H(«5») * * * *", "`5` is not a range"),
        ("«H(0-29» * * * *", "`H(0-29` is not a form of `H`; write H, H/5, H(0-29) or H(0-29)/5"),
        ("«H-5» * * * *", "`H-5` is not a form of `H`"),
        ("«H5» * * * *", "`H5` is not a form of `H`"),
        ("«H=» * * * *", "`H=` is not a form of `H`"),
        ("«H=»/5 * * * *", "`H=` is not a form of `H`"),
        ("«H()» * * * *", "`H()` is not a form of `H`"),
        ("* * * * «H»#2", "`H` is not a value of day-of-week"),
        ("«H=5» * * * *", "`H=` is a step whose start is drawn already"),
        ("H=«60»/5 * * * *", "minute must be 0-59, not 60"),
        // Words that begin with @.
        ("«@evrey» 5m", "there is no `@evrey`; did you mean `@every`?"),
        ("«@midnigt»", "did you mean `@midnight`?"),
        ("«@every5m»", "write `@every 5m`, with a blank"),
        ("«@secondly»", "there is no `@secondly`"),
        ("«@fortnightly»", "there are @yearly, @annually, @monthly, @weekly, @daily"),
        ("«@REBOOT»", "a cluster has no reboot: its replicas start one by one"),
        ("@daily «0 0 * * *»", "`@daily` stands alone"),
        ("«@every»", "`@every` needs a duration; such as `@every 90s`"),
        ("@every «90»", "`90` has no unit; write `90s` or `90m`"),
        ("@every 1h«30»", "`30` has no unit"),
        ("@every «500ms»", "`500ms` is too short; slots are whole seconds"),
        ("@every «1500ms»", "`1500ms` is not a whole number of seconds"),
        ("@every «0s»", "a period of zero has no slots"),
        ("@every «1.5h»", "`1.5h` is not a duration"),
        ("@every «-5m»", "`-5m` is not a duration"),
        ("@every «1h 30m»", "`1h 30m` is not a duration"),
        ("@every «5m10m»", "the units of a duration go from large to small, each once"),
        ("@every «30m1h»", "the units of a duration go from large to small, each once"),
        ("@every 5«M»", "`M` is not a unit; the units are d, h, m, s and ms"),
        ("@every 2«weeks»", "`weeks` is not a unit"),
        ("@every «99999999999999999999s»", "is longer than all the years to 2199"),
        ("@every «84006d»", "is longer than all the years to 2199"),
        // Zones.
        ("CRON_TZ=«Europe/Berln» 0 3 * * *", "did you mean \"Europe/Berlin\"?"),
        ("TZ=«Mars/Olympus» @daily", "unknown time zone `Mars/Olympus`; use an IANA name"),
        ("«TZ=» 0 3 * * *", "unknown time zone ``"),
        ("«CRON_TZ=UTC»", "a time zone without fields behind it is no schedule"),
        ("«cron_tz=UTC» 0 3 * * *", "only `CRON_TZ=ZONE` or `TZ=ZONE` can"),
        ("«ZONE=UTC» 0 3 * * *", "`ZONE=UTC` cannot stand before the fields"),
        ("TZ=UTC «TZ=UTC» 3 * * *", "`TZ=UTC` is not a value of minute"),
    ];
    assert!(table.len() >= 80);
    let mut wrong = Vec::new();
    for (marked, text) in table {
        let (expr, span) = unmarked(marked);
        let error = refusal(&expr);
        let said = error.to_string();
        if !said.contains(text) || error.span != span {
            wrong
                .push(format!("{marked:?} expected {text}\n  {:?} said {said}", &expr[error.span]));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_empty_expression_is_refused() {
    for empty in ["", " ", " \t "] {
        let error = refusal(empty);
        assert_eq!(error.message, "a schedule cannot be empty");
        assert_eq!(error.span, 0..empty.len());
    }
}

#[test]
fn a_zone_before_the_fields_and_a_zone_of_the_job_are_refused_together() {
    let (utc, berlin) = (Zone::utc(), Zone::named("Europe/Berlin").unwrap());
    let context = Context { job: None, timezone: Some(&berlin), default_timezone: &utc };
    let error = Schedule::parse("CRON_TZ=UTC 0 3 * * *", &context).unwrap_err();
    assert_eq!(error.span, 0.."CRON_TZ=UTC".len());
    assert_eq!(
        error.to_string(),
        "the job has a time zone already: timezone = \"Europe/Berlin\"; remove one of the two"
    );
}

#[test]
fn huge_input_is_refused_quickly_and_in_few_words() {
    for huge in [
        "*".repeat(100_000),
        "* ".repeat(50_000),
        "9".repeat(100_000) + " * * * *",
        "1,".repeat(50_000) + "x * * * *",
        "*/".to_owned() + &"9".repeat(100_000) + " * * * *",
        "é".repeat(50_000) + " * * * *",
        "* * * * ".to_owned() + &"z".repeat(100_000),
        "@".to_owned() + &"every".repeat(20_000),
        "@every ".to_owned() + &"1h".repeat(50_000),
        "@every ".to_owned() + &"9".repeat(100_000),
        "TZ=".to_owned() + &"Europe/".repeat(15_000) + " * * * * *",
        "H(".repeat(50_000) + " * * * *",
    ] {
        let error = refusal(&huge);
        assert!(error.to_string().len() < 300, "{error}");
        assert!(huge.get(error.span.clone()).is_some_and(|part| !part.is_empty()), "{error:?}");
    }
}
