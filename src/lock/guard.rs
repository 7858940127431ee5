//! The guard: a lock that is held.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::bid::{Terms, give_back};
use super::error::{Holder, LockError};
use super::locks::Desk;
use super::name::LockName;
use super::request::whole_ttl;
use super::upkeep::Entry;
use crate::clock::BootInstant;
use crate::lease::{Fence, Token, trusted_until};
use crate::store::locks::{Release, Standing};

/// What the store granted, and when that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grant {
    pub(super) fence: Fence,
    pub(super) sent: BootInstant,
}

/// How far a lock can be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It is ours until then, unless it is extended.
    Held {
        /// On the clock that counts suspended time; before the store lets another have it.
        until: BootInstant,
    },
    /// It is not ours any more. Nothing follows after that.
    Lost(Loss),
}

/// How a lock was lost.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// It was not extended in time.
    #[error("it was not extended in time{}", .why.as_ref().map(|why| format!(": {why}")).unwrap_or_default())]
    Lapsed {
        /// Why it could not be extended, where that was tried.
        why: Option<String>,
    },
    /// The store says that it is not ours: it was released by hand, forgotten, or taken
    /// after a stop that we slept through.
    #[error("{name} is not ours any more{}", .by.as_ref().map(|by| format!(": it is held by {by}")).unwrap_or_default())]
    Taken {
        /// Which, where there are several.
        name: LockName,
        /// Who holds it now; none when nobody does.
        by: Option<Holder>,
    },
}

/// One lock, or several, that are held. Dropping it gives them back in the background;
/// [`release`](Self::release) does so and tells what came of it.
#[must_use = "the lock is given back when the guard is dropped"]
pub struct Guard {
    hold: Arc<Hold>,
    upkeep: Entry,
    /// Until then nobody else may have it.
    min_hold_until: BootInstant,
    revoke_for: Option<Duration>,
    given_back: bool,
}

/// What guard and upkeep share.
pub(super) struct Hold {
    pub(super) desk: Arc<Desk>,
    pub(super) names: Arc<[LockName]>,
    token: Token,
    fence: Fence,
    metadata: Arc<str>,
    tenure: Mutex<Tenure>,
    ended: CancellationToken,
    /// One extension at a time: the store's last word is then ours as well.
    extending: tokio::sync::Mutex<()>,
    /// Whether it is extended in the background.
    pub(super) renews: bool,
}

/// How long a lock is ours, for whoever looks and whoever follows.
struct Tenure {
    /// The TTL, and when the last request was sent that was granted.
    granted: (Duration, BootInstant),
    lost: Option<Loss>,
    /// Those who follow it. There is none before somebody does: most locks are given back
    /// first, and this costs more than the rest of a guard.
    told: Option<watch::Sender<State>>,
}

impl Tenure {
    fn until(&self) -> BootInstant {
        let (ttl, sent) = self.granted;
        trusted_until(sent, ttl)
    }

    fn state(&self) -> State {
        match &self.lost {
            Some(loss) => State::Lost(loss.clone()),
            None => State::Held { until: self.until() },
        }
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard")
            .field("names", &self.hold.names)
            .field("fence", &self.hold.fence)
            .field("state", &self.hold.tenure().state())
            .finish_non_exhaustive()
    }
}

impl Guard {
    pub(super) fn new(
        desk: Arc<Desk>,
        terms: &Terms,
        token: Token,
        grant: Grant,
        revoke_for: Option<Duration>,
    ) -> Self {
        let tenure = Tenure { granted: (terms.ttl, grant.sent), lost: None, told: None };
        let hold = Arc::new(Hold {
            desk,
            names: terms.names.clone(),
            token,
            fence: grant.fence,
            metadata: terms.metadata.clone(),
            tenure: Mutex::new(tenure),
            ended: CancellationToken::new(),
            extending: tokio::sync::Mutex::new(()),
            renews: terms.renew,
        });
        let upkeep = hold.desk.upkeep.add(&hold);
        // From now, not from when it was sent: never too short.
        let min_hold_until = BootInstant::now() + terms.min_hold;
        Self { hold, upkeep, min_hold_until, revoke_for, given_back: false }
    }

    /// What is held, in order of name.
    pub fn names(&self) -> &[LockName] {
        &self.hold.names
    }

    /// A number that is larger than that of every earlier holder of these names: hand it
    /// to the resource that the lock protects, and let that refuse smaller ones.
    pub fn fence(&self) -> Fence {
        self.hold.fence
    }

    /// What others are told of this holder.
    pub fn metadata(&self) -> &str {
        &self.hold.metadata
    }

    /// Until when the lock is ours if it is not extended, on the clock that counts the
    /// time in which the machine is suspended; one that is lost was ours until now at
    /// most. Earlier than the end at the store, by 1% of the TTL and 2 ms.
    pub fn valid_until(&self) -> BootInstant {
        let tenure = self.hold.tenure();
        match tenure.lost {
            None => tenure.until(),
            Some(_) => tenure.until().min(BootInstant::now()),
        }
    }

    /// Whether the lock is ours at this moment, as far as can be known without asking.
    pub fn is_held(&self) -> bool {
        let tenure = self.hold.tenure();
        tenure.lost.is_none() && BootInstant::now() < tenure.until()
    }

    /// How it stands, followed as it changes.
    pub fn watch(&self) -> watch::Receiver<State> {
        self.hold.changes()
    }

