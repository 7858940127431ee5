//! `[cluster]` and `[log]`: what concerns the whole node.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::DeTable;

use super::diagnostics::{Report, Spot};
use super::environment::{Environment, state_directory};
use super::expand::Expanded;
use super::invalid::InvalidValue;
use super::keys::Section;
use super::reader::Reader;
use super::secret::{Secret, secrets_in_address};
use super::store::{self, A_MAJORITY, NO_REPLICAS, RedisAddress, RedisConfig, StoreConfig};
use super::value::{Quoted, Value};
use super::{ClusterConfig, HistoryPolicy, LogConfig, LogFormat, catalogue as preset};
use crate::name::{ClusterName, MAX_LEN, NodeName};

/// What the files say, before defaults.
#[derive(Default)]
pub(crate) struct Settings<'v> {
    name: Option<ClusterName>,
    node: Option<NodeName>,
    store: Option<(Quoted<'v>, Expanded, usize)>,
    max_clock_skew: Option<Duration>,
    min_acks: Option<(u32, Spot)>,
    heartbeat: Option<Duration>,
    drain_timeout: Option<Duration>,
    max_running: Option<u32>,
    keep: Option<Duration>,
    per_job: Option<u32>,
    username: Option<(String, Spot)>,
    password: Option<(Secret, Spot)>,
    ca: Option<(PathBuf, Spot)>,
    cert: Option<(PathBuf, Spot)>,
    key: Option<(PathBuf, Spot)>,
    timeout: Option<(Duration, Spot)>,
    sentinel_username: Option<(String, Spot)>,
    sentinel_password: Option<(Secret, Spot)>,
    format: Option<LogFormat>,
    filter: Option<String>,
}

/// A value from outside of the files, as a source of its own.
pub(crate) struct Given<'a> {
    pub(crate) text: &'a str,
    pub(crate) source: usize,
}

/// What was given beside the files.
#[derive(Default)]
pub(crate) struct Outside<'a> {
    pub(crate) store: Option<Given<'a>>,
    pub(crate) cluster: Option<Given<'a>>,
    pub(crate) node: Option<Given<'a>>,
    pub(crate) log_filter: Option<Given<'a>>,
    pub(crate) log_format: Option<LogFormat>,
}

impl<'v> Settings<'v> {
    /// Reads `[cluster]`, `[log]` or a table within.
    pub(crate) fn read(
        &mut self,
        reader: &mut Reader<'_>,
        section: &'static Section,
        table: &'v DeTable<'v>,
    ) {
        for entry in reader.entries(section, table) {
            let at = reader.spot(entry.span);
            match (section.title, entry.key.name, entry.value) {
                (_, _, Value::Table(section, table)) => self.read(reader, section, table),
                (_, "name", Value::Text(text)) => self.name = ClusterName::new(text).ok(),
                (_, "node", Value::Text(text)) => self.node = NodeName::new(text).ok(),
                (_, "store", Value::Expanded(quoted, text)) => {
                    self.store = Some((quoted, text, reader.source));
                }
                (_, "max_clock_skew", Value::Duration(value)) => self.max_clock_skew = Some(value),
                (_, "min_acks", Value::Integer(count)) => {
                    self.min_acks = u32::try_from(count).ok().map(|count| (count, at));
                }
                (_, "heartbeat", Value::Duration(value)) => self.heartbeat = Some(value),
                (_, "drain_timeout", Value::Duration(value)) => self.drain_timeout = Some(value),
                (_, "max_running", Value::Integer(count)) => {
                    self.max_running = u32::try_from(count).ok();
                }
                (_, "keep", Value::Duration(value)) => self.keep = Some(value),
                (_, "per_job", Value::Integer(count)) => self.per_job = u32::try_from(count).ok(),
                (_, "username", Value::Expanded(_, text)) => self.username = Some((text.text, at)),
                (_, "password", Value::Expanded(_, text)) => {
                    self.password = Some((Secret::new(text.text), at));
                }
                (_, "sentinel_username", Value::Expanded(_, text)) => {
                    self.sentinel_username = Some((text.text, at));
                }
                (_, "sentinel_password", Value::Expanded(_, text)) => {
                    self.sentinel_password = Some((Secret::new(text.text), at));
                }
                (_, "ca", Value::Text(path)) => self.ca = Some((path.into(), at)),
                (_, "cert", Value::Text(path)) => self.cert = Some((path.into(), at)),
                (_, "key", Value::Text(path)) => self.key = Some((path.into(), at)),
                (_, "timeout", Value::Duration(value)) => self.timeout = Some((value, at)),
                (_, "format", Value::Text(word)) => {
                    self.format =
                        Some(if word == "json" { LogFormat::Json } else { LogFormat::Text });
                }
                (_, "filter", Value::Text(text)) => self.filter = Some(text.to_owned()),
                (title, name, _) => debug_assert!(false, "{title} has no reader for {name}"),
            }
        }
    }

