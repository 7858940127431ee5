//! Requests as they go over the wire, and nodes that answer them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use crate::harness::node::Node;
use crate::harness::site::{Ground, Site};

/// The secrets of the two tokens that every cluster here has.
pub(crate) const VIEWER: &str = "the secret of the viewer";
pub(crate) const OPERATOR: &str = "the secret of the operator";

/// Longer than any limit of the program, so that the program is what ends a wait.
const PATIENCE: Duration = Duration::from_secs(40);

/// `[http]` on a free port with both tokens.
pub(crate) fn with_tokens() -> String {
    format!(
        "[http]\nlisten = '127.0.0.1:0'\n\
         [[http.tokens]]\nname = 'vera'\nsecret = '{VIEWER}'\n\
         [[http.tokens]]\nname = 'otto'\nrole = 'operator'\nsecret = '{OPERATOR}'\n"
    )
}

/// A site on a Redis of its own, whose nodes can be looked at with tokens.
pub(crate) fn site(jobs: &str) -> Site {
    Site::new(Ground::Redis, "heartbeat = '1s'", &format!("{}{jobs}", with_tokens()))
}

/// A node that can be looked at.
pub(crate) struct Seen {
    pub(crate) node: Node,
    pub(crate) address: SocketAddr,
}

impl Seen {
    /// Waits until `node` listens and is ready.
    pub(crate) fn of(node: Node) -> Self {
        let node = node.ready();
        let told = node.wait("http.listening");
        let address = told["address"].as_str().unwrap().parse().unwrap();
        Self { node, address }
    }

    /// Starts one at `site`.
    pub(crate) fn start(site: &Site, name: &str) -> Self {
        Self::of(site.start(name))
    }

    /// Sends a request by the operator, and waits for its answer.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Answer {
        self.send(method, path, &[("Authorization", &format!("Bearer {OPERATOR}"))], "")
    }

    /// The answer to a GET by the operator, which must be good.
    pub(crate) fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }

    /// Sends a request with these headers and this body, and waits for its answer.
    pub(crate) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request(self.address, method, path, headers, body).as_bytes()).unwrap();
        answer(&stream)
    }

    /// A connection.
    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }
}

/// A request as it goes over the wire.
pub(crate) fn request(
    to: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        text.push_str(&format!("Host: {to}\r\n"));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    text + "Connection: close\r\n\r\n" + body
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// It has this status, and says what is wrong and what to do.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        let said = self.json();
        for key in ["error", "what_to_do"] {
            assert!(said[key].as_str().is_some_and(|text| !text.is_empty()), "{said}");
        }
        said
    }
}

/// Reads the answer that comes on `stream`.
pub(crate) fn answer(stream: &TcpStream) -> Answer {
    let mut reader = BufReader::new(stream);
    let (status, headers) = head(&mut reader);
    let find = |name: &str| {
        let found = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    };
    let mut body = Vec::new();
    match find("content-length") {
        Some(length) => {
            body.resize(length.parse().unwrap(), 0);
            reader.read_exact(&mut body).unwrap();
        }
        None => drop(reader.read_to_end(&mut body).unwrap()),
    }
    Answer { status, headers, body }
}

/// The status and the headers.
fn head(reader: &mut impl BufRead) -> (u16, Vec<(String, String)>) {
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let status = first.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("this is no answer: {first:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    (status, headers)
}

/// An event of a stream.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) id: String,
    pub(crate) event: String,
    pub(crate) data: Value,
}

/// A stream of events.
pub(crate) struct Stream {
    reader: BufReader<TcpStream>,
}

impl Stream {
    /// Begins one, after the event `after` where there is one.
    pub(crate) fn begin(seen: &Seen, after: Option<&str>) -> Self {
        let mut stream = seen.connect();
        let token = format!("Bearer {OPERATOR}");
        let mut headers = vec![("Authorization", token.as_str())];
        headers.extend(after.map(|id| ("Last-Event-ID", id)));
        let text = request(seen.address, "GET", "/api/v1/events", &headers, "");
        stream.write_all(text.as_bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let (status, headers) = head(&mut reader);
        assert_eq!(status, 200, "{headers:?}");
        Self { reader }
    }

    /// The next event; none when the stream has ended.
    pub(crate) fn next(&mut self) -> Option<Told> {
        let (mut id, mut event, mut data) = (String::new(), String::new(), None);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            // The lengths of chunks stand between, and are taken for nothing.
            match line.trim_end().split_once(": ") {
                Some(("id", text)) => id = text.to_owned(),
                Some(("event", text)) => event = text.to_owned(),
                Some(("data", text)) => data = serde_json::from_str(text).ok(),
                _ if line == "\n" => {
                    if let Some(data) = data.take() {
                        return Some(Told { id, event, data });
                    }
                }
                _ => {}
            }
        }
    }

    /// The next of this kind that is `wanted`.
    #[track_caller]
    pub(crate) fn wait(&mut self, event: &str, wanted: impl Fn(&Value) -> bool) -> Told {
        loop {
            let told = self.next().expect("the stream goes on");
            if told.event == event && wanted(&told.data) {
                return told;
            }
        }
    }
}

/// Where the tools are that `tests/run` installs.
pub(crate) fn tool(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin").join(name);
    assert!(path.exists(), "{} is missing: tests/run installs it", path.display());
    path
}
