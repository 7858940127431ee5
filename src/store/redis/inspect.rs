//! What can break the guarantee, in plain words.

use std::collections::HashMap;

use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::reply;
use crate::store::{Result, StoreError, Warning};

/// The oldest version that has all commands the scripts use.
const OLDEST: (u32, u32) = (6, 2);

/// Why the server that says this of itself cannot be used, if it cannot.
pub(super) fn too_old(info: &str) -> Option<String> {
    let fields = fields(info);
    let version = fields.get("redis_version")?;
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let known = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    let (major, minor) = OLDEST;
    (known < OLDEST).then(|| {
        format!(
            "Redis {version} is too old: solocron needs Redis {major}.{minor} or later, or Valkey"
        )
    })
}

/// What a server is for those who look at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The whole store.
    Alone,
    /// One of several that are the store together.
    InCluster,
    /// One of several of which each has everything.
    InQuorum,
}

pub(super) async fn inspect(link: &Link, place: Place) -> Result<Vec<Warning>> {
    let config = |name| {
        let mut cmd = redis::cmd("CONFIG");
        cmd.arg("GET").arg(name);
        cmd
    };
    let commands = vec![redis::cmd("INFO"), config("save"), config("appendfsync")];
    let mut replies = link.send(Purpose::Read, commands).await?.into_iter();
    let mut next = || replies.next().unwrap_or_else(|| Err(reply::corrupt("all answers")));
    let info = next().and_then(reply::text);
    let settings = [next(), next()]
        .into_iter()
        .map(|setting| setting.and_then(reply::pairs))
        .collect::<Result<Vec<_>>>();

    let info = match info {
        Ok(info) => info,
        Err(error) => {
            let text = format!(
                "the server's version, memory and persistence could not be checked; allow \
                 INFO to the Redis user ({error})"
            );
            return Ok(vec![Warning(text)]);
        }
    };
    if let Some(why) = too_old(&info) {
        return Err(link.named(StoreError::Unavailable(why)));
    }
    let settings =
        settings.ok().map(|pairs| pairs.into_iter().flatten().collect::<HashMap<_, _>>());
    let mut warnings = warnings(&info, settings.as_ref(), place);
    if matches!(place, Place::Alone | Place::InQuorum) {
        warnings.extend(misplaced(&info));
    }
    warnings.extend(miscounted(&info, link.options().min_acks));
    Ok(warnings)
}

/// Reads `info` as what a server says of itself, for `crate::fuzzing`.
#[cfg(any(test, fuzzing))]
pub(super) fn read_all(info: &str) {
    let _whatever_it_says = (
        too_old(info),
        warnings(
            info,
            Some(&fields(info).into_iter().map(|(a, b)| (a.to_owned(), b.to_owned())).collect()),
            Place::Alone,
        ),
        misplaced(info),
        miscounted(info, 1),
    );
}