    /// The settings of the log, with defaults.
    pub(crate) fn log(&self, outside: &Outside<'_>, report: &mut Report) -> LogConfig {
        let mut filter = self.filter.clone().unwrap_or_else(|| preset::LOG_FILTER.to_owned());
        if let Some(given) = &outside.log_filter {
            match super::text::filter(given.text) {
                Ok(()) => filter = given.text.to_owned(),
                Err(invalid) => refuse(given, "the filter of the log", invalid, report),
            }
        }
        let format = outside.log_format.or(self.format).unwrap_or(LogFormat::Text);
        LogConfig { format, filter }
    }

    /// The settings of the cluster, with defaults; none when something is missing,
    /// which is reported.
    pub(crate) fn cluster(
        &self,
        outside: &Outside<'_>,
        env: &dyn Environment,
        report: &mut Report,
    ) -> Option<ClusterConfig> {
        let name = match &outside.cluster {
            Some(given) => named(given, "the cluster", report, ClusterName::new),
            None => self.name.clone().or_else(|| ClusterName::new(preset::CLUSTER_NAME).ok()),
        };
        let node = match &outside.node {
            Some(given) => named(given, "the node", report, NodeName::new),
            None => self.node.clone().or_else(|| host_name(env, report)),
        };
        let store = self.store(outside, env, report);
        Some(ClusterConfig {
            name: name?,
            node: node?,
            store: store?,
            max_clock_skew: self.max_clock_skew.unwrap_or(preset::MAX_CLOCK_SKEW),
            heartbeat: self.heartbeat.unwrap_or(preset::HEARTBEAT),
            drain_timeout: self.drain_timeout.unwrap_or(preset::DRAIN_TIMEOUT),
            max_running: self.max_running,
            history: HistoryPolicy {
                keep: self.keep.unwrap_or(preset::HISTORY_KEEP),
                per_job: self.per_job.unwrap_or(preset::HISTORY_PER_JOB),
            },
        })
    }

    fn store(
        &self,
        outside: &Outside<'_>,
        env: &dyn Environment,
        report: &mut Report,
    ) -> Option<StoreConfig> {
        let (parsed, at) = match (&outside.store, &self.store) {
            (Some(given), _) => {
                for secret in secrets_in_address(given.text) {
                    report.hide(Spot { source: given.source, span: secret });
                }
                let parsed = store::parse_all(given.text);
                (parsed, Spot { source: given.source, span: 0..given.text.len() })
            }
            (None, Some((quoted, address, source))) => {
                let parsed = store::parse_all(&address.text).map_err(|mut invalid| {
                    // What was put in is not in the file, and may be a secret.
                    if address.changed {
                        invalid.span = 0..usize::MAX;
                        invalid.message = format!("after expansion, {}", invalid.message);
                    }
                    invalid.span = quoted.part(invalid.span);
                    invalid
                });
                (parsed, Spot { source: *source, span: quoted.span() })
            }
            (None, None) => (store::parse_all(preset::STORE), Spot { source: 0, span: 0..0 }),
        };
        let config = match parsed {
            Ok(config) => config,
            Err(invalid) => {
                let span = if invalid.span.is_empty() { at.span } else { invalid.span };
                report
                    .error(
                        Spot { source: at.source, span },
                        format!("`store`: {}", invalid.message),
                    )
                    .help
                    .extend(invalid.help);
                return None;
            }
        };
        match config {
            StoreConfig::Sqlite { path } => {
                if outside.store.is_none()
                    && let Some(unused) = self.any_of_redis()
                {
                    report
                        .warning(
                            unused.clone(),
                            "[cluster.redis] has no effect: the store is a file",
                        )
                        .help("give `store` in [cluster] as redis://HOST");
                }
                if outside.store.is_none()
                    && let Some((1.., unused)) = &self.min_acks
                {
                    report
                        .warning(
                            unused.clone(),
                            "`min_acks` has no effect: the store is a file, and has no replicas",
                        )
                        .help(
                            "give `store` in [cluster] as redis+sentinel://HOST,HOST,HOST/MASTER",
                        );
                }
                sqlite(path, at, env, report)
            }
            StoreConfig::Redis(redis) => {
                self.redis(redis, &at, outside, report).map(StoreConfig::Redis)
            }
            StoreConfig::Quorum(servers) => self.quorum(servers, &at, outside, report),
        }
    }

