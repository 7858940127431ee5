//! Asking the servers of a cluster which has what, of those that answer.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::store::redis::cluster::map::Map;
use crate::store::redis::cluster::nodes::{Master, Nodes};
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
    /// All masters that any of them names.
    pub(super) masters: Vec<Master>,
    /// Who answered, by what the others call it.
    told: HashSet<String>,
}

impl Survey {
    /// Masters that have not told what is moving to them.
    pub(super) fn silent(&self) -> Vec<Endpoint> {
        let silent = self.masters.iter().filter(|master| !self.told.contains(&master.id));
        silent.map(|master| master.at.clone()).collect()
    }

    fn take(&mut self, server: &Endpoint, map: Map, nodes: Nodes) {
        let age = |map: &Map| (map.epoch, map.is_up);
        if self.told.is_empty() || age(&self.map) < age(&map) {
            self.map = map;
        }
        self.importing.extend(nodes.importing);
        self.migrating.extend(nodes.migrating.into_iter().map(|slot| (server.clone(), slot)));
        for master in nodes.masters {
            if !self.masters.iter().any(|known| known.id == master.id) {
                self.masters.push(master);
            }
        }
        self.told.insert(nodes.own);
    }

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

/// What servers tell of their cluster: first those to which there are connections; where
/// none of them answers, all that are known, and the seeds. Then the masters of which they
/// tell, but those that are `watched`, to which connections are being made.
pub(super) async fn survey(
    options: &ClusterOptions,
    linked: Vec<(Endpoint, Arc<Link>)>,
    watched: &[Endpoint],
    known: Vec<Endpoint>,
) -> std::result::Result<Survey, String> {
    let mut survey = first(options, linked, known).await?;
    let mut others = survey.silent();
    others.retain(|master| !watched.contains(master));
    if !others.is_empty() {
        let limit = options.timeout.min(LONGEST) / GRACE;
        let asked = ask_all(options, to_ask(options, &others), &mut survey);
        let _late = tokio::time::timeout(limit, asked).await.is_err();
    }
    Ok(survey)
}

async fn first(
    options: &ClusterOptions,
    linked: Vec<(Endpoint, Arc<Link>)>,
    known: Vec<Endpoint>,
) -> std::result::Result<Survey, String> {
    let mut survey = Survey::default();
    let asked: Vec<_> = linked.iter().map(|(server, _)| server.clone()).collect();
    let mut why = ask_all(options, linked, &mut survey).await;
    let mut others: Vec<Endpoint> = Vec::new();
    for server in known.into_iter().chain(options.seeds.iter().cloned()) {
        if !asked.contains(&server) && !others.contains(&server) {
            others.push(server);
        }
    }
    fastrand::shuffle(&mut others);
    for some in others.chunks(AT_ONCE) {
        if survey.told.is_empty() {
            why = ask_all(options, to_ask(options, some), &mut survey).await;
        }
    }
    if survey.told.is_empty() { Err(why) } else { Ok(survey) }
}

fn to_ask(options: &ClusterOptions, servers: &[Endpoint]) -> Vec<(Endpoint, Arc<Link>)> {
    let link =
        |server: &Endpoint| (server.clone(), Arc::new(Link::open(options.only_to_ask(server))));
    servers.iter().map(link).collect()
}

/// Takes in what these servers tell; why the last has told nothing.
async fn ask_all(
    options: &ClusterOptions,
    servers: Vec<(Endpoint, Arc<Link>)>,
    survey: &mut Survey,
) -> String {
    let limit = options.timeout.min(LONGEST);
    let mut asked = JoinSet::new();
    for (server, link) in servers {
        asked.spawn(async move {
            let (map, nodes) = ask(&server, &link, limit).await?;
            Ok((server, map, nodes))
        });
    }
    let mut why = "no server of it is known".to_owned();
    loop {
        let patience = if survey.told.is_empty() { limit * 2 } else { limit / GRACE };
        match tokio::time::timeout(patience, asked.join_next()).await {
            Ok(Some(Ok(Ok((server, map, nodes))))) => survey.take(&server, map, nodes),
            Ok(Some(Ok(Err(error)))) => why = said(error),
            Ok(Some(Err(gone))) => why = gone.to_string(),
            Ok(None) | Err(_) => return why,
        }
    }
}

fn said(error: StoreError) -> String {
    match error {
        StoreError::Unavailable(why) | StoreError::Unknown(why) | StoreError::Corrupt(why) => why,
    }
}

async fn ask(server: &Endpoint, link: &Link, limit: Duration) -> Result<(Map, Nodes)> {
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
            let map = Map::read(server, &info, next()?)?;
            let nodes = Nodes::read(server, &reply::text(next()?)?, &map);
            Ok((map, nodes))
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
            ..Survey::default()
        };
        assert!(survey(&[7], &[]).is_torn(7));
        assert!(survey(&[7], &[(2, 7), (1, 8)]).is_torn(7), "another knows, or of another");
        assert!(!survey(&[7], &[(1, 7)]).is_torn(7));
        assert!(!survey(&[], &[(1, 7)]).is_torn(7));
    }

    #[test]
    fn a_master_is_silent_until_it_has_told_itself() {
        let server = |port| Endpoint { host: "h".to_owned(), port };
        let said = |own: &str| Nodes {
            own: own.to_owned(),
            masters: vec![
                Master { id: "a".to_owned(), at: server(1) },
                Master { id: "b".to_owned(), at: server(2) },
            ],
            ..Nodes::default()
        };
        let mut survey = Survey::default();
        survey.take(&server(1), Map::default(), said("a"));
        assert_eq!(survey.silent(), [server(2)]);
        // It is asked by another name.
        survey.take(&server(9), Map::default(), said("b"));
        assert_eq!(survey.silent(), []);
    }
}
