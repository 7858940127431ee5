//! A job that is a request over HTTP, and the texts of it that have places for what a run
//! is.

use std::fmt;
use std::path::Path;

use hyper::Method;
use hyper::header::HeaderName;

use crate::word::words;

words! {
    /// What a run is, by the names under which a command sees it in its environment.
    RunVariable {
        /// The cluster.
        Cluster = "SOLOCRON_CLUSTER",
        /// The job.
        Job = "SOLOCRON_JOB",
        /// The slot's instant, RFC 3339 in UTC.
        Slot = "SOLOCRON_SLOT",
        /// The node.
        Node = "SOLOCRON_NODE",
        /// The run's id.
        RunId = "SOLOCRON_RUN_ID",
        /// Which run of the slot it is, from 1.
        Attempt = "SOLOCRON_ATTEMPT",
        /// The fence under which it runs.
        Fence = "SOLOCRON_FENCE",
    }
}

/// A request as a job: what each run of it sends, and which answers are a success.
#[derive(Clone, PartialEq, Eq)]
pub struct Call {
    /// The method.
    pub method: Method,
    /// The URL; what a run is stands in it percent-encoded.
    pub url: RunText,
    /// Headers.
    pub headers: Box<[(HeaderName, RunText)]>,
    /// The body; empty where there is none.
    pub body: RunText,
    /// The statuses that are a success, in order; empty for any 2xx.
    pub expect: Box<[u16]>,
    /// The roots to trust, in place of the system's.
    pub ca: Option<Box<Path>>,
}

/// Without what may be secret.
impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call({} ***)", self.method)
    }
}

/// A text with places for what a run is. It may be secret and is not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RunText(Box<[Piece]>);

/// A piece of such a text.
#[derive(Clone, PartialEq, Eq)]
pub enum Piece {
    /// The same for each run.
    Fixed {
        /// The text.
        text: Box<str>,
        /// Whether it came from this node's own environment or files. Nodes need not
        /// agree on it.
        local: bool,
    },
    /// What the run is.
    Run(RunVariable),
}

impl RunText {
    /// The text of these pieces.
    pub fn new(pieces: impl IntoIterator<Item = Piece>) -> Self {
        Self(pieces.into_iter().collect())
    }

    /// Whether nothing can come of it.
    pub fn is_empty(&self) -> bool {
        let is_empty =
            |piece: &Piece| matches!(piece, Piece::Fixed { text, .. } if text.is_empty());
        self.0.iter().all(is_empty)
    }

    /// Whether a part of it is not what the file shows.
    pub fn is_local(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Fixed { local: true, .. }))
    }

    /// The text of one run.
    pub fn fill(&self, value: impl Fn(RunVariable) -> String) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Fixed { text, .. } => text.to_string(),
            Piece::Run(variable) => value(*variable),
        };
        self.0.iter().map(piece).collect()
    }

    /// What nodes with the same job agree on of it.
    pub(super) fn common(&self) -> String {
        let piece = |piece: &Piece| match piece {
            Piece::Fixed { local: true, .. } => "${}".to_owned(),
            Piece::Fixed { text, .. } => text.replace('$', "$$"),
            Piece::Run(variable) => format!("${{{variable}}}"),
        };
        self.0.iter().map(piece).collect()
    }
}

impl fmt::Debug for RunText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `text` as it can stand in any part of a URL behind the server.
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
