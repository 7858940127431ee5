//! Counts votes: pure, from answers to what they come to.

use crate::lease::Fence;
use crate::lock::Holder;
use crate::store::locks::{Standing, Taken};
use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

use super::voter::Vote;

/// What the votes on a request for locks come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// A majority has granted.
    Granted,
    /// It cannot be had: a majority says that one has it, who is known to have won it.
    Held(Taken),
    /// It cannot be had: too many have revoked the token.
    Revoked,
    /// It cannot be had, and nobody is known to have it.
    Split(Split),
    /// It cannot be had, because too many do not vote; why.
    Silent(StoreError),
    /// The same, and some have to be admitted first.
    Forgotten(StoreError),
}

/// What is known where nobody has a majority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Split {
    /// The same in words.
    pub(super) why: String,
    /// Somebody who did win, and may have a majority still with those that say nothing.
    pub(super) likely: Option<Taken>,
}

/// The votes on one request.
#[derive(Debug)]
pub(super) struct Tally {
    votes: Vec<Option<Result<Vote>>>,
}

impl Tally {
    pub(super) fn new(servers: usize) -> Self {
        Self { votes: vec![None; servers] }
    }

    pub(super) fn add(&mut self, server: usize, vote: Result<Vote>) {
        self.votes[server] = Some(vote);
    }

    fn count(&self, holds: impl Fn(&Result<Vote>) -> bool) -> usize {
        self.votes.iter().flatten().filter(|vote| holds(vote)).count()
    }

    /// The fences that were granted.
    pub(super) fn fences(&self) -> impl Iterator<Item = Fence> {
        self.votes.iter().flatten().filter_map(|vote| match vote {
            Ok(Vote::Cast(Taken::Granted(fence))) => Some(*fence),
            _ => None,
        })
    }

    /// What they come to, as soon as that is certain. `name` says which server is which.
    pub(super) fn outcome(&self, name: impl Fn(usize) -> String) -> Option<Outcome> {
        let (servers, granted) = (self.votes.len(), self.fences().count());
        let needed = majority(servers);
        if granted >= needed {
            return Some(Outcome::Granted);
        }
        let pending = self.votes.iter().filter(|vote| vote.is_none()).count();
        if granted + pending >= needed {
            return None;
        }
        let spared = servers - needed;
        let named = self.most_named();
        if let Some((times, taken)) = &named {
            let (won, many) = (has_won(taken), *times >= needed);
            if won && many {
                return Some(Outcome::Held(taken.clone()));
            }
            // The others may know that it won, or that it has a majority.
            if pending > 0 && (many || won && times + pending >= needed) {
                return None;
            }
        }
        if self.count(|vote| matches!(vote, Ok(Vote::Cast(Taken::Revoked)))) > spared {
            return Some(Outcome::Revoked);
        }
        let absent = self.absent();
        if absent > spared {
            let why = self.why_silent(name);
            let forgotten = self.count(|vote| matches!(vote, Ok(Vote::Abstained(None)))) > 0;
            return Some(match forgotten {
                true => Outcome::Forgotten(why),
                false => Outcome::Silent(why),
            });
        }
        match self.split() {
            // Those that would know of its end do not answer.
            Outcome::Split(Split { likely: Some(taken), .. }) if pending == 0 => {
                Some(Outcome::Held(taken))
            }
            split => Some(split),
        }
    }

    /// Whether somebody said no, and it is not decided yet.
    pub(super) fn is_contended(&self) -> bool {
        self.most_named().is_some()
    }

    /// What they come to where the others are not waited for.
    pub(super) fn split(&self) -> Outcome {
        let named = self.most_named();
        let said = match &named {
            Some((times, _)) => format!("at most {times} name the same holder"),
            None => "none names a holder".to_owned(),
        };
        let servers = self.votes.len();
        let silent = self.absent() + self.votes.iter().filter(|vote| vote.is_none()).count();
        let likely = named.and_then(|(times, taken)| {
            (has_won(&taken) && times + silent >= majority(servers)).then_some(taken)
        });
        let why = format!("nobody is known to have a majority: of {servers} servers {said}");
        Outcome::Split(Split { why, likely })
    }

