//! Where locks and history live, read from its address. Pure: nothing is opened.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub(crate) mod invalid;
mod query;
pub(crate) mod secret;
mod servers;

pub use self::invalid::InvalidValue;
pub use self::secret::Secret;
pub use self::servers::parse_all;
#[cfg(feature = "daemon")]
pub(crate) use self::servers::{A_MAJORITY, NO_REPLICAS};

/// How long a call to Redis may take unless something else is said.
pub const REDIS_TIMEOUT: Duration = Duration::from_secs(1);
/// How many replicas must acknowledge a write unless something else is said.
pub const MIN_ACKS: u32 = 0;
/// More acknowledgements than this nobody can ask for.
pub const MOST_ACKS: u32 = 100;

/// A store and how to get in. Neither `Debug` nor `Display` shows a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// A file on this machine.
    Sqlite {
        /// The file.
        path: PathBuf,
    },
    /// One Redis or Valkey.
    Redis(RedisConfig),
    /// Three or five Redis servers that know nothing of each other, of which a majority
    /// decides.
    Quorum(Vec<RedisConfig>),
}

/// One Redis or Valkey and how to get in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisConfig {
    /// Where it listens.
    pub address: RedisAddress,
    /// The database, 0 by default.
    pub database: u32,
    /// The user of its access list.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Secret>,
    /// The bound of one call.
    pub timeout: Duration,
    /// How many replicas must have a claim before it counts, where it is said: otherwise
    /// [`MIN_ACKS`].
    pub min_acks: Option<u32>,
}

/// Where a Redis listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedisAddress {
    /// On the network.
    Tcp {
        /// A name or an address; an IPv6 address without brackets.
        host: String,
        /// The port.
        port: u16,
        /// With TLS, and with which files.
        tls: Option<TlsFiles>,
    },
    /// On a socket of this machine.
    Unix(PathBuf),
    /// Wherever its sentinels say that the master is.
    Sentinel(Box<SentinelAddress>),
    /// It is a Redis Cluster.
    Cluster {
        /// Hosts and ports of some of its servers.
        seeds: Vec<(String, u16)>,
        /// With TLS, and with which files.
        tls: Option<TlsFiles>,
    },
}

/// Which sentinels to ask for which master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SentinelAddress {
    /// The sentinels, each a name or an address and a port.
    pub sentinels: Vec<(String, u16)>,
    /// What they call the master.
    pub master: String,
    /// With TLS, to them and to the master, and with which files.
    pub tls: Option<TlsFiles>,
    /// The user of the sentinels' access list.
    pub username: Option<String>,
    /// The sentinels' password; the master's is another.
    pub password: Option<Secret>,
}

/// The files of a TLS client.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificates to trust; the public ones when there is none.
    pub ca: Option<PathBuf>,
    /// This client's certificate.
    pub cert: Option<PathBuf>,
    /// Its private key; there when `cert` is.
    pub key: Option<PathBuf>,
}

/// The address without the password: `redis://user:***@host:6379/0`.
impl fmt::Display for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite { path } => write!(f, "sqlite:{}", path.display()),
            Self::Redis(redis) => write!(f, "{redis}"),
            Self::Quorum(servers) => {
                let servers: Vec<_> = servers.iter().map(RedisConfig::to_string).collect();
                f.write_str(&servers.join(","))
            }
        }
    }
}

impl fmt::Display for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = match (&self.username, &self.password) {
            (user, Some(_)) => format!("{}:***@", user.as_deref().unwrap_or_default()),
            (Some(user), None) => format!("{user}@"),
            (None, None) => String::new(),
        };
        let database = self.database;
        match &self.address {
            RedisAddress::Unix(path) => write!(f, "redis+unix://{}?db={database}", path.display()),
            RedisAddress::Tcp { host, port, tls } => {
                let scheme = if tls.is_some() { "rediss" } else { "redis" };
                write!(f, "{scheme}://{user}{}/{database}", HostAndPort(host, *port))
            }
            RedisAddress::Sentinel(of) => {
                let scheme = if of.tls.is_some() { "rediss" } else { "redis" };
                let (sentinels, master) = (joined(&of.sentinels), &of.master);
                write!(f, "{scheme}+sentinel://{user}{sentinels}/{master}/{database}")
            }
            RedisAddress::Cluster { seeds, tls } => {
                let scheme = if tls.is_some() { "rediss" } else { "redis" };
                write!(f, "{scheme}+cluster://{user}{}", joined(seeds))
            }
        }
    }
}

/// A host and a port as an address writes them: `[::1]:6379`.
struct HostAndPort<'a>(&'a str, u16);

impl fmt::Display for HostAndPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(host, port) = self;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{host}{close}:{port}")
    }
}

