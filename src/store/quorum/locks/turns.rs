//! What one server is asked for one token or one waiter, one after the other.
//!
//! Answers come before the last server has been heard. So a lock may be given back while
//! the request for it is still on its way to one of them: there it must not overtake.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{oneshot, watch};

use crate::lease::Token;

type Key = (usize, Whose);

/// Whose turns they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Whose {
    /// Of what is asked for locks.
    Token(Token),
    /// Of what is asked for a place in a queue.
    Waiter(u64),
}

/// See the module's head.
#[derive(Debug, Clone, Default)]
pub(super) struct Turns(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    last: Mutex<Last>,
    count: watch::Sender<usize>,
}

/// The last turn of each, and when it is over.
#[derive(Debug, Default)]
struct Last {
    number: u64,
    turns: HashMap<Key, (u64, oneshot::Receiver<()>)>,
}

/// One turn; it is over when this is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Turns,
    key: Key,
    number: u64,
    before: Option<oneshot::Receiver<()>>,
    over: Option<oneshot::Sender<()>>,
}

impl Turns {
    fn last(&self) -> MutexGuard<'_, Last> {
        // Nothing in here panics half-way.
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next turn at a server.
    pub(super) fn next(&self, server: usize, whose: Whose) -> Turn {
        let (over, done) = oneshot::channel();
        let key = (server, whose);
        let mut last = self.last();
        last.number += 1;
        let number = last.number;
        let before = last.turns.insert(key, (number, done)).map(|(_, before)| before);
        self.0.count.send_modify(|count| *count += 1);
        Turn { turns: self.clone(), key, number, before, over: Some(over) }
    }

    /// Returns when all are over.
    pub(super) async fn over(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.count.subscribe().wait_for(|count| *count == 0).await;
    }
}

impl Turn {
    /// Returns when the turns before are over.
    pub(super) async fn come(&mut self) {
        if let Some(before) = &mut self.before {
            let _ = before.await;
            self.before = None;
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut last = self.turns.last();
        if let (Some(before), Some(over)) = (self.before.take(), self.over.take()) {
            // It went without its turn: the next waits for the one before.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                runtime.spawn(async move {
                    let _ = before.await;
                    drop(over);
                });
            }
        } else if last.turns.get(&self.key).is_some_and(|(number, _)| *number == self.number) {
            last.turns.remove(&self.key);
        }
        drop(last);
        self.turns.0.count.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn turns_come_in_order_also_past_one_that_went() {
        let turns = Turns::default();
        let token = Whose::Token(Token::new());
        let mut first = turns.next(0, token);
        let mut other = turns.next(1, token);
        let second = turns.next(0, token);
        let mut third = turns.next(0, token);
        first.come().await;
        other.come().await;
        drop(second);
        tokio::task::yield_now().await;
        assert!(third.come().now_or_never().is_none(), "the first is not over");
        drop((first, other));
        third.come().await;
        assert!(turns.over().now_or_never().is_none());
        drop(third);
        turns.over().await;
        assert!(turns.last().turns.is_empty());
    }
}
