//! The link to one server: a connection that is watched, given up and replaced.
//!
//! ```text
//! Dialing ──connected──▶ Up ──closed by the other side──▶ Dialing
//!    │                   │
//!  failed        a call had no answer in time,
//!    │           or closed again at once
//!    ▼                   ▼
//!   Down ◀───────────────┘      tried again with a growing, jittered delay
//! ```
//!
//! - A call waits for `Dialing` no longer than its timeout, fails at once while
//!   `Down`, and is never sent twice, except to a server that said it had not run it.
//! - A connection on which a call had no answer in time is given up: its late
//!   replies reach nobody, and cannot be taken for those of later calls.
//! - What was sent and not answered is [`StoreError::Unknown`]; what was not sent,
//!   or was refused, is [`StoreError::Unavailable`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::BootInstant;
use crate::store::redis::dial::{Driver, Failure, dial};
use crate::store::redis::options::Options;
use crate::store::redis::scripts::Script;
use crate::store::redis::trouble;
use crate::store::{Health, Result, StoreError};

/// The delay before the first repeated attempt to connect.
const FIRST_DELAY: Duration = Duration::from_millis(50);
/// The longest delay between attempts; mostly it is that of [`longest_delay`].
const LONGEST_DELAY: Duration = Duration::from_secs(2);
/// While an attempt brings nothing, good or bad, others are begun beside it, up to so
/// many: what one sent before the network was mended may be lost, and it would wait
/// for its timeout.
const DIALS: usize = 8;
/// The pauses between those are a quarter of a call's timeout, within these bounds.
const SHORTEST_STAGGER: Duration = Duration::from_millis(25);
const LONGEST_STAGGER: Duration = Duration::from_millis(500);
/// An attempt to connect takes several round trips; it may take this long however
/// short the timeout of one is.
const SHORTEST_DIAL: Duration = Duration::from_secs(1);
/// A connection that lasted this long is no sign of trouble when it ends.
const STEADY: Duration = Duration::from_secs(1);

/// Whether a call changes anything: a server that refuses writes may still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

/// The link to one server.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    state: watch::Sender<State>,
    health: watch::Sender<Health>,
    /// The server refused the last write.
    refusing: AtomicBool,
}

#[derive(Debug, Clone)]
enum State {
    Dialing,
    Up { connection: MultiplexedConnection, number: u64 },
    Down(String),
    Closed,
}

impl State {
    fn is_connection(&self, wanted: u64) -> bool {
        matches!(self, Self::Up { number, .. } if *number == wanted)
    }
}

impl Link {
    /// Starts to connect, and keeps connected until the link is dropped or closed.
    pub(super) fn open(options: Options) -> Self {
        let shared = Arc::new(Shared {
            options,
            state: watch::Sender::new(State::Dialing),
            health: watch::Sender::new(Health::Starting),
            refusing: AtomicBool::new(false),
        });
        let stop = CancellationToken::new();
        let supervisor = supervise(shared.clone());
        let stopped = stop.clone();
        let last = shared.clone();
        tokio::spawn(async move {
            stopped.run_until_cancelled_owned(supervisor).await;
            last.state.send_replace(State::Closed);
        });
        Self { shared, _stop_on_drop: stop.clone().drop_guard(), stop }
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.shared.health.subscribe()
    }

    /// Ends the link; calls fail from now on.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        let mut state = self.shared.state.subscribe();
        let _ = state.wait_for(|state| matches!(state, State::Closed)).await;
        self.shared.set_health(Health::Down("closed".to_owned()));
    }

    /// Sends commands together, one round trip, and returns their replies in
    /// order. An error is about all of them; one that only one of them met stands
    /// in its place.
    pub(super) async fn send(
        &self,
        purpose: Purpose,
        commands: Vec<Cmd>,
    ) -> Result<Vec<Result<Value>>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let answer = self.transmit(commands, self.shared.options.timeout).await;
        self.judge(purpose, answer)
    }

    /// The same, with the replies as they came, errors included, and no longer than
    /// `timeout`. Whoever has read them hands them to [`judge`](Self::judge).
    pub(super) async fn transmit(
        &self,
        commands: Vec<Cmd>,
        timeout: Duration,
    ) -> Result<Vec<Value>> {
        let shared = &*self.shared;
        let sent_on = AtomicU64::new(NOT_SENT);
        match tokio::time::timeout(timeout, shared.exchange(commands, &sent_on)).await {
            Ok(answer) => answer,
            Err(_) => match sent_on.load(Ordering::Relaxed) {
                NOT_SENT => Err(StoreError::Unavailable(format!(
                    "{}: no connection within {timeout:?}",
                    shared.options
                ))),
                number => {
                    let why = format!("{}: no answer within {timeout:?}", shared.options);
                    shared.give_up(number, &why);
                    Err(StoreError::Unknown(why))
                }
            },
        }
    }

    /// What an answer means, and what it says about the server's health.
    pub(super) fn judge(
        &self,
        purpose: Purpose,
        answer: Result<Vec<Value>>,
    ) -> Result<Vec<Result<Value>>> {
        let read = |reply| match reply {
            Value::ServerError(error) => Err(self.named(trouble::of_server(&error))),
            reply => Ok(reply),
        };
        let result = answer.map(|replies| replies.into_iter().map(read).collect());
        self.shared.note(purpose, &result);
        result
    }

    /// Takes note of a refusal that a script has passed on.
    pub(super) fn note_refusal(&self, error: &StoreError) {
        if let StoreError::Unavailable(why) = error {
            self.shared.refused(why.clone());
        }
    }

    /// Says which server an error is about.
    pub(super) fn named(&self, error: StoreError) -> StoreError {
        self.shared.named(error)
    }
}

