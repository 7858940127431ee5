//! `[http]`: where a node is looked at, and by whom.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use toml::de::DeTable;

use super::catalogue::HTTP_TOKEN;
use super::diagnostics::{Report, Spot};
use super::invalid::InvalidValue;
use super::keys::Section;
use super::reader::Reader;
use super::value::Value;
use super::{HttpConfig, Secret, TlsConfig, TokenConfig, catalogue as preset};
use crate::http::token::{Hash, Role};

/// A secret that is shorter can be guessed.
const SHORTEST_SECRET: usize = 16;

const MAKE_ONE: &str = "make one with `openssl rand -hex 32`";

/// What the files say, before defaults.
#[derive(Default)]
pub(crate) struct Settings {
    /// Where the table is, if there is one.
    table: Option<Spot>,
    listen: Option<(SocketAddr, Spot)>,
    behind_proxy: bool,
    cert: Option<(PathBuf, Spot)>,
    key: Option<(PathBuf, Spot)>,
    tokens: Vec<(TokenConfig, Spot)>,
}

impl Settings {
    /// Reads `[http]` or a table within; `at` is where it stands.
    pub(crate) fn read<'v>(
        &mut self,
        reader: &mut Reader<'_>,
        section: &'static Section,
        table: &'v DeTable<'v>,
        at: Spot,
    ) {
        self.table.get_or_insert(at);
        for entry in reader.entries(section, table) {
            let at = reader.spot(entry.span);
            match (entry.key.name, entry.value) {
                ("listen", Value::Text(text)) => {
                    self.listen = address(text).ok().map(|address| (address, at));
                }
                ("behind_proxy", Value::Switch(on)) => self.behind_proxy = on,
                ("tls", Value::Table(section, table)) => self.read(reader, section, table, at),
                ("cert", Value::Text(path)) => self.cert = Some((path.into(), at)),
                ("key", Value::Text(path)) => self.key = Some((path.into(), at)),
                ("tokens", Value::Tables(tables)) => {
                    for (table, span) in tables {
                        let at = reader.spot(span);
                        self.tokens.extend(token(reader, table, &at).map(|token| (token, at)));
                    }
                }
                (name, _) => debug_assert!(false, "{} has no reader for {name}", section.title),
            }
        }
    }

    /// The settings with defaults; none where there is no `[http]`, or where something is
    /// wrong with it, which is reported.
    pub(crate) fn resolve(self, report: &mut Report) -> Option<HttpConfig> {
        let table = self.table?;
        let default = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), preset::HTTP_PORT);
        let (listen, at) = self.listen.unwrap_or((default, table));
        for (number, (token, at)) in self.tokens.iter().enumerate() {
            let same = self.tokens[..number].iter().find(|(other, _)| other.name == token.name);
            if let Some((_, first)) = same {
                report
                    .error(at.clone(), format!("the token `{}` is declared twice", token.name))
                    .help("the log says by its name who did what: give each its own")
                    .related("first declared at", first.clone());
            }
        }
        let tls = match (self.cert, self.key) {
            (Some((cert, _)), Some((key, _))) => Some(TlsConfig { cert, key }),
            (Some((_, at)), None) => {
                report.error(at, "`cert` goes with `key`, and there is none");
                None
            }
            (None, Some((_, at))) => {
                report.error(at, "`key` goes with `cert`, and there is none");
                None
            }
            (None, None) => None,
        };
        if !listen.ip().is_loopback() {
            if self.tokens.is_empty() {
                let message = format!(
                    "{listen} can be reached from other machines, and anybody could stop jobs there: there is no token"
                );
                report
                    .error(at.clone(), message)
                    .help("add [[http.tokens]] with name, role and secret, or listen on 127.0.0.1");
            }
            if tls.is_none() && !self.behind_proxy {
                let message = format!(
                    "{listen} can be reached from other machines, and there is no TLS: tokens would go over the network in the clear"
                );
                report
                    .error(at, message)
                    .help("add `tls = { cert = \"/…\", key = \"/…\" }`")
                    .help("or `behind_proxy = true`, where a proxy in front of it has TLS");
            }
        }
        Some(HttpConfig {
            listen,
            tls,
            behind_proxy: self.behind_proxy,
            tokens: self.tokens.into_iter().map(|(token, _)| token).collect(),
        })
    }
}

/// One token; none when something is wrong with it, which is reported.
fn token<'v>(reader: &mut Reader<'_>, table: &'v DeTable<'v>, at: &Spot) -> Option<TokenConfig> {
    let (mut name, mut role, mut secret, mut hash) = (None, Role::Viewer, None, None);
    for entry in reader.entries(&HTTP_TOKEN, table) {
        let at = reader.spot(entry.span);
        match (entry.key.name, entry.value) {
            ("name", Value::Text(text)) => name = Some(text.to_owned()),
            ("role", Value::Text(word)) => role = word.parse().unwrap_or(Role::Viewer),
            ("secret", Value::Expanded(_, text)) => secret = Some((Secret::new(text.text), at)),
            ("hash", Value::Expanded(_, text)) => hash = Some((text.text, at)),
            (name, _) => debug_assert!(false, "a token has no reader for {name}"),
        }
    }
    let has = |key: &str| table.keys().any(|known| known.get_ref() == key);
    if !has("name") {
        reader
            .report
            .error(at.clone(), "a token needs a `name`")
            .help("the log says by it who did what");
    }
    let hash = match (secret, hash) {
        (Some((secret, at)), None) => of_secret(reader, &secret, at),
        (None, Some((hash, at))) => of_hash(reader, &hash, at),
        (Some(_), Some((_, at))) => {
            reader.report.error(at, "a token has a `secret` or its `hash`, not both");
            None
        }
        (None, None) => {
            if !has("secret") && !has("hash") {
                reader
                    .report
                    .error(at.clone(), "a token needs a `secret`, or the `hash` of one")
                    .help("secret = \"${SOLOCRON_TOKEN}\"");
            }
            None
        }
    };
    Some(TokenConfig { name: name?, role, hash: hash? })
}

fn of_secret(reader: &mut Reader<'_>, secret: &Secret, at: Spot) -> Option<Hash> {
    // Who only looks on does not know it, and does not serve.
    if secret.expose().len() >= SHORTEST_SECRET || reader.env.is_blank() {
        return Some(Hash::of(secret.expose()));
    }
    let message = format!(
        "this secret has {} characters, the least is {SHORTEST_SECRET}",
        secret.expose().chars().count()
    );
    reader.report.error(at, message).help(MAKE_ONE);
    None
}

fn of_hash(reader: &mut Reader<'_>, hash: &str, at: Spot) -> Option<Hash> {
    if reader.env.is_blank() {
        return Some(Hash::of(""));
    }
    let read = hash.parse().ok();
    if read.is_none() {
        reader
            .report
            .error(at, "this is not a hash: `sha256:` and 64 hex digits")
            .help("print -n SECRET | sha256sum: `printf %s \"$SECRET\" | sha256sum`");
    }
    read
}

/// Reads where to listen.
pub(super) fn address(text: &str) -> Result<SocketAddr, InvalidValue> {
    let named = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    named.as_deref().unwrap_or(text).parse().map_err(|_| {
        InvalidValue::new(0..text.len(), "this is not an address to listen on").help(format!(
            "write an IP address and a port: \"127.0.0.1:{0}\", \"[::1]:{0}\", \"0.0.0.0:{0}\"",
            preset::HTTP_PORT
        ))
    })
}
