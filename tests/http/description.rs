//! What the node answers is what it says that it answers.

use std::process::Command;

use crate::client::{OPERATOR, Seen, site, tool};

#[test]
fn schemathesis_finds_no_answer_that_is_not_described() {
    let site = site(
        "[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n\
         [jobs.tick]\nschedule = '* * * * * *'\nshell = 'echo tick'\n",
    );
    let seen = Seen::start(&site, "web-1");
    let url = format!("http://{}/api/v1/openapi.json", seen.address);
    let output = Command::new(tool("schemathesis"))
        .args(["run", &url, "--header", &format!("Authorization: Bearer {OPERATOR}")])
        // A stream has no end.
        .args(["--exclude-path", "/api/v1/events"])
        .args(["--checks", "not_a_server_error,status_code_conformance"])
        .args(["--checks", "content_type_conformance,response_schema_conformance"])
        .args(["--checks", "unsupported_method,ignored_auth,negative_data_rejection"])
        .args(["--max-examples", "25", "--rate-limit", "80/s", "--seed", "1"])
        .args(["--generation-database", "none", "--no-color"])
        .current_dir(site.folder())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(!told.contains("unresolvable"), "{told}");
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(seen.ask("GET", "/healthz").status, 200);
}

#[test]
fn the_description_names_every_question_with_what_may_be_refused() {
    let site = site("[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n");
    let seen = Seen::start(&site, "web-1");
    let api = seen.get("/api/v1/openapi.json");
    for (path, method) in [
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
        ("/api/v1/cluster", "get"),
        ("/api/v1/jobs", "get"),
        ("/api/v1/jobs/{job}", "get"),
        ("/api/v1/jobs/{job}/runs", "get"),
        ("/api/v1/jobs/{job}/trigger", "post"),
        ("/api/v1/jobs/{job}/pause", "post"),
        ("/api/v1/jobs/{job}/resume", "post"),
        ("/api/v1/runs/{id}", "get"),
        ("/api/v1/runs/{id}/cancel", "post"),
        ("/api/v1/slots", "get"),
        ("/api/v1/nodes", "get"),
        ("/api/v1/events", "get"),
        ("/api/v1/session", "post"),
    ] {
        let told = &api["paths"][path][method];
        assert!(told["responses"].is_object(), "{method} {path}");
        let is_open = matches!(path, "/healthz" | "/readyz");
        assert!(is_open || told["responses"]["401"].is_object(), "{method} {path}");
    }
}
