//! What listens on the port and is no good Redis server: locks fail in bounded time,
//! with an error of a kind, and nobody is taken for a holder.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use solocron::lock::{LockError, Locks, Wait};
use solocron::store::redis::{Options, RedisStore};

use super::{Server, key, options};
use crate::contract::*;
use crate::harness::proxy::{Flow, Proxy, Way};

const BOUND: Duration = Duration::from_millis(400);

/// What an impostor answers, once it has greeted as Redis does; none says nothing.
fn impostor(reply: Option<&'static [u8]>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            std::thread::spawn(move || serve(stream.unwrap(), reply));
        }
    });
    port
}

/// Answers the greeting, then `reply` to whatever comes, and closes.
fn serve(mut stream: TcpStream, reply: Option<&[u8]>) -> Option<()> {
    let mut asked = read(&mut stream)?;
    stream.write_all(b"+PONG\r\n").ok()?;
    asked.clear();
    // Up to the end of the last script.
    while !asked.ends_with(b"return { digits(now) }\n\r\n") {
        asked.extend(read(&mut stream)?);
    }
    let scripts = String::from_utf8_lossy(&asked).matches("\r\nLOAD\r\n").count();
    let info = "redis_version:7.0.15\r\n";
    let greeting = format!("+PONG\r\n${}\r\n{info}\r\n+OK\r\n", info.len());
    stream.write_all((greeting + &"+0000\r\n".repeat(scripts)).as_bytes()).ok()?;
    read(&mut stream)?;
    match reply {
        Some(reply) => stream.write_all(reply).ok()?,
        None => while read(&mut stream).is_some() {},
    }
    // The rest is read, so that the reply arrives before the end.
    stream.set_read_timeout(Some(BOUND)).ok()?;
    while read(&mut stream).is_some() {}
    Some(())
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut buffer = vec![0; 65_536];
    let count = stream.read(&mut buffer).ok().filter(|&count| count > 0)?;
    buffer.truncate(count);
    Some(buffer)
}

fn locks(port: u16) -> Locks {
    Locks::new(Arc::new(RedisStore::open(Options { timeout: BOUND, ..options(port) })))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_are_none_are_errors_in_bounded_time() {
    let replies: [Option<&[u8]>; 10] = [
        None,
        Some(b""),
        Some(b"?!\r\n"),
        Some(b"*2\r\n$16\r\n1795"),
        Some(b"+OK\r\n"),
        Some(b"*0\r\n"),
        Some(b"*2\r\n$16\r\n1795525421159644\r\n$7\r\ngranted\r\n"),
        Some(b"*2\r\n$16\r\n1795525421159644\r\n$12\r\ngranted many\r\n"),
        Some(b"*4\r\n$16\r\n1795525421159644\r\n$1\r\n9\r\n$8\r\nheld 1 1\r\n$0\r\n\r\n"),
        Some(b"*4\r\n$16\r\n1795525421159644\r\n$1\r\n1\r\n$9\r\nheld 1 x \r\n$0\r\n\r\n"),
    ];
    for reply in replies {
        let shown = reply.map(String::from_utf8_lossy);
        let (took, answer) = timed(locks(impostor(reply)).lock("order/1").try_acquire()).await;
        let Err(error) = answer else { panic!("{shown:?}: {answer:?}") };
        let typed = matches!(
            error,
            LockError::Unknown(_) | LockError::Corrupt(_) | LockError::Unavailable(_)
        );
        assert!(typed, "{shown:?}: {error:?}");
        assert!(took < BOUND + SLACK, "{shown:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadline_is_kept_with_one_that_never_answers() {
    let locks = locks(impostor(None));
    let (took, answer) = timed(locks.lock("order/1").acquire(Wait::at_most(BOUND * 2))).await;
    let told = matches!(answer, Err(LockError::Unknown(_) | LockError::Unavailable(_)));
    assert!(told, "{answer:?}");
    assert!(took >= BOUND * 2 && took < BOUND * 2 + SLACK, "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_cut_network_may_have_granted_is_given_back() {
    let f = Server::start();
    let proxy = Proxy::before(f.0.port());
    let locks = Locks::new(store_at(&proxy.redis_url(), &cluster(), BOUND));
    take(&locks, "order/1").await.release().await.unwrap();
    proxy.set(Way::ToClient, Flow::Drop);
    let (took, answer) = timed(locks.lock("order/1").ttl(LONG).try_acquire()).await;
    assert!(matches!(answer, Err(LockError::Unknown(_))), "{answer:?}");
    assert!(took < BOUND + SLACK, "{took:?}");
    assert_eq!(f.residue(), [key("held", "order/1")], "it was granted, and nobody knows");
    proxy.mend();
    clean(&f).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_survives_a_cut_that_is_shorter_than_its_ttl() {
    let f = Server::start();
    let proxy = Proxy::before(f.0.port());
    let locks = Locks::new(store_at(&proxy.redis_url(), &cluster(), BOUND / 2));
    let guard = locks.lock("order/1").ttl(BOUND * 6).try_acquire().await.unwrap();
    let fence = guard.fence();
    proxy.cut();
    tokio::time::sleep(BOUND * 2).await;
    assert!(guard.is_held());
    let until = guard.valid_until();
    proxy.mend();
    eventually("it is extended again", async || guard.valid_until() > until).await;
    assert_eq!(f.locks().holder("order/1").await.unwrap().unwrap().fence, fence);

    // And a longer one is told to its holder on time, with the reason.
    proxy.cut();
    let lost = soon("the loss", guard.lost()).await;
    assert!(!guard.is_held());
    assert!(lost.to_string().contains("127.0.0.1"), "{lost}");
}
