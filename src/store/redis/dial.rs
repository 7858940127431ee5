//! One connection, from the first packet until it can be used: socket, TLS,
//! password, database, version, scripts.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::socket2::{SockRef, TcpKeepalive};
use redis::{AsyncConnectionConfig, Pipeline, RedisConnectionInfo, RedisResult, Value};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::store::redis::options::{Address, Options, TlsOptions};
use crate::store::redis::scripts::Script;
use crate::store::redis::sentinel::{self, Favourite, Master};
use crate::store::redis::{inspect, trouble};
use crate::tls;

/// What moves the bytes of a connection; it ends when the connection does, and may
/// be asked again after that.
pub(super) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Future for Driver {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(driver) = &mut self.0 {
            std::task::ready!(driver.as_mut().poll(context));
            self.0 = None;
        }
        Poll::Ready(())
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) why: String,
    /// Whether only a human can mend it, so that trying fast is no use.
    pub(super) lasting: bool,
}

/// It may mend by itself.
pub(super) fn passing(why: impl Into<String>) -> Failure {
    Failure { why: why.into(), lasting: false }
}

pub(super) fn lasting(why: impl Into<String>) -> Failure {
    Failure { why: why.into(), lasting: true }
}

/// So often an idle connection is probed: three unanswered probes end it.
const KEEPALIVE: Duration = Duration::from_secs(15);

/// A connection that is ready for use.
pub(super) struct Dialled {
    pub(super) connection: MultiplexedConnection,
    pub(super) driver: Driver,
    /// Where it leads, if sentinels said so.
    pub(super) master: Option<Master>,
}

/// Makes a connection that is ready for use.
pub(super) async fn dial(options: &Options, favourite: &Favourite) -> Result<Dialled, Failure> {
    let (stream, master) = reach(options, favourite).await?;
    let dialled = ready(stream, options, master.clone()).await;
    dialled.map_err(|failure| of_master(master.as_ref(), favourite, failure))
}

/// A stream to the server, TLS included, on which nothing was said yet; and where it
/// leads, if sentinels said so.
pub(super) async fn reach(
    options: &Options,
    favourite: &Favourite,
) -> Result<(Box<dyn Stream>, Option<Master>), Failure> {
    match &options.address {
        Address::Unix(path) => {
            Ok((Box::new(UnixStream::connect(path).await.map_err(of_io)?), None))
        }
        Address::Tcp { host, port, tls } => Ok((tcp(host, *port, tls.as_ref()).await?, None)),
        Address::Sentinel(of) => {
            let master = sentinel::master(of, options.timeout, favourite).await?;
            match tcp(&master.0, master.1, of.tls.as_ref()).await {
                Ok(stream) => Ok((stream, Some(master))),
                Err(failure) => Err(of_master(Some(&master), favourite, failure)),
            }
        }
    }
}

/// A failure of the master that a sentinel named: another may name another.
fn of_master(master: Option<&Master>, favourite: &Favourite, failure: Failure) -> Failure {
    let Some(master) = master else { return failure };
    favourite.pass_on();
    sentinel::of_master(master, failure)
}

/// Makes a connection of `stream`.
async fn ready(
    stream: Box<dyn Stream>,
    options: &Options,
    master: Option<Master>,
) -> Result<Dialled, Failure> {
    let (mut connection, mut driver) = begin(stream).await?;
    greet(&mut connection, &mut driver, options)
        .await
        .map_err(|failure| hinted(failure, options))?;
    Ok(Dialled { connection, driver, master })
}

/// What a server may want that ends the connection instead of answering.
fn hinted(failure: Failure, options: &Options) -> Failure {
    let tls = match &options.address {
        Address::Tcp { tls, .. } => tls.as_ref(),
        Address::Sentinel(of) => of.tls.as_ref(),
        Address::Unix(_) => return failure,
    };
    let hint = match tls {
        _ if failure.why != trouble::CLOSED => return failure,
        None => "; does the server want TLS (rediss)?",
        Some(tls) if tls.cert.is_none() => {
            "; does the server want a certificate of ours (`cert` and `key` in [cluster.redis])?"
        }
        Some(_) => return failure,
    };
    Failure { why: failure.why + hint, ..failure }
}

/// Speaks Redis on `stream`; nothing is sent yet.
pub(super) async fn begin(
    stream: Box<dyn Stream>,
) -> Result<(MultiplexedConnection, Driver), Failure> {
    // Password and database are sent later, for the sake of the messages.
    let anonymous = RedisConnectionInfo::default().set_skip_set_lib_name();
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let (connection, driver) = MultiplexedConnection::new_with_config(&anonymous, stream, config)
        .await
        .map_err(|error| passing(trouble::of_connection(&error)))?;
    Ok((connection, Driver(Some(Box::pin(driver)))))
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

fn of_io(error: std::io::Error) -> Failure {
    passing(trouble::of_io(Some(&error), &error.to_string()))
}

/// A connection to a port, with TLS where it is to be encrypted.
pub(super) async fn tcp(
    host: &str,
    port: u16,
    tls: Option<&TlsOptions>,
) -> Result<Box<dyn Stream>, Failure> {
    let stream = TcpStream::connect((host, port)).await.map_err(of_io)?;
    stream.set_nodelay(true).map_err(of_io)?;
    let probes = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE).with_retries(3);
    SockRef::from(&stream).set_tcp_keepalive(&probes).map_err(of_io)?;
    match tls {
        None => Ok(Box::new(stream)),
        Some(tls) => Ok(Box::new(encrypt(stream, host, tls).await?)),
    }
}