    /// What holds for one Redis holds for each server of a quorum.
    fn quorum(
        &self,
        servers: Vec<RedisConfig>,
        address: &Spot,
        outside: &Outside<'_>,
        report: &mut Report,
    ) -> Option<StoreConfig> {
        if let Some((1.., at)) = &self.min_acks {
            report.error(at.clone(), NO_REPLICAS).help(A_MAJORITY);
        }
        let complete =
            servers.into_iter().map(|server| self.redis(server, address, outside, report));
        complete.collect::<Option<Vec<_>>>().map(StoreConfig::Quorum)
    }

    fn redis(
        &self,
        mut redis: RedisConfig,
        address: &Spot,
        outside: &Outside<'_>,
        report: &mut Report,
    ) -> Option<RedisConfig> {
        let from_file = outside.store.is_none();
        let mut twice = |name: &str, at: &Spot| {
            if from_file {
                report
                    .error(at.clone(), format!("`{name}` is in the address of the store, too"))
                    .help("keep one of the two")
                    .related("the address is at", address.clone());
            }
        };
        if let Some((user, at)) = &self.username {
            match redis.username {
                Some(_) => twice("username", at),
                None => redis.username = Some(user.clone()),
            }
        }
        if let Some((password, at)) = &self.password {
            match redis.password {
                Some(_) => twice("password", at),
                None => redis.password = Some(password.clone()),
            }
        }
        if redis.username.is_some() && redis.password.is_none() {
            let at = self.username.as_ref().map_or(address, |(_, at)| at);
            report
                .error(at.clone(), "there is a user for Redis, and no password")
                .help("give `password` in [cluster.redis]: \"${REDIS_PASSWORD}\"");
        }
        redis.timeout = self.timeout.as_ref().map_or(redis.timeout, |(timeout, _)| *timeout);
        self.acknowledgements(&mut redis, address, report);
        match (&self.cert, &self.key) {
            (Some((_, at)), None) => {
                report.error(at.clone(), "`cert` goes with `key`, and there is none");
            }
            (None, Some((_, at))) => {
                report.error(at.clone(), "`key` goes with `cert`, and there is none");
            }
            _ => {}
        }
        let path =
            |setting: &Option<(PathBuf, Spot)>| setting.as_ref().map(|(path, _)| path.clone());
        let tls = match &mut redis.address {
            RedisAddress::Tcp { tls, .. } => tls.as_mut(),
            RedisAddress::Sentinel(of) => of.tls.as_mut(),
            RedisAddress::Cluster { tls, .. } => tls.as_mut(),
            RedisAddress::Unix(_) => None,
        };
        if let Some(tls) = tls {
            tls.ca = path(&self.ca);
            tls.cert = path(&self.cert);
            tls.key = path(&self.key);
        } else if let Some((_, at)) =
            [&self.ca, &self.cert, &self.key].into_iter().flatten().next().filter(|_| from_file)
        {
            report
                .error(at.clone(), "this is for TLS, and the address of the store is without")
                .help("write rediss:// with two s")
                .related("the address is at", address.clone());
        }
        self.sentinel(&mut redis, address, from_file, report);
        Some(redis)
    }