fn joined(servers: &[(String, u16)]) -> String {
    let written = servers.iter().map(|(host, port)| HostAndPort(host, *port).to_string());
    written.collect::<Vec<_>>().join(",")
}

/// The kinds of store, as addresses begin.
const SCHEMES: [&str; 8] = [
    "redis",
    "rediss",
    "redis+unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
    "sqlite",
];

const KINDS: &str = "the stores are sqlite:PATH, redis://HOST, rediss://HOST, \
                     redis+unix:///SOCKET, redis+sentinel://HOST,HOST,HOST/MASTER and \
                     redis+cluster://HOST,HOST,HOST; rediss for those with TLS";

/// Reads an address. No message repeats a part of it: it may hold a secret.
///
/// # Errors
/// [`InvalidValue`], with what is wrong, where, and what would be right.
pub fn parse(address: &str) -> Result<StoreConfig, InvalidValue> {
    let Some(colon) = address.find(':') else {
        return Err(InvalidValue::new(0..address.len(), "this is not the address of a store")
            .help(if address.starts_with("redis") {
                "a Redis is written redis://HOST:6379/0, with TLS rediss://HOST:6379/0"
            } else if address.ends_with(".db") || address.contains('/') {
                "a file is written sqlite:PATH"
            } else {
                KINDS
            }));
    };
    let scheme = &address[..colon];
    let rest = &address[colon + 1..];
    let start = colon + 1;
    let tls = scheme.starts_with("rediss").then(TlsFiles::default);
    let parsed = match scheme {
        "sqlite" => sqlite(rest),
        "redis+sentinel" | "rediss+sentinel" => match rest.strip_prefix("//") {
            Some(rest) => sentinel(rest, tls).map_err(|error| shift(error, 2)),
            None => Err(InvalidValue::new(0..0, "`//` is missing here")
                .help(format!("write {scheme}:// and then the sentinels"))),
        },
        "redis" | "rediss" | "redis+unix" => match rest.strip_prefix("//") {
            Some(_) if is_list(rest) => {
                let what = "the servers of a quorum have an address each";
                return Err(InvalidValue::new(0..address.len(), what).help(servers::THREE));
            }
            Some(rest) if scheme == "redis+unix" => unix(rest).map_err(|error| shift(error, 2)),
            Some(rest) => tcp(rest, tls).map_err(|error| shift(error, 2)),
            None => Err(InvalidValue::new(0..0, "`//` is missing here")
                .help(format!("write {scheme}:// and then the host"))),
        },
        "redis+cluster" | "rediss+cluster" => match rest.strip_prefix("//") {
            Some(rest) => cluster(rest, tls).map_err(|error| shift(error, 2)),
            None => Err(InvalidValue::new(0..0, "`//` is missing here")
                .help(format!("write {scheme}:// and then some of its hosts"))),
        },
        _ => return Err(unknown_scheme(scheme)),
    };
    parsed.map_err(|error| shift(error, start))
}

fn shift(mut error: InvalidValue, by: usize) -> InvalidValue {
    error.span = error.span.start + by..error.span.end + by;
    error
}

/// Whether there are several servers, with commas between.
fn is_list(rest: &str) -> bool {
    let host = rest.rsplit('@').next().unwrap_or(rest);
    host.split(['/', '?']).find(|part| !part.is_empty()).is_some_and(|host| host.contains(','))
        || rest.contains(",redis")
}

fn unknown_scheme(scheme: &str) -> InvalidValue {
    let error = InvalidValue::new(0..scheme.len(), "this is not a kind of store");
    let meant = match scheme.to_ascii_lowercase().as_str() {
        "valkey" | "tcp" | "keydb" => Some("redis"),
        "valkeys" | "redis+tls" | "redis+ssl" | "tls" => Some("rediss"),
        "unix" | "redis-unix" | "redis+socket" => Some("redis+unix"),
        "sqlite3" | "file" | "db" => Some("sqlite"),
        "sentinel" | "redis-sentinel" => Some("redis+sentinel"),
        scheme => SCHEMES
            .into_iter()
            .map(|kind| (strsim::damerau_levenshtein(scheme, kind), kind))
            .filter(|(mistakes, kind)| *mistakes <= kind.len() / 3)
            .min()
            .map(|(_, kind)| kind),
    };
    error.help(match meant {
        Some("sqlite") => "did you mean sqlite:PATH?".to_owned(),
        Some("redis+unix") => "did you mean redis+unix:///SOCKET?".to_owned(),
        Some(kind) if kind.ends_with("+sentinel") => {
            format!("did you mean {kind}://HOST,HOST,HOST/MASTER?")
        }
        Some(kind) => format!("did you mean {kind}://HOST?"),
        None => KINDS.to_owned(),
    })
}

