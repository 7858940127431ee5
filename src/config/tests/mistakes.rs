//! Each mistake is told, at its place, with what would be right; all at once.

use super::*;

#[test]
fn ten_mistakes_are_a_pleasure_to_read() {
    let errors = read(include_str!("../testdata/ten-mistakes.toml")).unwrap_err();
    insta::assert_snapshot!(errors);
}

#[test]
fn colour_changes_nothing_but_colour() {
    let errors = read(include_str!("../testdata/ten-mistakes.toml")).unwrap_err();
    let coloured = errors.render(Paint::Colour).to_string();
    assert!(coloured.contains("\u{1b}[1;31merror\u{1b}[0m"));
    let mut plain = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    assert_eq!(plain + rest, errors.to_string());
}

#[test]
fn thirty_different_mistakes_are_thirty_located_messages() {
    let text = include_str!("../testdata/thirty-mistakes.toml");
    let errors = read(text).unwrap_err();
    assert_eq!((errors.errors(), errors.warnings()), (30, 0), "{errors}");
    let mut places: Vec<_> =
        errors.iter().map(|found| (found.place.line, found.place.column)).collect();
    let mut messages: Vec<_> = errors.iter().map(|found| &found.message).collect();
    places.dedup();
    messages.sort_unstable();
    messages.dedup();
    assert_eq!((places.len(), messages.len()), (30, 30), "{errors}");
    for found in &errors {
        assert_ne!(underlined(text, found), "<nothing>");
        let shown = found.render(Paint::Plain).to_string();
        let place = format!("solocron.toml:{}:{}: error: ", found.place.line, found.place.column);
        assert!(shown.starts_with(&place), "{shown}");
        assert_eq!(
            shown.matches('^').count() - found.message.matches('^').count(),
            found.excerpt.as_ref().unwrap().width
        );
    }
    insta::assert_snapshot!(first_lines(&errors).join("\n"));
}