    /// How many do not vote.
    fn absent(&self) -> usize {
        self.count(|vote| matches!(vote, Err(_) | Ok(Vote::Abstained(_))))
    }

    /// How many servers name the holder that most name, and what they say.
    fn most_named(&self) -> Option<(usize, Taken)> {
        let mut groups: Vec<(usize, Taken)> = Vec::new();
        for vote in self.votes.iter().flatten() {
            let Ok(Vote::Cast(taken @ Taken::Held { name, holder, since })) = vote else {
                continue;
            };
            let same = groups.iter_mut().find_map(|(times, group)| match group {
                Taken::Held { name: other, holder: known, since: place }
                    if other == name && is_same(known, holder) =>
                {
                    Some((times, known, place))
                }
                _ => None,
            });
            match same {
                Some((times, known, place)) => {
                    *times += 1;
                    merge(known, holder);
                    *place = (*place).min(*since).or(*place).or(*since);
                }
                None => groups.push((1, taken.clone())),
            }
        }
        groups.into_iter().max_by_key(|(times, taken)| (*times, has_won(taken)))
    }

    fn why_silent(&self, name: impl Fn(usize) -> String) -> StoreError {
        let silent = self.votes.iter().enumerate().filter_map(|(server, vote)| match vote {
            Some(Err(error)) => Some((server, error.clone())),
            Some(Ok(Vote::Abstained(left))) => {
                let why = match left {
                    Some(left) => format!("it came back empty, and votes again in {left:?}"),
                    None => "it came back empty, and does not vote yet".to_owned(),
                };
                Some((server, StoreError::Unavailable(why)))
            }
            _ => None,
        });
        combined(self.votes.len(), silent.collect(), name)
    }
}

/// Whether one of those who name it knows that it won.
const fn has_won(taken: &Taken) -> bool {
    matches!(taken, Taken::Held { holder, .. } if !holder.bids)
}

/// What two servers say of the same holder.
fn merge(known: &mut Holder, other: &Holder) {
    known.remaining = known.remaining.max(other.remaining);
    known.bids &= other.bids;
}

/// Whether both are the same holder: no two have the same fence, but for a chance of one
/// in a thousand while they contend.
pub(super) fn is_same(one: &Holder, other: &Holder) -> bool {
    (one.fence, one.released, &one.metadata) == (other.fence, other.released, &other.metadata)
}

/// One error of those that some of `servers` have met.
pub(super) fn combined(
    servers: usize,
    errors: Vec<(usize, StoreError)>,
    name: impl Fn(usize) -> String,
) -> StoreError {
    let told: Vec<_> = errors
        .iter()
        .map(|(server, error)| {
            let (StoreError::Unavailable(why)
            | StoreError::Unknown(why)
            | StoreError::Corrupt(why)) = error;
            let name = name(*server);
            if why.contains(&name) { why.clone() } else { format!("{name}: {why}") }
        })
        .collect();
    let why = format!("{} of {servers} servers do not vote: {}", told.len(), told.join("; "));
    let any = |kind: fn(&StoreError) -> bool| errors.iter().any(|(_, error)| kind(error));
    if any(|error| matches!(error, StoreError::Corrupt(_))) {
        StoreError::Corrupt(why)
    } else if any(|error| matches!(error, StoreError::Unknown(_))) {
        StoreError::Unknown(why)
    } else {
        StoreError::Unavailable(why)
    }
}

/// How a lock stands, by what each server says of it; none while that is not certain.
/// Where `kindly`, one that may have been ours at servers that do not answer counts as ours.
pub(super) fn standing(
    said: &[Option<Result<Standing>>],
    kindly: bool,
) -> Option<std::result::Result<Standing, ()>> {
    let servers = said.len();
    let (needed, spared) = (majority(servers), servers - majority(servers));
    let count = |holds: fn(&Result<Standing>) -> bool| {
        said.iter().flatten().filter(|said| holds(said)).count()
    };
    let ours = count(|said| matches!(said, Ok(Standing::Ours)));
    let failed = count(Result::is_err);
    let others = count(|said| matches!(said, Ok(Standing::HeldBy(_) | Standing::Free)));
    let pending = servers - ours - failed - others;
    if ours >= needed {
        Some(Ok(Standing::Ours))
    } else if others > spared {
        Some(Ok(not_ours(said)))
    } else if failed > spared {
        Some(Err(()))
    } else if pending > 0 {
        None
    } else if kindly && ours > 0 {
        Some(Ok(Standing::Ours))
    } else {
        Some(Err(()))
    }
}

