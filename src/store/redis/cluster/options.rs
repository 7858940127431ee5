//! How to reach a Redis Cluster.

use std::fmt;
use std::time::Duration;

use crate::name::{ClusterName, NodeName};
use crate::store::redis::options::{Address, Options, TlsOptions};

/// Where one server of a Redis Cluster listens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// Name or IP address.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.host, self.port)
    }
}

/// How to reach a Redis Cluster, and as whom.
#[derive(Clone)]
pub struct ClusterOptions {
    /// Some of its servers; the others are learnt from them.
    pub seeds: Vec<Endpoint>,
    /// TLS, where the connections are to be encrypted.
    pub tls: Option<TlsOptions>,
    /// The ACL user; the servers' default user where there is none.
    pub username: Option<String>,
    /// The password; shown nowhere.
    pub password: Option<String>,
    /// The cluster of nodes: every key begins with its name.
    pub cluster: ClusterName,
    /// The node, for the name that `CLIENT LIST` shows.
    pub node: Option<NodeName>,
    /// How long a call may take.
    pub timeout: Duration,
    /// How many replicas of its master must have a claim, a renewal or the end of a slot
    /// before it counts; 0 is as soon as the master itself has it.
    pub min_acks: u32,
}

impl ClusterOptions {
    /// How to reach one of its servers.
    pub(super) fn of(&self, server: &Endpoint) -> Options {
        Options {
            address: Address::Tcp {
                host: server.host.clone(),
                port: server.port,
                tls: self.tls.clone(),
            },
            database: 0,
            username: self.username.clone(),
            password: self.password.clone(),
            cluster: self.cluster.clone(),
            node: self.node.clone(),
            timeout: self.timeout,
            min_acks: self.min_acks,
        }
    }

    /// The same, to ask it something, and no more.
    pub(super) fn only_to_ask(&self, server: &Endpoint) -> Options {
        Options { min_acks: 0, ..self.of(server) }
    }
}

impl fmt::Debug for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterOptions")
            .field("seeds", &self.seeds)
            .field("tls", &self.tls)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("timeout", &self.timeout)
            .field("min_acks", &self.min_acks)
            .finish()
    }
}

/// The URL without credentials: `redis+cluster://10.0.0.1:6379,10.0.0.2:6379`.
impl fmt::Display for ClusterOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls.is_some() { "rediss" } else { "redis" };
        let seeds: Vec<_> = self.seeds.iter().map(Endpoint::to_string).collect();
        write!(f, "{scheme}+cluster://{}", seeds.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_in_neither_text() {
        let seed = |host: &str, port| Endpoint { host: host.to_owned(), port };
        let options = ClusterOptions {
            seeds: vec![seed("::1", 6379), seed("b.example", 7000)],
            tls: Some(TlsOptions::default()),
            username: Some("cron".to_owned()),
            password: Some("hunter2".to_owned()),
            cluster: ClusterName::new("prod").unwrap(),
            node: None,
            timeout: Duration::from_millis(500),
            min_acks: 1,
        };
        assert_eq!(options.to_string(), "rediss+cluster://[::1]:6379,b.example:7000");
        assert!(!format!("{options:?}").contains("hunter2"));
        let server = options.of(&options.seeds[1]);
        assert_eq!(
            (server.to_string().as_str(), server.min_acks),
            ("rediss://b.example:7000/0", 1)
        );
    }
}
