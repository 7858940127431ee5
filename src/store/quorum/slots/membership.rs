//! Who takes part: how a quorum begins, and how a server that came back empty is let in again.
//!
//! A server that forgot what it promised and accepted would let two majorities have no
//! memory in common. So a server takes part only once it is a member, and what tells it so
//! is lost with the rest.
//!
//! - **A quorum begins** when all its servers are there and none is a member: each is told of
//!   the quorum, and when all know, each is made a member, unless it has been started again
//!   since it was seen. While one is missing nobody can tell whether it remembers an older
//!   quorum.
//! - **One that came back empty** is copied to while the others go on: first all cells as they
//!   are read, in any order, then the journal from the position at which that began. (A
//!   change may be applied twice.) Then a majority of the *others* begins an epoch in the
//!   journal, and once the server has applied that, it is let in. Whatever a majority
//!   accepted with its help before stands before that place. Whoever has a promise that it
//!   has forgotten has one of an earlier epoch: it counts for nothing with anybody who has
//!   applied the new one, and where nobody has, all that is behind the place is out of
//!   reach.
//! - **Where a majority is empty**, nothing is decided: what the others know may be old.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::journal::{Journal, catch_up};
use super::poll::Poll;
use super::replica::{Candidate, Membership, Stage};
use crate::store::Result;
use crate::store::quorum::majority;

/// How often the servers are asked when all is well, ...
const CALM: Duration = Duration::from_secs(3);
/// ... and when something is amiss.
const AMISS: Duration = Duration::from_millis(500);

/// What to do about the servers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plan {
    /// Nothing.
    Settled,
    /// Nothing can be done; why.
    Wait(String),
    /// Begin a quorum, with all.
    Begin,
    /// Make these members of the quorum, which know of it, each if it is that process.
    Admit(Uuid, Vec<(usize, u128)>),
    /// Copy to these; with the position of one that is a member and far behind.
    Copy(Uuid, Vec<(usize, Option<u64>)>),
}

/// What is to be done, from what the servers say, or why they say nothing.
fn plan(seen: &[std::result::Result<Membership, String>]) -> Plan {
    let there: Vec<_> =
        seen.iter().enumerate().filter_map(|(n, seen)| Some((n, seen.as_ref().ok()?))).collect();
    let missing: Vec<_> = seen.iter().filter_map(|seen| seen.as_ref().err().cloned()).collect();
    if let Some(why) = confused(&there) {
        return Plan::Wait(why);
    }
    let at = |stage| there.iter().filter(move |(_, seen)| seen.stage == stage);
    let members = at(Stage::Member).count();
    let Some(quorum) = at(Stage::Member).find_map(|(_, seen)| seen.quorum) else {
        return match missing.is_empty() {
            true => Plan::Begin,
            false => Plan::Wait(format!(
                "a quorum begins when all its servers are there: {}",
                missing.join("; ")
            )),
        };
    };
    let marked: Vec<_> = at(Stage::Marked).map(|(number, seen)| (*number, seen.process)).collect();
    if !marked.is_empty() {
        return Plan::Admit(quorum, marked);
    }
    // What stands before, nobody can learn from those that have all any more.
    let last = at(Stage::Member).map(|(_, seen)| seen.position).max().unwrap_or(0);
    let ahead = at(Stage::Member).filter(|(_, seen)| seen.position == last);
    let begins = ahead.map(|(_, seen)| seen.begins).min().unwrap_or(0);
    let stale = |seen: &Membership| {
        (seen.stage == Stage::Member && seen.position + 1 < begins).then_some(seen.position)
    };
    let wanting: Vec<_> = there
        .iter()
        .filter(|(_, seen)| seen.stage == Stage::Outside || stale(seen).is_some())
        .map(|(number, seen)| (*number, stale(seen)))
        .collect();
    let needed = majority(seen.len());
    // What is copied to forgets, and must not be counted on for that.
    let members = members - wanting.iter().filter(|(_, stale)| stale.is_some()).count();
    match (wanting.is_empty(), members >= needed) {
        (true, true) => Plan::Settled,
        (false, true) => Plan::Copy(quorum, wanting),
        (_, false) => Plan::Wait(format!(
            "{needed} of {} servers must remember what was decided, and {members} of those that \
             answer do: {} came back empty, {} do not answer; bring the others back with their \
             data",
            seen.len(),
            at(Stage::Outside).count(),
            missing.len(),
        )),
    }
}

