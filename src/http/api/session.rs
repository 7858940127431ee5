//! Signing in and out, for the page.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::clock::BootInstant;
use crate::http::access::{COOKIE, Caller, check_origin, session};
use crate::http::client::Client;
use crate::http::problem::{Problem, Refused, RefusedBody};
use crate::http::request::Sent;
use crate::http::session::LASTS;
use crate::http::shapes::SessionView;
use crate::http::site::App;
use crate::log::events::{self, Wish};

fn view(app: &App, caller: &Caller) -> Json<SessionView> {
    Json(SessionView {
        name: caller.name.to_string(),
        role: caller.role.as_str(),
        open: app.access.is_open(),
    })
}

/// Who asks.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    tag = "session",
    responses((status = 200, description = "They are known.", body = SessionView), Refused)
)]
pub(super) async fn who(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<Json<SessionView>, Problem> {
    let caller = app.access.caller(&axum::http::Method::GET, &headers)?;
    Ok(view(&app, &caller))
}

/// What signs in.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SignIn {
    /// The secret of a token.
    token: String,
}

/// Signs in with the secret of a token: sets a cookie that lasts for twelve hours, on this
/// node.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    tag = "session",
    security(()),
    request_body = SignIn,
    responses(
        (status = 200, description = "They are signed in.", body = SessionView),
        Refused, RefusedBody,
    )
)]
pub(super) async fn sign_in(
    State(app): State<App>,
    client: Client,
    headers: HeaderMap,
    Sent(body): Sent<Option<SignIn>>,
) -> Result<impl IntoResponse, Problem> {
    check_origin(&headers)?;
    if app.access.is_open() {
        let caller = app.access.caller(&axum::http::Method::POST, &headers)?;
        return Ok((AppendHeaders(None), view(&app, &caller)));
    }
    let Some(SignIn { token }) = body else {
        return Err(Problem::bad_request("there is no body", "send {\"token\": \"…\"}"));
    };
    if !app.limits.may_sign_in(client.0, BootInstant::now()) {
        return Err(Problem::too_many("there were too many wrong tokens from this address"));
    }
    let Some((caller, hash)) = app.access.of_secret(&token) else {
        app.limits.note_wrong(client.0, BootInstant::now());
        events::sign_in_refused(&client.0.to_string());
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "this token is not known",
            "look into [[http.tokens]] of the config for those that are",
        ));
    };
    events::control_requested(&caller.name, Wish::SignIn);
    let id = app.access.sessions.begin(caller.clone(), hash, BootInstant::now());
    let cookie = cookie(&app, &id, LASTS.as_secs());
    Ok((AppendHeaders(Some((header::SET_COOKIE, cookie))), view(&app, &caller)))
}

/// Signs out.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    tag = "session",
    security(()),
    responses((status = 204, description = "They are signed out."), Refused)
)]
pub(super) async fn sign_out(
    State(app): State<App>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, Problem> {
    check_origin(&headers)?;
    if let Some(id) = session(&headers) {
        app.access.sessions.end(id);
    }
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie(&app, "", 0))]))
}

fn cookie(app: &App, id: &str, seconds: u64) -> String {
    let secure = if app.access.secure { "; Secure" } else { "" };
    format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}")
}