    /// Returns when the lock is lost, and says how. It is found out at
    /// [`valid_until`](Self::valid_until) at the latest, and within a second when the
    /// machine was suspended over that.
    pub async fn lost(&self) -> Loss {
        let mut state = self.hold.changes();
        let lost = state.wait_for(|state| matches!(state, State::Lost(_))).await;
        // Who is told looks at the token next, and that is cancelled just behind the state.
        self.hold.ended.cancel();
        match lost.as_deref() {
            Ok(State::Lost(loss)) => loss.clone(),
            // The sender lives in what `self` holds.
            _ => Loss::Lapsed { why: None },
        }
    }

    /// A token that is cancelled when the lock is lost, released or dropped: work that is
    /// tied to it ends with the lock.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.hold.ended()
    }

    /// Lets the lock last for `ttl` from now, also less than before; renewal goes by it
    /// from now on.
    ///
    /// # Errors
    /// [`Invalid`](LockError::Invalid) for a TTL that no request could have.
    /// [`NotHeld`](LockError::NotHeld) when it is not ours any more: then nothing is
    /// written, and it is lost. After [`Unavailable`](LockError::Unavailable) and
    /// [`Unknown`](LockError::Unknown) it is as long ours as it was before.
    pub async fn extend(&self, ttl: Duration) -> Result<(), LockError> {
        self.hold.extend(Some(whole_ttl(ttl)?)).await?;
        // It may have to be done something for sooner than before.
        self.hold.desk.upkeep.hurry(self.upkeep);
        Ok(())
    }

    /// Gives the lock back. The first that waits for it is called. Within its minimum
    /// hold time nobody may have it still.
    ///
    /// # Errors
    /// [`NotHeld`](LockError::NotHeld) when it was not ours any more, and who has it:
    /// then work that was done under it may have been done twice. When the store does not
    /// answer, giving it back is tried again in the background.
    pub async fn release(mut self) -> Result<(), LockError> {
        self.end_upkeep();
        let release = self.give_back();
        let released = self.hold.desk.store.release(&release).await;
        self.given_back = released.is_ok();
        self.hold.judge(&released?)
    }

    fn end_upkeep(&self) {
        self.hold.desk.upkeep.remove(self.upkeep);
        self.hold.ended.cancel();
    }

    fn give_back(&self) -> Release {
        Release {
            names: self.hold.names.clone(),
            token: self.hold.token,
            hold: self.min_hold_until.since(BootInstant::now()),
            revoke_for: self.revoke_for,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end_upkeep();
        if !self.given_back {
            let (ttl, _) = self.hold.granted();
            give_back(&self.hold.desk, self.give_back(), ttl);
        }
    }
}

impl Hold {
    /// Is cancelled when it is lost or given back.
    pub(super) fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    fn tenure(&self) -> MutexGuard<'_, Tenure> {
        // Nothing in here panics half-way.
        self.tenure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The TTL, and when the last request was sent that was granted.
    pub(super) fn granted(&self) -> (Duration, BootInstant) {
        self.tenure().granted
    }

    /// Until when it may be trusted.
    pub(super) fn until(&self) -> BootInstant {
        self.tenure().until()
    }

    /// How it stands, followed as it changes.
    pub(super) fn changes(&self) -> watch::Receiver<State> {
        let mut tenure = self.tenure();
        let state = tenure.state();
        tenure.told.get_or_insert_with(|| watch::Sender::new(state)).subscribe()
    }

    /// How it was lost, if it was.
    pub(super) fn loss(&self) -> Option<Loss> {
        self.tenure().lost.clone()
    }

    /// It is lost, if it was not before.
    pub(super) fn lose(&self, loss: Loss) {
        self.tenure().lost.get_or_insert(loss);
        self.tell();
        self.ended.cancel();
    }

    /// Tells those who follow it how it stands. Whoever of them is looking at what he was told
    /// holds this up, and may ask the guard something meanwhile: the tenure is free then.
    fn tell(&self) {
        let told = self.tenure().told.clone();
        if let Some(told) = told {
            told.send_if_modified(|state| {
                let now = self.tenure().state();
                let changed = *state != now;
                *state = now;
                changed
            });
        }
    }

    /// Extends it, by its old TTL where no other is given.
    pub(super) async fn extend(&self, ttl: Option<Duration>) -> Result<(), LockError> {
        let _turn = self.extending.lock().await;
        if self.loss().is_some() || BootInstant::now() >= self.until() {
            self.lose(Loss::Lapsed { why: None });
            return Err(self.not_held().await);
        }
        let ttl = ttl.unwrap_or(self.granted().0);
        let sent = BootInstant::now();
        let standings = self.desk.store.extend(&self.names, self.token, ttl).await?;
        self.judge(&standings)?;
        self.tenure().granted = (ttl, sent);
        self.tell();
        Ok(())
    }

    /// An error where one of them is not ours; then they are lost.
    fn judge(&self, standings: &[Standing]) -> Result<(), LockError> {
        for (name, standing) in self.names.iter().zip(standings) {
            let by = match standing {
                Standing::Ours => continue,
                Standing::HeldBy(holder) => Some(holder.clone()),
                Standing::Free => None,
            };
            self.lose(Loss::Taken { name: name.clone(), by: by.clone() });
            return Err(LockError::NotHeld { name: name.clone(), by });
        }
        Ok(())
    }

    /// What to say of a lock that is lost: who has it now.
    async fn not_held(&self) -> LockError {
        let name = self.names[0].clone();
        let by = self.desk.store.holder(&name).await.ok().flatten();
        LockError::NotHeld { name, by: by.filter(|holder| holder.fence != self.fence) }
    }
}
