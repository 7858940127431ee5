//! A real `redis-server` for a test: on a free port, in a folder of its own, and
//! gone with the value, or with the test process however that ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use redis::{ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo, Value};
use solocron::clock::BootInstant;

use super::proxy::Proxy;

/// How long a server may take to come up or to go.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a server is to be like.
#[derive(Default, Clone)]
pub(crate) struct Builder {
    password: Option<String>,
    tls: bool,
    /// Where its certificates are, if it has none of its own.
    certificates: Option<PathBuf>,
    sentinel: bool,
    of_cluster: bool,
    config: Vec<(String, String)>,
}

impl Builder {
    /// The default user needs this password.
    pub(crate) fn password(mut self, password: &str) -> Self {
        self.password = Some(password.to_owned());
        self.config("requirepass", password)
    }

    /// A line of the config file.
    pub(crate) fn config(mut self, name: &str, value: &str) -> Self {
        self.config.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An ACL user: `cron on >secret ~* +@all`.
    pub(crate) fn user(self, rules: &str) -> Self {
        self.config("user", rules)
    }

    /// Every write is on disk before it is acknowledged.
    pub(crate) fn durable(self) -> Self {
        self.config("appendonly", "yes").config("appendfsync", "always")
    }

    /// Only TLS, and only for clients with a certificate of the same root.
    pub(crate) fn tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// The same with the certificates of `other`.
    pub(crate) fn tls_of(mut self, other: &RedisServer) -> Self {
        self.certificates = Some(other.folder.path().to_owned());
        self.tls()
    }

    /// Such a server beside `first`: with the certificates of that, where there are some.
    pub(crate) fn beside(self, first: Option<&RedisServer>) -> Self {
        match first {
            Some(first) if self.tls => self.tls_of(first),
            _ => self,
        }
    }

    /// It is a sentinel, which only watches other servers.
    pub(crate) fn sentinel(mut self) -> Self {
        self.sentinel = true;
        self
    }

    /// A server of a Redis Cluster, alone so far.
    pub(crate) fn of_cluster(mut self) -> Self {
        self.of_cluster = true;
        self.config("cluster-enabled", "yes").config("cluster-config-file", "nodes.conf")
    }

    pub(crate) fn start(self) -> RedisServer {
        let mut folder = tempfile::tempdir().unwrap();
        match &self.certificates {
            Some(from) => certificates::copy(from, folder.path()),
            None if self.tls => certificates::write(folder.path()),
            None => {}
        }
        let mut last = String::new();
        for _ in 0..20 {
            let port = free_port();
            let builder = match self.of_cluster {
                true => self.clone().config("cluster-port", &free_port().to_string()),
                false => self.clone(),
            };
            write_config(&builder, folder.path(), port);
            match run(&builder, folder.path()) {
                Ok(child) => {
                    let mut server = RedisServer { builder, folder, port, child };
                    if server.is_ready() {
                        return server;
                    }
                    last = log(server.folder.path());
                    folder = std::mem::replace(&mut server.folder, tempfile::tempdir().unwrap());
                }
                // Somebody else took the port meanwhile.
                Err(error) => last = error,
            }
        }
        panic!("redis-server does not start: {last}");
    }
}

/// A running `redis-server`.
pub(crate) struct RedisServer {
    builder: Builder,
    folder: tempfile::TempDir,
    port: u16,
    child: Child,
}

impl RedisServer {
    /// One without password, TLS or persistence.
    pub(crate) fn start() -> Self {
        Builder::default().start()
    }

    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The port on which the servers of a cluster talk.
    pub(crate) fn bus(&self) -> &str {
        let bus = self.builder.config.iter().find(|(name, _)| name == "cluster-port");
        &bus.expect("it is a server of a cluster").1
    }

    /// What the default user needs.
    pub(crate) fn password(&self) -> Option<&str> {
        self.builder.password.as_deref()
    }

    pub(crate) fn has_tls(&self) -> bool {
        self.builder.tls
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// `redis://127.0.0.1:PORT/0`, with `rediss` for TLS.
    pub(crate) fn url(&self) -> String {
        let scheme = if self.builder.tls { "rediss" } else { "redis" };
        format!("{scheme}://127.0.0.1:{}/0", self.port)
    }

    /// The socket on which it listens as well.
    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("s")
    }