/// What is wrong with the servers as a set, if something is.
fn confused(there: &[(usize, &Membership)]) -> Option<String> {
    for (place, (a, first)) in there.iter().enumerate() {
        for (b, second) in &there[place + 1..] {
            if first.server.is_some() && first.server == second.server {
                return Some(format!(
                    "servers {} and {} of the list are the same one; name each once",
                    a + 1,
                    b + 1
                ));
            }
            let both = first.quorum.zip(second.quorum);
            if both.is_some_and(|(first, second)| first != second) {
                return Some(format!(
                    "servers {} and {} of the list are of different quorums; name those that \
                     belong together, or give an empty one in place of the stranger",
                    a + 1,
                    b + 1
                ));
            }
        }
    }
    None
}

/// Sees to the servers, for as long as the store is open.
pub(super) struct Warden {
    pub(super) servers: Vec<Arc<dyn Candidate>>,
    pub(super) journal: Arc<Journal>,
    /// Nothing once enough are members, else why they are not.
    pub(super) told: watch::Sender<Option<String>>,
    /// Somebody found that something is amiss.
    pub(super) amiss: Arc<Notify>,
}

impl Warden {
    pub(super) async fn work(self, closed: CancellationToken) {
        let _ = closed
            .run_until_cancelled(async {
                loop {
                    let wait = match self.see_to_them().await {
                        true => CALM,
                        false => AMISS.mul_f64(0.5 + fastrand::f64()),
                    };
                    tokio::select! {
                        biased;
                        () = tokio::time::sleep(wait) => {}
                        () = self.amiss.notified(), if wait == CALM => {}
                    }
                }
            })
            .await;
    }

    /// Whether all is well.
    async fn see_to_them(&self) -> bool {
        let (seen, plan) = self.look().await;
        let members = seen.iter().flatten().filter(|seen| seen.stage == Stage::Member).count();
        let enough = members >= majority(self.servers.len());
        match &plan {
            Plan::Wait(why) => drop(self.told.send_replace(Some(why.clone()))),
            _ if enough => drop(self.told.send_replace(None)),
            _ => {}
        }
        let done = match plan {
            Plan::Settled => return seen.iter().all(std::result::Result::is_ok),
            Plan::Wait(_) => return false,
            Plan::Begin => self.begin(&seen).await,
            Plan::Admit(quorum, marked) => self.admit(quorum, &marked).await,
            Plan::Copy(quorum, wanting) => self.copy(quorum, &wanting).await,
        };
        if let Err(error) = done
            && !enough
        {
            self.told.send_replace(Some(error.to_string()));
        }
        false
    }

    async fn look(&self) -> (Vec<std::result::Result<Membership, String>>, Plan) {
        let mut poll =
            Poll::of(&self.servers, |_, server| Box::pin(async move { server.membership().await }));
        let mut seen = vec![Err("no answer".to_owned()); self.servers.len()];
        while let Some((number, answer)) = poll.next().await {
            seen[number] = answer.map_err(|error| error.to_string());
        }
        let plan = plan(&seen);
        (seen, plan)
    }

    /// Begins a quorum with the servers as they were seen.
    async fn begin(&self, seen: &[std::result::Result<Membership, String>]) -> Result<()> {
        let processes: Vec<_> = seen.iter().flatten().map(|seen| seen.process).collect();
        let mut order: Vec<_> = processes.iter().copied().enumerate().collect();
        // Whoever comes first at the first server gives the name; which one that is all see
        // alike, in whatever order they name them.
        order.sort_by_key(|(_, process)| *process);
        let mut quorum = Uuid::new_v4();
        for &(number, process) in &order {
            let marked = self.servers[number].mark(quorum, process).await?;
            quorum = marked.quorum.unwrap_or(quorum);
        }
        let (now, _) = self.look().await;
        let all_marked = now.iter().zip(&processes).all(|(now, process)| {
            now.as_ref().is_ok_and(|now| now.quorum == Some(quorum) && now.process == *process)
        });
        // Somebody else has begun, or one has gone.
        if all_marked { self.admit(quorum, &order).await } else { Ok(()) }
    }

    async fn admit(&self, quorum: Uuid, marked: &[(usize, u128)]) -> Result<()> {
        for &(number, process) in marked {
            self.servers[number].admit(quorum, process).await?;
        }
        Ok(())
    }

    async fn copy(&self, quorum: Uuid, wanting: &[(usize, Option<u64>)]) -> Result<()> {
        for &(number, stale) in wanting {
            self.copy_to(&*self.servers[number], stale, quorum).await?;
        }
        Ok(())
    }

