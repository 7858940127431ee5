//! All servers asked at once, and answers counted until they suffice.
//!
//! Nobody waits for a server once a majority has answered, or none can any more; what the
//! others are asked they still get, in the background.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

/// A question on its way to one server.
pub(super) type Question<R> = Pin<Box<dyn Future<Output = Result<R>> + Send>>;

/// What an answer is worth.
pub(super) enum Vote {
    /// It counts.
    Counts,
    /// It does not, because of somebody else's proposal.
    Contended,
    /// It does not; why.
    Lacks(String),
}

/// Why fewer than a majority of answers count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shortfall {
    /// Others propose at the same time.
    Contended,
    /// Too many servers cannot be counted on; what is the matter, in words.
    Short(String),
}

impl From<Shortfall> for StoreError {
    /// Of a question that writes nothing.
    fn from(short: Shortfall) -> Self {
        Self::Unavailable(short.to_string())
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contended => f.write_str("others propose at the same time"),
            Self::Short(why) => f.write_str(why),
        }
    }
}

/// Answers as they arrive.
pub(super) struct Poll<R> {
    answers: mpsc::UnboundedReceiver<(usize, Result<R>)>,
    count: usize,
}

impl<R: Send + 'static> Poll<R> {
    /// Asks each of `servers`.
    pub(super) fn of<A: ?Sized>(
        servers: &[Arc<A>],
        ask: impl Fn(usize, Arc<A>) -> Question<R>,
    ) -> Self {
        let (sender, answers) = mpsc::unbounded_channel();
        for (number, server) in servers.iter().enumerate() {
            let (question, sender) = (ask(number, server.clone()), sender.clone());
            tokio::spawn(async move {
                // Nobody may be waiting any more.
                let _ = sender.send((number, question.await));
            });
        }
        Self { answers, count: servers.len() }
    }

    /// The next answer, with the number of its server.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<R>)> {
        self.answers.recv().await
    }

    /// Waits until a majority has given answers that count.
    pub(super) async fn majority(
        &mut self,
        mut weigh: impl FnMut(usize, R) -> Vote,
    ) -> std::result::Result<(), Shortfall> {
        let needed = majority(self.count);
        let (mut counted, mut left, mut contended) = (0, self.count, false);
        let mut lacks = Vec::new();
        while counted < needed && counted + left >= needed {
            let Some((number, answer)) = self.next().await else { break };
            left -= 1;
            match answer.map(|answer| weigh(number, answer)) {
                Ok(Vote::Counts) => counted += 1,
                Ok(Vote::Contended) => contended = true,
                Ok(Vote::Lacks(why)) => lacks.push(why),
                Err(error) => lacks.push(error.to_string()),
            }
        }
        match (counted >= needed, contended) {
            (true, _) => Ok(()),
            (false, true) => Err(Shortfall::Contended),
            (false, false) => Err(Shortfall::Short(format!(
                "{needed} of {} servers are needed, and {} cannot be counted on: {}",
                self.count,
                lacks.len(),
                lacks.join("; ")
            ))),
        }
    }
}
