//! `solocron status`: nodes, jobs, what runs now, and how the store is.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tokio::sync::watch;

use super::place::Reach;
use super::{Failure, Format, Place, listing, moment};
use crate::clock::ClusterTime;
use crate::http::board::{Board, Snapshot};
use crate::http::feed::Feed;
use crate::http::nodes::{self, NodeView};
use crate::http::shapes::{self, JobView, OpenView};
use crate::ledger::Entry;
use crate::node::{BootId, Heartbeat, Standing};
use crate::store::{Health, SlotRecord, SlotState};
use crate::table::Job;

/// How often a status that is watched is told anew.
const AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  solocron status
  solocron status --watch
  solocron status --format json | jq '.jobs[] | select(.last.outcome == \"failed\") | .name'")]
pub(super) struct Status {
    /// Tell it anew every two seconds, until Ctrl-C
    #[arg(long)]
    watch: bool,
    /// For people, or for scripts (stable, alone on standard output)
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// The status, as JSON.
#[derive(Serialize)]
struct Told {
    cluster: String,
    /// The store's clock.
    now: String,
    store: StoreView,
    nodes: Vec<NodeView>,
    jobs: Vec<JobView>,
    /// The slots that are not settled, of whatever job.
    open: Vec<OpenView>,
}

/// How the store is.
#[derive(Serialize)]
struct StoreView {
    /// What and where, without any secret.
    name: String,
    /// How long it took to tell its time.
    latency_us: u64,
    /// `up`, `weakened` or `partly`.
    state: &'static str,
    /// What about it can break the guarantee.
    warnings: Vec<String>,
}

impl Status {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        place.with_store(async |reach| {
            // Nobody reloads it here.
            let (_unchanged, table) =
                watch::channel(Arc::new(reach.jobs.cloned().unwrap_or_default()));
            let board = Board::new(Arc::clone(&reach.handle), table, Feed::new(BootId::random()));
            loop {
                let seen = board.look(Duration::ZERO).await?;
                let store = store_view(&reach, &seen).await?;
                match self.format {
                    Format::Json if self.watch => {
                        let line = serde_json::to_string(&told(&reach, &seen, store));
                        listing::print(&(line.map_err(io::Error::from)? + "\n"))?;
                    }
                    Format::Json => listing::json(&told(&reach, &seen, store))?,
                    Format::Table => tell(&reach, &seen, &store, self.watch)?,
                }
                if !self.watch {
                    return Ok(ExitCode::SUCCESS);
                }
                tokio::time::sleep(AGAIN).await;
            }
        })
    }
}

async fn store_view(reach: &Reach<'_>, seen: &Snapshot) -> Result<StoreView, Failure> {
    let mut warnings: Vec<_> =
        reach.store.inspect().await?.into_iter().map(|warning| warning.0).collect();
    let state = match &*reach.store.health().borrow() {
        Health::Weakened { why, .. } => {
            warnings.push(why.clone());
            "weakened"
        }
        Health::Partly(why) => {
            warnings.push(why.clone());
            "partly"
        }
        Health::Starting | Health::Up | Health::Down(_) => "up",
    };
    Ok(StoreView {
        name: reach.store.describe(),
        latency_us: u64::try_from(seen.latency.as_micros()).unwrap_or(u64::MAX),
        state,
        warnings,
    })
}

fn told(reach: &Reach<'_>, seen: &Snapshot, store: StoreView) -> Told {
    Told {
        cluster: reach.cluster.to_string(),
        now: seen.now.to_string(),
        store,
        nodes: nodes::nodes(seen, seen.by_now(), None)
            .into_iter()
            .filter(|node| node.alive)
            .collect(),
        jobs: seen.table.iter().map(|job| JobView::of(job, seen, 1)).collect(),
        open: seen.open.iter().map(|(slot, record)| OpenView::of(slot, record)).collect(),
    }
}

