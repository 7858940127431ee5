//! Sentinels that are none, or are wrong.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use solocron::clock::BootInstant;
use solocron::store::redis::{Address, Options, RedisStore};
use solocron::store::{Store, StoreError};

use super::{options, options_for};
use crate::contract::*;
use crate::harness::redis_server::{RedisServer, free_port};
use crate::harness::sentinel::Group;

const TIMEOUT: Duration = Duration::from_millis(1000);

/// What an impostor answers when it is asked for the master.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Says {
    /// This port of this machine.
    Master(u16),
    /// Another protocol.
    Garbage,
    /// What is no address.
    WrongShape,
    /// Half an answer, then it closes.
    Half,
    /// Nothing, ever.
    Nothing,
    /// It closes at once.
    Closes,
}

/// An impostor. It listens as long as the test process lives.
pub(crate) struct Sentinel {
    port: u16,
    says: Arc<Mutex<Says>>,
}

impl Sentinel {
    pub(crate) fn start(says: Says) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let says = Arc::new(Mutex::new(says));
        let shared = Arc::clone(&says);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let says = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream.unwrap(), &says));
            }
        });
        Self { port, says }
    }

    pub(crate) fn address(&self) -> Vec<(String, u16)> {
        vec![("127.0.0.1".to_owned(), self.port)]
    }

    /// From now on it answers so.
    pub(crate) fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }
}

fn serve(mut stream: TcpStream, says: &Mutex<Says>) {
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = stream.read(&mut buffer) {
        let asked = String::from_utf8_lossy(&buffer[..count]).into_owned();
        let says = *says.lock().unwrap();
        let address = |port: u16| {
            let port = port.to_string();
            format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len())
        };
        let answer = match says {
            Says::Nothing => continue,
            Says::Closes => return,
            Says::Garbage => "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
            _ if asked.contains("PING") => "+PONG\r\n".to_owned(),
            Says::Master(port) => address(port),
            Says::WrongShape => "*1\r\n$5\r\nhello\r\n".to_owned(),
            Says::Half => "*2\r\n$9\r\n127.".to_owned(),
        };
        if stream.write_all(answer.as_bytes()).is_err() || matches!(says, Says::Half) {
            return;
        }
    }
}

fn hasty(servers: Vec<(String, u16)>) -> Options {
    Options { timeout: TIMEOUT, ..options_for(servers) }
}

/// What the store says once it has found out why it cannot be reached. Each call ends
/// within its timeout.
async fn refusal(options: Options, expected: &str) -> String {
    let store = RedisStore::open(options);
    let mut said = String::new();
    eventually(&format!("it says: {expected}"), async || {
        let start = BootInstant::now();
        let answer = store.time().await;
        let took = BootInstant::now().since(start);
        assert!(took < TIMEOUT + Duration::from_millis(400), "{took:?}");
        let Err(StoreError::Unavailable(why)) = answer else { panic!("{answer:?}") };
        said = why;
        said.contains(expected)
    })
    .await;
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_no_sentinel_is_named_for_what_it_is() {
    for (says, expected) in [
        (Says::Closes, "the connection was closed"),
        (Says::Garbage, "does not speak the Redis protocol"),
        (Says::WrongShape, "is not the address of a master"),
        (Says::Half, "the connection was closed"),
        (Says::Nothing, "no answer within"),
    ] {
        let sentinel = Sentinel::start(says);
        let why = refusal(hasty(sentinel.address()), expected).await;
        let place = format!("127.0.0.1:{}", sentinel.port);
        assert!(why.contains("no sentinel answers") && why.contains(&place), "{says:?}: {why}");
    }
    let nobody = vec![("127.0.0.1".to_owned(), free_port())];
    refusal(hasty(nobody), "no sentinel answers").await;
    let redis = RedisServer::start();
    let why = refusal(hasty(vec![("127.0.0.1".to_owned(), redis.port())]), "no sentinel").await;
    assert!(why.contains("it is no sentinel"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_that_is_none_is_not_taken_for_one() {
    let group = Group::plan().replicas(1).start();
    let replica = Says::Master(group.servers[1].port());
    let itself = Says::Master(group.sentinels[0].port());
    for (says, expected) in [
        (replica, "it is a replica, and the sentinels call it the master"),
        (itself, "it is a sentinel, and the sentinels call it the master"),
        (Says::Master(free_port()), "nothing listens there"),
    ] {
        let sentinel = Sentinel::start(says);
        let why = refusal(hasty(sentinel.address()), expected).await;
        assert!(why.contains("the master 127.0.0.1:"), "{why}");
    }
    assert_eq!(group.servers[1].cli_number(&["DBSIZE"]), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_no_sentinel_knows_is_said() {
    let group = Group::plan().start();
    let mut options = Options { timeout: TIMEOUT, ..options(&group) };
    if let Address::Sentinel(of) = &mut options.address {
        of.master = "other".to_owned();
    }
    refusal(options, "the sentinels know no master named other").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_do_not_answer_are_passed_over() {
    let group = Group::plan().start();
    let [silent, curt] = [Says::Nothing, Says::Closes].map(Sentinel::start);
    let mut servers = silent.address();
    servers.extend(curt.address());
    servers.push(group.addresses().remove(0));
    let store =
        RedisStore::open(Options { timeout: Duration::from_secs(5), ..options_for(servers) });
    win(&store, &claimant("web-1"), &claim_of(&due(&store, "backup").await, LONG)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_behind_the_times_is_passed_over_though_it_answers() {
    let group = Group::plan().replicas(1).start();
    for wrong in [group.servers[1].port(), group.sentinels[0].port(), free_port()] {
        let behind = Sentinel::start(Says::Master(wrong));
        let mut servers = behind.address();
        servers.push(group.addresses().remove(0));
        let store = RedisStore::open(hasty(servers));
        eventually("the master is found", async || store.time().await.is_ok()).await;
        // It is asked no more, so it does not lead astray once a second.
        let name = format!("backup-{wrong}");
        win(&store, &claimant("web-1"), &claim_of(&due(&store, &name).await, LONG)).await;
    }
}
