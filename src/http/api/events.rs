//! What changes, to who stays: a stream of server-sent events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast::error::RecvError;
use utoipa::IntoParams;

use crate::http::feed::{Feed, Told, Watcher};
use crate::http::problem::{Problem, Refused};
use crate::http::request::Asked;
use crate::http::site::{App, Site};

/// A proxy in between takes a connection for dead that says nothing for long.
const STILL_HERE: Duration = Duration::from_secs(15);

/// Where they were.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct After {
    /// The id of the last event that was received, for who cannot send `Last-Event-ID`.
    last_event_id: Option<String>,
}

/// The first event of a stream.
#[derive(Serialize)]
struct Hello<'a> {
    cluster: &'a str,
    node: &'a str,
    /// Whether everything since the last event that was received is told. If not, read all
    /// anew.
    complete: bool,
}

/// What changes in the whole cluster, as it changes. Each event has an id; who was cut off
/// and comes back with `Last-Event-ID` is told what they missed, or (`hello` with
/// `"complete": false`) that it is not known any more, and reads all anew.
///
/// | event | data |
/// |---|---|
/// | `hello` | `{cluster, node, complete}`, first of all |
/// | `slot` | an open slot that is new, changed, or (`"state": "settled"`) no more |
/// | `entry` | an entry of the ledger that is new |
/// | `nodes` | all nodes, when one of them changed |
/// | `pause` | `{job, paused}` |
/// | `table` | `{digest, jobs}`: this node loaded another job table |
/// | `trouble`, `well` | `{error}`: the store does not answer; it does again |
/// | `lost` | `{count}`: this stream was too slow, and so many events are missing |
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "look",
    params(
        After,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received."),
    ),
    responses(
        (status = 200, description = "The stream.", body = String, content_type = "text/event-stream"),
        Refused,
    )
)]
pub(super) async fn events(
    State(app): State<App>,
    headers: HeaderMap,
    Asked(after): Asked<After>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let header = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = header.or(after.last_event_id.as_deref());
    // What they see first is what everybody is told from then on.
    app.board.look(crate::http::board::FRESH).await?;
    let place = app.limits.stay().ok_or_else(|| Problem::too_many("too many stay already"))?;
    let watcher = Feed::watch(Arc::clone(&app.board), after);
    let identity = &app.view.identity;
    let hello = Hello {
        cluster: identity.cluster.as_str(),
        node: identity.node.as_str(),
        complete: watcher.complete,
    };
    let first = watcher.backlog.first().map_or(watcher.last, |told| told.number - 1);
    let hello = Event::default()
        .event("hello")
        .id(app.board.feed.id(first))
        .data(serde_json::to_string(&hello).unwrap_or_default());
    let mut to_tell: VecDeque<Event> = VecDeque::from([hello]);
    to_tell.extend(watcher.backlog.iter().map(|told| event(&app, told)));
    let stay = Stay { app, watcher, to_tell, _place: place };
    let stream = futures_util::stream::unfold(stay, async |mut stay| {
        let event = stay.next().await?;
        Some((Ok(event), stay))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(STILL_HERE)))
}

/// One who stays.
struct Stay {
    app: App,
    watcher: Watcher,
    to_tell: VecDeque<Event>,
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Stay {
    /// The next event; none when the node stops.
    async fn next(&mut self) -> Option<Event> {
        if let Some(event) = self.to_tell.pop_front() {
            return Some(event);
        }
        let coming = tokio::select! {
            () = self.app.closing.cancelled() => return None,
            coming = self.watcher.coming.recv() => coming,
        };
        match coming {
            Ok(told) => Some(event(&self.app, &told)),
            Err(RecvError::Lagged(count)) => {
                Some(Event::default().event("lost").data(format!("{{\"count\":{count}}}")))
            }
            Err(RecvError::Closed) => None,
        }
    }
}

fn event(app: &Site, told: &Told) -> Event {
    // JSON has no line ends of its own.
    Event::default().id(app.board.feed.id(told.number)).event(told.event).data(&*told.data)
}
