//! Writes that count only when replicas have them.
//!
//! Behind such writes, on the connection that they went over and in one pipeline with
//! them, go a mark and a `WAIT`. `WAIT` is promised for the writes of its own connection
//! only. The mark is one whatever the others do: a repeated request that finds its work
//! done writes nothing, and the first one's write may still be on the master alone. So
//! what is acknowledged is all that the answers were read from.
//!
//! It holds up what comes behind it, so these writes have a connection of their own, and
//! are sent there in turn: one that waited its time behind another would be given up as if
//! the server were silent. Where one falls short, those that waited for it are not sent.

use std::time::Duration;

use redis::{Cmd, Pipeline, Value};
use tokio::sync::{Mutex, MutexGuard, watch};

use crate::clock::BootInstant;
use crate::store::redis::options::Options;
use crate::store::redis::scripts::Script;
use crate::store::redis::{keys, trouble};
use crate::store::{Health, StoreError};

/// How many replicas must have a write, and how long they may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Acks {
    needed: u32,
}

/// A mark expires soon: nobody reads it.
const MARK_LIFE: Duration = Duration::from_secs(60);

/// A mark and a `WAIT`.
pub(super) const COMMANDS: usize = 2;

impl Acks {
    pub(super) fn of(options: &Options) -> Self {
        Self { needed: options.min_acks }
    }

    /// How long they may take where the whole may take `left`: the other half is for the
    /// way there and back.
    pub(super) fn patience(left: Duration) -> Duration {
        (left / 2).max(Duration::from_millis(1))
    }

    /// Asks for them, behind the calls and looks that are in `pipeline`.
    pub(super) fn ask(self, pipeline: &mut Pipeline, within: Duration) {
        // On the server of the last call's keys, should there be several.
        let beside = pipeline.cmd_iter().last().and_then(Script::first_key).unwrap_or_default();
        let mut mark = Cmd::new();
        mark.arg("SET").arg(keys::mark_beside(beside)).arg("");
        mark.arg("PX").arg(MARK_LIFE.as_millis() as u64);
        let mut wait = redis::cmd("WAIT");
        wait.arg(self.needed).arg(within.as_millis() as u64);
        pipeline.add_command(mark).add_command(wait);
    }

    /// Takes the answers to these off the end of `replies`; why the others do not count,
    /// where they do not.
    pub(super) fn judge(self, replies: &mut Vec<Value>) -> Result<(), String> {
        let wait = replies.pop();
        let mark = replies.pop();
        match (mark, wait) {
            (Some(Value::ServerError(error)), _) | (_, Some(Value::ServerError(error))) => {
                Err(text_of(trouble::of_server(&error)))
            }
            (Some(_), Some(Value::Int(count))) if count >= i64::from(self.needed) => Ok(()),
            (Some(_), Some(Value::Int(count))) => Err(format!(
                "{count} of {} replicas acknowledged in time (min_acks); is one down, or behind?",
                self.needed
            )),
            _ => Err("WAIT was not answered with a number".to_owned()),
        }
    }
}

/// Whose turn it is to be sent and acknowledged; when and why the last that fell short did.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Option<(BootInstant, String)>>);

/// It is over when this is dropped.
pub(super) struct Turn<'a>(MutexGuard<'a, Option<(BootInstant, String)>>);

impl Turns {
    /// Waits for a turn. Why it is no use, where one that went before fell short meanwhile.
    pub(super) async fn take(&self) -> Result<Turn<'_>, String> {
        let begun = BootInstant::now();
        let turn = self.0.lock().await;
        match &*turn {
            Some((at, why)) if *at > begun => Err(format!("not sent, as others fell short: {why}")),
            _ => Ok(Turn(turn)),
        }
    }
}

impl Turn<'_> {
    pub(super) fn fell_short(&mut self, why: &str) {
        *self.0 = Some((BootInstant::now(), why.to_owned()));
    }
}

fn text_of(error: StoreError) -> String {
    let (StoreError::Unavailable(why) | StoreError::Unknown(why) | StoreError::Corrupt(why)) =
        error;
    why
}