    /// A proxy before it, by which it is known to others from now on: `setting` is where
    /// a server says what its port is.
    pub(crate) fn front(&self, setting: &str) -> Arc<Proxy> {
        let proxy = Proxy::before(self.port);
        self.cli(&["CONFIG", "SET", setting, &proxy.port().to_string()]);
        // So that it holds after a restart as well.
        self.cli(&["CONFIG", "REWRITE"]);
        Arc::new(proxy)
    }

    /// One of `ca.pem`, `client.pem`, `client.key`, `other-ca.pem`.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command over a connection of its own, as `redis-cli` would; what the
    /// server says to it, errors included.
    pub(crate) fn cli(&self, args: &[&str]) -> Value {
        self.try_cli(args).unwrap_or_else(|error| panic!("{args:?}: {error}"))
    }

    pub(crate) fn try_cli(&self, args: &[&str]) -> redis::RedisResult<Value> {
        let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Some(password) = &self.builder.password {
            settings = settings.set_password(password);
        }
        let info = ConnectionAddr::Unix(self.socket())
            .into_connection_info()?
            .set_redis_settings(settings);
        let mut connection = redis::Client::open(info)?.get_connection()?;
        let mut command = redis::cmd(args[0]);
        command.arg(&args[1..]);
        command.query(&mut connection)
    }

    /// The same, as text.
    pub(crate) fn cli_text(&self, args: &[&str]) -> String {
        redis::from_redis_value(self.cli(args)).unwrap()
    }

    /// The same, as lines.
    pub(crate) fn cli_list(&self, args: &[&str]) -> Vec<String> {
        redis::from_redis_value(self.cli(args)).unwrap()
    }

    /// The same, as a number.
    pub(crate) fn cli_number(&self, args: &[&str]) -> i64 {
        redis::from_redis_value(self.cli(args)).unwrap()
    }

    /// Ends it as an operator would, with SHUTDOWN.
    pub(crate) fn stop(&mut self) {
        let _ = self.try_cli(&["SHUTDOWN"]);
        self.child.wait().unwrap();
    }

    /// Ends it at once, with nothing written any more.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Whether its process has ended.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Whether it takes part in the quorum of slots that it is a server of.
    pub(crate) fn is_member(&self) -> bool {
        let keys = self.cli_list(&["KEYS", "*{*.quorum}:state"]);
        keys.first()
            .is_some_and(|key| matches!(self.cli(&["HGET", key, "member"]), Value::BulkString(_)))
    }

    /// Removes all that it has written, once it is ended.
    pub(crate) fn lose_data(&mut self) {
        assert!(self.is_ended(), "it would write it again");
        let dir = self.builder.config.iter().find(|(name, _)| name == "dir");
        let dir = dir.map_or(self.folder.path(), |(_, dir)| Path::new(dir));
        assert!(dir.is_dir(), "{dir:?}");
        match std::fs::remove_dir_all(dir.join("appendonlydir")) {
            // It was emptied before, and ended before it could write (the disk was full).
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.unwrap(),
        }
    }

