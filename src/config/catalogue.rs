//! Every key that a config may have, and every default: the one list that
//! reading, `did you mean`, the JSON schema and the documentation all go by.

pub use crate::address::{MIN_ACKS, MOST_ACKS, REDIS_TIMEOUT};
use std::time::Duration;

use super::keys::{Key, Kind, Preset, Section};
use crate::http::token::Role;
use crate::policy::{Backoff, CatchUpPolicy, OnCrash, Overlap};

mod http;
mod job;
mod notify;

pub use http::CALL;
pub use job::{DEFAULTS, JOB, RETRY};
pub use notify::NOTIFY;

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}
const fn s(count: u64) -> Duration {
    Duration::from_secs(count)
}
const fn h(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}
const fn d(count: u64) -> Duration {
    h(count * 24)
}

/// `cluster.name`, when there is none.
pub const CLUSTER_NAME: &str = "default";
/// `cluster.store`, when there is none: no server, replicas on one machine.
pub const STORE: &str = "sqlite:solocron.db";
/// Five seconds: what machines without NTP drift apart in weeks, not in a day.
pub const MAX_CLOCK_SKEW: Duration = s(5);
/// Five seconds: a node that died is missed within a quarter of a minute.
pub const HEARTBEAT: Duration = s(5);
/// Half a minute, as much as systemd and Kubernetes wait by default, or less.
pub const DRAIN_TIMEOUT: Duration = s(30);
/// A month of history answers `did it run?` for every job but the yearly ones.
pub const HISTORY_KEEP: Duration = d(30);
/// At 1000 runs a job, one that runs each minute keeps most of a day.
pub const HISTORY_PER_JOB: u32 = 1000;
/// `http.listen`, when there is none: of this machine alone.
pub const HTTP_LISTEN: &str = "127.0.0.1:7878";
/// The port of that.
pub const HTTP_PORT: u16 = 7878;
/// `log.format`, when there is none.
pub const LOG_FORMAT: &str = "text";
/// `log.filter`, when there is none.
pub const LOG_FILTER: &str = "info";
/// `timezone`, when there is none: never the host's own zone.
pub const TIMEZONE: &str = "UTC";
/// Half a minute: a store may be away for nearly half of it without ending a
/// run, and a dead holder's slot waits no longer for its successor.
pub const LEASE_TTL: Duration = s(30);
/// What a program has to end after TERM, as much as Docker gives.
pub const KILL_GRACE: Duration = s(10);
/// The tail of the output that the history keeps: about 200 lines.
pub const OUTPUT_LIMIT: u64 = 16 << 10;
/// Exit codes that mean success.
pub const SUCCESS_CODES: &[u8] = &[0];

/// Two runs of one job at a time are what most jobs cannot stand.
pub const OVERLAP: Overlap = Overlap::Skip;
/// A slot whose node died runs nevertheless.
pub const ON_CRASH: OnCrash = OnCrash::Takeover;
/// A job that has taken three nodes down will take down the fourth.
pub const MAX_TAKEOVERS: u32 = 3;
/// As cron does it: what is past is past.
pub const CATCH_UP: CatchUpPolicy = CatchUpPolicy::None;
/// An hour: a report that is late by more is no longer this slot's.
pub const CATCH_UP_WINDOW: Duration = h(1);
/// A hundred at a time: an outage must not end in a flood.
pub const CATCH_UP_LIMIT: u32 = 100;
/// One: nothing is repeated unless the job says that it can stand it.
pub const RETRY_ATTEMPTS: u32 = 1;
/// `retry.backoff`, when there is none.
pub const RETRY_BACKOFF: Backoff = Backoff::Exponential;
/// Five seconds: what a service takes to restart.
pub const RETRY_MIN: Duration = s(5);
/// Five minutes: after that somebody looks anyway.
pub const RETRY_MAX: Duration = s(300);
/// Ten seconds: a service that takes longer has another trouble.
pub const NOTIFY_TIMEOUT: Duration = s(10);
/// Ten: with the waits between them, a receiver may be away for eight minutes.
pub const NOTIFY_ATTEMPTS: u32 = 10;
/// The methods of a request.
pub const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"];
/// Every node.
pub const NODES: &[&str] = &["*"];

/// A whole config.
pub static ROOT: Section = Section {
    title: "the config",
    once: false,
    doc: "The job table of solocron and the settings of its nodes.",
    keys: &[
        Key::new("cluster", Kind::Table(&CLUSTER), CLUSTER.doc),
        Key::new("http", Kind::Table(&HTTP), HTTP.doc).also(&["web", "server", "api"]),
        Key::new("log", Kind::Table(&LOG), LOG.doc).also(&["logging"]),
        Key::new("defaults", Kind::Table(&DEFAULTS), DEFAULTS.doc).also(&["default"]),
        Key::new("jobs", Kind::Named(&JOB), "The jobs, each by its name: `[jobs.nightly-backup]`.")
            .also(&["job", "tasks", "cron"]),
        Key::new(
            "notify",
            Kind::Named(&NOTIFY),
            "Ways to tell somebody of alerts, each by its name: `[notify.ops]`.",
        )
        .also(&["alerts", "notifications", "channels"]),
    ],
};