/// Who has a lock that is not ours, where a majority says so and it is known to have won.
fn not_ours(said: &[Option<Result<Standing>>]) -> Standing {
    let holders = said.iter().map(|said| match said {
        Some(Ok(Standing::HeldBy(holder))) => Some(Some(holder.clone())),
        _ => None,
    });
    match most_said(holders.flatten()) {
        Some((times, Some(holder))) if times >= majority(said.len()) && !holder.bids => {
            Standing::HeldBy(holder)
        }
        _ => Standing::Free,
    }
}

/// Who holds a lock as most say, and how many; a holder before nobody.
pub(super) fn most_said(
    said: impl Iterator<Item = Option<Holder>>,
) -> Option<(usize, Option<Holder>)> {
    let mut groups: Vec<(usize, Option<Holder>)> = Vec::new();
    for holder in said {
        let same = groups.iter_mut().find(|(_, known)| match (known, &holder) {
            (Some(known), Some(holder)) => is_same(known, holder),
            (None, None) => true,
            _ => false,
        });
        match same {
            Some((times, known)) => {
                *times += 1;
                if let (Some(known), Some(holder)) = (known, holder) {
                    merge(known, &holder);
                }
            }
            None => groups.push((1, holder)),
        }
    }
    let won = |holder: &Holder| !holder.bids;
    groups.into_iter().max_by_key(|(times, holder)| (*times, holder.as_ref().map(won)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::lock::LockName;

    fn named(fence: u64, bids: bool) -> Result<Vote> {
        let name = LockName::new("order/1").unwrap();
        let holder = Holder {
            fence: Fence::new(fence),
            metadata: String::new(),
            remaining: Duration::from_secs(1),
            released: false,
            bids,
        };
        Ok(Vote::Cast(Taken::Held { name, holder, since: None }))
    }

    /// The fence of the holder that is told, if one is, once all of these have voted.
    fn told(votes: &[Option<Result<Vote>>]) -> Option<std::result::Result<u64, String>> {
        let tally = Tally { votes: votes.to_vec() };
        match tally.outcome(|server| server.to_string())? {
            Outcome::Held(Taken::Held { holder, .. }) => Some(Ok(holder.fence.get())),
            Outcome::Split(split) => Some(Err(split.why)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_who_is_known_to_have_won_is_told_as_the_holder() {
        let (bids, won) = (|fence| Some(named(fence, true)), |fence| Some(named(fence, false)));
        let granted = || Some(Ok(Vote::Cast(Taken::Granted(Fence::new(9)))));
        assert_eq!(told(&[won(7), bids(7), None]), Some(Ok(7)));
        assert_eq!(told(&[bids(7), granted(), won(7)]), Some(Ok(7)));
        assert_eq!(told(&[won(7), bids(8), bids(9), None, None]), None);
        // A majority may be one that is given back, and what is left of others is no majority.
        assert_eq!(told(&[bids(7), bids(7), None]), None, "the third may know more");
        for votes in [[bids(7), bids(7), bids(7)], [bids(7), bids(8), bids(8)]] {
            assert!(
                told(&votes).unwrap().unwrap_err().contains("nobody is known to have a majority")
            );
        }
        let split = told(&[won(7), bids(8), granted()]).unwrap().unwrap_err();
        assert!(split.ends_with("of 3 servers at most 1 name the same holder"), "{split}");
        // It won, and the one that would know of its end is away.
        let away = || Some(Err(StoreError::Unavailable("refused".to_owned())));
        assert_eq!(told(&[won(7), away(), granted()]), Some(Ok(7)));
        assert!(told(&[bids(7), away(), granted()]).unwrap().is_err());
    }
}
