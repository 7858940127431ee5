//! All slots that are not settled, for who wants to see them.

use crate::clock::ClusterTime;
use crate::slot::Slot;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::record::{Record, Standing};
use crate::store::redis::reply;
use crate::store::redis::server::Server;
use crate::store::{Result, SlotRecord};

/// So many records are read in one round trip.
const AT_ONCE: usize = 5000;

pub(super) async fn open_slots(
    server: &impl Server,
    keys: &Keys,
    limit: usize,
) -> Result<Vec<(Slot, SlotRecord)>> {
    let now = reply::time(server.ask(Purpose::Read, redis::cmd("TIME")).await?)?;
    open_slots_at(server, keys, now, limit).await
}

/// The same, at `now`.
pub(super) async fn open_slots_at(
    server: &impl Server,
    keys: &Keys,
    now: ClusterTime,
    limit: usize,
) -> Result<Vec<(Slot, SlotRecord)>> {
    let mut range = redis::cmd("ZRANGE");
    let last = limit.clamp(1, 1 << 30) - 1;
    range.arg(keys.open()).arg(0).arg(last);
    let names = reply::texts(server.ask(Purpose::Read, range).await?)?;
    let mut open = Vec::with_capacity(names.len());
    for some in names.chunks(AT_ONCE) {
        let mut get = redis::cmd("MGET");
        for name in some {
            get.arg(format!("{}{name}", keys.slots()));
        }
        let records = reply::list(server.ask(Purpose::Read, get).await?)?;
        for (name, record) in some.iter().zip(records) {
            // One that was settled meanwhile is open no more.
            let Some(line) = reply::optional_text(record)? else { continue };
            let record = Record::read(&line)?;
            if !matches!(record.standing, Standing::Settled(_)) {
                let slot = name.parse().map_err(|_| reply::corrupt("the name of a slot"))?;
                open.push((slot, record.shown(now)));
            }
        }
    }
    Ok(open)
}