    /// See the module's head.
    async fn copy_to(&self, to: &dyn Candidate, stale: Option<u64>, quorum: Uuid) -> Result<()> {
        let copier = Uuid::new_v4();
        if !to.begin_copy(copier, stale).await? {
            return Ok(());
        }
        let joined = self.copy_as(copier, to, quorum).await;
        if !matches!(joined, Ok(true)) {
            // Where that is not heard either, another may begin after a while.
            let _unheard = to.leave_copy(copier).await;
        }
        joined.map(drop)
    }

    /// Whether the server was let in.
    async fn copy_as(&self, copier: Uuid, to: &dyn Candidate, quorum: Uuid) -> Result<bool> {
        let from = &self.servers[self.journal.end().await?.server];
        let Some(begun) = from.glance().await? else { return Ok(false) };
        let mut next = None;
        loop {
            let page = from.export(next).await?;
            if !to.import(copier, page.keys).await? {
                return Ok(false);
            }
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        to.end_copy(copier, begun.position, begun.last).await?;
        let position = catch_up(to, &**from, begun.position).await?;
        let ballot = self.journal.begin_epoch().await?;
        // The epoch stands before the end.
        let end = self.journal.end().await?;
        catch_up(to, &*self.servers[end.server], position.unwrap_or(begun.position)).await?;
        to.join(copier, quorum, ballot, end.position).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUORUM: Uuid = Uuid::from_u128(7);

    fn seen(server: u128, stage: Stage) -> std::result::Result<Membership, String> {
        let of = (stage != Stage::Outside).then_some(QUORUM);
        let server = of.map(|_| Uuid::from_u128(server));
        Ok(Membership {
            quorum: of,
            server,
            stage,
            position: 5000,
            begins: 4002,
            copier: None,
            process: 1,
        })
    }

    fn silent() -> std::result::Result<Membership, String> {
        Err("x: refused".to_owned())
    }

    #[test]
    fn a_quorum_begins_with_all_its_servers_and_not_before() {
        use Stage::{Marked, Outside};
        assert_eq!(plan(&[seen(1, Outside), seen(2, Marked), seen(3, Outside)]), Plan::Begin);
        let waits = plan(&[seen(1, Outside), silent(), seen(3, Outside)]);
        assert!(matches!(waits, Plan::Wait(why) if why.contains("x: refused")));
    }

    #[test]
    fn one_that_came_back_empty_is_copied_to_while_a_majority_remembers() {
        use Stage::{Marked, Member, Outside};
        assert_eq!(plan(&[seen(1, Member), seen(2, Member), silent()]), Plan::Settled);
        let one = plan(&[seen(1, Member), seen(2, Outside), seen(3, Member)]);
        assert_eq!(one, Plan::Copy(QUORUM, vec![(1, None)]));
        let marked = plan(&[seen(1, Member), seen(2, Marked), seen(3, Outside)]);
        assert_eq!(marked, Plan::Admit(QUORUM, vec![(1, 1)]));
        let two = plan(&[seen(1, Member), seen(2, Outside), seen(3, Outside)]);
        assert!(matches!(two, Plan::Wait(why) if why.contains("2 came back empty")));
    }

    #[test]
    fn a_member_that_is_far_behind_is_copied_to() {
        let stale = || {
            let stale = |seen| Membership { position: 4000, begins: 3000, ..seen };
            seen(2, Stage::Member).map(stale)
        };
        let copied = plan(&[seen(1, Stage::Member), stale(), seen(3, Stage::Member)]);
        assert_eq!(copied, Plan::Copy(QUORUM, vec![(1, Some(4000))]));
        let kept = plan(&[seen(1, Stage::Member), stale(), silent()]);
        assert!(matches!(kept, Plan::Wait(_)), "what it knows may be needed");
        let behind = seen(2, Stage::Member).map(|seen| Membership { position: 4001, ..seen });
        assert_eq!(plan(&[seen(1, Stage::Member), behind, silent()]), Plan::Settled);
    }

    #[test]
    fn a_server_named_twice_and_one_of_another_quorum_are_refused() {
        let twice = plan(&[seen(1, Stage::Member), seen(1, Stage::Member), silent()]);
        assert!(matches!(twice, Plan::Wait(why) if why.contains("are the same one")));
        let other = seen(2, Stage::Member)
            .map(|seen| Membership { quorum: Some(Uuid::from_u128(8)), ..seen });
        let strange = plan(&[seen(1, Stage::Member), other, silent()]);
        assert!(matches!(strange, Plan::Wait(why) if why.contains("different quorums")));
    }
}
