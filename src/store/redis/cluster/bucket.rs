//! Calls to one bucket, wherever it is: sent to its master, and on from there.
//!
//! What may be sent again is only what a server said it did not execute: `MOVED`,
//! `ASK`, `TRYAGAIN`. Nothing else ever is; what was sent and not answered is unknown.
//!
//! **While a hash slot moves, no script runs on it.** Its keys are on two servers then,
//! and a script would take a lock for free that is at the other one: on the server that
//! the hash slot leaves, `GET` of such a key is an error, which `pcall` makes look like
//! another's lock; on the one that it comes to, a script behind `ASKING` finds nothing
//! at all. Servers check only the keys that a call declares, and scripts name locks,
//! queues, ledgers and more inside. So every call declares one key more, which never exists:
//! on both servers it is then a call with several keys, of which one is missing, and
//! both refuse it before it begins, with `TRYAGAIN` or `ASK`. Such a call waits, and is
//! sent again, for half of its time; then it is unavailable. Where nothing moves, the key
//! costs nothing.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, ServerError, Value};

use crate::clock::BootInstant;
use crate::store::redis::cluster::map::target;
use crate::store::redis::cluster::options::Endpoint;
use crate::store::redis::cluster::routes::Routes;
use crate::store::redis::keys::Keys;
use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::scripts::Script;
use crate::store::redis::server::Server;
use crate::store::{Result, StoreError};

/// So often a command goes on to another server without a pause.
const HOPS: u32 = 3;
/// The pauses between the later tries double up to the longest.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// One bucket of a cluster.
#[derive(Debug)]
pub(super) struct Bucket {
    pub(super) number: u32,
    pub(super) keys: Keys,
    routes: Arc<Routes>,
    /// A key that nobody writes.
    nowhere: String,
}

/// What a reply says of the command that it answers.
#[derive(Debug, PartialEq, Eq)]
enum Way {
    /// It was executed, or refused for good.
    Here,
    /// It was not executed; the hash slot is at another server.
    Moved(Option<Endpoint>),
    /// It was not executed; the key is at this server already.
    Ask(Endpoint),
    /// It was not executed; the keys are on their way.
    Moving,
}

/// Commands that are under way together, each with the place of its reply.
struct Errand {
    commands: Vec<Cmd>,
    replies: Vec<Option<Result<Value>>>,
}

impl Errand {
    fn waiting(&self) -> Vec<usize> {
        (0..self.commands.len()).filter(|&place| self.replies[place].is_none()).collect()
    }

    fn copies(&self, places: &[usize]) -> Vec<Cmd> {
        places.iter().map(|&place| self.commands[place].clone()).collect()
    }

    fn answer(&mut self, places: &[usize], answer: Result<Vec<Result<Value>>>) {
        match answer {
            Ok(replies) => {
                for (&place, reply) in places.iter().zip(replies) {
                    self.replies[place] = Some(reply);
                }
            }
            Err(error) => {
                for &place in places {
                    self.replies[place] = Some(Err(error.clone()));
                }
            }
        }
    }

    /// One error for all where no command had an answer of its own.
    fn ended(self, failure: Option<StoreError>) -> Result<Vec<Result<Value>>> {
        let missing = StoreError::Unknown("a reply is missing".to_owned());
        let replies: Vec<_> =
            self.replies.into_iter().map(|reply| reply.unwrap_or(Err(missing.clone()))).collect();
        match failure {
            Some(error) if replies.iter().all(|reply| reply.as_ref() == Err(&error)) => Err(error),
            _ => Ok(replies),
        }
    }
}

impl Bucket {
    pub(super) fn new(routes: Arc<Routes>, number: u32) -> Self {
        let keys = Keys::new(&routes.options().cluster, number);
        let nowhere = keys.nowhere(uuid::Uuid::new_v4());
        Self { number, keys, routes, nowhere }
    }

