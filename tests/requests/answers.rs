//! What is sent, and what becomes of the answer.

use crate::harness::oracle::Entry;
use crate::harness::receiver::{Manner, Receiver};
use crate::harness::site::{Ground, Site};
use crate::harness::until;

on_every_store! {
    a_request_says_which_run_it_is_and_its_answer_is_the_output
    a_status_that_is_not_expected_has_failed_and_is_tried_again_under_another_key
    an_answer_without_end_is_read_to_its_limit
    a_server_that_is_not_there_is_a_failure_with_its_reason
}

/// The job `call`, due every second, with `http = { … }` as it says.
pub(crate) fn call(http: &str, keys: &str) -> String {
    format!("[jobs.call]\nschedule = '* * * * * *'\n{keys}\n[jobs.call.http]\n{http}\n")
}

/// The ledger's first entry of the job with the outcome `outcome`, once there is one.
pub(crate) fn entry(site: &Site, outcome: &str) -> Entry {
    let mut found = None;
    until(&format!("a run has {outcome}"), || {
        // Newest first.
        found = site.ledger().into_iter().rfind(|entry| entry.outcome == outcome);
        found.is_some()
    });
    found.unwrap()
}

/// What `solocron slot` says of the entry's slot.
fn story(site: &Site, entry: &Entry) -> String {
    site.ask(&["slot", "call", &entry.slot])
}

fn a_request_says_which_run_it_is_and_its_answer_is_the_output(ground: Ground) {
    let answer = b"all is \x1b[31mwell\nor nearly".to_vec();
    let receiver = Receiver::start(&[Manner::Answer(201, answer)]);
    let http = format!(
        "method = 'POST'\nurl = '{}?at=${{SOLOCRON_SLOT}}&token=${{TOKEN}}'\n\
         headers = {{ Authorization = 'Bearer ${{TOKEN}}', X-Run = '${{SOLOCRON_RUN_ID}}' }}\n\
         body = '{{\"job\": \"${{SOLOCRON_JOB}}\", \"literal\": \"$${{SOLOCRON_JOB}}\"}}'",
        receiver.url("/go")
    );
    let site = Site::new(ground, "", &call(&http, ""));
    let node = site.start_with("web-1", |command| {
        command.env("TOKEN", "hunter2");
    });
    let got = receiver.wait(1).remove(0);
    let run = entry(&site, "succeeded");
    assert_eq!((run.exit_code, run.error.as_deref(), run.signal), (None, None, None));
    let run_id = run.run_id.clone().unwrap();

    assert_eq!(got.method, "POST");
    let encoded = run.slot.replace(':', "%3A");
    assert_eq!(got.path, format!("/go?at={encoded}&token=hunter2"));
    assert_eq!(got.body, r#"{"job": "call", "literal": "${SOLOCRON_JOB}"}"#);
    for (name, value) in [
        ("idempotency-key", format!("call@{}/1", run.slot)),
        ("authorization", "Bearer hunter2".to_owned()),
        ("x-run", run_id.clone()),
        ("solocron-run-id", run_id.clone()),
        ("solocron-slot", run.slot.clone()),
        ("solocron-job", "call".to_owned()),
        ("solocron-node", "web-1".to_owned()),
        ("solocron-attempt", "1".to_owned()),
        ("solocron-fence", run.fence.unwrap().to_string()),
        ("host", format!("127.0.0.1:{}", receiver.port())),
    ] {
        assert_eq!(got.header(name), value, "{name}");
    }

    let of_run = |record: &serde_json::Value| record["run_id"] == run_id.as_str();
    node.wait_where("run.finished", of_run);
    let lines: Vec<_> =
        node.all("run.output", of_run).into_iter().map(|said| said["line"].clone()).collect();
    assert_eq!(lines, ["HTTP 201 Created", "all is \\x1b[31mwell", "or nearly"]);
    assert_eq!(node.all("run.started", of_run)[0]["pid"], serde_json::Value::Null);
    let story = story(&site, &run);
    assert!(story.contains("or nearly") && !story.contains('\u{1b}'), "{story}");
    let printed: String = node.log().iter().map(|logged| logged.record.to_string()).collect();
    assert!(!printed.contains("hunter2"));
}

fn a_status_that_is_not_expected_has_failed_and_is_tried_again_under_another_key(ground: Ground) {
    let manners = [
        Manner::Redirect(302, "/elsewhere".to_owned()),
        Manner::Answer(500, b"no room".to_vec()),
        Manner::Answer(409, Vec::new()),
    ];
    let receiver = Receiver::start(&manners);
    let http = format!("url = '{}'\nexpect = [200, 409]", receiver.url("/go"));
    let keys = "retry = { attempts = 3, min = '0s' }\noverlap = 'skip'";
    let site = Site::new(ground, "", &call(&http, keys));
    let _node = site.start("web-1").ready();
    let done = entry(&site, "succeeded");
    let mut tries: Vec<_> =
        site.ledger().into_iter().filter(|entry| entry.slot == done.slot).collect();
    tries.reverse();
    let errors: Vec<_> = tries.iter().map(|run| run.error.as_deref().unwrap_or("none")).collect();
    let expected = [
        "answered 302 Found, expected 200 or 409",
        "answered 500 Internal Server Error, expected 200 or 409",
        "none",
    ];
    assert_eq!(errors, expected);
    assert!(tries.iter().all(|run| run.exit_code.is_none()));
    let received = receiver.received();
    let keys: Vec<_> = received[..3].iter().map(|got| got.header("idempotency-key")).collect();
    let key = |attempt| format!("call@{}/{attempt}", done.slot);
    assert_eq!(keys, [key(1), key(2), key(3)]);
    assert!(received.iter().all(|got| got.path == "/go"), "no redirect is followed");
}

fn an_answer_without_end_is_read_to_its_limit(ground: Ground) {
    let receiver = Receiver::start(&[Manner::Endless]);
    let http = format!("url = '{}'", receiver.url("/go"));
    let site = Site::new(ground, "", &call(&http, "output_limit = '1KiB'"));
    let _node = site.start("web-1").ready();
    let run = entry(&site, "succeeded");
    let story = story(&site, &run);
    let cut = "[the answer is longer than 1048576 bytes; the rest was not read]";
    assert!(story.contains(cut), "{story}");
    assert!(story.len() < 4096, "{} bytes", story.len());
}

fn a_server_that_is_not_there_is_a_failure_with_its_reason(ground: Ground) {
    let gone = Receiver::friendly();
    let (url, port) = (gone.url("/hunter2"), gone.port());
    drop(gone);
    let site = Site::new(ground, "", &call(&format!("url = '{url}'"), ""));
    let node = site.start("web-1").ready();
    let why = entry(&site, "failed").error.unwrap();
    assert!(why.starts_with(&format!("cannot connect to 127.0.0.1:{port}: ")), "{why}");
    let printed: String = node.log().iter().map(|logged| logged.record.to_string()).collect();
    assert!(!printed.contains("hunter2"));
}
