//! What listens on the port and is no good Redis server.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::store::redis::{Options, RedisStore};
use solocron::store::{Store, StoreError};

use super::options_for;
use crate::contract::*;

const TIMEOUT: Duration = Duration::from_millis(800);

/// What an impostor does with a connection.
#[derive(Clone, Copy)]
enum Manners {
    /// Says nothing, ever.
    Silent,
    /// Closes at once.
    Curt,
    /// Speaks another protocol.
    Garbage,
    /// Greets as Redis does, then answers with half a reply and closes.
    HalfReply,
    /// Greets as Redis does, then with something else.
    LateGarbage,
    /// Greets as Redis does, then with a reply of the wrong shape.
    WrongShape,
    /// Greets as a Redis of long ago.
    Old,
}

/// Listens as long as the test process lives.
fn impostor(manners: Manners) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let calls = Arc::new(AtomicUsize::new(0));
    let seen = calls.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            seen.fetch_add(1, Ordering::Relaxed);
            std::thread::spawn(move || serve(stream.unwrap(), manners));
        }
    });
    (port, calls)
}

fn serve(mut stream: TcpStream, manners: Manners) {
    match manners {
        Manners::Curt => {}
        Manners::Garbage => {
            read(&mut stream);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            read(&mut stream);
        }
        Manners::Silent => while read(&mut stream).is_some() {},
        Manners::HalfReply | Manners::LateGarbage | Manners::WrongShape | Manners::Old => {
            greet(&mut stream, matches!(manners, Manners::Old));
            if read(&mut stream).is_some() {
                let reply: &[u8] = match manners {
                    Manners::HalfReply => b"*2\r\n$10\r\n1795",
                    Manners::LateGarbage => b"?!\r\n",
                    _ => b"$5\r\nhello\r\n",
                };
                let _ = stream.write_all(reply);
            }
        }
    }
}

fn read(stream: &mut TcpStream) -> Option<usize> {
    let mut buffer = [0; 65_536];
    stream.read(&mut buffer).ok().filter(|&n| n > 0)
}

/// Answers PING and then the rest of the greeting: PING, INFO, CLIENT, SCRIPT LOAD.
fn greet(stream: &mut TcpStream, old: bool) {
    let version = if old { "5.0.14" } else { "7.0.15" };
    let info = format!("# Server\r\nredis_version:{version}\r\n");
    read(stream);
    let _ = stream.write_all(b"+PONG\r\n");
    let mut asked = Vec::new();
    let mut buffer = [0; 65_536];
    let text = |asked: &[u8]| String::from_utf8_lossy(asked).into_owned();
    // Up to the end of the last script.
    while !text(&asked).ends_with("'copied', digits(now_ms))\nreturn 'yes'\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(n) if n > 0 => asked.extend_from_slice(&buffer[..n]),
            _ => return,
        }
    }
    let mut reply = format!("+PONG\r\n${}\r\n{info}\r\n+OK\r\n", info.len());
    reply.push_str(&"+0000\r\n".repeat(text(&asked).matches("LOAD").count()));
    let _ = stream.write_all(reply.as_bytes());
}

fn store(port: u16) -> RedisStore {
    RedisStore::open(Options { timeout: TIMEOUT, ..options_for(port) })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_never_speaks_costs_each_call_no_more_than_its_timeout() {
    let (port, _) = impostor(Manners::Silent);
    let store = store(port);
    for _ in 0..3 {
        let start = BootInstant::now();
        let answer = store.time().await;
        assert!(matches!(answer, Err(StoreError::Unavailable(_))), "{answer:?}");
        assert!(BootInstant::now().since(start) < TIMEOUT + Duration::from_millis(400));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_cannot_be_redis_is_named_for_what_it_is() {
    for (manners, expected) in [
        (Manners::Curt, "the connection was closed"),
        (Manners::Garbage, "does not speak the Redis protocol"),
        (Manners::Old, "Redis 5.0.14 is too old"),
    ] {
        let (port, _) = impostor(manners);
        let store = store(port);
        for answer in [store.time().await.map(drop), store.inspect().await.map(drop)] {
            let Err(StoreError::Unavailable(why)) = answer else { panic!("{answer:?}") };
            assert!(why.contains(expected), "{why}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_breaks_off_or_cannot_be_read_leaves_the_claim_open() {
    for manners in [Manners::HalfReply, Manners::LateGarbage] {
        let (port, _) = impostor(manners);
        let store = store(port);
        let slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
        let answer = store.claim(&claimant("web-1"), &[claim_of(&slot, LONG)]).await;
        assert!(matches!(answer, Err(StoreError::Unknown(_))), "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_of_another_shape_is_never_a_win() {
    let (port, _) = impostor(Manners::WrongShape);
    let store = store(port);
    let slot = "backup@2026-11-22T03:00:00Z".parse().unwrap();
    let verdict = try_claim(&store, &claimant("web-1"), &claim_of(&slot, LONG)).await;
    assert!(matches!(verdict, solocron::claim::Verdict::Unknown(_)), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_up_is_not_called_again_and_again() {
    let begun = BootInstant::now();
    let (port, calls) = impostor(Manners::Curt);
    let _store = store(port);
    eventually("it is called for the sixth time", async || calls.load(Ordering::Relaxed) >= 6)
        .await;
    // After delays of 50, 100 and three times 200 ms, a quarter of the timeout, each
    // shortened by at most half.
    let took = BootInstant::now().since(begun);
    assert!(took >= Duration::from_millis(375), "six calls in {took:?}");
}
