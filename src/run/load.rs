//! What a run takes with it: its plan, in whose session it lives, and what it has open.

use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

use nix::libc;

use super::errand::Errand;
use super::failure::NotStarted;
use super::inquiry::account;
use super::plan::Plan;
use super::pump::{self, OutputSink};
use super::session::Session;
use super::task::{Identity, Task};

/// See the module.
pub(super) struct Load {
    pub(super) plan: Plan,
    pub(super) session: Session,
    /// What the command has open, each with its number there.
    pub(super) handed: Vec<(RawFd, OwnedFd)>,
    /// Where its output is read, if it is.
    pub(super) outlet: Option<Outlet>,
}

/// The near ends of a job's output, and what becomes of it.
pub(super) struct Outlet {
    pub(super) stdout: pump::Receiver,
    pub(super) stderr: pump::Receiver,
    /// How many bytes of it the report keeps.
    pub(super) limit: usize,
    pub(super) sink: Arc<dyn OutputSink>,
}

impl Load {
    /// That of a job: an environment of its own, and its output is read.
    pub(super) async fn of_job(
        task: &Task,
        identity: &Identity,
        sink: Arc<dyn OutputSink>,
    ) -> Result<Self, NotStarted> {
        let lang = std::env::var_os("LANG");
        let plan = Plan::of_job(
            task,
            identity,
            account(task.user.clone(), task.group.clone()).await?,
            lang,
        )?;
        let io = |error| NotStarted::io(&error);
        let (stdout, stdout_end) = pump::pipe().map_err(io)?;
        let (stderr, stderr_end) = pump::pipe().map_err(io)?;
        Ok(Self {
            plan,
            session: Session::Own,
            handed: vec![(libc::STDOUT_FILENO, stdout_end), (libc::STDERR_FILENO, stderr_end)],
            outlet: Some(Outlet { stdout, stderr, limit: task.output_limit, sink }),
        })
    }

    /// That of an errand: all is the caller's.
    pub(super) async fn of_errand(errand: Errand) -> Result<Self, NotStarted> {
        let Errand { words, environment, surroundings, .. } = errand;
        let words: Vec<_> = words.iter().map(AsRef::as_ref).collect();
        let variables = environment.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
        let mut plan = Plan::of(&words, &variables.collect())?;
        plan.recipe.ignored = surroundings.ignored;
        Ok(Self { plan, session: Session::here(), handed: surroundings.handed, outlet: None })
    }
}
