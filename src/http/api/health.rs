//! Whether the node is well: for who starts and stops it, and for load balancers.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;

use crate::http::metrics::CONTENT_TYPE;
use crate::http::problem::{Problem, Refused, Unready};
use crate::http::shapes::HealthView;
use crate::http::site::App;
use crate::store::Health;

/// The node's own metrics, in OpenMetrics' form.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "look",
    responses(
        (status = 200, description = "The metrics.", body = String, content_type = "application/openmetrics-text"),
        Refused,
    )
)]
pub(super) async fn metrics(State(app): State<App>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], app.metrics.write())
}

/// The process lives and answers.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "node",
    security(()),
    responses((status = 200, description = "It does.", body = HealthView))
)]
pub(super) async fn healthz() -> Json<HealthView> {
    Json(HealthView { status: "ok" })
}

/// The node claims slots: the store can be reached, and it is not draining.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "node",
    security(()),
    responses((status = 200, description = "It does.", body = HealthView), Unready)
)]
pub(super) async fn readyz(State(app): State<App>) -> Result<Json<HealthView>, Problem> {
    let unready = |error: String, what_to_do: &str| {
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error, what_to_do))
    };
    let vitals = *app.view.vitals.borrow();
    if vitals.draining {
        return unready("this node is draining".to_owned(), "ask another node");
    }
    let health = app.board.store().health();
    let health = health.borrow();
    match &*health {
        Health::Down(why) => unready(
            format!("the store {} does not answer: {why}", app.board.store().describe()),
            "look at the store",
        ),
        _ if !vitals.ready => {
            unready("this node has only begun".to_owned(), "wait until it claims slots")
        }
        _ => Ok(Json(HealthView { status: "ok" })),
    }
}
