//! Asking the servers of a cluster which has what, of those that answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::redis::cluster::map::{Map, Moves};
use crate::store::redis::cluster::options::{ClusterOptions, Endpoint};
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::reply;
use crate::store::{Result, StoreError};

/// No server is waited for longer, whatever a call may take: ...
const LONGEST: Duration = Duration::from_secs(1);
/// ... and when one has answered, the others have half as long to say something newer, or
/// what moves to them.
const GRACE: u32 = 2;
/// So many servers are asked at once.
const AT_ONCE: usize = 16;

/// What the servers that answered say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// The newest map.
    pub(super) map: Map,
    /// The hash slots that a server says are moving to it, and from it.
    pub(super) importing: HashSet<u16>,
    pub(super) migrating: HashSet<(Endpoint, u16)>,
}

impl Survey {
    /// Whether a hash slot is moving to a server, and its owner does not know of that: it
    /// may have been made the owner in the middle of the move, without what had moved.
    pub(super) fn is_torn(&self, hash_slot: u16) -> bool {
        self.importing.contains(&hash_slot)
            && self
                .map
                .owner(hash_slot)
                .is_some_and(|owner| !self.migrating.contains(&(owner.clone(), hash_slot)))
    }
}

/// What servers tell of their cluster: first those to which there are links, which are
/// up; where none of them answers, all that are known, and the seeds.
pub(super) async fn survey(
    options: &ClusterOptions,
    linked: Vec<(Endpoint, Arc<Link>)>,
    known: Vec<Endpoint>,
) -> std::result::Result<Survey, String> {
    let asked: Vec<_> = linked.iter().map(|(server, _)| server.clone()).collect();
    let mut why = match ask_all(options, linked).await {
        Ok(survey) => return Ok(survey),
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
            Ok(survey) => return Ok(survey),
            Err(because) => why = because,
        }
    }
    Err(why)
}

/// What these servers tell; why the last has told nothing, where none has.
async fn ask_all(
    options: &ClusterOptions,
    servers: Vec<(Endpoint, Arc<Link>)>,
) -> std::result::Result<Survey, String> {
    let limit = options.timeout.min(LONGEST);
    let mut asked = JoinSet::new();
    for (server, link) in servers {
        asked.spawn(async move {
            let (map, moves) = ask(&server, &link, limit).await?;
            Ok((server, map, moves))
        });
    }
    let (mut survey, mut any) = (Survey::default(), false);
    let mut why = "no server of it is known".to_owned();
    loop {
        let patience = if any { limit / GRACE } else { limit * 2 };
        match tokio::time::timeout(patience, asked.join_next()).await {
            Ok(Some(Ok(Ok((server, map, moves))))) => {
                let age = |map: &Map| (map.epoch, map.is_up);
                if !any || age(&survey.map) < age(&map) {
                    survey.map = map;
                }
                any = true;
                survey.importing.extend(moves.importing);
                let from_it = moves.migrating.into_iter().map(|slot| (server.clone(), slot));
                survey.migrating.extend(from_it);
            }
            Ok(Some(Ok(Err(error)))) => why = said(error),
            Ok(Some(Err(gone))) => why = gone.to_string(),
            Ok(None) | Err(_) => return if any { Ok(survey) } else { Err(why) },
        }
    }
}

fn said(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) | StoreError::Unknown(why) | StoreError::Corrupt(why) => why,
    }
}

async fn ask(server: &Endpoint, link: &Link, limit: Duration) -> Result<(Map, Moves)> {
    let command = |what: &str| {
        let mut cmd = redis::cmd("CLUSTER");
        cmd.arg(what);
        cmd
    };
    let commands = ["INFO", "SLOTS", "NODES"].map(command).to_vec();
    let answer = link.transmit(Purpose::Read, commands, limit).await;
    let mut replies = link.judge(Purpose::Read, answer)?.into_iter();
    let mut next = || replies.next().unwrap_or_else(|| Err(reply::corrupt("all answers")));
    let told = next()
        .and_then(reply::text)
        .and_then(|info| {
            Ok((Map::read(server, &info, next()?)?, Moves::read(&reply::text(next()?)?)))
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_slot_is_torn_where_its_owner_does_not_know_that_it_moves() {
        let server = |port| Endpoint { host: "h".to_owned(), port };
        let survey = |importing: &[u16], migrating: &[(u16, u16)]| Survey {
            map: Map::of_one(server(1)),
            importing: importing.iter().copied().collect(),
            migrating: migrating.iter().map(|&(port, slot)| (server(port), slot)).collect(),
        };
        assert!(survey(&[7], &[]).is_torn(7));
        assert!(survey(&[7], &[(2, 7), (1, 8)]).is_torn(7), "another knows, or of another");
        assert!(!survey(&[7], &[(1, 7)]).is_torn(7));
        assert!(!survey(&[], &[(1, 7)]).is_torn(7));
    }
}
