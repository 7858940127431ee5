//! What clients ask of a Redis, as the server itself tells (`MONITOR`).

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::thread::JoinHandle;

use super::redis_server::RedisServer;

/// What a call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Claim,
    Completion,
    Renewal,
    Sweep,
    Heartbeat,
    Other,
}

/// Listens from its start to [`Monitor::end`].
pub(crate) struct Monitor {
    connection: TcpStream,
    reader: JoinHandle<BTreeMap<Kind, usize>>,
}

impl Monitor {
    pub(crate) fn of(server: &RedisServer) -> Self {
        let mut connection = TcpStream::connect(("127.0.0.1", server.port())).expect("it listens");
        connection.write_all(b"MONITOR\r\n").expect("it listens");
        let mut lines = BufReader::new(connection.try_clone().expect("a descriptor is free"));
        let mut told = String::new();
        // Its answer comes before the first call that it tells of.
        lines.read_line(&mut told).expect("it answers");
        assert_eq!(told, "+OK\r\n");
        let reader = std::thread::spawn(move || {
            let mut calls = BTreeMap::new();
            for line in lines.split(b'\n').map_while(Result::ok) {
                if let Some(kind) = kind(&String::from_utf8_lossy(&line)) {
                    *calls.entry(kind).or_default() += 1;
                }
            }
            calls
        });
        Self { connection, reader }
    }

    /// How many calls of each kind there were.
    pub(crate) fn end(self) -> BTreeMap<Kind, usize> {
        self.connection.shutdown(Shutdown::Both).expect("it is open");
        self.reader.join().expect("the reader does not panic")
    }
}

/// What the call is for that a line tells of: none of what a script calls, and of
/// what a client says when it comes.
fn kind(line: &str) -> Option<Kind> {
    let (head, words) = line.split_once("] ")?;
    let words: Vec<_> = words.trim_end().split(' ').map(|word| word.trim_matches('"')).collect();
    if head.ends_with(" lua") || matches!(words[0], "MONITOR" | "PING" | "CLIENT" | "SCRIPT") {
        return None;
    }
    if words[0] != "EVALSHA" {
        return Some(Kind::Other);
    }
    let has = |end: &str| words.iter().any(|word| word.ends_with(end));
    Some(match words[2] {
        _ if has("}:fence") => Kind::Claim,
        _ if has("}:tails:") => Kind::Completion,
        "1" if has("}:open") => Kind::Renewal,
        "3" if has("}:control") => Kind::Sweep,
        "1" if has("}:nodes") => Kind::Heartbeat,
        _ => Kind::Other,
    })
}
