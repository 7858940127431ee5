//! The page: files that are part of the program, so that it needs nothing from elsewhere.
//!
//! Invariants:
//!
//! - The files hold nothing of the cluster: whoever gets here may have them. What the page
//!   shows it asks of the API, as whoever signed in.
//! - Scripts put what the API answers on the page as text, never as markup (`dom.js`).
//!
//! | file | what it is |
//! |---|---|
//! | `main.js` | the page's life: who looks, what is read, what is shown |
//! | `api.js`, `stream.js` | questions, and the stream of what changes |
//! | `model.js` | the cluster as it was read and as it has changed; touches no element |
//! | `board.js`, `cells.js`, `walk.js` | the slot board: lanes in sight, cells, the keyboard's way |
//! | `table.js`, `nodes.js`, `coming.js`, `filter.js` | the other views of the same |
//! | `job.js`, `run.js`, `actions.js` | one job: its schedule, runs and output; what is asked for |
//! | `dom.js`, `words.js` | elements; times and durations in words |

use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// A part of the page.
struct File {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($name:literal: $kind:expr),* $(,)?) => {
        [$(File { name: $name, kind: $kind, text: include_str!($name) }),*]
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

static FILES: [File; FILES_COUNT] = files! {
    "index.html": HTML,
    "icon.svg": SVG,
    "base.css": CSS,
    "board.css": CSS,
    "panels.css": CSS,
    "theme.js": JS,
    "main.js": JS,
    "api.js": JS,
    "stream.js": JS,
    "model.js": JS,
    "board.js": JS,
    "cells.js": JS,
    "walk.js": JS,
    "table.js": JS,
    "nodes.js": JS,
    "coming.js": JS,
    "filter.js": JS,
    "job.js": JS,
    "run.js": JS,
    "actions.js": JS,
    "dom.js": JS,
    "words.js": JS,
};
const FILES_COUNT: usize = 22;

/// Names what all files say: another version of the program has another.
static TAG: LazyLock<HeaderValue> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for file in &FILES {
        hash.update(file.text);
    }
    let digits: String = hash.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    // Hexadecimal digits in quotes are a header's value.
    HeaderValue::from_str(&format!("\"{digits}\"")).unwrap_or(HeaderValue::from_static("\"\""))
});

/// Answers `/` and `/page/FILE`.
pub(crate) fn router() -> axum::Router {
    axum::Router::new()
        .route("/", get(async |headers: HeaderMap| answer(&FILES[0], &headers)))
        .route("/page/{file}", get(part))
}

async fn part(Path(name): Path<String>, headers: HeaderMap) -> Response {
    match FILES.iter().find(|file| file.name == name) {
        Some(file) => answer(file, &headers),
        None => Problem::not_found(
            format!("the page has no part {name:?}"),
            "load the page anew: it may be of another version of the program",
        )
        .into_response(),
    }
}

fn answer(file: &File, headers: &HeaderMap) -> Response {
    // Kept by the browser, and asked about each time: a new version shows at once.
    let kept = [
        (header::ETAG, TAG.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(&*TAG) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(header::CONTENT_TYPE, file.kind)], file.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_part_asks_for_is_a_part() {
        let mut asked = 0;
        for file in &FILES {
            for quote in ['"', '\''] {
                for text in file.text.split(quote) {
                    let name = text.strip_prefix("/page/").or_else(|| text.strip_prefix("./"));
                    let Some(name) = name else { continue };
                    assert!(FILES.iter().any(|other| other.name == name), "{}: {name}", file.name);
                    asked += 1;
                }
            }
        }
        assert!(asked > FILES.len(), "each is asked for by another");
    }

    #[test]
    fn nothing_of_the_page_is_markup_made_of_text_or_comes_from_elsewhere() {
        for file in &FILES {
            for banned in [
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "style=",
                "onclick=",
                "https://",
            ] {
                assert!(!file.text.contains(banned), "{}: {banned}", file.name);
            }
        }
    }

    #[test]
    fn a_part_that_the_browser_has_is_not_sent_again() {
        let mut headers = HeaderMap::new();
        let first = answer(&FILES[0], &headers);
        assert_eq!(first.status(), StatusCode::OK);
        headers.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(answer(&FILES[0], &headers).status(), StatusCode::NOT_MODIFIED);
    }
}
