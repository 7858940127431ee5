//! What the daemon has heard of a run, and what follows from it.

use std::time::Duration;

use nix::errno::Errno;

use super::decide::{Cause, Decider, Exit};
use super::failure::NotStarted;
use super::link::News;
use super::plan::Plan;
use super::vigil::Vigil;
use super::wire::Said;
use super::word::Stumble;
use crate::clock::BootInstant;

/// How a run came to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ending {
    /// Nothing was started.
    NeverBegan(Option<Cause>),
    /// The leader ended so, when this was in force.
    Exited(Exit, Option<Cause>),
    /// The keeper was killed before it knew, when this was in force.
    KeeperLost(Option<Cause>),
}

/// What has been said of a run so far.
#[derive(Debug, Default)]
pub(super) struct Story {
    pub(super) forked: Option<(u32, BootInstant)>,
    pub(super) is_loaded: bool,
    stumble: Option<Stumble>,
    not_forked: Option<Errno>,
    cause: Option<Cause>,
    pub(super) exited: Option<(Exit, Option<Cause>)>,
    pub(super) end: Option<End>,
}

/// Who said that nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The keeper.
    Kept,
    /// The warden.
    Cleared,
    /// Nobody: both are dead.
    Abandoned,
}

impl Story {
    pub(super) fn take(
        &mut self,
        news: News,
        decider: &mut Decider,
        vigil: &mut Vigil,
        timeout: Option<Duration>,
    ) {
        let said = match news {
            News::Said(said, _) => said,
            News::Closed => return self.end = Some(End::Abandoned),
        };
        match said {
            Said::Forked(pid, at) => {
                self.forked = Some((pid.as_raw().unsigned_abs(), at));
                decider.started(at, timeout);
            }
            Said::Loaded => self.is_loaded = true,
            Said::Stumbled(stumble) => self.stumble = Some(stumble),
            Said::Heard(heard) => {
                self.cause = heard.cause;
                vigil.heard(BootInstant::now(), heard);
            }
            Said::Ended(exit, cause) => self.exited = Some((exit, cause)),
            Said::NotForked(errno) => {
                self.not_forked = Some(errno);
                self.end = Some(End::Kept);
            }
            Said::Hangs => tracing::warn!(
                leader = self.forked.map(|(pid, _)| pid),
                "a killed command does not go: it hangs in the kernel, or has rights that \
                 solocron lacks"
            ),
            Said::LeftAlone => tracing::warn!(
                leader = self.forked.map(|(pid, _)| pid),
                "a command left processes behind that solocron cannot end or see"
            ),
            Said::Gone => self.end = Some(End::Kept),
            Said::Cleared => self.end = Some(End::Cleared),
            // Said once, before all else.
            Said::Here(_) | Said::NoKeeper(_) => {}
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.end.is_some()
    }

    pub(super) fn failure(&self, plan: &Plan) -> Option<NotStarted> {
        let not_forked = self.not_forked.map(NotStarted::resources);
        not_forked.or_else(|| self.stumble.map(|stumble| NotStarted::stumbled(stumble, plan)))
    }

    /// `cause` is what the daemon itself knows to be in force.
    pub(super) fn ending(&self, cause: Option<Cause>) -> Ending {
        match (self.exited, self.end) {
            (Some((exit, cause)), _) => Ending::Exited(exit, cause),
            (None, Some(End::Kept)) => Ending::NeverBegan(self.cause),
            (None, _) => Ending::KeeperLost(self.cause.or(cause)),
        }
    }
}
