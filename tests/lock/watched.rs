//! A store of locks that is watched, and whose calls fail as told.
//!
//! What befalls a call here would befall it on the way: the store behind is a real one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use solocron::clock::BootInstant;
use solocron::lease::{Fence, Token};
use solocron::lock::{Holder, LockName, Locks};
use solocron::store::locks::{LockStore, Release, Standing, Take, Taken, Waiter};
use solocron::store::{Health, Result, StoreError};
use tokio::sync::watch;

use crate::contract::soon;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Take,
    Extend,
    Release,
    Leave,
}

/// How long a slow answer takes.
pub(crate) const SLOW: Duration = Duration::from_millis(150);

/// What befalls one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is not applied, and the caller knows.
    Refused,
    /// It does not arrive, and the caller does not know.
    RequestLost,
    /// It is applied, and the caller does not know.
    ReplyLost,
    /// It is applied at once, and the answer takes [`SLOW`].
    ReplySlow,
    /// It does not arrive, and is never answered.
    Hangs,
}

/// One call, as it was answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) sent: BootInstant,
    pub(crate) said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    Done,
    Granted(Fence),
    Held,
    /// Held, and the caller has a place in the queue.
    Queued,
    Failed,
    /// Nothing, ever.
    Nothing,
}

pub(crate) struct Watched {
    inner: Arc<dyn LockStore>,
    calls: watch::Sender<Vec<Call>>,
    faults: Mutex<VecDeque<(Kind, Fault)>>,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn LockStore>) -> Arc<Self> {
        let faults = Mutex::new(VecDeque::new());
        Arc::new(Self { inner, calls: watch::Sender::new(Vec::new()), faults })
    }

    pub(crate) fn locks(self: &Arc<Self>) -> Locks {
        Locks::new(self.clone())
    }

    /// The next call of that kind that no other fault befalls fares so.
    pub(crate) fn fail(&self, kind: Kind, fault: Fault) {
        self.faults.lock().unwrap().push_back((kind, fault));
    }

    /// What was to befall calls befalls none.
    pub(crate) fn forgive(&self) {
        self.faults.lock().unwrap().clear();
    }

    /// All calls of that kind until now.
    pub(crate) fn calls(&self, kind: Kind) -> Vec<Call> {
        self.calls.borrow().iter().filter(|call| call.kind == kind).copied().collect()
    }

    /// Waits until `count` calls were answered so.
    pub(crate) async fn answered(&self, count: usize, so: impl Fn(&Call) -> bool + Send + Sync) {
        let mut calls = self.calls.subscribe();
        let enough = calls.wait_for(|calls| calls.iter().filter(|call| so(call)).count() >= count);
        soon("calls to the store", enough).await.unwrap();
    }

    /// Waits until somebody has asked for a place in a queue so often.
    pub(crate) async fn queued(&self, count: usize) {
        self.answered(count, |call| call.said == Said::Queued).await;
    }

    async fn call<T>(
        &self,
        kind: Kind,
        call: impl Future<Output = Result<T>> + Send,
        said: impl Fn(&T) -> Said + Send,
    ) -> Result<T> {
        let sent = BootInstant::now();
        let note = |said| self.calls.send_modify(|calls| calls.push(Call { kind, sent, said }));
        let lost = |why: &str| Err(StoreError::Unknown(why.to_owned()));
        let answer = match self.fault(kind) {
            None => call.await,
            Some(Fault::Refused) => Err(StoreError::Unavailable("refused by the test".to_owned())),
            Some(Fault::RequestLost) => lost("the test lost the request"),
            Some(Fault::ReplyLost) => call.await.and_then(|_| lost("the test lost the reply")),
            Some(Fault::ReplySlow) => {
                let answer = call.await;
                tokio::time::sleep(SLOW).await;
                answer
            }
            Some(Fault::Hangs) => {
                note(Said::Nothing);
                std::future::pending().await
            }
        };
        note(answer.as_ref().map_or(Said::Failed, said));
        answer
    }

    fn fault(&self, kind: Kind) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        let at = faults.iter().position(|(befalls, _)| *befalls == kind)?;
        faults.remove(at).map(|(_, fault)| fault)
    }
}

#[async_trait]
impl LockStore for Watched {
    fn describe(&self) -> String {
        self.inner.describe()
    }

    fn health(&self) -> watch::Receiver<Health> {
        self.inner.health()
    }

    fn can_be_taken_together(&self, names: &[LockName]) -> std::result::Result<(), String> {
        self.inner.can_be_taken_together(names)
    }

    async fn take(&self, take: &Take) -> Result<Taken> {
        let said = |taken: &Taken| match taken {
            Taken::Granted(fence) => Said::Granted(*fence),
            Taken::Held { since, .. } if since.is_some() => Said::Queued,
            Taken::Held { .. } | Taken::Revoked => Said::Held,
        };
        self.call(Kind::Take, self.inner.take(take), said).await
    }

    async fn extend(
        &self,
        names: &[LockName],
        token: Token,
        ttl: Duration,
    ) -> Result<Vec<Standing>> {
        self.call(Kind::Extend, self.inner.extend(names, token, ttl), |_| Said::Done).await
    }

    async fn release(&self, release: &Release) -> Result<Vec<Standing>> {
        self.call(Kind::Release, self.inner.release(release), |_| Said::Done).await
    }

    async fn holder(&self, name: &LockName) -> Result<Option<Holder>> {
        self.inner.holder(name).await
    }

    async fn enter(&self) -> Waiter {
        self.inner.enter().await
    }

    async fn leave(&self, name: &LockName, waiter: u64) -> Result<()> {
        self.call(Kind::Leave, self.inner.leave(name, waiter), |()| Said::Done).await
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
