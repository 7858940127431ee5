//! Connections: taken, bounded, and ended.
//!
//! Invariants:
//!
//! - Whoever connects and says nothing, or says it too slowly, is cut off.
//! - There are never more connections than the process can stand: runs need descriptors, too.
//! - When the node stops, requests under way are answered, and then all is closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::config::TlsConfig;

/// A request's head is to be there within this, counted from the last answer.
const SILENCE: Duration = Duration::from_secs(10);

/// Keys are agreed on within this.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// A head that is longer is refused.
const LARGEST_HEAD: usize = 16 << 10;

/// A head with more headers is refused.
const MOST_HEADERS: usize = 64;

/// So many connections at most; fewer where the process may have few open files.
const MOST: usize = 2_000;

/// How long the end of answers is waited for when the node stops.
const FAREWELL: Duration = Duration::from_secs(2);

/// After a connection could not be taken, for want of descriptors mostly.
const BREATH: Duration = Duration::from_millis(100);

/// Reads what proves who the node is.
///
/// # Errors
/// With the file's name.
pub(crate) fn tls(config: &TlsConfig) -> io::Result<TlsAcceptor> {
    let in_file = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        io::Error::other(format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&config.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| in_file(&config.cert, &error))?;
    if chain.is_empty() {
        return Err(in_file(&config.cert, &"there is no certificate in it"));
    }
    let key =
        PrivateKeyDer::from_pem_file(&config.key).map_err(|error| in_file(&config.key, &error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| in_file(&config.cert, &error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Answers whoever connects, until `closing`; returns when all connections have ended.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    closing: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(most_connections()));
    let connections = TaskTracker::new();
    loop {
        let taken = tokio::select! {
            () = closing.cancelled() => break,
            taken = listener.accept() => taken,
        };
        let (stream, peer) = match taken {
            Ok(taken) => taken,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be taken");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // Where all places are taken, who comes is turned away at once.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let (tls, router, closing) = (tls.clone(), router.clone(), closing.clone());
        connections.spawn(async move {
            converse(stream, peer, tls, router, closing).await;
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(FAREWELL, connections.wait()).await.is_err() {
        tracing::debug!("some answers were cut short");
    }
}

/// A quarter of the files that the process may open.
fn most_connections() -> usize {
    use nix::sys::resource::{Resource, getrlimit};
    let files = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(files / 4).unwrap_or(MOST).min(MOST)
}

async fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    closing: CancellationToken,
) {
    // Answers are small, and somebody waits for each.
    let _slower = stream.set_nodelay(true);
    match tls {
        None => answer(stream, peer, router, closing).await,
        Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
            Ok(Ok(stream)) => answer(stream, peer, router, closing).await,
            Ok(Err(error)) => tracing::debug!(%error, %peer, "no keys were agreed on"),
            Err(_) => tracing::debug!(%peer, "no keys were agreed on in time"),
        },
    }
}

async fn answer(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    closing: CancellationToken,
) {
    let service = router.map_request(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        Request::from(request.map(axum::body::Body::new))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SILENCE)
        .max_buf_size(LARGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}
