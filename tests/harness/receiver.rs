//! A server that is told something, and remembers it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use solocron::clock::BootInstant;

use super::until;

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Answers with this status and this body.
    Answer(u16, Vec<u8>),
    /// Answers with these headers too.
    Redirect(u16, String),
    /// Never answers.
    Hang,
    /// Answers with a body that has no end.
    Endless,
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) at: BootInstant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl Received {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(String::as_str).unwrap_or_default()
    }
}

/// See the module's head.
pub(crate) struct Receiver {
    port: u16,
    shared: Arc<Shared>,
    /// The server ends with it.
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Shared {
    received: Mutex<Vec<Received>>,
    /// What to do with the first requests, in order; the last goes for all others.
    manners: Mutex<Vec<Manner>>,
    /// Requests that were given up by the other side before they were answered.
    given_up: Mutex<Vec<(String, BootInstant)>>,
}

impl Receiver {
    /// A server that answers the first requests so, and the others as the last of them.
    pub(crate) fn start(manners: &[Manner]) -> Self {
        let shared = Arc::new(Shared::default());
        *shared.manners.lock().unwrap() = manners.to_vec();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let app = Router::new().fallback(receive).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, app).await });
        Self { port, shared, _runtime: runtime }
    }

    /// One that takes everything.
    pub(crate) fn friendly() -> Self {
        Self::start(&[Manner::Answer(204, Vec::new())])
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Does so from now on.
    pub(crate) fn behave(&self, manners: &[Manner]) {
        *self.shared.manners.lock().unwrap() = manners.to_vec();
    }

    /// All that was received so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.shared.received.lock().unwrap().clone()
    }

    /// Waits until there are so many; all of them.
    pub(crate) fn wait(&self, count: usize) -> Vec<Received> {
        until(&format!("{count} requests came"), || self.received().len() >= count);
        self.received()
    }

    /// The paths of requests that were given up, and when.
    pub(crate) fn given_up(&self) -> Vec<(String, BootInstant)> {
        self.shared.given_up.lock().unwrap().clone()
    }

    /// The word `alert` of each notice so far, with its job.
    pub(crate) fn alerts(&self) -> Vec<(String, String)> {
        let word = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        let told = self.received().into_iter().map(|received| received.json());
        told.map(|notice| (word(&notice["alert"]), word(&notice["job"]))).collect()
    }
}

/// Notes that a request was given up, unless it was answered.
struct Open<'a> {
    shared: &'a Shared,
    path: String,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        let given_up = (std::mem::take(&mut self.path), BootInstant::now());
        self.shared.given_up.lock().unwrap().push(given_up);
    }
}

async fn receive(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.to_string();
    let text = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into();
    shared.received.lock().unwrap().push(Received {
        at: BootInstant::now(),
        method: method.to_string(),
        path: path.clone(),
        headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
        bytes: body.to_vec(),
    });
    let manner = {
        let mut manners = shared.manners.lock().unwrap();
        if manners.len() > 1 { manners.remove(0) } else { manners[0].clone() }
    };
    match manner {
        Manner::Answer(status, body) => {
            (StatusCode::from_u16(status).unwrap(), body).into_response()
        }
        Manner::Redirect(status, to) => {
            (StatusCode::from_u16(status).unwrap(), [("location", to)]).into_response()
        }
        Manner::Hang => {
            let _open = Open { shared: &shared, path };
            tokio::time::sleep(Duration::from_secs(3600)).await;
            StatusCode::OK.into_response()
        }
        Manner::Endless => {
            let chunk = Bytes::from(vec![b'x'; 64 * 1024]);
            let endless = futures_util::stream::repeat_with(move || {
                Ok::<_, std::convert::Infallible>(chunk.clone())
            });
            axum::body::Body::from_stream(endless).into_response()
        }
    }
}
