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
//! - So is one whose server refuses a write as a replica does, or is no longer what the
//!   sentinels call the master.
//! - What was sent and not answered, or not acknowledged by enough replicas, is
//!   [`StoreError::Unknown`]; what was not sent, or was refused, is
//!   [`StoreError::Unavailable`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, Value};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::BootInstant;
use crate::store::redis::acks::{self, Acks, Turns};
use crate::store::redis::options::Options;
use crate::store::redis::scripts::Script;
use crate::store::redis::sentinel::Favourite;
use crate::store::redis::supervise::supervise;
use crate::store::redis::trouble;
use crate::store::{Health, Result, StoreError};

/// Whether a call changes anything: a server that refuses writes may still be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    /// A read of what must not be forgotten. Where replicas are to acknowledge writes, it
    /// is unknown until they have whatever it was answered from.
    Witness,
    Write,
    /// A write that must not be forgotten. Where replicas are to acknowledge such
    /// writes, it is unknown until they have.
    Settle,
}

impl Purpose {
    fn is_acknowledged(self) -> bool {
        matches!(self, Self::Witness | Self::Settle)
    }

    fn is_write(self) -> bool {
        matches!(self, Self::Write | Self::Settle)
    }
}

/// The link to one server.
#[derive(Debug)]
pub(super) struct Link {
    shared: Arc<Shared>,
    /// The connection of those writes, where replicas are to acknowledge them.
    acknowledged: Option<Arc<Shared>>,
    health: watch::Receiver<Health>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

/// One connection of a link.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) state: watch::Sender<State>,
    pub(super) health: watch::Sender<Health>,
    /// The server refused the last write.
    refusing: AtomicBool,
    /// Its health is told no more.
    over: AtomicBool,
    /// What makes its writes count, if it takes more than their answers.
    acks: Option<Acks>,
    turns: Turns,
    pub(super) favourite: Favourite,
}

#[derive(Debug, Clone)]
pub(super) enum State {
    Dialing,
    Up { connection: MultiplexedConnection, number: u64 },
    Down(String),
    Closed,
}

impl State {
    pub(super) fn is_connection(&self, wanted: u64) -> bool {
        matches!(self, Self::Up { number, .. } if *number == wanted)
    }
}

