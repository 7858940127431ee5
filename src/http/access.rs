//! Who asks, and what they may.
//!
//! Invariants:
//!
//! - Where tokens are configured, nothing of the cluster is told and nothing is done
//!   without one: in `Authorization: Bearer`, or by a session that began with one.
//! - Where none is (then the address is loopback's, or the config is refused), everybody on
//!   this machine may do everything, but no foreign page in their browser: the request must
//!   be for a name of this machine, so that a name that was rebound to it is none.
//! - What changes something comes from no foreign page, however it proves who asks; by a
//!   session it also needs the header `X-Solocron`, which no form can send.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::{HeaderMap, Method, StatusCode, Uri, header};

use super::problem::Problem;
use super::session::Sessions;
use super::token::{Hash, Role};
use super::tokens::Tokens;
use crate::clock::BootInstant;
use crate::config::HttpConfig;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The token's name.
    pub(crate) name: Arc<str>,
    /// What they may.
    pub(crate) role: Role,
}

/// The name of who asks where there are no tokens.
pub(crate) const ANYBODY: &str = "anybody";

/// The cookie of a session.
pub(crate) const COOKIE: &str = "solocron_session";

/// What no form of a foreign page can send.
pub(crate) const OWN_HEADER: &str = "x-solocron";

/// See the module's head.
#[derive(Debug)]
pub(crate) struct Access {
    tokens: Tokens,
    /// The sessions that have begun.
    pub(crate) sessions: Sessions,
    listens_on: IpAddr,
    /// Whether cookies must not go over the network in the clear.
    pub(crate) secure: bool,
}

impl Access {
    /// As `config` says, for those who have one of `tokens`.
    pub(crate) fn new(config: &HttpConfig, tokens: Tokens) -> Self {
        Self {
            tokens,
            sessions: Sessions::default(),
            listens_on: config.listen.ip(),
            secure: config.tls.is_some() || config.behind_proxy,
        }
    }

    /// Whether everybody who gets here may do everything.
    pub(crate) fn is_open(&self) -> bool {
        self.tokens.now().is_empty()
    }

    /// Whose secret it is. Every token is compared, so that the time does not tell which.
    pub(crate) fn of_secret(&self, secret: &str) -> Option<(Caller, Hash)> {
        let tokens = self.tokens.now();
        let fits = |found: Option<usize>, (place, (_, hash)): (usize, &(Caller, Hash))| {
            if hash.fits(secret) { Some(place) } else { found }
        };
        let place = tokens.iter().enumerate().fold(None, fits)?;
        Some(tokens[place].clone())
    }

    /// Who asks for this.
    ///
    /// # Errors
    /// 401 where nobody is known, 403 where what is asked may come from a foreign page.
    pub(crate) fn caller(&self, method: &Method, headers: &HeaderMap) -> Result<Caller, Problem> {
        if self.is_open() {
            self.check_host(headers)?;
            if !method.is_safe() {
                check_origin(headers)?;
            }
            return Ok(Caller { name: ANYBODY.into(), role: Role::Operator });
        }
        if headers.contains_key(header::AUTHORIZATION) {
            let (caller, _) = bearer(headers)
                .and_then(|secret| self.of_secret(secret))
                .ok_or_else(|| unauthorized("this token is not known"))?;
            if !method.is_safe() {
                check_origin(headers)?;
            }
            return Ok(caller);
        }
        let caller = session(headers)
            .and_then(|id| self.sessions.caller(id, BootInstant::now()))
            .filter(|began_with| self.tokens.now().contains(began_with))
            .map(|(caller, _)| caller)
            .ok_or_else(|| unauthorized("there is no token"))?;
        if !method.is_safe() {
            check_origin(headers)?;
            if !headers.contains_key(OWN_HEADER) {
                return Err(Problem::new(
                    StatusCode::FORBIDDEN,
                    "what changes something needs the header X-Solocron beside a session",
                    "send X-Solocron: 1, or a token in Authorization: Bearer",
                ));
            }
        }
        Ok(caller)
    }

    /// Refuses a name that a foreign page had rebound to this machine.
    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = host(headers).unwrap_or_default();
        let name = host_name(host);
        let ip = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        let is_ours = name.eq_ignore_ascii_case("localhost")
            || ip.is_some_and(|ip| ip.is_loopback() || ip == self.listens_on);
        if is_ours {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            format!("{host:?} is not a name of this machine"),
            "ask for 127.0.0.1 or localhost, or give it tokens ([[http.tokens]])",
        ))
    }
}

fn unauthorized(error: &str) -> Problem {
    Problem::new(
        StatusCode::UNAUTHORIZED,
        error,
        "send a token of [[http.tokens]] as Authorization: Bearer TOKEN, or sign in on the page",
    )
}

/// The token in `Authorization`.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, secret) =
        headers.get(header::AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| secret.trim())
}

/// The id of the session that the cookie names.
pub(crate) fn session(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs =
        cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| name.trim() == COOKIE).map(|(_, id)| id.trim())
}

fn host(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::HOST)?.to_str().ok()
}

