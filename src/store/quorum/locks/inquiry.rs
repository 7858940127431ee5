//! What is asked of all servers beside the vote: to extend, to give back, and who holds.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::round::give_back;
use super::tally::{combined, standing};
use super::turns::Whose;
use super::voter::Writing;
use super::{REVOKED_FOR, Servers, sight};
use crate::lease::Token;
use crate::lock::LockName;
use crate::store::locks::{Release, Standing};
use crate::store::quorum::majority;
use crate::store::{Result, StoreError};

/// What a server says of each lock.
type Said = (usize, Result<Vec<Standing>>);

/// For each lock, a server that has it as ours, where a majority does.
type Live = Option<Arc<[Option<usize>]>>;

/// Collects answers until it is certain how each of `count` locks stands.
async fn collect(
    servers: &Servers,
    count: usize,
    kindly: bool,
    answers: &mut mpsc::UnboundedReceiver<Said>,
) -> (Vec<Option<Result<Vec<Standing>>>>, Result<Vec<Standing>>) {
    let mut said = vec![None; servers.count()];
    while let Some((server, answer)) = answers.recv().await {
        said[server] = Some(answer);
        let standings: Option<Vec<_>> =
            (0..count).map(|name| standing(&of(&said, name), kindly)).collect();
        if let Some(standings) = standings {
            let standings: std::result::Result<Vec<_>, ()> = standings.into_iter().collect();
            let standings = standings.map_err(|()| error(servers, &said));
            return (said, standings);
        }
    }
    let error = error(servers, &said);
    (said, Err(error))
}

/// What all say of the lock with that number.
fn of(said: &[Option<Result<Vec<Standing>>>], name: usize) -> Vec<Option<Result<Standing>>> {
    said.iter()
        .map(|said| {
            said.as_ref().map(|said| match said {
                Ok(standings) => Ok(standings.get(name).cloned().unwrap_or(Standing::Free)),
                Err(error) => Err(error.clone()),
            })
        })
        .collect()
}

pub(super) fn error<T>(servers: &Servers, said: &[Option<Result<T>>]) -> StoreError {
    let errors = said.iter().enumerate().filter_map(|(server, said)| match said {
        Some(Err(error)) => Some((server, error.clone())),
        _ => None,
    });
    combined(servers.count(), errors.collect(), |server| servers.all[server].describe())
}

/// Extends locks where they are ours. Where a majority has a lock the others, that know
/// nothing of it, are given it as well.
pub(super) async fn extend(
    servers: &Arc<Servers>,
    names: &[LockName],
    token: Token,
    ttl: Duration,
) -> Result<Vec<Standing>> {
    servers.grants().lasts(token, servers.bound * 2 + ttl);
    let names: Arc<[LockName]> = names.into();
    let (tell, mut answers) = mpsc::unbounded_channel();
    let live = watch::Sender::new(Live::None);
    for server in 0..servers.count() {
        let (servers, names, tell) = (servers.clone(), names.clone(), tell.clone());
        let mut turn = servers.turns.next(server, Whose::Token(token));
        let live = live.subscribe();
        tokio::spawn(async move {
            let asked = servers.within(async {
                turn.come().await;
                servers.all[server].extend(&names, token, ttl).await
            });
            let said = asked.await;
            let free = free(&said);
            let _ = tell.send((server, said));
            drop(tell);
            restore(&servers, server, &free, live, &names, token, ttl).await;
        });
    }
    drop(tell);
    let (said, standings) = collect(servers, names.len(), false, &mut answers).await;
    let has = |name: usize| {
        let ours = |said: &Option<Result<Vec<Standing>>>| match said {
            Some(Ok(standings)) => standings.get(name) == Some(&Standing::Ours),
            _ => false,
        };
        let many = said.iter().filter(|said| ours(said)).count() >= majority(servers.count());
        said.iter().position(ours).filter(|_| many)
    };
    live.send_replace(Some((0..names.len()).map(has).collect()));
    Ok(by_whom(servers, &names, &said, standings?).await)
}

