//! What a run is told while it lives: how long its lease may be trusted, when it may
//! begin, and whether somebody wants its end.

use std::future::pending;

use tokio::sync::watch;

use crate::clock::BootInstant;

/// How far the lease may be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Until then; the KILL goes out at that instant at the latest.
    Until(BootInstant),
    /// It is no longer ours.
    Lost,
}

/// Why somebody wants the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The node drains: TERM, and KILL after the job's `kill_grace`.
    Drain,
    /// The node must go now: KILL.
    Kill,
    /// Somebody cancelled the run: TERM, and KILL after the job's `kill_grace`.
    Cancel,
    /// It is not to begin; one that has begun goes on.
    Withdraw,
}

/// The sources of orders. When a sender is gone, its last word stands: a lease that
/// nobody renews simply runs out.
#[derive(Debug, Clone)]
pub struct Orders {
    /// The lease.
    pub trust: watch::Receiver<Trust>,
    /// The wish for an end.
    pub stop: watch::Receiver<Option<Stop>>,
    /// The command is started at this instant, never before it. Means nothing once it was.
    pub not_before: watch::Receiver<BootInstant>,
}

/// What is in force at one look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) trust: Trust,
    pub(super) stop: Option<Stop>,
    pub(super) not_before: BootInstant,
}

impl Orders {
    /// Those of a command that is started at once.
    pub fn at_once(trust: watch::Receiver<Trust>, stop: watch::Receiver<Option<Stop>>) -> Self {
        let (_, not_before) = watch::channel(BootInstant::from_nanos(0));
        Self { trust, stop, not_before }
    }

    /// What is in force now.
    pub(super) fn read(&mut self) -> Standing {
        Standing {
            trust: *self.trust.borrow_and_update(),
            stop: *self.stop.borrow_and_update(),
            not_before: *self.not_before.borrow_and_update(),
        }
    }

    /// Returns when one of them changed since it was read. May be dropped and
    /// called again.
    pub(super) async fn changed(&mut self) {
        tokio::select! {
            () = changed(&mut self.trust) => {}
            () = changed(&mut self.stop) => {}
            () = changed(&mut self.not_before) => {}
        }
    }
}

async fn changed<T>(source: &mut watch::Receiver<T>) {
    if source.changed().await.is_err() {
        pending::<()>().await;
    }
}
