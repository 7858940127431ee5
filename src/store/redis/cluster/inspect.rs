//! What can break the guarantee on a Redis Cluster, in plain words.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{BootInstant, ClusterTime, Reading};
use crate::store::redis::cluster::buckets::BUCKETS;
use crate::store::redis::cluster::options::Endpoint;
use crate::store::redis::cluster::routes::Routes;
use crate::store::redis::cluster::together::{Call, all};
use crate::store::redis::inspect::{Place, inspect as inspect_server};
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::reply;
use crate::store::redis::server::Server;
use crate::store::{Result, Warning};

/// Clocks of masters that differ by more are warned of.
const SKEW: Duration = Duration::from_millis(50);

/// What one master says.
struct Said {
    warnings: Vec<Warning>,
    clock: Reading,
    /// Whether it stops serving when another master is gone; none where CONFIG is forbidden.
    all_or_nothing: Option<bool>,
}

pub(super) async fn inspect(routes: &Routes) -> Result<Vec<Warning>> {
    let mut masters: BTreeMap<Endpoint, Arc<Link>> = BTreeMap::new();
    for bucket in 0..BUCKETS {
        let (owner, link) = routes.owner(bucket, routes.options().timeout).await?;
        masters.insert(owner, link);
    }
    let ask = |link| -> Call<'_, _> { Box::pin(ask(link)) };
    let said = all(masters.values().map(ask).collect()).await;
    let said = said.into_iter().collect::<Result<Vec<_>>>()?;
    let said: Vec<_> = masters.into_keys().zip(said).collect();

    let mut warnings = joined(&said);
    if said.iter().any(|(_, said)| said.all_or_nothing == Some(true)) {
        warnings.push(
            "cluster-require-full-coverage is yes: while one master is gone and has no replica \
             to follow it, the others refuse to work too, and no slot runs; set it to no"
                .to_owned(),
        );
    }
    let map = routes.map();
    let bare = |bucket: &u32| !map.has_replica(routes.hash_slot(*bucket));
    let bare: Vec<_> = (0..BUCKETS)
        .filter(bare)
        .filter_map(|bucket| map.owner(routes.hash_slot(bucket)).map(Endpoint::to_string))
        .collect();
    if !bare.is_empty() {
        warnings.push(format!(
            "masters without a replica: {}; while one of them is gone, the jobs that it has do \
             not run; give each master a replica",
            listed(bare)
        ));
    }
    warnings.extend(skewed(&said));
    Ok(warnings.into_iter().map(Warning).collect())
}

async fn ask(link: &Arc<Link>) -> Result<Said> {
    let warnings = inspect_server(link, Place::InCluster).await?;
    let sent = BootInstant::now();
    let store = reply::time(link.ask(Purpose::Read, redis::cmd("TIME")).await?)?;
    let clock = Reading { sent, received: BootInstant::now(), store };
    let mut config = redis::cmd("CONFIG");
    config.arg("GET").arg("cluster-require-full-coverage");
    let setting = link.ask(Purpose::Read, config).await.and_then(reply::pairs).ok();
    let all_or_nothing =
        setting.and_then(|pairs| pairs.first().map(|(_, setting)| setting == "yes"));
    Ok(Said { warnings, clock, all_or_nothing })
}

/// Each warning once, with the servers that it is about.
fn joined(said: &[(Endpoint, Said)]) -> Vec<String> {
    let mut texts: Vec<(&str, Vec<String>)> = Vec::new();
    for (server, said) in said {
        for Warning(text) in &said.warnings {
            match texts.iter_mut().find(|(known, _)| known == text) {
                Some((_, servers)) => servers.push(server.to_string()),
                None => texts.push((text, vec![server.to_string()])),
            }
        }
    }
    let with_servers =
        |(text, servers): (&str, Vec<String>)| format!("{}: {text}", listed(servers));
    texts.into_iter().map(with_servers).collect()
}

/// Names, each once and in order.
fn listed(mut names: Vec<String>) -> String {
    names.sort();
    names.dedup();
    names.join(", ")
}

/// The two masters whose clocks differ most, if those differ too much for certain: a clock
/// was read between the sending and the receiving, nobody knows when.
fn skewed(said: &[(Endpoint, Said)]) -> Option<String> {
    let at = |instant: BootInstant, store: ClusterTime| {
        store.unix_micros() - i64::try_from(instant.nanos() / 1000).unwrap_or(i64::MAX)
    };
    let earliest = |said: &Said| at(said.clock.received, said.clock.store);
    let latest = |said: &Said| at(said.clock.sent, said.clock.store);
    let (ahead, fast) = said.iter().max_by_key(|(_, said)| earliest(said))?;
    let (behind, slow) = said.iter().min_by_key(|(_, said)| latest(said))?;
    let apart = Duration::from_micros(u64::try_from(earliest(fast) - latest(slow)).ok()?);
    (apart > SKEW).then(|| {
        format!(
            "the clock of master {ahead} is {} ms ahead of that of {behind}: start windows differ \
             by that, and a lease that fails over to a server with another clock lapses early or \
             late; keep the servers' clocks together (NTP)",
            apart.as_millis()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(
        port: u16,
        sent: u64,
        received: u64,
        store: i64,
        warnings: &[&str],
    ) -> (Endpoint, Said) {
        let millis = |ms: u64| BootInstant::from_nanos(ms * 1_000_000);
        let clock = Reading {
            sent: millis(sent),
            received: millis(received),
            store: ClusterTime::from_unix_millis(store),
        };
        let warnings = warnings.iter().map(|text| Warning((*text).to_owned())).collect();
        let server = Endpoint { host: "h".to_owned(), port };
        (server, Said { warnings, clock, all_or_nothing: None })
    }

    #[test]
    fn clocks_are_skewed_only_where_that_is_certain() {
        let slow_reply = said(1, 0, 300, 10_200, &[]);
        let exact = said(2, 100, 101, 10_101, &[]);
        assert_eq!(skewed(&[slow_reply, exact]), None, "the reading may have been at the end");
        let ahead = said(1, 0, 10, 10_100, &[]);
        let exact = said(2, 100, 101, 10_101, &[]);
        let why = skewed(&[ahead, exact]).unwrap();
        assert!(why.contains("h:1 is 89 ms ahead of that of h:2"), "{why}");
        assert_eq!(skewed(&[said(1, 0, 1, 10_000, &[])]), None);
    }

    #[test]
    fn a_warning_of_several_servers_is_one() {
        let all = [said(2, 0, 0, 0, &["a", "b"]), said(1, 0, 0, 0, &["a"])];
        assert_eq!(joined(&all), ["h:1, h:2: a", "h:2: b"]);
    }
}