/// The health of two connections to one server: up when both are.
pub(super) fn health_of_both(
    mut one: watch::Receiver<Health>,
    mut other: watch::Receiver<Health>,
) -> watch::Receiver<Health> {
    let (both, health) = watch::channel(Health::Starting);
    tokio::spawn(async move {
        loop {
            let now = worse(one.borrow_and_update().clone(), other.borrow_and_update().clone());
            both.send_if_modified(|told| {
                let changed = *told != now;
                *told = now;
                changed
            });
            // It ends with the link.
            let changed = tokio::select! {
                changed = one.changed() => changed,
                changed = other.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    });
    health
}

fn worse(one: Health, other: Health) -> Health {
    match (one, other) {
        (Health::Down(why), _) | (_, Health::Down(why)) => Health::Down(why),
        (Health::Starting, _) | (_, Health::Starting) => Health::Starting,
        (Health::Partly(why), _) | (_, Health::Partly(why)) => Health::Partly(why),
        (Health::Weakened { spare, why }, _) | (_, Health::Weakened { spare, why }) => {
            Health::Weakened { spare, why }
        }
        (Health::Up, Health::Up) => Health::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Acks = Acks { needed: 2 };
    const WITHIN: Duration = Duration::from_millis(500);

    #[test]
    fn the_count_is_compared() {
        for (count, enough) in [(0, false), (1, false), (2, true), (3, true)] {
            let mut replies = vec![Value::Nil, Value::Okay, Value::Int(count)];
            assert_eq!(TWO.judge(&mut replies).is_ok(), enough, "{count}");
            assert_eq!(replies, [Value::Nil], "the other answers are left");
        }
    }

    #[test]
    fn what_is_no_count_is_no_acknowledgement() {
        for odd in [Value::Nil, Value::Okay, Value::BulkString(b"2".to_vec())] {
            assert!(TWO.judge(&mut vec![Value::Okay, odd]).is_err());
        }
        assert!(TWO.judge(&mut vec![Value::Int(2)]).is_err());
        assert!(TWO.judge(&mut Vec::new()).is_err());
    }

    #[test]
    fn the_mark_is_beside_the_keys_of_the_last_call_and_wait_is_last() {
        let mut pipeline = Pipeline::new();
        let mut call = redis::cmd("EVALSHA");
        call.arg("0000").arg(1).arg("prod:{prod.7}:open").arg("more");
        pipeline.add_command(call);
        TWO.ask(&mut pipeline, WITHIN);
        let packed = pipeline.get_packed_pipeline();
        let text = String::from_utf8(packed).unwrap();
        assert!(text.contains("SET\r\n$18\r\nprod:{prod.7}:mark\r\n$0\r\n"), "{text}");
        assert!(text.ends_with("WAIT\r\n$1\r\n2\r\n$3\r\n500\r\n"), "{text}");
    }

    #[tokio::test]
    async fn who_waited_while_another_fell_short_is_not_sent_and_who_comes_later_is() {
        let turns = Turns::default();
        let mut first = turns.take().await.unwrap();
        let second = turns.take();
        tokio::pin!(second);
        assert!(is_pending(second.as_mut()).await);
        first.fell_short("0 of 1");
        drop(first);
        assert!(second.await.is_err_and(|why| why.contains("not sent") && why.contains("0 of 1")));
        assert!(turns.take().await.is_ok());
    }

    async fn is_pending<F: Future>(mut future: std::pin::Pin<&mut F>) -> bool {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(future.as_mut().poll(context).is_pending())
        })
        .await
    }

    #[test]
    fn both_must_be_up() {
        let down = || Health::Down("gone".to_owned());
        assert_eq!(worse(Health::Up, Health::Up), Health::Up);
        assert_eq!(worse(Health::Starting, Health::Up), Health::Starting);
        assert_eq!(worse(Health::Up, down()), down());
        assert_eq!(worse(down(), Health::Starting), down());
    }
}
