//! Sees to servers that came back empty, or are new: they vote again when no lock can last
//! any more that they have forgotten.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Servers;
use super::voter::Memory;
use crate::clock::BootInstant;
use crate::lease::{Fence, Token};
use crate::store::quorum::majority;

/// Clocks of servers may go faster or slower by so much of a time (its hundredth part),
/// and be read so much later.
const DRIFT: Duration = Duration::from_millis(2);

/// How often it is looked whether somebody else has admitted them.
const LOOK: Duration = Duration::from_millis(20);

/// One admission at a time, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    one_by_one: tokio::sync::Mutex<()>,
    count: AtomicU64,
}

/// What those that remember know of what others have forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// How long a lock may still last.
    horizon: Duration,
    fence: Fence,
}

/// What is known of what the others have forgotten; none where too few remember. Whatever
/// a server voted for, a majority did; so any majority without it has somebody who did.
/// Where fewer remember, as at the first use, nobody may be missing.
fn known(memories: &[Option<Memory>]) -> Option<Known> {
    let remembering = memories.iter().flatten().filter(|memory| memory.horizon.is_some());
    let many = remembering.clone().count() >= majority(memories.len());
    if !many && memories.iter().any(Option::is_none) {
        return None;
    }
    Some(Known {
        horizon: remembering.filter_map(|memory| memory.horizon).max().unwrap_or_default(),
        fence: memories.iter().flatten().map(|memory| memory.fence).max().unwrap_or(Fence::new(0)),
    })
}

/// Admits who can be admitted; why not, where some cannot.
pub(super) async fn admit(servers: &Arc<Servers>) -> Result<(), String> {
    let before = servers.admissions.count.load(Ordering::Acquire);
    let _turn = servers.admissions.one_by_one.lock().await;
    if servers.admissions.count.load(Ordering::Acquire) != before {
        // Somebody has seen to it while we waited.
        return Ok(());
    }
    let memories = read_when_votes_are_over(servers).await;
    let Some(Known { horizon, fence }) = known(&memories) else {
        let remembering =
            memories.iter().flatten().filter(|memory| memory.horizon.is_some()).count();
        return Err(format!(
            "{remembering} of {} servers remember which locks they gave, the others are new, came \
             back empty or do not answer: until a majority remembers, all of them have to be there",
            servers.count()
        ));
    };
    let after = match horizon.is_zero() {
        true => Duration::ZERO,
        false => horizon + horizon / 100 + DRIFT,
    };
    let admitted = memories.iter().zip(&servers.all).filter_map(|(memory, server)| {
        let memory = memory.as_ref().filter(|memory| memory.horizon.is_none())?;
        Some(servers.within(server.admit(&memory.name, after, fence)))
    });
    futures_util::future::join_all(admitted).await;
    servers.admissions.count.fetch_add(1, Ordering::Release);
    Ok(())
}

/// What all remember. A vote may be under way of which the forgetful one was a part: it
/// counts only if the others answer within the time that a call may take, so they are read
/// after that. At the first use nothing was voted for, and nothing is waited for.
async fn read_when_votes_are_over(servers: &Arc<Servers>) -> Vec<Option<Memory>> {
    let mut seen: Option<(Vec<String>, BootInstant)> = None;
    loop {
        let memories = read(servers).await;
        let blank = memories.iter().flatten().filter(|memory| memory.horizon.is_none());
        let names: Vec<_> = blank.map(|memory| memory.name.clone()).collect();
        let all = names.len() == servers.count();
        if names.is_empty() || all || known(&memories).is_none() {
            return memories;
        }
        match &seen {
            Some((before, since)) if *before == names => {
                if BootInstant::now().since(*since) >= servers.bound {
                    return memories;
                }
            }
            // The one that is asked first notices now that it has forgotten, or again.
            _ => seen = Some((names, BootInstant::now())),
        }
        tokio::time::sleep(LOOK.min(servers.bound)).await;
    }
}

async fn read(servers: &Servers) -> Vec<Option<Memory>> {
    let name = Token::new();
    let asked = servers.all.iter().map(|server| servers.within(server.memory(name)));
    futures_util::future::join_all(asked).await.into_iter().map(Result::ok).collect()
}

/// The same where nobody waits for it.
pub(super) async fn admit_in_time(servers: Arc<Servers>) {
    if servers.admissions.one_by_one.try_lock().is_ok() {
        // What could not be done now is done when somebody asks next.
        let _ = admit(&servers).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(horizon: Option<u64>, fence: u64) -> Option<Memory> {
        let horizon = horizon.map(Duration::from_secs);
        let silence = Duration::ZERO;
        Some(Memory { name: "m".to_owned(), horizon, silence, fence: Fence::new(fence) })
    }

    #[test]
    fn who_forgot_waits_for_what_a_majority_remembers() {
        let [blank, away] = [memory(None, 0), None];
        let known = |memories: &[Option<Memory>]| {
            known(memories).map(|known| (known.horizon.as_secs(), known.fence.get()))
        };
        let (short, long) = (memory(Some(3), 9), memory(Some(7), 5));
        assert_eq!(known(&[blank.clone(), short.clone(), long.clone()]), Some((7, 9)));
        assert_eq!(known(&[blank.clone(), short.clone(), away.clone()]), None);
        // At the first use, and after too much was lost, nobody may be missing.
        assert_eq!(known(&[blank.clone(), blank.clone(), blank.clone()]), Some((0, 0)));
        assert_eq!(known(&[blank.clone(), blank.clone(), away.clone()]), None);
        assert_eq!(known(&[blank.clone(), blank.clone(), long.clone()]), Some((7, 5)));
        let five = [blank.clone(), away, short.clone(), long, short];
        assert_eq!(known(&five), Some((7, 9)));
    }
}