fn fields(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

/// Pure: from what the server says of itself to what is wrong with it. `settings`
/// is absent where CONFIG is forbidden.
fn warnings(info: &str, settings: Option<&HashMap<String, String>>, place: Place) -> Vec<Warning> {
    let fields = fields(info);
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(Warning(text));

    let policy = field("maxmemory_policy");
    if !matches!(policy, "noeviction" | "") {
        let when = if field("maxmemory") == "0" {
            "as soon as a maxmemory is set and reached"
        } else {
            "when maxmemory is reached"
        };
        warn(format!(
            "maxmemory-policy is {policy}: {when}, Redis drops locks and records, and a slot \
             can run twice; set maxmemory-policy noeviction"
        ));
    }

    let saves = settings.and_then(|settings| settings.get("save"));
    let fsync = settings.and_then(|settings| settings.get("appendfsync")).map(String::as_str);
    match (field("aof_enabled"), saves) {
        ("1", _) => match fsync {
            Some("always") => {}
            Some("no") => warn(
                "appendfsync is no: a crash of the machine loses what it had not yet written, \
                 up to half a minute of acknowledged writes, and those slots can run twice; \
                 set appendfsync always"
                    .to_owned(),
            ),
            Some(_) => warn(
                "appendfsync is everysec: a crash can lose up to one second of acknowledged \
                 writes, and those slots can run twice; set appendfsync always"
                    .to_owned(),
            ),
            None => {}
        },
        (_, Some(save)) if save.is_empty() && place == Place::InQuorum => warn(
            "persistence is off (no append-only file, no snapshots): one that restarts gets its \
             data from the others, but where a majority restarts at once nothing runs any more; \
             set appendonly yes and appendfsync always"
                .to_owned(),
        ),
        (_, Some(save)) if save.is_empty() => warn(
            "persistence is off (no append-only file, no snapshots): after a restart Redis has \
             forgotten every slot, and they can run twice; set appendonly yes and \
             appendfsync always"
                .to_owned(),
        ),
        _ => warn(
            "Redis has no append-only file: a crash loses all that was written since the last \
             snapshot, and those slots can run twice; set appendonly yes and appendfsync always"
                .to_owned(),
        ),
    }
    if settings.is_none() {
        warn(
            "how Redis writes to disk could not be checked (CONFIG GET is forbidden); see that \
             appendfsync is always, or allow +config|get to the Redis user"
                .to_owned(),
        );
    }
    warnings
}

/// Pure, too: what is wrong with a server that is to be the whole store.
fn misplaced(info: &str) -> Vec<Warning> {
    let fields = fields(info);
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    let mut warnings = Vec::new();
    let mut warn = |text: &str| warnings.push(Warning(text.to_owned()));
    if field("role") == "slave" {
        warn(
            "this Redis is a replica, where writes are refused or lost; point `store` at the \
             primary, or use redis+sentinel://",
        );
    }
    if field("cluster_enabled") == "1" {
        warn("this is a server of a Redis Cluster, reached as a single one; use redis+cluster://");
    }
    warnings
}

/// Pure, too: what is wrong with waiting for so many replicas of a master.
fn miscounted(info: &str, min_acks: u32) -> Option<Warning> {
    let fields = fields(info);
    if fields.get("role") == Some(&"slave") {
        return None;
    }
    let replicas = fields.get("connected_slaves")?.parse().ok()?;
    about_acks(min_acks, replicas).map(Warning)
}

/// What is wrong with so many acknowledgements of so many replicas.
fn about_acks(min_acks: u32, replicas: u32) -> Option<String> {
    match (min_acks, replicas) {
        (needed, there) if needed == there => None,
        (0, there) => Some(format!(
            "Redis has {there} connected replicas and min_acks is 0: a failover can forget what \
             was acknowledged, and those slots can run twice; set min_acks = {there}"
        )),
        (needed, there) if needed > there => Some(format!(
            "min_acks is {needed} and Redis has {there} connected replicas: no claim counts, and \
             nothing runs until there are {needed}; connect them, or lower min_acks"
        )),
        (needed, there) => Some(format!(
            "min_acks is {needed} and Redis has {there} connected replicas: one that lacks the \
             latest claims can become the master, and those slots can run twice; set \
             min_acks = {there}"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "redis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n\
                        aof_enabled:1\r\nrole:master\r\ncluster_enabled:0\r\n";

    fn settings(save: &str, fsync: &str) -> HashMap<String, String> {
        [("save", save), ("appendfsync", fsync)].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn a_good_server_gets_no_warning() {
        assert_eq!(warnings(GOOD, Some(&settings("", "always")), Place::Alone), []);
    }

    #[test]
    fn safe_are_as_many_acknowledgements_as_there_are_replicas() {
        for (min_acks, replicas, expected) in [
            (0, 0, None),
            (2, 2, None),
            (0, 2, Some("set min_acks = 2")),
            (1, 2, Some("set min_acks = 2")),
            (2, 1, Some("nothing runs until there are 2")),
            (1, 0, Some("nothing runs until there are 1")),
        ] {
            let info = format!("{GOOD}connected_slaves:{replicas}\r\n");
            let found = miscounted(&info, min_acks);
            assert_eq!(found.is_some(), expected.is_some(), "{found:?}");
            let told = found.map_or(String::new(), |warning| warning.0);
            assert!(expected.is_none_or(|text| told.contains(text)), "{told}");
        }
    }

    #[test]
    fn each_danger_gets_its_warning_with_the_remedy() {
        for (bad, save, fsync, expected) in [
            (("noeviction", "allkeys-lru"), "", "always", "set maxmemory-policy noeviction"),
            (("aof_enabled:1", "aof_enabled:0"), "", "always", "set appendonly yes"),
            (("aof_enabled:1", "aof_enabled:0"), "60 1", "always", "since the last snapshot"),
            (("master", "master"), "", "everysec", "up to one second"),
            (("master", "master"), "", "no", "half a minute"),
            (("master", "slave"), "", "always", "is a replica"),
            (("cluster_enabled:0", "cluster_enabled:1"), "", "always", "redis+cluster://"),
        ] {
            let info = GOOD.replace(bad.0, bad.1);
            let mut found = warnings(&info, Some(&settings(save, fsync)), Place::Alone);
            found.extend(misplaced(&info));
            assert_eq!(found.len(), 1, "{bad:?}: {found:?}");
            assert!(found[0].0.contains(expected), "{found:?}");
        }
    }

    #[test]
    fn a_server_of_a_quorum_may_forget_if_the_others_do_not() {
        let info = GOOD.replace("aof_enabled:1", "aof_enabled:0");
        let found = warnings(&info, Some(&settings("", "always")), Place::InQuorum);
        assert!(found.len() == 1 && found[0].0.contains("where a majority restarts"), "{found:?}");
    }

    #[test]
    fn what_could_not_be_checked_is_said() {
        let found = warnings(GOOD, None, Place::Alone);
        assert!(found.len() == 1 && found[0].0.contains("could not be checked"), "{found:?}");
    }

    #[test]
    fn servers_before_6_2_are_too_old() {
        for (version, old) in [
            ("5.0.14", true),
            ("6.0.16", true),
            ("6.2.0", false),
            ("7.0.15", false),
            ("10.1.0", false),
        ] {
            let info = format!("# Server\r\nredis_version:{version}\r\nos:Linux\r\n");
            assert_eq!(too_old(&info).is_some(), old, "{version}");
        }
        assert!(too_old("redis_version:5.0.14").unwrap().contains("Redis 5.0.14 is too old"));
        assert_eq!(too_old(""), None);
    }
}
