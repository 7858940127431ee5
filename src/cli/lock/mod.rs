//! `solocron lock`: a command under a lock, and under a keeper that ends it when the lock
//! is lost.
//!
//! ```text
//! what the caller has ─▶ store ─▶ lock ─▶ CMD under it ─▶ release ─▶ CMD's exit status
//!                        (69)    (75)    (127, 126, 76)
//! ```

mod holding;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use tokio::sync::watch;

use self::holding::Holding;
use super::{Failure, Place, place};
use crate::clock::BootInstant;
use crate::config::ClusterConfig;
use crate::config::duration::{self, Human};
use crate::lease;
use crate::lock::{Guard, Holder, LockError, LockName, Locks, Request, Wait};
use crate::run::{Signals, Surroundings};
use crate::store::{self, Health};

/// The shortest TTL: one that ends before a store answers holds nothing.
const SHORTEST_TTL: Duration = Duration::from_millis(100);

/// How long the store may take for its first answer where nobody waits for the lock.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a question may take that only makes a message better.
const ASIDE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(
    override_usage = "solocron lock [OPTIONS] <NAME> -- <CMD>...",
    after_help = "\
The lock is renewed while CMD runs, and released when CMD and all that it started are gone. CMD has
what solocron has: environment, standard input, output and error, other open files, working
directory, terminal; and SOLOCRON_LOCK, the lock's name, and SOLOCRON_FENCE, a number that is larger
for every later holder. TERM, INT, HUP, QUIT, USR1, USR2, WINCH and CONT are passed on to CMD, but
those that the terminal sends it itself.

When the lock is lost, CMD is ended before another can have it: TERM, and KILL after a quarter of
the TTL (at most 10s), also when solocron itself was killed. While both are stopped (Ctrl-Z), nobody
renews: CMD is ended after the TTL. What CMD leaves running when it ends is ended too: TERM, KILL
after 10s.

Exit codes: CMD's own (128+n for signal n, 127 not found, 126 not executable), or 75 the lock is
held by another, 76 it was lost while CMD ran, 69 the store cannot be reached, 2 usage, 78 bad
config."
)]
pub(super) struct Lock {
    /// The lock, 1 to 512 bytes of text; the same name is the same lock for all on the store and
    /// the cluster
    #[arg(value_name = "NAME")]
    name: OsString,
    /// How long the lock outlives a solocron that cannot renew it
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = span)]
    ttl: Duration,
    /// How long to wait for the lock while another holds it
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = span)]
    wait: Duration,
    /// How long to keep it at least, also when CMD ends before; at most the TTL
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = span)]
    min_hold: Duration,
    /// This node's name, for those who find the lock held [default: the host's name]
    #[arg(long, value_name = "NAME")]
    node: Option<String>,
    /// Say nothing when the lock is held by another
    #[arg(short, long)]
    quiet: bool,
    /// The command and its arguments; a shell's line is `sh -c '…'`
    #[arg(value_name = "CMD", last = true, required = true)]
    command: Vec<OsString>,
}

/// Reads a duration as the config has them.
fn span(text: &str) -> Result<Duration, String> {
    duration::parse(text).map_err(|error| match error.help {
        Some(help) => format!("{}; {help}", error.message),
        None => error.message,
    })
}

impl Lock {
    pub(super) fn perform(self, place: &Place) -> Result<ExitCode, Failure> {
        // Before anything else is open.
        let surroundings = Surroundings::inherited()?;
        let name = self.checked()?;
        let (cluster, lacked) = place.load_cluster(self.node.clone())?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let ended = runtime.block_on(self.hold(name, &cluster, surroundings));
        // What the background is still at is no longer this process's business.
        runtime.shutdown_background();
        ended.map_err(|failure| match (failure, lacked) {
            (Failure::Store(why), Some(lacked)) => Failure::Store(format!("{why} ({lacked})")),
            (failure, _) => failure,
        })
    }

    fn checked(&self) -> Result<LockName, Failure> {
        let usage = |why: String| Err(Failure::Usage(why));
        let Some(name) = self.name.to_str() else {
            return usage("the name of a lock is text in UTF-8; this one is not".to_owned());
        };
        let name = LockName::new(name).map_err(|error| Failure::Usage(error.to_string()))?;
        if self.ttl < SHORTEST_TTL {
            return usage(format!(
                "--ttl is at least {}ms: a shorter one ends before a store has answered",
                SHORTEST_TTL.as_millis()
            ));
        }
        if self.min_hold > self.ttl {
            return usage("--min-hold is at most --ttl: the lock ends with that".to_owned());
        }
        Ok(name)
    }

