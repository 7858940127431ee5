//! Who stays is told what changes in the whole cluster, and misses nothing without a word.

use crate::client::{Seen, Stream, site};

const TICK: &str = "[jobs.tick]\nschedule = '* * * * * *'\nshell = 'true'\noverlap = 'allow'\n\
     [jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'sleep 2'\n";

#[test]
fn a_stream_tells_what_happens_on_every_node() {
    let site = site(TICK);
    let [one, two] = ["web-1", "web-2"].map(|name| Seen::start(&site, name));
    let mut stream = Stream::begin(&one, None);
    let hello = stream.next().unwrap();
    assert_eq!((hello.event.as_str(), &hello.data["complete"]), ("hello", &true.into()));
    assert_eq!(hello.data["node"], "web-1");
    for name in ["web-1", "web-2"] {
        // Either has its share of slots sooner or later; and the other is asked for one.
        stream.wait("entry", |entry| entry["node"] == name && entry["outcome"] == "succeeded");
    }
    assert_eq!(two.ask("POST", "/api/v1/jobs/quiet/trigger").status, 202);
    let of_quiet = |state: &'static str| {
        move |slot: &serde_json::Value| slot["job"] == "quiet" && slot["state"] == state
    };
    stream.wait("slot", of_quiet("running"));
    stream.wait("entry", |entry| entry["job"] == "quiet" && entry["outcome"] == "succeeded");
    stream.wait("slot", of_quiet("settled"));
    assert_eq!(two.ask("POST", "/api/v1/jobs/quiet/pause").status, 200);
    stream.wait("pause", |told| told["job"] == "quiet" && told["paused"] == true);
    drop(two);
    stream.wait("nodes", |nodes| {
        let nodes = nodes.as_array().unwrap();
        nodes.iter().any(|node| node["name"] == "web-2" && node["alive"] == false)
    });
}

#[test]
fn who_comes_back_with_the_last_id_goes_on_there() {
    let site = site(TICK);
    let seen = Seen::start(&site, "web-1");
    let mut first = Stream::begin(&seen, None);
    let last = first.wait("entry", |_| true);
    let mut expected = Vec::new();
    while expected.len() < 5 {
        expected.push(first.next().unwrap().id);
    }
    drop(first);
    let mut again = Stream::begin(&seen, Some(&last.id));
    let hello = again.next().unwrap();
    assert_eq!((hello.event.as_str(), &hello.data["complete"]), ("hello", &true.into()));
    let told: Vec<_> = (0..5).map(|_| again.next().unwrap().id).collect();
    assert_eq!(told, expected);
}

#[test]
fn who_comes_back_to_another_start_or_with_nonsense_is_told_to_read_anew() {
    let site = site(TICK);
    let mut seen = Seen::start(&site, "web-1");
    let id = Stream::begin(&seen, None).wait("entry", |_| true).id;
    seen.node.kill9();
    let seen = Seen::start(&site, "web-1");
    for id in [id.as_str(), "x", "7", "-1"] {
        let hello = Stream::begin(&seen, Some(id)).next().unwrap();
        assert_eq!(
            (hello.event.as_str(), &hello.data["complete"]),
            ("hello", &false.into()),
            "{id}"
        );
    }
}

#[test]
fn a_stream_ends_with_its_node() {
    let site = site(TICK);
    let mut seen = Seen::start(&site, "web-1");
    let mut stream = Stream::begin(&seen, None);
    stream.wait("entry", |_| true);
    assert_eq!(seen.node.drain(), 0);
    while stream.next().is_some() {}
}

#[test]
fn a_store_that_goes_and_comes_is_told_to_who_stays() {
    let mut site = site(TICK);
    let seen = Seen::start(&site, "web-1");
    let mut stream = Stream::begin(&seen, None);
    stream.wait("entry", |_| true);
    site.redis_mut().stop();
    let told = stream.wait("trouble", |_| true);
    assert!(told.data["error"].as_str().unwrap().contains("redis://"), "{told:?}");
    site.redis_mut().restart();
    stream.wait("well", |_| true);
    stream.wait("entry", |_| true);
}

#[test]
fn nobody_looks_nothing_is_read() {
    let site = site("[jobs.quiet]\nschedule = '0 0 1 1 *'\nshell = 'true'\n");
    let seen = Seen::start(&site, "web-1");
    let calls = |command: &str| {
        let stats = site.redis().cli_text(&["INFO", "commandstats"]);
        let line = stats.lines().find(|line| line.starts_with(&format!("cmdstat_{command}:")));
        let calls =
            line.and_then(|line| line.split_once("calls=")?.1.split(',').next()?.parse().ok());
        calls.unwrap_or(0_u64)
    };
    // The sweep tells that the node is at work; the ledgers' index is only for who looks.
    let (before, swept) = (calls("zrevrange"), calls("zrangebyscore"));
    crate::harness::until("it swept a few times", || calls("zrangebyscore") > swept + 3);
    assert_eq!(calls("zrevrange"), before);
    let mut stream = Stream::begin(&seen, None);
    assert_eq!(stream.next().unwrap().event, "hello");
    crate::harness::until("it is read for who stays", || calls("zrevrange") > before + 2);
}
