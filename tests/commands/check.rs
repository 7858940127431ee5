//! `solocron check`: every error at its place, or a summary.

use insta::assert_snapshot;

use crate::bench::Bench;

const TEN_MISTAKES: &str = r#"# Ten mistakes, as people make them.
[cluster]
name = "web shop"
store = "postgres://cron:hunter2@db/cron"
drain_timeout = 30

[log]
format = "yaml"

[defaults]
timezone = "Europe/Berlim"

[jobs.backup]
schedule = "0 25 * * *"
command = "pg_dump app"
timout = "1h"

[jobs.cleanup]
schedule = "@dayly"
shell = "find /tmp/app -mtime +7 -delete"
command = ["true"]
"#;

const GOOD: &str = r#"
[cluster]
name = "shop"
node = "web-1"
store = "redis://shop:hunter2@10.0.0.5:6379/0"

[jobs.backup]
schedule = "0 3 * * *"
command = ["backup"]

[jobs.old]
schedule = "0 3 * * *"
command = ["backup"]
enabled = false
"#;

/// How errors begin, as editors and scripts read it.
fn places(said: &str) -> Vec<&str> {
    said.lines().filter_map(|line| line.split_once(": error: ").map(|(place, _)| place)).collect()
}

#[test]
fn a_good_file_gets_a_summary() {
    let said = Bench::with(GOOD).run(&["check"]).good();
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("solocron.toml is good: 2 jobs, 1 of them not enabled, table "));
    assert_eq!(lines[1], "  cluster  shop");
    assert_eq!(lines[2], "  node     web-1");
    assert_eq!(lines[3], "  store    redis://shop:***@10.0.0.5:6379/0");
    assert!(lines[4].starts_with("  next     backup in "), "{said}");
    assert!(lines[4].ends_with("T03:00:00Z)"), "{said}");
    assert_eq!(lines.len(), 5);
}

#[test]
fn ten_mistakes_are_told_at_once_each_at_its_place() {
    let said = Bench::with(TEN_MISTAKES).run(&["check"]).refused(78);
    assert_snapshot!("ten_mistakes", said);
    assert_eq!(places(&said).len(), 10);
    assert!(!said.contains("hunter2"));
}

#[test]
fn nothing_runs_with_a_bad_config_and_every_command_says_why() {
    let bench = Bench::with(TEN_MISTAKES);
    let expected = bench.run(&["check"]).refused(78);
    for command in [&["run"][..], &["next"], &["history"], &["slot", "backup", "2026-01-01"]] {
        assert_eq!(bench.run(command).refused(78), expected, "{command:?}");
    }
    assert!(!bench.store().exists());
}

#[test]
fn places_count_characters_as_editors_do() {
    let bench =
        Bench::with("[jobs.a]\nshell = \"true\" # höhö\nschedule = \"ä 3 * * *\"\nüser = 1\n");
    let said = bench.run(&["check"]).refused(78);
    assert!(places(&said).contains(&"solocron.toml:3:13"), "{said}");
}

#[test]
fn a_directory_is_all_its_toml_files() {
    let bench = Bench::empty();
    bench.write("jobs.d/b.toml", "[jobs.b]\nschedule = \"@daily\"\nshell = \"true\"\n");
    bench.write("jobs.d/a.toml", "[jobs.a]\nschedule = \"@daily\"\nshell = \"true\"\n");
    bench.write("jobs.d/notes.txt", "not TOML");
    bench.write("jobs.d/.hidden.toml", "not TOML");
    let said = bench.run(&["check", "-c", "jobs.d"]).good();
    assert!(said.starts_with("jobs.d/a.toml, jobs.d/b.toml are good: 2 jobs, table "), "{said}");

    bench.write("jobs.d/b.toml", "[jobs.a]\nschedule = \"@daily\"\nshell = \"true\"\n");
    let said = bench.run(&["check", "-c", "jobs.d"]).refused(78);
    assert_eq!(places(&said), ["jobs.d/b.toml:1:7"]);
    assert!(said.contains("first declared at jobs.d/a.toml:1:7"), "{said}");
}

