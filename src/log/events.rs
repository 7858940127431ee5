//! Every event of the daemon, in the order in which one meets them.
//!
//! One function an event: its name, its level, its fields and its words stand
//! together here. Beside the keys that all events share (see the log's head):
//!
//! | event | level | own fields |
//! |---|---|---|
//! | `node.started` | info | `version` `cluster` `boot` `store` `jobs` |
//! | `node.draining` | info | `cause` `running` `drain_timeout_ms` |
//! | `node.stopped` | info; warn if it killed | `killed` |
//! | `node.duplicate` | error | `other_boot` |
//! | `config.loaded` | info | `source` `jobs` `digest` |
//! | `config.rejected` | error | `source` `errors` `error` |
//! | `cluster.drift` | warn | `other` `digest` `jobs`, the names that differ, at most 20 |
//! | `clock.skew` | warn | `skew_ms`, above zero when the node is ahead |
//! | `store.up` | info | `store` `down_ms` |
//! | `store.down` | error | `store` `error` |
//! | `store.warning` | warn | `store` `warning` |
//! | `slot.claimed` | info | |
//! | `slot.skipped` | info; warn if late, early, store_down, full | `reason` ([`SkippedReason`]) `holder` `outcome` `waits_for` |
//! | `slot.missed` | warn | `slot_to` `count` `reason` ([`MissedReason`]) |
//! | `slot.taken_over` | warn | `from` |
//! | `slot.abandoned` | error | `from` |
//! | `run.started` | info | `pid` `late_ms`, after the slot was due; of a slot's first run |
//! | `run.output` | info | `stream` `line` |
//! | `run.finished` | info; error if failed, timed_out, lease_lost | `outcome` `exit_code` `signal` `duration_ms` `error` |
//! | `run.retrying` | warn | `failures` `wait_ms` |
//! | `lease.lost` | error | `reason` ([`LeaseLoss`]) `holder` `outcome` |
//! | `control.triggered` | info | |
//! | `control.paused`, `control.resumed` | info | |
//! | `control.cancelled` | info | `cause` ([`CancelCause`]) |
//! | `control.requested` | info | `by`, the token's name; `wish` (`trigger`, `pause`, `resume`, `cancel`, `sign_in`) |
//! | `http.listening` | info | `address` |
//! | `http.refused` | warn | `client` |
//! | `traces.down` | warn | `collector` `error` |
//! | `traces.up` | info | `collector` `lost`, spans that it never got |
//! | `traces.lost` | warn | `lost`, of this start of the node |
//! | `notify.sent` | info | `notify` `alert` `alert_id` `attempts` `duration_ms` |
//! | `notify.failed` | warn; error when it is given up | `notify` `alert` `alert_id` `attempts` `error` `wait_ms` |
//! | `run.output_dropped` | warn | `lines` `bytes` |
//!
//! Events of a triggered slot and its runs carry its `trigger_id`.

use std::net::SocketAddr;
use std::time::Duration;

use tracing::{Level, error, info, warn};

use super::record::Record;
use super::words::{Count, SignalName, Took};
use super::writer::Loss;
use crate::claim::{Fence, Holder, RunId, Settled};
use crate::ledger::{Entry, MissedRange, RunEntry};
use crate::name::{ClusterName, JobName, NodeName};
use crate::node::BootId;
use crate::outcome::{CancelCause, MissedReason, Outcome, SkippedReason};
use crate::slot::Slot;

const NODE: &str = "solocron::node";
const CONFIG: &str = "solocron::config";
const CLOCK: &str = "solocron::clock";
const STORE: &str = "solocron::store";
const CLUSTER: &str = "solocron::cluster";
const SLOT: &str = "solocron::slot";
const RUN: &str = "solocron::run";
const NOTIFY: &str = "solocron::notify";
const TRACES: &str = "solocron::traces";
pub(super) const OUTPUT: &str = "solocron::run::output";

/// The event whose records may be dropped first.
pub(super) const RUN_OUTPUT: &str = "run.output";

/// A run, as its events name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<'a> {
    /// The slot it is a run of.
    pub slot: &'a Slot,
    /// Its id.
    pub run_id: RunId,
    /// Which run of the slot it is, from 1.
    pub attempt: u32,
    /// The fence under which it runs.
    pub fence: Fence,
}

