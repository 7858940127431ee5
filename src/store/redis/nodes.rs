//! Heartbeats: `BOOT EXPIRES STARTED KEEP DRAINING TABLE VERSION RUNNING SKEW`, one for
//! each node. The last two came later: they may be missing, and are `-` where not known.

use std::time::Duration;

use crate::clock::ClusterTime;
use crate::name::NodeName;
use crate::node::{BootId, Heartbeat, HeartbeatReply};
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::record::word;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::{reply, scripts};
use crate::store::{Result, StoreError};

pub(super) async fn heartbeat(
    link: &impl Server,
    keys: &Keys,
    heartbeat: &Heartbeat,
) -> Result<HeartbeatReply> {
    let keep = millis(heartbeat.keep);
    let mut call = scripts::HEARTBEAT.call(&[&keys.nodes()]);
    call.arg(heartbeat.node.as_str())
        .arg(heartbeat.boot.to_string())
        .arg(keep)
        .arg(&heartbeat.table)
        .arg(format!(
            "{} {keep} {} {} {} {} {}",
            heartbeat.started_at.unix_micros(),
            u8::from(heartbeat.draining),
            heartbeat.table,
            heartbeat.version,
            or_dash(heartbeat.running),
            or_dash(heartbeat.skew_ms),
        ));
    let answer = link.ask(Purpose::Write, call).await?;
    let mut pairs = reply::pairs(answer)?.into_iter();
    let (now, replaced) =
        pairs.next().ok_or_else(|| reply::corrupt("the answer to a heartbeat"))?;
    let now = now.parse().map_err(|_| reply::corrupt("a time"))?;
    let replaced = match replaced.as_str() {
        "" => None,
        boot => Some(boot.parse().map_err(|_| reply::corrupt("a boot id"))?),
    };
    let named = |(node, table): (String, String)| {
        Ok((node.parse().map_err(|_| reply::corrupt("the name of a node"))?, table))
    };
    let mut differing = pairs.map(named).collect::<Result<Vec<_>>>()?;
    differing.sort();
    Ok(HeartbeatReply { now: ClusterTime::from_unix_micros(now), replaced, differing })
}

pub(super) async fn nodes(link: &impl Server, keys: &Keys) -> Result<Vec<Heartbeat>> {
    let call = scripts::NODES.call(&[&keys.nodes()]);
    let lines = reply::pairs(link.ask(Purpose::Write, call).await?)?;
    let mut nodes = Vec::with_capacity(lines.len());
    for (node, line) in lines {
        let heartbeat = read(&node, &line).ok_or_else(|| {
            StoreError::Corrupt(format!("{line:?} is not the heartbeat of a node"))
        })?;
        nodes.push(heartbeat);
    }
    nodes.sort_by(|a, b| a.node.cmp(&b.node));
    Ok(nodes)
}

pub(super) async fn leave(
    link: &impl Server,
    keys: &Keys,
    node: &NodeName,
    boot: BootId,
) -> Result<()> {
    let mut call = scripts::LEAVE.call(&[&keys.nodes()]);
    call.arg(node.as_str()).arg(boot.to_string());
    link.ask(Purpose::Write, call).await.map(drop)
}

fn read(node: &str, line: &str) -> Option<Heartbeat> {
    let mut words = line.split(' ');
    let boot = word(&mut words)?;
    let expires: i64 = word(&mut words)?;
    let started_at = ClusterTime::from_unix_micros(word(&mut words)?);
    let keep = Duration::from_millis(word(&mut words)?);
    let heard_at = ClusterTime::from_unix_millis(expires) - keep;
    let draining = words.next()? == "1";
    let table = words.next()?.to_owned();
    let version = words.next()?.to_owned();
    let running = words.next().and_then(|word| word.parse().ok());
    let skew_ms = words.next().and_then(|word| word.parse().ok());
    let node = node.parse().ok()?;
    Some(Heartbeat {
        node,
        boot,
        started_at,
        version,
        table,
        draining,
        running,
        skew_ms,
        keep,
        heard_at,
    })
}

fn or_dash(number: Option<impl ToString>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_of_an_older_version_is_read_without_what_it_does_not_say() {
        let line =
            "0193f7a1-7b1c-4000-8000-0123456789ab 17 1795316400000123 15000 0 00c0ffee 0.1.0";
        let old = read("web-1", line).unwrap();
        assert_eq!((old.version.as_str(), old.running, old.skew_ms), ("0.1.0", None, None));
        let new = read("web-1", &format!("{line} 3 -12")).unwrap();
        assert_eq!((new.version.as_str(), new.running, new.skew_ms), ("0.1.0", Some(3), Some(-12)));
        assert_eq!(read("web-1", &format!("{line} 3 -")).unwrap().skew_ms, None);
    }
}
