//! Reading the ledger, and keeping it small.

use std::collections::HashSet;

use redis::{Cmd, Value};

use crate::claim::RunId;
use crate::clock::ClusterTime;
use crate::ledger::{Entry, Query, Retention};
use crate::name::{JobName, NodeName};
use crate::slot::{Slot, SlotTime};
use crate::store::redis::control::matters_for;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::Purpose;
use crate::store::redis::record::Record;
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::slot_keys::TAIL_LISTS;
use crate::store::redis::{entry, reply, scripts};
use crate::store::{Result, SlotStory};

/// So many entries of one ledger are read at once.
const PAGE: usize = 1000;
/// So many ledgers are looked at in one round trip.
const LEDGERS_AT_ONCE: usize = 64;
/// So many keys are looked for in one round trip.
const KEYS_AT_ONCE: usize = 5000;

/// Part of a ledger, newest first or oldest first as it was asked for.
struct Page {
    entries: Vec<Entry>,
    /// The id to go on from, where there may be more.
    next: Option<String>,
}

fn page_of(job: &JobName, value: Value, size: usize) -> Result<Page> {
    let (mut entries, mut last) = (Vec::new(), None);
    for item in reply::list(value)? {
        let [id, fields] =
            reply::list(item)?.try_into().map_err(|_| reply::corrupt("an entry of a stream"))?;
        last = Some(reply::text(id)?);
        for (_, line) in reply::pairs(fields)? {
            entries.push(entry::read(job, &line)?);
        }
    }
    let next = last.filter(|_| entries.len() >= size);
    Ok(Page { entries, next })
}

/// Reads backwards from before `before`, not beyond what was written before `since`.
fn backwards(keys: &Keys, job: &JobName, before: Option<&str>, since: &str, count: usize) -> Cmd {
    let mut cmd = redis::cmd("XREVRANGE");
    cmd.arg(keys.ledger(job))
        .arg(before.map_or_else(|| "+".to_owned(), |id| format!("({id}")))
        .arg(since)
        .arg("COUNT")
        .arg(count);
    cmd
}

pub(super) async fn history(link: &impl Server, keys: &Keys, query: &Query) -> Result<Vec<Entry>> {
    if query.limit == 0 {
        return Ok(Vec::new());
    }
    let jobs = match &query.job {
        Some(job) => vec![(job.clone(), i64::MAX)],
        None => {
            let mut all = jobs_by_last_entry(link, keys).await?;
            let since = query.since.map_or(i64::MIN, ClusterTime::unix_millis);
            all.retain(|(_, last)| *last >= since);
            all
        }
    };
    let mut newest: Vec<Entry> = Vec::new();
    for some in jobs.chunks(LEDGERS_AT_ONCE) {
        // The jobs come by their last entry: those behind have nothing newer.
        let full = newest.len() >= query.limit;
        if full && newest.last().is_some_and(|e| e.recorded_at().unix_millis() > some[0].1) {
            break;
        }
        newest.extend(newest_of(link, keys, some, query).await?);
        newest.sort_by_key(|entry| std::cmp::Reverse(entry.recorded_at()));
        newest.truncate(query.limit);
    }
    Ok(newest)
}

pub(super) async fn recent(
    link: &impl Server,
    keys: &Keys,
    jobs: &[JobName],
    each: usize,
) -> Result<Vec<Vec<Entry>>> {
    let each = each.min(PAGE);
    let mut recent = Vec::with_capacity(jobs.len());
    // As many entries in one round trip as where all are looked through.
    let at_once = (LEDGERS_AT_ONCE * PAGE / 8 / each.max(1)).clamp(1, LEDGERS_AT_ONCE * 8);
    for some in jobs.chunks(at_once) {
        let ask = some.iter().map(|job| backwards(keys, job, None, "-", each)).collect();
        for (reply, job) in link.send(Purpose::Read, ask).await?.into_iter().zip(some) {
            recent.push(page_of(job, reply?, each)?.entries);
        }
    }
    Ok(recent)
}

pub(super) async fn tail(
    link: &impl Server,
    keys: &Keys,
    job: &JobName,
    run: RunId,
) -> Result<Option<String>> {
    let run = run.to_string();
    let lists = tails(keys, job);
    for reply in link.send(Purpose::Read, lists).await? {
        if let Some(tail) = reply::texts(reply?)?.iter().find_map(|tail| tail_of(&run, tail)) {
            return Ok(Some(tail));
        }
    }
    Ok(None)
}

