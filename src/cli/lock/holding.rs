//! While the lock is held: CMD runs under it, and what came of both is told.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use tokio::sync::watch;

use super::{ASIDE, code};
use crate::cli::{Failure, moment, place};
use crate::clock::BootInstant;
use crate::config::duration::Human;
use crate::lease;
use crate::lock::{Guard, Holder, LockError, LockName, Locks, Loss, State};
use crate::run::{Errand, Farewell, Orders, Signals, Stop, Surroundings, Trust};

/// What lies between TERM and KILL for what CMD leaves running.
const KILL_GRACE: Duration = Duration::from_secs(10);

/// The lock, and where it is.
pub(super) struct Holding<'a> {
    pub(super) locks: &'a Locks,
    pub(super) name: LockName,
    pub(super) ttl: Duration,
}

impl Holding<'_> {
    /// Runs `command` and gives the lock back.
    pub(super) async fn run(
        self,
        command: Vec<OsString>,
        surroundings: Surroundings,
        guard: Guard,
        signals: &mut Signals,
    ) -> Result<ExitCode, Failure> {
        let errand = Errand {
            words: command,
            environment: self.environment(&guard),
            surroundings,
            kill_grace: KILL_GRACE,
        };
        let grace = lease::grace_on_loss(KILL_GRACE, self.ttl);
        let begun = BootInstant::now();
        let (deadline, orders) = Deadline::of(&guard, self.ttl);
        let farewell = tokio::select! {
            farewell = errand.run(orders, signals, grace, |_| {}) => farewell,
            never = deadline.follow(guard.watch()) => match never {},
        };
        let held = BootInstant::now().since(begun);

        let loss = match &*guard.watch().borrow() {
            State::Lost(loss) => Some(loss.clone()),
            State::Held { .. } => None,
        };
        let released = guard.release().await;
        let mut ended_by = None;
        let ended = match farewell {
            Farewell::Lost => {
                self.tell_loss(held, loss, released.err()).await;
                self.locks.close().await;
                return Ok(ExitCode::from(76));
            }
            Farewell::Exited(status) => Ok(code(status)),
            Farewell::Signalled(signal) => {
                ended_by = Some(signal);
                Ok(code(128 + signal))
            }
            Farewell::Missing(why) => Ok(refused(&why, 127)),
            Farewell::NotExecutable(why) => Ok(refused(&why, 126)),
            Farewell::Failed(why) => Err(Failure::Failed(why)),
        };
        if let Err(error) = released {
            self.warn(&error);
        }
        self.locks.close().await;
        if let Some(signal) = ended_by {
            signals.die_of_interrupt(signal);
        }
        ended
    }

    /// The caller's, and what CMD should know of the lock. What the caller has in its
    /// environment is the caller's to pass on, a store's address as well: CMD may be
    /// another `solocron lock`.
    fn environment(&self, guard: &Guard) -> BTreeMap<OsString, OsString> {
        let mut environment: BTreeMap<_, _> = std::env::vars_os().collect();
        let own = [
            ("SOLOCRON_LOCK", self.name.to_string()),
            ("SOLOCRON_FENCE", guard.fence().to_string()),
        ];
        environment.extend(own.map(|(name, value)| (name.into(), value.into())));
        environment
    }

    /// Tells that CMD was ended, when and why, and who has the lock now.
    async fn tell_loss(&self, held: Duration, loss: Option<Loss>, released: Option<LockError>) {
        let by = match (&loss, released) {
            // What was lost says it itself.
            (Some(Loss::Taken { by: Some(_), .. }), _) => None,
            (_, Some(LockError::NotHeld { by, .. })) => by,
            (None, None) => None,
            _ => self.holder().await,
        };
        let why = match loss {
            Some(Loss::Lapsed { why: Some(why) }) => format!("it could not be renewed: {why}"),
            Some(Loss::Lapsed { why: None }) | None => "it was not renewed in time".to_owned(),
            Some(taken @ Loss::Taken { .. }) => taken.to_string(),
        };
        let by = by.map(|holder| format!("; it is held by {holder}")).unwrap_or_default();
        place::say(&format!(
            "solocron: the lock {} was lost after {}, and the command was ended: {why}{by}\n",
            self.name,
            moment::span(held),
        ));
    }

    async fn holder(&self) -> Option<Holder> {
        let asked = tokio::time::timeout(ASIDE, self.locks.holder(self.name.as_str())).await;
        asked.ok()?.ok()?
    }

    /// CMD has ended by itself, and the lock could not be given back as it should.
    fn warn(&self, error: &LockError) {
        let warning = match error {
            LockError::NotHeld { .. } => format!(
                "{error}; what the command did last, another may have done at the same time"
            ),
            _ => format!(
                "the lock {} could not be released, it lapses within {}: {error}",
                self.name,
                Human(self.ttl)
            ),
        };
        place::say(&format!("solocron: warning: {warning}\n"));
    }
}

/// What CMD goes by: the lock, and until when it has to be gone.
struct Deadline {
    trust: watch::Sender<Trust>,
    /// Nobody asks for its end but by a signal.
    _stop: watch::Sender<Option<Stop>>,
    room: Duration,
}

impl Deadline {
    fn of(guard: &Guard, ttl: Duration) -> (Self, Orders) {
        // Who waits begins at the instant at which the lock lapses, and a tree of processes
        // needs a moment to die: on a busy machine a longer one than the margin of a short
        // TTL is.
        let room = (ttl / 20).min(Duration::from_millis(100));
        let (trust, trusted) = watch::channel(Trust::Until(guard.valid_until().minus(room)));
        let (stop, stopped) = watch::channel(None);
        (Self { trust, _stop: stop, room }, Orders::at_once(trusted, stopped))
    }

    /// Follows the lock.
    async fn follow(self, mut state: watch::Receiver<State>) -> Infallible {
        loop {
            self.trust.send_replace(match *state.borrow_and_update() {
                State::Held { until } => Trust::Until(until.minus(self.room)),
                State::Lost(_) => Trust::Lost,
            });
            if state.changed().await.is_err() {
                // Its last word stands.
                std::future::pending::<()>().await;
            }
        }
    }
}

fn refused(why: &str, status: i32) -> ExitCode {
    place::say(&format!("solocron: {why}\n"));
    code(status)
}
