//! How to reach a Redis server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::name::{ClusterName, NodeName};
pub use crate::tls::{Pem, TlsOptions};

/// How to reach one Redis or Valkey server, and as whom.
#[derive(Clone)]
pub struct Options {
    /// Where it listens.
    pub address: Address,
    /// The number of the database.
    pub database: u32,
    /// The ACL user; the server's default user where there is none.
    pub username: Option<String>,
    /// The password; shown nowhere.
    pub password: Option<String>,
    /// The cluster: every key begins with its name.
    pub cluster: ClusterName,
    /// The node, for the name that `CLIENT LIST` shows.
    pub node: Option<NodeName>,
    /// How long one round trip may take; also how long a call waits for the first
    /// connection.
    pub timeout: Duration,
    /// How many replicas must have a claim, a renewal or the end of a slot before it
    /// counts; 0 is as soon as the server itself has it.
    pub min_acks: u32,
}

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// On a port.
    Tcp {
        /// Name or IP address.
        host: String,
        /// The port.
        port: u16,
        /// TLS, where the connection is to be encrypted.
        tls: Option<TlsOptions>,
    },
    /// On a socket in the file system.
    Unix(PathBuf),
    /// Wherever its sentinels say that the master is.
    Sentinel(Sentinels),
}

/// Which sentinels to ask for which master.
#[derive(Clone)]
pub struct Sentinels {
    /// Names or IP addresses, and ports; one at least.
    pub servers: Vec<(String, u16)>,
    /// What they call the master.
    pub master: String,
    /// The sentinels' ACL user; their default user where there is none.
    pub username: Option<String>,
    /// The sentinels' password; shown nowhere.
    pub password: Option<String>,
    /// TLS, to the sentinels and to the master, where it is to be encrypted.
    pub tls: Option<TlsOptions>,
}

impl fmt::Debug for Sentinels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sentinels")
            .field("servers", &self.servers)
            .field("master", &self.master)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("tls", &self.tls)
            .finish()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("address", &self.address)
            .field("database", &self.database)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("cluster", &self.cluster)
            .field("node", &self.node)
            .field("timeout", &self.timeout)
            .field("min_acks", &self.min_acks)
            .finish()
    }
}

/// The URL without credentials: `redis://127.0.0.1:6379/0`.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port, tls } => {
                let scheme = if tls.is_some() { "rediss" } else { "redis" };
                write!(f, "{scheme}://{}/{}", server(host, *port), self.database)
            }
            Address::Unix(path) => {
                write!(f, "redis+unix://{}", path.display())?;
                if self.database == 0 { Ok(()) } else { write!(f, "?db={}", self.database) }
            }
            Address::Sentinel(of) => {
                let scheme = if of.tls.is_some() { "rediss" } else { "redis" };
                let servers: Vec<_> =
                    of.servers.iter().map(|(host, port)| server(host, *port)).collect();
                let (servers, master) = (servers.join(","), &of.master);
                write!(f, "{scheme}+sentinel://{servers}/{master}/{}", self.database)
            }
        }
    }
}

/// A host and a port, as a URL writes them.
pub(super) fn server(host: &str, port: u16) -> String {
    let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
    format!("{open}{host}{close}:{port}")
}

impl Options {
    /// Whether sentinels say where the server is.
    pub(super) fn has_sentinels(&self) -> bool {
        matches!(self.address, Address::Sentinel(_))
    }

    /// What `CLIENT LIST` shows: `solocron/web-1`.
    pub(super) fn client_name(&self) -> String {
        let who = self.node.as_ref().map_or(self.cluster.as_str(), NodeName::as_str);
        format!("solocron/{who}")
    }

    /// `text` without the passwords, should one be in there.
    pub(super) fn scrub(&self, mut text: String) -> String {
        let of_sentinels = match &self.address {
            Address::Sentinel(of) => of.password.as_deref(),
            Address::Tcp { .. } | Address::Unix(_) => None,
        };
        for password in [self.password.as_deref(), of_sentinels].into_iter().flatten() {
            if !password.is_empty() && text.contains(password) {
                text = text.replace(password, "***");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(address: Address) -> Options {
        Options {
            address,
            database: 3,
            username: Some("cron".to_owned()),
            password: Some("hunter2".to_owned()),
            cluster: ClusterName::new("prod").unwrap(),
            node: None,
            timeout: Duration::from_millis(500),
            min_acks: 0,
        }
    }

    #[test]
    fn the_password_is_in_neither_text() {
        let options = options(Address::Tcp { host: "::1".to_owned(), port: 6379, tls: None });
        assert_eq!(options.to_string(), "redis://[::1]:6379/3");
        assert!(!format!("{options:?}").contains("hunter2"));
        assert_eq!(options.scrub("no hunter2 here".to_owned()), "no *** here");
    }

    #[test]
    fn every_address_reads_as_a_url() {
        let tls = Some(TlsOptions::default());
        let address = Address::Tcp { host: "r.example".to_owned(), port: 6380, tls };
        assert_eq!(options(address).to_string(), "rediss://r.example:6380/3");
        let address = Address::Unix("/run/redis.sock".into());
        assert_eq!(options(address).to_string(), "redis+unix:///run/redis.sock?db=3");
        let url = "redis+sentinel://s1:26379,[::1]:26380/main/3";
        assert_eq!(options(Address::Sentinel(sentinels())).to_string(), url);
    }

    fn sentinels() -> Sentinels {
        Sentinels {
            servers: vec![("s1".to_owned(), 26379), ("::1".to_owned(), 26380)],
            master: "main".to_owned(),
            username: None,
            password: Some("watchword".to_owned()),
            tls: None,
        }
    }

    #[test]
    fn the_password_of_the_sentinels_is_in_neither_text() {
        let options = options(Address::Sentinel(sentinels()));
        assert!(!format!("{options} {options:?}").contains("watchword"));
        let text = "hunter2 and watchword".to_owned();
        assert_eq!(options.scrub(text), "*** and ***");
    }
}
