//! One attempt to tell a webhook.

use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};

use super::channel::Webhook;
use super::signature::sign;
use crate::clock::wall_now;
use crate::request::{self, Request};
use crate::tls::{Pem, TlsOptions};

/// How much of an answer that is no success is told.
const TOLD: usize = 200;

/// Posts `body`, which is the same alert each time `id` is the same.
pub(super) async fn post(webhook: &Webhook, id: &str, body: &str) -> Result<(), String> {
    let mut headers = webhook.headers.clone();
    if !headers.contains_key(CONTENT_TYPE) {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let seconds = wall_now().as_second();
    let mut add = |name: &'static str, value: String| {
        // An id, a number and Base64 can stand in a header.
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    };
    add("webhook-id", id.to_owned());
    add("webhook-timestamp", seconds.to_string());
    if let Some(key) = &webhook.key {
        add("webhook-signature", sign(key, id, seconds, body.as_bytes()));
    }
    let request = Request {
        method: Method::POST,
        address: webhook.address.clone(),
        headers,
        body: body.as_bytes().to_vec(),
        tls: TlsOptions { ca: webhook.ca.clone().map(Pem::File), ..TlsOptions::default() },
    };
    let mut answer = request::send(request).await.map_err(|error| error.to_string())?;
    if answer.status.is_success() {
        return Ok(());
    }
    let mut said = Vec::new();
    while said.len() < TOLD
        && let Ok(Some(piece)) = answer.piece().await
    {
        said.extend_from_slice(&piece);
    }
    said.truncate(TOLD);
    let said = String::from_utf8_lossy(&said);
    let said: Vec<_> = said.split_whitespace().collect();
    let (server, status) = (&webhook.address, answer.status);
    Err(match said.join(" ") {
        nothing if nothing.is_empty() => format!("{server} answered {status}"),
        said => format!("{server} answered {status}: {said}"),
    })
}