/// Keys of a job, what is underlined, and what is said.
#[test]
fn a_bad_value_of_a_job_is_underlined_and_explained() {
    for (keys, marked, said) in [
        ("timeout = 30", "30", "`timeout` is a duration such as \"30s\", and this is a number"),
        ("timeout = '30'", "30", "`timeout`: `30` has no unit"),
        (
            "timeout = true",
            "true",
            "`timeout` is a duration such as \"30s\", and this is true or false",
        ),
        ("timeout = '0s'", "0s", "`timeout`: 0s is out of bounds, the least is 1ms"),
        ("lease_ttl = '500ms'", "500ms", "`lease_ttl`: 500ms is out of bounds, the least is 1s"),
        ("lease_ttl = '25h'", "25h", "`lease_ttl`: 1d1h is out of bounds, the most is 1d"),
        ("lease_ttl = ''", "''", "`lease_ttl`: a duration cannot be empty"),
        (
            "output_limit = '1GiB'",
            "1GiB",
            "`output_limit`: 1GiB is out of bounds, the most is 1MiB",
        ),
        (
            "output_limit = 16384",
            "16384",
            "`output_limit` is a size such as \"16KiB\", and this is a number",
        ),
        (
            "umask = 18",
            "18",
            "`umask` is an octal number in quotes such as \"022\", and this is a number",
        ),
        ("umask = '8'", "8", "`umask`: this is not an octal number up to 777"),
        ("umask = '1777'", "1777", "`umask`: this is not an octal number up to 777"),
        (
            "umask = '99999999999999'",
            "99999999999999",
            "`umask`: this is not an octal number up to 777",
        ),
        ("success_codes = 0", "0", "`success_codes` is a list of exit codes, and this is a number"),
        ("success_codes = []", "[]", "`success_codes` is an empty list: no run could succeed"),
        ("success_codes = [0, -1]", "-1", "an exit code is a number from 0 to 255"),
        (
            "success_codes = [99999999999999999999]",
            "99999999999999999999",
            "an exit code is a number from 0 to 255",
        ),
        (
            "success_codes = ['0']",
            "'0'",
            "`success_codes` is a list of numbers, and this is a text",
        ),
        ("tags = 'db'", "'db'", "`tags` is a list of words, and this is a text"),
        ("tags = ['a', 1]", "1", "`tags` is a list of texts, and this is a number"),
        ("tags = ['']", "''", "`tags`: a name cannot be empty"),
        ("env = { A = 1 }", "1", "a variable is a text, and this is a number"),
        ("env = ['A=1']", "['A=1']", "`env` is a table of texts, and this is a list"),
        ("env = { '' = 'x' }", "''", "`env`: a variable needs a name"),
        ("env = { 'A=B' = 'x' }", "'A=B'", "`env`: a variable has neither `=` nor NUL in its name"),
        (
            "env = { SOLOCRON_X = 'x' }",
            "SOLOCRON_X",
            "`env`: names that begin with SOLOCRON_ are solocron's own",
        ),
        ("env = { A = 'a${NOPE}' }", "${NOPE}", "`env`: the variable `NOPE` is not set"),
        ("env = { A = \"a\\u0000\" }", "\"a\\u0000\"", "a variable cannot hold a NUL character"),
        ("cwd = 'x'", "x", "`cwd`: this is not an absolute path"),
        ("cwd = '~/x'", "~/x", "`cwd`: this is not an absolute path"),
        ("user = ''", "''", "`user`: a name cannot be empty"),
        ("user = 'a b'", " ", "`user`: a user or group has no ' ' in its name"),
        ("group = 100", "100", "`group` is a text, and this is a number"),
        ("enabled = 1", "1", "`enabled` is true or false, and this is a number"),
        ("timezone = 'Berlin'", "Berlin", "`timezone`: there is no time zone \"Berlin\""),
        ("timezone = 1979-05-27", "1979-05-27", "`timezone` is a text, and this is a date"),
        ("overlap = 'skp'", "skp", "`overlap`: \"skp\" is not a choice"),
        ("overlap = true", "true", "`overlap` is a text, and this is true or false"),
        ("on_crash = 'Skip'", "Skip", "`on_crash`: \"Skip\" is not a choice"),
        ("max_takeovers = -1", "-1", "max_takeovers is a number from 0 to 1000"),
        ("catch_up = 'last'", "last", "`catch_up`: \"last\" is not a choice"),
        ("catch_up_window = '8d'", "8d", "`catch_up_window`: 8d is out of bounds, the most is 7d"),
        ("catch_up_limit = 0", "0", "catch_up_limit is a number from 1 to 1000"),
        ("retry = 3", "3", "`retry` is a table, and this is a number"),
        ("retry = { attempts = 0 }", "0", "attempts is a number from 1 to 100"),
        ("retry = { attempts = 101 }", "101", "attempts is a number from 1 to 100"),
        ("retry = { backoff = 'linear' }", "linear", "`backoff`: \"linear\" is not a choice"),
        (
            "retry = { attempts = 2, min = 5 }",
            "5",
            "`min` is a duration such as \"30s\", and this is a number",
        ),
        (
            "retry = { attempts = 2, max = '2d' }",
            "2d",
            "`max`: 2d is out of bounds, the most is 1d",
        ),
        (
            "retry = { attempts = 2, min = '10s', max = '5s' }",
            "'5s'",
            "`max`: 5s is less than `min`, which is 10s",
        ),
        ("retry = { atempts = 2 }", "atempts", "unknown key `atempts` in [jobs.a.retry]"),
        ("[jobs.a.retry]\natempts = 2", "atempts", "unknown key `atempts` in [jobs.a.retry]"),
        ("jitter = '25h'", "25h", "`jitter`: 1d1h is out of bounds, the most is 1d"),
        (
            "nodes = 'web-1'",
            "'web-1'",
            "`nodes` is a list of nodes, by name or pattern, and this is a text",
        ),
        ("nodes = []", "[]", "`nodes` is an empty list: no node could run it"),
        ("nodes = ['']", "''", "`nodes`: a pattern cannot be empty"),
        ("nodes = [1]", "1", "`nodes` is a list of texts, and this is a number"),
        (
            "nodes = ['web-*', 'web-[12]']",
            "[",
            "`nodes`: no name matches: one has only letters, digits, '.', '_' and '-', not '['",
        ),
        (
            "nodes = ['-*']",
            "-",
            "`nodes`: no name matches: one starts with a letter or a digit, not '-'",
        ),
        ("timout = '1s'", "timout", "unknown key `timout` in [jobs.a]"),
        ("store = 'x'", "store", "unknown key `store` in [jobs.a]"),
        ("a.b.c = 1", "a", "unknown key `a` in [jobs.a]"),
        ("\"\\u001b[31m\" = 1", "\"\\u001b[31m\"", "unknown key `\\u{1b}[31m` in [jobs.a]"),
    ] {
        let text = format!("[jobs.a]\nschedule = '@hourly'\nshell = 'true'\n{keys}\n");
        let errors = read(&text).unwrap_err();
        let told: Vec<_> =
            errors.iter().map(|e| (underlined(&text, e), e.message.as_str())).collect();
        assert_eq!(told, [(marked, said)], "{errors}");
    }
}