/// An event of a run: the level, the target, the name, the run, its own fields
/// in braces, the message.
macro_rules! of_run {
    ($level:ident, $target:expr, $event:expr, $run:expr, { $($own:tt)* }, $($message:tt)+) => {
        $level!(
            target: $target,
            event = $event,
            job = $run.slot.job.as_str(),
            slot = %$run.slot.at,
            trigger_id = $run.slot.trigger.map(tracing::field::display),
            run_id = %$run.run_id,
            attempt = $run.attempt,
            fence = $run.fence.get(),
            $($own)*
            $($message)+
        )
    };
}

/// The node is ready to claim.
pub fn node_started(cluster: &ClusterName, boot: BootId, store: &str, jobs: usize) {
    let version = env!("CARGO_PKG_VERSION");
    let table = Count(jobs as u64, "job");
    info!(target: NODE, event = "node.started", version, cluster = cluster.as_str(), boot = %boot,
        store, jobs, "solocron {version} is ready: {table}, cluster {cluster}, store {store}");
}

/// The node claims nothing more and lets its runs finish. `cause` is what made it:
/// a signal's name, or words.
pub fn node_draining(cause: &str, running: usize, timeout: Duration) {
    let rest = match running {
        0 => "nothing is running".to_owned(),
        runs => format!("{} may go on for up to {}", Count(runs as u64, "run"), Took(timeout)),
    };
    info!(target: NODE, event = "node.draining", cause, running,
        drain_timeout_ms = whole_ms(timeout), "draining after {cause}: no new claims, {rest}");
}

/// The node has stopped, the last event of its log. `killed` runs had to be ended.
pub fn node_stopped(killed: usize) {
    match killed {
        0 => info!(target: NODE, event = "node.stopped", killed, "stopped, no run was cut short"),
        _ => warn!(target: NODE, event = "node.stopped", killed,
            "stopped, {} had to be ended; a longer drain_timeout, and no second signal, would let \
             them finish",
            Count(killed as u64, "run")),
    }
}

/// Another daemon is alive under this node's name.
pub fn node_duplicate(other: BootId) {
    error!(target: NODE, event = "node.duplicate", other_boot = %other,
        "another daemon goes by this node's name, boot {other}: \
         give every replica a name of its own (--node, or cluster.node)");
}

/// The job table was read and is in force. `digest` names it: nodes with equal
/// tables have equal digests.
pub fn config_loaded(source: &str, jobs: usize, digest: &str) {
    info!(target: CONFIG, event = "config.loaded", source, jobs, digest,
        "{} from {source}, table {digest}", Count(jobs as u64, "job"));
}

/// A new job table was refused; the one in force stays. `error` is the first of
/// `errors` errors, as `check` prints it.
pub fn config_rejected(source: &str, errors: usize, error: &str) {
    error!(target: CONFIG, event = "config.rejected", source, errors, error,
        "{source} has {} and is not used, the table in force stays: {error} \
         (`solocron check` lists them all)", Count(errors as u64, "error"));
}

/// So many jobs are named that differ.
const JOBS_NAMED: usize = 20;

/// Another node goes by another job table, `digest`. `jobs` are those that differ, as
/// far as that could be found out.
pub fn cluster_drift(other: &NodeName, digest: &str, jobs: Option<&[JobName]>) {
    let named: Vec<_> =
        jobs.iter().flat_map(|jobs| jobs.iter()).take(JOBS_NAMED).map(JobName::as_str).collect();
    let more = jobs.map_or(0, <[JobName]>::len).saturating_sub(named.len());
    let list = named.join(", ");
    let (what, rest) = match jobs {
        None => ("which jobs differ is not known".to_owned(), String::new()),
        Some([]) => {
            ("the same jobs, but other zone data or another version".to_owned(), String::new())
        }
        Some(_) if more > 0 => (list.clone(), format!(" and {more} more")),
        Some(_) => (list.clone(), String::new()),
    };
    warn!(target: CLUSTER, event = "cluster.drift", other = other.as_str(), digest, jobs = list,
        "{other} goes by another job table ({digest}) than this node: {what}{rest}; `solocron \
         reload` makes all nodes load theirs anew");
}

/// The node's wall clock is off by `skew_ms` from the store's.
pub fn clock_skew(skew_ms: i64) {
    let off = Took(Duration::from_millis(skew_ms.unsigned_abs()));
    let way = if skew_ms < 0 { "behind" } else { "ahead of" };
    warn!(target: CLOCK, event = "clock.skew", skew_ms,
        "the clock of this machine is {off} {way} the store's; slots go by the store's clock, \
         but check the time service (NTP)");
}

