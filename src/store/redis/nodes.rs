//! Heartbeats: `BOOT EXPIRES STARTED KEEP DRAINING TABLE VERSION`, one for each node.

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
            "{} {keep} {} {} {}",
            heartbeat.started_at.unix_micros(),
            u8::from(heartbeat.draining),
            heartbeat.table,
            heartbeat.version,
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
    let mut words = line.splitn(7, ' ');
    let boot = word(&mut words)?;
    let _expires: i64 = word(&mut words)?;
    let started_at = ClusterTime::from_unix_micros(word(&mut words)?);
    let keep = Duration::from_millis(word(&mut words)?);
    let draining = words.next()? == "1";
    let table = words.next()?.to_owned();
    let version = words.next()?.to_owned();
    Some(Heartbeat { node: node.parse().ok()?, boot, started_at, version, table, draining, keep })
}