#[test]
fn several_files_are_one_config() {
    let bench = Bench::empty();
    bench.write("cluster.toml", "[cluster]\nname = \"shop\"\n");
    bench.write("jobs/a.toml", "[jobs.a]\nschedule = \"@daily\"\nshell = \"true\"\n");
    let both = ["-c", "cluster.toml", "-c", "jobs"];
    let said = bench.run(&["check", both[0], both[1], both[2], both[3]]).good();
    assert!(said.contains("  cluster  shop\n"), "{said}");
    // Flags stand before the command as well as behind it.
    assert_eq!(bench.run(&[both[0], both[1], both[2], both[3], "check"]).good(), said);
    let listed = bench.run_with(&["check"], |command| {
        command.env("SOLOCRON_CONFIG", "cluster.toml:jobs");
    });
    assert_eq!(listed.good(), said);
}

#[test]
fn files_that_are_not_there_or_cannot_be_read_are_named() {
    let bench = Bench::empty();
    bench.write("latin1.toml", b"[jobs.a]\nshell = \"caf\xe9\"\n");
    std::fs::create_dir(bench.path("empty.d")).unwrap();
    for (path, place, words) in [
        ("nowhere.toml", "nowhere.toml:1:1", "it does not exist"),
        ("empty.d", "empty.d:1:1", "no *.toml file"),
        ("latin1.toml", "latin1.toml:2:13", "not UTF-8"),
    ] {
        let said = bench.run(&["check", "-c", path]).refused(78);
        assert_eq!(places(&said), [place]);
        assert!(said.contains(words), "{said}");
    }
}

#[test]
fn without_any_config_it_says_where_it_looked() {
    if std::path::Path::new("/etc/solocron/solocron.toml").exists() {
        return;
    }
    let said = Bench::empty().run(&["check"]).refused(78);
    assert_snapshot!(said, @r"
    solocron.toml:1:1: error: there is no config here, and none at /etc/solocron/solocron.toml
        help: name one with -c PATH or SOLOCRON_CONFIG=PATH

    1 error in 1 file
    ");
}

#[test]
fn a_bad_flag_or_variable_is_told_like_a_bad_file() {
    let bench = Bench::with(GOOD);
    let said = bench.run_with(&["check", "--store", "redis://:hunter2@h:0"], |command| {
        command.env("SOLOCRON_CLUSTER", "a b").env("SOLOCRON_LOG", "loud");
    });
    let said = said.refused(78);
    assert_eq!(places(&said), ["--store:1:20", "SOLOCRON_CLUSTER:1:2", "SOLOCRON_LOG:1:1"]);
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn warnings_do_not_make_a_config_bad() {
    let bench = Bench::with("[jobs.leap]\nschedule = \"0 0 30 2 *\"\nshell = \"true\"\n");
    let said = bench.run(&["check"]);
    assert_eq!(said.code, Some(0));
    assert!(said.stdout.starts_with("solocron.toml is good: 1 job, table "), "{}", said.stdout);
    assert!(said.stderr.starts_with("solocron.toml:2:12: warning: "), "{}", said.stderr);
}

#[test]
fn there_is_no_colour_where_there_is_no_terminal_or_nobody_wants_it() {
    let bench = Bench::with(TEN_MISTAKES);
    let plain = bench.run(&["check"]).refused(78);
    assert!(!plain.contains('\x1b'));
    // `script` gives the program a terminal.
    let on_a_terminal = |change: &dyn Fn(&mut std::process::Command)| {
        let mut script = std::process::Command::new("script");
        let line = format!("{} check", env!("CARGO_BIN_EXE_solocron"));
        script.args(["-qec", &line, "/dev/null"]).current_dir(bench.dir()).env("TERM", "xterm");
        script.env_remove("NO_COLOR").stdin(std::process::Stdio::null());
        change(&mut script);
        let said = script.output().ok()?;
        Some(String::from_utf8(said.stdout).unwrap().replace('\r', ""))
    };
    let Some(coloured) = on_a_terminal(&|_| {}) else { return };
    assert!(coloured.contains("\x1b["), "{coloured}");
    let asked = on_a_terminal(&|script| {
        script.env("NO_COLOR", "1");
    });
    assert_eq!(asked.unwrap(), plain);
}
