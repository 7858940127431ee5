//! The address from which somebody asks.

use std::net::{IpAddr, Ipv4Addr};

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;

/// See the module's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Client(pub(crate) IpAddr);

impl Client {
    /// Who sends `headers` from `peer`: behind a proxy, who the proxy says.
    pub(crate) fn of(peer: IpAddr, headers: &HeaderMap, behind_proxy: bool) -> Self {
        // The last one was put in by the proxy itself; those before are hearsay.
        let forwarded = || {
            let line = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
            line.rsplit(',').next()?.trim().parse().ok()
        };
        Self(if behind_proxy { forwarded().unwrap_or(peer) } else { peer })
    }
}

impl<S: Sync> FromRequestParts<S> for Client {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // The first layer puts it in.
        let known = parts.extensions.get::<Self>().copied();
        Ok(known.unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_proxy_the_last_address_counts_and_else_none() {
        let peer: IpAddr = "10.0.0.1".parse().unwrap();
        for (line, behind_proxy, who) in [
            ("1.2.3.4", false, "10.0.0.1"),
            ("1.2.3.4", true, "1.2.3.4"),
            ("6.6.6.6, 1.2.3.4", true, "1.2.3.4"),
            ("nonsense", true, "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            headers.append("x-forwarded-for", line.parse().unwrap());
            let client = Client::of(peer, &headers, behind_proxy);
            assert_eq!(client.0.to_string(), who, "{line}");
        }
        assert_eq!(Client::of(peer, &HeaderMap::new(), true).0, peer);
    }
}
