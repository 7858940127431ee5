//! What comes of whole crontabs.

use insta::assert_snapshot;

use super::*;

const OF_SYSTEM: &str = "\
# /etc/crontab: system-wide crontab
# Unlike any other crontab you don't have to run the `crontab'
# command to install the new version when you edit this file.

SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/sbin:/bin:/usr/sbin:/usr/bin

# Example of job definition:
# .---------------- minute (0 - 59)
# |  .------------- hour (0 - 23)
# *  *  *  *  * user-name command to be executed
17 *\t* * *\troot    cd / && run-parts --report /etc/cron.hourly
25 6\t* * *\troot\ttest -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )
47 6\t* * 7\troot\ttest -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.weekly )
#
";

const OF_USER: &str = r#"# shop

# who hears of it
MAILTO = ops@example.com
SHELL=/bin/bash
APP_ENV="  ${HOME} it's "

# Reports go out early.

CRON_TZ=Europe/Berlin
30 5 * * mon-fri  /srv/app/report.sh --to "it's" 	# not a comment for cron
# every other day, Mondays only
0 0 */2 * 1 backup >/dev/null 2>&1

RANDOM_DELAY=15
0 4 * * * mail -s "$(date +\%F)" ops%Hello,%%bye
@reboot /srv/app/warm-cache
@daily  python3 /srv/app/clean.py
# 0 5 * * * switched off
CRON_TZ=UTC
-5 0 * * * backup
# the end
"#;

#[test]
fn the_crontab_of_a_system_becomes_a_table() {
    let imported = imported(OF_SYSTEM, Form::OfSystem, Some("Europe/Berlin"));
    assert_snapshot!("of_system", imported.config);
    assert!(imported.warnings.is_empty(), "{}", imported.warnings);
    assert_eq!(jobs(&imported.config).len(), 3);
}

#[test]
fn the_crontab_of_a_user_becomes_a_table_with_comments_where_they_stood() {
    let imported = imported(OF_USER, Form::OfUser, None);
    assert_snapshot!("of_user", imported.config);
    assert_snapshot!("of_user_warnings", imported.warnings.to_string());
    assert_eq!(jobs(&imported.config).len(), 5);
}

#[test]
fn without_jobs_there_is_no_more_than_comments() {
    for (crontab, config) in [
        ("", ""),
        ("\n\n", ""),
        ("# a\n\n\n\n# b", "# a\n\n# b\n"),
        (
            "@reboot a",
            "# @reboot a\n# left out: a cluster has no reboot: its replicas start one by one\n",
        ),
        ("# x\nA=1\n", "# x\n# A=1\n# left out: no job sees it\n"),
        ("\u{feff}#\u{1b}[31m\ta\r\n", "#\\u{1b}[31m\ta\n"),
    ] {
        let imported = imported(crontab, Form::OfUser, None);
        assert_eq!(imported.config, config, "{crontab:?}");
        let warned = first_lines(&imported.warnings);
        let nothing = "1:1: warning: there are no jobs in this crontab";
        assert!(warned.iter().any(|line| line == nothing), "{warned:?}");
    }
}

#[test]
fn a_command_that_begins_with_a_user_is_told_to_be_one_of_a_system() {
    let warned = |text| first_lines(&imported(text, Form::OfUser, Some("UTC")).warnings);
    let told = "1:11: warning: this command begins with the name of a user";
    assert_eq!(warned("0 * * * * root\tcd / && run-parts /etc/cron.hourly\n"), [told]);
    assert_eq!(warned("0 * * * * rooted\n"), [""; 0]);
}

#[test]
fn a_variable_is_a_key_of_those_jobs_that_see_it() {
    let table = config("A=1\n* * * * * one\nA = 2\nB=3\n* * * * * two\n");
    let body = table.split_once("[jobs.one]").unwrap().1;
    assert_eq!(
        body,
        "\nschedule = \"* * * * *\"\nshell = \"one\"\nenv.A = \"1\"\n\n\
         [jobs.two]\nschedule = \"* * * * *\"\nshell = \"two\"\nenv.A = \"2\"\nenv.B = \"3\"\n"
    );
    let table = config("# a\nA=1\n* * * * * one\n# again\nA=1\nB=1\n* * * * * two\nB=2");
    let defaults = table.split("[jobs.one]").next().unwrap();
    assert!(defaults.contains("\n# a\n# again\nenv.A = \"1\"\n"), "{table}");
    assert!(table.ends_with("env.B = \"1\"\n\n# B=2\n# left out: no job sees it\n"), "{table}");
}

#[test]
fn without_a_zone_times_are_utcs_and_it_says_so() {
    let text = "CRON_TZ=Asia/Tokyo\n0 3 * * * a\n";
    assert!(imported(text, Form::OfUser, None).warnings.is_empty());
    let imported = imported("\n0 3 * * * a\n", Form::OfUser, None);
    let warned = first_lines(&imported.warnings);
    assert_eq!(warned, ["2:1: warning: cron goes by the clock of its host; this is taken for UTC"]);
    assert!(imported.config.contains("# timezone = "), "{}", imported.config);
    let zone = |text: &str, zone| {
        let table = jobs(&super::imported(text, Form::OfUser, zone).config);
        table.iter().map(|job| job.timezone.to_string()).collect::<Vec<_>>()
    };
    let mixed = "0 3 * * * a\nCRON_TZ=Asia/Tokyo\n0 3 * * * b\n";
    assert_eq!(zone(mixed, None), ["UTC", "Asia/Tokyo"]);
    assert_eq!(zone(mixed, Some("europe/berlin")), ["Europe/Berlin", "Asia/Tokyo"]);
}

#[test]
fn what_cannot_be_said_is_a_comment_and_a_warning() {
    for (line, comment, warning) in [
        ("LOGNAME=x", "cron sets it itself", "`LOGNAME` is left out"),
        ("HOME=sub", "cron needs the whole path", "`HOME` is left out"),
        ("SOLOCRON_JOB=x", "such names are solocron's own", "`SOLOCRON_JOB` is left out"),
        ("TZ=Asia/Tokyo", "only the commands see it", "only the commands see `TZ`"),
        ("MAILTO=a@b", "cron mailed what jobs printed", "output is not mailed"),
        ("-0 3 * * * quiet", "solocron logs every run", "every run is logged"),
        ("0 3 * * * cat%x", "a `%` ended the command", "this `%` ends the command"),
        ("0 3 1 * */2 x", "cron wants both day fields", "cron wants both day fields"),
    ] {
        let text = format!("{line}\n0 3 * * * a\n");
        let imported = imported(&text, Form::OfUser, Some("UTC"));
        let comments = imported.config.lines().filter(|line| line.starts_with('#'));
        assert!(comments.into_iter().any(|line| line.contains(comment)), "{}", imported.config);
        let warned = first_lines(&imported.warnings);
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].starts_with("1:") && warned[0].contains(warning), "{warned:?}");
    }
    assert!(imported("MAILTO=\"\"\n@daily a\n", Form::OfUser, Some("UTC")).warnings.is_empty());
}
