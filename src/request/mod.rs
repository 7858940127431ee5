//! Requests over HTTP that solocron makes itself: HTTP jobs and webhooks.
//!
//! **One connection for each request.** It is open for as long as the future of [`send`]
//! or the [`Answer`] lives, and closed at once when they are dropped: so whoever ends a
//! run ends its request. HTTP/1.1, in the clear or over TLS with the roots that the store
//! goes by. Redirects are not followed: a 3xx is an answer like any other.

mod address;
mod resolve;

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

pub use self::address::Address;
use crate::tls::{self, TlsOptions};

/// How long it may take until there is a connection, TLS included: what does not answer
/// in that time is not there.
pub const CONNECTS_WITHIN: Duration = Duration::from_secs(10);

/// What solocron calls itself.
const AGENT: &str = concat!("solocron/", env!("CARGO_PKG_VERSION"));

/// A request. Its headers and its body may be secret and are not printed.
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub address: Address,
    /// Its headers. `Host`, `Content-Length` and, unless it is given, `User-Agent` are
    /// added.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Vec<u8>,
    /// Whom to trust.
    pub tls: TlsOptions,
}

/// The answer to a request: its head. The rest comes piece by piece.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    body: Incoming,
    /// Moves the bytes; it ends with this.
    _connection: JoinSet<()>,
}

/// Why there is no answer, or no more of it, in words. Names the server, and no more of
/// the address: that may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoAnswer(String);

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Sends `request`; returns when the head of the answer is there. Waits for that without
/// a limit of its own: drop the future to give up.
///
/// # Errors
/// [`NoAnswer`]: no such host, no connection, no TLS, or no HTTP.
pub async fn send(request: Request) -> Result<Answer, NoAnswer> {
    let address = &request.address;
    let connected = tokio::time::timeout(CONNECTS_WITHIN, connect(address, &request.tls)).await;
    let stream = connected.unwrap_or_else(|_| {
        Err(NoAnswer(format!("{address} did not answer within {CONNECTS_WITHIN:?}")))
    })?;
    let broken = |error: hyper::Error| of_http(address, &error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut driver = JoinSet::new();
    driver.spawn(async move {
        // What goes wrong shows up at the request or at its body.
        let _ = connection.await;
    });
    let answer = sender.send_request(assemble(&request)?).await.map_err(broken)?;
    Ok(Answer { status: answer.status(), body: answer.into_body(), _connection: driver })
}

impl Answer {
    /// The next piece of the body; none at its end.
    ///
    /// # Errors
    /// [`NoAnswer`]: the connection broke, or what came is no HTTP.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        loop {
            let Some(frame) = self.body.frame().await else { return Ok(None) };
            let frame = frame.map_err(|error| {
                NoAnswer(format!("the answer broke off: {}", innermost(&error)))
            })?;
            // Trailers are of no interest.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

fn assemble(request: &Request) -> Result<hyper::Request<Full<Bytes>>, NoAnswer> {
    let invalid = |error: hyper::http::Error| NoAnswer(format!("no such request: {error}"));
    let mut assembled = hyper::Request::builder()
        .method(request.method.clone())
        .uri(request.address.path())
        .body(Full::new(Bytes::from(request.body.clone())))
        .map_err(invalid)?;
    let headers = assembled.headers_mut();
    headers.insert(header::USER_AGENT, HeaderValue::from_static(AGENT));
    headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    for name in request.headers.keys() {
        headers.remove(name);
    }
    headers.extend(request.headers.clone());
    if !headers.contains_key(header::HOST) {
        let host = HeaderValue::from_str(&request.address.authority())
            .map_err(|error| invalid(error.into()))?;
        headers.insert(header::HOST, host);
    }
    Ok(assembled)
}

/// The bytes of a connection.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(address: &Address, tls: &TlsOptions) -> Result<Box<dyn Stream>, NoAnswer> {
    let mut failure = None;
    for candidate in resolve::resolve(address).await? {
        match TcpStream::connect(candidate).await {
            Ok(stream) => {
                // Without it only slower.
                let _ = stream.set_nodelay(true);
                return match address.is_secure() {
                    true => Ok(Box::new(encrypt(stream, address, tls).await?)),
                    false => Ok(Box::new(stream)),
                };
            }
            Err(error) => failure = Some(error),
        }
    }
    let why = failure.map_or_else(|| "it has no address".to_owned(), |error| error.to_string());
    Err(NoAnswer(format!("cannot connect to {address}: {why}")))
}

async fn encrypt(
    stream: TcpStream,
    address: &Address,
    tls: &TlsOptions,
) -> Result<impl Stream + use<>, NoAnswer> {
    let name = ServerName::try_from(address.host().to_owned())
        .map_err(|_| NoAnswer(format!("{address} cannot be the name of a TLS server")))?;
    let config =
        tls::client_config(tls).await.map_err(|error| NoAnswer(format!("{address}: {error}")))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| {
        let text = error.to_string();
        let remedy = if text.contains("InvalidContentType") {
            "; what answers there does not speak TLS: is it http:// after all?"
        } else if text.contains("UnknownIssuer") {
            "; its certificate does not descend from a root that is trusted: give that one as `ca`"
        } else {
            ""
        };
        NoAnswer(format!("no TLS with {address}: {text}{remedy}"))
    })
}

fn of_http(address: &Address, error: &hyper::Error) -> NoAnswer {
    let why = innermost(error);
    NoAnswer(if error.is_incomplete_message() {
        format!("{address} closed the connection without an answer")
    } else {
        format!("no answer of {address}: {why}")
    })
}

/// The last of an error's causes, which says most.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// Holds the name and the value of a header against what HTTP allows; why not, in words.
///
/// # Errors
/// In words, without the value.
pub fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = header_name(name)?;
    let value = HeaderValue::from_str(value)
        .map_err(|_| "the value of a header is one line without control characters")?;
    Ok((name, value))
}

/// The same of a name alone, which must not be one that solocron sets itself.
///
/// # Errors
/// In words.
pub fn header_name(name: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| "the name of a header is letters, digits and `-`")?;
    let own = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::CONNECTION];
    if own.contains(&name) {
        return Err("solocron sets this header itself");
    }
    Ok(name)
}
