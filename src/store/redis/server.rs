//! What answers for the keys of one bucket: the one server, by its link, or whichever
//! server of a Redis Cluster has the bucket now. Operations see no more of it.

use std::future::Future;

use redis::{Cmd, Value};

use crate::store::redis::link::{Link, Purpose};
use crate::store::redis::reply;
use crate::store::{Result, StoreError};

/// See the module's head.
pub(super) trait Server: Sync {
    /// Sends commands together, one round trip where nothing is in the way, and returns
    /// their replies in order. An error is about all of them; one that only one of them
    /// met stands in its place.
    fn send(
        &self,
        purpose: Purpose,
        commands: Vec<Cmd>,
    ) -> impl Future<Output = Result<Vec<Result<Value>>>> + Send;

    /// Sends one command.
    fn ask(&self, purpose: Purpose, command: Cmd) -> impl Future<Output = Result<Value>> + Send {
        async move {
            let replies = self.send(purpose, vec![command]).await?;
            let reply = replies.into_iter().next();
            reply.unwrap_or_else(|| Err(reply::corrupt("an answer")))
        }
    }

    /// Takes note of a refusal that a script has passed on.
    fn note_refusal(&self, error: &StoreError);

    /// Says which server an error is about.
    fn named(&self, error: StoreError) -> StoreError;
}

impl Server for Link {
    async fn send(&self, purpose: Purpose, commands: Vec<Cmd>) -> Result<Vec<Result<Value>>> {
        Link::send(self, purpose, commands).await
    }

    fn note_refusal(&self, error: &StoreError) {
        Link::note_refusal(self, error);
    }

    fn named(&self, error: StoreError) -> StoreError {
        Link::named(self, error)
    }
}