/// The same, and where a lock is not ours but somebody's, who that is.
async fn by_whom(
    servers: &Arc<Servers>,
    names: &[LockName],
    said: &[Option<Result<Vec<Standing>>>],
    mut standings: Vec<Standing>,
) -> Vec<Standing> {
    for (number, standing) in standings.iter_mut().enumerate() {
        let named = |said: &Result<Vec<Standing>>| {
            said.as_ref().is_ok_and(|all| matches!(all.get(number), Some(Standing::HeldBy(_))))
        };
        // It may have bid for it only when these were asked.
        if *standing == Standing::Free
            && said.iter().flatten().any(named)
            && let Ok(Some(holder)) = sight::holder(servers, &names[number]).await
        {
            *standing = Standing::HeldBy(holder);
        }
    }
    standings
}

/// The numbers of those that nobody has there.
fn free(said: &Result<Vec<Standing>>) -> Vec<usize> {
    let standings = said.iter().flatten().enumerate();
    standings.filter(|(_, said)| **said == Standing::Free).map(|(name, _)| name).collect()
}

/// Gives a server the locks that it does not know of, once it is known that a majority has
/// them.
async fn restore(
    servers: &Servers,
    server: usize,
    free: &[usize],
    mut live: watch::Receiver<Live>,
    names: &[LockName],
    token: Token,
    ttl: Duration,
) {
    if free.is_empty() {
        return;
    }
    let Ok(live) = live.wait_for(Option::is_some).await.map(|live| live.clone()) else { return };
    for name in free {
        let Some(source) = live.as_ref().and_then(|live| live[*name]) else { continue };
        let known = servers.within(servers.all[source].holder(&names[*name])).await;
        let Ok(Some(holder)) = known else { continue };
        if holder.released {
            continue;
        }
        let writing = Writing {
            names: [names[*name].clone()].into(),
            token,
            fence: holder.fence,
            ttl,
            metadata: holder.metadata.into(),
            where_free: true,
            won: true,
        };
        // The next extension tries again.
        let _ = servers.within(servers.all[server].write(&writing)).await;
    }
}

/// Gives locks back. Servers that do not answer are told later, until there is nothing to
/// give back any more: it has lapsed there.
pub(super) async fn release(servers: &Arc<Servers>, release: &Release) -> Result<Vec<Standing>> {
    let lasts = servers.grants().ends(release.token);
    let (tell, mut answers) = mpsc::unbounded_channel();
    for server in 0..servers.count() {
        let (servers, tell) = (servers.clone(), tell.clone());
        let mut release = release.clone();
        let mut turn = servers.turns.next(server, Whose::Token(release.token));
        tokio::spawn(async move {
            // What is asked before may take as long as the release itself.
            let come = tokio::time::timeout(servers.bound, turn.come());
            if come.await.is_err() {
                let why = "it has not answered an earlier request yet";
                let _ = tell.send((server, Err(StoreError::Unknown(why.to_owned()))));
                turn.come().await;
            }
            if servers.grants().was_unclear(server, release.token) {
                release.revoke_for = release.revoke_for.max(Some(REVOKED_FOR));
            }
            let said = servers.within(servers.all[server].release(&release)).await;
            // What stands there is of another program: asking again changes nothing.
            let answered = matches!(said, Ok(_) | Err(StoreError::Corrupt(_)));
            let _ = tell.send((server, said));
            drop(tell);
            if !answered {
                let useful = lasts.max(release.revoke_for.unwrap_or_default());
                give_back(&servers, server, &release, useful).await;
            }
        });
    }
    drop(tell);
    let (said, standings) = collect(servers, release.names.len(), true, &mut answers).await;
    Ok(by_whom(servers, &release.names, &said, standings?).await)
}
