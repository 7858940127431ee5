//! What a node decides about what it hears, as functions from values to values.
//!
//! The engine goes by these, and so does the model that is checked exhaustively
//! (`tests/model`): what is shown of the model is shown of this code.
//!
//! - [`claim`]: how a slot is claimed; [`advances`]: whether that may move the cursor.
//! - [`won`]: what becomes of a slot that was won.
//! - [`renewed`]: what an answer to a renewal means.
//! - [`ended`]: as what a run that ended is written down; [`then`]: what becomes of its slot.
//! - [`open_slot`]: what a node does about an open slot.

use std::sync::Arc;
use std::time::Duration;

use super::{Now, Settings, Unless};
use crate::claim::attempt::FARTHEST;
use crate::claim::desk::Cause;
use crate::claim::{Claim, Token};
use crate::clock::{BootInstant, ClusterTime};
use crate::name::NodeName;
use crate::outcome::Outcome;
use crate::policy::{OnCrash, Policies};
use crate::slot::Slot;
use crate::store::{Open, OpenState, Ownership, Then};
use crate::table::Job;

/// How long the record of a settled slot outlives its start window and twice the
/// tolerated skew: room for a store whose clock is set back a little. Beyond it
/// the cursor holds late claims off.
const RECORD_MARGIN: Duration = Duration::from_secs(300);

/// The claim of `slot` for `cause`, whose start window ends at `start_by`.
pub fn claim(
    job: &Job,
    settings: &Settings,
    slot: Slot,
    token: Token,
    cause: Cause,
    start_by: ClusterTime,
    advance: bool,
) -> Claim {
    Claim {
        advance,
        token,
        ttl: job.lease_ttl,
        due: match slot.trigger {
            None => job.due(slot.at),
            Some(_) => slot.at.cluster_time(),
        },
        start_by,
        overlap: job.policies.overlap,
        max_takeovers: job.takeovers(),
        takes_over: match cause {
            Cause::TakeOver(token) => Some(token),
            Cause::Due | Cause::Ready => None,
        },
        keep_record: settings.keep_open(),
        keep_settled: keep_settled(job, settings, &slot),
        retention: settings.retention,
        digest: job.digest,
        looks_first: false,
        slot,
    }
}

/// How long the record of a settled slot of `job` is kept. Beyond it the cursor holds late
/// claims off; a wish that is repeated has only the record.
pub fn keep_settled(job: &Job, settings: &Settings, slot: &Slot) -> Duration {
    match slot.trigger {
        Some(_) => settings.keep_open(),
        None => job.window(slot.at) + settings.max_clock_skew * 2 + RECORD_MARGIN,
    }
}

/// What a node knows of its slots when it claims one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// It has compared the job with its cursor.
    pub opened: bool,
    /// Some slot of the job may have no record.
    pub gap: bool,
    /// A claim of an earlier slot of the job has no verdict yet.
    pub earlier_pending: bool,
}

/// Whether a claim made for `cause` may move the cursor: only where every earlier slot
/// of the job has a record.
pub fn advances(cause: Cause, known: Known) -> bool {
    known.opened && cause == Cause::Due && !known.gap && !known.earlier_pending
}

/// A slot that was won, and what the node goes by.
#[derive(Debug, Clone, Copy)]
pub struct Winning {
    /// Why it was claimed.
    pub cause: Cause,
    /// When it is due.
    pub due: ClusterTime,
    /// The end of its start window.
    pub start_by: ClusterTime,
    /// Until when its lease may be trusted.
    pub trusted_until: BootInstant,
    /// What its run gets to end in when the lease is lost.
    pub grace: Duration,
    /// Whether the node drains.
    pub draining: bool,
}

/// What becomes of a slot that was won.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Win {
    /// It is not due for long, by a clock that was set meanwhile: claimed again then.
    NotYet,
    /// The answer took most of the lease: asking again prolongs it.
    AskAgain,
    /// Others are to run it.
    GiveAway,
    /// It came too late for its start window, and most of its lease is over: taken back.
    TakeBack,
    /// It runs here.
    Run,
}