fn sqlite(rest: &str) -> Result<StoreConfig, InvalidValue> {
    let whole = 0..rest.len();
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(_) => {
            return Err(InvalidValue::new(0..2, "a path does not begin with `//`")
                .help("write sqlite:PATH, relative or absolute"));
        }
        None => rest,
    };
    if path.is_empty() {
        return Err(
            InvalidValue::new(whole, "the path is missing").help("write sqlite:solocron.db")
        );
    }
    if path.contains(":memory:") {
        return Err(InvalidValue::new(whole, "a store in memory locks nobody else out")
            .help("write sqlite:PATH; all replicas on this machine share the file"));
    }
    if path.starts_with("~") {
        return Err(InvalidValue::new(whole, "`~` is not replaced here")
            .help("write sqlite:${HOME}/…, or a path relative to the state directory"));
    }
    if path.ends_with('/') {
        return Err(InvalidValue::new(whole, "this is a directory").help("name a file in it"));
    }
    if let Some(at) = path.find('\0') {
        return Err(InvalidValue::new(at..at + 1, "a path cannot hold a NUL"));
    }
    Ok(StoreConfig::Sqlite { path: Path::new(path).to_owned() })
}

fn redis(address: RedisAddress, database: u32) -> RedisConfig {
    RedisConfig {
        address,
        database,
        username: None,
        password: None,
        timeout: REDIS_TIMEOUT,
        min_acks: None,
    }
}

fn tcp(rest: &str, tls: Option<TlsFiles>) -> Result<StoreConfig, InvalidValue> {
    // A password may hold anything, also `@` and `/`; a host and a database may not.
    let server = rest.rfind('@').map_or(0, |at| at + 1);
    let (rest, query) = query::split_off(rest, server);
    let end = rest[server..].find('/').map_or(rest.len(), |end| server + end);
    let (host, port) = server_at(rest, server, end, 6379, "write redis://127.0.0.1:6379/0")?;
    let database = match rest[end..].trim_start_matches('/') {
        "" => 0,
        number => database(number, rest.len() - number.len())?,
    };
    let mut redis = redis(RedisAddress::Tcp { host, port, tls }, database);
    add_user(&mut redis, &rest[..server])?;
    query::read(&mut redis, query, rest.len() + 1)?;
    Ok(StoreConfig::Redis(redis))
}

/// Several servers of one Redis Cluster, with commas between.
fn cluster(rest: &str, tls: Option<TlsFiles>) -> Result<StoreConfig, InvalidValue> {
    let first = rest.rfind('@').map_or(0, |at| at + 1);
    let (rest, query) = query::split_off(rest, first);
    let end = rest[first..].find('/').map_or(rest.len(), |end| first + end);
    let (mut seeds, mut start) = (Vec::new(), first);
    for part in rest[first..end].split(',') {
        let example = "write redis+cluster://10.0.0.1:6379,10.0.0.2:6379,10.0.0.3:6379";
        seeds.push(server_at(rest, start, start + part.len(), 6379, example)?);
        start += part.len() + 1;
    }
    match rest[end..].trim_start_matches('/') {
        "" | "0" => {}
        other => {
            return Err(InvalidValue::new(
                rest.len() - other.len()..rest.len(),
                "a Redis Cluster has no databases but 0",
            )
            .help("leave it out; clusters of one Redis are told apart by `name` in [cluster]"));
        }
    }
    let mut redis = redis(RedisAddress::Cluster { seeds, tls }, 0);
    add_user(&mut redis, &rest[..first])?;
    query::read(&mut redis, query, rest.len() + 1)?;
    Ok(StoreConfig::Redis(redis))
}

/// What a sentinel listens on unless it is told otherwise.
const SENTINEL_PORT: u16 = 26379;
const SENTINELS: &str = "write redis+sentinel://HOST,HOST,HOST/MASTER/0";

