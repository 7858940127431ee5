//! What is around every answer: limits before it, headers behind it.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use super::client::Client;
use super::problem::Problem;
use super::site::App;
use crate::clock::BootInstant;

/// A request is to be there, and its answer to begin, within this.
const LONGEST: Duration = Duration::from_secs(10);

/// What browsers are told of every answer. Scripts and styles come from here alone, and none
/// stands within a page; what jobs print can be nothing but text.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
         frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Puts them around `router`.
pub(crate) fn around(router: Router, app: &App) -> Router {
    router
        .layer(from_fn_with_state(app.clone(), in_turn))
        .layer(from_fn(in_time))
        .layer(from_fn_with_state(app.clone(), not_too_often))
        .layer(from_fn_with_state(app.clone(), with_headers))
}

async fn with_headers(State(app): State<App>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    app.counts.answered(response.status().as_u16());
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What is true now is not true for long; pages and their parts say so themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn not_too_often(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<SocketAddr>().map(SocketAddr::ip);
    let peer = peer.unwrap_or(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));
    let client = Client::of(peer, request.headers(), app.behind_proxy);
    request.extensions_mut().insert(client);
    if app.limits.may_ask(client.0, BootInstant::now()) {
        next.run(request).await
    } else {
        Problem::too_many("too many requests come from this address").into_response()
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("it took longer than {} s", LONGEST.as_secs()),
            "send the whole request at once; if you did, ask again when the store is less busy",
        )
        .into_response(),
    }
}

async fn in_turn(State(app): State<App>, request: Request, next: Next) -> Response {
    // It is never closed.
    let _turn = app.limits.turns.acquire().await;
    next.run(request).await
}
