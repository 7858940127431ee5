//! Jobs that are requests.

use super::*;
use crate::table::{Call, RunVariable, Work};

fn call(http: &str, env: &Fixed) -> Call {
    let text = format!("[jobs.a]\nschedule = '@hourly'\n[jobs.a.http]\n{http}\n");
    let loaded = read_with(&text, &Overrides::default(), env).unwrap();
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let Work::Http(call) = &loaded.config.jobs[0].work else { panic!("no request") };
    Call::clone(call)
}

#[test]
fn what_a_run_is_stays_to_be_put_in_and_all_else_is_put_in_at_once() {
    let env =
        machine().set("TOKEN", "hunter2 ${SOLOCRON_JOB}").set("SOLOCRON_NODE", "of the daemon");
    let call = call(
        "method = 'PUT'\nurl = 'https://a.example/${SOLOCRON_SLOT}'\n\
         headers = { X-Token = '${TOKEN}' }\nbody = '${SOLOCRON_NODE} $${SOLOCRON_JOB}'",
        &env,
    );
    let value = |variable: RunVariable| format!("<{variable}>");
    assert_eq!(call.url.fill(value), "https://a.example/<SOLOCRON_SLOT>");
    assert_eq!(call.body.fill(value), "<SOLOCRON_NODE> ${SOLOCRON_JOB}");
    let (name, token) = &call.headers[0];
    assert_eq!((name.as_str(), token.fill(value).as_str()), ("x-token", "hunter2 ${SOLOCRON_JOB}"));
    assert!(token.is_local() && !call.body.is_local());
    assert_eq!((call.method.as_str(), call.expect.len()), ("PUT", 0));
    assert!(!format!("{call:?}").contains("hunter2"));
}

#[test]
fn what_is_wrong_with_a_request_is_told_at_its_place() {
    for (http, at, said) in [
        ("method = 'GET'", "", "the request has no `url`"),
        ("url = 'example.com'", "'example.com'", "`url`: a URL begins with http:// or https://"),
        ("url = 'https://a/${NOPE}'", "${NOPE}", "`url`: the variable `NOPE` is not set"),
        ("url = 'https://a'\nmethod = 'FETCH'", "FETCH", "`method`: \"FETCH\" is not a choice"),
        ("url = 'https://a'\nbody = 'x'", "'x'", "`body`: a GET has none"),
        ("url = 'https://a'\nexpect = []", "[]", "`expect` is an empty list: no run could succeed"),
        ("url = 'https://a'\nexpect = [20]", "20", "a status is a number from 200 to 599"),
        (
            "url = 'https://a'\nexpect = 200",
            "200",
            "`expect` is a list of statuses, and this is a number",
        ),
        ("url = 'http://a'\nca = '/ca'", "'/ca'", "this is for TLS, and the request is without"),
        (
            "url = 'https://a'\nheaders = { Host = \"a\\nb\" }",
            "\"a\\nb\"",
            "`headers`: the value of a header is one line without control characters",
        ),
        (
            "url = 'https://a'\nheaders = ['x']",
            "['x']",
            "`headers` is a table of texts, and this is a list",
        ),
    ] {
        let text = format!("[jobs.a]\nschedule = '@hourly'\n[jobs.a.http]\n{http}\n");
        let errors = read(&text).unwrap_err();
        let found: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
        assert_eq!(found, [said], "{http}");
        let error = errors.iter().next().unwrap();
        assert!(at.is_empty() || &text[error.span.clone()] == at, "{http}: {:?}", error.span);
    }
    let both = "[jobs.a]\nschedule = '@hourly'\nshell = 'x'\nhttp = { url = 'https://a' }\n";
    let errors = first_lines(&read(both).unwrap_err());
    assert_eq!(errors, ["4:1: error: the job `a` has a `shell` already, so no `http`"]);
}

#[test]
fn keys_of_programs_have_no_effect_on_a_request() {
    let text = "[jobs.a]\nschedule = '@hourly'\nuser = 'ada'\nhttp = { url = 'https://a' }\n";
    let warnings = first_lines(&read(text).unwrap().warnings);
    let said = "3:1: warning: `user` has no effect: the job is a request, and no program";
    assert_eq!(warnings, [said]);
}

#[test]
fn nodes_agree_on_a_request_and_not_on_what_is_their_own_in_it() {
    let digest = |http: &str, token: &str| {
        let text = format!("[jobs.a]\nschedule = '@hourly'\n[jobs.a.http]\n{http}\n");
        let env = machine().set("TOKEN", token);
        read_with(&text, &Overrides::default(), &env).unwrap().config.jobs.digest()
    };
    let one = "url = 'https://a/${SOLOCRON_SLOT}'\nheaders = { X = '${TOKEN}' }";
    assert_eq!(digest(one, "x"), digest(one, "y"));
    assert_ne!(digest(one, "x"), digest(&one.replace("SLOT", "JOB"), "x"));
    assert_ne!(digest(one, "x"), digest(&one.replace("https://a/${", "https://a/$${"), "x"));
    assert_ne!(digest(one, "x"), digest(&format!("{one}\nexpect = [200]"), "x"));
}
