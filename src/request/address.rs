//! Where a request goes.

use std::fmt;

use hyper::Uri;

/// A URL of `http` or `https`. Its path and its query may be secret: only the server is
/// printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    secure: bool,
    host: Box<str>,
    port: Option<u16>,
    path: Box<str>,
}

impl Address {
    /// Reads `text`.
    ///
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let uri: Uri = text.parse().map_err(|_| "this is not a URL")?;
        let secure = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err("a URL here is of http or https"),
            None => return Err("a URL begins with http:// or https://"),
        };
        let authority = uri.authority().ok_or("this URL names no server")?;
        if authority.as_str().contains('@') {
            return Err("a user in a URL is not sent: give an `Authorization` header");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("this URL names no server");
        }
        let after_host = authority.as_str().rsplit(']').next().unwrap_or_default();
        if authority.port().is_none() && after_host.contains(':') {
            return Err("this URL has a port that is no number");
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok(Self { secure, host: host.into(), port: authority.port_u16(), path })
    }

    /// Whether it is `https`.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// The server's name or IP address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The server's port.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(if self.secure { 443 } else { 80 })
    }

    /// Path and query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Host, and port where one is given, as `Host` says it.
    pub(super) fn authority(&self) -> String {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        match self.port {
            Some(port) => format!("{open}{}{close}:{port}", self.host),
            None => format!("{open}{}{close}", self.host),
        }
    }
}

/// The server alone.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.authority())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}/***", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_server_and_a_path() {
        for (text, secure, host, port, path, authority) in [
            ("http://a.example", false, "a.example", 80, "/", "a.example"),
            ("https://a.example/x?y=z", true, "a.example", 443, "/x?y=z", "a.example"),
            ("https://a.example:8443?y", true, "a.example", 8443, "/?y", "a.example:8443"),
            ("http://[::1]:80/#part", false, "::1", 80, "/", "[::1]:80"),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.is_secure(), address.host()), (secure, host), "{text}");
            assert_eq!((address.port(), address.path()), (port, path), "{text}");
            assert_eq!(address.to_string(), authority, "{text}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_refused_in_words() {
        for text in [
            "",
            "a.example",
            "/x",
            "ftp://a.example",
            "http://",
            "http:///x",
            "http://ada:pw@a.example",
            "http://a.example:port",
            "http://a b",
            "https://a.example/ü ",
        ] {
            assert!(Address::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn path_and_query_are_not_printed() {
        let address = Address::parse("https://hooks.example/T0/hunter2?token=hunter3").unwrap();
        assert_eq!(format!("{address} {address:?}"), "hooks.example https://hooks.example/***");
    }
}