/// Writes it for people; in place of what stood there before where it is watched.
fn tell(reach: &Reach<'_>, seen: &Snapshot, store: &StoreView, watch: bool) -> io::Result<()> {
    if watch && io::stdout().is_terminal() {
        // To the top left, and nothing below.
        listing::print("\u{1b}[H\u{1b}[2J")?;
    }
    let answers = match store.latency_us {
        us @ 0..1000 => format!("{us} µs"),
        us => format!("{}.{} ms", us / 1000, us / 100 % 10),
    };
    let name = listing::printable(&store.name);
    listing::print(&format!(
        "cluster {} at {}\nstore   {name}, answers in {answers}\n",
        reach.cluster, seen.now
    ))?;
    for warning in &store.warnings {
        listing::print(&format!("warning {}\n", listing::printable(warning)))?;
    }
    listing::print("\n")?;
    let up: Vec<_> = seen.nodes_up(seen.by_now()).collect();
    let gone: Vec<_> = nodes::nodes(seen, seen.by_now(), None)
        .into_iter()
        .filter(|node| !node.alive)
        .map(|node| gone_row(&node))
        .collect();
    if up.is_empty() {
        listing::print("no node is up\n")?;
    }
    if !(up.is_empty() && gone.is_empty()) {
        let up = up.into_iter().map(|(node, standing)| node_row(node, standing, seen));
        let rows = up.chain(gone).collect();
        listing::table(&["NODE", "STATE", "VERSION", "UP", "RUNNING", "SKEW", "TABLE"], rows)?;
    }
    if !seen.table.is_empty() {
        listing::print("\n")?;
        let rows = seen.table.iter().map(|job| job_row(job, seen)).collect();
        listing::table(&["JOB", "NEXT", "LAST", "WHEN", "NOW"], rows)?;
    }
    let strange: Vec<_> =
        seen.open.iter().filter(|(slot, _)| seen.table.get(&slot.job).is_none()).collect();
    if !strange.is_empty() {
        listing::print("\n")?;
        let row = |(slot, record): &(&crate::slot::Slot, &SlotRecord)| {
            vec![slot.to_string(), now_of(record)]
        };
        listing::table(&["OPEN SLOT", "NOW"], strange.iter().map(row).collect())?;
    }
    if watch && !io::stdout().is_terminal() {
        listing::print("\n")?;
    }
    Ok(())
}

fn node_row(node: &Heartbeat, standing: Standing, seen: &Snapshot) -> Vec<String> {
    let running = seen.open.values().filter(|record| record.node == node.node && runs(record));
    vec![
        node.node.to_string(),
        match standing {
            Standing::Silent => "silent",
            _ if node.draining => "draining",
            _ => "up",
        }
        .to_owned(),
        node.version.clone(),
        moment::span(seen.now.since(node.started_at)),
        running.count().to_string(),
        node.skew_ms.map_or_else(|| "-".to_owned(), |skew| format!("{skew:+} ms")),
        node.table.clone(),
    ]
}

/// One that ran something within an hour, or was heard of lately, and lives no more.
fn gone_row(node: &NodeView) -> Vec<String> {
    let unknown = || "-".to_owned();
    vec![
        node.name.clone(),
        "gone".to_owned(),
        node.version.clone().unwrap_or_else(unknown),
        unknown(),
        node.running.to_string(),
        unknown(),
        node.table.clone().unwrap_or_else(unknown),
    ]
}

fn job_row(job: &Job, seen: &Snapshot) -> Vec<String> {
    let view = JobView::of(job, seen, 1);
    let next = match (job.enabled, view.paused, view.next.first()) {
        (false, ..) => "not enabled".to_owned(),
        (_, true, _) => "paused".to_owned(),
        (_, _, None) => "never".to_owned(),
        (_, _, Some(next)) => {
            let at =
                next.parse().map(|at: jiff::Timestamp| moment::distance(at, timestamp(seen.now)));
            at.unwrap_or_else(|_| next.clone())
        }
    };
    let (last, when) = match seen.recent(&job.name).first() {
        None => ("-".to_owned(), "-".to_owned()),
        Some(Entry::Run(run)) => (
            format!("{} on {}", run.outcome, run.node),
            moment::distance(timestamp(run.finished_at), timestamp(seen.now)),
        ),
        Some(Entry::Missed(missed)) => (
            format!("missed {} ({})", missed.range.count, missed.range.reason),
            moment::distance(missed.range.to.timestamp(), timestamp(seen.now)),
        ),
    };
    let open: Vec<_> = seen.open_of(&job.name).map(|(_, record)| now_of(record)).collect();
    let now = match open.as_slice() {
        [] => "-".to_owned(),
        [one, rest @ ..] if rest.len() > 2 => format!("{one}, and {} more", rest.len()),
        some => some.join(", "),
    };
    vec![job.name.to_string(), next, last, when, now]
}

/// What an open slot does now, in words.
fn now_of(record: &SlotRecord) -> String {
    match record.state {
        SlotState::Running { .. } if !runs(record) => format!("lost by {}", record.node),
        SlotState::Running { .. } if record.attempt > 1 => {
            format!("running on {}, attempt {}", record.node, record.attempt)
        }
        SlotState::Running { .. } => format!("running on {}", record.node),
        SlotState::Ready(_) | SlotState::Settled(_) => shapes::state(record).replace('_', " "),
    }
}

/// Whether its lease has not lapsed.
fn runs(record: &SlotRecord) -> bool {
    matches!(record.state, SlotState::Running { remaining } if !remaining.is_zero())
}

fn timestamp(at: ClusterTime) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(at.unix_micros()).unwrap_or_default()
}