#[test]
fn what_to_run_and_when_must_be_there_and_make_sense() {
    for (keys, marked, said) in [
        ("shell = 'x'", "a", "the job `a` has no schedule"),
        ("schedule = '@hourly'", "a", "the job `a` has nothing to run"),
        ("schedule = '@hourly'\nshell = ' '", " ", "`shell`: there is nothing to run"),
        ("schedule = '@hourly'\nshell = ''", "''", "`shell`: there is nothing to run"),
        (
            "schedule = '@hourly'\nshell = ['a', 'b']",
            "['a', 'b']",
            "`shell` is a text, and this is a list",
        ),
        (
            "schedule = '@hourly'\nshell = \"a\\u0000\"",
            "\"a\\u0000\"",
            "`shell`: this cannot hold a NUL character",
        ),
        (
            "schedule = '@hourly'\ncommand = []",
            "[]",
            "`command` is an empty list: there is nothing to run",
        ),
        ("schedule = '@hourly'\ncommand = ['', 'x']", "''", "`command`: the program has no name"),
        (
            "schedule = '@hourly'\ncommand = ['x', 1]",
            "1",
            "`command` is a list of texts, and this is a number",
        ),
        (
            "schedule = '@hourly'\ncommand = ['x', \"\\u0000\"]",
            "\"\\u0000\"",
            "`command`: this cannot hold a NUL character",
        ),
        (
            "schedule = '@hourly'\nshell = 'x'\ncommand = ['x']",
            "command",
            "the job `a` has a `shell` already, so no `command`",
        ),
        (
            "schedule = []\nshell = 'x'",
            "[]",
            "`schedule` is an empty list: the job would never run",
        ),
        (
            "schedule = 5\nshell = 'x'",
            "5",
            "`schedule` is a schedule such as \"0 3 * * *\", or a list of them, and this is a number",
        ),
        ("schedule = ''\nshell = 'x'", "''", ""),
        ("schedule = '99 * * * *'\nshell = 'x'", "99", "`schedule`: minute must be 0-59, not 99"),
        (
            "schedule = ['@hourly', '* 99 * * *']\nshell = 'x'",
            "99",
            "`schedule`: hour must be 0-23, not 99",
        ),
        (
            "schedule = \"99 \\u002a * * *\"\nshell = 'x'",
            "\"99 \\u002a * * *\"",
            "`schedule`: minute must be 0-59, not 99",
        ),
        (
            "schedule = '''99 * * * *'''\nshell = 'x'",
            "99",
            "`schedule`: minute must be 0-59, not 99",
        ),
        (
            "timezone = 'UTC'\nschedule = 'CRON_TZ=Asia/Tokyo @daily'\nshell = 'x'",
            "CRON_TZ=Asia/Tokyo",
            "",
        ),
    ] {
        let text = format!("[jobs.a]\n{keys}\n");
        let errors = read(&text).unwrap_err();
        assert_eq!(errors.iter().len(), 1, "{errors}");
        let error = errors.iter().next().unwrap();
        assert_eq!(underlined(&text, error), marked, "{errors}");
        assert!(said.is_empty() || error.message == said, "{errors}");
    }
}

