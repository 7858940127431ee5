//! One lock at a time, as mostly: what is given back and what is wanted, put together into
//! one call of a script for all who ask at the same time.

use std::sync::Arc;

use redis::{Cmd, Value};

use crate::lease::{Fence, Token};
use crate::lock::LockName;
use crate::store::locks::{Release, Standing, Take, Taken};
use crate::store::redis::combine::Combiner;
use crate::store::redis::keys::Keys;
use crate::store::redis::locks::{bytes, standing, weight};
use crate::store::redis::scripts::millis;
use crate::store::redis::server::Server;
use crate::store::redis::{batch, reply, scripts};
use crate::store::{Result, StoreError};

/// See the module's head. No vote of a quorum's server is asked for here: the script knows
/// neither bids nor silence.
#[derive(Debug)]
pub(super) struct Exchange(Combiner<Deal, Settled>);

/// What somebody asks for.
#[derive(Debug)]
enum Deal {
    Give(Release),
    Want(Take),
}

/// What comes of it.
#[derive(Debug)]
enum Settled {
    Given(Standing),
    /// None where the script that knows everything is to be asked.
    Wanted(Option<Taken>),
}

/// Whether that is for one lock, without a place in its queue.
pub(super) fn serves_take(take: &Take) -> bool {
    take.names.len() == 1 && take.queue.is_none()
}

/// Whether that is of one lock, which anybody may have at once.
pub(super) fn serves_release(release: &Release) -> bool {
    release.names.len() == 1 && release.hold.is_zero() && release.revoke_for.is_none()
}

impl Exchange {
    pub(super) fn new<S: Server + Send + Sync + 'static>(server: Arc<S>, keys: Keys) -> Self {
        Self(Combiner::new(move |deals: Vec<Deal>| {
            let (server, keys) = (server.clone(), keys.clone());
            Box::pin(async move {
                let (places, deals) = gifts_first(deals);
                let call = |some: &[Deal]| call(&keys, some);
                let weigh = |deal: &Deal| weight(deal.names()) + deal.metadata().len();
                let settled = batch::run_untimed(&*server, &deals, call, weigh, read).await?;
                Ok(as_asked(&places, settled))
            })
        }))
    }

    /// None where [`serves_take`] does not say all: the script that knows everything is to
    /// be asked.
    pub(super) async fn take(&self, take: &Take) -> Result<Option<Taken>> {
        match self.0.ask(Deal::Want(take.clone())).await? {
            Settled::Wanted(taken) => Ok(taken),
            Settled::Given(_) => Err(mixed_up()),
        }
    }

    /// How the lock stood.
    pub(super) async fn release(&self, release: &Release) -> Result<Standing> {
        match self.0.ask(Deal::Give(release.clone())).await? {
            Settled::Given(standing) => Ok(standing),
            Settled::Wanted(_) => Err(mixed_up()),
        }
    }
}

fn mixed_up() -> StoreError {
    reply::corrupt("the answer to one who gives a lock back, or takes one")
}

impl Deal {
    fn is_gift(&self) -> bool {
        matches!(self, Self::Give(_))
    }

    fn names(&self) -> &[LockName] {
        match self {
            Self::Give(release) => &release.names,
            Self::Want(take) => &take.names,
        }
    }

    fn metadata(&self) -> &str {
        match self {
            Self::Give(_) => "",
            Self::Want(take) => &take.metadata,
        }
    }
}

/// Those who give before those who want, each with its place among those who asked.
fn gifts_first(deals: Vec<Deal>) -> (Vec<usize>, Vec<Deal>) {
    let (gifts, wants): (Vec<_>, Vec<_>) =
        deals.into_iter().enumerate().partition(|(_, deal)| deal.is_gift());
    gifts.into_iter().chain(wants).unzip()
}

/// As they asked.
fn as_asked(places: &[usize], settled: Vec<Result<Settled>>) -> Vec<Result<Settled>> {
    let mut placed: Vec<_> = places.iter().map(|_| None).collect();
    for (place, settled) in places.iter().zip(settled) {
        placed[*place] = Some(settled);
    }
    placed.into_iter().map(|settled| settled.unwrap_or_else(|| Err(mixed_up()))).collect()
}