/// What becomes at `now` of a slot that was won.
pub fn won(now: Now, winning: &Winning) -> Win {
    let too_late = winning.trusted_until.minus(winning.grace) <= now.boot;
    let may_start = winning.cause != Cause::Due || now.cluster() < winning.start_by;
    let due = now.offset.boot_instant(winning.due);
    match winning.draining {
        true => Win::GiveAway,
        false if due.since(now.boot) > FARTHEST * 2 => Win::NotYet,
        false if too_late && may_start => Win::AskAgain,
        // Too late for its start window as well.
        false if too_late => Win::TakeBack,
        false => Win::Run,
    }
}

/// How far a slot has come that a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Its processes may live.
    Alive,
    /// Its next run has not begun.
    Rests,
    /// Nothing of it lives, and its end is being written; or the node knows nothing of it.
    Over,
}

/// What an answer to a renewal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// The lease may be trusted longer.
    Granted,
    /// The run has to end.
    Lost,
    /// The slot is let go: nothing of it runs.
    LetGo,
    /// The answer to its completion tells: that may have been first.
    Unclear,
}

/// What `answer` to a renewal means for a slot that has come as far as `held`.
pub fn renewed(answer: &Ownership, held: Held) -> Renewed {
    match (answer, held) {
        (Ownership::Ours, _) => Renewed::Granted,
        (_, Held::Alive) => Renewed::Lost,
        (_, Held::Rests) => Renewed::LetGo,
        (_, Held::Over) => Renewed::Unclear,
    }
}

/// As what a run that ended with `outcome` is written down; none where whoever settles the
/// slot writes it, because this node could not prove that it was still its own.
pub fn ended(outcome: Outcome, on_crash: OnCrash) -> Option<Outcome> {
    match outcome {
        Outcome::LeaseLost => None,
        // What a drain ended is handed over, unless the job must not run again.
        Outcome::HandedOver if on_crash == OnCrash::Skip => Some(Outcome::Cancelled),
        other => Some(other),
    }
}

/// What becomes of a slot when a run of it is written down as `outcome`. `failures` of its
/// runs have failed before; `cancelled` says that somebody wants its end.
pub fn then(outcome: Outcome, policies: &Policies, failures: u32, cancelled: bool) -> Then {
    let failed = matches!(outcome, Outcome::Failed | Outcome::TimedOut);
    match outcome {
        Outcome::HandedOver => Then::HandOver(None),
        _ if failed && !cancelled && policies.retry.allows(failures + 1) => Then::Retry,
        _ => Then::Settle,
    }
}

/// What a node does about an open slot.
#[derive(Debug)]
pub enum Fate {
    /// It claims it.
    Claim(Arc<Job>, Cause),
    /// Nobody may run it; why.
    Abandon(String),
    /// Another node may want it; which, and why it has no end, should there be none.
    Leave(Unless, &'static str),
}

/// What `node` does about an open slot of `job`, which is none where its table has no such job.
pub fn open_slot(node: &NodeName, job: Option<&Arc<Job>>, open: &Open) -> Fate {
    let Some(job) = job else {
        return Fate::Leave(Unless::HasAnotherTable, "no node has its job");
    };
    let may_run = || Unless::MayRun(Arc::clone(job));
    let is_for_us = job.may_run_on(node);
    match open.state {
        OpenState::Lost if open.takeovers < job.takeovers() => match is_for_us {
            true => Fate::Claim(Arc::clone(job), Cause::TakeOver(open.token)),
            false => Fate::Leave(may_run(), "no node that may run it took it over"),
        },
        OpenState::Lost => Fate::Abandon(match job.policies.on_crash {
            OnCrash::Skip => "its job says on_crash = \"skip\"".to_owned(),
            OnCrash::Takeover => format!(
                "it was taken over {} times, as often as max_takeovers allows",
                open.takeovers
            ),
        }),
        // Who switches a job off may still run it by hand.
        OpenState::Ready(_) if is_for_us => match job.enabled || open.slot.trigger.is_some() {
            true => Fate::Claim(Arc::clone(job), Cause::Ready),
            false => Fate::Leave(Unless::HasAnotherTable, "its job is switched off"),
        },
        OpenState::Ready(_) => Fate::Leave(may_run(), "no node that may run it was there"),
    }
}
