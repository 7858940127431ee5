//! Who is let in, and what they may.

use nix::sys::signal::Signal;

use crate::client::{OPERATOR, Seen, VIEWER, site, with_tokens};
use crate::harness::site::{Ground, Site};
use crate::harness::until;

const NEVER: &str = "[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n";

#[test]
fn nothing_of_the_cluster_is_told_without_a_token() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    for path in ["/api/v1/jobs", "/api/v1/jobs/quiet", "/api/v1/events", "/metrics"] {
        let answer = seen.send("GET", path, &[], "");
        answer.refuses(401);
        assert!(answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")));
        seen.send("GET", path, &[("Authorization", "Bearer the secret of nobody")], "")
            .refuses(401);
    }
    for path in ["/healthz", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(seen.send("GET", path, &[], "").status, 200, "{path}");
    }
}

#[test]
fn a_viewer_may_look_and_not_act() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let viewer = format!("Bearer {VIEWER}");
    let viewer = [("Authorization", viewer.as_str())];
    assert_eq!(seen.send("GET", "/api/v1/jobs", &viewer, "").status, 200);
    for path in [
        "/api/v1/jobs/quiet/trigger",
        "/api/v1/jobs/quiet/pause",
        "/api/v1/jobs/quiet/resume",
        "/api/v1/runs/01a20efe-0c21-7062-8302-c307011dea42/cancel",
    ] {
        let said = seen.send("POST", path, &viewer, "").refuses(403);
        assert!(said["error"].as_str().unwrap().contains("vera"), "{said}");
    }
    assert_eq!(seen.get("/api/v1/jobs/quiet")["paused"], false);
    assert!(seen.node.events("control.requested").is_empty());
}

#[test]
fn who_signs_in_has_a_session_that_acts_from_its_own_page_alone() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let json = ("Content-Type", "application/json");
    let sign_in = |secret: &str| {
        let body = format!("{{\"token\":\"{secret}\"}}");
        seen.send("POST", "/api/v1/session", &[json], &body)
    };
    sign_in("the secret of nobody").refuses(401);
    seen.send("POST", "/api/v1/session", &[json], "{}").refuses(400);
    let answer = sign_in(OPERATOR);
    assert_eq!((answer.status, answer.json()["name"].as_str()), (200, Some("otto")));
    let set = answer.header("set-cookie").unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains(OPERATOR));
    let cookie = ("Cookie", set.split(';').next().unwrap());
    let own = ("X-Solocron", "1");
    let pause = "/api/v1/jobs/quiet/pause";
    assert_eq!(seen.send("GET", "/api/v1/jobs", &[cookie], "").status, 200);
    seen.send("POST", pause, &[cookie], "").refuses(403);
    for foreign in [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")] {
        seen.send("POST", pause, &[cookie, own, foreign], "").refuses(403);
        let body = format!("{{\"token\":\"{OPERATOR}\"}}");
        seen.send("POST", "/api/v1/session", &[json, foreign], &body).refuses(403);
    }
    assert_eq!(seen.get("/api/v1/jobs/quiet")["paused"], false);
    assert_eq!(seen.send("POST", pause, &[cookie, own], "").status, 200);
    let wish = seen.node.wait_where("control.requested", |told| told["wish"] == "pause");
    assert_eq!((wish["by"].as_str(), wish["job"].as_str()), (Some("otto"), Some("quiet")));

    assert_eq!(seen.send("DELETE", "/api/v1/session", &[cookie], "").status, 204);
    seen.send("GET", "/api/v1/jobs", &[cookie], "").refuses(401);
}

#[test]
fn a_reload_exchanges_tokens_and_says_what_it_leaves() {
    const NEW: &str = "another secret of the operator";
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let by = |secret: &str| {
        let bearer = format!("Bearer {secret}");
        seen.send("GET", "/api/v1/jobs", &[("Authorization", &bearer)], "").status
    };
    let says = |words: &str| {
        until(words, || seen.node.log().iter().any(|said| said.text("message").contains(words)));
    };
    assert_eq!((by(OPERATOR), by(NEW)), (200, 401));
    let http = with_tokens().replace(OPERATOR, NEW).replace(":0'", ":1'");
    site.set_jobs(&format!("{http}{NEVER}"));
    seen.node.signal(Signal::SIGHUP);
    says("of [http] only the tokens are as in the new table");
    assert_eq!((by(OPERATOR), by(NEW), by(VIEWER)), (401, 200, 200));

    site.set_jobs(&format!("[http]\nlisten = '127.0.0.1:0'\n{NEVER}"));
    seen.node.signal(Signal::SIGHUP);
    says("[http] has no tokens any more, and they stay as they were");
    assert_eq!((by(""), by(NEW)), (401, 200));
}

#[test]
fn wrong_tokens_are_told_to_the_log_and_slowed_down() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let json = [("Content-Type", "application/json")];
    let wrong = || seen.send("POST", "/api/v1/session", &json, "{\"token\":\"guess\"}").status;
    let answers: Vec<_> = (0..20).map(|_| wrong()).collect();
    assert_eq!(answers[..8], [401; 8]);
    assert_eq!(answers[19], 429);
    assert!(seen.node.events("http.refused").len() >= 8);
}

#[test]
fn without_tokens_this_machine_acts_and_no_foreign_page() {
    let site = Site::new(Ground::Sqlite, "", &format!("[http]\nlisten = '127.0.0.1:0'\n{NEVER}"));
    let seen = Seen::start(&site, "web-1");
    let pause = "/api/v1/jobs/quiet/pause";
    assert_eq!(seen.send("GET", "/api/v1/session", &[], "").json()["open"], true);
    seen.send("GET", "/api/v1/jobs", &[("Host", "rebound.example")], "").refuses(403);
    seen.send("POST", pause, &[("Origin", "http://evil.example")], "").refuses(403);
    seen.send("POST", pause, &[("Sec-Fetch-Site", "cross-site")], "").refuses(403);
    let own = format!("http://{}", seen.address);
    assert_eq!(seen.send("POST", pause, &[("Origin", &own)], "").status, 200);
    assert_eq!(seen.node.wait("control.requested")["by"], "anybody");
}

#[test]
fn every_answer_forbids_what_a_page_does_not_need() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    for path in ["/healthz", "/nothing", "/api/v1/jobs"] {
        let answer = seen.send("GET", path, &[], "");
        let policy = answer.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self'"));
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    }
}
