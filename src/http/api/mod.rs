//! The API: what is asked under `/api/v1`, and how each question is answered.
//!
//! | file | what it answers |
//! |---|---|
//! | `jobs`, `slots`, `runs`, `nodes` | what the cluster is like |
//! | `events` | what changes, to who stays |
//! | `actions` | what operators ask for |
//! | `session` | who signs in and out |
//! | `health` | whether the node is well |

mod actions;
mod events;
mod health;
mod jobs;
mod nodes;
mod runs;
mod session;
mod slots;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::COOKIE;
use super::problem::{Problem, Words};
use super::site::App;

/// What the description says of the whole.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "solocron",
        description = "A node of a solocron cluster. Any node answers for the whole cluster, from the \
store that they share. Instants are RFC 3339 in UTC. Every answer that is not a good one is \
`{error, what_to_do}`.",
    ),
    components(schemas(Words)),
    modifiers(&Security),
    security(("token" = []), ("session" = [])),
    tags(
        (name = "look", description = "What the cluster is like; for viewers and operators."),
        (name = "act", description = "What operators ask for. Every wish is logged with who."),
        (name = "session", description = "Signing in and out, for the page."),
        (name = "node", description = "Whether this node is well; without a token."),
    )
)]
struct Whole;

struct Security;

impl utoipa::Modify for Security {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        let cookie = ApiKey::Cookie(ApiKeyValue::new(COOKIE));
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    }
}

/// What the API answers, and its description.
pub(crate) fn router(app: &App) -> (axum::Router, utoipa::openapi::OpenApi) {
    let guarded = OpenApiRouter::new()
        .routes(routes!(health::metrics))
        .routes(routes!(nodes::cluster))
        .routes(routes!(nodes::nodes))
        .routes(routes!(jobs::jobs))
        .routes(routes!(jobs::job))
        .routes(routes!(jobs::runs))
        .routes(routes!(slots::slots))
        .routes(routes!(runs::run))
        .routes(routes!(events::events))
        .routes(routes!(actions::trigger))
        .routes(routes!(actions::pause))
        .routes(routes!(actions::resume))
        .routes(routes!(actions::cancel))
        .route_layer(from_fn_with_state(app.clone(), guard));
    let public = OpenApiRouter::with_openapi(Whole::openapi())
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(session::who, session::sign_in, session::sign_out));
    let (router, api) = public.merge(guarded).with_state(app.clone()).split_for_parts();
    let description = api.clone();
    let describe = move || async move { Json(description) };
    let router = router
        .route("/api/v1/openapi.json", get(describe))
        .merge(crate::http::page::router())
        .fallback(unknown)
        .method_not_allowed_fallback(not_allowed);
    (router, api)
}

/// Lets those in who are known, and says who they are.
pub(crate) async fn guard(
    State(app): State<App>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = app.access.caller(request.method(), request.headers())?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

async fn unknown(request: Request) -> Problem {
    Problem::not_found(
        format!("there is nothing at {}", request.uri().path()),
        "see /api/v1/openapi.json for what there is",
    )
}

async fn not_allowed(request: Request) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{} does not take {}", request.uri().path(), request.method()),
        "see the header Allow for what it takes",
    )
}

/// Reads what stands behind the `?` and in the body as every question takes it, for
/// `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_all(uri: Option<axum::http::Uri>, body: &[u8]) {
    use axum::extract::Query;
    if let Some(uri) = uri {
        let _read_or_refused = (
            Query::<jobs::Which>::try_from_uri(&uri).map(drop),
            Query::<jobs::Entries>::try_from_uri(&uri).map(drop),
            Query::<slots::Which>::try_from_uri(&uri).map(drop),
            Query::<runs::Where>::try_from_uri(&uri).map(drop),
            Query::<events::After>::try_from_uri(&uri).map(drop),
        );
        let last = uri.path().rsplit('/').next().unwrap_or_default();
        let _read_or_refused =
            (runs::run_id(last).map(drop), jobs::instant("since", last).map(drop));
    }
    let _read_or_refused = (
        serde_json::from_slice::<Option<actions::TriggerBody>>(body).map(drop),
        serde_json::from_slice::<session::SignIn>(body).map(drop),
    );
}
