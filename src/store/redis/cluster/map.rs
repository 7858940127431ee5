//! Which server has which hash slots, as one server tells it.

use redis::Value;

use crate::store::Result;
use crate::store::redis::cluster::options::Endpoint;
use crate::store::redis::reply;

/// What one server says of its cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Map {
    /// Grows with every change that the servers agreed on: of two maps the one with
    /// the larger is the newer.
    pub(super) epoch: u64,
    /// Whether the server serves at all: not where it sees the minority.
    pub(super) is_up: bool,
    ranges: Vec<Range>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    first: u16,
    last: u16,
    master: Endpoint,
    replicas: Vec<Endpoint>,
}

impl Map {
    /// Reads the answers to `CLUSTER INFO` and `CLUSTER SLOTS` of the server `asked`.
    pub(super) fn read(asked: &Endpoint, info: &str, slots: Value) -> Result<Self> {
        let field = |name: &str| {
            let lines = info.lines().filter_map(|line| line.trim_end().split_once(':'));
            lines.into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
        };
        let epoch = field("cluster_current_epoch").and_then(|epoch| epoch.parse().ok());
        let ranges = reply::list(slots)?.into_iter().map(|range| read_range(asked, range));
        Ok(Self {
            epoch: epoch.ok_or_else(|| reply::corrupt("the state of a cluster"))?,
            is_up: field("cluster_state") == Some("ok"),
            ranges: ranges.collect::<Result<_>>()?,
        })
    }

    /// The master that has this hash slot.
    pub(super) fn owner(&self, hash_slot: u16) -> Option<&Endpoint> {
        self.range_of(hash_slot).map(|range| &range.master)
    }

    /// Whether the master that has it has a replica.
    pub(super) fn has_replica(&self, hash_slot: u16) -> bool {
        self.range_of(hash_slot).is_some_and(|range| !range.replicas.is_empty())
    }

    fn range_of(&self, hash_slot: u16) -> Option<&Range> {
        self.ranges.iter().find(|range| (range.first..=range.last).contains(&hash_slot))
    }

    /// A map on which one server has everything.
    #[cfg(test)]
    pub(super) fn of_one(master: Endpoint) -> Self {
        let all = Range { first: 0, last: u16::MAX, master, replicas: Vec::new() };
        Self { ranges: vec![all], ..Self::default() }
    }

    /// Every server that is named, masters first.
    pub(super) fn servers(&self) -> Vec<Endpoint> {
        let masters = self.ranges.iter().map(|range| &range.master);
        let replicas = self.ranges.iter().flat_map(|range| &range.replicas);
        let mut servers: Vec<Endpoint> = Vec::new();
        for server in masters.chain(replicas) {
            if !servers.contains(server) {
                servers.push(server.clone());
            }
        }
        servers
    }
}

fn read_range(asked: &Endpoint, range: Value) -> Result<Range> {
    let mut parts = reply::list(range)?.into_iter();
    let mut number = || {
        let number = parts.next().map(reply::integer).transpose()?;
        let number = number.and_then(|number| u16::try_from(number).ok());
        number.ok_or_else(|| reply::corrupt("a range of hash slots"))
    };
    let (first, last) = (number()?, number()?);
    let mut servers = parts.map(|server| read_server(asked, server)).collect::<Result<Vec<_>>>()?;
    if servers.is_empty() {
        return Err(reply::corrupt("the server of a range of hash slots"));
    }
    let master = servers.remove(0);
    Ok(Range { first, last, master, replicas: servers })
}

fn read_server(asked: &Endpoint, server: Value) -> Result<Endpoint> {
    let mut parts = reply::list(server)?.into_iter();
    let host = parts.next().map(reply::optional_text).transpose()?.flatten().unwrap_or_default();
    let port = parts.next().map(reply::integer).transpose()?;
    let port = port.and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(|| reply::corrupt("the port of a server"))?;
    Ok(Endpoint { host: host_or(asked, &host), port })
}

/// A server that does not know its own name is found where it was asked.
pub(super) fn host_or(asked: &Endpoint, host: &str) -> String {
    match host {
        "" | "?" => asked.host.clone(),
        host => host.to_owned(),
    }
}

/// Where an error `MOVED 2994 10.0.0.2:6379` or `ASK …` of the server `asked` sends us.
pub(super) fn target(asked: &Endpoint, details: &str) -> Option<Endpoint> {
    let (host, port) = details.split(' ').nth(1)?.rsplit_once(':')?;
    let host = host_or(asked, host.trim_start_matches('[').trim_end_matches(']'));
    Some(Endpoint { host, port: port.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port }
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn range(first: i64, last: i64, servers: &[(&str, i64)]) -> Value {
        let server = |&(host, port): &(&str, i64)| {
            Value::Array(vec![text(host), Value::Int(port), text("id"), Value::Array(Vec::new())])
        };
        let mut parts = vec![Value::Int(first), Value::Int(last)];
        parts.extend(servers.iter().map(server));
        Value::Array(parts)
    }

    const INFO: &str = "cluster_state:ok\r\ncluster_current_epoch:7\r\n";

    #[test]
    fn a_map_tells_the_master_of_a_hash_slot_and_whether_it_has_a_replica() {
        let slots = Value::Array(vec![
            range(0, 99, &[("10.0.0.1", 6379), ("10.0.0.3", 6379)]),
            range(100, 16_383, &[("", 6380)]),
        ]);
        let map = Map::read(&server("seed", 1), INFO, slots).unwrap();
        assert_eq!((map.epoch, map.is_up), (7, true));
        assert_eq!(map.owner(99), Some(&server("10.0.0.1", 6379)));
        assert_eq!(map.owner(100), Some(&server("seed", 6380)), "no name: where it was asked");
        assert!(map.has_replica(0) && !map.has_replica(16_383));
        let all = [server("10.0.0.1", 6379), server("seed", 6380), server("10.0.0.3", 6379)];
        assert_eq!(map.servers(), all);
    }

    #[test]
    fn a_hash_slot_that_nobody_has_has_no_master() {
        let slots = Value::Array(vec![range(5, 9, &[("a", 1)])]);
        let map = Map::read(&server("a", 1), "cluster_current_epoch:0", slots).unwrap();
        assert!(!map.is_up);
        assert_eq!((map.owner(4), map.owner(10)), (None, None));
    }

    #[test]
    fn what_is_no_map_is_corrupt() {
        let asked = server("a", 1);
        let no_port = Value::Array(vec![Value::Array(vec![text("a")])]);
        for slots in [Value::Int(1), Value::Array(vec![Value::Int(1)]), no_port] {
            assert!(Map::read(&asked, INFO, slots).is_err());
        }
        assert!(Map::read(&asked, "", Value::Array(Vec::new())).is_err());
    }

    #[test]
    fn redirections_are_read_whatever_kind_of_address_they_name() {
        let asked = server("10.0.0.9", 1);
        let to = |details| target(&asked, details);
        assert_eq!(to("2994 10.0.0.2:6379"), Some(server("10.0.0.2", 6379)));
        assert_eq!(to("2994 redis-2.example:6379"), Some(server("redis-2.example", 6379)));
        assert_eq!(to("2994 ::1:6379"), Some(server("::1", 6379)));
        assert_eq!(to("2994 :6380"), Some(server("10.0.0.9", 6380)));
        assert_eq!(to("2994"), None);
        assert_eq!(to("2994 a:x"), None);
    }
}