/// Asks for the tails of a job's runs, by kind of end.
fn tails(keys: &Keys, job: &JobName) -> Vec<Cmd> {
    let range = |list| {
        let mut range = redis::cmd("LRANGE");
        range.arg(keys.tails(job, list)).arg(0).arg(-1);
        range
    };
    TAIL_LISTS.into_iter().map(range).collect()
}

/// The tail that is kept as `RUN TAIL`, if it is that of `run`.
fn tail_of(run: &str, kept: &str) -> Option<String> {
    kept.strip_prefix(run)?.strip_prefix(' ').map(str::to_owned)
}

async fn jobs_by_last_entry(link: &impl Server, keys: &Keys) -> Result<Vec<(JobName, i64)>> {
    let mut cmd = redis::cmd("ZREVRANGE");
    cmd.arg(keys.ledgers()).arg(0).arg(-1).arg("WITHSCORES");
    let pairs = reply::pairs(link.ask(Purpose::Read, cmd).await?)?;
    let read = |(job, score): (String, String)| {
        let job = job.parse().map_err(|_| reply::corrupt("the name of a job"))?;
        let score: f64 = score.parse().map_err(|_| reply::corrupt("a time"))?;
        Ok((job, score as i64))
    };
    pairs.into_iter().map(read).collect()
}

/// The newest entries of some jobs that fit the query, enough of each.
async fn newest_of(
    link: &impl Server,
    keys: &Keys,
    jobs: &[(JobName, i64)],
    query: &Query,
) -> Result<Vec<Entry>> {
    let since =
        query.since.map_or_else(|| "-".to_owned(), |at| at.unix_millis().max(0).to_string());
    let wanted = |entry: &Entry| {
        query.since.is_none_or(|since| entry.recorded_at() >= since)
            && query.node.as_ref().is_none_or(|node| node_of(entry) == node)
    };
    let size = query.limit.min(if jobs.len() > 1 { PAGE / 8 } else { PAGE });
    let first = jobs.iter().map(|(job, _)| backwards(keys, job, None, &since, size)).collect();
    let mut found = Vec::new();
    for (reply, (job, _)) in link.send(Purpose::Read, first).await?.into_iter().zip(jobs) {
        let mut page = page_of(job, reply?, size)?;
        let mut enough = 0;
        loop {
            let fitting: Vec<_> = page.entries.into_iter().filter(&wanted).collect();
            enough += fitting.len();
            found.extend(fitting);
            let Some(next) = page.next.filter(|_| enough < query.limit) else { break };
            let more = backwards(keys, job, Some(&next), &since, PAGE);
            page = page_of(job, link.ask(Purpose::Read, more).await?, PAGE)?;
        }
    }
    Ok(found)
}

fn node_of(entry: &Entry) -> &NodeName {
    match entry {
        Entry::Run(run) => &run.node,
        Entry::Missed(missed) => &missed.node,
    }
}

/// Hands every entry of a job's ledger to `see`, oldest first.
async fn each(
    link: &impl Server,
    keys: &Keys,
    job: &JobName,
    mut see: impl FnMut(Entry),
) -> Result<()> {
    let mut from = "-".to_owned();
    loop {
        let mut cmd = redis::cmd("XRANGE");
        cmd.arg(keys.ledger(job)).arg(&from).arg("+").arg("COUNT").arg(PAGE);
        let page = page_of(job, link.ask(Purpose::Read, cmd).await?, PAGE)?;
        page.entries.into_iter().for_each(&mut see);
        match page.next {
            Some(next) => from = format!("({next}"),
            None => return Ok(()),
        }
    }
}

pub(super) async fn recorded(
    link: &impl Server,
    keys: &Keys,
    job: &JobName,
    slots: &[SlotTime],
) -> Result<Vec<bool>> {
    let mut recorded = Vec::with_capacity(slots.len());
    for some in slots.chunks(KEYS_AT_ONCE) {
        let exists = |&at: &SlotTime| {
            let mut cmd = redis::cmd("EXISTS");
            cmd.arg(keys.slot(&Slot::scheduled(job.clone(), at)));
            cmd
        };
        for reply in link.send(Purpose::Read, some.iter().map(exists).collect()).await? {
            recorded.push(reply::integer(reply?)? > 0);
        }
    }
    if recorded.iter().all(|&known| known) {
        return Ok(recorded);
    }
    let mut ran = HashSet::new();
    each(link, keys, job, |entry| {
        if let Entry::Run(run) = entry
            && run.slot.trigger.is_none()
        {
            ran.insert(run.slot.at);
        }
    })
    .await?;
    Ok(recorded.into_iter().zip(slots).map(|(known, at)| known || ran.contains(at)).collect())
}