/// Connections are numbered from 1.
const NOT_SENT: u64 = 0;

impl Shared {
    async fn exchange(&self, commands: Vec<Cmd>, sent_on: &AtomicU64) -> Result<Vec<Value>> {
        let (mut connection, number) = self.connection().await?;
        let count = commands.len();
        let mut pipeline = Pipeline::with_capacity(count);
        for command in commands {
            pipeline.add_command(command);
        }
        let lost = |error| self.named(StoreError::Unknown(trouble::of_connection(&error)));
        sent_on.store(number, Ordering::Relaxed);
        let mut replies =
            connection.send_packed_commands(&pipeline, 0, count).await.map_err(lost)?;

        // The scripts were flushed: of those commands nothing was executed.
        let unknown = |reply: &Value| matches!(reply, Value::ServerError(error) if trouble::is_noscript(error));
        let mut again = Pipeline::new();
        let mut places = Vec::new();
        for (place, (reply, command)) in replies.iter().zip(pipeline.cmd_iter()).enumerate() {
            if unknown(reply)
                && let Some(full) = Script::in_full(command)
            {
                again.add_command(full);
                places.push(place);
            }
        }
        if !places.is_empty() {
            let repeated =
                connection.send_packed_commands(&again, 0, places.len()).await.map_err(lost)?;
            for (place, reply) in places.into_iter().zip(repeated) {
                replies[place] = reply;
            }
        }
        Ok(replies)
    }

    /// The connection, if there is one; while one is being made, waits for it.
    async fn connection(&self) -> Result<(MultiplexedConnection, u64)> {
        let mut changes = self.state.subscribe();
        loop {
            match &*changes.borrow_and_update() {
                State::Up { connection, number } => return Ok((connection.clone(), *number)),
                State::Down(why) => return Err(StoreError::Unavailable(why.clone())),
                State::Closed => {
                    let why = format!("{} is closed", self.options);
                    return Err(StoreError::Unavailable(why));
                }
                State::Dialing => {}
            }
            // The sender lives as long as `self`.
            let _ = changes.changed().await;
        }
    }

    /// Says which server an error is about, and keeps the password out of it.
    fn named(&self, error: StoreError) -> StoreError {
        let url = self.options.to_string();
        let named = |text: String| match text.starts_with(&url) {
            true => text,
            false => self.options.scrub(format!("{url}: {text}")),
        };
        match error {
            StoreError::Unavailable(text) => StoreError::Unavailable(named(text)),
            StoreError::Unknown(text) => StoreError::Unknown(named(text)),
            StoreError::Corrupt(text) => StoreError::Corrupt(named(text)),
        }
    }

    fn give_up(&self, number: u64, why: &str) {
        self.state.send_if_modified(|state| {
            let current = state.is_connection(number);
            if current {
                *state = State::Down(why.to_owned());
            }
            current
        });
    }

    /// Draws from an answer what it says about the server's health.
    fn note(&self, purpose: Purpose, result: &Result<Vec<Result<Value>>>) {
        match result {
            Ok(replies) => {
                let refused = replies.iter().find_map(|reply| match reply {
                    Err(StoreError::Unavailable(why)) => Some(why.clone()),
                    _ => None,
                });
                match refused {
                    Some(why) if purpose == Purpose::Write => self.refused(why),
                    // It may be a question that this user must not ask.
                    Some(_) => {}
                    None if purpose == Purpose::Write => {
                        self.refusing.store(false, Ordering::Relaxed);
                        self.set_health(Health::Up);
                    }
                    None => self.set_reachable(),
                }
            }
            Err(StoreError::Unavailable(why) | StoreError::Unknown(why)) => {
                // Under the lock: a connection made since then has the last word.
                let state = self.state.borrow();
                if !matches!(*state, State::Up { .. }) {
                    self.set_health(Health::Down(why.clone()));
                }
            }
            Err(StoreError::Corrupt(_)) => {}
        }
    }

    fn refused(&self, why: String) {
        self.refusing.store(true, Ordering::Relaxed);
        self.set_health(Health::Down(why));
    }

    /// Up, unless the server is known to refuse writes: only one that succeeds
    /// proves otherwise.
    fn set_reachable(&self) {
        if !self.refusing.load(Ordering::Relaxed) {
            self.set_health(Health::Up);
        }
    }

