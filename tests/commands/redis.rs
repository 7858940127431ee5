//! A Redis that refuses: it is said in the log, nothing runs, no secret is shown.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use crate::bench::{Bench, every_second};
use crate::harness::node::Node;
use crate::harness::redis_server::RedisServer;

const SECRET: &str = "hunter2-the-password";

fn bench(store: &str) -> Bench {
    Bench::with(&format!(
        "[cluster]\nstore = \"{store}\"\n[cluster.redis]\ntimeout = \"500ms\"\n{}",
        every_second("job", "shell = \"touch ran\"")
    ))
}

/// All that the node said so far.
fn said(node: &Node) -> String {
    let records = node.log().into_iter().map(|logged| logged.record.to_string());
    records.chain(node.strays()).map(|line| line + "\n").collect()
}

/// Starts a node on a store that refuses, and waits until the log has the words.
fn refused(bench: &Bench, words: &str) {
    let mut node = bench.node_with(|_| {});
    crate::harness::until(&format!("the log has {words:?}"), || said(&node).contains(words));
    let begun = solocron::clock::BootInstant::now();
    // Slots come due meanwhile.
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    let code = node.drain();
    let took = solocron::clock::BootInstant::now().since(begun);
    assert_eq!(code, 0);
    assert!(took.as_secs() < 8, "{took:?}");
    let said = said(&node);
    assert!(!said.contains(SECRET), "{said}");
    assert!(!said.contains("run.started"), "{said}");
    assert!(!bench.path("ran").exists());

    let answer = bench.run(&["history"]);
    assert!(answer.took.as_millis() < 4_500, "{:?}", answer.took);
    assert!(!answer.stderr.contains(SECRET), "{}", answer.stderr);
}

#[test]
fn a_wrong_password_is_told_without_the_password() {
    let server = RedisServer::builder().password("the-right-one").start();
    let address = format!("127.0.0.1:{}/0", server.port());
    for user_info in [format!(":{SECRET}@"), format!("shop:{SECRET}@")] {
        refused(&bench(&format!("redis://{user_info}{address}")), "password");
    }
    refused(&bench(&format!("redis://{address}")), "Redis wants a password");
}

#[test]
fn a_replica_that_cannot_write_is_told() {
    let server = RedisServer::builder()
        .config("replicaof", "127.0.0.1 1")
        .config("replica-serve-stale-data", "yes")
        .start();
    refused(&bench(&server.url()), "replica");
}

#[test]
fn a_redis_without_memory_is_told() {
    let server = RedisServer::builder()
        .config("maxmemory", "1")
        .config("maxmemory-policy", "noeviction")
        .start();
    refused(&bench(&server.url()), "memory");
}

#[test]
fn a_redis_that_is_still_loading_is_told() {
    let port = answers_always("-LOADING Redis is loading the dataset in memory\r\n");
    refused(&bench(&format!("redis://:{SECRET}@127.0.0.1:{port}/0")), "loading");
}

#[test]
fn what_is_not_redis_is_told() {
    let port = answers_always("HTTP/1.1 400 Bad Request\r\n\r\n");
    refused(&bench(&format!("redis://127.0.0.1:{port}/0")), "does not speak the Redis protocol");
}

#[test]
fn a_redis_behind_a_unix_socket_works() {
    let server = RedisServer::start();
    let bench = bench(&format!("redis+unix://{}?db=3", server.socket().display()));
    let mut node = bench.node();
    let run = node.wait("run.finished");
    assert_eq!(node.drain(), 0);
    let told = bench.history(&["--limit", "1000"]);
    assert!(told.iter().any(|entry| entry["run_id"] == run["run_id"]), "{told:?}");
    assert!(bench.path("ran").exists());
}

#[test]
fn a_redis_that_comes_up_later_is_waited_for() {
    let mut server = RedisServer::start();
    let bench = bench(&server.url());
    server.stop();
    let mut node = bench.node_with(|_| {});
    node.wait("store.down");
    server.restart();
    node.wait("store.up");
    node.wait("node.started");
    assert_eq!(node.wait("run.finished")["outcome"], "succeeded");
    assert_eq!(node.drain(), 0);
}

/// A server that says the same to everything; its port.
fn answers_always(reply: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || {
                let mut replies = stream.try_clone().unwrap();
                let mut requests = BufReader::new(stream);
                while skip_request(&mut requests).is_some() {
                    if replies.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Reads one array of bulk strings.
fn skip_request(from: &mut impl BufRead) -> Option<()> {
    let count = number(from, '*')?;
    for _ in 0..count {
        let length = number(from, '$')?;
        std::io::copy(&mut from.by_ref().take(length + 2), &mut std::io::sink()).ok()?;
    }
    Some(())
}

fn number(from: &mut impl BufRead, sign: char) -> Option<u64> {
    let mut line = String::new();
    from.read_line(&mut line).ok()?;
    line.trim_end().strip_prefix(sign)?.parse().ok()
}