/// `[cluster]`
pub static CLUSTER: Section = Section {
    title: "[cluster]",
    once: true,
    doc: "Who works together, and where the locks and the history live.",
    keys: &[
        Key::new(
            "name",
            Kind::Name,
            "Nodes with the same name on the same store are one cluster; it is the prefix of every key in the store.",
        )
        .preset(Preset::Text(CLUSTER_NAME)),
        Key::new(
            "node",
            Kind::Name,
            "This node's name, stable across restarts and different from every other node's. Default: the host name.",
        )
        .also(&["hostname", "node_name"]),
        Key::new(
            "store",
            Kind::Store,
            "Where locks and history live: `sqlite:PATH` (no server; replicas on one machine; a relative path is below the state directory), `redis://HOST:PORT/DB`, `rediss://…` with TLS, `redis+unix:///SOCKET?db=DB`, `redis+sentinel://HOST,HOST,HOST/MASTER/DB` (`rediss+sentinel://…` with TLS), or `redis+cluster://HOST:PORT,HOST:PORT` for a Redis Cluster (some of its servers; `rediss+cluster://…` with TLS); or a list of three or five `redis://` addresses: a quorum, of which a majority decides (in `--store` with commas between). `${VAR}` and `${file:/path}` are replaced.",
        )
        .preset(Preset::Text(STORE))
        .also(&["url", "redis_url", "backend", "database"]),
        Key::new(
            "max_clock_skew",
            Kind::Duration(ms(10), s(60), "no tolerance would refuse healthy nodes, and beyond a minute a clock is broken"),
            "How far a node's clock may be off the store's: a claim that is earlier than its slot by more is refused.",
        )
        .preset(Preset::Duration(MAX_CLOCK_SKEW))
        .also(&["clock_skew"]),
        Key::new(
            "min_acks",
            Kind::Integer(0, MOST_ACKS as i64),
            "How many replicas of Redis must have a claim, a renewal or the end of a slot before it counts. As many as there are replicas make a failover safe; while fewer are connected, nothing runs. 0: as soon as the master has it.",
        )
        .preset(Preset::Integer(MIN_ACKS as i64))
        .also(&["min_replicas", "wait", "acks"]),
        Key::new(
            "heartbeat",
            Kind::Duration(s(1), s(60), "the daemon's own clock beats once a second, and a node is shown as gone after two heartbeats"),
            "How often a node says that it is alive.",
        )
        .preset(Preset::Duration(HEARTBEAT)),
        Key::new(
            "drain_timeout",
            Kind::Duration(s(0), h(24), "a node that is asked to stop must stop within a day"),
            "How long running jobs may go on after SIGTERM before they are ended.",
        )
        .preset(Preset::Duration(DRAIN_TIMEOUT))
        .also(&["shutdown_timeout", "grace"]),
        Key::new(
            "max_running",
            Kind::Integer(1, 1_000_000),
            "How many runs this node has at a time at most. Default: no limit.",
        )
        .also(&["max_jobs", "max_concurrent", "concurrency", "workers"]),
        Key::new("history", Kind::Table(&HISTORY), HISTORY.doc),
        Key::new("redis", Kind::Table(&REDIS), REDIS.doc),
    ],
};

/// `[cluster.history]`
pub static HISTORY: Section = Section {
    title: "[cluster.history]",
    once: true,
    doc: "How much history is kept.",
    keys: &[
        Key::new(
            "keep",
            Kind::Duration(
                h(1),
                d(3650),
                "within an hour people still ask what ran, after ten years nobody does",
            ),
            "How long a finished run stays in the history.",
        )
        .preset(Preset::Duration(HISTORY_KEEP)),
        Key::new(
            "per_job",
            Kind::Integer(1, 1_000_000),
            "How many runs of a job stay in the history at most.",
        )
        .preset(Preset::Integer(HISTORY_PER_JOB as i64)),
    ],
};