fn sentinel(rest: &str, tls: Option<TlsFiles>) -> Result<StoreConfig, InvalidValue> {
    // The password may hold anything, as above.
    let first = rest.rfind('@').map_or(0, |at| at + 1);
    let (rest, query) = query::split_off(rest, first);
    let end = rest[first..].find('/').map_or(rest.len(), |end| first + end);
    let mut sentinels = Vec::new();
    let mut at = first;
    for server in rest[first..end].split(',') {
        let sentinel = server_at(rest, at, at + server.len(), SENTINEL_PORT, SENTINELS)?;
        if sentinels.contains(&sentinel) {
            let twice = at..at + server.len();
            return Err(InvalidValue::new(twice, "this sentinel is here twice")
                .help("name each sentinel once"));
        }
        sentinels.push(sentinel);
        at += server.len() + 1;
    }
    let (master, number) = match rest[end..].strip_prefix('/') {
        Some(path) => path.split_once('/').unwrap_or((path, "")),
        None => ("", ""),
    };
    let master_at = rest.len().min(end + 1);
    if master.is_empty() {
        return Err(InvalidValue::new(first..rest.len(), "the name of the master is missing")
            .help(format!("{SENTINELS}, with the name that stands in `sentinel monitor`")));
    }
    if let Some((at, strange)) =
        master.char_indices().find(|(_, c)| !(c.is_ascii_alphanumeric() || ".-_".contains(*c)))
    {
        let strange = master_at + at..master_at + at + strange.len_utf8();
        return Err(InvalidValue::new(
            strange,
            "the name of a master has only letters, digits, `.`, `-` and `_`",
        ));
    }
    let database = match number {
        "" => 0,
        number => database(number, rest.len() - number.len())?,
    };
    let master = master.to_owned();
    let of = SentinelAddress { sentinels, master, tls, username: None, password: None };
    let mut redis = redis(RedisAddress::Sentinel(Box::new(of)), database);
    add_user(&mut redis, &rest[..first])?;
    query::read(&mut redis, query, rest.len() + 1)?;
    Ok(StoreConfig::Redis(redis))
}

/// Takes in what stands before the host, the `@` included.
fn add_user(redis: &mut RedisConfig, before: &str) -> Result<(), InvalidValue> {
    let Some(user_info) = before.strip_suffix('@') else { return Ok(()) };
    let (user, password) = match user_info.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (user_info, None),
    };
    redis.username = Some(decode(user, 0)?).filter(|user| !user.is_empty());
    redis.password = match password {
        Some("") | None => None,
        Some(password) => Some(Secret::new(decode(password, user.len() + 1)?)),
    };
    Ok(())
}

/// The server that stands from `start` to `end`; `missing` is how to write one.
fn server_at(
    rest: &str,
    start: usize,
    end: usize,
    usual: u16,
    missing: &str,
) -> Result<(String, u16), InvalidValue> {
    let (host, port, port_at) = host_and_port(rest, start, end)?;
    if host.is_empty() {
        return Err(InvalidValue::new(start..end, "the host is missing").help(missing));
    }
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || "?#\\\"<>|^`{}".contains(c)) {
        return Err(InvalidValue::new(start..end, "a host has only letters, digits, `.` and `-`")
            .help("give users and passwords in [cluster.redis]"));
    }
    let port =
        match port {
            None => usual,
            Some(port) => port.parse::<u16>().ok().filter(|port| *port != 0).ok_or_else(|| {
                InvalidValue::new(port_at..end, "a port is a number from 1 to 65535")
            })?,
        };
    Ok((host.to_owned(), port))
}

/// The host, the port, and where the port begins.
fn host_and_port(
    rest: &str,
    start: usize,
    end: usize,
) -> Result<(&str, Option<&str>, usize), InvalidValue> {
    let server = &rest[start..end];
    if let Some(inner) = server.strip_prefix('[') {
        let Some((host, after)) = inner.split_once(']') else {
            return Err(InvalidValue::new(start..end, "this `[` is never closed")
                .help("an IPv6 address is written [::1]"));
        };
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port), end - port.len())),
            None if after.is_empty() => Ok((host, None, end)),
            None => Err(InvalidValue::new(end - after.len()..end, "a port is written :6379")),
        };
    }
    match server.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(InvalidValue::new(start..end, "there is more than one `:` here")
                .help("an IPv6 address is written [::1]"))
        }
        Some((host, port)) => Ok((host, Some(port), end - port.len())),
        None => Ok((server, None, end)),
    }
}

fn database(number: &str, at: usize) -> Result<u32, InvalidValue> {
    number.parse().map_err(|_| {
        InvalidValue::new(at..at + number.len(), "a database is a number, 0 by default")
    })
}

fn unix(rest: &str) -> Result<StoreConfig, InvalidValue> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !path.starts_with('/') || path.len() == 1 {
        return Err(InvalidValue::new(0..path.len(), "the path of the socket must be absolute")
            .help("write redis+unix:///run/redis/redis.sock, with three slashes"));
    }
    let mut redis = redis(RedisAddress::Unix(PathBuf::from(path)), 0);
    query::read(&mut redis, query, path.len() + 1)?;
    Ok(StoreConfig::Redis(redis))
}

/// Resolves `%40` and the like; a `%` that begins no such thing is itself.
fn decode(text: &str, at: usize) -> Result<String, InvalidValue> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let byte = (bytes[index] == b'%')
            .then(|| text.get(index + 1..index + 3))
            .flatten()
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(byte.unwrap_or(bytes[index]));
        index += if byte.is_some() { 3 } else { 1 };
    }
    String::from_utf8(out)
        .map_err(|_| InvalidValue::new(at..at + text.len(), "this is not UTF-8 when decoded"))
}
