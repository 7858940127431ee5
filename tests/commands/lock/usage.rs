//! What makes no sense, and what is not there: nothing is run, and nothing left behind.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{Stand, on_both};
use crate::harness::redis_server::free_port;

#[test]
fn what_makes_no_sense_is_a_usage_error() {
    let long = "x".repeat(10_000);
    on_both(|stand| {
        for (arguments, words) in [
            (&["", "--", "touch", "ran"][..], "the name of a lock cannot be empty"),
            (&[&long, "--", "touch", "ran"], "at most 512 bytes, this one has 10000"),
            (&["a\nb", "--", "touch", "ran"], "control character '\\n'"),
            (&["job", "--ttl", "0s", "--", "touch", "ran"], "--ttl is at least 100ms"),
            (&["job", "--ttl", "10ms", "--", "touch", "ran"], "--ttl is at least 100ms"),
            (&["job", "--ttl", "-5s", "--", "touch", "ran"], "-5"),
            (&["job", "--ttl=-5s", "--", "touch", "ran"], "'-5s' for '--ttl <DURATION>'"),
            (&["job", "--ttl", "30", "--", "touch", "ran"], "'30' for '--ttl <DURATION>'"),
            (&["job", "--wait", "soon", "--", "touch", "ran"], "'soon' for '--wait <DURATION>'"),
            (&["job", "--min-hold", "31s", "--", "touch", "ran"], "--min-hold is at most --ttl"),
            (&["job", "--"], "<CMD>"),
            (&["job"], "<CMD>"),
            (&["job", "touch", "ran"], "unexpected argument 'touch'"),
            (&["--", "touch", "ran"], "<NAME>"),
        ] {
            let said = stand.lock(arguments).refused(2);
            assert!(said.contains(words), "{arguments:?}: {said}");
            assert!(said.len() < 1_000, "{said}");
        }
        assert!(!stand.bench.path("ran").exists());
        if stand.server.is_some() {
            assert_eq!(stand.redis().cli_number(&["DBSIZE"]), 0);
        } else {
            assert!(!stand.bench.store().exists());
        }
    });
}

#[test]
fn a_name_that_is_not_text_is_a_usage_error() {
    let stand = Stand::on_redis();
    let answer = stand.bench.run_with(&[], |command| {
        *command = stand.command(&[]);
        command.arg(OsStr::from_bytes(b"\xff\xfe")).args(["--", "true"]);
    });
    let said = answer.refused(2);
    assert!(said.contains("text in UTF-8"), "{said}");
    assert_eq!(stand.redis().cli_number(&["DBSIZE"]), 0);
}

#[test]
fn a_store_that_cannot_be_reached_is_told_in_time_and_without_its_password() {
    let stand = Stand::on_sqlite();
    let url = format!("redis://:hunter2@127.0.0.1:{}/0", free_port());
    for wait in ["0s", "1s"] {
        let answer = stand.lock(&["job", "--wait", wait, "--store", &url, "--", "touch", "ran"]);
        assert!(answer.took.as_millis() < 4_500, "{:?}", answer.took);
        let said = answer.refused(69);
        assert!(said.contains("cannot be reached") && said.contains("127.0.0.1"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
    stand.bench.write("file", "");
    let path = stand.bench.path("file/x.db").display().to_string();
    let store = format!("sqlite:{path}");
    let said = stand.lock(&["job", "--store", &store, "--", "true"]).refused(69);
    assert!(said.contains(&path), "{said}");
    assert!(!stand.bench.path("ran").exists());
}

#[test]
fn a_config_with_mistakes_is_told_and_a_good_one_names_cluster_store_and_node() {
    let stand = Stand::on_redis();
    stand.bench.write("solocron.toml", "[cluster]\nnaem = \"prod\"\n");
    let said = stand.lock(&["job", "--", "true"]).refused(78);
    assert!(said.contains("solocron.toml:2:1: error:"), "{said}");

    let config = format!(
        "[cluster]\nname = \"prod\"\nnode = \"web-7\"\nstore = \"{}\"\n\
         [jobs.x]\nschedule = \"@daily\"\nshell = \"true\"\nenv = {{ A = \"${{NOT_SET_HERE}}\" }}\n",
        stand.redis().url()
    );
    stand.bench.write("solocron.toml", config);
    let held = stand.start(&["job"], "echo $$ > pid; exec sleep 600");
    let keys = stand.keys();
    assert!(keys.len() == 1 && keys[0].starts_with("prod:"), "{keys:?}");
    let said = stand.lock(&["job", "--", "true"]).refused(75);
    assert!(said.contains("held by web-7 (pid "), "{said}");
    held.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(held.end().code, Some(143));
}