/// `host` without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Refuses what a browser says comes from another page than ours.
///
/// # Errors
/// 403.
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Problem> {
    let foreign = || {
        Problem::new(
            StatusCode::FORBIDDEN,
            "this comes from a page of another site",
            "act on solocron's own page, or send a token by a program",
        )
    };
    if let Some(site) = headers.get("sec-fetch-site")
        && site != "same-origin"
        && site != "none"
    {
        return Err(foreign());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok());
    let authority = origin.as_ref().and_then(Uri::authority).map(|at| at.as_str());
    match (authority, host(headers)) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(foreign()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TokenConfig;

    fn access(tokens: &[(&str, Role, &str)]) -> Access {
        let token = |(name, role, secret): &(&str, Role, &str)| TokenConfig {
            name: (*name).to_owned(),
            role: *role,
            hash: Hash::of(secret),
        };
        let config = HttpConfig {
            listen: "127.0.0.1:7878".parse().unwrap(),
            tls: None,
            behind_proxy: false,
            tokens: tokens.iter().map(token).collect(),
        };
        Access::new(&config, Tokens::of(Some(&config)))
    }

    fn asked(access: &Access, method: Method, headers: &[(&'static str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        match access.caller(&method, &map) {
            Ok(caller) => format!("{} {}", caller.name, caller.role),
            Err(problem) => problem.status().as_u16().to_string(),
        }
    }

    #[test]
    fn with_tokens_nobody_comes_in_without_one() {
        let access = access(&[
            ("ada", Role::Viewer, "the secret of ada"),
            ("bob", Role::Operator, "the secret of bob"),
        ]);
        for (headers, who) in [
            (vec![], "401"),
            (vec![("authorization", "Bearer the secret of ada")], "ada viewer"),
            (vec![("authorization", "bearer  the secret of bob ")], "bob operator"),
            (vec![("authorization", "Bearer the secret of eve")], "401"),
            (vec![("authorization", "Bearer ")], "401"),
            (vec![("authorization", "Basic the secret of ada")], "401"),
            (vec![("cookie", "solocron_session=the secret of ada")], "401"),
        ] {
            assert_eq!(asked(&access, Method::GET, &headers), who, "{headers:?}");
        }
    }

    #[test]
    fn a_session_acts_from_our_own_page_alone() {
        let access = access(&[("bob", Role::Operator, "the secret of bob")]);
        let (caller, hash) = access.of_secret("the secret of bob").unwrap();
        let id = access.sessions.begin(caller, hash, BootInstant::now());
        let cookie = format!("a=b; {COOKIE}={id}");
        let (cookie, host, own) =
            (("cookie", cookie.as_str()), ("host", "jobs.example:80"), (OWN_HEADER, "1"));
        for (method, more, who) in [
            (Method::GET, vec![], "bob operator"),
            (Method::POST, vec![], "403"),
            (Method::POST, vec![own], "bob operator"),
            (Method::POST, vec![own, ("origin", "http://jobs.example:80")], "bob operator"),
            (Method::POST, vec![own, ("origin", "http://evil.example")], "403"),
            (Method::POST, vec![own, ("origin", "null")], "403"),
            (Method::POST, vec![own, ("sec-fetch-site", "cross-site")], "403"),
            (Method::POST, vec![own, ("sec-fetch-site", "same-site")], "403"),
            (Method::POST, vec![own, ("sec-fetch-site", "same-origin")], "bob operator"),
        ] {
            let headers: Vec<_> = [cookie, host].into_iter().chain(more).collect();
            assert_eq!(asked(&access, method, &headers), who, "{headers:?}");
        }
    }

    #[test]
    fn whose_token_is_exchanged_comes_in_no_more_nor_does_his_session() {
        const OLD: &str = "the secret of bob";
        const NEW: &str = "another secret of bob";
        let had = access(&[("bob", Role::Operator, OLD)]);
        let (caller, hash) = had.of_secret(OLD).unwrap();
        let id = had.sessions.begin(caller, hash, BootInstant::now());
        let cookie = format!("{COOKIE}={id}");
        let by = |secret| asked(&had, Method::GET, &[("authorization", secret)]);
        let by_session = || asked(&had, Method::GET, &[("cookie", &cookie)]);
        assert_eq!(by_session(), "bob operator");

        let exchange = |tokens| {
            had.tokens.exchange(Some(&HttpConfig {
                listen: "127.0.0.1:7878".parse().unwrap(),
                tls: None,
                behind_proxy: false,
                tokens,
            }))
        };
        let token = |secret| TokenConfig {
            name: "bob".to_owned(),
            role: Role::Operator,
            hash: Hash::of(secret),
        };
        assert!(exchange(vec![token(NEW)]));
        assert_eq!(by("Bearer the secret of bob"), "401");
        assert_eq!(by("Bearer another secret of bob"), "bob operator");
        assert_eq!(by_session(), "401");

        assert!(!exchange(Vec::new()), "it would let everybody in");
        assert!(!had.tokens.exchange(None));
        assert_eq!(by("Bearer another secret of bob"), "bob operator");
    }

    #[test]
    fn without_tokens_this_machine_may_and_no_foreign_page() {
        let access = access(&[]);
        let origin = |origin| vec![("host", "localhost:7878"), ("origin", origin)];
        for (method, headers, who) in [
            (Method::GET, vec![("host", "127.0.0.1:7878")], "anybody operator"),
            (Method::GET, vec![("host", "localhost")], "anybody operator"),
            (Method::GET, vec![("host", "[::1]:7878")], "anybody operator"),
            (Method::GET, vec![("host", "rebound.example:7878")], "403"),
            (Method::GET, vec![], "403"),
            (Method::POST, vec![("host", "localhost:7878")], "anybody operator"),
            (Method::POST, origin("http://localhost:7878"), "anybody operator"),
            (Method::POST, origin("http://evil.example"), "403"),
        ] {
            assert_eq!(asked(&access, method, &headers), who, "{headers:?}");
        }
    }
}
