//! What is said to who asked for something that cannot be: what is wrong, and what to do.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

/// The body of every answer that is not a good one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Error)]
pub(crate) struct Words {
    /// What is wrong.
    pub(crate) error: String,
    /// What to do about it.
    pub(crate) what_to_do: String,
}

/// An answer that is not a good one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    words: Words,
}

/// So many seconds later it may be well again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

impl Problem {
    /// With this status.
    pub(crate) fn new(
        status: StatusCode,
        error: impl Into<String>,
        what_to_do: impl Into<String>,
    ) -> Self {
        let words = Words { error: error.into(), what_to_do: what_to_do.into() };
        Self { status, words }
    }

    /// Its status.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// 400: what was sent cannot be read.
    pub(crate) fn bad_request(error: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, what_to_do)
    }

    /// 404: there is no such thing.
    pub(crate) fn not_found(error: impl Into<String>, what_to_do: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, what_to_do)
    }

    /// 429: too much was asked of it.
    pub(crate) fn too_many(error: impl Into<String>) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, error, "wait a second, and ask less often")
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let what_to_do = match &error {
            StoreError::Unavailable(_) => "look at the store; then ask again",
            StoreError::Unknown(_) => {
                "it may have been done, or may be: look whether it was, before you ask again"
            }
            StoreError::Corrupt(_) => "look whether another program writes into the store",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), what_to_do)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.words)).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let bearer = HeaderValue::from_static("Bearer realm=\"solocron\"");
                headers.insert(header::WWW_AUTHENTICATE, bearer);
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER);
            }
            _ => {}
        }
        response
    }
}

/// What any answer may be instead of what was asked for.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "it is there to be described")]
pub(crate) enum Refused {
    /// What was sent cannot be read.
    #[response(status = 400)]
    Unreadable(Words),
    /// There is no token, or none that is known.
    #[response(status = 401)]
    Unauthorized(Words),
    /// Who asks may not, or it comes from a page of another site.
    #[response(status = 403)]
    Forbidden(Words),
    /// It took too long to send, or to answer.
    #[response(status = 408)]
    Late(Words),
    /// Too much was asked in too short a time.
    #[response(status = 429)]
    TooMany(Words),
    /// The store does not answer, or this node is stopping.
    #[response(status = 503)]
    Unavailable(Words),
}

/// There is no such thing.
#[derive(utoipa::IntoResponses)]
#[response(status = 404)]
#[allow(dead_code, reason = "it is there to be described")]
pub(crate) struct Unknown(Words);

/// What is sent along may be refused, too.
#[derive(utoipa::IntoResponses)]
#[allow(dead_code, reason = "it is there to be described")]
pub(crate) enum RefusedBody {
    /// It is too large.
    #[response(status = 413)]
    TooLarge(Words),
    /// It is not JSON.
    #[response(status = 415)]
    NotJson(Words),
}

/// The node does not claim slots now.
#[derive(utoipa::IntoResponses)]
#[response(status = 503)]
#[allow(dead_code, reason = "it is there to be described")]
pub(crate) struct Unready(Words);
