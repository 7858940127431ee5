//! What one server says of itself and the others in its answer to `CLUSTER NODES`.

use crate::store::redis::cluster::map::{Map, host_or};
use crate::store::redis::cluster::options::Endpoint;

/// See the module's head.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Nodes {
    /// What the server is called by the others.
    pub(super) own: String,
    /// The hash slots that are moving to it and from it.
    pub(super) importing: Vec<u16>,
    pub(super) migrating: Vec<u16>,
    /// All masters that the cluster does not hold for failed, also those with no hash slot.
    pub(super) masters: Vec<Master>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Master {
    pub(super) id: String,
    pub(super) at: Endpoint,
}

/// One line: `ID IP:PORT@BUS,NAME FLAGS …`.
struct Line<'a> {
    id: &'a str,
    host: &'a str,
    port: u16,
    name: &'a str,
    flags: Vec<&'a str>,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let (id, place, flags) = (words.next()?, words.next()?, words.next()?);
        let mut places = place.split(',');
        let address = places.next()?.split('@').next()?;
        let (host, port) = address.rsplit_once(':')?;
        let name = places.next().unwrap_or_default();
        let flags = flags.split(',').collect();
        Some(Self { id, host, port: port.parse().ok()?, name, flags, text })
    }

    fn is_living_master(&self) -> bool {
        let gone = ["fail", "handshake", "noaddr"];
        self.flags.contains(&"master") && !self.flags.iter().any(|flag| gone.contains(flag))
    }
}

impl Nodes {
    /// Reads what the server `asked` says; its `map` tells whether they go by their names.
    pub(super) fn read(asked: &Endpoint, nodes: &str, map: &Map) -> Self {
        let lines: Vec<_> = nodes.lines().filter_map(Line::read).collect();
        let servers = map.servers();
        let named = |line: &Line<'_>| {
            !line.name.is_empty() && servers.iter().any(|server| server.host == line.name)
        };
        let by_name = lines.iter().any(named);
        let mut read = Self::default();
        for line in &lines {
            if line.is_living_master() {
                let host = if by_name && !line.name.is_empty() { line.name } else { line.host };
                let at = Endpoint { host: host_or(asked, host), port: line.port };
                read.masters.push(Master { id: line.id.to_owned(), at });
            }
            if line.flags.contains(&"myself") {
                read.own = line.id.to_owned();
                read.take_moves(line.text);
            }
        }
        read
    }

    /// Behind its own line stand `[93-<-ID]` and `[93->-ID]`.
    fn take_moves(&mut self, line: &str) {
        for word in line.split(' ').filter_map(|word| word.strip_prefix('[')) {
            let slot =
                |way: &str| word.split_once(way).and_then(|(slot, _)| slot.parse::<u16>().ok());
            self.importing.extend(slot("-<-"));
            self.migrating.extend(slot("->-"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "aa 10.0.0.2:6379@16379,b.example master - 0 1 2 connected 5461-10922 [5-<-zz]\n\
                         bb :6380@16380 myself,master - 0 0 1 connected 0-5460 [93->-aa] \
                         [7000-<-aa] [7001-<-aa]\n\
                         cc 10.0.0.3:6379@16379 slave aa 0 0 1 connected\n\
                         dd 10.0.0.4:6379@16379 master,fail - 0 0 1 disconnected\n\
                         ee 10.0.0.5:6379@16379,,shard-id=1 master,fail? - 0 0 1 connected\n";

    fn server(host: &str, port: u16) -> Endpoint {
        Endpoint { host: host.to_owned(), port }
    }

    fn masters(map: &Map) -> Vec<String> {
        let nodes = Nodes::read(&server("seed", 1), NODES, map);
        nodes.masters.iter().map(|master| format!("{} {}", master.id, master.at)).collect()
    }

    #[test]
    fn a_server_tells_what_moves_to_it_and_from_it() {
        let nodes = Nodes::read(&server("seed", 1), NODES, &Map::default());
        assert_eq!(nodes.own, "bb");
        assert_eq!((nodes.importing, nodes.migrating), (vec![7000, 7001], vec![93]));
        assert_eq!(Nodes::read(&server("seed", 1), "", &Map::default()), Nodes::default());
    }

    #[test]
    fn it_names_the_masters_that_are_not_held_for_failed_as_its_map_does() {
        let by_address = ["aa 10.0.0.2:6379", "bb seed:6380", "ee 10.0.0.5:6379"];
        assert_eq!(masters(&Map::default()), by_address);
        let by_name = ["aa b.example:6379", "bb seed:6380", "ee 10.0.0.5:6379"];
        assert_eq!(masters(&Map::of_one(server("b.example", 6379))), by_name);
    }
}