    async fn run(&self, purpose: Purpose, errand: &mut Errand) -> Option<StoreError> {
        let timeout = self.routes.options().timeout;
        let begun = BootInstant::now();
        let left = || timeout.saturating_sub(BootInstant::now().since(begun));
        let mut pause = SHORTEST_PAUSE;
        for hop in 0.. {
            let places = errand.waiting();
            if places.is_empty() {
                return None;
            }
            if hop > 0 && left() < timeout / 2 {
                return Some(self.give_up(errand, &places));
            }
            if hop > HOPS {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            let (owner, link) = match self.routes.owner(self.number, left()).await {
                Ok(found) => found,
                Err(error) => {
                    errand.answer(&places, Err(error.clone()));
                    return Some(error);
                }
            };
            let replies = match link.transmit(purpose, errand.copies(&places), left()).await {
                Ok(replies) => replies,
                Err(error) => {
                    let was_sent = !matches!(error, StoreError::Unavailable(_));
                    let error = link.judge(purpose, Err(error)).err()?;
                    self.routes.want_map();
                    let patience = left().saturating_sub(timeout / 2);
                    if !was_sent && self.routes.is_elsewhere(self.number, &owner, patience).await {
                        continue;
                    }
                    errand.answer(&places, Err(error.clone()));
                    return Some(error);
                }
            };
            let moves = self.take_in(purpose, errand, &places, &owner, &link, replies);
            for (place, to) in moves.asks {
                self.ask_there(purpose, errand, place, &to, left()).await;
            }
            if moves.moving && hop < HOPS {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        None
    }

    /// Reads the replies of `owner`; what is to be asked elsewhere.
    fn take_in(
        &self,
        purpose: Purpose,
        errand: &mut Errand,
        places: &[usize],
        owner: &Endpoint,
        link: &Link,
        replies: Vec<Value>,
    ) -> Moves {
        let (mut here, mut values, mut moves) = (Vec::new(), Vec::new(), Moves::default());
        for (&place, value) in places.iter().zip(replies) {
            let way = match &value {
                Value::ServerError(error) => way(owner, error),
                _ => Way::Here,
            };
            match way {
                Way::Here => {
                    here.push(place);
                    values.push(value);
                }
                Way::Moved(Some(to)) if to != *owner => self.routes.moved(self.number, to),
                // A look waits for nothing: what it does not see is claimed.
                _ if purpose == Purpose::Witness => {
                    let why = "its hash slot is being moved".to_owned();
                    errand.answer(&[place], Err(StoreError::Unavailable(why)));
                }
                Way::Moved(_) => {
                    self.routes.want_map();
                    moves.moving = true;
                }
                // That one would say TRYAGAIN.
                Way::Ask(_) if Script::is_called_by(&errand.commands[place]) => moves.moving = true,
                Way::Ask(to) => moves.asks.push((place, to)),
                Way::Moving => moves.moving = true,
            }
        }
        if !here.is_empty() {
            errand.answer(&here, link.judge(purpose, Ok(values)));
            // What was seen is no proof: `TIME` is answered everywhere.
            if purpose != Purpose::Witness {
                self.routes.goes_on(self.number);
            }
        }
        moves
    }

    /// Sends one command of one key to the server that the key is moving to.
    async fn ask_there(
        &self,
        purpose: Purpose,
        errand: &mut Errand,
        place: usize,
        to: &Endpoint,
        left: Duration,
    ) {
        let link = self.routes.link(to);
        let commands = vec![redis::cmd("ASKING"), errand.commands[place].clone()];
        match link.transmit(purpose, commands, left).await {
            Ok(mut replies) => {
                let Some(value) = replies.pop() else { return };
                if let Value::ServerError(error) = &value
                    && way(to, error) != Way::Here
                {
                    // The move is over, or was called off: its owner knows.
                    return;
                }
                errand.answer(&[place], link.judge(purpose, Ok(vec![value])));
            }
            Err(error) => errand.answer(&[place], link.judge(purpose, Err(error))),
        }
    }

    fn give_up(&self, errand: &mut Errand, places: &[usize]) -> StoreError {
        let why = format!(
            "{}: hash slot {} (bucket {}) is being moved from one server to another; it answers \
             when that is done (a move that was broken off is mended by redis-cli --cluster fix)",
            self.routes.options(),
            self.routes.hash_slot(self.number),
            self.number
        );
        self.routes.is_stuck(self.number, why.clone());
        let error = StoreError::Unavailable(why);
        errand.answer(places, Err(error.clone()));
        error
    }
}

/// What became of commands that their server did not execute.
#[derive(Default)]
struct Moves {
    asks: Vec<(usize, Endpoint)>,
    moving: bool,
}

fn way(asked: &Endpoint, error: &ServerError) -> Way {
    let to = || target(asked, error.details().unwrap_or_default());
    match error.code() {
        "MOVED" => Way::Moved(to()),
        "ASK" => to().map_or(Way::Moving, Way::Ask),
        "TRYAGAIN" => Way::Moving,
        _ => Way::Here,
    }
}

impl Server for Bucket {
    async fn send(&self, purpose: Purpose, commands: Vec<Cmd>) -> Result<Vec<Result<Value>>> {
        let guarded = |command| Script::with_key(command, &self.nowhere);
        let commands: Vec<_> = commands.into_iter().map(guarded).collect();
        let replies = commands.iter().map(|_| None).collect();
        let mut errand = Errand { commands, replies };
        let failure = self.run(purpose, &mut errand).await;
        errand.ended(failure)
    }

    fn note_refusal(&self, error: &StoreError) {
        if let StoreError::Unavailable(why) = error {
            self.routes.is_stuck(self.number, why.clone());
        }
    }

    fn named(&self, error: StoreError) -> StoreError {
        let named = |text: String| match text.contains("://") {
            true => text,
            false => format!("{} (bucket {}): {text}", self.routes.options(), self.number),
        };
        match error {
            StoreError::Unavailable(text) => StoreError::Unavailable(named(text)),
            StoreError::Unknown(text) => StoreError::Unknown(named(text)),
            StoreError::Corrupt(text) => StoreError::Corrupt(named(text)),
        }
    }
}