    fn set_health(&self, health: Health) {
        self.health.send_if_modified(|current| {
            let changed = *current != health;
            if changed {
                *current = health;
            }
            changed
        });
    }
}

/// Keeps the link connected.
async fn supervise(shared: Arc<Shared>) {
    let mut failures = 0;
    for number in 1.. {
        let limit = shared.options.timeout.max(SHORTEST_DIAL);
        let longest = longest_delay(shared.options.timeout);
        let delay = match tokio::time::timeout(limit, dial_side_by_side(&shared)).await {
            Ok(Ok((connection, driver))) => {
                let since = BootInstant::now();
                shared.state.send_replace(State::Up { connection, number });
                shared.set_reachable();
                let given_up = attend(&shared, number, driver).await;
                if BootInstant::now().since(since) >= STEADY {
                    failures = 0;
                }
                let why = format!("{}: the connection was closed", shared.options);
                if failures == 0 && !given_up {
                    shared.state.send_replace(State::Dialing);
                    failures = 1;
                    continue;
                }
                if !given_up {
                    shared.state.send_replace(State::Down(why.clone()));
                    shared.set_health(Health::Down(why));
                }
                failures += 1;
                delay_after(failures).min(longest)
            }
            Ok(Err(failure)) => {
                failures += 1;
                shared.fail(&failure.why);
                if failure.lasting { LONGEST_DELAY } else { delay_after(failures).min(longest) }
            }
            Err(_) => {
                failures += 1;
                shared.fail(&format!("no connection within {limit:?}"));
                delay_after(failures).min(longest)
            }
        };
        tokio::time::sleep(delay.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
    }
}

/// The first connection that one of several attempts brings; the failure of the last
/// where all have failed.
async fn dial_side_by_side(
    shared: &Arc<Shared>,
) -> std::result::Result<(MultiplexedConnection, Driver), Failure> {
    let stagger = stagger(shared.options.timeout);
    let begin = |dials: &mut JoinSet<_>| {
        let shared = Arc::clone(shared);
        dials.spawn(async move { dial(&shared.options).await });
    };
    let mut dials = JoinSet::new();
    begin(&mut dials);
    loop {
        tokio::select! {
            Some(dialled) = dials.join_next() => match dialled {
                Ok(Err(_)) | Err(_) if !dials.is_empty() => {}
                Ok(dialled) => return dialled,
                Err(gone) => return Err(Failure { why: gone.to_string(), lasting: false }),
            },
            () = tokio::time::sleep(stagger), if dials.len() < DIALS => begin(&mut dials),
        }
    }
}

/// Moves the bytes of connection `number` until it ends; true if a call gave it up.
async fn attend(shared: &Shared, number: u64, driver: Driver) -> bool {
    let mut changes = shared.state.subscribe();
    let given_up = async {
        let _ = changes.wait_for(|state| !state.is_connection(number)).await.is_ok();
    };
    tokio::select! {
        () = driver => false,
        () = given_up => true,
    }
}

impl Shared {
    fn fail(&self, why: &str) {
        let why = self.options.scrub(format!("{}: {why}", self.options));
        self.state.send_replace(State::Down(why.clone()));
        self.set_health(Health::Down(why));
    }
}

fn delay_after(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(10);
    (FIRST_DELAY * 2_u32.pow(doublings)).min(LONGEST_DELAY)
}

/// The longest delay on a link whose calls may take `timeout`. That is at most an
/// eighth of the shortest lease; when a server was away for two fifths of a lease, a
/// tenth of it is left, and whoever comes back later has lost its runs.
fn longest_delay(timeout: Duration) -> Duration {
    (timeout / 4).clamp(FIRST_DELAY, LONGEST_DELAY)
}

/// The pause between two attempts side by side.
fn stagger(timeout: Duration) -> Duration {
    (timeout / 4).clamp(SHORTEST_STAGGER, LONGEST_STAGGER)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::{grace_on_loss, longest_call, renew_every, trusted_until};

    #[test]
    fn a_server_that_is_back_after_two_fifths_of_a_lease_is_asked_before_runs_are_ended() {
        for ttl in [1, 2, 3, 5, 10, 30, 3600].map(Duration::from_secs) {
            let granted = BootInstant::from_nanos(0);
            // The outage begins when the next renewal is due: the worst moment.
            let back = granted + renew_every(ttl) + ttl * 2 / 5;
            let ending = trusted_until(granted, ttl).minus(grace_on_loss(Duration::MAX, ttl));
            let timeout = longest_call(ttl).min(Duration::from_secs(1));
            let asked = back + longest_delay(timeout).max(stagger(timeout));
            assert!(asked < ending, "{ttl:?}: {:?} too late", asked.since(ending));
        }
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let delays: Vec<_> = (1..=8).map(|n| delay_after(n).as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(delay_after(u32::MAX), LONGEST_DELAY);
    }
}
