//! How to reach a Redis server.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::name::{ClusterName, NodeName};

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
}

/// Whom to trust, and as whom to show up.
#[derive(Debug, Clone, Default)]
pub struct TlsOptions {
    /// The certificates that the server's must descend from; the system's where absent.
    pub ca: Option<Pem>,
    /// The client's certificate, with those that lead to its root.
    pub cert: Option<Pem>,
    /// The key of the client's certificate.
    pub key: Option<Pem>,
}

/// Something in PEM format.
#[derive(Clone)]
pub enum Pem {
    /// The text itself.
    Text(Vec<u8>),
    /// A file with it, read at every connect, so that it may be renewed.
    File(PathBuf),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("PEM"),
            Self::File(path) => path.fmt(f),
        }
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
            .finish()
    }
}

/// The URL without credentials: `redis://127.0.0.1:6379/0`.
impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.address {
            Address::Tcp { host, port, tls } => {
                let scheme = if tls.is_some() { "rediss" } else { "redis" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}/{}", self.database)
            }
            Address::Unix(path) => {
                write!(f, "redis+unix://{}", path.display())?;
                if self.database == 0 { Ok(()) } else { write!(f, "?db={}", self.database) }
            }
        }
    }
}

impl Options {
    /// What `CLIENT LIST` shows: `solocron/web-1`.
    pub(super) fn client_name(&self) -> String {
        let who = self.node.as_ref().map_or(self.cluster.as_str(), NodeName::as_str);
        format!("solocron/{who}")
    }

    /// `text` without the password, should it be in there.
    pub(super) fn scrub(&self, text: String) -> String {
        match &self.password {
            Some(password) if !password.is_empty() && text.contains(password.as_str()) => {
                text.replace(password.as_str(), "***")
            }
            _ => text,
        }
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
    }
}
