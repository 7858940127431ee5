//! A replica of one of the examples.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::harness::PATIENCE;
use crate::harness::processes;

/// A replica; it ends with the value.
pub(crate) struct Shop {
    process: Child,
    address: String,
}

impl Shop {
    pub(crate) fn start(example: &str, store: &str, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program(example));
        command
            .env("STORE", store)
            .env("LISTEN", "127.0.0.1:0")
            .envs(settings.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = processes::spawn(command).unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once('/').expect("it says where it listens").1.to_owned();
        Self { process, address }
    }

    /// `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The status and the text of its answer.
    pub(crate) fn ask(&self, method: &str, path: &str) -> (u16, String) {
        ask(&self.address, method, path)
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Ended already is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where cargo puts examples: `cargo test` builds them with the tests.
fn program(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(|deps| deps.parent()).expect("it is in target/…/deps");
    let program = target.join("examples").join(example);
    assert!(program.exists(), "{} is missing: cargo build --examples", program.display());
    program
}

/// One request, on a connection of its own.
pub(crate) fn ask(address: &str, method: &str, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let status = head.split(' ').nth(1).expect("it has a status");
    (status.parse().unwrap(), body.to_owned())
}
