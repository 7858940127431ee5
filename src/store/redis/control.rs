//! What people ask of the cluster: runs now, and ended; pauses; tables to load anew.

use std::time::Duration;

use crate::claim::{RunId, Token};
use crate::clock::ClusterTime;
use crate::control::{Control, KEPT, MATTERS_FOR, Pauses};
use crate::name::{JobName, NodeName};
use crate::slot::Slot;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::record::{Record, Standing, word};
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::{reply, scripts};
use crate::store::{Cancelled, Result};

/// So many records are read in one round trip.
const AT_ONCE: usize = 5000;
/// What stands before the name of a node in the field of its reloads.
pub(super) const RELOAD_OF: &str = "reload:";

pub(super) async fn trigger(
    link: &impl Server,
    keys: &Keys,
    by: &NodeName,
    slot: &Slot,
    keep: Duration,
) -> Result<bool> {
    let Some(trigger) = slot.trigger else { return Ok(false) };
    let mut call = scripts::TRIGGER.call(&[&keys.open(), &keys.slot(slot)]);
    call.arg(slot.to_string())
        .arg(Token::of_trigger(trigger).to_string())
        .arg(by.as_str())
        .arg(millis(keep));
    reply::yes(link.ask(Purpose::Settle, call).await?)
}

/// Looks for the run among the open slots, then marks it if it is still the one.
pub(super) async fn cancel(
    link: &impl Server,
    keys: &Keys,
    run: RunId,
) -> Result<Option<Cancelled>> {
    match find(link, keys, run).await? {
        Some((name, record)) => mark(link, keys, &name, record).await,
        None => Ok(None),
    }
}

/// The slot that has this run in progress, by name, and its record.
pub(super) async fn find(
    link: &impl Server,
    keys: &Keys,
    run: RunId,
) -> Result<Option<(String, Record)>> {
    let mut range = redis::cmd("ZRANGE");
    range.arg(keys.open()).arg(0).arg(-1);
    let names = reply::texts(link.ask(Purpose::Read, range).await?)?;
    for some in names.chunks(AT_ONCE) {
        let mut get = redis::cmd("MGET");
        for name in some {
            get.arg(format!("{}{name}", keys.slots()));
        }
        let records = reply::list(link.ask(Purpose::Read, get).await?)?;
        for (name, record) in some.iter().zip(records) {
            let Some(line) = reply::optional_text(record)? else { continue };
            let record = Record::read(&line)?;
            let runs = matches!(record.standing, Standing::Running(_));
            if runs && record.token.run_id(record.attempt) == run {
                return Ok(Some((name.clone(), record)));
            }
        }
    }
    Ok(None)
}

async fn mark(
    link: &impl Server,
    keys: &Keys,
    name: &str,
    of: Record,
) -> Result<Option<Cancelled>> {
    let slot: Slot = name.parse().map_err(|_| reply::corrupt("the name of a slot"))?;
    let mut call = scripts::CANCEL.call(&[&keys.cancels(), &keys.slot(&slot)]);
    call.arg(name).arg(of.token.to_string()).arg(of.attempt);
    let marked = reply::yes(link.ask(Purpose::Settle, call).await?)?;
    Ok(marked.then_some(Cancelled { slot, node: of.node }))
}

pub(super) async fn pause(
    link: &impl Server,
    keys: &Keys,
    job: &JobName,
    pause: bool,
) -> Result<bool> {
    let mut call = scripts::PAUSE.call(&[&keys.control(), &keys.paused()]);
    call.arg(job.as_str()).arg(u8::from(pause)).arg(matters_for()).arg(KEPT);
    reply::yes(link.ask(Purpose::Settle, call).await?)
}

/// How long a pause matters after its end, in microseconds.
pub(super) fn matters_for() -> u64 {
    millis(MATTERS_FOR) * 1000
}

pub(super) async fn request_reload(
    link: &impl Server,
    keys: &Keys,
    node: Option<&NodeName>,
) -> Result<()> {
    let mut call = scripts::RELOAD.call(&[&keys.control()]);
    match node {
        None => call.arg("reload"),
        Some(node) => call.arg(format!("{RELOAD_OF}{node}")).arg(millis(MATTERS_FOR)),
    };
    reply::yes(link.ask(Purpose::Write, call).await?).map(drop)
}

pub(super) async fn control(link: &impl Server, keys: &Keys) -> Result<Control> {
    // The version comes first, and alone: what is older than the rest is read again.
    let all = |key| {
        let mut cmd = redis::cmd("HGETALL");
        cmd.arg(key);
        cmd
    };
    let commands = vec![redis::cmd("TIME"), all(keys.control())];
    let mut replies = link.send(Purpose::Read, commands).await?.into_iter();
    let mut next = || replies.next().unwrap_or_else(|| Err(reply::corrupt("all answers")));
    let now = reply::time(next()?)?;
    let mut control = Control::default();
    for (field, text) in reply::pairs(next()?)? {
        add_version(&mut control, now, &field, &text)
            .ok_or_else(|| reply::corrupt("the version of a command"))?;
    }
    let paused = link.ask(Purpose::Read, all(keys.paused())).await?;
    for (job, text) in reply::pairs(paused)? {
        let job = job.parse().map_err(|_| reply::corrupt("the name of a job"))?;
        let pauses: Pauses = text.parse().map_err(|_| reply::corrupt("the pauses of a job"))?;
        let pauses = pauses.remembered(now);
        if !pauses.is_empty() {
            control.pauses.insert(job, pauses);
        }
    }
    Ok(control)
}

/// Reads one field of the hash (`scripts/control.lua`).
fn add_version(control: &mut Control, now: ClusterTime, field: &str, text: &str) -> Option<()> {
    let mut words = text.split(' ');
    let version = word(&mut words)?;
    match field {
        "version" => control.version = version,
        "reload" => control.reload = version,
        other => {
            let node = other.strip_prefix(RELOAD_OF)?.parse().ok()?;
            if ClusterTime::from_unix_millis(word(&mut words)?) > now {
                control.reload_of.insert(node, version);
            }
        }
    }
    Some(())
}
