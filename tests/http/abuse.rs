//! Bad input: the right status, JSON that says what to do, and nothing else is affected.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use solocron::clock::BootInstant;

use crate::client::{OPERATOR, Seen, answer, request, site};

const NEVER: &str = "[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n";
const RUN: &str = "01a20efe-0c21-7062-8302-c307011dea42";

#[test]
fn what_makes_no_sense_is_refused_with_what_to_do() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    for (method, path, status) in [
        ("GET", "/api/v1/jobs/none", 404),
        ("GET", "/api/v1/jobs/none/runs", 404),
        ("GET", "/api/v1/jobs/%3Cscript%3E", 404),
        ("GET", "/api/v1/jobs/%FF", 400),
        ("GET", "/api/v1/jobs/quiet/runs?limit=0", 400),
        ("GET", "/api/v1/jobs/quiet/runs?limit=x", 400),
        ("GET", "/api/v1/jobs/quiet/runs?since=yesterday", 400),
        ("GET", "/api/v1/jobs/quiet/runs?node=%20", 400),
        ("GET", "/api/v1/jobs/quiet/runs?other=1", 400),
        ("GET", "/api/v1/slots?limit=1000", 400),
        ("GET", "/api/v1/slots?job=none", 404),
        ("GET", "/api/v1/runs/x", 400),
        ("GET", &format!("/api/v1/runs/{RUN}"), 404),
        ("POST", "/api/v1/runs/x/cancel", 400),
        ("POST", &format!("/api/v1/runs/{RUN}/cancel"), 404),
        ("POST", "/api/v1/jobs/none/trigger", 404),
        ("POST", "/api/v1/jobs/none/pause", 404),
        ("POST", "/api/v1/jobs/none/resume", 404),
        ("DELETE", "/api/v1/jobs", 405),
        ("GET", "/api/v1/jobs/quiet/pause", 405),
        ("GET", "/api/v2/jobs", 404),
    ] {
        let said = seen.ask(method, path).refuses(status);
        assert!(!said["error"].as_str().unwrap().contains('\u{1b}'), "{said}");
    }
}

#[test]
fn a_body_that_cannot_be_read_is_refused_and_triggers_nothing() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let token = format!("Bearer {OPERATOR}");
    let send = |kind: &str, body: &str| {
        let headers = [("Authorization", token.as_str()), ("Content-Type", kind)];
        seen.send("POST", "/api/v1/jobs/quiet/trigger", &headers, body)
    };
    let json = "application/json";
    for (kind, body, status) in [
        (json, "{", 400),
        (json, "[1]", 400),
        (json, "{\"id\":1}", 400),
        (json, "{\"id\":\"x\"}", 400),
        (json, "{\"id\":\"00000000-0000-4000-8000-000000000000\"}", 400),
        (json, "{\"other\":1}", 400),
        (json, "\u{1b}[2J", 400),
        ("text/plain", "{}", 415),
        ("application/x-www-form-urlencoded", "id=x", 415),
    ] {
        send(kind, body).refuses(status);
    }
    send(json, &format!("{{\"id\":\"{}\"}}", "x".repeat(100_000))).refuses(413);
    assert!(seen.get("/api/v1/jobs/quiet")["open"].as_array().unwrap().is_empty());
    assert!(seen.get("/api/v1/jobs/quiet/runs").as_array().unwrap().is_empty());
}

#[test]
fn a_head_that_is_too_long_or_has_too_many_lines_is_refused() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let long = "x".repeat(100_000);
    assert_eq!(seen.send("GET", "/healthz", &[("X-Long", &long)], "").status, 431);
    let names: Vec<_> = (0..200).map(|n| format!("X-{n}")).collect();
    let many: Vec<_> = names.iter().map(|name| (name.as_str(), "x")).collect();
    assert_eq!(seen.send("GET", "/healthz", &many, "").status, 431);
    assert_eq!(seen.ask("GET", "/healthz").status, 200);
}

#[test]
fn who_sends_too_slowly_is_cut_off_and_the_others_do_not_notice() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let begun = BootInstant::now();
    let mut silent = seen.connect();
    let mut in_head = seen.connect();
    in_head.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ").unwrap();
    let mut in_body = seen.connect();
    let token = format!("Bearer {OPERATOR}");
    let headers = [
        ("Authorization", token.as_str()),
        ("Content-Type", "application/json"),
        ("Content-Length", "100"),
    ];
    let text = request(seen.address, "POST", "/api/v1/jobs/quiet/trigger", &headers, "");
    in_body.write_all(text.as_bytes()).unwrap();
    assert_eq!(seen.ask("GET", "/api/v1/jobs").status, 200);
    answer(&in_body).refuses(408);
    for slow in [&mut silent, &mut in_head] {
        let mut rest = Vec::new();
        // The end, or a reset: it is cut off.
        let _cut = slow.read_to_end(&mut rest);
    }
    let took = BootInstant::now().since(begun);
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(30), "{took:?}");
}

#[test]
fn a_thousand_idle_connections_hurt_nobody() {
    let site = site("[jobs.tick]\nschedule = '* * * * * *'\nshell = 'true'\n");
    let seen = Seen::start(&site, "web-1");
    let mut idle: Vec<TcpStream> = Vec::new();
    for _ in 0..1000 {
        idle.push(TcpStream::connect(seen.address).unwrap());
    }
    let slots = seen.node.events("slot.claimed").len();
    let answered = (0..20).filter(|_| {
        let begun = BootInstant::now();
        let is_well = seen.ask("GET", "/api/v1/jobs").status == 200;
        is_well && BootInstant::now().since(begun) < Duration::from_secs(2)
    });
    assert_eq!(answered.count(), 20);
    seen.node.wait_where("run.finished", |told| told["outcome"] == "succeeded");
    crate::harness::until("slots go on", || seen.node.events("slot.claimed").len() > slots + 2);
    assert_eq!(seen.node.events("slot.missed").len(), 0);
    // They are let go in the end.
    let last = idle.last_mut().unwrap();
    last.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
    assert_eq!(last.read(&mut [0]).unwrap_or(0), 0);
}

#[test]
fn who_asks_too_often_is_told_so_and_let_in_again() {
    let site = site(NEVER);
    let seen = Seen::start(&site, "web-1");
    let mut stream = seen.connect();
    // All at once, on one connection.
    let one = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", seen.address);
    let last = request(seen.address, "GET", "/healthz", &[], "");
    stream.write_all((one.repeat(900) + &last).as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (good, refused) =
        (text.matches("HTTP/1.1 200").count(), text.matches("HTTP/1.1 429").count());
    assert_eq!(good + refused, 901);
    assert!(good >= 400 && refused > 0, "{good} {refused}");
    assert!(text.to_lowercase().contains("retry-after: 1"));
    crate::harness::until("it is let in again", || seen.ask("GET", "/healthz").status == 200);
}