/// The store answers: at the start, or after it was down for `down`.
pub fn store_up(store: &str, down: Option<Duration>) {
    match down {
        None => info!(target: STORE, event = "store.up", store, "the store {store} answers"),
        Some(down) => info!(target: STORE, event = "store.up", store, down_ms = whole_ms(down),
            "the store {store} answers again after {}", Took(down)),
    }
}

/// The store does not answer.
pub fn store_down(store: &str, error: &str) {
    error!(target: STORE, event = "store.down", store, error,
        "the store {store} does not answer: {error}; nothing is claimed until it does, \
         and a run goes on only as long as its lease can be trusted");
}

/// Something about the store can break the guarantee; `warning` says what to do.
pub fn store_warning(store: &str, warning: &str) {
    warn!(target: STORE, event = "store.warning", store, warning, "the store {store}: {warning}");
}

/// The slot's lock is ours: this node runs it.
pub fn slot_claimed(run: Run<'_>) {
    of_run!(
        info,
        SLOT,
        "slot.claimed",
        run,
        {},
        "{} won, attempt {}, fence {}",
        run.slot,
        run.attempt,
        run.fence
    );
}

/// Why this node does not run a slot that was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Skip<'a> {
    /// Another holds it.
    Held(&'a Holder),
    /// It is settled.
    Done(&'a Settled),
    /// The start window had closed.
    Late,
    /// It is further ahead than `max_clock_skew`.
    Early,
    /// The store did not answer within the start window.
    StoreDown,
    /// This node is draining.
    Draining,
    /// It had `max_running` runs all through the start window.
    Full,
    /// Another slot of the job is not settled: this one, where it is waited for.
    Overlap(Option<&'a Slot>),
    /// The job is paused.
    Paused,
}

/// The node does not run a slot that was due.
pub fn slot_skipped(slot: &Slot, skip: Skip<'_>) {
    macro_rules! skipped {
        ($level:ident, $reason:ident, { $($own:tt)* }, $words:literal $(, $argument:expr)*) => {
            $level!(target: SLOT, event = "slot.skipped", job = slot.job.as_str(), slot = %slot.at,
                trigger_id = slot.trigger.map(tracing::field::display),
                reason = SkippedReason::$reason.as_str(), $($own)*
                concat!("{} skipped ({}): ", $words), slot, SkippedReason::$reason $(, $argument)*)
        };
    }
    match skip {
        Skip::Held(Holder { node, .. }) => {
            skipped!(info, Held, { holder = node.as_str(), }, "{} has it", node)
        }
        Skip::Done(Settled { node, outcome, .. }) => skipped!(info, Done,
            { holder = node.as_str(), outcome = outcome.as_str(), },
            "{} settled it as {}", node, outcome),
        Skip::Late => skipped!(warn, Late, {}, "its start window had closed"),
        Skip::Early => {
            skipped!(
                warn,
                Early,
                {},
                "by the store's clock it is due later than max_clock_skew allows"
            )
        }
        Skip::StoreDown => {
            skipped!(warn, StoreDown, {}, "the store did not answer within the start window")
        }
        Skip::Draining => skipped!(info, Draining, {}, "it is left to the other nodes"),
        Skip::Full => skipped!(warn, Full, {}, "this node had max_running runs all the time"),
        Skip::Overlap(Some(of)) => {
            skipped!(info, Overlap, { waits_for = %of, }, "it waits until {} is settled", of)
        }
        Skip::Overlap(None) => {
            skipped!(info, Overlap, {}, "another slot of the job was not settled")
        }
        Skip::Paused => skipped!(info, Paused, {}, "the job is paused"),
    }
}

/// Nobody ran these slots, and this node wrote so into the ledger.
pub fn slot_missed(job: &JobName, range: &MissedRange) {
    let why = match range.reason {
        MissedReason::NoNode => "no node that may run it was up in time",
        MissedReason::StoreDown => "the store did not answer in time",
        MissedReason::Late => "the node came to it after its start window had closed",
        MissedReason::Full => "every node that may run it had max_running runs",
        MissedReason::Overlap => "another slot of the job was not settled",
        MissedReason::Paused => "the job was paused",
    };
    macro_rules! missed {
        ($($message:tt)+) => {
            warn!(target: SLOT, event = "slot.missed", job = job.as_str(), slot = %range.from,
                slot_to = %range.to, count = range.count, reason = range.reason.as_str(),
                $($message)+)
        };
    }
    match range.count {
        1 => missed!("{job}@{} missed ({}): {why}", range.from, range.reason),
        n => missed!(
            "{job}@{} to {job}@{} missed, {n} slots ({}): {why}",
            range.from,
            range.to,
            range.reason
        ),
    }
}

/// The node that ran a slot was lost, or none took the slot, and it will not run
/// again; this node wrote so into the ledger. `why` says more.
pub fn slot_abandoned(slot: &Slot, from: &NodeName, run_id: RunId, why: &str) {
    error!(target: SLOT, event = "slot.abandoned", job = slot.job.as_str(), slot = %slot.at,
        trigger_id = slot.trigger.map(tracing::field::display),
        run_id = %run_id, from = from.as_str(),
        "{slot} abandoned, it will not run again: {why} (last of {from}, run {run_id})");
}

/// This node took a slot over from one that was lost while it ran it, as `lost` tells.
fn slot_taken_over(lost: &RunEntry) {
    let (slot, from) = (&lost.slot, &lost.node);
    warn!(target: SLOT, event = "slot.taken_over", job = slot.job.as_str(), slot = %slot.at,
        trigger_id = slot.trigger.map(tracing::field::display),
        run_id = %lost.run_id, attempt = lost.attempt, fence = lost.fence.get(),
        from = from.as_str(),
        "{slot} taken over from {from}, which was lost while it ran it (run {})", lost.run_id);
}

/// What a claim of `slot` wrote into the ledger besides its verdict.
pub fn beside_a_claim(slot: &Slot, entries: &[Entry]) {
    for entry in entries {
        match entry {
            Entry::Missed(missed) => slot_missed(&missed.job, &missed.range),
            Entry::Run(lost) if lost.outcome == Outcome::LeaseLost => slot_taken_over(lost),
            Entry::Run(lost) => {
                let why = lost.error.as_deref().unwrap_or_default();
                if lost.outcome == Outcome::Abandoned {
                    slot_abandoned(&lost.slot, &lost.node, lost.run_id, why);
                } else {
                    info!(target: SLOT, event = "control.cancelled", job = slot.job.as_str(),
                        slot = %lost.slot.at, run_id = %lost.run_id,
                        "{} cancelled: {why}", lost.slot);
                }
            }
        }
    }
}

/// The slot that this node runs was asked for.
pub fn control_triggered(run: Run<'_>) {
    of_run!(info, SLOT, "control.triggered", run, {}, "{} was triggered", run.slot);
}

/// Somebody paused a job: none of its slots begins until it is resumed.
pub fn control_paused(job: &JobName) {
    info!(target: CLUSTER, event = "control.paused", job = job.as_str(),
        "{job} is paused: none of its slots begins until `solocron resume {job}`");
}

/// Somebody let a job go on.
pub fn control_resumed(job: &JobName) {
    info!(target: CLUSTER, event = "control.resumed", job = job.as_str(), "{job} is resumed");
}

/// What somebody wants of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish<'a> {
    /// A run now: this slot.
    Trigger(&'a Slot),
    /// The job is to be paused.
    Pause(&'a JobName),
    /// It is to go on.
    Resume(&'a JobName),
    /// This run of the slot is to end.
    Cancel(&'a Slot, RunId),
    /// To be let in.
    SignIn,
}

/// Somebody, by the name of their token, asked for this over HTTP.
pub fn control_requested(by: &str, wish: Wish<'_>) {
    macro_rules! requested {
        ($wish:literal, { $($own:tt)* }, $words:literal $(, $argument:expr)*) => {
            info!(target: CLUSTER, event = "control.requested", $($own)* by, wish = $wish,
                concat!("{} ", $words), by $(, $argument)*)
        };
    }
    match wish {
        Wish::Trigger(slot) => requested!("trigger", {
            job = slot.job.as_str(), slot = %slot.at,
            trigger_id = slot.trigger.map(tracing::field::display),
        }, "triggers {}", slot),
        Wish::Pause(job) => requested!("pause", { job = job.as_str(), }, "pauses {}", job),
        Wish::Resume(job) => requested!("resume", { job = job.as_str(), }, "resumes {}", job),
        Wish::Cancel(slot, run) => requested!("cancel", {
            job = slot.job.as_str(), slot = %slot.at, run_id = %run,
        }, "cancels {} (run {})", slot, run),
        Wish::SignIn => requested!("sign_in", {}, "signs in"),
    }
}

/// Somebody at `client` wanted to be let in with a token that is not known.
pub fn sign_in_refused(client: &str) {
    warn!(target: CLUSTER, event = "http.refused", client,
        "somebody at {client} tried to sign in with a token that is not known");
}

/// The node can be looked at.
pub fn http_listening(address: &SocketAddr) {
    info!(target: NODE, event = "http.listening", address = %address,
        "the API and the metrics are at {address}");
}

/// The run of this node is to end.
pub fn control_cancelled(run: Run<'_>, cause: CancelCause) {
    let why = match cause {
        CancelCause::Asked => "somebody asked for it",
        CancelCause::Replaced => "a newer slot of the job takes its place",
    };
    of_run!(info, RUN, "control.cancelled", run, { cause = cause.as_str(), },
        "{} is cancelled (run {}): {why}", run.slot, run.run_id);
}

/// A run failed, `failures` of its slot by now, and the next begins in `wait`.
pub fn run_retrying(run: Run<'_>, failures: u32, wait: Duration) {
    of_run!(warn, RUN, "run.retrying", run, { failures, wait_ms = whole_ms(wait), },
        "{} failed {}, attempt {} begins in {}", run.slot, Count(failures.into(), "time"),
        run.attempt, Took(wait));
}

/// The command was started.
/// `late` is how long after the slot was due; it is told of a slot's first run alone.
pub fn run_started(run: Run<'_>, pid: Option<u32>, late: Option<Duration>) {
    of_run!(info, RUN, "run.started", run, { pid, late_ms = late.map(whole_ms), }, "{} started (run {})", run.slot, run.run_id);
}

/// The command wrote a line. `stream` is `stdout` or `stderr`.
pub fn run_output(run: Run<'_>, stream: &str, line: &str) {
    of_run!(info, OUTPUT, RUN_OUTPUT, run, { stream, line, }, "{} {stream}: {line}", run.slot);
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finish<'a> {
    /// How.
    pub outcome: Outcome,
    /// What the command exited with, where it did.
    pub exit_code: Option<i32>,
    /// The signal that ended it, where one did.
    pub signal: Option<i32>,
    /// From its start to its end.
    pub duration: Duration,
    /// What went wrong, in words.
    pub error: Option<&'a str>,
}

/// A run ended.
pub fn run_finished(run: Run<'_>, finish: &Finish<'_>) {
    let Finish { outcome, exit_code, signal, duration, error } = *finish;
    let (slot, took) = (run.slot, Took(duration));
    let how = match outcome {
        Outcome::TimedOut => "timed out",
        Outcome::LeaseLost => "ended for its lost lease",
        Outcome::HandedOver => "ended and handed over",
        other => other.as_str(),
    };
    let detail = match (error, exit_code, signal) {
        (Some(error), _, _) => format!(": {error}"),
        (None, Some(0), _) | (None, None, None) => String::new(),
        (None, Some(code), _) => format!(": exit code {code}"),
        (None, None, Some(signal)) => format!(": ended by {}", SignalName(signal)),
    };
    macro_rules! finished {
        ($level:ident) => {
            of_run!($level, RUN, "run.finished", run, {
                outcome = outcome.as_str(), exit_code, signal, duration_ms = whole_ms(duration),
                error,
            }, "{slot} {how} after {took} (run {}){detail}", run.run_id)
        };
    }
    match outcome {
        Outcome::Succeeded | Outcome::Cancelled | Outcome::HandedOver => finished!(info),
        _ => finished!(error),
    }
}

/// Why a run may no longer trust its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseLoss<'a> {
    /// `not_renewed`: the store did not answer in time.
    NotRenewed,
    /// `held`: another holds the slot.
    Held(&'a Holder),
    /// `done`: the slot was settled otherwise.
    Done(&'a Settled),
    /// `forgotten`: the store knows nothing of it any more.
    Forgotten,
}

/// A run may no longer trust its lease, and is being ended.
pub fn lease_lost(run: Run<'_>, loss: LeaseLoss<'_>) {
    macro_rules! lost {
        ($reason:literal, { $($own:tt)* }, $words:literal $(, $argument:expr)*) => {
            of_run!(error, RUN, "lease.lost", run, { reason = $reason, $($own)* },
                concat!("{} lost its lease (", $reason, "), run {} is ended: ", $words),
                run.slot, run.run_id $(, $argument)*)
        };
    }
    match loss {
        LeaseLoss::NotRenewed => lost!("not_renewed", {}, "the store did not renew it in time"),
        LeaseLoss::Held(Holder { node, .. }) => {
            lost!("held", { holder = node.as_str(), }, "{} has it now", node)
        }
        LeaseLoss::Done(Settled { node, outcome, .. }) => lost!("done",
            { holder = node.as_str(), outcome = outcome.as_str(), },
            "it is settled, {} by {}", outcome, node),
        LeaseLoss::Forgotten => lost!(
            "forgotten",
            {},
            "the store knows nothing of it, so the store may have lost its data"
        ),
    }
}

/// An alert on its way to one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told<'a> {
    /// The channel.
    pub notify: &'a str,
    /// What it tells.
    pub alert: &'a str,
    /// Its id.
    pub id: &'a str,
    /// The job.
    pub job: &'a str,
    /// The slot, where it is about one.
    pub slot: Option<&'a str>,
    /// How many attempts there were.
    pub attempt: u32,
}

/// An alert was sent, `took` after the first attempt began.
pub fn notify_sent(told: Told<'_>, took: Duration) {
    let Told { notify, alert, id, job, slot, attempt } = told;
    info!(target: NOTIFY, event = "notify.sent", job, slot, notify, alert, alert_id = id,
        attempts = attempt, duration_ms = whole_ms(took),
        "the {alert} of {job} was told to {notify}");
}

/// An attempt at an alert failed: the next comes after `wait`, or there is none.
pub fn notify_failed(told: Told<'_>, error: &str, wait: Option<Duration>) {
    let Told { notify, alert, id, job, slot, attempt } = told;
    match wait {
        Some(wait) => warn!(target: NOTIFY, event = "notify.failed", job, slot, notify, alert,
            alert_id = id, attempts = attempt, error, wait_ms = whole_ms(wait),
            "the {alert} of {job} could not be told to {notify}, again in {}: {error}",
            Took(wait)),
        None => error!(target: NOTIFY, event = "notify.failed", job, slot, notify, alert,
            alert_id = id, attempts = attempt, error,
            "the {alert} of {job} could not be told to {notify}, and is given up: {error}"),
    }
}

/// The collector does not take spans, or not as fast as they come.
pub fn traces_down(collector: &str, error: &str) {
    warn!(target: TRACES, event = "traces.down", collector, error,
        "{collector} does not take traces: {error}; spans that find no room meanwhile are \
         dropped and counted, and nothing else is affected");
}

/// The collector takes spans again.
pub fn traces_up(collector: &str, lost: u64) {
    info!(target: TRACES, event = "traces.up", collector, lost,
        "{collector} takes traces again, {} were lost so far", Count(lost, "span"));
}

/// The node stops, and so many spans never reached a collector.
pub fn traces_lost(lost: u64) {
    warn!(target: TRACES, event = "traces.lost", lost,
        "{} did not reach the collector", Count(lost, "span"));
}

/// What the log could not take. The writer makes this record itself, in the place
/// where the lines are missing.
pub(super) fn run_output_dropped(loss: &Loss) -> Record {
    let mut record = Record::new(Level::WARN, OUTPUT);
    record.put("event", "run.output_dropped");
    let (lines, bytes) = (loss.lines, loss.bytes);
    let message = if loss.run_id.is_empty() {
        format!(
            "the log could not keep up and lost {} of any kind, {bytes} bytes",
            Count(lines, "record")
        )
    } else {
        record.put("job", &loss.job);
        record.put("slot", &loss.slot);
        record.put("run_id", &loss.run_id);
        record.put_number("attempt", loss.attempt);
        record.put_number("fence", loss.fence);
        format!(
            "{}@{} the log could not keep up and lost {} of output, {bytes} bytes",
            loss.job,
            loss.slot,
            Count(lines, "line")
        )
    };
    record.put_number("lines", lines);
    record.put_number("bytes", bytes);
    record.put("message", message);
    record
}

fn whole_ms(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}