fn call(keys: &Keys, deals: &[Deal]) -> Cmd {
    let mut call = scripts::GIVE_AND_TAKE_ONE_LOCK.call_with(2 + deals.len());
    call.arg(keys.fence()).arg(keys.beside());
    for name in deals.iter().flat_map(Deal::names) {
        call.arg(keys.held(name));
    }
    call.arg(deals.iter().filter(|deal| deal.is_gift()).count());
    let mut terms = None;
    for deal in deals {
        match deal {
            Deal::Give(Release { token, .. }) => call.arg(token.text(&mut Token::room())),
            Deal::Want(Take { token, ttl, metadata, .. }) => {
                if terms.is_none() {
                    call.arg(millis(*ttl)).arg(&**metadata);
                }
                match *terms.get_or_insert((*ttl, metadata)) == (*ttl, metadata) {
                    true => call.arg(token.text(&mut Token::room())),
                    false => call.arg(format!("{token} {} {metadata}", millis(*ttl))),
                }
            }
        };
    }
    call
}

fn read(deal: &Deal, value: Value) -> Result<Settled> {
    match deal {
        Deal::Give(_) => standing(value).map(Settled::Given),
        Deal::Want(take) => taken(take, value).map(Settled::Wanted),
    }
}

fn taken(take: &Take, value: Value) -> Result<Option<Taken>> {
    let told = bytes(value)?;
    if let Some(fence) = std::str::from_utf8(&told).ok().and_then(|digits| digits.parse().ok()) {
        return Ok(Some(Taken::Granted(Fence::new(fence))));
    }
    match &*told {
        b"" => Ok(None),
        b"revoked" => Ok(Some(Taken::Revoked)),
        _ => match standing(Value::BulkString(told))? {
            Standing::HeldBy(holder) => {
                let name = take.names[0].clone();
                Ok(Some(Taken::Held { name, holder, since: None }))
            }
            Standing::Ours | Standing::Free => Ok(None),
        },
    }
}

/// Reads `value` as both answers, for `crate::fuzzing`.
#[cfg(all(feature = "daemon", any(test, fuzzing)))]
pub(super) fn read_both(take: &Take, value: &Value) -> (Result<Option<Taken>>, Result<Standing>) {
    (taken(take, value.clone()), standing(value.clone()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn name() -> Arc<[LockName]> {
        [LockName::new("order/1").unwrap()].into()
    }

    fn give() -> Deal {
        let token = Token::new();
        Deal::Give(Release { names: name(), token, hold: Duration::ZERO, revoke_for: None })
    }

    fn want() -> Deal {
        let (token, ttl, metadata) = (Token::new(), Duration::from_secs(1), "".into());
        Deal::Want(Take { names: name(), token, ttl, metadata, queue: None })
    }

    #[test]
    fn who_gives_goes_before_who_wants_and_each_has_his_own_answer() {
        let deals = vec![want(), give(), want(), give(), give()];
        let (places, deals) = gifts_first(deals);
        assert_eq!(
            deals.iter().map(Deal::is_gift).collect::<Vec<_>>(),
            [true, true, true, false, false]
        );
        assert_eq!(places, [1, 3, 4, 0, 2]);
        let answer = |deal: &Deal| match deal {
            Deal::Give(_) => Ok(Settled::Given(Standing::Ours)),
            Deal::Want(_) => Ok(Settled::Wanted(None)),
        };
        let mut answers: Vec<_> = deals.iter().map(answer).collect();
        // The last who wants has none.
        answers.pop();
        let as_asked = as_asked(&places, answers);
        let given = |answer: &Result<Settled>| match answer {
            Ok(Settled::Given(_)) => Some(true),
            Ok(Settled::Wanted(_)) => Some(false),
            Err(_) => None,
        };
        let given: Vec<_> = as_asked.iter().map(given).collect();
        assert_eq!(given, [Some(false), Some(true), None, Some(true), Some(true)]);
    }
}