#[test]
fn an_unknown_key_is_answered_with_the_one_that_was_meant() {
    for (text, help) in [
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\ntimout='1s'", "did you mean `timeout`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nTIMEOUT='1s'", "did you mean `timeout`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nlease-ttl='1s'", "did you mean `lease_ttl`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nworkdir='/'", "did you mean `cwd`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nenvironment={}", "did you mean `env`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\non_failures=[]", "did you mean `on_failure`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\noverlapp='skip'", "did you mean `overlap`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\ncatchup='all'", "did you mean `catch_up`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nsplay='1m'", "did you mean `jitter`?"),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nnode='web-1'", "did you mean `nodes`?"),
        (
            "[jobs.a]\nschedule='@hourly'\nshell='x'\nbackoff='constant'",
            "`backoff` belongs in [jobs.NAME.retry]",
        ),
        ("[jobs.a]\nschedule='@hourly'\nshell='x'\nretry={atempts=3}", "did you mean `attempts`?"),
        (
            "[jobs.a]\nschedule='@hourly'\nshell='x'\n[jobs.a.retry]\ndelay='1s'",
            "did you mean `min`?",
        ),
        ("[defaults.retry]\ntimeout='1s'", "`timeout` belongs in [defaults] or [jobs.NAME]"),
        ("[defaults]\nretry={xyzzy=1}", "the keys here are attempts, backoff, min, max"),
        ("[cluster]\nmax_runing=1", "did you mean `max_running`?"),
        (
            "[jobs.a]\nschedule='@hourly'\nshell='x'\nheartbeat='1s'",
            "`heartbeat` belongs in [cluster]",
        ),
        ("[cluster]\ntimezone='UTC'", "`timezone` belongs in [defaults] or [jobs.NAME]"),
        ("[cluster]\nschedule='@daily'", "`schedule` belongs in [jobs.NAME]"),
        ("[cluster]\nfilter='info'", "`filter` belongs in [log]"),
        ("[log]\nlevel='info'", "did you mean `filter`?"),
        ("[log]\nxyzzy=1", "the keys here are format, filter"),
        ("[log]\nfilter='inf'", "did you mean \"info\"?"),
        ("[clutser]\nname='x'", "did you mean `cluster`?"),
        ("[job.a]\nschedule='@daily'", "did you mean `jobs`?"),
        ("[defaults]\nschedule='@daily'", "it says what one job is: give it in [jobs.NAME]"),
        ("[defaults]\nshel='x'", "the keys here are schedule"),
    ] {
        let errors = read(text).unwrap_err();
        let first = errors.iter().next().unwrap();
        assert!(first.help[0].starts_with(help), "{errors}");
    }
}

#[test]
fn a_bad_name_is_underlined_where_it_goes_wrong() {
    for (text, marked) in [
        ("[cluster]\nname = 'my cluster'", " "),
        ("[cluster]\nnode = '-x'", "-"),
        ("[cluster]\nname = ''", "''"),
        ("[jobs.\"a b\"]\nschedule = 'H H * * *'\nshell = 'x'", "\"a b\""),
        ("[jobs.\"\"]\nschedule = 'H H * * *'\nshell = 'x'", "\"\""),
    ] {
        let errors = read(text).unwrap_err();
        assert_eq!(errors.iter().len(), 1, "{errors}");
        assert_eq!(underlined(text, errors.iter().next().unwrap()), marked);
    }
}

#[test]
fn what_is_allowed_but_odd_is_a_warning() {
    let warnings = |text: &str| {
        let loaded = read(text).unwrap_or_else(|errors| panic!("{errors}"));
        first_lines(&loaded.warnings).join("\n")
    };
    assert_eq!(warnings("[jobs.a]\nschedule='@hourly'\nshell='x'"), "");
    assert_eq!(warnings("# nothing"), "1:1: warning: there are no jobs");
    assert_eq!(
        warnings("[jobs.a]\nschedule='0 0 30 2 *'\nshell='x'"),
        "2:10: warning: this schedule never comes: there is no such date"
    );
    let blanks = "2:10: warning: `command`: the name of the program has blanks in it";
    for (program, warned) in [
        ("echo hi there", blanks),
        ("/bin/backup --full", blanks),
        ("/opt/my tools/backup", ""),
        ("backup", ""),
    ] {
        let text = format!("[jobs.a]\ncommand=['{program}']\nschedule='@hourly'");
        assert_eq!(warnings(&text), warned, "{program}");
    }
    let grace = "warning: on losing the lease the grace is shortened to min(kill_grace, lease_ttl/4) = 7.5s";
    let job = "[jobs.a]\nschedule='@hourly'\nshell='x'\n";
    assert_eq!(warnings(&format!("{job}kill_grace='8s'")), format!("4:12: {grace}"));
    assert_eq!(warnings(&format!("{job}kill_grace='7500ms'")), "");
    assert_eq!(warnings(&format!("{job}lease_ttl='10s'")), "");
    assert_eq!(
        warnings(&format!(
            "[defaults]\nkill_grace='8s'\n{job}[jobs.b]\nschedule='@hourly'\nshell='x'"
        )),
        format!("2:12: {grace}"),
        "once for all jobs"
    );
    assert_eq!(
        warnings(&format!("[defaults]\nkill_grace='7s'\n{job}lease_ttl='20s'")),
        "6:11: warning: on losing the lease the grace is shortened to min(kill_grace, lease_ttl/4) = 5s"
    );
    assert_eq!(
        warnings(&format!("[cluster.redis]\ntimeout='2s'\n{job}")),
        "2:9: warning: [cluster.redis] has no effect: the store is a file"
    );
}

