//! What was asked, read; whatever cannot be read is a [`Problem`].

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;

use super::access::Caller;
use super::problem::Problem;
use super::token::Role;

/// A body that is longer is not read.
pub(crate) const LARGEST_BODY: usize = 64 << 10;

/// What stands in the path.
pub(crate) struct Named<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::from_request_parts(parts, state).await.map_err(unreadable_path)?;
        Ok(Self(named))
    }
}

fn unreadable_path(rejection: PathRejection) -> Problem {
    Problem::bad_request(rejection.body_text(), "write the path as /api/v1/openapi.json has it")
}

/// What stands behind the `?`.
pub(crate) struct Asked<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::try_from_uri(&parts.uri).map_err(|rejection| {
            let what_to_do = "write the query as /api/v1/openapi.json has it";
            Problem::bad_request(rejection.body_text(), what_to_do)
        })?;
        Ok(Self(asked))
    }
}

/// A body of JSON, or none.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Sent<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let is_json = parts.headers.get(header::CONTENT_TYPE).map(|kind| {
            let kind = kind.to_str().unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim();
            kind.eq_ignore_ascii_case("application/json")
        });
        let body = whole(&parts, body).await?;
        if body.is_empty() {
            return Ok(Self(T::default()));
        }
        if is_json != Some(true) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "the body is not said to be JSON",
                "send Content-Type: application/json",
            ));
        }
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let what_to_do = "send a JSON object as /api/v1/openapi.json has it, or no body";
            Problem::bad_request(format!("the body cannot be read: {error}"), what_to_do)
        })
    }
}

/// The whole body, if it is not too long.
async fn whole(parts: &Parts, body: Body) -> Result<Bytes, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {LARGEST_BODY} bytes"),
            "send less",
        )
    };
    let length = parts.headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > LARGEST_BODY as u64) {
        return Err(too_large());
    }
    axum::body::to_bytes(body, LARGEST_BODY).await.map_err(|error| {
        let of_length = std::error::Error::source(&error)
            .is_some_and(|source| source.is::<http_body_util::LengthLimitError>());
        if of_length {
            return too_large();
        }
        Problem::bad_request(format!("the body did not arrive: {error}"), "send it again")
    })
}

/// Somebody who may act.
pub(crate) struct Operator(pub(crate) Caller);

impl<S: Sync> FromRequestParts<S> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Caller>() {
            Some(caller) if caller.role == Role::Operator => Ok(Self(caller.clone())),
            Some(caller) => Err(Problem::new(
                StatusCode::FORBIDDEN,
                format!(
                    "the token {} has the role viewer, which may look and not act",
                    caller.name
                ),
                "use a token with role = \"operator\"",
            )),
            None => Err(Problem::new(
                StatusCode::UNAUTHORIZED,
                "nobody is known to ask for this",
                "send a token",
            )),
        }
    }
}
