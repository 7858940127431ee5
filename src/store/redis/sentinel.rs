//! Sentinels: who of several servers is the master just now.
//!
//! Whoever dials asks them first, and takes no server that does not call itself the
//! master. Who is connected asks from time to time: a master that was cut off from its
//! sentinels does not know that they have made another. What they say is only where to
//! go; it settles no claim.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use redis::Value;

use crate::store::StoreError;
use crate::store::redis::dial::{self, Failure, lasting, passing};
use crate::store::redis::options::{Sentinels, server};
use crate::store::redis::{reply, trouble};

/// Where a master listens: name or IP address, and port.
pub(super) type Master = (String, u16);

/// Which sentinel answered last: it is asked first.
#[derive(Debug, Default)]
pub(super) struct Favourite(AtomicUsize);

impl Favourite {
    /// What it said was no use: another is asked next.
    pub(super) fn pass_on(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An attempt to connect takes this long at least, and leaves half to the sentinels.
const SHORTEST_DIAL: Duration = Duration::from_secs(1);

/// How often who is connected asks whether it is still the master. As often as
/// sentinels themselves look.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long one sentinel may take, where a call may take `timeout`.
fn patience(of: &Sentinels, timeout: Duration) -> Duration {
    let count = u32::try_from(of.servers.len()).unwrap_or(u32::MAX).max(1);
    timeout.max(SHORTEST_DIAL) / 2 / count
}

/// What one sentinel says.
enum Answer {
    Master(Master),
    Unknown,
    Nothing(Failure),
}

/// Asks the sentinels one after another where the master is.
pub(super) async fn master(
    of: &Sentinels,
    timeout: Duration,
    favourite: &Favourite,
) -> Result<Master, Failure> {
    let (count, first) = (of.servers.len(), favourite.0.load(Ordering::Relaxed));
    let patience = patience(of, timeout);
    let mut known = true;
    let mut failures = Vec::new();
    for index in (0..count).map(|n| (first + n) % count) {
        let (host, port) = &of.servers[index];
        let answer = tokio::time::timeout(patience, ask(of, host, *port)).await;
        match answer
            .unwrap_or_else(|_| Answer::Nothing(passing(format!("no answer within {patience:?}"))))
        {
            Answer::Master(master) => {
                favourite.0.store(index, Ordering::Relaxed);
                return Ok(master);
            }
            Answer::Unknown => known = false,
            Answer::Nothing(Failure { why, lasting }) => {
                failures.push((format!("{}: {why}", server(host, *port)), lasting));
            }
        }
    }
    let reasons: Vec<_> = failures.iter().map(|(why, _)| why.as_str()).collect();
    let reasons = reasons.join("; ");
    if !known {
        let others = if reasons.is_empty() { String::new() } else { format!(" ({reasons})") };
        let name = &of.master;
        return Err(lasting(format!(
            "the sentinels know no master named {name}{others}; its name stands behind \
             `sentinel monitor` in their config"
        )));
    }
    let lasting = failures.iter().all(|(_, lasting)| *lasting);
    Err(Failure { why: format!("no sentinel answers ({reasons})"), lasting })
}

async fn ask(of: &Sentinels, host: &str, port: u16) -> Answer {
    match try_ask(of, host, port).await {
        Ok(answer) => answer,
        Err(failure) => Answer::Nothing(failure),
    }
}

async fn try_ask(of: &Sentinels, host: &str, port: u16) -> Result<Answer, Failure> {
    let stream = dial::tcp(host, port, of.tls.as_ref()).await?;
    let (mut connection, mut driver) = dial::begin(stream).await?;
    let hello = dial::hello(of.username.as_deref(), of.password.as_deref());
    if let Value::ServerError(error) =
        dial::driven(&mut driver, connection.send_packed_command(&hello)).await?
    {
        return Err(refused(&error));
    }
    let mut question = redis::cmd("SENTINEL");
    question.arg("GET-MASTER-ADDR-BY-NAME").arg(&of.master);
    let answer = dial::driven(&mut driver, connection.send_packed_command(&question)).await?;
    match answer {
        Value::Nil => Ok(Answer::Unknown),
        Value::ServerError(error) => Err(refused(&error)),
        answer => read(answer).map(Answer::Master),
    }
}

fn read(answer: Value) -> Result<Master, Failure> {
    let strange = || passing("what it answers is not the address of a master");
    let parts = reply::texts(answer).map_err(|_| strange())?;
    let [host, port] = parts.try_into().map_err(|_| strange())?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(strange)?;
    if host.is_empty() { Err(strange()) } else { Ok((host, port)) }
}

/// Reads `values` as what a sentinel may answer, for `crate::fuzzing`.
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(super) fn read_all(values: &[Value]) {
    for value in values {
        match value {
            Value::ServerError(error) => drop(refused(error)),
            value => drop(read(value.clone())),
        }
    }
}

/// What a sentinel's error means. Its own words are not repeated: they may quote the
/// password.
fn refused(error: &redis::ServerError) -> Failure {
    match (error.code(), trouble::of_server(error)) {
        ("NOAUTH" | "WRONGPASS", _) => lasting(
            "it refuses the password; check `sentinel_username` and `sentinel_password` in \
             [cluster.redis]",
        ),
        ("NOPERM", _) => lasting(
            "its user may not ask; allow `sentinel|get-master-addr-by-name` to \
             `sentinel_username`",
        ),
        ("ERR", StoreError::Corrupt(why)) if why.contains("unknown command") => {
            lasting("it is no sentinel")
        }
        ("ERR", _) => lasting(
            "it refuses the password, or has none for this user; check `sentinel_username` and \
             `sentinel_password` in [cluster.redis]",
        ),
        (_, StoreError::Unavailable(why)) => passing(why),
        (code, _) => passing(format!("it answers with an error ({code})")),
    }
}

/// Says that a failure is about the master, not about the sentinels.
pub(super) fn of_master((host, port): &Master, failure: Failure) -> Failure {
    Failure { why: format!("the master {}: {}", server(host, *port), failure.why), ..failure }
}

/// Waits until the sentinels name another master than this one; where the other is.
/// No answer is no answer.
pub(super) async fn replaced(
    of: &Sentinels,
    timeout: Duration,
    favourite: &Favourite,
    current: &Master,
) -> Master {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if let Ok(master) = master(of, timeout, favourite).await
            && master != *current
        {
            return master;
        }
    }
}