    /// Freezes it.
    pub(crate) fn pause(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Starts it again on the same port and in the same folder, once it is ended.
    pub(crate) fn restart(&mut self) {
        self.start_again();
        self.wait_until_ready();
    }

    /// The same with more config, and does not wait until it has loaded its data.
    pub(crate) fn restart_with(&mut self, name: &str, value: &str) {
        self.builder = self.builder.clone().config(name, value);
        write_config(&self.builder, self.folder.path(), self.port);
        self.start_again();
        self.wait_until("it answers", |server| server.try_cli(&["PING"]).is_ok_or_loading());
    }

    fn start_again(&mut self) {
        let start = BootInstant::now();
        loop {
            match run(&self.builder, self.folder.path()) {
                Ok(child) => break self.child = child,
                Err(error) => {
                    assert!(BootInstant::now().since(start) < PATIENCE, "no restart: {error}");
                }
            }
        }
    }

    fn wait_until_ready(&mut self) {
        self.wait_until("it is ready", |server| server.try_cli(&["PING"]).is_ok());
    }

    /// Waits until it answers; false if it ends before.
    fn is_ready(&mut self) -> bool {
        while self.try_cli(&["PING"]).is_err() {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    fn wait_until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = BootInstant::now();
        while !holds(self) {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("redis-server ended ({status}): {}", log(self.folder.path()));
            }
            assert!(BootInstant::now().since(start) < PATIENCE, "waited in vain until {what}");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

trait Loading {
    fn is_ok_or_loading(&self) -> bool;
}

impl Loading for redis::RedisResult<Value> {
    fn is_ok_or_loading(&self) -> bool {
        match self {
            Ok(_) => true,
            Err(error) => error.code() == Some("LOADING"),
        }
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on, for now.
pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn write_config(builder: &Builder, folder: &Path, port: u16) {
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        format!("unixsocket {}", folder.join("s").display()),
        format!("dir {}", folder.display()),
        format!("logfile {}", folder.join("log").display()),
    ];
    if builder.tls {
        let file = |name: &str| folder.join(name).display().to_string();
        lines.push("port 0".to_owned());
        lines.push(format!("tls-port {port}"));
        lines.push(format!("tls-cert-file {}", file("server.pem")));
        lines.push(format!("tls-key-file {}", file("server.key")));
        lines.push(format!("tls-ca-cert-file {}", file("ca.pem")));
    } else {
        lines.push(format!("port {port}"));
    }
    if !builder.sentinel && !builder.config.iter().any(|(name, _)| name == "save") {
        lines.push("save \"\"".to_owned());
    }
    lines.extend(builder.config.iter().map(|(name, value)| format!("{name} {value}")));
    std::fs::write(folder.join("redis.conf"), lines.join("\n") + "\n").unwrap();
}

/// Starts a server and waits until its socket is there; why not, if it ends before.
fn run(builder: &Builder, folder: &Path) -> Result<Child, String> {
    let _ = std::fs::remove_file(folder.join("s"));
    let mut command = Command::new("redis-server");
    command.arg(folder.join("redis.conf")).args(builder.sentinel.then_some("--sentinel"));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = spawn(command).map_err(|error| error.to_string())?;
    loop {
        if folder.join("s").exists() {
            return Ok(child);
        }
        if child.try_wait().unwrap().is_some() {
            return Err(log(folder));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap_or_default()
}

type Order = (Command, mpsc::SyncSender<io::Result<Child>>);

/// The thread that starts all servers. A child gets its death signal when the
/// *thread* that started it ends, and this one lives as long as the process.
static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, received) = mpsc::channel::<Order>();
    std::thread::spawn(move || {
        for (mut command, answer) in received {
            let _ = answer.send(command.spawn());
        }
    });
    orders
});

fn spawn(mut command: Command) -> io::Result<Child> {
    // SAFETY: between fork and exec there are but two system calls.
    unsafe {
        command.pre_exec(|| {
            // A server is a service of its own: the kernel shares the processors out among
            // sessions first (`sched_autogroup`), as it does among services.
            nix::unistd::setsid()?;
            Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)
        });
    }
    let (answer, answered) = mpsc::sync_channel(1);
    STARTER.send((command, answer)).unwrap();
    answered.recv().unwrap()
}

pub(crate) mod certificates {
    use std::path::Path;

    use rcgen::{
        BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    };

    fn authority(name: &str) -> (String, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        (pem, Issuer::new(params, key))
    }

    /// Those of another server.
    pub(super) fn copy(from: &Path, to: &Path) {
        for name in
            ["ca.pem", "other-ca.pem", "server.pem", "server.key", "client.pem", "client.key"]
        {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }

    /// A root, a server's and a client's certificate below it, and a foreign root.
    pub(crate) fn write(folder: &Path) {
        let (ca, issuer) = authority("root");
        std::fs::write(folder.join("ca.pem"), ca).unwrap();
        std::fs::write(folder.join("other-ca.pem"), authority("other root").0).unwrap();
        let subjects: [(&str, &[&str]); 2] =
            [("server", &["127.0.0.1", "localhost"]), ("client", &["cron.test"])];
        for (name, subjects) in subjects {
            let subjects: Vec<_> = subjects.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(subjects).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &issuer).unwrap();
            std::fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
            std::fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
        }
    }
}
