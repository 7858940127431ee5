//! A run: what its node knows of it, and when its keeper ends it.

use solocron::daemon::engine::rules::{self, Held, Renewed};
use solocron::lease;
use solocron::outcome::Outcome;
use solocron::run::Trust;
use solocron::run::decide::{Blow, Decider, Leader, Limits, Seen, Step};
use solocron::store::{Ownership, Then};

use crate::scene::{Scene, boot, tick_from};

/// How far a slot has come that the node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Its processes live.
    Alive,
    /// They were sent TERM because the lease is lost, and are gone by then.
    Ending(u8),
    /// They are gone, and the end is being written, not before that instant.
    Over { outcome: Outcome, then: Next, from: u8, asked: bool },
    /// The run failed, and its end is written.
    Rests,
}

/// What becomes of a slot whose run has ended: `Then`, without an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Next {
    Settle,
    HandOver,
    Retry,
}

impl From<Then> for Next {
    fn from(then: Then) -> Self {
        match then {
            Then::Settle => Self::Settle,
            Then::HandOver(_) => Self::HandOver,
            Then::Retry => Self::Retry,
        }
    }
}

/// A slot that the node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Run {
    pub(crate) number: u8,
    pub(crate) attempt: u8,
    pub(crate) failures: u8,
    /// When the last request was sent that was granted: trust counts from then.
    pub(crate) granted: u8,
    /// The next renewal is due then; none after the lease was struck out.
    pub(crate) renewal: Option<u8>,
    pub(crate) renewing: bool,
    pub(crate) stage: Stage,
    /// When it began.
    pub(crate) began: u8,
    /// It was told to end.
    pub(crate) cancelled: bool,
}

impl Run {
    /// One that begins now, under a lease that was asked for at `sent`.
    pub(crate) fn new(number: u8, attempt: u8, failures: u8, sent: u8, now: u8) -> Self {
        Self {
            number,
            attempt,
            failures,
            granted: sent,
            renewal: None,
            renewing: false,
            stage: Stage::Alive,
            began: now,
            cancelled: false,
        }
    }

    pub(crate) fn lives(&self) -> bool {
        matches!(self.stage, Stage::Alive | Stage::Ending(_))
    }

    /// The lease stands in the book from `sent` on.
    pub(crate) fn grant(&mut self, scene: &Scene, sent: u8) {
        self.granted = self.granted.max(sent);
        self.renewal = Some(tick_from(boot(self.granted) + lease::renew_every(scene.ttl())));
    }

    fn trust(&self, scene: &Scene) -> Trust {
        Trust::Until(lease::trusted_until(boot(self.granted), scene.ttl()))
    }

    fn limits(scene: &Scene) -> Limits {
        Limits { kill_grace: scene.job.kill_grace, grace_on_loss: scene.job.grace_on_lost_lease() }
    }

    fn seen(now: u8, trust: Trust) -> Seen {
        Seen { now: boot(now), leader: Leader::Running, tree_gone: false, trust, stop: None }
    }

    /// What its keeper does at `now`. False when nothing lives of it any more.
    pub(crate) fn keep(&mut self, scene: &Scene, now: u8) -> bool {
        if let Stage::Ending(by) = self.stage {
            return now < by;
        }
        let mut decider = Decider::new(Self::limits(scene));
        match decider.decide(&Self::seen(now, self.trust(scene))) {
            Step::Go { blow: None, .. } => true,
            Step::Go { blow: Some(Blow::Kill), .. } | Step::Over => false,
            Step::Go { blow: Some(Blow::Term), .. } => {
                self.stage = Stage::Ending(decider.kill_by().map_or(now, tick_from));
                true
            }
        }
    }

    /// By when nothing lives of it whose daemon is gone: the keeper ends it, at the latest
    /// when it cannot trust the lease any more.
    pub(crate) fn gone_by(&self, scene: &Scene, now: u8) -> u8 {
        let mut alone = *self;
        (now + 1..).find(|&tick| !alone.keep(scene, tick)).unwrap_or(now)
    }

    /// Its keeper is told that the lease is another's.
    pub(crate) fn lose(&mut self, scene: &Scene, now: u8) {
        self.renewal = None;
        if self.stage != Stage::Alive {
            return;
        }
        let mut decider = Decider::new(Self::limits(scene));
        // It knew a deadline before.
        let _looked = decider.decide(&Self::seen(now, self.trust(scene)));
        let _told = decider.decide(&Self::seen(now, Trust::Lost));
        self.stage = Stage::Ending(decider.kill_by().map_or(now, tick_from));
    }

    pub(crate) fn held(&self) -> Held {
        match self.stage {
            Stage::Alive | Stage::Ending(_) => Held::Alive,
            Stage::Rests => Held::Rests,
            Stage::Over { .. } => Held::Over,
        }
    }
}

/// What an answer to a renewal means.
pub(crate) fn renewed(ours: bool, held: Held) -> Renewed {
    // Who has it instead is only told.
    rules::renewed(if ours { &Ownership::Ours } else { &Ownership::Forgotten }, held)
}

pub(crate) fn handed_over(now: u8) -> Stage {
    let (outcome, then) = (Outcome::HandedOver, Next::HandOver);
    Stage::Over { outcome, then, from: now, asked: false }
}

pub(crate) fn cancelled(now: u8) -> Stage {
    Stage::Over { outcome: Outcome::Cancelled, then: Next::Settle, from: now, asked: false }
}
