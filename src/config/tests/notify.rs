//! Channels, and the lists of jobs that name them.

use std::time::Duration;

use super::*;
use crate::alert::{AlertKind, Means};

const JOB: &str = "[jobs.a]\nschedule = '@hourly'\nshell = 'x'\n";
const OPS: &str = "[notify.ops]\nwebhook = 'https://hooks.example/x'\n";

/// The names of those who are told of `kind`.
fn told(job: &Job, kind: AlertKind) -> Vec<String> {
    job.alerts.channels(kind).iter().map(|channel| channel.name.to_string()).collect()
}

#[test]
fn a_job_names_channels_and_takes_from_the_defaults_what_it_does_not_say() {
    let text = format!(
        "{JOB}on_missed = ['pager', 'ops', 'ops']\n{OPS}timeout = '3s'\n\
         [notify.pager]\ncommand = ['page', '${{WHO}}']\n\
         [defaults]\non_failure = ['ops']\non_missed = ['ops']\nexpect_every = '1h'\n\
         [jobs.b]\nschedule = '@hourly'\nshell = 'x'\non_failure = []\non_missed = []\n"
    );
    let env = machine().set("WHO", "ada");
    let loaded = read_with(&text, &Overrides::default(), &env).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let [a, b] = ["a", "b"]
        .map(|name| loaded.config.jobs.get(&JobName::new(name).unwrap()).unwrap().clone());
    assert_eq!(told(&a, AlertKind::Failure), ["ops"]);
    assert_eq!(told(&a, AlertKind::Missed), ["ops", "pager"]);
    assert_eq!(told(&a, AlertKind::Overdue), ["ops", "pager"], "each once");
    assert_eq!(told(&a, AlertKind::Recovery), [""; 0]);
    assert!(b.alerts.is_silent());
    assert_eq!(a.alerts.expect_every, Some(Duration::from_secs(3600)));
    let channels = a.alerts.channels(AlertKind::Missed);
    assert_eq!((channels[0].timeout, channels[0].attempts), (Duration::from_secs(3), 10));
    let Means::Command(words) = &channels[1].means else { panic!("{channels:?}") };
    assert_eq!(words.0.join(" "), "page ada");
}

#[test]
fn what_is_wrong_with_a_channel_is_told_at_its_place() {
    for (keys, at, said) in [
        ("", "ops", "the channel `ops` tells nobody"),
        ("webhook = 'ftp://a'", "'ftp://a'", "`webhook`: a URL here is of http or https"),
        (
            "webhook = 'http://a'\ncommand = ['b']",
            "['b']",
            "the channel `ops` has a `webhook` and a `command`",
        ),
        ("command = []", "[]", "`command` is an empty list: there is nothing to run"),
        (
            "command = ['b']\nsecret = 'x'",
            "'x'",
            "`secret` goes with a `webhook`, and this is a `command`",
        ),
        (
            "webhook = 'http://a'\nca = '/ca'",
            "'/ca'",
            "this is for TLS, and the webhook is without",
        ),
        ("webhook = 'http://a'\nsecret = ''", "''", "`secret`: an empty secret signs nothing"),
        (
            "webhook = 'http://a'\nbody = '{{ mesage }}'",
            "mesage",
            "`body`: there is no `mesage`; did you mean `message`?",
        ),
        (
            "webhook = 'http://a'\nbody = 'so: {{ message }}'",
            "'so: {{ message }}'",
            "`body`: what comes of this template is not JSON",
        ),
        (
            "webhook = 'http://a'\nheaders = { 'A B' = 'x' }",
            "'A B'",
            "`headers`: the name of a header is letters, digits and `-`",
        ),
        (
            "webhook = 'http://a'\nheaders = { Connection = 'x' }",
            "Connection",
            "`headers`: solocron sets this header itself",
        ),
        ("webhook = 'http://a'\nattempts = 0", "0", "attempts is a number from 1 to 100"),
        ("webhook = '${NOPE}'", "${NOPE}", "`webhook`: the variable `NOPE` is not set"),
    ] {
        let text = format!("{JOB}on_failure = ['ops']\n[notify.ops]\n{keys}\n");
        let errors = read(&text).unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(found, [said], "{keys}");
        let error = errors.iter().next().unwrap();
        assert_eq!(&text[error.span.clone()], at, "{keys}");
        assert!(
            !error.help.is_empty() || error.message.starts_with('`') || keys.contains("attempts")
        );
    }
}

#[test]
fn a_text_that_says_what_it_is_need_not_be_json() {
    let keys = "body = '{{ message }}'\nheaders = { content-type = 'text/plain' }\n";
    read(&format!("{JOB}on_failure = ['ops']\n{OPS}{keys}")).unwrap();
}

#[test]
fn a_channel_that_is_not_there_is_told_with_what_was_meant() {
    let errors = |text: &str| {
        let errors = read(text).unwrap_err();
        let error = errors.iter().next().unwrap();
        (error.message.clone(), error.help.join(" "))
    };
    let (message, help) = errors(&format!("{JOB}on_failure = ['opps']\n{OPS}"));
    assert_eq!(message, "`on_failure`: there is no channel [notify.opps]");
    assert_eq!(help, "did you mean \"ops\"?");
    let (_, help) = errors(&format!("[defaults]\non_missed = ['pager']\n{JOB}{OPS}"));
    assert_eq!(help, "the channels are ops");
    let (message, _) = errors(&format!("{JOB}on_failure = 'ops'\n{OPS}"));
    assert_eq!(message, "`on_failure` is a list of channels, by name, and this is a text");
}

#[test]
fn a_channel_with_a_name_that_cannot_be_does_nothing_to_a_terminal() {
    let strange = "[notify.\"\\u001b]0;\\u0007\"]\nwebhook = 'https://example.org'\n";
    for named in ["pager", "\\u001b]0;\\u0006"] {
        let errors = read(&format!("{JOB}on_failure = [\"{named}\"]\n{strange}")).unwrap_err();
        let shown = errors.to_string();
        assert!(shown.contains("\\u{1b}]0;\\u{7}"), "{shown:?}");
        assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    }
}

#[test]
fn what_tells_nobody_is_warned_of() {
    let warnings = |text: String| {
        let warnings = read(&text).unwrap().warnings;
        warnings.iter().map(|warning| warning.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(warnings(format!("{JOB}{OPS}")), ["no job names the channel `ops`"]);
    let expects = warnings(format!("{JOB}expect_every = '1h'\n"));
    assert_eq!(expects, ["`expect_every` has no effect: nobody is told"]);
}

#[test]
fn nodes_agree_on_who_is_told_and_not_on_how() {
    let digest = |text: String| read(&text).unwrap().config.jobs.digest();
    let one = digest(format!("{JOB}on_failure = ['ops']\n{OPS}"));
    let elsewhere = OPS.replace("hooks.example", "other.example");
    assert_eq!(one, digest(format!("{JOB}on_failure = ['ops']\n{elsewhere}")));
    assert_ne!(one, digest(format!("{JOB}on_missed = ['ops']\n{OPS}")));
    assert_ne!(one, digest(JOB.to_owned()));
}
