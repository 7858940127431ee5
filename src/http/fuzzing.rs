//! Requests that no client makes: see [`crate::fuzzing`].

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::access::Access;
use super::api;
use super::token::{Hash, Role};
use super::tokens::Tokens;
use crate::config::{HttpConfig, TokenConfig};

/// What lets in.
const SECRET: &str = "q7Xv-9mPz";

/// Reads a request, as it comes over a connection.
pub(crate) fn read(bytes: &[u8]) {
    let mut lines = bytes.split(|&byte| byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(|&byte| byte == b' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = HeaderMap::new();
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        if let Some((name, value)) = header(line) {
            headers.append(name, value);
        }
    }
    if let Ok(method) = Method::from_bytes(method) {
        is_let_in_by_the_secret_alone(&method, &headers, bytes);
    }
    let body: Vec<_> = lines.collect();
    api::read_all(str::from_utf8(target).ok().and_then(|uri| uri.parse().ok()), &body.join(&b'\n'));
}

fn header(line: &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let value = line[colon + 1..].trim_ascii();
    Some((HeaderName::from_bytes(&line[..colon]).ok()?, HeaderValue::from_bytes(value).ok()?))
}

fn is_let_in_by_the_secret_alone(method: &Method, headers: &HeaderMap, bytes: &[u8]) {
    let token = TokenConfig { name: "ada".to_owned(), role: Role::Viewer, hash: Hash::of(SECRET) };
    let access = |tokens| {
        let config = HttpConfig {
            listen: "127.0.0.1:7878".parse().expect("an address"),
            tls: None,
            behind_proxy: false,
            tokens,
        };
        Access::new(&config, Tokens::of(Some(&config)))
    };
    if let Ok(caller) = access(vec![token]).caller(method, headers) {
        assert_eq!((&*caller.name, caller.role), ("ada", Role::Viewer));
        assert!(bytes.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
    }
    if access(Vec::new()).caller(method, headers).is_ok() {
        let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
        assert!(
            host.to_ascii_lowercase().starts_with("localhost")
                || host.starts_with(['1', '[', ':', '0']),
            "{host}"
        );
        let foreign = headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site");
        assert!(method.is_safe() || !foreign);
    }
}
