//! Who holds a lock, as a majority sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::Servers;
use super::inquiry::error;
use super::memory;
use super::tally::most_said;
use super::voter::Sight;
use crate::clock::BootInstant;
use crate::lock::{Holder, LockName};
use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

/// Who bids has won, or given up, after so long; then all are asked again.
const AGAIN: Duration = Duration::from_millis(10);

/// What the servers come to.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// That one holds it, or nobody does.
    Held(Option<Holder>),
    /// Somebody bids for it.
    Bid,
    /// Too few answer that have not forgotten.
    Silent,
}

/// What they come to, as soon as that is certain.
fn seen(said: &[Option<Result<Sight>>]) -> Option<Seen> {
    let (servers, needed) = (said.len(), majority(said.len()));
    let sights = || said.iter().flatten().flatten();
    let named =
        most_said(sights().filter(|sight| sight.holder.is_some()).map(|s| s.holder.clone()));
    let (times, holder) = named.map_or((0, None), |(times, holder)| (times, holder));
    let has_won = holder.as_ref().is_some_and(|holder| !holder.bids);
    if times >= needed && has_won {
        return Some(Seen::Held(holder));
    }
    // "Free" counts from those alone that would know.
    let free = sights().filter(|sight| sight.votes && sight.holder.is_none()).count();
    if servers - free < needed {
        return Some(Seen::Held(None));
    }
    if said.iter().any(Option::is_none) {
        return None;
    }
    let held = sights().filter(|sight| sight.holder.is_some()).count();
    let unknown = servers - free - held;
    Some(if unknown > servers - needed {
        Seen::Silent
    } else if has_won && times + unknown >= needed {
        // It did win, and those that would know of its end do not say.
        Seen::Held(holder)
    } else if times + unknown >= needed {
        match times {
            0 => Seen::Silent,
            _ => Seen::Bid,
        }
    } else {
        Seen::Held(None)
    })
}

/// Who holds a lock.
pub(super) async fn holder(servers: &Arc<Servers>, name: &LockName) -> Result<Option<Holder>> {
    let until = BootInstant::now() + servers.bound;
    let mut admitted = false;
    loop {
        let (seen, said) = ask(servers, name).await;
        match seen {
            Seen::Held(holder) => return Ok(holder),
            Seen::Bid if BootInstant::now() < until => tokio::time::sleep(AGAIN).await,
            Seen::Bid => {
                let why = "somebody asks for the lock, and it is not known whether a majority \
                           grants it";
                return Err(StoreError::Unavailable(why.to_owned()));
            }
            Seen::Silent if !admitted && said.iter().flatten().any(forgot) => {
                // As at the first use: there may be nothing to be forgotten.
                memory::admit(servers).await.map_err(StoreError::Unavailable)?;
                admitted = true;
            }
            Seen::Silent => return Err(error(servers, &reasons(said))),
        }
    }
}

/// Whether a server has nobody, and may have forgotten somebody.
fn forgot(said: &Result<Sight>) -> bool {
    said.as_ref().is_ok_and(|sight| !sight.votes && sight.holder.is_none())
}

/// The same, where such an answer is none.
fn reasons(said: Vec<Option<Result<Sight>>>) -> Vec<Option<Result<Sight>>> {
    let reason = |said: Result<Sight>| match forgot(&said) {
        true => {
            Err(StoreError::Unavailable("it came back empty, and may have forgotten".to_owned()))
        }
        false => said,
    };
    said.into_iter().map(|said| said.map(reason)).collect()
}

async fn ask(servers: &Arc<Servers>, name: &LockName) -> (Seen, Vec<Option<Result<Sight>>>) {
    let (tell, mut answers) = mpsc::unbounded_channel();
    for server in 0..servers.count() {
        let (servers, name, tell) = (servers.clone(), name.clone(), tell.clone());
        tokio::spawn(async move {
            let said = servers.within(servers.all[server].sight(&name)).await;
            let _ = tell.send((server, said));
        });
    }
    drop(tell);
    let mut said = vec![None; servers.count()];
    while let Some((server, answer)) = answers.recv().await {
        said[server] = Some(answer);
        if let Some(seen) = seen(&said) {
            return (seen, said);
        }
    }
    (Seen::Silent, said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lease::Fence;

    fn sight(fence: Option<u64>, bids: bool, votes: bool) -> Option<Result<Sight>> {
        let holder = fence.map(|fence| Holder {
            fence: Fence::new(fence),
            metadata: String::new(),
            remaining: Duration::from_secs(1),
            released: false,
            bids,
        });
        Some(Ok(Sight { holder, votes }))
    }

    #[test]
    fn free_is_not_heard_from_a_server_that_came_back_empty() {
        let held = |fence| sight(Some(fence), false, true);
        let bids = |fence| sight(Some(fence), true, true);
        let (free, blank) = (|| sight(None, false, true), || sight(None, false, false));
        let away = || Some(Err(StoreError::Unavailable("refused".to_owned())));
        let fence = |said: &[Option<Result<Sight>>]| match seen(said) {
            Some(Seen::Held(holder)) => Ok(holder.map(|holder| holder.fence.get())),
            other => Err(other),
        };
        assert_eq!(fence(&[held(7), bids(7), None]), Ok(Some(7)));
        assert_eq!(fence(&[free(), None, free()]), Ok(None));
        assert_eq!(fence(&[free(), None, blank()]), Err(None), "the third is waited for");
        assert_eq!(
            fence(&[free(), held(7), blank()]),
            Ok(Some(7)),
            "the blank one may have forgotten"
        );
        assert_eq!(fence(&[free(), held(7), free()]), Ok(None), "what is left of a release");
        assert_eq!(fence(&[blank(), held(7), away()]), Err(Some(Seen::Silent)));
        assert_eq!(fence(&[free(), free(), blank()]), Ok(None));
        assert_eq!(fence(&[free(), blank(), away()]), Err(Some(Seen::Silent)));
        assert_eq!(fence(&[bids(7), bids(7), free()]), Err(Some(Seen::Bid)));
        assert_eq!(fence(&[bids(7), bids(8), bids(9)]), Ok(None));
    }
}