async fn encrypt(
    stream: TcpStream,
    host: &str,
    tls: &TlsOptions,
) -> Result<TlsStream<TcpStream>, Failure> {
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| lasting(format!("{host:?} cannot be the name of a TLS server")))?;
    let config = tls::client_config(tls).await.map_err(|error| match error.passes {
        true => passing(error.why),
        false => lasting(error.why),
    })?;
    let connector = TlsConnector::from(config);
    connector.connect(name, stream).await.map_err(|error| {
        let text = error.to_string();
        if text.contains("InvalidContentType") {
            return lasting("what answers there does not speak TLS; is it redis:// after all?");
        }
        match error.get_ref().is_some_and(|cause| cause.is::<rustls::Error>()) {
            true => lasting(format!("the TLS handshake failed: {text}{}", remedy(&text))),
            false => passing(trouble::of_io(Some(&error), &text)),
        }
    })
}

/// What to do about a certificate that is not trusted.
fn remedy(text: &str) -> &'static str {
    if text.contains("UnknownIssuer") {
        "; its certificate does not descend from a root that is trusted: give the one that it \
         does as `ca` in [cluster.redis]"
    } else if text.contains("NotValidForName") || text.contains("not valid for name") {
        "; its certificate is for other names: reach the server by one of those, and have it \
         announce that (cluster-announce-hostname, cluster-preferred-endpoint-type hostname)"
    } else {
        ""
    }
}

/// Runs `request` while `driver` moves its bytes.
pub(super) async fn driven<T>(
    driver: &mut Driver,
    request: impl Future<Output = RedisResult<T>>,
) -> Result<T, Failure> {
    tokio::pin!(request);
    let answer = tokio::select! {
        biased;
        answer = &mut request => answer,
        // What the driver leaves behind is still there to be read.
        () = driver => request.await,
    };
    answer.map_err(|error| passing(trouble::of_connection(&error)))
}

async fn greet(
    connection: &mut MultiplexedConnection,
    driver: &mut Driver,
    options: &Options,
) -> Result<(), Failure> {
    // Alone, because some servers answer one command and close.
    let hello = hello(options.username.as_deref(), options.password.as_deref());
    if let Value::ServerError(error) =
        driven(driver, connection.send_packed_command(&hello)).await?
    {
        return Err(refused(&error));
    }

    let mut setup = Pipeline::new();
    if options.has_sentinels() {
        setup.cmd("ROLE");
    }
    let selects = options.database != 0;
    if selects {
        setup.cmd("SELECT").arg(options.database);
    }
    setup.cmd("PING");
    setup.cmd("INFO").arg("server");
    setup.cmd("CLIENT").arg("SETNAME").arg(options.client_name());
    for script in Script::ALL {
        setup.add_command(script.load());
    }
    let count = setup.len();
    let replies = driven(driver, connection.send_packed_commands(&setup, 0, count)).await?;
    let mut replies = replies.into_iter();
    if options.has_sentinels() {
        must_be_master(replies.next())?;
    }
    if selects && let Some(Value::ServerError(error)) = replies.next() {
        return Err(match error.code() {
            "ERR" => lasting(format!(
                "Redis has no database {}; choose one below its `databases` setting",
                options.database
            )),
            _ => refused(&error),
        });
    }
    if let Some(Value::ServerError(error)) = replies.next() {
        return Err(refused(&error));
    }
    // That INFO, CLIENT or SCRIPT is forbidden does not matter here.
    match replies.next() {
        Some(Value::BulkString(info)) => inspect::too_old(&String::from_utf8_lossy(&info))
            .map_or(Ok(()), |why| Err(lasting(why))),
        _ => Ok(()),
    }
}

/// The first command on a connection.
pub(super) fn hello(username: Option<&str>, password: Option<&str>) -> redis::Cmd {
    let Some(password) = password else { return redis::cmd("PING") };
    let mut auth = redis::cmd("AUTH");
    if let Some(username) = username {
        auth.arg(username);
    }
    auth.arg(password);
    auth
}

/// Looks at the answer to `ROLE`: sentinels may be behind the times, or wrong.
fn must_be_master(answer: Option<Value>) -> Result<(), Failure> {
    let role = match answer {
        Some(Value::ServerError(error)) => return Err(refused(&error)),
        Some(Value::Array(parts)) => parts.into_iter().next(),
        _ => None,
    };
    match role {
        Some(Value::BulkString(role)) if role == b"master" => Ok(()),
        Some(Value::BulkString(role)) if role == b"slave" => {
            Err(passing("it is a replica, and the sentinels call it the master; asking again"))
        }
        Some(Value::BulkString(role)) if role == b"sentinel" => {
            Err(lasting("it is a sentinel, and the sentinels call it the master"))
        }
        _ => Err(passing("it does not say that it is a master")),
    }
}

/// Reads `values` as what a server may answer at first, for `crate::fuzzing`.
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(super) fn read_all(values: &[Value]) {
    for value in values {
        let _good_or_not = must_be_master(Some(value.clone()));
    }
}

/// What a server's error to the first commands means. Its own words are not
/// repeated: some servers quote the command, and with it the password.
fn refused(error: &redis::ServerError) -> Failure {
    use crate::store::StoreError;
    match (error.code(), trouble::of_server(error)) {
        ("LOADING" | "MASTERDOWN" | "BUSY", StoreError::Unavailable(why)) => passing(why),
        ("ERR", StoreError::Unavailable(why)) => passing(why),
        (_, StoreError::Unavailable(why)) => lasting(why),
        ("ERR", _) => lasting(
            "Redis refuses the password, or has none for this user; check `username` and \
             `password` in [cluster.redis]",
        ),
        (code, _) => lasting(format!("Redis refuses the connection ({code})")),
    }
}
