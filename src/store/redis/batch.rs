//! Many items in few round trips: so many for each call of a script, so many calls
//! for each pipeline.

use redis::{Cmd, Value};

use crate::clock::ClusterTime;
use crate::store::redis::link::Purpose;
use crate::store::redis::reply;
use crate::store::redis::server::Server;
use crate::store::{Result, StoreError};

/// Items for one call of a script: enough to make the call cheap, few enough to let
/// other clients in between.
pub(super) const PER_CALL: usize = 128;

/// A pipeline is sent when it has so many bytes of arguments, ...
const PIPELINE_BYTES: usize = 4 << 20;
/// ... and a call when it has so many.
const CALL_BYTES: usize = 1 << 20;
/// ... or so many items: some 20 ms of a server's time.
const PIPELINE_ITEMS: usize = 4096;

/// Calls a script for `items`, which replies with the time and then something for
/// each, in order; `read` is given the item with it.
///
/// `call` makes one call for some of the items, which `weigh` so many bytes. When a
/// pipeline gets no answer, its items and those behind it get that error; the whole
/// fails only if the first one does.
pub(super) async fn run<T, R>(
    link: &impl Server,
    items: &[T],
    call: impl Fn(&[T]) -> Cmd,
    weigh: impl Fn(&T) -> usize,
    read: impl Fn(&T, ClusterTime, Value) -> Result<R>,
) -> Result<Vec<Result<R>>> {
    let spread = |reply, some: &[T], results: &mut Vec<_>| {
        let (now, values) = reply::timed(reply::list(reply)?)?;
        spread(values, some, |item, value| read(item, now, value), results)
    };
    pass(link, items, call, weigh, spread).await
}

/// The same for a script that does not reply with the time, and makes no list of one answer.
pub(super) async fn run_untimed<T, R>(
    link: &impl Server,
    items: &[T],
    call: impl Fn(&[T]) -> Cmd,
    weigh: impl Fn(&T) -> usize,
    read: impl Fn(&T, Value) -> Result<R>,
) -> Result<Vec<Result<R>>> {
    let spread = |reply, some: &[T], results: &mut Vec<_>| {
        let values = match reply {
            Value::Array(values) => values,
            one => vec![one],
        };
        spread(values.into_iter(), some, &read, results)
    };
    pass(link, items, call, weigh, spread).await
}

/// Passes the items to the script; `spread` takes the reply to one call apart.
async fn pass<T, R>(
    link: &impl Server,
    items: &[T],
    call: impl Fn(&[T]) -> Cmd,
    weigh: impl Fn(&T) -> usize,
    spread: impl Fn(Value, &[T], &mut Vec<Result<R>>) -> Result<()>,
) -> Result<Vec<Result<R>>> {
    let mut results = Vec::with_capacity(items.len());
    let mut rest = items;
    while !rest.is_empty() {
        let (mut calls, mut parts) = (Vec::new(), Vec::new());
        let (mut bytes, mut count) = (0, 0);
        while !rest.is_empty() && bytes < PIPELINE_BYTES && count < PIPELINE_ITEMS {
            let (some, weight) = split(rest, &weigh);
            calls.push(call(some));
            parts.push(some);
            bytes += weight;
            count += some.len();
            rest = &rest[some.len()..];
        }
        match link.send(Purpose::Settle, calls).await {
            Ok(replies) => {
                for (reply, some) in replies.into_iter().zip(parts) {
                    let end = results.len() + some.len();
                    let spread = reply.and_then(|reply| spread(reply, some, &mut results));
                    if let Err(error) = spread {
                        results.resize_with(end, || Err(error.clone()));
                    }
                }
            }
            Err(error) if results.is_empty() => return Err(error),
            Err(error) => {
                results.resize_with(items.len(), || Err(error.clone()));
                break;
            }
        }
    }
    for result in &mut results {
        if let Err(error) = result {
            *error = link.named(error.clone());
        }
    }
    if let Some(error) = refusal_of_all(&results) {
        link.note_refusal(&error);
        return Err(error);
    }
    Ok(results)
}

/// The items of the next call, and their weight.
fn split<'a, T>(items: &'a [T], weigh: &impl Fn(&T) -> usize) -> (&'a [T], usize) {
    let (mut count, mut weight) = (0, 0);
    for item in items.iter().take(PER_CALL) {
        let more = weigh(item);
        if count > 0 && weight + more > CALL_BYTES {
            break;
        }
        count += 1;
        weight += more;
    }
    (&items[..count], weight)
}

/// Reads what a script replied with for each item.
fn spread<T, R>(
    values: impl ExactSizeIterator<Item = Value>,
    items: &[T],
    read: impl Fn(&T, Value) -> Result<R>,
    results: &mut Vec<Result<R>>,
) -> Result<()> {
    if values.len() != items.len() {
        return Err(reply::corrupt("one answer for each item"));
    }
    results.extend(items.iter().zip(values).map(|(item, value)| read(item, value)));
    Ok(())
}

/// The error of the whole batch where the server refused every item of it.
fn refusal_of_all<R>(results: &[Result<R>]) -> Option<StoreError> {
    let refused = |result: &Result<R>| matches!(result, Err(StoreError::Unavailable(_)));
    match results.first() {
        Some(Err(error)) if results.iter().all(refused) => Some(error.clone()),
        _ => None,
    }
}

/// All results, or the first error: for callers that cannot tell of one item.
pub(super) fn all<R>(results: Vec<Result<R>>) -> Result<Vec<R>> {
    results.into_iter().collect()
}
