//! What operators ask for happens, on whatever node, and the log says who asked.

use crate::client::{Seen, site};
use crate::harness::until;

const JOBS: &str = "[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'echo ran'\n\
     [jobs.long]\nschedule = '0 0 1 1 *'\nshell = 'echo begun; until [ -e go ]; do sleep 0.1; done; echo went on; sleep 600'\n";

#[test]
fn a_job_is_triggered_once_for_one_id_and_its_run_is_found_with_its_output() {
    let site = site(JOBS);
    let [one, two] = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    let id = solocron::slot::TriggerId::new(solocron::clock::ClusterTime::from_unix_micros(
        solocron::clock::wall_now().as_microsecond(),
    ));
    let body = format!("{{\"id\":\"{id}\"}}");
    let trigger = |seen: &Seen| {
        let token = format!("Bearer {}", crate::client::OPERATOR);
        let headers = [("Authorization", token.as_str()), ("Content-Type", "application/json")];
        let answer = seen.send("POST", "/api/v1/jobs/quiet/trigger", &headers, &body);
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    };
    assert_eq!(trigger(&one)["new"], true);
    assert_eq!(trigger(&two)["new"], false);
    until("the run is in the ledger", || !two.get("/api/v1/jobs/quiet/runs")[0].is_null());
    let runs = two.get("/api/v1/jobs/quiet/runs");
    assert_eq!(runs.as_array().unwrap().len(), 1, "{runs}");
    assert_eq!(runs[0]["trigger_id"], id.to_string());
    let run = runs[0]["run_id"].as_str().unwrap();
    for seen in [&one, &two] {
        let detail = seen.get(&format!("/api/v1/runs/{run}"));
        assert_eq!((&detail["state"], &detail["output"]), (&"succeeded".into(), &"ran\n".into()));
    }
    let wish = one.node.wait_where("control.requested", |told| told["wish"] == "trigger");
    assert_eq!((wish["by"].as_str(), wish["job"].as_str()), (Some("otto"), Some("quiet")));
}

#[test]
fn a_run_is_seen_live_and_cancelled_by_any_node() {
    let site = site(JOBS);
    let [one, two] = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    assert_eq!(one.ask("POST", "/api/v1/jobs/long/trigger").status, 202);
    let open = || two.get("/api/v1/jobs/long")["open"][0].clone();
    until("it runs", || open()["state"] == "running");
    let run = open()["run_id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/runs/{run}");
    let (here, there) = if open()["node"] == "web-1" { (&one, &two) } else { (&two, &one) };
    until("its output is there", || here.get(&path)["output"] == "begun\n");
    assert_eq!(here.get(&path)["output_is_live"], true);
    assert_eq!(there.get(&path)["state"], "running");
    until("the other node tells it too", || there.get(&path)["output"] == "begun\n");
    assert_eq!(there.get(&path)["output_is_live"], true);
    let shown = |word: &str| there.get(&path)["output"].as_str().unwrap_or("").contains(word);
    std::fs::write(site.folder().join("go"), "").unwrap();
    until("what it prints later as well", || shown("went on"));

    let answer = there.ask("POST", &format!("{path}/cancel"));
    assert_eq!((answer.status, &answer.json()["job"]), (202, &"long".into()));
    until("it is cancelled", || one.get(&path)["state"] == "cancelled");
    assert_eq!(two.get(&path)["output"], "begun\nwent on\n");
    one.ask("POST", &format!("{path}/cancel")).refuses(404);
}

#[test]
fn a_paused_job_shows_as_such_everywhere_until_it_is_resumed() {
    let site = site(JOBS);
    let [one, two] = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    for (path, paused) in [("pause", true), ("resume", false)] {
        for changed in [true, false] {
            let answer = one.ask("POST", &format!("/api/v1/jobs/quiet/{path}")).json();
            assert_eq!((&answer["paused"], &answer["changed"]), (&paused.into(), &changed.into()));
        }
        assert_eq!(one.get("/api/v1/jobs/quiet")["paused"], paused, "at once where it was asked");
        until("the other sees it", || two.get("/api/v1/jobs/quiet")["paused"] == paused);
    }
}