impl Link {
    /// Starts to connect, and keeps connected until the link is dropped or closed.
    pub(super) fn open(options: Options) -> Self {
        let stop = CancellationToken::new();
        let acks = (options.min_acks > 0).then(|| Acks::of(&options));
        let acknowledged = acks.map(|acks| Shared::begin(options.clone(), Some(acks), &stop));
        let shared = Shared::begin(options, None, &stop);
        let health = match &acknowledged {
            None => shared.health.subscribe(),
            Some(other) => {
                acks::health_of_both(shared.health.subscribe(), other.health.subscribe())
            }
        };
        let _stop_on_drop = stop.clone().drop_guard();
        Self { shared, acknowledged, health, stop, _stop_on_drop }
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(super) fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// Whether there is a connection, whatever the server thinks of writes.
    pub(super) fn is_connected(&self) -> bool {
        matches!(*self.shared.state.borrow(), State::Up { .. })
    }

    /// The connection for calls of this purpose.
    fn shared(&self, purpose: Purpose) -> &Arc<Shared> {
        match &self.acknowledged {
            Some(shared) if purpose.is_acknowledged() => shared,
            _ => &self.shared,
        }
    }

    /// Ends the link; calls fail from now on.
    pub(super) async fn close(&self) {
        self.stop.cancel();
        for shared in [Some(&self.shared), self.acknowledged.as_ref()].into_iter().flatten() {
            let mut state = shared.state.subscribe();
            let _ = state.wait_for(|state| matches!(state, State::Closed)).await;
            shared.end_health();
        }
        let _ = self.health().wait_for(|health| matches!(health, Health::Down(_))).await;
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
        let answer = self.transmit(purpose, commands, self.shared.options.timeout).await;
        self.judge(purpose, answer)
    }

    /// The same, with the replies as they came, errors included, and no longer than
    /// `timeout`. Whoever has read them hands them to [`judge`](Self::judge).
    pub(super) async fn transmit(
        &self,
        purpose: Purpose,
        commands: Vec<Cmd>,
        timeout: Duration,
    ) -> Result<Vec<Value>> {
        let shared = &**self.shared(purpose);
        let sent_on = AtomicU64::new(NOT_SENT);
        match tokio::time::timeout(timeout, shared.exchange(commands, &sent_on, timeout)).await {
            Ok(answer) => answer,
            Err(_) => match sent_on.load(Ordering::Relaxed) {
                NOT_SENT => Err(StoreError::Unavailable(shared.not_sent(timeout))),
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
        self.shared(purpose).note(purpose, &result);
        result
    }

    /// Takes note of a refusal that a script has passed on: of a [`Purpose::Settle`].
    pub(super) fn note_refusal(&self, error: &StoreError) {
        if let StoreError::Unavailable(why) = error {
            self.shared(Purpose::Settle).refused(why.clone());
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
    /// Connects, and keeps connected until `stop`.
    fn begin(options: Options, acks: Option<Acks>, stop: &CancellationToken) -> Arc<Self> {
        let shared = Arc::new(Self {
            options,
            state: watch::Sender::new(State::Dialing),
            health: watch::Sender::new(Health::Starting),
            refusing: AtomicBool::new(false),
            over: AtomicBool::default(),
            acks,
            turns: Turns::default(),
            favourite: Favourite::default(),
        });
        let supervisor = supervise(shared.clone());
        let (stopped, last) = (stop.clone(), shared.clone());
        tokio::spawn(async move {
            stopped.run_until_cancelled_owned(supervisor).await;
            last.state.send_replace(State::Closed);
        });
        shared
    }

    async fn exchange(
        &self,
        commands: Vec<Cmd>,
        sent_on: &AtomicU64,
        timeout: Duration,
    ) -> Result<Vec<Value>> {
        let begun = BootInstant::now();
        let mut turn = match self.acks {
            Some(_) => Some(
                self.turns.take().await.map_err(|why| self.named(StoreError::Unavailable(why)))?,
            ),
            None => None,
        };
        let (mut connection, number) = self.connection().await?;
        let left = || timeout.saturating_sub(BootInstant::now().since(begun));
        let mut pipeline = Pipeline::with_capacity(commands.len() + acks::COMMANDS);
        for command in commands {
            pipeline.add_command(command);
        }
        sent_on.store(number, Ordering::Relaxed);
        let (mut replies, mut counts) = self.pass(&mut connection, &mut pipeline, left()).await?;

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
            let repeated;
            (repeated, counts) = self.pass(&mut connection, &mut again, left()).await?;
            for (place, reply) in places.into_iter().zip(repeated) {
                replies[place] = reply;
            }
        }
        // (What names no key is answered also where the keys are not.)
        let refused = |(reply, command): (&Value, &Cmd)| {
            matches!(reply, Value::ServerError(_)) || Script::first_key(command).is_none()
        };
        if let Err(why) = counts
            && !replies.iter().zip(pipeline.cmd_iter()).all(refused)
        {
            turn.iter_mut().for_each(|turn| turn.fell_short(&why));
            let why = self.options.scrub(format!("{}: {why}", self.options));
            self.refused(why.clone());
            return Err(StoreError::Unknown(why));
        }
        Ok(replies)
    }

    /// Sends the commands and gets their replies; where replicas are to acknowledge them,
    /// also why they do not count, if they do not.
    async fn pass(
        &self,
        connection: &mut MultiplexedConnection,
        pipeline: &mut Pipeline,
        left: Duration,
    ) -> Result<(Vec<Value>, std::result::Result<(), String>)> {
        if let Some(acks) = self.acks {
            acks.ask(pipeline, Acks::patience(left));
        }
        let sent = connection.send_packed_commands(pipeline, 0, pipeline.len()).await;
        let lost = |error| self.named(StoreError::Unknown(trouble::of_connection(&error)));
        let mut replies = sent.map_err(lost)?;
        let counts = self.acks.map_or(Ok(()), |acks| acks.judge(&mut replies));
        Ok((replies, counts))
    }

    /// Why nothing was sent for so long.
    fn not_sent(&self, timeout: Duration) -> String {
        let why = match (&*self.state.borrow(), self.acks) {
            (State::Up { .. }, Some(_)) => "no turn, as replicas are slow to acknowledge others",
            _ => "no connection",
        };
        format!("{}: {why} within {timeout:?}", self.options)
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

    pub(super) fn give_up(&self, number: u64, why: &str) {
        self.state.send_if_modified(|state| {
            let current = state.is_connection(number);
            if current {
                *state = State::Down(why.to_owned());
            }
            current
        });
    }

    /// Gives up whichever connection there is: it leads to a master that is none any more.
    fn give_up_any(&self, why: &str) {
        self.state.send_if_modified(|state| {
            let up = matches!(state, State::Up { .. });
            if up {
                *state = State::Down(why.to_owned());
            }
            up
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
                    Some(why) if purpose.is_write() => self.refused(why),
                    // It may be a question that this user must not ask.
                    Some(_) => {}
                    // (Behind what is acknowledged something was written.)
                    None if purpose.is_write() || self.acks.is_some() => {
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
        let demoted = self.options.has_sentinels() && trouble::is_of_replica(&why);
        self.refusing.store(!demoted, Ordering::Relaxed);
        if demoted {
            self.give_up_any(&why);
        }
        self.set_health(Health::Down(why));
    }

    /// Up, unless the server is known to refuse writes: only one that succeeds
    /// proves otherwise.
    pub(super) fn set_reachable(&self) {
        if !self.refusing.load(Ordering::Relaxed) {
            self.set_health(Health::Up);
        }
    }

    /// Once the link is closed that is the last word, whatever calls that were under way
    /// then have found out.
    pub(super) fn set_health(&self, health: Health) {
        self.health.send_if_modified(|current| {
            // Under its lock: what was not over yet comes before the end is told.
            let changed = *current != health && !self.over.load(Ordering::SeqCst);
            if changed {
                *current = health;
            }
            changed
        });
    }

    fn end_health(&self) {
        self.over.store(true, Ordering::SeqCst);
        self.health.send_replace(Health::Down("closed".to_owned()));
    }

    /// There is no connection.
    pub(super) fn fail(&self, why: &str) {
        let why = self.options.scrub(format!("{}: {why}", self.options));
        self.state.send_replace(State::Down(why.clone()));
        self.set_health(Health::Down(why));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ClusterName;
    use crate::store::redis::options::Address;

    #[tokio::test]
    async fn what_a_call_finds_out_after_the_end_does_not_reopen_a_link() {
        let link = Link::open(Options {
            address: Address::Unix("/nonexistent/redis.sock".into()),
            database: 0,
            username: None,
            password: None,
            cluster: ClusterName::new("prod").unwrap(),
            node: None,
            timeout: Duration::from_secs(1),
            min_acks: 0,
        });
        link.close().await;
        let closed = Health::Down("closed".to_owned());
        assert_eq!(*link.health().borrow(), closed);
        // The answer had come before, and is looked at now.
        link.judge(Purpose::Write, Ok(vec![Value::Okay])).unwrap();
        assert_eq!(*link.health().borrow(), closed);
    }
}
