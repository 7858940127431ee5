//! Asking the servers of a cluster which has what, of those that answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::redis::cluster::map::Map;
use crate::store::redis::cluster::options::{ClusterOptions, Endpoint};
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::reply;
use crate::store::{Result, StoreError};

/// No server is waited for longer, whatever a call may take: ...
const LONGEST: Duration = Duration::from_secs(1);
/// ... and when one has answered, the others have so long to say something newer.
const GRACE: Duration = Duration::from_millis(50);
/// So many servers are asked at once.
const AT_ONCE: usize = 16;

/// The newest map that any server tells: first those to which there are links, which are
/// up; where none of them answers, all that are known, and the seeds.
pub(super) async fn survey(
    options: &ClusterOptions,
    linked: Vec<(Endpoint, Arc<Link>)>,
    known: Vec<Endpoint>,
) -> std::result::Result<Map, String> {
    let asked: Vec<_> = linked.iter().map(|(server, _)| server.clone()).collect();
    let mut why = match ask_all(options, linked).await {
        Ok(map) => return Ok(map),
        Err(why) => why,
    };
    let mut others: Vec<Endpoint> = Vec::new();
    for server in known.into_iter().chain(options.seeds.iter().cloned()) {
        if !asked.contains(&server) && !others.contains(&server) {
            others.push(server);
        }
    }
    fastrand::shuffle(&mut others);
    for some in others.chunks(AT_ONCE) {
        let link = |server: &Endpoint| (server.clone(), Arc::new(Link::open(options.of(server))));
        match ask_all(options, some.iter().map(link).collect()).await {
            Ok(map) => return Ok(map),
            Err(because) => why = because,
        }
    }
    Err(why)
}

/// The newest map that one of these servers tells; why the last has told none.
async fn ask_all(
    options: &ClusterOptions,
    servers: Vec<(Endpoint, Arc<Link>)>,
) -> std::result::Result<Map, String> {
    let limit = options.timeout.min(LONGEST);
    let mut asked = JoinSet::new();
    for (server, link) in servers {
        asked.spawn(async move { ask(&server, &link, limit).await });
    }
    let mut newest: Option<Map> = None;
    let mut why = "no server of it is known".to_owned();
    loop {
        let patience = if newest.is_some() { GRACE } else { limit * 2 };
        match tokio::time::timeout(patience, asked.join_next()).await {
            Ok(Some(Ok(Ok(map)))) => {
                let age = |map: &Map| (map.epoch, map.is_up);
                if newest.as_ref().is_none_or(|newest| age(newest) < age(&map)) {
                    newest = Some(map);
                }
            }
            Ok(Some(Ok(Err(error)))) => why = said(error),
            Ok(Some(Err(gone))) => why = gone.to_string(),
            Ok(None) | Err(_) => return newest.ok_or(why),
        }
    }
}

fn said(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) | StoreError::Unknown(why) | StoreError::Corrupt(why) => why,
    }
}

async fn ask(server: &Endpoint, link: &Link, limit: Duration) -> Result<Map> {
    let command = |what: &str| {
        let mut cmd = redis::cmd("CLUSTER");
        cmd.arg(what);
        cmd
    };
    let answer = link.transmit(Purpose::Read, vec![command("INFO"), command("SLOTS")], limit).await;
    let mut replies = link.judge(Purpose::Read, answer)?.into_iter();
    let mut next = || replies.next().unwrap_or_else(|| Err(reply::corrupt("all answers")));
    let told = next()
        .and_then(reply::text)
        .and_then(|info| Map::read(server, &info, next()?))
        .map_err(explained);
    told.map_err(|error| link.named(error))
}

fn explained(error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) if why.contains("cluster support disabled") => {
            let why = "this Redis is no server of a Redis Cluster; use redis:// for a single one";
            StoreError::Unavailable(why.to_owned())
        }
        other => other,
    }
}