/// `[cluster.redis]`
pub static REDIS: Section = Section {
    title: "[cluster.redis]",
    once: true,
    doc: "How to get into Redis, beside what the store's address says.",
    keys: &[
        Key::new(
            "username",
            Kind::Text,
            "The user of Redis' access list. `${VAR}` and `${file:/path}` are replaced.",
        )
        .also(&["user"]),
        Key::new(
            "password",
            Kind::Secret,
            "The password; it is never shown. `${VAR}` and `${file:/path}` are replaced.",
        )
        .also(&["pass", "passwd", "auth"]),
        Key::new(
            "ca",
            Kind::Path,
            "A PEM file with the certificates to trust, for `rediss://`. Default: the public ones.",
        )
        .also(&["cacert", "ca_file", "ca_cert"]),
        Key::new(
            "cert",
            Kind::Path,
            "A PEM file with this client's certificate, together with `key`.",
        )
        .also(&["certificate", "cert_file"]),
        Key::new("key", Kind::Path, "A PEM file with the private key of `cert`.")
            .also(&["key_file"]),
        Key::new(
            "timeout",
            Kind::Duration(ms(10), s(30), "a store that answers later than that is down"),
            "How long one call to Redis may take before it counts as not answered.",
        )
        .preset(Preset::Duration(REDIS_TIMEOUT)),
        Key::new(
            "sentinel_username",
            Kind::Text,
            "The user of the sentinels' access list, for `redis+sentinel://`. `${VAR}` and `${file:/path}` are replaced.",
        )
        .also(&["sentinel_user"]),
        Key::new(
            "sentinel_password",
            Kind::Secret,
            "The password of the sentinels, which is not that of their Redis; it is never shown. `${VAR}` and `${file:/path}` are replaced.",
        )
        .also(&["sentinel_pass", "sentinel_auth"]),
    ],
};

/// `[http]`
pub static HTTP: Section = Section {
    title: "[http]",
    once: true,
    doc: "The page, the API and the metrics of this node. Off where this table is absent.",
    keys: &[
        Key::new(
            "listen",
            Kind::Listen,
            "Where to listen: an IP address and a port; port 0 takes a free one, which the log tells. An address that other machines can reach needs a token, and TLS or `behind_proxy`.",
        )
        .preset(Preset::Text(HTTP_LISTEN))
        .also(&["address", "bind", "port", "addr"]),
        Key::new("tls", Kind::Table(&HTTP_TLS), HTTP_TLS.doc).also(&["ssl", "https"]),
        Key::new(
            "behind_proxy",
            Kind::Switch,
            "`true` where a proxy in front of it has TLS: who asks is then what the proxy says in `X-Forwarded-For`.",
        )
        .preset(Preset::Switch(false))
        .also(&["proxy", "trust_proxy"]),
        Key::new(
            "tokens",
            Kind::Tables(&HTTP_TOKEN),
            "Who may look and who may act, each a table `[[http.tokens]]`. Without one, everybody who reaches it may do both.",
        )
        .also(&["token", "users", "auth"]),
    ],
};

/// `[http.tls]`
pub static HTTP_TLS: Section = Section {
    title: "[http.tls]",
    once: true,
    doc: "How to prove who the node is, to browsers and to scripts.",
    keys: &[
        Key::new("cert", Kind::Path, "A PEM file with the certificate and those it depends on.")
            .also(&["certificate", "cert_file", "chain"]),
        Key::new("key", Kind::Path, "A PEM file with its private key.")
            .also(&["key_file", "private_key"]),
    ],
};

/// `[[http.tokens]]`
pub static HTTP_TOKEN: Section = Section {
    title: "[[http.tokens]]",
    once: false,
    doc: "A token: whoever knows its secret may look, or act.",
    keys: &[
        Key::new("name", Kind::Name, "Whose it is: the log says by it who did what.")
            .also(&["user", "id"]),
        Key::new(
            "role",
            Kind::Choice(Role::WORDS),
            "`viewer` may see everything, `operator` may also trigger, pause, resume and cancel.",
        )
        .preset(Preset::Text(Role::Viewer.as_str())),
        Key::new(
            "secret",
            Kind::Secret,
            "The secret, at least 16 characters; it is never shown. `${VAR}` and `${file:/path}` are replaced.",
        )
        .also(&["token", "password", "key"]),
        Key::new(
            "hash",
            Kind::Secret,
            "In place of the secret its SHA-256, as `printf %s SECRET | sha256sum` prints it, with or without `sha256:` before it.",
        )
        .also(&["sha256", "digest"]),
    ],
};

/// `[log]`
pub static LOG: Section = Section {
    title: "[log]",
    once: true,
    doc: "What the daemon writes to standard output.",
    keys: &[
        Key::new("format", Kind::Choice(&["text", "json"]), "`text` for people, `json` for machines: one object a line.")
            .preset(Preset::Text(LOG_FORMAT)),
        Key::new(
            "filter",
            Kind::Filter,
            "What is logged: `error`, `warn`, `info`, `debug` or `trace`, also by module: `info,solocron::store=debug`.",
        )
        .preset(Preset::Text(LOG_FILTER))
        .also(&["level"]),
    ],
};