    /// Puts in how many replicas are to acknowledge, where the address does not say it: from
    /// wherever that comes, neither of two answers may win without a word.
    fn acknowledgements(&self, redis: &mut RedisConfig, address: &Spot, report: &mut Report) {
        let Some((count, at)) = &self.min_acks else { return };
        match redis.min_acks.replace(*count) {
            Some(other) if other != *count => {
                let said =
                    format!("`min_acks` is {count} here, and {other} in the address of the store");
                report
                    .error(at.clone(), said)
                    .help("keep one of the two, or give both the same number")
                    .related("the address is at", address.clone());
            }
            _ => {}
        }
    }

    /// Puts in how to get into the sentinels, where there are some.
    fn sentinel(
        &self,
        redis: &mut RedisConfig,
        address: &Spot,
        from_file: bool,
        report: &mut Report,
    ) {
        let (username, password) = (&self.sentinel_username, &self.sentinel_password);
        if let (Some((_, at)), None) = (username, password) {
            report
                .error(at.clone(), "there is a user for the sentinels, and no password")
                .help("give `sentinel_password` in [cluster.redis]: \"${SENTINEL_PASSWORD}\"");
        }
        if let RedisAddress::Sentinel(of) = &mut redis.address {
            of.username = username.as_ref().map(|(user, _)| user.clone());
            of.password = password.as_ref().map(|(password, _)| password.clone());
        } else if let Some(at) = self.any_of_sentinel().filter(|_| from_file) {
            report
                .error(at.clone(), "this is for sentinels, and the address of the store has none")
                .help("write redis+sentinel://HOST,HOST,HOST/MASTER")
                .related("the address is at", address.clone());
        }
    }

    fn any_of_sentinel(&self) -> Option<&Spot> {
        let username = self.sentinel_username.iter().map(|(_, at)| at);
        username.chain(self.sentinel_password.iter().map(|(_, at)| at)).next()
    }

    fn any_of_redis(&self) -> Option<&Spot> {
        let files = [&self.ca, &self.cert, &self.key].into_iter().flatten().map(|(_, at)| at);
        let username = self.username.iter().map(|(_, at)| at);
        let password = self.password.iter().map(|(_, at)| at);
        let timeout = self.timeout.iter().map(|(_, at)| at);
        username.chain(password).chain(files).chain(timeout).chain(self.any_of_sentinel()).next()
    }
}

fn sqlite(
    path: PathBuf,
    at: Spot,
    env: &dyn Environment,
    report: &mut Report,
) -> Option<StoreConfig> {
    if path.is_absolute() {
        return Some(StoreConfig::Sqlite { path });
    }
    // Relative to the current directory, `solocron history` in another directory
    // would look at another store.
    match state_directory(env) {
        Some(directory) => Some(StoreConfig::Sqlite { path: directory.join(path) }),
        None => {
            report
                .error(at, "there is no state directory to keep the store in")
                .help("give `store` an absolute path: \"sqlite:/var/lib/solocron/solocron.db\"")
                .help("or set STATE_DIRECTORY, XDG_STATE_HOME or HOME");
            None
        }
    }
}

fn named<N>(
    given: &Given<'_>,
    whose: &str,
    report: &mut Report,
    new: impl FnOnce(&str) -> Result<N, crate::name::InvalidName>,
) -> Option<N> {
    match new(given.text) {
        Ok(name) => Some(name),
        Err(error) => {
            let invalid = super::text::invalid_name(given.text, &error);
            refuse(given, &format!("the name of {whose}"), invalid, report);
            None
        }
    }
}

fn refuse(given: &Given<'_>, what: &str, invalid: InvalidValue, report: &mut Report) {
    let at = Spot { source: given.source, span: invalid.span };
    report.error(at, format!("{what}: {}", invalid.message)).help.extend(invalid.help);
}

/// The host's name as the name of a node: what may not stand in one becomes `-`.
fn host_name(env: &dyn Environment, report: &mut Report) -> Option<NodeName> {
    let host = env.host_name().unwrap_or_default();
    let host = host.to_string_lossy();
    let fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let fitting: String = host.chars().map(|c| if fit(c) { c } else { '-' }).collect();
    let trimmed = fitting.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = NodeName::new(&trimmed[..trimmed.len().min(MAX_LEN)]);
    if name.is_err() {
        report
            .error(
                Spot { source: 0, span: 0..0 },
                format!("the name of this host, {host:?}, cannot name a node"),
            )
            .help("give the node a name: `node` in [cluster], --node or SOLOCRON_NODE");
    }
    name.ok()
}
