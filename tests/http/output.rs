//! What jobs print is data, whatever it looks like.

use crate::client::{Seen, site};
use crate::harness::until;

#[test]
fn markup_and_escapes_in_output_and_errors_come_back_as_text() {
    let site = site(
        "[jobs.evil]\nschedule = '0 0 1 1 *'\n\
         shell = '''printf '<script>alert(1)</script>\\n\\033[2J\\033]0;owned\\007\\n\\377\\n' >&2; exit 3'''\n",
    );
    let seen = Seen::start(&site, "web-1");
    assert_eq!(seen.ask("POST", "/api/v1/jobs/evil/trigger").status, 202);
    until("it ended", || !seen.get("/api/v1/jobs/evil/runs")[0].is_null());
    let run = seen.get("/api/v1/jobs/evil/runs")[0]["run_id"].as_str().unwrap().to_owned();
    let answer = seen.ask("GET", &format!("/api/v1/runs/{run}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!answer.text().contains('\u{1b}') && !answer.text().contains('\u{7}'));
    let detail = answer.json();
    assert_eq!((&detail["state"], &detail["exit_code"]), (&"failed".into(), &3.into()));
    let output = detail["output"].as_str().unwrap();
    assert_eq!(output, "<script>alert(1)</script>\n\\x1b[2J\\x1b]0;owned\\x07\n\\xff\n");
}

#[test]
fn output_that_is_long_is_told_by_its_end() {
    let site = site(
        "[jobs.loud]\nschedule = '0 0 1 1 *'\noutput_limit = '1KiB'\n\
         shell = 'seq 1 100000; until [ -e done ]; do sleep 0.05; done'\n",
    );
    let seen = Seen::start(&site, "web-1");
    assert_eq!(seen.ask("POST", "/api/v1/jobs/loud/trigger").status, 202);
    let open = || seen.get("/api/v1/jobs/loud")["open"][0].clone();
    until("it runs", || open()["state"] == "running");
    let path = format!("/api/v1/runs/{}", open()["run_id"].as_str().unwrap());
    let output = || seen.get(&path)["output"].as_str().unwrap_or_default().to_owned();
    until("all is printed", || output().ends_with("\n100000\n"));
    assert!(output().len() <= 1024);
    std::fs::write(site.folder().join("done"), "").unwrap();
    until("it ended", || seen.get(&path)["state"] == "succeeded");
    assert!(output().ends_with("\n100000\n") && output().len() < 1100);
}