#[test]
fn two_keys_that_contradict_each_other_name_both_places() {
    for (text, said, place) in [
        (
            "[jobs.a]\nschedule='@daily'\nshell='x'\nretry = { attempts = 2, max = '5s', min = '10s' }",
            "4:31: error: `max`: 5s is less than `min`, which is 10s",
            "4:43",
        ),
        (
            "[defaults.retry]\nattempts = 2\nmin = '10s'\nmax = '9s'",
            "4:7: error: `max`: 9s is less than `min`, which is 10s",
            "3:7",
        ),
    ] {
        let errors = read(text).unwrap_err();
        assert_eq!(first_lines(&errors), [said]);
        let (_, other) = errors.iter().next().unwrap().related.as_ref().unwrap();
        assert_eq!(format!("{}:{}", other.line, other.column), place, "{errors}");
    }
}

#[test]
fn a_mistake_of_retry_is_answered_with_how_it_is_written() {
    for (keys, help) in [
        ("retry = 3", "write { attempts = 3 }; the first run is one of them"),
        ("nodes = 'web-1'", "write ['web-1']"),
        ("overlap = 'no'", "write \"skip\" or \"allow\" or \"wait\" or \"replace\""),
    ] {
        let text = format!("[jobs.a]\nschedule = '@hourly'\nshell = 'x'\n{keys}\n");
        let errors = read(&text).unwrap_err();
        assert_eq!(errors.iter().next().unwrap().help, [help]);
    }
}

#[test]
fn a_policy_that_can_do_nothing_is_a_warning() {
    let warnings = |text: &str| {
        let loaded = read(text).unwrap_or_else(|errors| panic!("{errors}"));
        first_lines(&loaded.warnings).join("\n")
    };
    let job = "[jobs.a]\nschedule='@hourly'\nshell='x'\n";
    for (keys, said) in [
        (
            "catch_up_window='2h'",
            "4:17: warning: `catch_up_window` has no effect: nothing is caught up",
        ),
        ("catch_up_limit=3", "4:16: warning: `catch_up_limit` has no effect: nothing is caught up"),
        (
            "catch_up_limit=3\ncatch_up='latest'",
            "4:16: warning: `catch_up_limit` has no effect: only the latest slot is caught up",
        ),
        ("catch_up_limit=3\ncatch_up_window='2h'\ncatch_up='all'", ""),
        ("catch_up_window='2h'\ncatch_up='latest'", ""),
        (
            "max_takeovers=3\non_crash='skip'",
            "4:15: warning: `max_takeovers` has no effect: with on_crash = \"skip\" no slot is taken over",
        ),
        ("max_takeovers=0", ""),
        (
            "retry={min='1s'}",
            "4:12: warning: this has no effect: with one attempt nothing is retried",
        ),
        (
            "retry={attempts=1, max='1s', backoff='constant'}",
            "4:24: warning: this has no effect: with one attempt nothing is retried",
        ),
        ("retry={attempts=1}", ""),
        (
            "retry={attempts=2, backoff='constant', max='1m'}",
            "4:44: warning: `max` has no effect: a constant wait is always `min`",
        ),
        ("retry={attempts=2, backoff='constant', min='1m'}", ""),
        ("jitter='1h'", ""),
        (
            "jitter='61m'",
            "4:8: warning: `jitter` is cut to 1h where the next slot of the job comes that soon",
        ),
    ] {
        assert_eq!(warnings(&format!("{job}{keys}")), said, "{keys}");
    }
    assert_eq!(warnings(&format!("[defaults]\ncatch_up_window='2h'\nmax_takeovers=1\n{job}")), "");
    assert_eq!(
        warnings(&format!("[defaults]\non_crash='skip'\n{job}max_takeovers=1")),
        "6:15: warning: `max_takeovers` has no effect: with on_crash = \"skip\" no slot is taken over"
    );
    assert_eq!(
        warnings(&format!(
            "{job}jitter='2h'\n[jobs.b]\nschedule=['@daily', '5 0 * * *']\nshell='x'\njitter='10m'"
        )),
        "4:8: warning: `jitter` is cut to 1h where the next slot of the job comes that soon\n\
         8:8: warning: `jitter` is cut to 5m where the next slot of the job comes that soon"
    );
    assert_eq!(
        warnings(&format!(
            "[defaults]\njitter='2h'\n[jobs.0]\nschedule='@daily'\nshell='x'\n{job}[jobs.b]\nschedule='* * * * *'\nshell='x'"
        )),
        "2:8: warning: `jitter` is cut to 1h where the next slot of the job comes that soon",
        "once for all jobs"
    );
}