    async fn hold(
        self,
        name: LockName,
        cluster: &ClusterConfig,
        surroundings: Surroundings,
    ) -> Result<ExitCode, Failure> {
        let mut signals = Signals::hold_back(&surroundings)?;
        let begun = BootInstant::now();
        let bound = lease::longest_call(self.ttl);
        let store =
            store::open::open_locks(&cluster.store, &cluster.name, Some(&cluster.node), bound)
                .map_err(place::store_failure)?;
        let (describe, health) = (store.describe(), store.health());
        let locks = Locks::new(store);
        let request = self.request(&locks, &name, cluster);

        let granted = tokio::select! {
            biased;
            granted = self.acquire(&request, health, describe, begun) => granted,
            signal = signals.ending() => {
                take_back(&locks, &name).await;
                locks.close().await;
                signals.die_of_interrupt(signal as i32);
                return Ok(code(128 + signal as i32));
            }
        };
        let guard = match granted {
            Ok(guard) => guard,
            Err(NotGranted::Held(why)) => {
                if !self.wait.is_zero() {
                    take_back(&locks, &name).await;
                }
                if !self.quiet {
                    place::say(&format!("solocron: {why}\n"));
                }
                return Ok(ExitCode::from(75));
            }
            Err(NotGranted::Failed(failure)) => return Err(failure),
        };
        let holding = Holding { locks: &locks, name, ttl: self.ttl };
        holding.run(self.command, surroundings, guard, &mut signals).await
    }

    fn request(&self, locks: &Locks, name: &LockName, cluster: &ClusterConfig) -> Request {
        locks
            .lock(name.as_str())
            .ttl(self.ttl)
            .min_hold(self.min_hold)
            .metadata(self.metadata(cluster))
    }

    /// What others read of us. Arguments may be secret, and stay here.
    fn metadata(&self, cluster: &ClusterConfig) -> String {
        const LONGEST: usize = 100;
        let program = self.command.first().map(|word| word.to_string_lossy()).unwrap_or_default();
        let shown: String = program.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
        let more = if self.command.len() > 1 { " …" } else { "" };
        format!("{} (pid {}, `{shown}{more}`)", cluster.node, std::process::id())
    }

    async fn acquire(
        &self,
        request: &Request,
        health: watch::Receiver<Health>,
        describe: String,
        begun: BootInstant,
    ) -> Result<Guard, NotGranted> {
        let unreachable =
            |why: &str| NotGranted::Failed(Failure::Store(place::unreachable(&describe, why)));
        self.answered(health).await.map_err(|why| unreachable(&why))?;
        // The first attempt gets its answer however short the wait is.
        let first = request.try_acquire().await;
        let left = self.wait.saturating_sub(BootInstant::now().since(begun));
        let granted = match first {
            Err(first) if may_pass(&first) && !left.is_zero() => {
                match request.acquire(Wait::at_most(left)).await {
                    Err(LockError::Deadline { holder: None, .. }) => Err(first),
                    granted => granted,
                }
            }
            granted => granted,
        };
        granted.map_err(|error| match error {
            LockError::Contended { name, holder }
            | LockError::Deadline { name, holder: Some(holder), .. } => {
                NotGranted::Held(self.held_by(&name, &holder))
            }
            LockError::Invalid(why) => NotGranted::Failed(Failure::Usage(why)),
            LockError::Unavailable(why) | LockError::Unknown(why) => unreachable(&why),
            other => NotGranted::Failed(Failure::Store(other.to_string())),
        })
    }

    fn held_by(&self, name: &LockName, holder: &Holder) -> String {
        match self.wait.is_zero() {
            true => format!("{name} is held by {holder}"),
            false => format!("{name} is still held after {}, by {holder}", Human(self.wait)),
        }
    }

    /// Returns when the store answers, or why it does not: one that is away is not waited
    /// for longer than the lock is, and its first answer may take a moment.
    async fn answered(&self, mut health: watch::Receiver<Health>) -> Result<(), String> {
        let fails_fast = self.wait.is_zero();
        let patience = PATIENCE.max(self.wait);
        let settled = |health: &Health| match health {
            // Whether that part has the lock shows when it is asked for.
            Health::Down(_) => fails_fast,
            other => other.answers(),
        };
        drop(tokio::time::timeout(patience, health.wait_for(settled)).await);
        match &*health.borrow() {
            Health::Up | Health::Weakened { .. } | Health::Partly(_) => Ok(()),
            Health::Down(why) => Err(why.clone()),
            Health::Starting => Err(format!("no answer within {} s", patience.as_secs())),
        }
    }
}

/// Why CMD is not run.
enum NotGranted {
    Held(String),
    Failed(Failure),
}

/// Whether it may be otherwise later.
fn may_pass(error: &LockError) -> bool {
    use LockError::{Contended, Unavailable, Unknown};
    matches!(error, Contended { .. } | Unavailable(_) | Unknown(_))
}

/// Returns when what a wait left in the store is taken back, which goes on in the
/// background: what is asked after that is answered after that.
async fn take_back(locks: &Locks, name: &LockName) {
    let _no_answer = tokio::time::timeout(ASIDE, locks.holder(name.as_str())).await;
}

/// An exit code, as the kernel cuts it off.
fn code(status: i32) -> ExitCode {
    ExitCode::from(status.to_le_bytes()[0])
}