pub(super) async fn story(link: &impl Server, keys: &Keys, slot: &Slot) -> Result<SlotStory> {
    let now = reply::time(link.ask(Purpose::Read, redis::cmd("TIME")).await?)?;
    story_at(link, keys, slot, now).await
}

/// The same, at `now`.
pub(super) async fn story_at(
    link: &impl Server,
    keys: &Keys,
    slot: &Slot,
    now: ClusterTime,
) -> Result<SlotStory> {
    let mut get = redis::cmd("GET");
    get.arg(keys.slot(slot));
    let mut commands = vec![get];
    commands.extend(tails(keys, &slot.job));
    let mut replies = link.send(Purpose::Read, commands).await?.into_iter();
    let mut next = || replies.next().unwrap_or_else(|| Err(reply::corrupt("all answers")));
    let record = match reply::optional_text(next()?)? {
        Some(line) => Some(Record::read(&line)?.shown(now)),
        None => None,
    };
    let mut tails = reply::texts(next()?)?;
    tails.extend(reply::texts(next()?)?);

    let mut entries = Vec::new();
    each(link, keys, &slot.job, |entry| {
        let tells = match &entry {
            Entry::Run(run) => run.slot == *slot,
            // Ranges are the schedule's.
            Entry::Missed(missed) => {
                slot.trigger.is_none() && (missed.range.from..=missed.range.to).contains(&slot.at)
            }
        };
        if tells {
            entries.push(entry);
        }
    })
    .await?;

    let last_run = entries.iter().rev().find_map(|entry| match entry {
        Entry::Run(run) => Some(run.run_id.to_string()),
        Entry::Missed(_) => None,
    });
    let tail = last_run.and_then(|run| tails.iter().find_map(|tail| tail_of(&run, tail)));
    Ok(SlotStory { record, entries, tail })
}

pub(super) async fn prune(link: &impl Server, keys: &Keys, retention: Retention) -> Result<()> {
    let more = [keys.cursors(), keys.control(), keys.paused()];
    trim(link, keys, retention, scripts::PRUNE.call_on_records(keys, &more)).await
}

/// The same on a server of a quorum, as far as it may by itself; `now` is the quorum's.
pub(super) async fn prune_at(
    link: &impl Server,
    keys: &Keys,
    now: ClusterTime,
    retention: Retention,
) -> Result<()> {
    let more = [keys.cursors(), keys.control(), keys.paused(), keys.key("state")];
    let call = scripts::PRUNE_AT.call_on_records_at(keys, &more, now);
    trim(link, keys, retention, call).await
}

/// Prunes by `call`, and trims the ledgers that it names.
async fn trim(link: &impl Server, keys: &Keys, retention: Retention, mut call: Cmd) -> Result<()> {
    let keep = millis(retention.keep);
    call.arg(keep).arg(matters_for());
    let pruned = reply::texts(link.ask(Purpose::Write, call).await?)?;
    let Some((now, jobs)) = pruned.split_first() else {
        return Err(reply::corrupt("the answer to a pruning"));
    };
    let now: u64 = now.parse().map_err(|_| reply::corrupt("a time"))?;
    for some in jobs.chunks(LEDGERS_AT_ONCE) {
        let mut trims = Vec::with_capacity(2 * some.len());
        for job in some {
            let job: JobName = job.parse().map_err(|_| reply::corrupt("the name of a job"))?;
            let key = keys.ledger(&job);
            let trim = |strategy: &str, threshold: u64| {
                let mut cmd = redis::cmd("XTRIM");
                cmd.arg(&key).arg(strategy).arg("=").arg(threshold);
                cmd
            };
            trims.push(trim("MINID", now.saturating_sub(keep)));
            trims.push(trim("MAXLEN", retention.per_job.into()));
        }
        for reply in link.send(Purpose::Write, trims).await? {
            reply?;
        }
    }
    Ok(())
}
